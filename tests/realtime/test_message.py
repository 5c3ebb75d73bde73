"""A message is encoded once, and each of its forms reads back as what was said."""

import tracemalloc
import zlib

from rtlab.realtime.message import PACKET_BYTES, Message
from rtlab.wire.engineio import EnginePacket, EnginePacketType, decode_payload
from rtlab.wire.frames import FrameParser, Opcode


def frames(message, *arguments):
    parser = FrameParser(masked=False, max_size=1_000_000, rsv1=True)
    return list(parser.feed(message.frames(*arguments)))


def test_a_text_and_its_attachments_stay_together():
    message = Message.of(['51-["x",{"_placeholder":true,"num":0}]', b"\x01\x02"])
    assert [(each.opcode, each.payload) for each in frames(message)] == [
        (Opcode.TEXT, b'451-["x",{"_placeholder":true,"num":0}]'),
        (Opcode.BINARY, b"\x01\x02"),
    ]
    assert decode_payload(message.body.decode()) == [
        EnginePacket(EnginePacketType.MESSAGE, '51-["x",{"_placeholder":true,"num":0}]'),
        EnginePacket(EnginePacketType.MESSAGE, b"\x01\x02"),
    ]
    assert len(message) == 2
    assert message.held == len('451-["x",{"_placeholder":true,"num":0}]') + 2 + 2 * PACKET_BYTES


def test_each_form_is_made_once():
    message = Message.of("2[]" * 1000)
    assert message.frames() is message.frames()
    assert message.frames(15, 10) is message.frames(15, 10)
    assert message.frames(15, 10) is not message.frames(12, 10)
    kept = message.frames()
    message.forget_frames()
    assert message.frames() == kept
    assert message.frames() is not kept


def test_what_waits_is_counted_as_it_is():
    """For short and long texts, in every script: a message that waits costs what it says, and not much less."""
    for text in ("x", "x" * 1000, "😀" * 1000, "ü" * 100_000):
        tracemalloc.start()
        kept = [Message.of(f'2["m","{text}"]') for _ in range(20)]
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        said = sum(message.held for message in kept)
        assert 0.4 * said < held <= said


def test_only_what_is_long_enough_is_compressed():
    text = '2["news","' + "é" * 2000 + '"]'
    (short,) = frames(Message.of("2[]"), 15, 500)
    (long,) = frames(Message.of(text), 15, 500)
    assert (short.rsv1, long.rsv1) == (False, True)
    assert len(long.payload) < 100
    inflated = zlib.decompressobj(-15).decompress(long.payload + b"\x00\x00\xff\xff")
    assert inflated.decode() == f"4{text}"
    assert not frames(Message.of(text))[0].rsv1


def test_a_small_window_is_kept_to():
    text = "".join(chr(33 + number * 7 % 90) for number in range(50_000))
    (frame,) = frames(Message(f"4{text}"), 9, 1)
    assert zlib.decompressobj(-9).decompress(frame.payload + b"\x00\x00\xff\xff").decode() == f"4{text}"
