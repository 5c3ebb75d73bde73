"""The chat that the course builds, with its page and a client for scripts.

Names come on first use, so that a client does not load the server.

The contract. Connecting needs ``auth: {token}`` in every namespace: a JSON Web Token, HS256, with ``sub``, ``username``
and ``exp``. A refusal is a ``connect_error`` {message, data: {code}}: ``token_missing`` ("Authentication required"),
``token_invalid`` or ``token_expired`` ("Invalid token"). Who has a good token and is refused may come back later:
``rate_limited`` ("Too many attempts"), ``too_many_connections`` (of one user) or ``draining``. The stay ends when the
token does. On ``/``:

=================  ===================================  ==============================================================
event              payload                              acknowledgement, and what others hear
=================  ===================================  ==============================================================
session            {id}, from the server                none
chat:join          room, or {room, after}               {status, room, members, missed, complete}; to itself
                                                        chat:history [message], to others chat:userJoined
chat:leave         room                                 {status}; to others chat:userLeft
chat:message       {room, text, clientId?}              {status, id, offset}; to all in the room chat:message {id,
                                                        username, text, room, timestamp, offset, clientId?}
chat:typing        room                                 {status}; to others chat:typing, every 2 s at most
room:join, :leave  room (of a space of their own)       {status}; to others room:userJoined, room:userLeft
session:restore    the id of one's earlier session      {status, rooms}; to itself session:restored {rooms}
token:refresh      a token of the same user that ends   {status, exp}
                   later
server:draining    {}, from the server                  none
=================  ===================================  ==============================================================

chat:userJoined, chat:userLeft and chat:typing say {username, room}; room:userJoined and room:userLeft {user, room}. On
``/notifications``: ``subscribe`` and ``unsubscribe`` a list of topics, acknowledged {status, topics}, and
``notification`` {topic, …} from the server. Whatever is not done is acknowledged {status: "error", code, message}, with
one of these codes: ``bad_payload``, ``unknown_event``; ``not_a_member``, ``forbidden``, ``too_many_rooms`` (of one
connection or user), ``rooms_full``, ``room_full``, ``unknown_session``; ``token_invalid``, ``token_expired``;
``rate_limited``, ``gone``, ``server_error``.

A user is whom tokens call by one ``sub``. What it may say is one budget for all its connections, which it finds again
when it comes back (`users`). A token of the budget pays for an event and for 32 KiB that it makes us send. An event
that costs more leaves the user in debt (`costs`): until that is paid, further events are answered ``rate_limited``. So
a join with a large history, and a message to a thousand members, are several events. A page of history has at most
``Limits.page_bytes``: with fewer messages, and ``complete`` false where more follow. A room belongs to whoever made it,
and where places are out a user's own empty rooms make way first (`presence`).

A message, from a client to all in its room:

1. `rtlab.realtime` (its docstring has the way up to here) calls the handler that `chat` has put at each namespace;
2. ``Chat._handle`` finds the client among the `connections`, charges its user (in `users`, a
   `rtlab.realtime.budgets.Bucket`), and calls a method of `events`;
3. there `payloads` reads what it says, `presence` knows whether it is in the room, and a store (``stores/``) keeps it;
4. it is emitted to the room through `rtlab.realtime`, and the method's result is the acknowledgement.

- Why was this client cut off? The logger ``rtlab.chat`` says whose token was refused, whose stay was ended
  (``token_expired``, ``rate_limited``; decided in `connections`) and who was disconnected; ``rtlab.realtime`` says why
  its connection ended. Both at INFO, for an app that has configured logging. What repeats is summed up.
- Which limits are there, and what do they cost? `limits` has a table.
- Where is the largest payload set? ``Limits.payload_bytes`` in `limits`; `rtlab.realtime` holds clients to it.
- What happens on SIGTERM? A host of the app calls `Chat.drain` (in `chat`) first, while it still listens, or the app's
  shutdown does: nobody new is let in, those who are there hear ``server:draining``, and about a second later their
  sessions end as those of a server that goes away, so that clients come back by themselves.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rtlab.chat.app import CHAT as CHAT
    from rtlab.chat.app import create_app as create_app
    from rtlab.chat.auth import Identity as Identity
    from rtlab.chat.auth import issue_token as issue_token
    from rtlab.chat.auth import verify as verify
    from rtlab.chat.chat import Chat as Chat
    from rtlab.chat.client import Client as Client
    from rtlab.chat.client import connect as connect
    from rtlab.chat.limits import Limits as Limits
    from rtlab.chat.notebook import show as show
    from rtlab.chat.stores.memory import MemoryHistory as MemoryHistory
    from rtlab.chat.stores.memory import MemorySessions as MemorySessions
    from rtlab.errors import ChatError as ChatError
    from rtlab.errors import ChatRefusedError as ChatRefusedError
    from rtlab.errors import InvalidToken as InvalidToken

_HOMES = {
    "CHAT": "rtlab.chat.app",
    "Chat": "rtlab.chat.chat",
    "ChatError": "rtlab.errors",
    "ChatRefusedError": "rtlab.errors",
    "Client": "rtlab.chat.client",
    "Identity": "rtlab.chat.auth",
    "InvalidToken": "rtlab.errors",
    "Limits": "rtlab.chat.limits",
    "MemoryHistory": "rtlab.chat.stores.memory",
    "MemorySessions": "rtlab.chat.stores.memory",
    "connect": "rtlab.chat.client",
    "create_app": "rtlab.chat.app",
    "issue_token": "rtlab.chat.auth",
    "show": "rtlab.chat.notebook",
    "verify": "rtlab.chat.auth",
}

__all__ = [
    "CHAT",
    "Chat",
    "ChatError",
    "ChatRefusedError",
    "Client",
    "Identity",
    "InvalidToken",
    "Limits",
    "MemoryHistory",
    "MemorySessions",
    "connect",
    "create_app",
    "issue_token",
    "show",
    "verify",
]


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'rtlab.chat' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
