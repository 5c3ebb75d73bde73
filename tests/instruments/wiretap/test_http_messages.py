"""HTTP messages of one direction: every body framing, however it is cut; every byte comes out once."""

import gzip
import zlib

import pytest
from growth import LINEAR, doubling
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import HandshakeError
from rtlab.instruments.wiretap import http_messages
from rtlab.instruments.wiretap.http_messages import BODY_BYTES, HttpMessage, HttpReader, StreamEvent, decompress


def read(data: bytes, cut: int = 0, methods: list[str] | None = None):
    """What comes out, the reader, and all raw bytes. `methods` makes it a reader of responses to those."""
    answered = iter(methods or [])
    reader = HttpReader() if methods is None else HttpReader(lambda: next(answered))
    found = []
    for start in range(0, len(data), cut or len(data)):
        found += reader.feed(data[start : start + (cut or len(data))])
    return found, reader


def response(*fields: str, body: bytes = b"", status: str = "200 OK") -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode() + body


CHUNKED = response("Transfer-Encoding: chunked", body=b"3;a=b\r\nabc\r\nB\r\nhello world\r\n0\r\nTrailer: x\r\n\r\n")
CASES = {
    "length": (response("Content-Length: 5", body=b"hello"), ["GET"], [b"hello"]),
    "no body": (response("Content-Length: 0"), ["GET"], [b""]),
    "chunked": (CHUNKED, ["GET"], [b"abchello world"]),
    "chunked wins over a length": (
        response("Content-Length: 3", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n0\r\n\r\n"),
        ["GET"],
        [b"x"],
    ),
    "head has no body": (response("Content-Length: 5") + CHUNKED, ["HEAD", "GET"], [b"", b"abchello world"]),
    "204": (response(status="204 No Content") + CHUNKED, ["POST", "GET"], [b"", b"abchello world"]),
    "304": (response("Content-Length: 5", status="304 Not Modified"), ["GET"], [b""]),
    "interim": (response(status="100 Continue") + response("Content-Length: 1", body=b"x"), ["POST"], [b"", b"x"]),
    "repeated length": (response("Content-Length: 2, 2", body=b"ok"), ["GET"], [b"ok"]),
    "keep-alive": (response("Content-Length: 1", body=b"x") * 3, ["GET"] * 3, [b"x"] * 3),
}  # fmt: skip


@pytest.mark.parametrize("cut", [0, 1, 3])
@pytest.mark.parametrize("name", CASES)
def test_responses(name, cut):
    data, methods, bodies = CASES[name]
    found, reader = read(data, cut, methods)
    assert [message.body for message in found] == bodies
    assert [message.body_size for message in found] == [len(body) for body in bodies]
    assert b"".join(message.raw for message in found) == data
    assert sum(message.size for message in found) == len(data)
    assert reader.expecting == ""
    assert reader.unfinished == b""


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_requests(cut):
    data = (
        b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n\r\nPOST /b HTTP/1.1\r\nContent-Length: 2\r\n\r\nokPUT /c HTTP/1.0\r\n\r\n"
    )
    found, _ = read(data, cut)
    assert [(message.head.method, message.head.target, message.body) for message in found] == [
        ("GET", "/a", b""),
        ("POST", "/b", b"ok"),
        ("PUT", "/c", b""),
    ]
    assert b"".join(message.raw for message in found) == data, "an empty line between requests is allowed"


def test_a_body_that_goes_to_the_end():
    found, reader = read(response(body=b"all of "), methods=["GET"])
    assert not found
    assert reader.expecting == "", "it may end here"
    assert not list(reader.feed(b"this"))
    assert reader.end().body == b"all of this"
    assert reader.end() is None


@pytest.mark.parametrize("cut", [0, 1, 5])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_event_stream(cut, newline):
    events = "data: 1\n\nid: 7\ndata: a\ndata: b\n\n".replace("\n", newline).encode()
    chunks = b"".join(
        f"{len(events[i : i + 9]):x}\r\n".encode() + events[i : i + 9] + b"\r\n" for i in range(0, len(events), 9)
    )
    data = response("Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked", body=chunks)
    found, reader = read(data, cut, ["GET", "GET"])
    assert isinstance(found[0], HttpMessage)
    assert found[0].streaming
    lines = [event.data.replace(newline.encode(), b"|") for event in found[1:]]
    assert lines == [b"data: 1", b"id: 7|data: a|data: b"]
    assert reader.expecting == "the rest of an event stream"
    rest = b"0\r\n\r\n" + response("Content-Length: 1", body=b"x")
    more = list(reader.feed(rest))
    assert isinstance(more[0], StreamEvent)
    assert more[0].data is None
    assert more[1].body == b"x"
    assert b"".join(each.raw for each in [*found, *more]) == data + rest


def test_an_event_that_never_ends():
    reader = HttpReader(lambda: "GET")
    found = list(reader.feed(response("Content-Type: text/event-stream", body=b"x" * (BODY_BYTES + 1))))
    assert [type(each) for each in found] == [HttpMessage, StreamEvent]
    assert len(found[1].data) == BODY_BYTES
    assert reader.expecting == ""


@pytest.mark.parametrize(
    ("data", "methods"),
    [
        (b"hello\n", None),
        (b"\x16\x03\x01", None),
        (b"*1\r\n", None),
        (b"GET /\r\n", None),
        (b"GET / HTTP/2.0\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * http_messages.HEAD_BYTES, None),
        (b"HELLO", ["GET"]),
        (b"HTTP/1.1 abc\r\n", ["GET"]),
        (response("Transfer-Encoding: chunked", body=b"x\r\n"), ["GET"]),
        (response("Transfer-Encoding: chunked", body=b"1\r\nabc"), ["GET"]),
        (response("Transfer-Encoding: chunked", body=b"1" * 5000), ["GET"]),
        (response("Transfer-Encoding: chunked", body=b"0\r\n" + b"x" * http_messages.HEAD_BYTES), ["GET"]),
    ],
)
def test_no_http(data, methods):
    for cut in (0, 1) if len(data) < 10_000 else (0, 1000):
        with pytest.raises(HandshakeError):
            read(data, cut, methods)


@pytest.mark.parametrize(
    ("data", "expecting"),
    [
        (b"GET / HT", "the rest of an HTTP head"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", "the rest of an HTTP head"),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nab", "the rest of an HTTP body"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", "the rest of an HTTP body"),
        (b"", ""),
    ],
)
def test_unfinished(data, expecting):
    _, reader = read(data + b"" if data else b"", 1) if data else ([], HttpReader())
    assert reader.expecting == expecting
    assert reader.unfinished == data
    assert reader.unfinished_size == len(data)


def test_a_long_body_is_counted_and_its_beginning_kept():
    body = bytes(range(256)) * (2 * BODY_BYTES // 256)
    data = response(f"Content-Length: {len(body)}", body=body)
    (message,), _ = read(data, 60_000, ["GET"])
    assert (message.body, message.body_size) == (body[:BODY_BYTES], len(body))
    assert data.startswith(message.raw)
    assert message.size == len(data)


def test_what_follows_can_be_taken():
    reader = HttpReader()
    for message in reader.feed(b"GET / HTTP/1.1\r\n\r\n\x81\x00"):
        assert message.head.target == "/"
        assert reader.take_rest() == b"\x81\x00"
    assert reader.unfinished == b""


@pytest.mark.parametrize(
    ("encoding", "encoded"),
    [
        (None, b"hello"),
        ("identity", b"hello"),
        ("gzip", gzip.compress(b"hello", mtime=0)),
        ("X-GZIP", gzip.compress(b"hello", mtime=0)),
        ("deflate", zlib.compress(b"hello")),
        ("deflate", zlib.compress(b"hello", wbits=-15)),
        ("deflate, gzip", gzip.compress(zlib.compress(b"hello"), mtime=0)),
    ],
)
def test_decompress(encoding, encoded):
    assert decompress(encoded, encoding) == (b"hello", "")


def test_what_cannot_be_decompressed():
    assert decompress(b"hello", "br") == (b"hello", "the coding br is not decoded here")
    body, problem = decompress(b"hello", "gzip")
    assert body == b"hello"
    assert problem.startswith("expected the coding gzip: ")
    assert decompress(gzip.compress(bytes(10 * BODY_BYTES)), "gzip") == (bytes(BODY_BYTES), ""), "a bomb stops there"


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), min_size=1), st.booleans())
def test_every_byte_comes_out_once(data, cuts, as_response):
    """Whatever it is: the raw bytes of the messages and what is unfinished are what was fed."""
    reader = HttpReader(lambda: "GET") if as_response else HttpReader()
    start = b"HTTP/1.1 200 OK\r\n" if as_response else b"POST / HTTP/1.1\r\n"
    data = start + data
    raw, fed = b"", 0
    try:
        for cut in [*cuts, len(data)]:
            piece, fed = data[fed : fed + cut], min(len(data), fed + cut)
            for message in reader.feed(piece):
                raw += message.raw
    except HandshakeError:
        pass
    assert raw + reader.unfinished == data[:fed]


def drip(data: bytes, response: bool = False) -> None:
    reader = HttpReader((lambda: "GET") if response else None)
    for number in range(len(data)):
        for _ in reader.feed(data[number : number + 1]):
            pass


STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"


@pytest.mark.parametrize(
    ("make", "response"),
    [
        (lambda n: b"GET /" + b"a" * n, False),
        (lambda n: b"GET / HTTP/1.1\r\nA:" + b" " * n, False),
        (lambda n: CHUNKED + b"A: " + b"a" * n, False),
        (lambda n: STREAM + b"data: " + b"a" * n, True),
        (lambda n: STREAM + b"\n\r" * (n // 2), True),
        (lambda n: STREAM + b"a\n\n" * (n // 3), True),
    ],
    ids=["first line", "field", "trailer", "one event", "ends that are none", "events"],
)
def test_byte_by_byte_takes_time_as_the_bytes_grow(make, response, monkeypatch):
    monkeypatch.setattr(
        http_messages, "HEAD_BYTES", 1 << 40
    )  # the limit makes an attack shorter, not the reader faster
    assert doubling(make, lambda data: drip(data, response), 24_000) < LINEAR
