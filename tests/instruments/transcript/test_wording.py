"""One line for people."""

import pytest

from rtlab.instruments.transcript import wording
from rtlab.instruments.transcript.wording import (
    LINE,
    SCANNED,
    describe_body,
    describe_fields,
    describe_frame,
    describe_head,
    describe_raw,
    printable,
    quote,
    shorten,
)
from rtlab.wire.frames import Frame, Opcode
from rtlab.wire.handshake import Headers, Request, Response


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        ("hello", "'hello'"),
        ('{"a": "b"}', """'{"a": "b"}'"""),
        ("it's\n\x1b", '"it\'s\\n\\x1b"'),
        (b"GET\r\n", "'GET\\r\\n'"),
        ("hellö".encode(), "'hellö'"),
        (b"\x00\x01", "00 01"),
        (b"abc\xff", "61 62 63 ff"),
        (bytes(13), "00 " * 12 + "…"),
        (b"", "''"),
        ("é".encode() * SCANNED, repr("é" * (SCANNED // 2))),
        (b"a" + "é".encode() * SCANNED, repr("a" + "é" * (SCANNED // 2 - 1))),
    ],
)
def test_quote(data, shown):
    assert quote(data) == shown


def test_printable():
    assert printable("plain → text") == "plain → text"
    assert printable("a\x1b[2J\u202eb\n") == "a\\x1b[2J\\u202eb\\n"


def test_shorten():
    assert shorten("x" * LINE) == "x" * LINE
    assert shorten("x" * (LINE + 1)) == "x" * (LINE - 1) + "…"


def test_heads():
    headers = Headers(
        [("Host", "x"), ("Date", "today"), ("Upgrade", "websocket"), ("sec-websocket-KEY", "k"), ("Content-Type", "a")]
    )
    assert describe_head(Request("/a?b", headers)) == "GET /a?b"
    assert describe_head(Response(404, headers, reason="Not Found")) == "404 Not Found"
    assert describe_head(Response(299, headers)) == "299"
    assert describe_fields(headers, handshake=True) == ["Upgrade: websocket", "sec-websocket-KEY: k"]
    assert describe_fields(headers, handshake=False) == ["Upgrade: websocket", "Content-Type: a"]


@pytest.mark.parametrize(
    ("frame", "content", "message", "shown"),
    [
        (Frame(Opcode.TEXT, b"hi"), "hi", None, "TEXT 'hi'"),
        (Frame(Opcode.TEXT), "", None, "TEXT ''"),
        (Frame(Opcode.TEXT, b"..", rsv1=True), "hi", None, "TEXT, compressed, 'hi'"),
        (Frame(Opcode.TEXT, b"h", fin=False), "h", None, "TEXT, the first part, 'h'"),
        (Frame(Opcode.CONTINUATION, b"i", fin=False), "i", None, "CONTINUATION, more to come, 'i'"),
        (Frame(Opcode.CONTINUATION, b"!"), "!", "hi!", "CONTINUATION, the last part, '!', the whole: 'hi!'"),
        (Frame(Opcode.BINARY, b"\x01"), b"\x01", None, "BINARY 01"),
        (Frame(Opcode.BINARY, bytes(3000)), bytes(3000), None, "BINARY, 3,000 bytes: " + "00 " * 12 + "…"),
        (Frame(Opcode.PING), b"", None, "PING"),
        (Frame(Opcode.PONG, b"hello"), b"hello", None, "PONG 'hello'"),
        (Frame(Opcode.PING, b"abcd"), b"abcd", None, "PING, 4 bytes: 61 62 63 64"),
        (Frame(Opcode.CLOSE), b"", None, "CLOSE without a code"),
        (Frame(Opcode.CLOSE, b"\x03"), b"", None, "CLOSE: 03"),
        (Frame(Opcode.CLOSE, b"\x03\xe8"), b"", None, "CLOSE 1000"),
        (Frame(Opcode.CLOSE, b"\x0f\xa0bye"), b"", None, "CLOSE 4000 'bye'"),
    ],
)
def test_frames(frame, content, message, shown):
    assert describe_frame(frame, content, message) == shown


def test_the_size_is_said_where_the_data_is_cut():
    long = "x" * 70
    assert describe_frame(Frame(Opcode.TEXT, long.encode()), long, None) == f"TEXT, 70 bytes: '{long}'"
    assert describe_body("{}", 2) == "body '{}'"
    assert describe_body(long, 5000) == f"body, 5,000 bytes: '{long}'"
    assert describe_raw(b"x", 1) == "1 byte: 'x'"
    assert describe_raw(b"xyz", 12_345) == "12,345 bytes: 'xyz'"


def test_all_that_is_public_is_there():
    assert all(hasattr(wording, name) for name in wording.__all__)
