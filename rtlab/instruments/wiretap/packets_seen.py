"""From packets of Engine.IO and Socket.IO to the words for them.

What lives here: pure functions that make a `PacketSeen`. They must not know
sessions, nor what came before. What differs from run to run is replaced by `labels` afterwards.
"""

from __future__ import annotations

from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.transcript.wording import SCANNED, printable
from rtlab.wire import engineio, socketio
from rtlab.wire.engineio import EnginePacketType as EngineIO
from rtlab.wire.socketio import PacketType as SocketIO
from rtlab.wire.socketio_packets import say

__all__ = ["attachment_seen", "engineio_seen", "message_seen", "socketio_seen", "unreadable"]


def engineio_seen(packet: engineio.EnginePacket, handshake: engineio.Handshake | None = None) -> PacketSeen:
    """A packet that is Engine.IO's own, or a message that nobody here reads."""
    name = packet.type.name
    says = f"Engine.IO {name}"
    if packet.type in {EngineIO.PING, EngineIO.PONG}:
        meant = {"": " · heartbeat", "probe": " · upgrade: probe"}.get(str(packet.data), f" {packet.data!r}")
        return PacketSeen(engineio=name, says=f"{says}{meant}")
    says += {
        EngineIO.UPGRADE: " · the session goes on over this WebSocket",
        EngineIO.NOOP: " · ends a request that waits",
        EngineIO.CLOSE: " · the session ends",
    }.get(packet.type, "")
    if handshake is not None:
        upgrades = f"upgrades to {', '.join(handshake.upgrades)}" if handshake.upgrades else "no upgrades"
        every, timeout = (f"{each / 1000:g} s" for each in (handshake.ping_interval_ms, handshake.ping_timeout_ms))
        says += f" · {handshake.sid}, {upgrades}, a PING every {every}, {timeout} for the PONG"
    return PacketSeen(engineio=name, says=printable(says))


def message_seen(words: str) -> PacketSeen:
    """A MESSAGE about which this is all that can be said."""
    return PacketSeen(engineio="MESSAGE", says=f"Engine.IO MESSAGE · {words}")


def socketio_seen(packet: socketio.Packet, attachments: int = 0, *, parser: str = "") -> PacketSeen:
    """A Socket.IO packet.

    Args:
        packet: what was read; with placeholders where attachments are missing.
        attachments: how many follow.
        parser: the name of the parser, where it is not the usual one: nobody can read those bytes, so the data is said.
    """
    kind = packet.type
    name = f"BINARY_{kind.name}" if attachments else kind.name
    data = "" if attachments else _data(packet)
    words = f"Socket.IO {name}"
    where = printable(packet.namespace[:SCANNED])
    event = str(packet.data[0])[:SCANNED] if kind is SocketIO.EVENT else ""
    if kind is SocketIO.EVENT:
        asks = "" if packet.id is None else f", asks for ack {packet.id}"
        words += f" {event!r} in {where}{asks}"
    elif kind is SocketIO.ACK:
        words += f" {packet.id} in {where}"
    elif kind is SocketIO.DISCONNECT:
        words += f" from {where}"
    elif kind is SocketIO.CONNECT_ERROR:
        words += f" for {where}{_reason(packet.data)}"
    else:
        words += f" to {where}{_identity(packet.data)}"
    if attachments:
        words += f", {_attachments(attachments)}"
    if parser:
        words += f" ({parser}{f': {data}' if data and kind in {SocketIO.EVENT, SocketIO.ACK} else ''})"
    return PacketSeen(
        engineio="MESSAGE",
        socketio=name,
        namespace=packet.namespace[:SCANNED],
        event=event,
        ack=packet.id,
        socket=_socket(packet),
        data=data,
        says=f"Engine.IO MESSAGE · {words}"[:SCANNED],
    )


def attachment_seen(first: PacketSeen, number: int, count: int, packet: socketio.Packet | None) -> PacketSeen:
    """An attachment.

    Args:
        first: the packet that has announced it.
        number: 1, 2 …
        count: how many there are.
        packet: what it completes; None if more are missing.
    """
    what = f"ack {first.ack}" if first.socketio == "BINARY_ACK" else repr(first.event)
    return PacketSeen(
        engineio="MESSAGE",
        socketio=first.socketio,
        namespace=first.namespace,
        event=first.event,
        data="" if packet is None else _data(packet),
        says=f"Engine.IO MESSAGE · attachment {number} of {count} of {what}",
    )


def unreadable() -> PacketSeen:
    """What is no packet; the row says what is wrong with it."""
    return PacketSeen(says="not an Engine.IO packet")


def _data(packet: socketio.Packet) -> str:
    if packet.type is SocketIO.EVENT:
        values = packet.data[1:]
    elif packet.type is SocketIO.ACK:
        values = packet.data
    else:
        values = [] if packet.data is None else [packet.data]
    return printable(say(values)[:SCANNED])


def _reason(data: object) -> str:
    message = data.get("message") if isinstance(data, dict) else data
    return f": {message!r}" if isinstance(message, str) else ""


def _socket(packet: socketio.Packet) -> str:
    sid = packet.data.get("sid") if packet.type is SocketIO.CONNECT and packet.data else None
    return sid if isinstance(sid, str) else ""


def _identity(data: object) -> str:
    """What a CONNECT says: in the request what the client lets itself in with, in the answer its socket's id."""
    if not isinstance(data, dict) or not data:
        return ""
    sid = data.get("sid")
    return f" as {printable(sid)}" if isinstance(sid, str) else f" with {', '.join(map(repr, data))}"


def _attachments(count: int) -> str:
    return "1 attachment" if count == 1 else f"{count} attachments"
