"""Every parser of the wire takes time as its input grows, and no faster: inputs that are made to hurt, doubled.

A parser that is new here has to get a row, and a pattern is found by itself: both are looked for in the modules.
"""

import ast
import contextlib
import enum
import importlib
import inspect
import itertools
import json
import pkgutil
import re
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import growth
import pytest
from deadlines import WAIT_S
from growth import LARGE, LINEAR, doubling
from quick import quick

import rtlab.wire
from rtlab.errors import HandshakeError, ProtocolError
from rtlab.wire import deflate, engineio, extensions, frames, handshake, http, protocol, socketio, socketio_packets
from rtlab.wire.deflate import Deflate, DeflateOptions
from rtlab.wire.frames import Frame, Opcode, encode_frame
from rtlab.wire.http import Headers, Request, Response

pytestmark = pytest.mark.timeout(WAIT_S * 3)

HUGE = 1 << 40
"""A limit that nothing reaches: the limits make an attack shorter, not the parser faster."""
DRIP = 1 << 15
"""Bytes that are fed one by one: what searches all of them anew is seen only when there are many."""
MASK = b"\x01\x02\x03\x04"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
GOOD = [
    ("Host", "h"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
]

Row = tuple[Callable[[int], Any], Callable[[Any], object], int]
ROWS: dict[object, dict[str, Row]] = {}
"""For each parser: what hurts it, as a function of the size; what takes that; the size to begin with."""


def row(parser: object, name: str, make: Callable[[int], Any], work: Callable[[Any], object], at_least: int = LARGE):
    """Add a row. What the parser is documented to raise is a result like any other."""

    def whole(of: Any) -> None:
        with contextlib.suppress(ProtocolError, HandshakeError):
            work(of)

    ROWS.setdefault(parser, {})[name] = make, whole, at_least


def each(parser: object, work: Callable[[Any], object], inputs: dict[str, Callable[[int], Any]]) -> None:
    """Several rows that are worked on alike."""
    for name, make in inputs.items():
        row(parser, name, make, work)


# HTTP and the handshake

HEAD = b"GET / HTTP/1.1\r\n"
TEXTS: dict[str, Callable[[int], str]] = {
    "blanks and a control character": lambda n: " " * n + "\x00",
    "tabs and blanks by turns": lambda n: " \t" * n + "\x00",
    "blanks between letters": lambda n: "a " * n + "\x7f",
    "commas": lambda n: "," * n,
    "commas and blanks": lambda n: ", " * n + "\x01",
    "tokens": lambda n: "a," * n,
    "one long token": lambda n: "a" * n + "\x00",
    "semicolons": lambda n: ";" * n,
    "parameters": lambda n: "a" + "; b" * n + "\x00",
    "parameters with values": lambda n: "a" + ";b=c" * n + "=",
    "quoted parameters": lambda n: "a" + ';b="c"' * n + '"',
    "extensions with parameters": lambda n: "a;b=c ," * n + "\x00",
    "an open quote": lambda n: 'a;b="' + "c" * n,
    "backslashes in an open quote": lambda n: 'a;b="' + "\\" * n,
    "escaped quotes": lambda n: 'a;b="' + '\\"' * n,
    "quotes": lambda n: "a;b=" + '"' * n,
    "equals signs": lambda n: "a;b" + "=" * n,
    "blanks around the equals sign": lambda n: "a;b" + " " * n + "=" + " " * n + "\x00",
    "colons": lambda n: ":" * n,
    "percent signs": lambda n: "%" * n,
    "percent escapes": lambda n: "%41" * n + "%",
    "digits": lambda n: "1" * n,
    "zeros": lambda n: "0" * n,
    "Base64 with an error at the end": lambda n: "QUJD" * n + "!",
    "slashes": lambda n: "/" * n,
}
UNLIMITED = {"max_bytes": HUGE, "max_lines": HUGE}
FIELD_NAMES = [
    "Host",
    "Upgrade",
    "Connection",
    "Sec-WebSocket-Key",
    "Sec-WebSocket-Version",
    "Origin",
    "Content-Length",
    "Transfer-Encoding",
    "Sec-WebSocket-Protocol",
    "Sec-WebSocket-Extensions",
]
ANSWER_NAMES = ["Upgrade", "Connection", "Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]


def replaced(fields: list[tuple[str, str]], name: str, value: str) -> Headers:
    return Headers([*(each for each in fields if each[0] != name), (name, value)])


for parse, start in ((http.parse_request, HEAD), (http.parse_response, b"HTTP/1.1 101 x\r\n")):

    def parse_head(data: bytes, parse: Any = parse) -> object:
        return parse(data, **UNLIMITED)

    for name, make in TEXTS.items():
        row(
            parse,
            f"a field of {name}",
            lambda n, make=make, start=start: start + b"A:" + make(n).encode() + b"\r\n\r\n",
            parse_head,
        )
        row(parse, f"a first line of {name}", lambda n, make=make: make(n).encode() + b"\r\n\r\n", parse_head)
    each(
        parse,
        parse_head,
        {
            "a long target or reason": lambda n, start=start: start[:5] + b"a" * n + b" HTTP/1.1\r\n\r\n",
            "a reason of blanks": lambda n: b"HTTP/1.1 101" + b" " * n + b"\x00\r\n\r\n",
            "many fields": lambda n, start=start: start + b"A: b\r\n" * n + b"\r\n",
            "empty lines without an end": lambda n, start=start: start + b"\n\r" * n,
            "no end": lambda n: b"\r\n\r" * n,
            "a long rest": lambda n, start=start: start + b"\r\n" + b"\r\n\r\n" * n,
        },
    )


def drip(data: bytes) -> None:
    buffer = http.HeadBuffer(**UNLIMITED)
    for number in range(len(data)):
        buffer.add(data[number : number + 1])


row(http.HeadBuffer, "byte by byte", lambda n: HEAD + b"a" * n, drip, 4 * DRIP)
row(http.HeadBuffer, "ends that are none, byte by byte", lambda n: HEAD + b"\r\n\r" * (n // 3), drip, 4 * DRIP)
row(http.HeadBuffer, "at once", lambda n: HEAD + b"\r\n\r" * n, lambda data: http.HeadBuffer(**UNLIMITED).add(data))
each(
    http.Request,
    lambda request: (request.path, request.authority),
    {name: lambda n, make=make: Request("http://" + make(n), Headers()) for name, make in TEXTS.items()},
)
each(
    http.Headers,
    lambda headers: (headers.all("A"), headers.get("a"), headers.tokens("A")),
    {
        "many fields": lambda n: Headers([("A", "b, c")] * n),
        **{name: lambda n, make=make: Headers([("A", make(n))]) for name, make in TEXTS.items()},
    },
)
each(http.shown, http.shown, TEXTS)
each(handshake.accept_key, handshake.accept_key, {"a long key": lambda n: "a" * n})
for field in FIELD_NAMES:
    each(
        handshake.accept_upgrade,
        lambda headers: handshake.accept_upgrade(
            Request("/", headers), origins={"o"}, subprotocols=["s"], deflate=DeflateOptions()
        ),
        {
            f"{field}: {name}": lambda n, make=make, field=field: replaced(GOOD, field, make(n))
            for name, make in TEXTS.items()
        },
    )
    row(
        handshake.accept_upgrade,
        f"many times {field}",
        lambda n, field=field: Headers([*GOOD, *[(field, "a")] * n]),
        lambda headers: handshake.accept_upgrade(Request("/", headers)),
    )
each(
    handshake.accept_upgrade,
    lambda target: handshake.accept_upgrade(Request(target, Headers(GOOD))),
    {f"the target {name}": lambda n, make=make: "http://" + make(n) for name, make in TEXTS.items()},
)
ANSWER = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", handshake.accept_key(KEY))]
for field in ANSWER_NAMES:
    each(
        handshake.check_response,
        lambda headers: handshake.check_response(
            Response(101, headers), KEY, subprotocols=["s"], deflate=DeflateOptions()
        ),
        {
            f"{field}: {name}": lambda n, make=make, field=field: replaced(ANSWER, field, make(n))
            for name, make in TEXTS.items()
        },
    )

# Compression

each(extensions.parse_extensions, extensions.parse_extensions, TEXTS)
each(
    deflate.accept_offer,
    lambda offers: deflate.accept_offer(offers, DeflateOptions()),
    {
        "many offers that are declined": lambda n: [(deflate.NAME, (("x", None),))] * n,
        "an offer of many parameters": lambda n: [(deflate.NAME, tuple((f"x{number}", None) for number in range(n)))],
        "other extensions": lambda n: [("x", ())] * n,
        "a long value": lambda n: [(deflate.NAME, (("server_max_window_bits", "1" * n),))],
    },
)
each(
    deflate.accept_response,
    lambda answered: deflate.accept_response(answered, DeflateOptions()),
    {
        "many extensions": lambda n: [("x", ())] * n,
        "many parameters": lambda n: [(deflate.NAME, tuple((f"x{number}", None) for number in range(n)))],
        "a long value": lambda n: [(deflate.NAME, (("server_max_window_bits", "1" * n),))],
    },
)


def compressed(data: bytes) -> bytes:
    return Deflate(DeflateOptions(), client=True).compress(data)


def inflate_in_pieces(data: bytes) -> None:
    theirs = Deflate(DeflateOptions(), client=False)
    for number in range(len(data)):
        theirs.decompress(data[number : number + 1], HUGE, fin=False)


def noise(n: int) -> bytes:
    """Bytes that do not compress."""
    return zlib.compress(b"".join(number.to_bytes(4, "big") for number in range(n // 2)), 9)[:n]


each(
    deflate.Deflate,
    lambda data: Deflate(DeflateOptions(), client=False).decompress(data, 1 << 24, fin=True),
    {
        "zeros": lambda n: compressed(bytes(n)),
        "noise": lambda n: compressed(noise(n)),
        "no deflate stream": lambda n: b"\xff" * n,
        "what goes on after the end": lambda n: zlib.compress(b"x", wbits=-15) + bytes(n),
        "empty blocks": lambda n: b"\x00\x00\x00\xff\xff" * n,
    },
)
row(deflate.Deflate, "byte by byte", lambda n: compressed(noise(n)), inflate_in_pieces)

# Frames and messages


def fragments(n: int, payload: bytes, opcode: Opcode = Opcode.TEXT, end: bytes = b"") -> bytes:
    between = encode_frame(Frame(Opcode.CONTINUATION, payload, False), MASK) * n
    return (
        encode_frame(Frame(opcode, payload, False), MASK)
        + between
        + encode_frame(Frame(Opcode.CONTINUATION, end), MASK)
    )


STREAMS: dict[str, Callable[[int], bytes]] = {
    "a long text": lambda n: encode_frame(Frame(Opcode.TEXT, b"a" * n), MASK),
    "a long text that ends badly": lambda n: encode_frame(Frame(Opcode.TEXT, b"a" * n + b"\xff"), MASK),
    "characters of four bytes": lambda n: encode_frame(Frame(Opcode.TEXT, "😀".encode() * n), MASK),
    "a long binary message": lambda n: encode_frame(Frame(Opcode.BINARY, bytes(n)), MASK),
    "tiny messages": lambda n: encode_frame(Frame(Opcode.TEXT, b"a"), MASK) * n,
    "empty messages": lambda n: encode_frame(Frame(Opcode.BINARY), MASK) * n,
    "pings": lambda n: encode_frame(Frame(Opcode.PING, b"p"), MASK) * n,
    "pongs": lambda n: encode_frame(Frame(Opcode.PONG), MASK) * n,
    "tiny fragments": lambda n: fragments(n, b"a"),
    "empty fragments": lambda n: fragments(n, b""),
    "fragments that cut characters": lambda n: fragments(n, "ü".encode() * 3 + b"\xc3", Opcode.BINARY),
    "fragments that end badly": lambda n: fragments(n, b"a", end=b"\xff"),
    "tiny compressed messages": lambda n: encode_frame(Frame(Opcode.TEXT, compressed(b"aaaa"), rsv1=True), MASK) * n,
}


def connection() -> protocol.Connection:
    return protocol.Connection(
        max_message_size=HUGE,
        max_fragments=HUGE,
        deflate=Deflate(DeflateOptions(client_no_context_takeover=True), client=False),
    )


def receive_whole(data: bytes) -> None:
    one = connection()
    one.receive(data)
    one.data_to_send()


def receive_in_pieces(data: bytes, size: int) -> None:
    one = connection()
    for start in range(0, len(data), size):
        one.receive(data[start : start + size])
        one.data_to_send()


def receive_in_batches(data: bytes) -> None:
    """What a server does: a budget, and on with what was left."""
    one = connection()
    one.receive(data, 1, 16)
    while one.undecoded:
        one.receive(b"", 1, 16)


def receive_discarding(data: bytes) -> None:
    one = connection()
    one.discard_messages()
    one.receive(data)


for name, make in STREAMS.items():
    row(protocol.Connection, name, make, receive_whole)
    row(protocol.Connection, f"{name}, byte by byte", make, lambda data: receive_in_pieces(data, 1), 1)
    row(protocol.Connection, f"{name}, in batches", make, receive_in_batches)
    row(protocol.Connection, f"{name}, discarded", make, receive_discarding)
    row(
        frames.FrameParser,
        name,
        make,
        lambda data: list(frames.FrameParser(masked=True, max_size=HUGE, rsv1=True).feed(data)),
    )
row(
    protocol.Connection,
    "a long text, byte by byte",
    STREAMS["a long text"],
    lambda data: receive_in_pieces(data, 1),
    4 * DRIP,
)
each(frames.apply_mask, lambda payload: frames.apply_mask(payload, MASK, 1), {"a long payload": bytes})
each(frames.cut_reason, frames.cut_reason, {"a long text": lambda n: "ü" * n})

# Engine.IO and Socket.IO

each(
    engineio.decode_packet,
    engineio.decode_packet,
    {
        "Base64 with an error at the end": lambda n: "b" + "QUJD" * n + "!",
        "Base64 with an error at the beginning": lambda n: "b" + "!" + "QUJD" * n,
        "padding": lambda n: "b" + "=" * n,
        "newlines in Base64": lambda n: "b" + "\n" * n,
        "other scripts": lambda n: "b" + "😀" * n,
        "a long message": lambda n: "4" + "a" * n,
        "bytes": bytes,
    },
)
each(
    engineio.decode_payload,
    engineio.decode_payload,
    {
        "separators": lambda n: "\x1e" * n,
        "packets and separators": lambda n: "6" + "\x1e6" * n,
        "an error at the end": lambda n: "4a\x1e" * n,
        "Base64": lambda n: "bQQ==\x1e" * n,
    },
)
JSONS: dict[str, Callable[[int], str]] = {
    "digits": lambda n: f'["a",{"9" * n}]',
    "numbers of 4,300 digits": lambda n: f'["a"{("," + "9" * 4300) * (n // 4300 + 1)}]',
    "digits behind the point": lambda n: f'["a",0.{"1" * n}]',
    "digits between two floats": lambda n: f'["a",1.00000000000000011102230246251565404{"0" * n}1]',
    "a number and its exponent": lambda n: f'["a",{"1" * n}e-{n}]',
    "a long exponent": lambda n: f'["a",1e{"9" * n}]',
    "small numbers": lambda n: f'["a"{",1.5" * n}]',
    "brackets": lambda n: "[" * n,
    "nested brackets": lambda n: "[" * n + "]" * n,
    "nested objects": lambda n: '["a",' + '{"a":' * n,
    "brackets side by side": lambda n: f'["a"{",[]" * n}]',
    "nested to the limit, side by side": lambda n: f'["a"{("," + "[" * 150 + "]" * 150) * (n // 150 + 1)}]',
    "backslashes": lambda n: '["' + "\\" * n,
    "escaped backslashes": lambda n: f'["{chr(92) * 2 * n}"]',
    "escaped quotes": lambda n: '["' + '\\"' * n,
    "quotes": lambda n: "[" + '"' * n,
    "surrogates": lambda n: (
        f'["{chr(92)}ud83d{chr(92)}ude00"{("," + chr(34) + chr(92) + "ud83d" + chr(92) + "ude00" + chr(34)) * n}]'
    ),
    "half a surrogate at the end": lambda n: f'["{"a" * n}{chr(92)}ud83d"]',
    "escapes that are cut": lambda n: '["' + "\\u12" * n,
    "blanks": lambda n: "[" + " " * n,
    "blanks behind the end": lambda n: '["a"]' + " \n" * n + "x",
    "equal keys": lambda n: '["a",{' + '"k":1,' * n + '"k":1}]',
    "keys": lambda n: '["a",{' + ",".join(f'"{number}":1' for number in range(n)) + "}]",
    "other scripts": lambda n: f'["{"😀" * n}"]',
    "placeholders": lambda n: '["a"' + ',{"_placeholder":true,"num":0}' * n + "]",
    "one array per element": lambda n: '["a"' + ",[1]" * n + "]",
}
each(
    engineio.Handshake,
    engineio.Handshake.decode,
    {
        **JSONS,
        "many upgrades": lambda n: json.dumps({"sid": "s", "upgrades": ["w"] * n, "pingInterval": 1, "pingTimeout": 1}),
        "a long sid": lambda n: json.dumps({"sid": "s" * n, "upgrades": 1}),
        "a list as the sid": lambda n: json.dumps({"sid": [1] * n}),
    },
)
TEXT_PACKETS: dict[str, Callable[[int], str]] = {
    **{f"an event, {name}": lambda n, make=make: "2" + make(n) for name, make in JSONS.items()},
    **{f"an event with an attachment, {name}": lambda n, make=make: "51-" + make(n) for name, make in JSONS.items()},
    "a long namespace": lambda n: "2/" + "a" * n,
    "a namespace of slashes": lambda n: "2" + "/" * n,
    "digits for the id": lambda n: "2" + "1" * n,
    "digits for the attachments": lambda n: "5" + "1" * n,
    "hyphens": lambda n: "5" + "-" * n,
    "commas": lambda n: "2/" + "," * n,
    "as many placeholders as announced": lambda n: (
        f'5{n}-["a",' + ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(n)) + "]"
    ),
}


def attachments(n: int) -> list[str | bytes]:
    return [TEXT_PACKETS["as many placeholders as announced"](n), *[b"x"] * n]


def decode_all(texts: list[str | bytes]) -> None:
    decoder = socketio.Decoder(max_attachments=HUGE)
    for text in texts:
        decoder.add(text)


each(socketio.Decoder, lambda text: socketio.Decoder(max_attachments=HUGE).add(text), TEXT_PACKETS)
each(socketio.Decoder, decode_all, {"attachments": attachments})
each(socketio.namespace_of, socketio.namespace_of, TEXT_PACKETS)


def nested(n: int) -> list[Any]:
    inner: list[Any] = []
    for _ in range(n):
        inner = [inner]
    return inner


def bushy(n: int) -> list[Any]:
    """As deep as data may be, again and again."""
    return ["a", *(nested(150) for _ in range(n // 150 + 1))]


DATA: dict[str, Callable[[int], Any]] = {
    "many elements": lambda n: ["a", *range(n)],
    "many lists": lambda n: ["a", *([] for _ in range(n))],
    "many objects": lambda n: ["a", *({"k": number} for number in range(n))],
    "deep lists side by side": bushy,
    "a long text": lambda n: ["a", "ü" * n],
    "many bytes": lambda n: ["a", bytes(n)],
}
each(socketio.from_fields, lambda data: socketio.from_fields({"type": 2, "nsp": "/", "data": data}), DATA)
row(socketio.from_fields, "nested", nested, lambda data: socketio.from_fields({"type": 2, "nsp": "/", "data": data}))
each(socketio_packets.refuse_depth, socketio_packets.refuse_depth, DATA)
row(socketio_packets.refuse_depth, "nested", nested, socketio_packets.refuse_depth)
each(socketio_packets.check, lambda data: socketio.check(socketio.Packet(socketio.PacketType.EVENT, "/", data)), DATA)
each(socketio_packets.say, socketio_packets.say, DATA)
each(
    socketio_packets.show,
    socketio_packets.show,
    {**DATA, "text": lambda n: "ü" * n, "bytes": bytes, "a tuple": lambda n: (0, bytes(n))},
)
each(socketio.Packet, lambda data: str(socketio.Packet(socketio.PacketType.EVENT, "/", data)), DATA)

NO_PARSERS = {
    "BinaryMessage": "a value",
    "Closed": "a value",
    "Ping": "a value",
    "Pong": "a value",
    "TextMessage": "a value",
    "DeflateOptions": "what we want, and no peer",
    "EnginePacket": "a value",
    "Frame": "a value that shows 40 bytes",
    "Response": "a value",
    "Upgrade": "a value",
    "encode": "writes what we say",
    "encode_frame": "writes what we say",
    "encode_packet": "writes what we say",
    "encode_payload": "writes what we say",
    "upgrade_request": "writes what we say",
    "MessageAssembler": "stands behind Connection, whose rows are its own",
    "memory_of": "asks Python for a size",
    "not_utf8": "shows four bytes",
    "too_deep": "makes an error",
}
"""What is public and reads nothing that a peer has written, and why."""


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.iter_modules(rtlab.wire.__path__):
        yield importlib.import_module(f"rtlab.wire.{found.name}")


def public() -> dict[str, object]:
    """The functions and classes in the `__all__` of each module, without enumerations."""
    found = {name: getattr(module, name) for module in modules() for name in module.__all__}
    return {
        name: each
        for name, each in found.items()
        if inspect.isfunction(each) or (inspect.isclass(each) and not issubclass(each, enum.Enum))
    }


def test_every_public_parser_has_rows():
    without = {name for name, each in public().items() if each not in ROWS and name not in NO_PARSERS}
    assert without == set(), "add rows for them, or say why they are no parsers"
    assert {name for name in NO_PARSERS if name not in public()} == set(), "gone: take them out of NO_PARSERS"


MEASURED = [name for name, each in public().items() if each in ROWS]


@pytest.mark.parametrize("name", quick(MEASURED, set(MEASURED) - {"Connection", "accept_upgrade"}))
def test_twice_the_input_takes_twice_the_time(name):
    slow = {}
    for case, (make, work, at_least) in ROWS[public()[name]].items():
        ratio = doubling(make, work, at_least)
        if ratio >= LINEAR:
            slow[case] = f"{ratio:.1f}"
    assert slow == {}


# Patterns

BEFORE = [
    "",
    "a",
    "a:",
    "GET ",
    "GET / HTTP/1.1",
    "HTTP/1.1 200 ",
    "2",
    "2/",
    "51-",
    ";a=",
    ';a="',
    '"',
    "\\u",
    "http://",
    "[",
    "h:",
]
AGAIN = [
    " ",
    "\t",
    ",",
    ";",
    "a",
    "0",
    '"',
    "\\",
    '\\"',
    "[",
    "/",
    "-",
    "=",
    ":",
    "%",
    "%41",
    ".",
    "a=",
    "; a",
    ", a",
    ";a=b ",
    ';a="b"',
    "\r\n",
    "ü",
    "b a",
    "1-",
]
AFTER = ["", "\x00", "\n", "!", '"', ","]


def patterns() -> dict[str, re.Pattern[str]]:
    return {
        f"{module.__name__}.{name}": each
        for module in modules()
        for name, each in vars(module).items()
        if isinstance(each, re.Pattern)
    }


@pytest.mark.parametrize("name", patterns())
def test_a_pattern_takes_time_as_its_input_grows(name):
    """Whatever is repeated, whatever stands before and after it: what takes longest of all that is tried is doubled."""
    pattern = patterns()[name]
    tried = []
    for parts in itertools.product(BEFORE, AGAIN, AFTER):
        text = parts[0] + parts[1] * 100 + parts[2]
        for way in (pattern.match, pattern.fullmatch, pattern.search):
            if way == pattern.search and "search" not in USES[name]:
                continue
            begin = time.thread_time()
            way(text)
            tried.append((time.thread_time() - begin, parts, way))
    tried.sort(key=lambda one: one[0], reverse=True)
    for _, (before, again, after), way in tried[:3]:
        ratio = doubling(lambda n, b=before, a=again, c=after: b + a * n + c, way)
        assert ratio < LINEAR, f"{way.__name__} of {before!r} + {again!r} * n + {after!r}"


def uses() -> dict[str, set[str]]:
    """For each pattern, the methods of it that its own module calls."""
    used: dict[str, set[str]] = {name: set() for name in patterns()}
    for module in modules():
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                used.get(f"{module.__name__}.{node.value.id}", set()).add(node.attr)
    return used


USES = uses()


def test_every_pattern_is_compiled_where_it_is_found():
    """One inside a function would escape the test above."""
    inside = []
    for module in modules():
        assert module.__file__ is not None
        for node in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                of = node.func.value
                if isinstance(of, ast.Name) and of.id == "re" and node.func.attr not in {"compile", "escape"}:
                    inside.append(f"{module.__name__}:{node.lineno}")
    assert inside == []


def test_a_slow_one_is_found(monkeypatch):
    """The measurement itself: a pattern that tries every division of a row of blanks, and one that does not.

    What is slow costs a fifth of the time that it costs elsewhere: its ratio shows at any size, best at large ones.
    """
    for name in ("TOO_LONG_S", "MUCH_TOO_LONG_S", "PAUSE_S"):
        monkeypatch.setattr(growth, name, getattr(growth, name) / 5)
    blanks: Callable[[int], str] = lambda n: " " * n + "\0"  # noqa: E731
    assert doubling(blanks, re.compile(r"[ ]*[^\0]*?[ ]*").fullmatch, at_least=64) > LINEAR
    assert doubling(blanks, re.compile(r"[^\0]*").fullmatch) < LINEAR
    assert sys.getrecursionlimit() < 10_000, "the depth of what is parsed here is held by the parsers themselves"
