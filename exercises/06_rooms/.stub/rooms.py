"""Exercise 06: rooms for a chat. Write the bodies of `register` and `send`, then run `rtlab grade 06`."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import socketio

LONGEST_NAME = 50
"""Characters of a room's name. One that is longer, or empty, or no text, is no name."""
EVERYONE: Any = object()
"""An audience: whoever is connected. Compare with `is`."""


def register(sio: socketio.AsyncServer, may_join: Callable[[str, str], Awaitable[bool]]) -> None:
    """Put the chat's four events, and `disconnect`, on a server.

    `connect` is there already: the session of each connection (`sio.get_session`) is {"username": "Ada"}. One user may
    have several connections. A connection is a member of a room from the time it has joined it until it leaves it or
    ends. A user is in a room while any connection of hers is a member of it.

    - `chat:join` with a room's name: if `may_join` allows it, this connection becomes a member. Its ack is
      {"status": "ok", "room": "tea", "members": ["Ada", "Mary"]}: the users in the room now, sorted, each once.
      If the user was not yet in the room, the other members hear `chat:userJoined` with {"username": "Ada"}.
    - `chat:leave` with a room's name ends the membership, if there is one: {"status": "ok"}. If the user is no longer
      in the room, those who still are hear `chat:userLeft` with {"username": "Ada"}. So they do, in each of its rooms,
      when a connection ends.
    - `chat:message` with {"room": "tea", "text": "Milk?"}, from a member: every member of the room, the sender
      included, hears `chat:message` with {"username": "Ada", "room": "tea", "text": "Milk?"}. The ack is
      {"status": "ok"}.
    - `chat:who` with a room's name, from a member: {"status": "ok", "members": ["Ada", "Mary"]}.

    Every event gets an ack, whatever comes with it, or nothing. Where it cannot be done, the ack is
    {"status": "error", "code": …} and nothing else happens. The code is "forbidden" where `may_join` says no,
    "not_a_member" where only a member may, and "bad_request" for a bad name, a bad text (not a str), or another shape,
    two arguments for example.

    Who hears of a change can rely on it: it has been made before anybody is told. Nothing is kept of a connection that
    has ended, nor of a room's name without a member.

    Clients choose names freely, and whatever they choose is a room of the chat and nothing else. An id of a socket, on
    this server or on another, is a name like any other: who takes it for a room hears nothing that is sent to that
    socket, and does nothing to it.

    Args:
        sio: the server; no handler but `connect` is on it.
        may_join: `await may_join("Ada", "tea")` tells whether Ada may join "tea". It is asked at each `chat:join`, and
            that may take a while. Until it has said yes, the connection is no member. If the connection has ended
            meanwhile, it becomes no member, and nobody hears of it. A member that joins again and is refused stays one.
    """
    raise NotImplementedError


async def send(sio: socketio.AsyncServer, sender: str | None, audience: Iterable[Any], event: str, data: Any) -> None:
    """Send an event to those who are meant, once each, and to nobody else.

    Args:
        sio: a server on which `register` has put the events.
        sender: the id of a connection that shall not hear it. None: everybody in the audience hears it.
        audience: the rooms whose members hear it, by the names that clients use, in any collection: a list, a tuple, a
            set, a generator. It can be empty, and it can hold what is no room's name: that reaches nobody. Or
            `EVERYONE`.
        event: the event's name.
        data: what goes with it, as one argument, whatever it is: None and a tuple, too.
    """
    raise NotImplementedError
