"""What reads a client's messages, and what a server encodes with, for each serializer."""

import msgpack
import pytest
import socketio
from socketio.msgpack_packet import MsgPackPacket

from rtlab.errors import ProtocolError, UsageError
from rtlab.realtime.packets import packet_class, reader
from rtlab.wire.socketio import Packet, PacketType


def test_messagepack_of_a_client_without_auth_reads_as_none():
    undefined = msgpack.packb({"type": 0, "nsp": "/", "data": msgpack.ExtType(0, b"\0")})
    assert reader(packet_class("msgpack"), 1).add(undefined) == Packet(PacketType.CONNECT)


def test_messagepack_without_data_has_no_key_for_it():
    encoded = packet_class("msgpack")(socketio.packet.DISCONNECT, namespace="/x").encode()
    assert msgpack.unpackb(encoded) == {"type": 1, "nsp": "/x"}


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x01\x02", b"\x91" * 5000, b"\xd9\xff\xff", "2[]"], ids=repr)
def test_what_is_no_messagepack_breaks_the_rules(frame):
    with pytest.raises(ProtocolError):
        reader(packet_class("msgpack"), 1).add(frame)


def test_extension_types_of_an_application_are_kept():
    class Money:
        pass

    def dump(value):
        return msgpack.ExtType(7, b"m")

    def load(code, data):
        return Money() if code == 7 else msgpack.ExtType(code, data)

    encoder = packet_class(MsgPackPacket.configure(dumps_default=dump, ext_hook=load))
    encoded = encoder(socketio.packet.EVENT, ["pay", Money()], namespace="/").encode()
    assert isinstance(reader(encoder, 1).add(encoded).data[1], Money)


@pytest.mark.parametrize("serializer", ["pickle", None, int, 5], ids=repr)
def test_anything_else_is_no_serializer(serializer):
    with pytest.raises(UsageError, match="serializer"):
        packet_class(serializer)
