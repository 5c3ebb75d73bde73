"""How much the chat takes: of each field, of each client, of each user, of everybody together.

What lives here: the constants, and `Limits`, which gathers those that an application may want to change. It must not
know how a limit is enforced.

What it costs at most, by default, in bytes of memory as Python takes them; all names and texts of four-byte characters:

====================================  ========================  =======================================================
what a client can make grow           at most                   bounded by
====================================  ========================  =======================================================
messages of all rooms                 200 MB                    `Limits.history_bytes`; full of English, 50,000 messages
                                                                of 1,000 letters, it is less than 100 MB
rooms of sessions that ended          50 MB                     `rtlab.chat.stores.memory.SESSION_BYTES`
names of rooms                        1 MB                      `Limits.rooms`, of each kind
who is in which room                  2 MB for a user           20 connections in 50 rooms of each kind: 0.5 MB of ours
                                                                and 0.25 MB of python-socketio's for each kind
topics                                1 MB for a user           20 connections with 50 of them each
budgets of who has left               10 MB                     `ABSENT_USERS`, 1 KB each
who types where                       60 KB for a user          its rate, and `TYPING_S`
answers and what others hear          640 KiB/s for a user      `Limits.events_per_s` times `rtlab.chat.costs`, 32 KiB a
                                                                token; at once what a burst is, and one event more
a join's answer                       128 KiB, and the names    `Limits.page_bytes`; 1,000 `members` of 32 emoji are
                                                                390 KB of JSON, and are charged as such
lines of the log                      half a line a second for  `LINES_PER_S`; of everything that is refused, five lines
                                      a user who comes and      and a sum in ten seconds (`rtlab.servers.repeats`)
                                      goes
====================================  ========================  =======================================================

With Redis, messages and sessions are there instead. `Limits.history_bytes` bounds the messages of all nodes together,
counted as a packed record and `rtlab.chat.stores.redis_history.AROUND_ENTRY`; sessions are 50 of a user, 1.3 MB, and
expire; who is where takes 1 KB for each user in a room. `Limits` holds over all nodes, but for `new_rooms_per_min`,
`events_per_s`, `burst`, `breaches`, and topics, which each node counts for itself.

What waits for clients that read slowly is the server's (`rtlab.realtime`). How many users there are is the business of
whoever issues tokens.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from rtlab.errors import UsageError

__all__ = [
    "ABSENT_USERS",
    "CLIENT_ID_LENGTH",
    "FEW_ROOMS",
    "LINES_BURST",
    "LINES_PER_S",
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
ABSENT_USERS = 10_000
"""Users without a connection whose budgets are kept until they are full again. About 1 KB each, so 10 MB at most."""
FEW_ROOMS = 10
"""While all rooms are taken, a user with fewer rooms than this may replace another user's empty room; a user with more
may replace only its own."""
LINES_PER_S = 0.5
"""Lines of the log on average that say that one user comes or goes; beyond that they are counted and summed up."""
LINES_BURST = 20
"""Such lines at once."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a chat holds and does for each of its users. A user is whom tokens call by one ``sub``.

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
    """Users in one room. Each counts once, with all its connections."""
    rooms_per_connection: int = 50
    """Rooms of each kind that one connection is in."""
    rooms_per_user: int = 100
    """Rooms of each kind that a user is in, over all its connections; and as many that it has made and that are empty
    or hold it. So five users at least fill a chat of 500 rooms."""
    new_rooms_per_min: float = 30.0
    """Rooms that a user makes per minute, on average; as many as `rooms_per_user` at once."""
    connections_per_user: int = 20
    """Connections of a user at the same time. The next is refused: `too_many_connections`. People have a few tabs; the
    rest is for connections that broke, which last until their ping timeout."""
    topics: int = 50
    """Topics that one connection subscribes to."""
    topics_per_user: int = 100
    """Different topics that a user subscribes to, over all its connections."""
    payload_bytes: int = 1_000_000
    """Bytes that a client may send at once: a WebSocket message, or the body of a POST. More ends its connection. The
    handshake tells clients (``maxPayload``)."""
    history: int = 100
    """Messages kept per room, and given to whoever comes back and names an offset, in pages of `history_on_join`."""
    history_bytes: int = 200_000_000
    """Bytes of memory for all messages together, with what Python keeps around each. Beyond that the room that takes
    most loses its oldest ones."""
    history_on_join: int = 50
    """Messages that a join is answered with."""
    page_bytes: int = 131_072
    """Bytes of JSON of these messages: 50 take less in English. A page that would be larger has fewer."""
    events_per_s: float = 20.0
    """Events of one user per second, on average, over all its connections. What makes us send more than 32 KiB counts
    as several, by `rtlab.chat.costs`."""
    burst: int = 40
    """Events of one user at once."""
    breaches: int = 20
    """Refused events before the connection is ended. Only a connection that sends more than its share, which is the
    user's rate divided by its connections, is ended. The count begins anew when its bucket is full again."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise UsageError(f"Limits({each.name}={value!r}): expected a positive number.")
