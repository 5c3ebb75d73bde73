"""Frames and messages of one direction, as an onlooker sees them: nothing raises, every byte comes out once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.wiretap.frame_reader import LONG_BYTES, MESSAGE_BYTES, FrameReader
from rtlab.wire.deflate import Deflate, DeflateOptions
from rtlab.wire.frames import Frame, Opcode, encode_frame

KEY = b"\x01\x02\x03\x04"
TEXT, BINARY, CONTINUATION, PING = Opcode.TEXT, Opcode.BINARY, Opcode.CONTINUATION, Opcode.PING


def read(data: bytes, cut: int = 0, **options):
    reader = FrameReader(**{"masked": False} | options)
    found = []
    for start in range(0, len(data), cut or len(data)):
        found += reader.feed(data[start : start + (cut or len(data))])
    return found, reader


def frames(*parts: Frame, key: bytes | None = None) -> bytes:
    return b"".join(encode_frame(frame, key) for frame in parts)


@pytest.mark.parametrize("cut", [0, 1, 7])
@pytest.mark.parametrize("key", [None, KEY])
def test_messages(cut, key):
    data = frames(
        Frame(TEXT, b"hello"),
        Frame(BINARY, bytes(70_000)),
        Frame(TEXT, b"hel", fin=False),
        Frame(PING, b"?"),
        Frame(CONTINUATION, "lö".encode()),
        Frame(Opcode.CLOSE, b"\x03\xe8"),
        key=key,
    )
    found, reader = read(data, cut, masked=key is not None)
    assert [seen.message for seen in found] == ["hello", bytes(70_000), None, None, "hellö", None]
    assert [seen.content for seen in found][2:5] == ["hel", b"?", "lö"]
    assert [seen.first for seen in found][2:5] == [True, True, False]
    assert not any(seen.problem for seen in found)
    assert b"".join(seen.raw for seen in found) == data
    assert reader.unfinished == b""


@pytest.mark.parametrize("takeover", [True, False])
def test_compression(takeover):
    options = DeflateOptions(server_no_context_takeover=not takeover)
    server = Deflate(options, client=False)
    whole = [server.compress(text) for text in (b"hello hello hello", b"hello hello hello")]
    data = frames(
        Frame(TEXT, whole[0], rsv1=True),
        Frame(TEXT, whole[1][:3], fin=False, rsv1=True),
        Frame(CONTINUATION, whole[1][3:]),
        Frame(TEXT, b"plain"),
    )
    found, _ = read(data, inflate=lambda: Deflate(options, client=True), forgets=not takeover)
    assert [seen.message for seen in found] == ["hello hello hello", None, "hello hello hello", "plain"]
    assert not any(seen.problem for seen in found)


@pytest.mark.parametrize("takeover", [True, False])
def test_a_compressed_message_that_cannot_be_inflated(takeover):
    """What follows can be inflated only if it does not refer to it."""
    options = DeflateOptions(server_no_context_takeover=not takeover)
    server = Deflate(options, client=False)
    bomb = server.compress(bytes(8 * MESSAGE_BYTES))
    data = frames(Frame(BINARY, bomb, rsv1=True), Frame(TEXT, server.compress(b"hello" * 10), rsv1=True))
    found, _ = read(data, inflate=lambda: Deflate(options, client=True), forgets=not takeover)
    assert "more than" in found[0].problem
    assert found[0].message is None
    assert (found[1].message == "hello" * 10) is not takeover
    assert ("not inflated" in found[1].problem) is takeover


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (frames(Frame(TEXT, b"x"), key=KEY), "expected unmasked frames, got a masked one (RFC 6455 §5.1)"),
        (bytes.fromhex("8300"), "opcode 0x3 is reserved"),
        (bytes.fromhex("c100"), "a reserved bit"),
        (bytes.fromhex("0900"), "a fragmented PING frame"),
        (bytes.fromhex("817e0001 78"), "shortest form"),
        (frames(Frame(CONTINUATION, b"x")), "a continuation of no message"),
        (frames(Frame(TEXT, b"\xff\xfe")), "text that is not UTF-8: ff fe"),
    ],
)
def test_what_breaks_the_rules_is_told_and_passed_over(data, problem):
    for cut in (0, 1):
        found, _ = read(data + frames(Frame(TEXT, b"after")), cut)
        assert problem in found[0].problem
        assert found[0].raw == data
        assert found[1].message == "after"


def test_a_message_within_a_message():
    data = frames(Frame(TEXT, b"a", fin=False), Frame(TEXT, b"b"), Frame(TEXT, b"c"))
    found, _ = read(data)
    assert "within a fragmented one" in found[1].problem
    assert found[2].message == "c"


def test_long_frames_and_messages_are_counted():
    data = frames(Frame(BINARY, bytes(MESSAGE_BYTES + 1)), Frame(TEXT, b"after"))
    for cut in (0, 100_000):
        found, reader = read(data, cut)
        assert found[0].frame is None
        assert "longer than the 1,048,576" in found[0].problem
        assert found[0].size == MESSAGE_BYTES + 1 + 10
        assert found[0].raw == data[:LONG_BYTES]
        assert found[1].message == "after"
        assert reader.unfinished == b""
    half = Frame(BINARY, bytes(MESSAGE_BYTES // 2 + 1), fin=False)
    found, _ = read(
        frames(half, Frame(CONTINUATION, half.payload, fin=False), Frame(CONTINUATION, b"x"), Frame(TEXT, b"after"))
    )
    assert "longer than" in found[1].problem
    assert found[2].message is None, "its beginning was not kept"
    assert not found[2].problem
    assert found[3].message == "after"


def test_unfinished():
    _, reader = read(b"\x81\x05hel")
    assert reader.expecting == "the rest of a WebSocket frame"
    assert (reader.unfinished, reader.unfinished_size) == (b"\x81\x05hel", 5)
    long = encode_frame(Frame(BINARY, bytes(2 * MESSAGE_BYTES)))[:-1]
    _, reader = read(long)
    assert (reader.unfinished, reader.unfinished_size) == (long[:LONG_BYTES], len(long))


@given(st.binary(max_size=300), st.lists(st.integers(1, 40)), st.booleans(), st.booleans())
def test_every_byte_comes_out_once(data, cuts, masked, compressed):
    inflate = (lambda: Deflate(DeflateOptions(), client=True)) if compressed else None
    reader = FrameReader(masked=masked, inflate=inflate)
    raw, position = b"", 0
    for cut in [*cuts, len(data)]:
        for seen in reader.feed(data[position : position + cut]):
            raw += seen.raw
        position += cut
    assert raw + reader.unfinished == data
