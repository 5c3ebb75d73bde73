"""The chat that the course builds, with its page and a client for scripts.

Names come on first use, so that a client does not load the server.

The contract is in ``notebooks/appendix_contract.ipynb``: every event with its payload, its acknowledgement and its
error codes, and how a client comes back without losing a message. In one line for each event, on ``/``:

=================  ===================================  ==============================================================
event              payload                              acknowledgement, and what others hear
=================  ===================================  ==============================================================
session            {id}, from the server                none
chat:join          room, or {room, after}               {status, room, members, missed, complete, lost, offset}; to
                                                        itself chat:history [message], to others chat:userJoined
chat:leave         room                                 {status}; to others chat:userLeft
chat:message       {room, text, clientId?}              {status, id, offset}; to all in the room chat:message {id,
                                                        username, text, room, timestamp, offset, clientId?}
chat:typing        room                                 {status}; to others chat:typing, every 2 s at most
room:join, :leave  room (of a space of their own)       {status}; to others room:userJoined, room:userLeft
session:restore    the id of one's earlier session      {status, rooms}; to itself session:restored {rooms}
token:refresh      a token of the same user that        {status, exp}
                   expires later
server:draining    {}, from the server                  none
=================  ===================================  ==============================================================

and on ``/notifications`` ``subscribe`` and ``unsubscribe`` with a list of topics, acknowledged {status, topics}. There
``await app[CHAT].notify(topic, data)`` sends ``notification`` {topic, …} to all who have subscribed to a topic.

All tokens with one ``sub`` are one user. A user has one budget of events for all its connections, and finds it as it
was when it comes back (`users`). One token of the budget pays for an event and for 32 KiB that the event makes the
server send. An event that costs more leaves the user in debt (`costs`): until that is paid, further events are answered
``rate_limited``. So a join with a large history, and a message to a thousand members, count as several events. A page
of history has at most ``Limits.page_bytes``: with fewer messages, and ``complete`` false where more follow. A room
belongs to the user who made it; when there is no place for another room, a user's own empty rooms make way first
(`presence`).

A message, from a client to all in its room:

1. `rtlab.realtime` (its docstring has the way up to here) calls the handler that `chat` has put at each namespace;
2. ``Chat._handle`` finds the client among the `connections`, charges its user (in `users`, a
   `rtlab.realtime.budgets.Bucket`), and calls a method of `events`;
3. there `payloads` reads what it says, `presence` knows whether it is in the room, and a store (``stores/``) keeps it;
4. it is emitted to the room through `rtlab.realtime`, and the method's result is the acknowledgement.

Several processes that are given one Redis are one chat, its nodes (`create_app` says what holds over all of them). A
message is stored and published in one script (`stores.redis_history`), and so is who comes and goes
(`stores.presence_scripts`); each node takes what is published from python-socketio's manager, in one order. `node` says
that the process lives, buries the dead, and makes up for what Redis missed; `stores.redis_keys` lists what is kept.

The way of a message through a client for scripts, until it is acknowledged, is in `client`.

- Why was this client cut off? The logger ``rtlab.chat`` warns of each refused token and of each connection that it
  ends, with the reason (``token_expired``, ``rate_limited``; decided in `connections`); at INFO it says who connects
  and disconnects. ``rtlab.realtime`` says why a connection ended. Lines that repeat are summed up.
- Which limits are there, and what do they cost? `limits` has a table.
- Where is the largest payload set? ``Limits.payload_bytes`` in `limits`; `rtlab.realtime` holds clients to it.
- What happens while Redis is away? Whoever asks is told ``unavailable`` within 2 s (`stores.redis_link`), nobody is let
  in, ``/health/ready`` answers 503, ``rtlab_chat_redis_up`` is 0. Within 2.5 s of its return all goes on by itself.
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
    from rtlab.chat.client.arrivals import Messages as Messages
    from rtlab.chat.client.chat_client import Client as Client
    from rtlab.chat.client.chat_client import connect as connect
    from rtlab.chat.client.following import Joined as Joined
    from rtlab.chat.client.outbox import Posted as Posted
    from rtlab.chat.client.outbox import Sent as Sent
    from rtlab.chat.client.watching import Watching as Watching
    from rtlab.chat.limits import Limits as Limits
    from rtlab.chat.notebook import show as show
    from rtlab.chat.stores.memory import MemoryHistory as MemoryHistory
    from rtlab.chat.stores.memory import MemorySessions as MemorySessions
    from rtlab.errors import ChatError as ChatError
    from rtlab.errors import ChatRefusedError as ChatRefusedError
    from rtlab.errors import ChatUnansweredError as ChatUnansweredError
    from rtlab.errors import InvalidToken as InvalidToken

_HOMES = {
    "CHAT": "rtlab.chat.app",
    "Chat": "rtlab.chat.chat",
    "ChatError": "rtlab.errors",
    "ChatRefusedError": "rtlab.errors",
    "ChatUnansweredError": "rtlab.errors",
    "Client": "rtlab.chat.client.chat_client",
    "Identity": "rtlab.chat.auth",
    "InvalidToken": "rtlab.errors",
    "Joined": "rtlab.chat.client.following",
    "Limits": "rtlab.chat.limits",
    "MemoryHistory": "rtlab.chat.stores.memory",
    "MemorySessions": "rtlab.chat.stores.memory",
    "Messages": "rtlab.chat.client.arrivals",
    "Posted": "rtlab.chat.client.outbox",
    "Sent": "rtlab.chat.client.outbox",
    "Watching": "rtlab.chat.client.watching",
    "connect": "rtlab.chat.client.chat_client",
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
    "ChatUnansweredError",
    "Client",
    "Identity",
    "InvalidToken",
    "Joined",
    "Limits",
    "MemoryHistory",
    "MemorySessions",
    "Messages",
    "Posted",
    "Sent",
    "Watching",
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
