"""Engine.IO sessions, as an onlooker sees them: which connections belong together, and what answers what.

What lives here: `SessionsSeen`, all those of a tap, and `SessionSeen`, which reads the packets of one, whichever
connections they take. It must not know HTTP or frames; `session_reader` does. Nothing that comes over a wire raises
here. No I/O.

A number here is that of a row in the order in which rows come; the recording makes clocks of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from rtlab.errors import ProtocolError
from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.wiretap.packets_seen import (
    attachment_seen,
    engineio_seen,
    message_seen,
    socketio_seen,
    unreadable,
)
from rtlab.wire import engineio, socketio
from rtlab.wire.engineio import EnginePacketType as EngineIO
from rtlab.wire.socketio import PacketType as SocketIO

__all__ = ["SessionSeen", "SessionsSeen"]

SESSIONS = 5_000
"""Sessions that are remembered. One that comes back after so many others is read as if it had just begun."""
UNANSWERED = 1_000
"""Events of one session that wait for their acknowledgement. Older ones are given up."""
LONGEST = 300
"""Characters of a session's id, a namespace or the data of a PING by which something is remembered. What has longer
ones is shown, and not matched with its answer: a megabyte of them would be kept for each."""
ATTACHMENTS = 100
"""Attachments of a packet that are read here: more than a server takes, for that is worth seeing."""
ACKNOWLEDGEMENT = "Socket.IO protocol v5, Acknowledgement"
UNREAD = "bytes, not read: the Python package msgpack is missing"


@dataclass(frozen=True, slots=True)
class _Asked:
    """What may be answered."""

    number: int
    """Its row."""
    words: str
    event: str = ""


class SessionsSeen:
    """The sessions of a tap, by their ids.

    Args:
        next_number: the number of the row that is recorded next.
    """

    def __init__(self, next_number: Callable[[], int]) -> None:
        self.next_number = next_number
        self._known: dict[str, SessionSeen] = {}

    def of(self, sid: str, client: int, *, plain: bool, begins: bool = False) -> SessionSeen:
        """The session with this id; a new one if there is none.

        Args:
            sid: its id.
            client: the number of the connection on which it is seen first.
            plain: whether there is no Socket.IO in it.
            begins: whether this is its handshake.
        """
        session = self._known.pop(sid, None)
        if session is None:
            session = SessionSeen(sid, client, plain=plain, whole=begins)
        if len(sid) <= LONGEST:
            self._known[sid] = session
        if len(self._known) > SESSIONS:
            del self._known[next(iter(self._known))]
        return session

    def adopt(self, session: SessionSeen) -> None:
        """A session has got its id, over the WebSocket with which it began."""
        if len(session.sid) <= LONGEST:
            self._known[session.sid] = session


class SessionSeen:
    """One session.

    Args:
        sid: its id; empty until the handshake tells it.
        client: whose it is, by the number of its first connection.
        plain: whether there is no Socket.IO in it.
        whole: whether it has been seen from its handshake on, so that nothing was missed.
    """

    def __init__(self, sid: str, client: int, *, plain: bool, whole: bool) -> None:
        self.sid = sid
        self.client = client
        self._plain = plain
        self._whole = whole
        self._decoders = {direction: socketio.Decoder(max_attachments=ATTACHMENTS) for direction in Direction}
        self._first: dict[Direction, tuple[PacketSeen, int]] = {}  # what has announced attachments, and how many
        self._events: dict[tuple[Direction, str, int], _Asked] = {}
        self._connects: dict[str, _Asked] = {}  # by namespace
        self._pings: dict[tuple[Direction, str], _Asked] = {}

    def read(self, direction: Direction, data: str | bytes, number: int) -> tuple[PacketSeen, str]:
        """The packet in this text or these bytes, which are in the row with this number, and what is wrong with it."""
        try:
            packet = engineio.decode_packet(data)
        except ProtocolError as error:
            return unreadable(), str(error)
        if packet.type is EngineIO.MESSAGE:
            return self._message(direction, packet.data, number)
        if packet.type is EngineIO.OPEN:
            try:
                handshake = engineio.Handshake.decode(packet.data)
            except ProtocolError as error:
                return engineio_seen(packet), str(error)
            self.sid = self.sid or handshake.sid
            return engineio_seen(packet, handshake), ""
        seen = engineio_seen(packet)
        if packet.type is EngineIO.PING and len(packet.data or "") <= LONGEST:
            self._pings[direction, str(packet.data)] = _Asked(number, "PING")
            if len(self._pings) > UNANSWERED:
                del self._pings[next(iter(self._pings))]
        elif packet.type is EngineIO.PONG:
            seen = _answer(seen, self._pings.pop((direction.back, str(packet.data)), None))
        return seen, ""

    def miss(self, direction: Direction) -> None:
        """Packets of this direction are not read: acknowledgements may be among them, and attachments."""
        self._whole = False
        self._decoders[direction] = socketio.Decoder(max_attachments=ATTACHMENTS)

    def _message(self, direction: Direction, data: str | bytes, number: int) -> tuple[PacketSeen, str]:
        if self._plain:
            return message_seen(f"{len(data):,} {'bytes' if isinstance(data, bytes) else 'characters'}"), ""
        decoder = self._decoders[direction]
        if isinstance(data, bytes):
            if not decoder.pending:
                return self._binary(direction, data, number)
            first, count = self._first[direction]
            index = count - decoder.pending + 1
            packet = decoder.add(data)
            return attachment_seen(first, index, count, packet), ""
        problem = ""
        if decoder.pending:
            missing = decoder.pending
            problem = f"{missing} of the attachments before it never came (Socket.IO protocol v5, Packet encoding)"
            self._decoders[direction] = decoder = socketio.Decoder(max_attachments=ATTACHMENTS)
        try:
            packet = decoder.add(data) or decoder.incomplete
        except ProtocolError as error:
            return message_seen("not a Socket.IO packet"), f"{problem}; {error}" if problem else str(error)
        assert packet is not None  # it is complete, or attachments are missing
        seen, wrong = self._paired(direction, packet, number, socketio_seen(packet, decoder.pending))
        if decoder.pending:
            self._first[direction] = seen, decoder.pending
        return seen, "; ".join(filter(None, (problem, wrong)))

    def _binary(self, direction: Direction, data: bytes, number: int) -> tuple[PacketSeen, str]:
        """Bytes that no packet has announced: MessagePack, or a mistake."""
        try:
            fields = _unpack(data)
            if fields is None:
                socketio.Decoder().add(data)
            packet = socketio.from_fields(fields)
        except ProtocolError as error:
            return message_seen("not a Socket.IO packet"), str(error)
        except ImportError:
            return message_seen(UNREAD), ""
        return self._paired(direction, packet, number, socketio_seen(packet, parser="MessagePack"))

    def _paired(
        self, direction: Direction, packet: socketio.Packet, number: int, seen: PacketSeen
    ) -> tuple[PacketSeen, str]:
        """A Socket.IO packet with what it answers, and what is wrong with that."""
        where = packet.namespace
        if len(where) > LONGEST:
            return seen, ""
        if packet.type is SocketIO.EVENT and packet.id is not None:
            self._events[direction, where, packet.id] = _Asked(number, repr(seen.event), seen.event)
            if len(self._events) > UNANSWERED:
                self._whole = False
                del self._events[next(iter(self._events))]
        elif packet.type is SocketIO.ACK and packet.id is not None:
            asked = self._events.pop((direction.back, where, packet.id), None)
            if asked is None and self._whole:
                return seen, f"no event waits for ack {packet.id} ({ACKNOWLEDGEMENT})"
            return _answer(seen, asked), ""
        elif packet.type is SocketIO.CONNECT and direction is Direction.TO_SERVER:
            self._connects[where] = _Asked(number, "CONNECT")
            if len(self._connects) > UNANSWERED:
                del self._connects[next(iter(self._connects))]
        elif packet.type in {SocketIO.CONNECT, SocketIO.CONNECT_ERROR}:
            return _answer(seen, self._connects.pop(where, None)), ""
        return seen, ""


def _answer(seen: PacketSeen, asked: _Asked | None) -> PacketSeen:
    if asked is None:
        return seen
    return replace(seen, answers=asked.number, asked=asked.words, event=asked.event)


def _unpack(data: bytes) -> object:
    """The dict that a MessagePack parser would read; None if this is not MessagePack, or nothing like a packet.

    Raises:
        ImportError: nobody has installed msgpack.
    """
    import msgpack

    try:
        fields = msgpack.unpackb(data)
    except (ValueError, TypeError, OverflowError):  # its exceptions are ValueErrors; the others come from odd keys
        return None
    return fields if isinstance(fields, dict) and "type" in fields and "nsp" in fields else None
