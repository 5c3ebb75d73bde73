"""Acks taken out of a stream of frames: whatever way it is fragmented and cut, all else comes through as it was."""

import os
from itertools import pairwise

from growth import LINEAR, doubling
from hypothesis import given, settings
from hypothesis import strategies as st

from rtlab.instruments.faults.ack_frames import HELD_BYTES, FrameSieve
from rtlab.instruments.faults.ack_packets import AckPackets
from rtlab.wire.frames import Frame, FrameParser, Opcode, encode_frame

TEXT, BINARY, PING, CLOSE, CONTINUATION = Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.CLOSE, Opcode.CONTINUATION
ACK, EVENT = b'43[{"ok":true}]', b'42["chat:message",{"text":"43[]"}]'


def frames_of(opcode, payload, cuts=()):
    """A message in frames."""
    edges = [0, *sorted(min(cut, len(payload)) for cut in cuts), len(payload)]
    parts = [payload[start:end] for start, end in pairwise(edges)]
    return [
        Frame(opcode if not place else CONTINUATION, part, fin=place == len(parts) - 1)
        for place, part in enumerate(parts)
    ]


def raw(*frames):
    return b"".join(map(encode_frame, frames))


def sieved(data, sizes=(None,), sieve=None):
    """What comes out when it comes in pieces of these sizes."""
    sieve, out, position = sieve or FrameSieve(AckPackets()), b"", 0
    while position < len(data):
        for size in sizes:
            out += sieve.feed(data[position : None if size is None else position + size], swallowing=True)
            position = len(data) if size is None else position + size
    return out + sieve.unfinished


def parsed(data):
    return list(FrameParser(masked=False, max_size=2**30).feed(data))


def test_an_ack_is_gone_and_what_surrounds_it_is_not():
    stream = raw(Frame(TEXT, EVENT), Frame(TEXT, ACK), Frame(BINARY, b"\x80"), Frame(TEXT, b"2"))
    assert sieved(stream) == sieved(stream, [1]) == raw(Frame(TEXT, EVENT), Frame(BINARY, b"\x80"), Frame(TEXT, b"2"))


def test_pings_and_closes_within_a_swallowed_message_come_through():
    first, last = frames_of(TEXT, ACK, [1])
    stream = raw(first, Frame(PING, b"43"), last, Frame(CLOSE, b"\x03\xe8"))
    assert sieved(stream) == sieved(stream, [1]) == raw(Frame(PING, b"43"), Frame(CLOSE, b"\x03\xe8"))


def test_what_begins_goes_on_before_it_is_whole():
    sieve = FrameSieve(AckPackets())
    stream = raw(Frame(TEXT, EVENT + bytes(1000)))
    assert sieve.feed(stream[:7], swallowing=True) == stream[:7], "a header of 4 bytes, 42 and one more"


def test_without_swallowing_nothing_is_held_but_a_header():
    sieve, stream, out = FrameSieve(AckPackets()), raw(*frames_of(TEXT, ACK, [0, 1, 2]), Frame(BINARY, b"\x81")), b""
    for each in stream:
        out += sieve.feed(bytes([each]), swallowing=False)
    assert out == stream


def test_compressed_masked_and_broken_frames_come_through():
    for stream in (
        raw(Frame(TEXT, ACK, rsv1=True)),
        encode_frame(Frame(TEXT, ACK), b"\0\0\0\0"),
        raw(Frame(CONTINUATION, ACK)),
        bytes([0b1000_0011, 2]) + b"43",
        os.urandom(3000),
    ):
        assert sieved(stream) == sieved(stream, [1]) == stream


def test_a_message_that_never_says_what_it_is_is_held_up_to_a_bound():
    """A packet of a MessagePack parser, whose type does not come first."""
    sieve = FrameSieve(AckPackets())
    begin = raw(Frame(BINARY, b"\x82\xa1a\xc6\xff" + bytes(3 * HELD_BYTES)))
    out, held = 0, 0
    for start in range(0, len(begin), 50_000):
        out += len(sieve.feed(begin[start : start + 50_000], swallowing=True))
        held = max(held, len(sieve.unfinished))
    assert held <= HELD_BYTES + 50_000
    assert out == len(begin)
    empty = raw(Frame(TEXT, b"", fin=False)) + raw(Frame(CONTINUATION, b"", fin=False)) * (HELD_BYTES // 2 + 1)
    sieve = FrameSieve(AckPackets())
    assert len(sieve.feed(empty, swallowing=True)) == len(empty)


def test_cost_grows_with_the_bytes():
    def pieces(size):
        stream = raw(Frame(BINARY, b"\x82\xa1a\xc6\xff" + bytes(size)))
        return [stream[start : start + 10] for start in range(0, len(stream), 10)]

    def feed(data):
        sieve = FrameSieve(AckPackets())
        for piece in data:
            sieve.feed(piece, swallowing=True)

    assert doubling(pieces, feed) < LINEAR


MESSAGES = st.one_of(
    st.tuples(st.just(TEXT), st.sampled_from([ACK, b"43", b"43/admin,7[1]", EVENT, b"2", b"3probe", b"", b"4", b"41"])),
    st.tuples(st.just(TEXT), st.sampled_from([b'461-3[{"_placeholder":true,"num":0}]', b'451-["x",{}]'])),
    st.tuples(st.just(BINARY), st.binary(max_size=8)),
    st.tuples(st.just(BINARY), st.sampled_from([b"\x82\xa4type\x03\xa2id\x01", b"\x82\xa2id\x01\xa4type\x03"])),
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(MESSAGES, st.lists(st.integers(0, 12), max_size=4), st.booleans()), max_size=12),
    st.lists(st.integers(1, 20), min_size=1, max_size=5),
)
def test_however_it_is_fragmented_and_cut_the_other_messages_come_through(script, sizes):
    stream, kept, packets = b"", [], AckPackets()
    for (opcode, payload), cuts, with_ping in script:
        frames = frames_of(opcode, payload, cuts)
        if with_ping:
            frames.insert(len(frames) // 2, Frame(PING, b"43"))
        stream += raw(*frames)
        ask = packets.text if opcode is TEXT else packets.binary
        swallowed = ask(payload, whole=True, swallowing=True)
        kept += [each for each in frames if each.opcode is PING or not swallowed]
    came = parsed(sieved(stream, sizes))
    assert [each for each in came if each.opcode is not PING] == [each for each in kept if each.opcode is not PING]
    assert came.count(Frame(PING, b"43")) == kept.count(Frame(PING, b"43"))
    assert len(sieved(stream, sizes)) == len(raw(*kept))
