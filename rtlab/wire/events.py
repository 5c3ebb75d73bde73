"""What a connection tells the application: the events that `protocol.Connection.receive` gives.

What lives here: one frozen value for each kind. They hold whole messages; frames and fragments are gone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from rtlab.errors import ProtocolError

__all__ = ["BinaryMessage", "Closed", "Event", "Ping", "Pong", "TextMessage", "memory_of"]

PLACE_BYTES = 32
"""What a message costs in a queue beside itself: a place, and what the allocator adds to round its size up."""


def memory_of(data: str | bytes) -> int:
    """Bytes of memory that a message takes in a queue: of a `str` up to four for a byte of the wire, since one emoji is
    enough to make every character four bytes wide."""
    return sys.getsizeof(data) + PLACE_BYTES


@dataclass(frozen=True, slots=True)
class TextMessage:
    """A whole text message."""

    data: str

    @property
    def held(self) -> int:
        """Bytes of memory that the message takes in a queue."""
        return memory_of(self.data)


@dataclass(frozen=True, slots=True)
class BinaryMessage:
    """A whole binary message."""

    data: bytes

    @property
    def held(self) -> int:
        """Bytes of memory that the message takes in a queue."""
        return memory_of(self.data)


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a pong (§5.5.2). The answer is in `Connection.data_to_send` already."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer has answered a ping, or says something unasked (§5.5.3)."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """Nothing follows. The code is 1005 if the peer gave none, 1006 if it left without a word (§7.1.5)."""

    code: int
    reason: str = ""
    clean: bool = True
    """Whether close frames went both ways (§7.1.4)."""
    error: ProtocolError | None = None
    """What the peer did, where we failed the connection (§7.1.7)."""


Event = TextMessage | BinaryMessage | Ping | Pong | Closed
