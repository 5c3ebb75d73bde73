"""One packet that has gone by: what it is, and the words for it.

What lives here: `PacketSeen`, a value. It must not know how packets are read.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PacketSeen"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PacketSeen:
    """One Engine.IO packet, and the Socket.IO packet in it."""

    engineio: str = ""
    """OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE or NOOP; empty if it cannot be read."""
    socketio: str = ""
    """CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT or BINARY_ACK, as on the wire, attachments too;
    empty if there is none."""
    namespace: str = ""
    """Of the Socket.IO packet."""
    event: str = ""
    """The name of the event, also of what belongs to it: attachments and the acknowledgement."""
    ack: int | None = None
    """The id that asks for an acknowledgement, or that it gives. Each namespace and each side counts on its own."""
    socket: str = ""
    """The id of the socket that a CONNECT of the server grants, by its label: "socket-1"."""
    data: str = ""
    """What the packet carries, as JSON, with the number of bytes for bytes; the first `SCANNED` characters of it. Empty
    until all attachments are here."""
    says: str
    """What it is, in words."""
    answers: int | None = None
    """The clock of what it answers."""
    asked: str = ""
    """What that was, in words."""

    def __str__(self) -> str:
        """One line for people: Engine.IO MESSAGE · Socket.IO ACK 3 in /, answers row 12: 'chat:join'."""
        return self.says if self.answers is None else f"{self.says}, answers row {self.answers}: {self.asked}"
