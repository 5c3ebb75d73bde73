"""The opening handshake: golden messages, every refusal, and nothing but the documented exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import HandshakeError
from rtlab.wire.deflate import DeflateOptions
from rtlab.wire.handshake import (
    HEADER_BYTES,
    HEADER_LINES,
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
