"""The checks of exercise 02. `rtlab grade 02` runs them: real clients talk, and your decoder gets what they sent.

The other end of each client is a bare TCP server of this file. It shakes hands, reads bytes, and cuts them as it
likes before it feeds them. A grader may be read. It looks at what your code does, never at how it is written.
"""

from __future__ import annotations

import asyncio
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

MASKED, NOT_MASKED = 0x80, 0
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
WITHIN_S = 2

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
    """Observe one frame. A long payload is told by its length and by where it differs."""
    for name, came, should in zip(("opcode", "length", "fin"), _outline(got), _outline(wanted), strict=True):
        expect(f"the {name} of {what}", came, equals=should)
    pairs = zip(got[1], wanted[1], strict=True)
    wrong = next((place for place, (came, should) in enumerate(pairs) if came != should), None)
    expect.that(f"the payload of {what} is unmasked rightly", wrong is None, but=f"byte {wrong} of it is wrong")


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


def header(first: int, size: int, mask: int = MASKED) -> bytes:
    """The first bytes of a frame, up to its length, in the shortest form."""
    if size < 126:
        return bytes((first, mask | size))
    if size < 65536:
        return bytes((first, mask | 126)) + size.to_bytes(2, "big")
    return bytes((first, mask | 127)) + size.to_bytes(8, "big")


@check(
    points=2,
    hints=(
        "Print the first two bytes of a frame in binary: the first holds `fin` and the opcode, the second the length.",
        "After the two bytes come four of the key. Octet i of the payload was XORed with octet i modulo 4 of the key.",
    ),
)
async def test_one_frame(submission: Any) -> None:
    """A client sends a text, a binary message and a ping; each arrives alone and is given as one frame."""
    decoder = submission.Decoder()
    async with door() as (port, ends), connect(f"ws://127.0.0.1:{port}", compression=None, close_timeout=0) as client:
        reader, writer = await ends.get()
        talk: list[tuple[str, Callable[[], Awaitable[object]], Plain]] = [
            ("a text", lambda: client.send("Grüße"), (1, "Grüße".encode(), True)),
            ("a binary message", lambda: client.send(bytes(range(100))), (2, bytes(range(100)), True)),
            ("a ping", lambda: client.ping(b"there?"), (9, b"there?", True)),
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
        "Go on taking frames off the front for as long as there is a whole one. A frame may have no payload at all.",
    ),
)
async def test_glued_frames(submission: Any) -> None:
    """A client sends a message in three fragments, a ping and an empty text; all arrive in one piece."""

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


@check(
    points=3,
    hints=(
        "Feed a frame byte by byte by hand and print what your decoder remembers after each. What must not be lost?",
        "Keep what has arrived until a frame is whole. If you unmask earlier, count how many octets of it came before.",
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
        "Look at the upper bit of the second byte, in every frame, and raise before you wait for anything more.",
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
        with expect.raises("the header of an unmasked text", submission.ProtocolError, code=1002) as broken:
            decoder.feed(begin)
        code: int = broken.error.code  # type: ignore[union-attr]
        writer.write(header(0x88, 2, NOT_MASKED) + code.to_bytes(2, "big"))
        writer.close()
        answer = await expect.arrives("a close frame at the client", theirs.read(), within_s=WITHIN_S)
        expect("the close code at the client", int.from_bytes(answer[2:], "big"), equals=1002)
        out.close()


@check(
    points=3,
    hints=(
        "Go through the header bit by bit and ask of each value whether it is allowed (RFC 6455 §5.2 and §5.5).",
        "Opcodes from 8 on are control frames, with limits of their own. Each form of the length has a least value.",
    ),
)
def test_broken_rules(submission: Any) -> None:
    """Reserved bits and opcodes, control frames in fragments or too long, lengths in a form too long: 1002 for each."""
    broken = {
        **{f"a frame with reserved bit RSV{4 - bit}": header(0x81 | 8 << bit, 3) for bit in (1, 2, 3)},
        **{f"a frame with opcode {opcode}": header(0x80 | opcode, 3) for opcode in (*range(3, 8), *range(11, 16))},
        "a ping in fragments": header(0x09, 3),
        "a close frame in fragments": header(0x08, 2),
        "a pong of 126 bytes": header(0x8A, 126),
        "a length of 125 in the form of 16 bits": b"\x82\xfe\x00\x7d",
        "a length of 65,535 in the form of 64 bits": b"\x82\xff" + (65535).to_bytes(8, "big"),
    }
    for what, begin in broken.items():
        decoder = submission.Decoder()
        with expect.raises(what, submission.ProtocolError, code=1002):
            decoder.feed(begin)
    allowed = {
        "a ping of 125 bytes": header(0x89, 125),
        "a first fragment": header(0x01, 300),
        "a close": header(0x88, 0),
    }
    for what, begin in allowed.items():
        decoder = submission.Decoder()
        expect(f"what `feed` gives for the header of {what}", decoder.feed(begin), equals=[])


@check(
    points=2,
    hints=(
        "The header says how long the payload will be. How much of the payload do you need to refuse it?",
        "Compare as soon as the length is known, for each of its forms. Exactly `MAX_PAYLOAD` is still allowed.",
    ),
)
async def test_too_big(submission: Any) -> None:
    """A client announces more than MAX_PAYLOAD bytes and is refused by the header alone; MAX_PAYLOAD is welcome."""
    most = 1_048_576
    payload = bytes(most)

    async def talk(client: ClientConnection) -> None:
        await client.send(payload)

    data = await recorded(talk)
    frames = fed(submission, "in pieces of 64 KiB", (data[at : at + 65536] for at in range(0, len(data), 65536)))
    expect("the number of frames for a payload of MAX_PAYLOAD bytes", len(frames), equals=1)
    same("a frame of MAX_PAYLOAD bytes", frames[0], (2, payload, True))
    for size in (most + 1, 2**40):
        decoder = submission.Decoder()
        with expect.raises(f"a header that announces {size:,} bytes", submission.ProtocolError, code=1009):
            decoder.feed(header(0x82, size))
