"""Conformance on a real socket: one case at least for each class that the Autobahn test suite has.

The suite itself is a Python 2 program and no part of these tests; its classes are named in the ids, so that whoever
runs it finds the matching place here. Every case is sent whole and octet by octet.
"""

import asyncio
import struct
import zlib

import pytest
from deadlines import WAIT_S

import rtlab
from rtlab.servers import echo
from rtlab.wire.frames import Frame, FrameParser, Opcode, encode_frame

pytestmark = pytest.mark.timeout(WAIT_S * 2)
KEY = b"\xa1\x02\x7f\x80"


def text(payload, *, fin=True, rsv1=False):
    return Frame(Opcode.TEXT, payload if isinstance(payload, bytes) else payload.encode(), fin, rsv1)


def binary(payload, *, fin=True, rsv1=False):
    return Frame(Opcode.BINARY, payload, fin, rsv1)


def more(payload, *, fin=True):
    return Frame(Opcode.CONTINUATION, payload, fin)


def ping(payload=b""):
    return Frame(Opcode.PING, payload)


def pong(payload=b""):
    return Frame(Opcode.PONG, payload)


def close(code=None, reason=b""):
    return Frame(Opcode.CLOSE, b"" if code is None else struct.pack("!H", code) + reason)


def octets(frame: Frame) -> bytes:
    return encode_frame(frame, KEY)


def raw(first: int, payload: bytes = b"") -> bytes:
    """A masked frame whose first octet is anything."""
    return bytes((first, 0x80 | len(payload))) + KEY + encode_frame(Frame(Opcode.BINARY, payload), KEY)[6:]


def closed(code: int) -> list[tuple]:
    return [(Opcode.CLOSE, code)]


def deflated(payload: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return (compressor.compress(payload) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def long_text(size: int) -> str:
    return ("Hello-µ@ßöäüàá-UTF-8!!" * (size // 20))[:size]


# What is sent, and what has to come back: frames, or the code of the close frame.
CASES = {
    "1.1 text frames": ([text("x" * n) for n in (0, 125, 126, 127, 128, 65535, 65536)], None),
    "1.2 binary frames": ([binary(b"\xfe" * n) for n in (0, 125, 126, 127, 128, 65535, 65536)], None),
    "2.1-2.4 pings": ([ping(), ping(b"Hello"), ping(b"\x00\xff\xfe"), ping(b"\xfe" * 125)],
                      [pong(), pong(b"Hello"), pong(b"\x00\xff\xfe"), pong(b"\xfe" * 125)]),
    "2.5 a ping of 126": ([raw(0x89) [:1] + b"\xfe\x00\x7e" + KEY + bytes(126)], closed(1002)),
    "2.7-2.9 unsolicited pongs": ([pong(), pong(b"unsolicited"), ping(b"1")], [pong(b"1")]),
    "2.10 ten pings": ([ping(bytes([n])) for n in range(10)], [pong(bytes([n])) for n in range(10)]),
    "3 reserved bits": ([raw(0x81 | 0x20, b"x")], closed(1002)),
    "3 RSV1 without compression": ([raw(0x81 | 0x40, b"x")], closed(1002)),
    "4.1 reserved data opcodes": ([raw(0x83), ping()], closed(1002)),
    "4.2 reserved control opcodes": ([raw(0x8B), ping()], closed(1002)),
    "5.1 a fragmented ping": ([raw(0x09), more(b"x")], closed(1002)),
    "5.3-5.8 fragments with pings": (
        [text("frag", fin=False), ping(b"p"), more(b"ment", fin=False), ping(b"q"), more(b"s")],
        [pong(b"p"), pong(b"q"), text("fragments")]),
    "5.9-5.14 a continuation of nothing": ([more(b"x"), text("late")], closed(1002)),
    "5.15 text within text": ([text("one", fin=False), text("two")], closed(1002)),
    "6.1 empty texts": ([text(""), text("", fin=False), more(b"", fin=False), more(b"")], [text(""), text("")]),
    "6.2 characters cut apart": ([text("µ".encode()[:1], fin=False), more("µ".encode()[1:])], [text("µ")]),
    "6.3 bad text": ([text(b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited")], closed(1007)),
    "6.4 bad text, and no end of it": ([text(b"\xce\xba\xf4\x90", fin=False)], closed(1007)),
    "6.5-6.23 boundaries": ([text("\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff")], None),
    "6.6 an incomplete character": ([text(b"\xf4\x8f\xbf")], closed(1007)),
    "6.21 surrogates": ([text(b"\xed\xa0\x80\xed\xb0\x80")], closed(1007)),
    "7.1 close, then talk": ([close(1000), text("after")], closed(1000)),
    "7.3.1 close without a code": ([close()], [(Opcode.CLOSE, None)]),
    "7.3.2 close of one octet": ([Frame(Opcode.CLOSE, b"a")], closed(1002)),
    "7.3.6 a reason that is too long": ([raw(0x88)[:1] + b"\xfe\x00\x7e" + KEY + bytes(126)], closed(1002)),
    "7.5 a reason that is not UTF-8": ([close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80")], closed(1007)),
    "7.7 good codes": ([close(3999, b"reason")], [(Opcode.CLOSE, 3999)]),
    "7.9 bad codes": ([close(1005)], closed(1002)),
    "7.9 codes that nobody has": ([close(2999)], closed(1002)),
    "9 large messages": ([text(long_text(1 << 20)[: 1 << 19]), binary(b"\x7f" * (1 << 20))], None),
    "9 many fragments": ([text("", fin=False), *[more(b"x" * 64, fin=False)] * 1000, more(b"")], [text("x" * 64_000)]),
    "10 many small messages": ([binary(bytes([n])) for n in range(200)], None),
}  # fmt: skip
COMPRESSED = {
    "12 compressed": (
        [text(deflated(b"Hello"), rsv1=True), binary(deflated(bytes(100_000)), rsv1=True), text("plain")],
        [text("Hello"), binary(bytes(100_000)), text("plain")],
    ),
    "12 compressed and fragmented": (
        [text(deflated(b"Hello")[:3], fin=False, rsv1=True), ping(), more(deflated(b"Hello")[3:])],
        [pong(), text("Hello")],
    ),
    "12 bad text within": ([text(deflated(b"\xff"), rsv1=True)], closed(1007)),
    "12 no deflate stream": ([text(b"\xff\xff\xff", rsv1=True)], closed(1007)),
    "12 RSV1 on a continuation": (
        [text(deflated(b"Hello")[:3], fin=False, rsv1=True), raw(0x80 | 0x40, b"x")],
        closed(1002),
    ),
}
OFFERS = [  # 13.*: every kind of parameter, and whether it is agreed on
    ("permessage-deflate; client_no_context_takeover", True),
    ("permessage-deflate; server_no_context_takeover", True),
    ("permessage-deflate; server_max_window_bits=9", True),
    ("permessage-deflate; client_max_window_bits=9; client_no_context_takeover", True),
    ("permessage-deflate; server_max_window_bits=8", False),
    ("permessage-deflate; server_max_window_bits=8, permessage-deflate", True),
]


class Talk:
    """A TCP connection after a handshake by hand."""

    def __init__(self, reader, writer):
        self.reader = reader
        self.writer = writer
        self.parser = FrameParser(masked=False, max_size=1 << 24, rsv1=True)
        self.agreed = ""

    async def open(self, offer: str = "") -> None:
        lines = ["GET / HTTP/1.1", "Host: h", "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version: 13"]  # fmt: skip
        if offer:
            lines.append(f"Sec-WebSocket-Extensions: {offer}")
        self.writer.write("\r\n".join([*lines, "", ""]).encode())
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 101")
        self.agreed = head.partition("Sec-WebSocket-Extensions: ")[2].partition("\r\n")[0]

    async def frames(self, count: int) -> list[Frame]:
        """Frames until there are `count` or the server closes TCP."""
        found: list[Frame] = []
        while len(found) < count and (data := await self.reader.read(1 << 16)):
            found.extend(self.parser.feed(data))
        return found


@pytest.fixture
async def talk():
    async with rtlab.serve(echo.by_hand(1 << 24, 2000)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(WAIT_S):
            yield Talk(reader, writer)
        writer.close()


def seen(frame: Frame | tuple) -> object:
    """A frame as it is compared: of a close frame only its code."""
    if isinstance(frame, tuple):
        return frame
    if frame.opcode is Opcode.CLOSE:
        return Opcode.CLOSE, struct.unpack("!H", frame.payload[:2])[0] if frame.payload else None
    return frame.opcode, frame.payload


@pytest.mark.parametrize("cut", ["whole", "octet by octet"])
@pytest.mark.parametrize(("sent", "wanted"), CASES.values(), ids=CASES)
async def test_class(talk, sent, wanted, cut):
    await talk.open()
    data = b"".join(each if isinstance(each, bytes) else octets(each) for each in sent)
    wanted = sent if wanted is None else wanted
    step = len(data) if cut == "whole" else max(1, len(data) // 3000)
    receiving = asyncio.create_task(talk.frames(len(wanted)))
    for start in range(0, len(data), step):
        talk.writer.write(data[start : start + step])
        await asyncio.sleep(0)
    assert [seen(frame) for frame in await receiving] == [seen(frame) for frame in wanted]
    talk.writer.write_eof()
    if seen(wanted[-1])[0] is Opcode.CLOSE:
        assert await talk.reader.read() == b"", "nothing follows, and the server closes TCP"


@pytest.mark.parametrize(("sent", "wanted"), COMPRESSED.values(), ids=COMPRESSED)
async def test_compression(talk, sent, wanted):
    await talk.open("permessage-deflate")
    assert talk.agreed == "permessage-deflate"
    talk.writer.write(b"".join(each if isinstance(each, bytes) else octets(each) for each in sent))
    inflate = zlib.decompressobj(wbits=-15)
    got = []
    for frame in await talk.frames(len(wanted)):
        payload = inflate.decompress(frame.payload + b"\x00\x00\xff\xff") if frame.rsv1 else frame.payload
        got.append(seen(Frame(frame.opcode, payload)))
    assert got == [seen(frame) for frame in wanted]


@pytest.mark.parametrize(("offer", "agreed"), OFFERS)
async def test_13_negotiation(talk, offer, agreed):
    await talk.open(offer)
    assert bool(talk.agreed) == agreed
    message = b"negotiated" * 20
    if not agreed:
        talk.writer.write(octets(binary(message)))
        assert await talk.frames(1) == [binary(message)]
        return
    for _ in range(3):
        compressor = zlib.compressobj(wbits=-9)
        payload = (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]
        talk.writer.write(octets(binary(payload, rsv1=True)))
        (frame,) = await talk.frames(1)
        assert frame.rsv1
        if "server_no_context_takeover" in offer:
            inflated = zlib.decompressobj(wbits=-15).decompress(frame.payload + b"\x00\x00\xff\xff")
            assert inflated == message
