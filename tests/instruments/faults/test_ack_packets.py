"""Which packets are acks: told from their first bytes, over text and MessagePack, with attachments."""

import base64

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.faults.ack_packets import AckPackets
from rtlab.wire.engineio import EnginePacket, EnginePacketType, encode_packet
from rtlab.wire.socketio import Packet, PacketType, encode


def on_the_wire(packet):
    """The packets of Engine.IO that carry one of Socket.IO."""
    whole = [encode_packet(EnginePacket(EnginePacketType.MESSAGE, each)) for each in encode(packet)]
    return [each.encode() if isinstance(each, str) else each for each in whole]


def ask(packets, data, text, swallowing=True):
    """Byte by byte, as it may come; gives what is said in the end."""
    method = packets.text if text else packets.binary
    for end in range(1, len(data)):
        said = method(data[:end], whole=False, swallowing=swallowing)
        if said is not None:
            return said
    return method(data, whole=True, swallowing=swallowing)


def swallowed_of(packets, packet, swallowing=True):
    first, *rest = on_the_wire(packet)
    return [ask(packets, first, True, swallowing), *(ask(packets, each, False, swallowing) for each in rest)]


ACK = Packet(PacketType.ACK, data=["x"], id=3)
IMAGE = Packet(PacketType.EVENT, data=["image", b"one", b"two"])


@pytest.mark.parametrize(
    ("packet", "swallowed"),
    [
        (ACK, [True]),
        (Packet(PacketType.ACK, "/admin", [], 12345), [True]),
        (Packet(PacketType.ACK, data=[b"one", {"two": b"two"}], id=0), [True] * 3),
        (Packet(PacketType.EVENT, data=["43"], id=3), [False]),
        (IMAGE, [False] * 3),
        (Packet(PacketType.CONNECT, data={"sid": "43"}), [False]),
        (Packet(PacketType.CONNECT_ERROR, data={"message": "no"}), [False]),
        (Packet(PacketType.DISCONNECT), [False]),
    ],
)
def test_acks_and_their_attachments(packet, swallowed):
    packets = AckPackets()
    assert swallowed_of(packets, packet) == swallowed
    assert packets.swallowed == any(swallowed)
    assert packets.idle
    assert not any(swallowed_of(packets, packet, swallowing=False))


@pytest.mark.parametrize("data", [b"", b"2", b"3", b"6", b"43"[:1], b"4", b"46", b"46x", b"460000000000-", b"b", b"b!"])
def test_engine_ios_own_packets_and_nonsense_pass(data):
    assert not AckPackets().text(data, whole=True, swallowing=True)


def test_a_ping_between_a_packet_and_its_attachments_changes_nothing():
    packets = AckPackets()
    head, one = on_the_wire(Packet(PacketType.ACK, data=[b"one"], id=1))
    assert packets.text(head, whole=True, swallowing=True)
    assert not packets.text(b"2", whole=True, swallowing=True)
    assert packets.binary(one, whole=True, swallowing=True)


def test_what_has_begun_is_swallowed_whole_and_what_passed_passes_whole():
    packets = AckPackets()
    head, one = on_the_wire(Packet(PacketType.ACK, data=[b"one"], id=1))
    assert packets.text(head, whole=True, swallowing=True)
    assert packets.binary(one, whole=True, swallowing=False)
    assert not packets.text(head, whole=True, swallowing=False)
    assert not packets.binary(one, whole=True, swallowing=True)


def test_attachments_as_base64():
    packets = AckPackets()
    head, one = on_the_wire(Packet(PacketType.ACK, data=[b"one"], id=1))
    assert packets.text(head, whole=True, swallowing=True)
    assert packets.text(b"b" + base64.b64encode(one), whole=True, swallowing=True)
    assert not packets.text(b"b" + base64.b64encode(one), whole=True, swallowing=True)


@pytest.mark.parametrize("order", [["type", "data", "nsp", "id"], ["id", "nsp", "data", "type"]])
@pytest.mark.parametrize("kind", [0, 2, 3, 4])
@pytest.mark.parametrize("as_text", [False, True])
def test_message_pack_whatever_key_comes_first(order, kind, as_text):
    fields = {"type": kind, "data": ["type", {"type": 3 - kind, "x": [b"\x03"] * 20}], "nsp": "/", "id": 7}
    data = msgpack.packb({key: fields[key] for key in order})
    packets = AckPackets()
    data = b"b" + base64.b64encode(data) if as_text else data
    assert ask(packets, data, as_text) is (kind == 3)
    assert packets.swallowed == (kind == 3)


@pytest.mark.parametrize(
    "data",
    [b"", b"\x80", b"\x83", b"\x81\xa4type", b"\x81\xa4type\xa13", b"\xff" * 40, b"\x82\x01\x02\xc1", b"\x81" * 2000,
     msgpack.packb({"type": [3]}), msgpack.packb({"type": True}), msgpack.packb({"nsp": 1, "type": "3"})],
)  # fmt: skip
def test_binary_that_is_no_ack_passes(data):
    assert AckPackets().binary(data, whole=True, swallowing=True) is False


@given(st.binary(max_size=30), st.booleans(), st.booleans())
def test_any_bytes_get_an_answer(data, text, swallowing):
    assert ask(AckPackets(), data, text, swallowing) in {True, False}
