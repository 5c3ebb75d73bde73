"""Frames: golden bytes, however they are cut, and nothing but the documented exception."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import ProtocolError
from rtlab.wire.frames import STRETCH, CloseCode, Frame, FrameParser, Opcode, apply_mask, encode_frame

KEY = bytes.fromhex("37fa213d")
GOLDEN = [  # RFC 6455 §5.7
    (Frame(Opcode.TEXT, b"Hello"), None, "810548656c6c6f"),
    (Frame(Opcode.TEXT, b"Hello"), KEY, "818537fa213d7f9f4d5158"),
    (Frame(Opcode.TEXT, b"Hel", fin=False), None, "010348656c"),
    (Frame(Opcode.CONTINUATION, b"lo"), None, "80026c6f"),
    (Frame(Opcode.PING, b"Hello"), None, "890548656c6c6f"),
    (Frame(Opcode.PONG, b"Hello"), KEY, "8a8537fa213d7f9f4d5158"),
    (Frame(Opcode.BINARY, bytes(256)), None, "827e0100" + "00" * 256),
    (Frame(Opcode.BINARY, bytes(65536)), None, "827f0000000000010000" + "00" * 65536),
    (Frame(Opcode.TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv1=True), None, "c107f248cdc9c90700"),  # RFC 7692 §7.2.3.1
]


def parser(*, masked=False, max_size=1 << 20, rsv1=True):
    return FrameParser(masked=masked, max_size=max_size, rsv1=rsv1)


def parse(data: bytes, *, cut: int, **options) -> list[Frame]:
    """Feed in pieces of `cut` bytes."""
    reader = parser(**options)
    return [frame for start in range(0, len(data), cut) for frame in reader.feed(data[start : start + cut])]


@pytest.mark.parametrize(("frame", "key", "octets"), GOLDEN)
def test_golden(frame, key, octets):
    data = bytes.fromhex(octets)
    assert encode_frame(frame, key) == data
    for cut in (len(data), 1, 3):
        assert parse(data, cut=cut, masked=key is not None) == [frame]
    reader = parser(masked=key is not None)
    assert list(reader.feed(data + data[:1])) == [frame], "what is left over waits"
    assert list(reader.feed(data[1:])) == [frame]


@pytest.mark.parametrize("size", [0, 1, 3, 4, 125, 126, 127, STRETCH - 1, STRETCH, STRETCH + 3, 65535, 65536, 100_001])
def test_mask_is_what_the_rfc_says(size):
    payload = bytes(index * 7 & 255 for index in range(size))
    by_hand = bytes(octet ^ KEY[index % 4] for index, octet in enumerate(payload))
    assert apply_mask(payload, KEY) == by_hand
    assert apply_mask(by_hand, KEY) == payload


@given(st.binary(max_size=300), st.binary(min_size=4, max_size=4), st.integers(0, 300))
def test_mask_of_parts(payload, key, cut):
    whole = apply_mask(payload, key)
    assert apply_mask(payload[:cut], key) + apply_mask(payload[cut:], key, len(payload[:cut])) == whole


frames = st.builds(
    Frame,
    st.sampled_from(list(Opcode)),
    st.binary(max_size=125) | st.binary(min_size=120, max_size=70_000),
    fin=st.booleans(),
    rsv1=st.booleans(),
).map(lambda frame: frame if frame.opcode < Opcode.CLOSE else Frame(frame.opcode, frame.payload[:125]))


@given(st.lists(frames, max_size=5), st.none() | st.binary(min_size=4, max_size=4), st.data())
def test_round_trip_cut_anywhere(sent, key, data):
    octets = b"".join(encode_frame(frame, key) for frame in sent)
    reader = parser(masked=key is not None)
    got, position = [], 0
    while position < len(octets):
        size = data.draw(st.integers(1, len(octets)), label="piece")
        got += reader.feed(octets[position : position + size])
        position += size
    assert got == sent


@given(st.binary(max_size=200), st.booleans(), st.booleans(), st.integers(1, 50))
def test_whatever_comes_only_the_documented_error(data, masked, rsv1, cut):
    try:
        parse(data, cut=cut, masked=masked, rsv1=rsv1, max_size=1000)
    except ProtocolError as caught:
        error = caught
    else:
        return
    assert error.code in {1002, 1009}
    assert error.rule.startswith("RFC 6455 §")
    assert len(error.problem.encode()) <= 123, "fits a close frame"


@given(st.binary(max_size=200), st.booleans(), st.integers(1, 50))
def test_cutting_changes_nothing(data, masked, cut):
    def outcome(pieces):
        reader, got = parser(masked=masked, max_size=1000), []
        try:
            for piece in pieces:
                got.extend(reader.feed(piece))
        except ProtocolError as error:
            return got, (error.code, error.problem)
        return got, None

    assert outcome([data]) == outcome([data[start : start + cut] for start in range(0, len(data), cut)])


@pytest.mark.parametrize(
    ("octets", "code", "said"),
    [
        ("8300", 1002, "opcode 0x3 is reserved"),
        ("8b00", 1002, "opcode 0xb is reserved"),
        ("a100", 1002, "reserved bit"),
        ("9100", 1002, "reserved bit"),
        ("c900", 1002, "reserved bit"),  # RSV1 on a ping
        ("0900", 1002, "fragmented PING"),
        ("897e", 1002, "longer than 125"),
        ("8180", 1002, "expected unmasked frames"),
        ("817e007d", 1002, "shortest form"),
        ("817f000000000000ffff", 1002, "shortest form"),
        ("817f8000000000000000", 1002, "most significant bit"),
        ("817e03e9", 1009, "a frame of 1001"),
    ],
)
def test_refused_as_soon_as_the_header_is_there(octets, code, said):
    with pytest.raises(ProtocolError, match=said) as caught:
        parse(bytes.fromhex(octets), cut=1, max_size=1000)
    assert caught.value.code == code


def test_an_unmasked_frame_at_a_server():
    with pytest.raises(ProtocolError, match="expected masked frames") as caught:
        parse(bytes.fromhex("810548656c6c6f"), cut=100, masked=True)
    assert caught.value.code == 1002


def test_frames_before_the_error_are_given():
    reader = parser(rsv1=False)
    feeding = reader.feed(encode_frame(GOLDEN[0][0]) + b"\xff\x00")
    assert next(feeding) == GOLDEN[0][0]
    with pytest.raises(ProtocolError):
        next(feeding)


def test_what_is_arriving_can_be_seen():
    reader = parser(masked=True)
    data = encode_frame(Frame(Opcode.TEXT, b"Hello, world"), KEY)
    assert list(reader.feed(data[:9])) == []
    assert reader.arriving == (Opcode.TEXT, False, b"Hel")
    assert list(reader.feed(data[9:12])) == []
    assert reader.arriving == (Opcode.TEXT, False, b"Hello,")
    assert list(reader.feed(data[12:])) == [Frame(Opcode.TEXT, b"Hello, world")]
    assert reader.arriving is None


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (Frame(Opcode.TEXT, b"hi"), "TEXT, FIN, 2 bytes, 'hi'"),
        (Frame(Opcode.TEXT, b"a" * 50, fin=False), f"TEXT, 50 bytes, {'a' * 40!r}…"),
        (Frame(Opcode.CLOSE, struct.pack("!H", 1000) + b"bye"), "CLOSE, FIN, 5 bytes, 1000 'bye'"),
        (Frame(Opcode.BINARY, b"\x00\xff"), "BINARY, FIN, 2 bytes, 00 ff"),
        (Frame(Opcode.TEXT, b"\xf2\x48", rsv1=True), "TEXT, FIN, RSV1, 2 bytes, f2 48"),
    ],
)
def test_one_line_for_people(frame, line):
    assert str(frame) == line


def test_close_codes_are_the_registry():
    assert CloseCode.TOO_BIG == 1009
    assert 1004 not in set(CloseCode)
    assert 1015 not in set(CloseCode)
