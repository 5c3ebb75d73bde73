"""What a connection says, in rows: whatever it is, and however the bytes are cut."""

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.transcript.recording import Recording
from rtlab.instruments.transcript.transcript import Direction, Kind
from rtlab.instruments.wiretap import decoding
from rtlab.instruments.wiretap.decoding import ConnectionDecoder
from rtlab.wire.deflate import Deflate, DeflateOptions
from rtlab.wire.frames import Frame, Opcode, encode_frame
from rtlab.wire.handshake import accept_key

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
EXTENSIONS = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


def ask(extra: str = "") -> bytes:
    return (
        "GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
    ).encode()


def grant(extra: str = "", key: str = KEY) -> bytes:
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accept_key(key)}\r\n{extra}\r\n"
    ).encode()


def up(opcode: Opcode, payload: bytes = b"", **more) -> bytes:
    return encode_frame(Frame(opcode, payload, **more), b"\x01\x02\x03\x04")


def down(opcode: Opcode, payload: bytes = b"", **more) -> bytes:
    return encode_frame(Frame(opcode, payload, **more))


TEXT, PING, CLOSE = Opcode.TEXT, Opcode.PING, Opcode.CLOSE
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"


def decode(*said, cut=0, end=(), meaning=None):
    """The transcript of what was said: pairs of direction and bytes, and who ended TCP."""
    recording = Recording()
    decoder = ConnectionDecoder(1, recording.append, meaning)
    for direction, data in said:
        for start in range(0, len(data), cut or len(data) or 1):
            decoder.receive(direction, data[start : start + (cut or len(data))])
    for direction in end:
        decoder.end(direction)
    return recording.transcript


def shown(transcript):
    return [
        f"{row.direction.arrow} {row.kind}: {row.summary}{' ! ' * bool(row.problem)}{row.problem}" for row in transcript
    ]


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_http(cut):
    found = decode((UP, GET), (DOWN, OK), (UP, GET), (DOWN, OK), cut=cut, end=(UP, DOWN))
    assert shown(found) == ["→ request: GET /a", "← response: 200 OK"] * 2
    assert found[1].details == ("Content-Type: text/plain", "body 'ok'")
    assert found[1].body == "ok"
    assert found[0].body is None
    assert (found[0].raw, found[1].raw) == (GET, OK)


def test_pipelined_requests_and_head():
    head = GET.replace(b"GET", b"HEAD")
    no_body = OK.removesuffix(b"ok")
    found = decode((UP, head + GET + head), (DOWN, no_body + OK + no_body), end=(UP, DOWN))
    assert [row.summary for row in found] == ["HEAD /a", "GET /a", "HEAD /a", "200 OK", "200 OK", "200 OK"]
    assert [row.body for row in found.only(kind="response")] == [None, "ok", None]


def test_bodies():
    packed = gzip.compress(b'{"a": "' + b"x" * 200 + b'"}')
    fields = f"Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    post = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\n\xff\x00\x01"
    found = decode((UP, post), (DOWN, b"HTTP/1.1 200 OK\r\n" + fields + packed))
    assert found[0].body == b"\xff\x00\x01"
    assert found[0].details == ("body ff 00 01",)
    assert found[1].body == '{"a": "' + "x" * 200 + '"}'
    assert found[1].details[0] == "Content-Encoding: gzip"
    assert found[1].details[1].startswith('body, 209 bytes: \'{"a": "xxx')
    broken = decode((UP, GET), (DOWN, b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\n\x8b"))
    assert broken[1].problem == "the coding br is not decoded here"
    assert broken[1].body == b"\x8b"


def test_event_stream():
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    found = decode(
        (UP, GET), (DOWN, head + b"9\r\ndata: 1\n\n\r\n"), (DOWN, b"5\r\n:hi\n\n\r\n0\r\n\r\n"), (UP, GET), (DOWN, OK)
    )
    assert shown(found)[1:5] == [
        "← response: 200 OK, an event stream begins",
        "← event: EVENT '1'",
        "← event: EVENT ':hi'",
        "← event: the event stream ends",
    ]
    assert [row.message for row in found.only(kind="event")] == ["1", None, None]
    assert found[-1].summary == "200 OK"


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_websocket(cut):
    found = decode(
        (UP, ask()),
        (DOWN, grant()),
        (UP, up(TEXT, b"hello")),
        (DOWN, down(TEXT, b"a" * 100)),
        (UP, up(Opcode.BINARY, b"\xff" * 20)),
        (UP, up(TEXT, b"one ", fin=False) + up(PING, b"?") + up(Opcode.CONTINUATION, b"two")),
        (DOWN, down(Opcode.PONG, b"?") + down(CLOSE, b"\x0f\xa0bye")),
        (UP, up(CLOSE)),
        cut=cut,
        end=(DOWN, UP),
    )
    assert shown(found) == [
        "→ handshake: GET /chat",
        "← handshake: 101 Switching Protocols",
        "→ frame: TEXT 'hello'",
        "← frame: TEXT, 100 bytes: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…",
        "→ frame: BINARY, 20 bytes: ff ff ff ff ff ff ff ff ff ff ff ff …",
        "→ frame: TEXT, the first part, 'one '",
        "→ frame: PING '?'",
        "→ frame: CONTINUATION, the last part, 'two', the whole: 'one two'",
        "← frame: PONG '?'",
        "← frame: CLOSE 4000 'bye'",
        "→ frame: CLOSE without a code",
    ]
    assert [row.message for row in found.messages] == ["hello", "a" * 100, b"\xff" * 20, "one two"]
    assert found[2].masking_key == b"\x01\x02\x03\x04"


@pytest.mark.parametrize("cut", [0, 1])
def test_compressed_both_ways(cut):
    options = DeflateOptions()
    client, server = Deflate(options, client=True), Deflate(options, client=False)
    text = b"hello " * 10
    found = decode(
        (UP, ask(EXTENSIONS)),
        (DOWN, grant(EXTENSIONS)),
        *[(UP, up(TEXT, client.compress(text), rsv1=True)) for _ in range(2)],
        *[(DOWN, down(TEXT, server.compress(text), rsv1=True)) for _ in range(2)],
        cut=cut,
    )
    assert [row.message for row in found.messages] == [text.decode()] * 4
    assert found[2].summary.startswith("TEXT, compressed, 60 bytes: 'hello hello")
    assert found[2].frame.rsv1
    assert not found.problems


def test_what_is_wrong_with_a_handshake():
    found = decode((UP, ask()), (DOWN, grant(key="x")))
    assert found[1].problem == "expected Sec-WebSocket-Accept: ACCEPT-2, got ACCEPT-1 (RFC 6455 §4.1)"
    found = decode((UP, ask()), (DOWN, grant(EXTENSIONS)))
    assert "not offered" in found[1].problem


def test_a_refused_handshake_goes_on_with_http():
    refusal = b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 4\r\n\r\nnope"
    found = decode((UP, ask() + GET), (DOWN, refusal + OK))
    assert shown(found) == [
        "→ handshake: GET /chat",
        "← handshake: 426 Upgrade Required",
        "→ request: GET /a",
        "← response: 200 OK",
    ]
    assert found[1].details == ("Sec-WebSocket-Version: 13", "body 'nope'")


def test_an_impatient_client():
    """Frames that come before the 101 are frames all the same."""
    found = decode((UP, ask() + up(TEXT, b"early")), (DOWN, grant() + down(TEXT, b"welcome")))
    assert shown(found)[2:] == ["→ frame: TEXT 'early'", "← frame: TEXT 'welcome'"]


def test_a_client_that_never_waits(monkeypatch):
    monkeypatch.setattr(decoding, "HELD_BYTES", 10)
    found = decode((UP, ask()), (UP, b"x" * 11), (UP, b"y"))
    assert shown(found)[1:] == [
        "→ raw: 12 bytes: 'xxxxxxxxxxxy' ! not decoded: there is no answer to the handshake yet"
    ]


def test_another_protocol_is_switched_to():
    found = decode((UP, GET), (DOWN, b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\nPRI"), (UP, b"PRI"))
    assert shown(found)[1:] == [
        "← response: 101 Switching Protocols",
        "← raw: 3 bytes: 'PRI' ! switched to h2c",
        "→ raw: 3 bytes: 'PRI' ! switched to h2c",
    ]


@pytest.mark.parametrize("cut", [0, 1])
def test_what_is_no_http(cut):
    found = decode((UP, b"*1\r\n$4\r\nPING\r\n"), (DOWN, b"+PONG\r\n"), (UP, b"\x00\xff"), cut=cut, end=(UP, DOWN))
    assert shown(found) == [
        "→ raw: 14 bytes: '*1\\r\\n$4\\r\\nPING\\r\\n' ! no HTTP (RFC 9112 §2.1)",
        "← raw: 7 bytes: '+PONG\\r\\n' ! no HTTP (RFC 9112 §2.1)",
        "→ raw: 2 bytes: 00 ff",
    ]


def test_nonsense_is_answered_in_http():
    """One direction that cannot be read does not blind the other."""
    bad = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    assert shown(decode((UP, b"hello\r\n\r\n"), (DOWN, bad)))[1] == "← response: 400 Bad Request"


def test_frames_that_break_the_rules():
    found = decode((UP, ask()), (DOWN, grant()), (UP, down(TEXT, b"bare")), (DOWN, down(CLOSE, b"\x03\xea")))
    assert shown(found)[2:] == [
        "→ frame: a frame of 6 bytes: 81 04 62 61 72 65 ! expected masked frames, got an unmasked one (RFC 6455 §5.1)",
        "← frame: CLOSE 1002",
    ]


OPEN = [(UP, ask()), (DOWN, grant())]
UP_CLOSE, DOWN_CLOSE = (UP, up(CLOSE)), (DOWN, down(CLOSE))
ENDS = [
    ([], [UP, DOWN], []),
    ([(UP, GET), (DOWN, OK)], [DOWN, UP], []),
    ([(UP, GET)], [UP], []),
    ([(UP, GET)], [DOWN], ["← end: TCP ended before the response to GET /a"]),
    ([(UP, GET)], [UP, DOWN], ["← end: TCP ended before the response to GET /a"]),
    ([(UP, GET), (DOWN, b"HTTP/1.1 200 OK\r\n\r\nall")], [DOWN], ["← response: 200 OK"]),
    (
        [(UP, GET[:20])],
        [UP],
        [
            "→ raw: 20 bytes: 'GET /a HTTP/1.1\\r\\nHos' ! the rest of an HTTP head never came",
            "→ end: TCP ended before the rest of an HTTP head",
        ],
    ),
    (
        [(UP, GET), (DOWN, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")],
        [DOWN],
        [
            "← raw: 39 bytes: 'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\no' ! the rest of an HTTP body never came",  # noqa: E501
            "← end: TCP ended before the rest of an HTTP body",
        ],
    ),
    (OPEN, [DOWN], ["← end: TCP ended without a close frame"]),
    (OPEN, [UP, DOWN], ["→ end: TCP ended without a close frame"]),
    ([*OPEN, UP_CLOSE], [UP, DOWN], ["→ frame: CLOSE", "← end: TCP ended before the close frame was answered"]),
    ([*OPEN, DOWN_CLOSE], [DOWN], ["← frame: CLOSE"]),
    ([*OPEN, DOWN_CLOSE, UP_CLOSE], [UP, DOWN], ["← frame: CLOSE", "→ frame: CLOSE"]),
    (
        [*OPEN, (UP, up(TEXT, b"hello")[:-1])],
        [UP],
        [
            "→ raw: 10 bytes: 81 85 01 02 03 04 69 67 6f 68 ! the rest of a WebSocket frame never came",
            "→ end: TCP ended before the rest of a WebSocket frame",
        ],
    ),
    ([OPEN[0], (UP, b"early")], [UP], ["→ raw: 5 bytes: 'early' ! there was no answer to the handshake"]),
]


@pytest.mark.parametrize(("said", "end", "expected"), ENDS)
def test_how_it_ends(said, end, expected):
    found = [line.replace(" without a code", "") for line in shown(decode(*said, end=end))]
    assert found[len(found) - len(expected) :] == expected
    begun = [(UP, GET), *OPEN, (DOWN, OK)]
    assert len(found) - len(expected) == sum(each in begun for each in said), "and nothing else"


def test_a_reset():
    recording = Recording()
    decoder = ConnectionDecoder(1, recording.append)
    decoder.receive(UP, GET)
    decoder.end(UP, "TCP was reset")
    decoder.end(DOWN, "TCP was reset")
    assert shown(recording.transcript)[1:] == ["→ end: TCP was reset before the response to GET /a"], "told once"


def test_a_reset_of_what_is_no_http():
    recording = Recording()
    decoder = ConnectionDecoder(1, recording.append)
    decoder.receive(UP, b"\x00")
    decoder.end(UP, "TCP was reset")
    assert shown(recording.transcript)[1:] == ["→ end: TCP was reset"]


def test_what_the_tap_cuts_off_is_told():
    recording = Recording()
    decoder = ConnectionDecoder(1, recording.append)
    decoder.receive(UP, b"GET / HT")
    decoder.finish()
    decoder.finish()
    assert shown(recording.transcript) == ["→ raw: 8 bytes: 'GET / HT' ! the rest of an HTTP head never came"]


def test_meaning():
    """The seam for the protocols above: it sees messages, events and bodies, and what it raises harms nothing."""
    asked = []

    def meaning(row):
        asked.append(row.message or row.body)
        if row.message == "bad":
            raise ValueError("mine")
        return f"says {row.message}\x1b" if row.message else None

    found = decode(
        (UP, GET),
        (DOWN, OK),
        (UP, ask()),
        (DOWN, grant()),
        (UP, up(TEXT, b"hi") + up(PING) + up(TEXT, b"bad")),
        meaning=meaning,
    )
    assert asked == ["ok", "hi", "bad"]
    assert [row.note for row in found] == [
        "",
        "",
        "",
        "",
        "says hi\\x1b",
        "",
        "the tap's `meaning` raised ValueError: mine",
    ]
    assert "= says hi" in str(found)


def test_a_mistake_of_ours_does_not_spread(monkeypatch):
    monkeypatch.setattr(decoding, "http_fields", lambda *_, **__: 1 / 0)
    found = decode((UP, GET), (UP, b"more"))
    assert found[0].problem == "the tap could not decode this: ZeroDivisionError: division by zero"
    assert found[0].kind is Kind.RAW


def test_nothing_moves_the_cursor_of_a_terminal():
    evil = b"GET /\x7f HTTP/1.1\r\nOrigin: \xc2\x9b31m\r\n\r\n"
    found = decode((UP, evil.replace(b"\x7f", b"")), (UP, b"\x1b[2J\x07"), end=(UP,))
    assert str(found).replace("\n", "").isprintable()


COMPRESSED = [(UP, ask(EXTENSIONS)), (DOWN, grant(EXTENSIONS))]


@given(
    st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=60)), max_size=8),
    st.sampled_from([[], [(UP, GET), (DOWN, OK)], [(UP, ask())], OPEN, COMPRESSED]),
    st.lists(st.sampled_from(Direction)),
    st.integers(0, 7),
)  # fmt: skip
def test_whatever_goes_through_is_recorded_once(said, start, end, cut):
    """Nothing raises, and the raw bytes of each direction's rows are what went that way."""
    pieces = [*start, *said]
    found = decode(*pieces, cut=cut, end=[*end, UP, DOWN])
    for direction in Direction:
        raw = b"".join(row.raw for row in found.only(direction=direction))
        assert raw == b"".join(data for way, data in pieces if way is direction)
    assert str(found)
    assert not [row for row in found if "the tap could not decode" in row.problem]
