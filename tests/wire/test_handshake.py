"""The opening handshake: golden messages, every refusal, and nothing but the documented exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import HandshakeError
from rtlab.wire.deflate import DeflateOptions
from rtlab.wire.handshake import (
    HEADER_BYTES,
    HEADER_LINES,
    HeadBuffer,
    Headers,
    Request,
    Response,
    accept_key,
    accept_upgrade,
    check_response,
    parse_request,
    parse_response,
    upgrade_request,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="  # RFC 6455 §1.3
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
GOOD = {
    "Host": "server.example.com",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}
GOLDEN = (
    b"GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


def request(*, method="GET", version="1.1", **changes) -> Request:
    """A good request with some fields changed (None leaves one out); underscores stand for hyphens."""
    fields = GOOD | {name.replace("_", "-"): value for name, value in changes.items()}
    return Request(
        "/chat", Headers((name, value) for name, value in fields.items() if value is not None), method, version
    )


def test_the_key_of_the_rfc():
    assert accept_key(KEY) == ACCEPT


def test_golden():
    assert bytes(upgrade_request("server.example.com", "/chat", KEY)) == GOLDEN
    assert parse_request(GOLDEN + b"\x81\x00") == (request(), b"\x81\x00")
    upgrade = accept_upgrade(request())
    assert bytes(upgrade.response) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    response, rest = parse_response(bytes(upgrade.response) + b"rest")
    assert rest == b"rest"
    assert check_response(response, KEY).subprotocol is None


def test_byte_by_byte():
    for size in range(len(GOLDEN)):
        assert parse_request(GOLDEN[:size]) is None


@pytest.mark.parametrize(
    "good",
    [
        request(Upgrade="WebSocket"),
        request(Upgrade="h2c, websocket"),
        request(Connection="keep-alive, Upgrade"),
        request(connection="x", Connection="UPGRADE"),
        request(Origin="https://friend.example"),
    ],
)
def test_what_is_accepted(good):
    assert accept_upgrade(good, origins={"https://friend.example"}).response.status == 101


@pytest.mark.parametrize(
    ("bad", "status", "said", "header"),
    [
        (request(method="POST"), 405, "method GET, got POST", ("Allow", "GET")),
        (request(version="1.0"), 400, "got HTTP/1.0", None),
        (request(Host=None), 400, "one Host", None),
        (request(Upgrade=None), 426, "Upgrade: websocket", ("Upgrade", "websocket")),
        (request(Upgrade="h2c"), 426, "Upgrade: websocket", ("Upgrade", "websocket")),
        (request(Connection=None), 400, "Connection: Upgrade", None),
        (request(Connection="keep-alive"), 400, "Connection: Upgrade", None),
        (request(Sec_WebSocket_Version=None), 426, "got none", ("Sec-WebSocket-Version", "13")),
        (request(Sec_WebSocket_Version="8"), 426, "got 8", ("Sec-WebSocket-Version", "13")),
        (request(Sec_WebSocket_Key=None), 400, "one Sec-WebSocket-Key, got 0", None),
        (request(Sec_WebSocket_Key="short"), 400, "16 bytes in Base64", None),
        (request(Sec_WebSocket_Key="c2hvcnQ="), 400, "16 bytes in Base64", None),
        (request(Sec_WebSocket_Key="!" * 24), 400, "16 bytes in Base64", None),
        (request(Origin="https://evil.example"), 403, "may not connect", None),
        (request(Origin="https://friend.example.evil.example"), 403, "may not connect", None),
        (request(Origin="null"), 403, "may not connect", None),
        (request(Sec_WebSocket_Extensions="a b"), 400, "a b", None),
    ],
)
def test_what_is_refused(bad, status, said, header):
    with pytest.raises(HandshakeError, match=said) as caught:
        accept_upgrade(bad, origins={"https://friend.example"})
    assert caught.value.status == status
    assert header is None or header in caught.value.headers


@pytest.mark.parametrize(
    "host",
    [
        "h",
        "h:80",
        "h:",
        "a.example.com.",
        "my_service:8000",
        "127.0.0.1:65535",
        "[::1]:8000",
        "[2001:db8::1]",
        "xn--bcher-kva.example",
        "a%20b",
    ],
)
def test_what_is_a_host(host):
    assert accept_upgrade(request(Host=host)).response.status == 101


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "user@h",
        "user:secret@h",
        "a b",
        "a,b",
        "h, h",
        "h/",
        "h/path",
        "h?q",
        "h#f",
        "http://h",
        "h:port",
        "h:80:80",
        "h:65536",
        "h:123456",
        "[::1",
        "::1",
        "[]",
        "[::1]x",
        "[fe80::1%25eth0]",
        "a%2",
        "a%zz",
        "h\t",
        "bücher.example",
        '"h"',
        "<h>",
        "h\\",
    ],
)
def test_what_is_no_host(host):
    with pytest.raises(HandshakeError, match="Host") as caught:
        accept_upgrade(request(Host=host))
    assert (caught.value.status, caught.value.rule) == (400, "RFC 9112 §3.2")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("/a?b=/c", "/a"),
        ("//a", "//a"),
        ("/http://h", "/http://h"),
        ("http://h", "/"),
        ("http://h/", "/"),
        ("HTTPS://h:1/a?b", "/a"),
        ("http://h?b", "/"),
    ],
)
def test_what_is_a_target(target, path):
    asked = Request(target, request().headers)
    assert accept_upgrade(asked).response.status == 101
    assert asked.path == path


@pytest.mark.parametrize(
    "target",
    [
        "*",
        "chat",
        "h:80",
        "?q",
        "/a#b",
        "#",
        "http:///",
        "http://",
        "http://a@b/",
        "http://a,b/",
        "ws://h/",
        "ftp://h/",
        "http:/h",
        "http://h:99999/",
        "http://h/#f",
    ],
)
def test_what_is_no_target(target):
    with pytest.raises(HandshakeError, match="as the target") as caught:
        accept_upgrade(Request(target, request().headers))
    assert (caught.value.status, caught.value.rule) == (400, "RFC 9112 §3.2")


@pytest.mark.parametrize(
    ("fields", "said", "rule"),
    [
        ([("Content-Length", "1")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "00010")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "0"), ("content-length", "0")], "one Content-Length at most, got 2", "RFC 9112 §6.3"),
        ([("Content-Length", "0"), ("Content-Length", "5")], "one Content-Length at most, got 2", "RFC 9112 §6.3"),
        ([("Content-Length", "0, 0")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "-0")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "+0")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "0x0")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "\u0660")], "no body", "RFC 9112 §6.3"),
        ([("Content-Length", "9" * 5000)], "no body", "RFC 9112 §6.3"),
        ([("Transfer-Encoding", "chunked")], "got a Transfer-Encoding", "RFC 9112 §6.3"),
        ([("Transfer-Encoding", "identity")], "got a Transfer-Encoding", "RFC 9112 §6.3"),
        ([("Transfer-Encoding", "")], "got a Transfer-Encoding", "RFC 9112 §6.3"),
        ([("Transfer-Encoding", "chunked"), ("Content-Length", "0")], "got a Transfer-Encoding", "RFC 9112 §6.3"),
        ([("host", "h")], "one Host field, got 2", "RFC 9112 §3.2"),
        ([("Sec-WebSocket-Version", "13")], "one Sec-WebSocket-Version, got 2", "RFC 6455 §11.3.5"),
        ([("Sec-WebSocket-Version", "8")], "one Sec-WebSocket-Version, got 2", "RFC 6455 §11.3.5"),
        ([("Sec-WebSocket-Key", KEY)], "one Sec-WebSocket-Key, got 2", "RFC 6455 §4.2.1"),
        ([("Origin", "https://a.example"), ("Origin", "https://a.example")], "one Origin", "RFC 6454 §7.3"),
    ],
)
def test_what_would_be_read_in_two_ways_is_refused(fields, said, rule):
    with pytest.raises(HandshakeError, match=said) as caught:
        accept_upgrade(Request("/", Headers([*request().headers, *fields])))
    assert (caught.value.status, caught.value.rule) == (400, rule)


@pytest.mark.parametrize("length", ["0", "000"])
def test_a_body_of_nothing_is_none(length):
    assert accept_upgrade(request(Content_Length=length)).response.status == 101


def test_a_head_byte_by_byte():
    for whole in (GOLDEN, GOLDEN + b"\x81\x00\r\n\r\n"):
        for size in (1, 2, 3, 7, len(whole)):
            buffer = HeadBuffer()
            parts = [whole[start : start + size] for start in range(0, len(whole), size)]
            given = [buffer.add(part) for part in parts]
            first = next(number for number, each in enumerate(given) if each is not None)
            assert given[first] == whole[: (first + 1) * size]
            assert (first + 1) * size >= len(GOLDEN)
            assert first * size < len(GOLDEN), "no sooner and no later"


@pytest.mark.parametrize("size", [1, 5, 1 << 20])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"A" * (HEADER_BYTES + 5), "bytes of header"),
        (b"A" * (HEADER_BYTES + 1) + b"\r\n\r\n", "bytes of header"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (HEADER_LINES + 1), "lines of header"),
    ],
)
def test_a_head_that_is_too_long_is_kept_no_longer(size, data, said):
    buffer = HeadBuffer()

    def add_all():
        for start in range(0, len(data), size):
            buffer.add(data[start : start + size])

    with pytest.raises(HandshakeError, match=said) as caught:
        add_all()
    assert caught.value.status == 431
    assert not buffer._arrived


def test_a_missing_origin_passes():
    assert accept_upgrade(request(), origins=set()).response.status == 101


def test_two_keys_are_one_too_many():
    doubled = Request("/", Headers([*request().headers, ("sec-websocket-key", KEY)]))
    with pytest.raises(HandshakeError, match="got 2"):
        accept_upgrade(doubled)


def test_the_clients_order_of_subprotocols_decides():
    wanted = request(Sec_WebSocket_Protocol="v3, v2,v1")
    upgrade = accept_upgrade(wanted, subprotocols=["v1", "v2"])
    assert upgrade.subprotocol == "v2"
    assert upgrade.response.headers.get("Sec-WebSocket-Protocol") == "v2"
    assert accept_upgrade(wanted, subprotocols=["v9"]).subprotocol is None
    assert check_response(upgrade.response, KEY, subprotocols=["v3", "v2"]).subprotocol == "v2"


def test_compression_is_agreed_on():
    offered = upgrade_request("h", "/", KEY, deflate=DeflateOptions(server_max_window_bits=10))
    upgrade = accept_upgrade(offered, deflate=DeflateOptions(client_no_context_takeover=True))
    answered = check_response(upgrade.response, KEY, deflate=DeflateOptions(server_max_window_bits=10))
    assert upgrade.deflate is not None
    assert answered.deflate is not None
    assert upgrade.deflate.options == answered.deflate.options
    assert accept_upgrade(offered).deflate is None


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (Response(200, Headers()), "status 101, got 200"),
        (Response(101, Headers([("Connection", "Upgrade"), ("Sec-WebSocket-Accept", ACCEPT)])), "Upgrade: websocket"),
        (Response(101, Headers([("Upgrade", "websocket"), ("Sec-WebSocket-Accept", ACCEPT)])), "Connection: upgrade"),
        (Response(101, Headers([("Upgrade", "websocket"), ("Connection", "Upgrade")])), "got None"),
        (
            Response(
                101, Headers([("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", "x")])
            ),
            "got x",
        ),
    ],
)
def test_what_a_client_refuses(response, said):
    with pytest.raises(HandshakeError, match=said):
        check_response(response, KEY)


def test_what_a_client_did_not_offer():
    good = accept_upgrade(request(Sec_WebSocket_Protocol="chat"), subprotocols=["chat"]).response
    with pytest.raises(HandshakeError, match="'chat', which was not offered"):
        check_response(good, KEY)


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (b"GET / HTTP/2.0\r\n\r\n", 505, "got HTTP/2.0"),
        (b"nonsense\r\n\r\n", 400, "request line"),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400, "header field, got 'Host : x'"),
        (b"GET / HTTP/1.1\r\n folded\r\n\r\n", 400, "header field"),
        (b"GET / HTTP/1.1\r\nA: b\x00c\r\n\r\n", 400, "header field"),
        (b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n", 400, "header field, got ' folded'"),
        (b"GET / HTTP/1.1\r\nA: b\rB: c\r\n\r\n", 400, "header field"),
        (b"GET / HTTP/1.1\r\nA: b\nB: c\r\n\r\n", 400, "header field"),
        (b"GET / HTTP/1.1\r\n: b\r\n\r\n", 400, "header field"),
        (b"GET / HTTP/1.1\r\nA\r\n\r\n", 400, "header field"),
        (b"GET / HTTP/1.1\r\n\xc3\xa4: b\r\n\r\n", 400, "header field"),
        (b"GET / HTTP/1.1\nA: b\r\n\r\n", 400, "request line"),
        (b"GET /\x00 HTTP/1.1\r\n\r\n", 400, "request line"),
        (b"GET  / HTTP/1.1\r\n\r\n", 400, "request line"),
        (b"GET /a b HTTP/1.1\r\n\r\n", 400, "request line"),
        (b"\x16\x03\x01\x02\x00" + b"\r\n\r\n", 400, "request line"),  # TLS on a plain port
        (b"A" * (HEADER_BYTES + 1), 431, "bytes of header"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (HEADER_LINES + 1) + b"\r\n", 431, "lines of header"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (HEADER_LINES + 1), 431, "lines of header"),
    ],
)
def test_what_is_no_request(data, status, said):
    with pytest.raises(HandshakeError, match=said) as caught:
        parse_request(data)
    assert caught.value.status == status


@pytest.mark.parametrize("value", ["", "b", "b c", "b \t c", "\xa0b\xa0", "b:c"])
def test_blanks_around_a_value_are_no_part_of_it(value):
    (request_, _) = parse_request(f"GET / HTTP/1.1\r\nA: \t {value} \t\r\n\r\n".encode("latin-1"))
    assert request_.headers == Headers([("A", value)])


@given(st.binary(max_size=200))
def test_whatever_comes_only_the_documented_error(data):
    for parse in (parse_request, parse_response):
        try:
            parse(data)
            parse(data + b"\r\n\r\n")
        except HandshakeError as error:
            assert error.status in {400, 431, 505}  # noqa: PT017


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "Origin", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"]), st.text(max_size=30)
    )
)
def test_whatever_is_asked_only_the_documented_error(changes):
    fields = Headers((GOOD | changes).items())
    try:
        upgrade = accept_upgrade(Request("/", fields), origins=set(), subprotocols=["a"], deflate=DeflateOptions())
    except HandshakeError as error:
        assert 400 <= error.status < 500  # noqa: PT017
    else:
        assert upgrade.response.status == 101


@given(
    st.text("abcXYZ-_/?=&%~", min_size=1),
    st.dictionaries(st.from_regex(r"X-[a-z]{1,5}", fullmatch=True), st.from_regex(r"[!-~]{0,9}", fullmatch=True)),
)
def test_round_trip(target, fields):
    sent = Request(target, Headers(fields.items()))
    assert parse_request(bytes(sent)) == (sent, b"")
