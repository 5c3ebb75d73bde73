"""The checks of exercise 02. `rtlab grade 02` runs them: real clients talk, and your decoder gets what they sent.

The other end of each client is a bare TCP server of this file. It shakes hands, reads bytes, and cuts them as it
likes before it feeds them. A grader may be read. It looks at what your code does, never at how it is written.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from rtlab.grading import check, expect
from rtlab.wire.handshake import accept_upgrade, parse_request, upgrade_request

FORBIDDEN = {
    "rtlab.wire.frames": "Its bytes are in chapter 02, and RFC 6455 §5.2 has the picture.",
    "rtlab.wire.protocol": "",
}

DEMANDS = {
    "A decoder does not wait and reads from no socket.": "test_one_frame",
    "It remembers what it needs between two calls of `feed`, which is less than one frame": (
        "test_split_anywhere",
        "test_forgets_what_it_has_given",
    ),
    "no two decoders share anything.": "test_two_clients",
    "give the frames that they complete, in order.": "test_glued_frames",
    "A frame is given by the call that brings its last byte, not by a later one.": "test_split_anywhere",
    "A call that completes no frame gives an empty list.": ("test_split_anywhere", "test_broken_rules"),
    "It may hold a part of a frame, several frames, thousands of small ones too, or nothing.": (
        "test_split_anywhere",
        "test_glued_frames",
    ),
    "A new list, which is the caller's: later calls do not change it.": "test_split_anywhere",
    "with code 1002 if a frame is not masked": "test_unmasked",
    "has a reserved bit or an opcode that does not exist": "test_broken_rules",
    "is a control frame in fragments or of more than 125 bytes": "test_broken_rules",
    "has a length that is not written in the shortest form": ("test_broken_rules", "test_every_length"),
    "with code 1009 if its payload would have more than `MAX_PAYLOAD` bytes.": "test_too_big",
    "Bytes of payload that one frame may have": "test_too_big",
    "It is raised by the call that brings the length, or an earlier one, without waiting for key or payload.": (
        "test_unmasked",
        "test_broken_rules",
        "test_too_big",
    ),
    "Where a frame breaks several rules, any of their codes will do.": "test_too_big",
    "It judges each frame alone.": ("test_glued_frames", "test_too_big"),
    "frames that the same call had completed are dropped.": "test_broken_rules",
}
"""What README.md and frames.py demand, and the checks that look at it."""
MASKED, NOT_MASKED = 0x80, 0
OPCODES = {"a continuation": 0, "a text": 1, "a binary message": 2, "a close": 8, "a ping": 9, "a pong": 10}
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
WITHIN_S = 2
MANY = 5000
"""Short frames that come in one piece."""
LONG, LONGER = b"\x82\xfe", b"\x82\xff"
"""How a binary frame begins whose length has the form of 16 bits, or of 64."""

Plain = tuple[int, bytes, bool]
"""A frame to compare with: opcode, payload, fin."""


@asynccontextmanager
async def door() -> AsyncIterator[tuple[int, asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]]:
    """A server that upgrades whoever comes and then does nothing: its port, and its ends of the connections."""
    ends: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        parsed = parse_request(await reader.readuntil(b"\r\n\r\n"))
        assert parsed is not None
        writer.write(bytes(accept_upgrade(parsed[0]).response))
        ends.put_nowait((reader, writer))

    server = await asyncio.start_server(upgrade, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], ends
    finally:
        server.close()


async def recorded(talk: Callable[[ClientConnection], Awaitable[object]]) -> bytes:
    """Every byte that a real client sends after its handshake while it does `talk`."""
    async with door() as (port, ends):
        client = await connect(f"ws://127.0.0.1:{port}", compression=None, ping_interval=None, close_timeout=0)
        reader, writer = await ends.get()
        everything = asyncio.ensure_future(reader.read())
        await talk(client)
        client.transport.close()
        try:
            return await everything
        finally:
            writer.close()
            await client.wait_closed()


def same(what: str, got: Plain, wanted: Plain) -> None:
    """Observe one frame. Of a long payload the sentence shows the place where it differs."""
    for name, came, should in zip(("opcode", "length", "fin"), _outline(got), _outline(wanted), strict=True):
        expect(f"the {name} of {what}", came, equals=should)
    expect(f"the payload of {what}, unmasked,", got[1], equals=wanted[1])


def _outline(frame: Plain) -> tuple[int, int, bool]:
    return frame[0], len(frame[1]), frame[2]


def fed(submission: Any, how: str, pieces: Iterable[bytes], decoder: Any = None) -> list[Plain]:
    """The frames that a decoder gives for these pieces, all together; a new one unless it is named."""
    decoder = decoder or submission.Decoder()
    frames: list[Plain] = []
    seen = 0
    for piece in pieces:
        seen += len(piece)
        given: Any = None
        try:
            given = decoder.feed(piece)
        except submission.ProtocolError as error:
            but = f"`feed` raised ProtocolError with code {error.code} after {seen:,} bytes"
            expect.that(f"what an honest client sends is accepted, {how}", False, but=but)
        for frame in expect("what `feed` gives", given, is_a=list):
            expect("each element of what `feed` gives", frame, is_a=submission.Frame)
            expect("the payload of a frame", frame.payload, is_a=bytes)
            frames.append((frame.opcode, frame.payload, frame.fin))
    return frames


def refused(submission: Any, what: str, pieces: Iterable[bytes], code: int, decoder: Any = None) -> int:
    """Observe that ProtocolError is raised, at the latest for the last piece; gives its code."""
    decoder = decoder or submission.Decoder()
    with expect.raises(what, submission.ProtocolError, code=code) as broken:
        for piece in pieces:
            decoder.feed(piece)
    return int(broken.error.code)  # type: ignore[union-attr]


def one_by_one(data: bytes) -> list[bytes]:
    """Its bytes, each a piece of its own."""
    return [data[at : at + 1] for at in range(len(data))]


def masked(first: int, payload: bytes, key: bytes = b"\x5a\x0f\xf0\x99") -> bytes:
    """A frame as a client sends it. For frames that no client of the library sends."""
    octets = bytes(octet ^ key[place % 4] for place, octet in enumerate(payload))
    return header(first, len(payload)) + key + octets


def header(first: int, size: int, mask: int = MASKED) -> bytes:
    """The first bytes of a frame, up to its length, in the shortest form."""
    if size < 126:
        return bytes((first, mask | size))
    if size < 65536:
        return bytes((first, mask | 126)) + size.to_bytes(2, "big")
    return bytes((first, mask | 127)) + size.to_bytes(8, "big")


ALONE: list[Plain] = [
    (1, b"gr\xc3", False),
    (10, b"", True),
    (0, b"\xbcn", True),
    (1, b"\xff\xfe", True),
    (0, b"without a beginning", True),
    (1, b"without an end", False),
    (2, b"\x00", True),
    (8, b"", True),
    (8, b"\x03", True),
    (8, b"\x03\xe8bye", True),
    (1, b"behind a close", True),
]
"""Frames of which each keeps to the rules: a letter cut in two, no UTF-8, fragments that belong to nothing, closes."""
PLAIN_KEY = masked(0x81, b"with the key 0", bytes(4))


@check(
    points=2,
    hints=(
        "Print the first two bytes of a frame in binary: the first holds `fin` and the opcode, the second the length.",
        "After the two bytes come four of the key. Octet i of the payload was XORed with octet i modulo 4 of the key.",
    ),
)
async def test_one_frame(submission: Any) -> None:
    """A client sends a text, a binary message, a ping and a pong; each arrives alone and is given as one frame."""
    decoder = submission.Decoder()
    async with door() as (port, ends), connect(f"ws://127.0.0.1:{port}", compression=None, close_timeout=0) as client:
        reader, writer = await ends.get()
        talk: list[tuple[str, Callable[[], Awaitable[object]], Plain]] = [
            ("a text", lambda: client.send("Grüße"), (1, "Grüße".encode(), True)),
            ("a binary message", lambda: client.send(bytes(range(100))), (2, bytes(range(100)), True)),
            ("a ping", lambda: client.ping(b"there?"), (9, b"there?", True)),
            ("a pong", lambda: client.pong(b"here"), (10, b"here", True)),
        ]
        for name, send, wanted in talk:
            await send()
            data = await reader.readexactly(2 + 4 + len(wanted[1]))
            frames = fed(submission, f"{name} in one piece", [data], decoder)
            expect(f"the number of frames for {name}", len(frames), equals=1)
            same(name, frames[0], wanted)
        writer.close()


@check(
    points=2,
    hints=(
        "TCP knows no messages. Several frames can be in `data`; what does your `feed` do after the first?",
        (
            "Take frames off the front in a loop, for as long as there is a whole one; a function that calls itself "
            "for each comes to an end after some hundred. A frame may have no payload at all."
        ),
    ),
)
async def test_glued_frames(submission: Any) -> None:
    """Fragments, a ping, an empty text come in one piece; so do 5,000 short texts, and frames that make no message."""

    async def talk(client: ClientConnection) -> None:
        await client.send(["one", "two"])  # the library ends it with an empty fragment
        await client.ping(b"")
        await client.send("")
        await client.send("last")

    frames = fed(submission, "in one piece", [await recorded(talk)])
    wanted = [
        (1, b"one", False),
        (0, b"two", False),
        (0, b"", True),
        (9, b"", True),
        (1, b"", True),
        (1, b"last", True),
    ]
    expect("the number of frames in one piece", len(frames), equals=len(wanted))
    for number, (got, should) in enumerate(zip(frames, wanted, strict=True), 1):
        same(f"frame {number} of {len(wanted)}", got, should)

    async def chatter(client: ClientConnection) -> None:
        for number in range(MANY + 1):
            await client.send(f"{number:04}")

    data = await recorded(chatter)
    decoder = submission.Decoder()
    frames = fed(submission, f"{MANY:,} in one piece", [data[:-5]], decoder)
    expect(f"the number of frames for {MANY:,} in one piece and half of another", len(frames), equals=MANY)
    expected = [(1, f"{number:04}".encode(), True) for number in range(MANY)]
    wrong = next((at for at, pair in enumerate(zip(frames, expected, strict=True)) if pair[0] != pair[1]), None)
    expect.that(f"the {MANY:,} frames are those that were sent, in order", wrong is None, but=f"frame {wrong} differs")
    rest = fed(submission, "the second half of the last of many", [data[-5:]], decoder)
    expect("the frames for the second half of the last of many", rest, equals=[(1, f"{MANY:04}".encode(), True)])

    odd = b"".join(masked(fin << 7 | opcode, payload) for opcode, payload, fin in ALONE)
    frames = fed(submission, "in one piece, some of which mean nothing together", [odd + PLAIN_KEY])
    expected = [*ALONE, (1, b"with the key 0", True)]
    expect("the number of frames that mean nothing together", len(frames), equals=len(expected))
    for number, (got, should) in enumerate(zip(frames, expected, strict=True), 1):
        same(f"frame {number} of {len(expected)} that mean nothing together", got, should)
    frames = fed(submission, "byte by byte, some of which mean nothing together", one_by_one(odd + PLAIN_KEY))
    expect("the number of these frames, byte by byte", len(frames), equals=len(expected))


@check(
    points=3,
    hints=(
        "Feed a frame byte by byte by hand and print what your decoder remembers after each. What must not be lost?",
        (
            "Keep what has arrived until a frame is whole: its header, four octets of key and the payload, and not "
            "one byte more. If you unmask earlier, count how many octets of it came before. Make the list anew in "
            "each call."
        ),
    ),
)
async def test_split_anywhere(submission: Any) -> None:
    """The bytes of three messages arrive cut in two at every place, in threes, and one by one."""

    async def talk(client: ClientConnection) -> None:
        await client.send("a short one")
        await client.send(bytes(range(256)))
        await client.send("end")

    data = await recorded(talk)
    wanted = [(1, b"a short one", True), (2, bytes(range(256)), True), (1, b"end", True)]
    cuts = {f"cut in two after byte {cut}": [data[:cut], data[cut:]] for cut in range(1, len(data))}
    cuts["with an empty piece between two"] = [data[:7], b"", data[7:]]
    cuts["with an empty piece first"] = [b"", data]
    cuts["in pieces of three"] = [data[at : at + 3] for at in range(0, len(data), 3)]
    for how, pieces in cuts.items():
        frames = fed(submission, how, pieces)
        expect(f"the number of frames, with the bytes {how},", len(frames), equals=3)
        for number, (got, should) in enumerate(zip(frames, wanted, strict=True), 1):
            same(f"frame {number}, with the bytes {how},", got, should)
    decoder = submission.Decoder()
    given = [len(fed(submission, "byte by byte", [data[at : at + 1]], decoder)) for at in range(len(data))]
    last_bytes = [at for at, number in enumerate(given, 1) if number]
    ends = [2 + 4 + 11, 2 + 4 + 11 + 4 + 4 + 256, len(data)]
    expect("the bytes at which a frame was given, one by one,", last_bytes, equals=ends)
    decoder = submission.Decoder()
    first, later = [expect("what `feed` gives", decoder.feed(piece), is_a=list) for piece in (data[:17], data[17:])]
    expect("the number of frames in the list of the first call, after a second call", len(first), equals=1)
    expect("the number of frames in the list of the second call", len(later), equals=2)


@check(
    points=1,
    hints=(
        "Each client has a decoder of its own. Where does yours keep what it remembers?",
        "What stands in the class, or outside of it, is there once for all decoders. `__init__` is run for each.",
    ),
)
async def test_two_clients(submission: Any) -> None:
    """Two clients talk at the same time; the bytes of one arrive between two halves of the other's."""

    async def talk(client: ClientConnection) -> None:
        await client.send("mine")

    mine, other = await recorded(talk), await recorded(talk)
    decoder = submission.Decoder()
    early = fed(submission, "the first half of a frame", [mine[:7]], decoder)
    expect("the frames for half of one", early, equals=[])
    for who, frames in (
        ("the second client", fed(submission, "between the halves of another client's frame", [other])),
        ("the first client", fed(submission, "after another client's frame", [mine[7:]], decoder)),
    ):
        expect(f"the number of frames from {who}", len(frames), equals=1)
        same(f"the frame of {who}", frames[0], (1, b"mine", True))


@check(
    points=2,
    hints=(
        "Seven bits hold a length up to 125. What do 126 and 127 in their place stand for?",
        "The longer forms take two and eight bytes, in network byte order, between the second byte and the key.",
    ),
)
async def test_every_length(submission: Any) -> None:
    """A client sends payloads on both sides of each border: 125, 126, 65,535 and 65,536 bytes."""
    sizes = (0, 1, 125, 126, 127, 128, 65535, 65536, 70000)
    pattern = bytes(range(251)) * 280

    async def talk(client: ClientConnection) -> None:
        for size in sizes:
            await client.send(pattern[:size])

    data = await recorded(talk)
    frames = fed(submission, "in pieces of 1,000 bytes", (data[at : at + 1000] for at in range(0, len(data), 1000)))
    for size, frame in zip(sizes, frames, strict=False):
        same(f"the frame with {size} bytes of payload", frame, (2, pattern[:size], True))
    expect("the number of frames", len(frames), equals=len(sizes))


@check(
    points=2,
    hints=(
        "A client has to mask every frame. Which bit of the header says whether it did?",
        "Look at the highest bit of the second byte, in every frame, and raise before you wait for anything more.",
    ),
)
async def test_unmasked(submission: Any) -> None:
    """A client that does not mask is found out at the second byte of its frame, and hears close code 1002."""
    async with door() as (port, ends):
        theirs, out = await asyncio.open_connection("127.0.0.1", port)
        out.write(bytes(upgrade_request(f"127.0.0.1:{port}", "/", KEY)))
        await theirs.readuntil(b"\r\n\r\n")
        reader, writer = await ends.get()
        decoder = submission.Decoder()
        out.write(header(0x81, 5, NOT_MASKED))
        begin = await reader.readexactly(2)
        code = refused(submission, "the first two bytes of an unmasked text, at once,", [begin], 1002, decoder)
        writer.write(header(0x88, 2, NOT_MASKED) + code.to_bytes(2, "big"))
        writer.close()
        answer = await expect.arrives("a close frame at the client", theirs.read(), within_s=WITHIN_S)
        expect("the close code at the client", int.from_bytes(answer[2:], "big"), equals=1002)
        out.close()
    for size in (0, 125, 126, 127):
        what = f"an unmasked header whose second byte is {size}"
        refused(submission, what, one_by_one(bytes((0x82, size))), 1002)
    for what, opcode in OPCODES.items():
        refused(
            submission,
            f"the first two bytes of {what} that is not masked",
            [header(0x80 | opcode, 5, NOT_MASKED)],
            1002,
        )
    good = masked(0x81, b"masked")
    decoder = submission.Decoder()
    fed(submission, "a masked frame", [good], decoder)
    refused(submission, "an unmasked frame after a masked one", [header(0x81, 5, NOT_MASKED)], 1002, decoder)
    glued = good + header(0x81, 5, NOT_MASKED)
    refused(submission, "an unmasked frame behind a masked one, in one piece", [glued], 1002)


@check(
    points=3,
    hints=(
        "Go through the header bit by bit and ask of each value whether it is allowed (RFC 6455 §5.2 and §5.5).",
        (
            "Opcodes from 8 on are control frames: they have FIN, and at most 125 bytes. The 16-bit form begins at "
            "126, the 64-bit form at 65,536. Judge the header of each frame as soon as it is there: before its key and "
            "payload have come, and also where it stands behind another frame in `data`."
        ),
    ),
)
def test_broken_rules(submission: Any) -> None:
    """Reserved bits and opcodes, control frames in fragments or too long, lengths in a form too long: 1002 for each."""
    broken = {
        **{
            f"{what} with reserved bit RSV{4 - bit}": header(0x80 | opcode | 8 << bit, 3)
            for what, opcode in OPCODES.items()
            for bit in (1, 2, 3)
        },
        **{f"a frame with opcode {opcode}": header(0x80 | opcode, 3) for opcode in (*range(3, 8), *range(11, 16))},
        **{f"{what} in fragments": header(opcode, 2) for what, opcode in OPCODES.items() if opcode >= 8},
        "an empty pong in fragments": header(0x0A, 0),
        "a fragment with opcode 3": header(0x03, 3),
        **{
            f"{what} of {size:,} bytes": header(0x80 | opcode, size)
            for what, opcode in OPCODES.items()
            for size in (126, 65536)
            if opcode >= 8
        },
        **{f"a length of {size} in the form of 16 bits": LONG + size.to_bytes(2, "big") for size in (0, 125)},
        **{
            f"a length of {size:,} in the form of 64 bits": LONGER + size.to_bytes(8, "big") for size in (0, 126, 65535)
        },
    }
    good = masked(0x82, bytes(300))
    for what, begin in broken.items():
        refused(submission, f"the header of {what}, before key and payload come,", [begin], 1002)
        refused(submission, f"the header of {what}, byte by byte", one_by_one(begin), 1002)
        refused(submission, f"the header of {what}, behind a good frame in one piece", [good + begin], 1002)
        decoder = submission.Decoder()
        frames = fed(submission, "a good frame first", [good], decoder)
        expect(f"the number of frames before the header of {what} comes", len(frames), equals=1)
        refused(submission, f"the header of {what}, in the call after a good frame", [begin], 1002, decoder)
    allowed = {
        "a ping of 125 bytes": header(0x89, 125),
        "a pong of 125 bytes": header(0x8A, 125),
        "a first fragment": header(0x01, 300),
        "a last fragment": header(0x80, 126),
        "a close": header(0x88, 0),
        "a length of 126": header(0x82, 126),
        "a length of 65,536": header(0x82, 65536),
    }
    for what, begin in allowed.items():
        frames = fed(submission, f"the header of {what}", [begin])
        expect(f"what `feed` gives for the header of {what}", frames, equals=[])


@check(
    points=2,
    deadline_s=15,
    hints=(
        "The header says how long the payload will be. How much of the payload do you need to refuse it?",
        (
            "Compare the number in the 64-bit form with `MAX_PAYLOAD` as soon as it is there, before key and payload. "
            "Exactly `MAX_PAYLOAD` is still allowed, in each frame anew."
        ),
    ),
)
async def test_too_big(submission: Any) -> None:
    """More than MAX_PAYLOAD bytes are refused by the header alone; MAX_PAYLOAD is accepted, and so are many frames."""
    most = 1_048_576
    payloads = [bytes(most), bytes(530_000), bytes(530_000)]
    fragments = [(2, 530_000, False), (0, 530_000, False), (0, 0, True)]

    async def talk(client: ClientConnection) -> None:
        for payload in payloads:
            await client.send(payload)
        await client.send(payloads[1:])  # the library ends it with an empty fragment

    data = await recorded(talk)
    pieces = [data[:100_000], data[100_000 : most + 20], data[most + 20 :]]
    frames = fed(submission, "a frame of MAX_PAYLOAD bytes in two pieces, four of 530,000 bytes in one", pieces)
    expect("the number of frames, of which each has at most MAX_PAYLOAD bytes,", len(frames), equals=6)
    for frame, payload in zip(frames, payloads, strict=False):
        same(f"a frame of {len(payload):,} bytes", frame, (2, payload, True))
    for frame, (opcode, size, fin) in zip(frames[3:], fragments, strict=True):
        same(f"a fragment of {size:,} bytes of a message that has more in all", frame, (opcode, bytes(size), fin))
    good = masked(0x81, b"good")
    for size in (most + 1, 2**32 + 5, 2**40, 2**63 - 1):
        what = f"a header that announces {size:,} bytes"
        refused(submission, what, [header(0x82, size)], 1009)
        refused(submission, f"{what}, byte by byte", one_by_one(header(0x82, size)), 1009)
        refused(submission, f"{what}, behind a good frame in one piece", [good + header(0x82, size)], 1009)
        refused(submission, f"{what}, in the call after a good frame", [good, header(0x82, size)], 1009)
    for what, opcode in OPCODES.items():
        if opcode < 8:
            refused(
                submission, f"the header of {what} that announces {most + 1:,} bytes", [header(opcode, most + 1)], 1009
            )
    with expect.raises(f"a header that announces {2**64 - 1:,} bytes", submission.ProtocolError) as broken:
        submission.Decoder().feed(header(0x82, 2**64 - 1))
    code = getattr(broken.error, "code", None)
    expect("its code, which is 1009, or 1002 for a sign that may not be set,", code, one_of=(1009, 1002))


@check(
    points=1,
    hints=(
        (
            "What does a decoder still hold when it has given a frame? Feed it a thousand frames and look at its "
            "attributes."
        ),
        (
            "Remove the bytes of a frame from what you remember when you give it: `del` on a slice of a `bytearray` "
            "does that. Keep no list of frames in `self`."
        ),
    ),
)
def test_forgets_what_it_has_given(submission: Any) -> None:
    """After 1,000 frames of 125 bytes a decoder holds less than 100 kB more than before."""
    decoder = submission.Decoder()
    frame = masked(0x82, bytes(125))

    def feed_them(count: int) -> None:
        given = 0
        for _ in range(count):
            for piece in (frame[:50], frame[50:]):
                given += len(expect("what `feed` gives", decoder.feed(piece), is_a=list))
        expect("the number of frames for many, each in two pieces", given, equals=count)

    feed_them(10)
    tracemalloc.start()
    feed_them(1000)
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    expect("the bytes that a decoder holds after 1,000 frames", kept, within=(0, 100_000))
