"""The connection's states: messages out of fragments, the closing handshake, and every rule that a peer can break."""

import gc
import itertools
import struct
import tracemalloc
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quick import quick

from rtlab.errors import UsageError
from rtlab.wire.deflate import Deflate, DeflateOptions
from rtlab.wire.frames import Frame, FrameParser, Opcode, encode_frame
from rtlab.wire.protocol import (
    TRANSITIONS,
    BinaryMessage,
    Closed,
    Connection,
    Ping,
    Pong,
    State,
    TextMessage,
)

KEY = b"\x01\x02\x03\x04"


def server(**options) -> Connection:
    return Connection(**options)


def client(**options) -> Connection:
    return Connection(masking_key=lambda: KEY, **options)


def octets(*frames: Frame) -> bytes:
    """What a client sends."""
    return b"".join(encode_frame(frame, KEY) for frame in frames)


def sent_by(connection: Connection) -> list[Frame]:
    """The frames that a server wants to send."""
    return list(FrameParser(masked=False, max_size=1 << 30, rsv1=True).feed(connection.data_to_send()))


def text(payload: bytes | str, *, fin=True, opcode=Opcode.TEXT, rsv1=False) -> Frame:
    return Frame(opcode, payload.encode() if isinstance(payload, str) else payload, fin, rsv1)


def more(payload: bytes | str, *, fin=True) -> Frame:
    return text(payload, fin=fin, opcode=Opcode.CONTINUATION)


def closing(code: int, reason: bytes = b"") -> Frame:
    return Frame(Opcode.CLOSE, struct.pack("!H", code) + reason)


def test_messages():
    connection = server()
    data = octets(text("Grüße"), text(b"\x00\xff", opcode=Opcode.BINARY), text(""))
    assert connection.receive(data) == [TextMessage("Grüße"), BinaryMessage(b"\x00\xff"), TextMessage("")]
    assert connection.data_to_send() == b""


def test_fragments_with_a_ping_in_between():
    connection = server()
    data = octets(text("Gr", fin=False), Frame(Opcode.PING, b"?"), more(b"\xc3", fin=False), more(b"\xbc\xc3\x9fe"))
    assert connection.receive(data) == [Ping(b"?"), TextMessage("Grüße")]
    assert sent_by(connection) == [Frame(Opcode.PONG, b"?")]
    assert connection.receive(octets(text("next"))) == [TextMessage("next")]


def test_what_a_connection_says():
    connection, peer = client(), server()
    connection.text("Grüße")
    connection.binary(b"\x00")
    connection.ping(b"1")
    connection.pong(b"2")
    connection.close(4000, "done")
    data = connection.data_to_send()
    assert peer.receive(data) == [
        TextMessage("Grüße"), BinaryMessage(b"\x00"), Ping(b"1"), Pong(b"2"), Closed(4000, "done"),
    ]  # fmt: skip
    assert connection.state is State.CLOSE_SENT
    assert connection.receive(peer.data_to_send()) == [Pong(b"1"), Closed(4000, "done")]
    assert (connection.state, peer.state) == (State.CLOSED, State.CLOSED)


def test_the_answer_to_a_close_echoes_it():
    connection = server()
    assert connection.receive(octets(closing(1001, b"bye"))) == [Closed(1001, "bye")]
    assert sent_by(connection) == [closing(1001, b"bye")]


def test_a_close_without_a_code():
    connection = server()
    assert connection.receive(octets(Frame(Opcode.CLOSE))) == [Closed(1005)]
    assert sent_by(connection) == [Frame(Opcode.CLOSE)]


def test_both_close_at_once():
    one, other = client(), server()
    one.close(1000)
    other.close(1001)
    first, second = one.data_to_send(), other.data_to_send()
    assert one.receive(second) == [Closed(1001)]
    assert other.receive(first) == [Closed(1000)]
    assert one.data_to_send() == other.data_to_send() == b""


def test_messages_go_on_arriving_after_our_close():
    connection = server()
    connection.close()
    assert connection.receive(octets(text("late"), Frame(Opcode.PING, b"?"))) == [TextMessage("late"), Ping(b"?")]
    assert [frame.opcode for frame in sent_by(connection)] == [Opcode.CLOSE], "no pong after a close frame"


def compressed(data: bytes, *, rsv1=True) -> Frame:
    return Frame(Opcode.BINARY, Deflate(DeflateOptions(), client=True).compress(data), rsv1=rsv1)


def test_what_is_discarded_is_neither_given_nor_decompressed(monkeypatch):
    connection = server(deflate=Deflate(DeflateOptions(), client=False))
    begun = octets(text("half", fin=False))
    assert connection.receive(begun) == []
    connection.close()
    connection.discard_messages()
    monkeypatch.setattr(Deflate, "decompress", lambda *_, **__: pytest.fail("it was decompressed"))
    data = octets(more("done"), compressed(b"x" * 100), text(b"\xff"), Frame(Opcode.PING, b"?"), closing(1000))
    assert connection.receive(data) == [Ping(b"?"), Closed(1000)]


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([more("x")], 1002),
        ([text("a", fin=False), text("b")], 1002),
        ([text(b"x" * 20)], 1009),
        ([text("a", fin=False), more("b"), more("c")], 1002),
    ],
)
def test_what_is_discarded_is_held_to_the_rules_of_frames(frames, code):
    connection = server(max_message_size=10)
    connection.discard_messages()
    (end,) = connection.receive(octets(*frames))
    assert (end.code, end.clean) == (code, False)


def test_decoding_stops_at_a_number_of_frames():
    connection = server()
    frames = [Frame(Opcode.PING), text("a", fin=False), more("b", fin=False), more("c"), Frame(Opcode.PONG), text("d")]
    got = [connection.receive(octets(*frames), None, 2)]
    while connection.undecoded:
        got.append(connection.receive(b"", None, 2))
    assert got == [[Ping(b"")], [TextMessage("abc")], [Pong(b""), TextMessage("d")], []]


@pytest.mark.parametrize("end", [octets(closing(1000)), octets(text(b"\xff")), octets(Frame(Opcode.CLOSE, b"x")), None])
def test_a_closed_connection_holds_nothing(end):
    """Neither what was arriving, nor the windows of compression; and an error's traceback does not hold it."""
    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        connection = server(deflate=Deflate(DeflateOptions(), client=False))
        connection.binary(bytes(1000))
        connection.data_to_send()
        connection.receive(octets(compressed(bytes(1000)), text("x" * 300_000, fin=False)))
        last = octets(more("y" * 300_000))[:-5] if end is None else end if end[0] != 0x81 else octets(more(b"\xff"))
        events = connection.receive(last, None, 1) + (connection.receive_eof() if end is None else [])
        assert isinstance(events[-1], Closed)
        ref = weakref.ref(connection)
        del last
        after, _ = tracemalloc.get_traced_memory()
        assert after - before < 100_000
        del connection
        assert ref() is None, "it went without the cyclic collector, although its last event is still there"
    finally:
        tracemalloc.stop()
        gc.enable()


def test_nothing_counts_after_the_end():
    connection = server()
    connection.receive(octets(closing(1000), text("too late")))
    assert connection.receive(octets(text("much too late"))) == []
    assert connection.receive_eof() == []


def test_a_peer_that_leaves_without_a_word():
    connection = server()
    assert connection.receive_eof() == [Closed(1006, clean=False)]
    assert connection.receive_eof() == []


@pytest.mark.parametrize("speak", [
    lambda c: c.text("x"), lambda c: c.binary(b"x"), lambda c: c.ping(), lambda c: c.pong(),
])  # fmt: skip
def test_nothing_can_be_said_while_closing(speak):
    connection = server()
    connection.close()
    with pytest.raises(UsageError, match="the connection is close sent"):
        speak(connection)
    connection.close()  # a second one does nothing
    assert len(sent_by(connection)) == 1


def test_what_must_not_be_said():
    connection = server()
    with pytest.raises(UsageError, match="at most 125 bytes, got 126"):
        connection.ping(bytes(126))
    for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000):
        with pytest.raises(UsageError, match=f"Close code {code} must not be sent: expected 1000 to 1003, 1007 to"):
            connection.close(code)
    with pytest.raises(UsageError, match="at most 123 bytes in UTF-8, got 124"):
        connection.close(1000, "ü" * 62)
    assert connection.data_to_send() == b""
    assert connection.state is State.OPEN


BROKEN = {
    "continuation of nothing": ([more("x")], 1002, "continuation of no message"),
    "message within a message": ([text("a", fin=False), text("b")], 1002, "within a fragmented one"),
    "close of one byte": ([Frame(Opcode.CLOSE, b"\x03")], 1002, "close frame with the code"),
    "close code 999": ([closing(999)], 1002, "code 999"),
    "close code 1005": ([closing(1005)], 1002, "code 1005"),
    "close code 1006": ([closing(1006)], 1002, "code 1006"),
    "close code 1016": ([closing(1016)], 1002, "code 1016"),
    "close code 2999": ([closing(2999)], 1002, "code 2999"),
    "close code 5000": ([closing(5000)], 1002, "code 5000"),
    "close reason not UTF-8": ([closing(1000, b"\xff")], 1007, "not UTF-8"),
    "text not UTF-8": ([text(b"\xff")], 1007, "not UTF-8"),
    "text ends within a character": ([text(b"\xc3")], 1007, "not UTF-8"),
    "surrogate": ([text(b"\xed\xa0\x80")], 1007, "not UTF-8"),
    "overlong": ([text(b"\xc0\x80")], 1007, "not UTF-8"),
    "fragments not UTF-8": ([text(b"\xc3", fin=False), more(b"\x28")], 1007, "not UTF-8"),
    "frame too big": ([text(bytes(101))], 1009, "at most 100 bytes"),
    "message too big": ([text(bytes(60), fin=False), more(bytes(60))], 1009, "at most 40 bytes more"),
    "too many fragments": ([text("", fin=False), *[more("", fin=False)] * 10], 1008, "at most 8 frames"),
}


@pytest.mark.parametrize(("frames", "code", "said"), BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("cut", [1, 1000])
def test_a_peer_that_breaks_the_rules(frames, code, said, cut):
    connection = server(max_message_size=100, max_fragments=8)
    data = octets(*frames)
    events = [event for start in range(0, len(data), cut) for event in connection.receive(data[start : start + cut])]
    (closed,) = events
    assert isinstance(closed, Closed)
    assert (closed.code, closed.clean) == (code, False)
    assert said in closed.reason
    assert closed.error is not None
    assert closed.error.rule.startswith("RFC ")
    (answer,) = sent_by(connection)
    assert answer.payload[:2] == struct.pack("!H", code)
    assert connection.state is State.CLOSED


def test_what_came_before_the_broken_frame_is_given():
    events = server().receive(octets(text("good"), text(b"\xff")))
    assert events[0] == TextMessage("good")
    assert events[1].code == 1007


@pytest.mark.parametrize(
    "chunks",
    [
        [octets(text(b"abc\xf4\x90zzz"))[:-3]],  # within a frame that has not arrived
        [octets(text(b"abc", fin=False)), octets(more(b"\xf4\x90", fin=False))],  # within a message
        [octets(text(b"ab\xf4", fin=False)), octets(more(b"\x90zzz"))[:-3]],  # across both
        [octets(text(b"ab\xf4", fin=False), Frame(Opcode.PING, b"12345678"))[:-3], octets(more(b"\x90zz"))[:-1]],
    ],
)
def test_bad_text_is_answered_before_it_has_arrived(chunks):
    connection = server()
    if len(chunks) == 2 and chunks[0].endswith(octets(Frame(Opcode.PING, b"12345678"))[:-3]):
        chunks = [chunks[0], octets(Frame(Opcode.PING, b"12345678"))[-3:] + chunks[1]]
    events = [event for chunk in chunks for event in connection.receive(chunk)]
    assert events[-1].code == 1007


@given(st.lists(st.text(max_size=20), min_size=1, max_size=6), st.integers(1, 30), st.booleans())
def test_text_in_any_pieces(fragments, cut, ping):
    """Good text is never refused early, however characters, fragments and chunks are cut."""
    payload = "".join(fragments).encode()
    bounds = sorted({0, len(payload), *(len(part) * 3 % (len(payload) + 1) for part in fragments)})
    pieces = [payload[a:b] for a, b in itertools.pairwise(bounds)] or [b""]
    frames = [
        Frame(Opcode.TEXT if index == 0 else Opcode.CONTINUATION, piece, index == len(pieces) - 1)
        for index, piece in enumerate(pieces)
    ]
    if ping:
        frames = [each for frame in frames for each in (frame, Frame(Opcode.PING, b"?"))]
    data = octets(*frames, text("end"))
    connection = server()
    events = [event for start in range(0, len(data), cut) for event in connection.receive(data[start : start + cut])]
    messages = [event for event in events if not isinstance(event, Ping)]
    assert messages == [TextMessage(payload.decode()), TextMessage("end")]


@settings(max_examples=300)
@given(st.binary(max_size=300), st.integers(1, 60), st.booleans(), st.booleans())
def test_whatever_comes_nothing_is_raised(data, cut, is_client, compressed):
    make = client if is_client else server
    deflate = Deflate(DeflateOptions(), client=is_client) if compressed else None
    connection = make(deflate=deflate, max_message_size=200, max_fragments=4)
    events = []
    for start in range(0, len(data), cut):
        events += connection.receive(data[start : start + cut])
    events += connection.receive_eof()
    assert sum(isinstance(event, Closed) for event in events) == 1
    assert isinstance(events[-1], Closed)


def test_the_table_is_complete():
    """In every state every way to end is defined, but that nobody closes twice."""
    for state in (State.OPEN, State.CLOSE_SENT):
        for action in ("receive close", "fail", "end of stream"):
            assert TRANSITIONS[state, action] is State.CLOSED
    assert TRANSITIONS[State.OPEN, "send close"] is State.CLOSE_SENT
    assert (State.CLOSED, "send close") not in TRANSITIONS


def test_what_follows_a_final_deflate_block_is_not_collected():
    connection = Connection(deflate=Deflate(DeflateOptions(), client=False))
    final = encode_frame(Frame(Opcode.TEXT, b"\x03\x00", fin=False, rsv1=True), b"abcd")
    assert connection.receive(final) == []
    more = encode_frame(Frame(Opcode.CONTINUATION, bytes(100_000), fin=False), b"abcd")
    (closed,) = connection.receive(more)
    assert (closed.code, closed.error.rule) == (1007, "RFC 7692 §7.2.3.4")


def test_a_final_block_and_what_may_follow_it_are_a_message():
    connection = Connection(deflate=Deflate(DeflateOptions(), client=False))
    hello = bytes.fromhex("f3 48 cd c9 c9 07 00 00")  # the RFC's own example
    assert connection.receive(encode_frame(Frame(Opcode.TEXT, hello, rsv1=True), b"abcd")) == [TextMessage("Hello")]
    assert connection.receive(encode_frame(Frame(Opcode.TEXT, hello, rsv1=True), b"abcd")) == [TextMessage("Hello")]


@pytest.mark.parametrize("step", quick([1, 2, 7], [7]))
def test_tiny_pieces_cost_what_they_carry(step):
    connection, size = Connection(), 200_000
    data = encode_frame(Frame(Opcode.BINARY, b"\x81" * size), b"abcd")[:-1]
    tracemalloc.start()
    try:
        for start in range(0, len(data), step):
            connection.receive(data[start : start + step], 1 << 20)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2 * size


def test_bad_utf8_is_found_in_whatever_pieces_it_comes():
    text = "Grüße 😀".encode() * 50
    for cut in range(1, 40):
        bad = text[: 7 * cut] + b"\xff" + text
        data = encode_frame(Frame(Opcode.TEXT, bad[:200], fin=False), b"abcd")
        data += encode_frame(Frame(Opcode.CONTINUATION, bad[200:]), b"abcd")
        connection, events = Connection(), []
        for start in range(0, len(data), cut):
            events += connection.receive(data[start : start + cut])
            if events:
                break
        assert events[0].code == 1007
        assert start <= 7 * cut + 16 + cut + 8, "as soon as it is there"
