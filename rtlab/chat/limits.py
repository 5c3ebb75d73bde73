"""How much the chat takes: of each field, of each client, of everybody together.

What lives here: the constants, and `Limits`, which gathers those that an application may want to change. It must not
know how a limit is enforced.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from rtlab.errors import UsageError

__all__ = [
    "CLIENT_ID_LENGTH",
    "NAME_LENGTH",
    "OFFSET_LENGTH",
    "SESSION_ID_LENGTH",
    "TOKEN_LENGTH",
    "TYPING_S",
    "Limits",
]

CLIENT_ID_LENGTH = 64
"""Characters of an id that a client gives to its own message: a UUID has 36."""
NAME_LENGTH = 32
"""Characters of a user's name, and of the id that stands for the user in a token."""
OFFSET_LENGTH = 40
"""Characters of an offset: two 64-bit numbers and a dash have 41 at most, and milliseconds never get there."""
SESSION_ID_LENGTH = 64
"""Characters of a session's id."""
TOKEN_LENGTH = 4096
"""Characters of a token. Ours have about 200; a header of 8 KiB is what proxies let through."""
TYPING_S = 2.0
"""Seconds between two notices that the same user types in the same room. A client shows one for 3 s."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a chat holds. Everything in memory is a product of these: by default history is at most 500 rooms with 100
    messages of 1,000 characters, which is 200 MB if each character takes four bytes, and a tenth of that in English.

    Raises:
        UsageError: one of them is no positive number.
    """

    text: int = 1000
    """Characters of a message."""
    room_name: int = 64
    """Characters of a room's or a topic's name."""
    rooms: int = 500
    """Chat rooms, occupied or with a history; and as many plain rooms."""
    members: int = 1000
    """Connections in one room."""
    rooms_per_connection: int = 50
    """Rooms of each kind that one connection is in."""
    topics: int = 50
    """Topics that one connection subscribes to."""
    payload_bytes: int = 1_000_000
    """Bytes that a client may send at once: a WebSocket message, or the body of a POST. More ends its connection. The
    handshake tells clients (``maxPayload``)."""
    history: int = 100
    """Messages kept per room, and given to whoever comes back and names an offset, in pages of `history_on_join`."""
    history_on_join: int = 50
    """Messages that a join is answered with."""
    events_per_s: float = 20.0
    """Events of one connection per second, on average."""
    burst: int = 40
    """Events of one connection at once."""
    breaches: int = 20
    """Events over the rate that are answered with an error before the connection is ended. One that keeps to the rate
    for as long as a full burst takes to come back is forgiven."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UsageError(f"Limits({each.name}={value!r}): expected a positive number.")
