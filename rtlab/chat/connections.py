"""What the chat knows of each client: who it is, until when, and how much it says.

What lives here: `ChatConnection`, one for each Engine.IO session; `Visitor`, one for each namespace that it is in; and
`Connections`, which keeps them and ends them in time. What a user may do with all of them stands in `users`. It must
not know rooms or messages.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from rtlab.chat.auth import Identity
from rtlab.chat.clock import Clock
from rtlab.chat.limits import Limits
from rtlab.chat.users import User, Users
from rtlab.realtime.budgets import Bucket
from rtlab.servers.repeats import RepeatLog

__all__ = ["ChatConnection", "Connections", "Visitor"]

KEY = "rtlab.chat.connection"
"""Where an environment, which python-socketio keeps for each Engine.IO session, holds the connection."""
LOOK_AGAIN_S = 3600.0
"""Seconds after which the clock is read anew: it may have been set, or the machine have slept."""


@dataclass(eq=False)
class ChatConnection:
    """A client's connection, with all its namespaces."""

    eio_sid: str
    """Its Engine.IO session."""
    bucket: Bucket
    """What it says itself, whoever its user is: its share of the user's budget."""
    peer: str
    """The client's address."""
    visitors: set[Visitor] = field(default_factory=set)
    breaches: int = 0
    """Events over the rate, since it was last within its share for long."""
    thrown_out: bool = False
    """Whether it is about to end because it said too much."""


@dataclass(eq=False)
class Visitor:
    """A client in one namespace."""

    sid: str
    namespace: str
    identity: Identity
    connection: ChatConnection
    user: User
    session_id: str = ""
    """Under which its rooms are kept."""
    topics: set[str] = field(default_factory=set)
    timer: asyncio.TimerHandle | None = None
    counted: bool = False
    """Whether its connection is one of its user's on all nodes (`rtlab.chat.node`)."""
    gone: bool = False
    """Whether the client has left. A handler of it may still be at work."""

    def about(self) -> dict[str, str]:
        """Who it is, for the log."""
        return {
            "user": self.identity.user, "namespace": self.namespace, "sid": self.sid, "peer": self.connection.peer,
        }  # fmt: skip


class Connections:
    """All that are here.

    Args:
        limits: how much each may say.
        end: ends a visitor's stay in a namespace, for a reason in one word.
        hang_up: ends a connection, given its Engine.IO session.
        clock: for rates, and for when a token ends.
        log: where it says whom it throws out.
    """

    def __init__(
        self,
        limits: Limits,
        end: Callable[[Visitor, str], Coroutine[Any, Any, None]],
        hang_up: Callable[[str], Coroutine[Any, Any, None]],
        clock: Clock,
        log: RepeatLog,
    ) -> None:
        self._limits = limits
        self._end = end
        self._hang_up = hang_up
        self._clock = clock
        self._log = log
        self.users = Users(limits, clock.steady)
        """Whose connections these are."""
        self._visitors: dict[tuple[str, str], Visitor] = {}
        self._ending: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len({id(visitor.connection) for visitor in self._visitors.values()})

    def connection_of(self, eio_sid: str, environ: dict[str, Any]) -> ChatConnection:
        """Somebody asks to be let in, perhaps not for the first time."""
        connection = environ.get(KEY)
        if not isinstance(connection, ChatConnection):
            bucket = Bucket(self._limits.events_per_s, self._limits.burst, self._clock.steady())
            connection = environ[KEY] = ChatConnection(eio_sid, bucket, str(environ.get("REMOTE_ADDR", "")))
        return connection

    def refusal(self, identity: Identity, connection: ChatConnection) -> str | None:
        """Why a user may not come in with this connection, in one word; None if it may. To come in costs a token.

        A connection that is in one namespace is let into the other, and owes the token: half of a client is no use.
        """
        user, now = self.users.of(identity.user), self._clock.steady()
        if connection in user.connections:
            user.bucket.debt(now)
            return None
        if len(user.connections) >= self._limits.connections_per_user:
            return "too_many_connections"
        return None if user.bucket.take(now) else "rate_limited"

    def enter(self, sid: str, namespace: str, identity: Identity, connection: ChatConnection) -> Visitor:
        """Somebody has been let in."""
        visitor = Visitor(sid, namespace, identity, connection, self.users.of(identity.user))
        connection.visitors.add(visitor)
        self._visitors[namespace, sid] = visitor
        self.users.came(visitor)
        self._watch(visitor)
        return visitor

    def present(self) -> dict[tuple[str, str], str]:
        """Every user with each of its connections that count on all nodes, and that connection's socket in ``/``; empty
        if it has none.
        """
        found: dict[tuple[str, str], str] = {}
        for (namespace, sid), visitor in self._visitors.items():
            if visitor.counted:
                key = (visitor.identity.user, visitor.connection.eio_sid)
                found[key] = sid if namespace == "/" else found.get(key, "")
        return found

    def with_session(self) -> list[Visitor]:
        """Everybody whose rooms are kept."""
        return [visitor for visitor in self._visitors.values() if visitor.session_id]

    def is_over(self, visitor: Visitor) -> bool:
        """Whether a visitor's token has ended."""
        return visitor.identity.expires <= self._clock.wall()

    def get(self, sid: str, namespace: str) -> Visitor | None:
        """Who has this socket; None if it is gone."""
        return self._visitors.get((namespace, sid))

    def leave(self, visitor: Visitor) -> None:
        """Somebody is gone."""
        visitor.gone = True
        if visitor.timer is not None:
            visitor.timer.cancel()
        visitor.connection.visitors.discard(visitor)
        if self._visitors.pop((visitor.namespace, visitor.sid), None) is not None:
            self.users.left(visitor)

    def refresh(self, visitor: Visitor, identity: Identity) -> None:
        """Somebody has shown a newer token: it holds for this user's namespaces on this connection, but for one that
        may stay longer without it.
        """
        for each in visitor.connection.visitors:
            if each.identity.user == identity.user and each.identity.expires < identity.expires:
                each.identity = identity
                self._watch(each)

    def charge_event(self, connection: ChatConnection, user: User | None = None) -> bool:
        """Whether a client may say something now.

        What a user may say is one budget for all its connections. Who says too much too often is thrown out: where the
        budget is used up, that is a connection that takes more than its share, which is the rate divided by their
        number. Those that say little are told to wait, and stay.

        Args:
            connection: which one speaks.
            user: whose budget it is; None for who is not known yet.
        """
        now = self._clock.steady()
        within_share = connection.bucket.take(now, len(user.connections) if user is not None else 1)
        if not connection.bucket.breaches:
            connection.breaches = 0
        allowed = within_share if user is None else user.bucket.take(now)
        if not allowed and not within_share:
            connection.breaches += 1
            if connection.breaches > self._limits.breaches:
                self.throw_out(connection)
        return allowed

    def throw_out(self, connection: ChatConnection) -> None:
        """End a connection, after what is being answered."""
        if not connection.thrown_out:
            about = {"peer": connection.peer, "breaches": connection.breaches}
            problem = f"{connection.breaches} events over the limit of {self._limits.events_per_s:g} a second"
            self._log.log(logging.WARNING, "thrown out", "thrown out: %s", problem, extra=about)
            connection.thrown_out = True
            self._soon(self._throw_out(connection))

    async def _throw_out(self, connection: ChatConnection) -> None:
        # Its namespaces first: a client in JavaScript that is put out of those does not come back by itself.
        for visitor in list(connection.visitors):
            await self._end(visitor, "rate_limited")
        await self._hang_up(connection.eio_sid)

    def _watch(self, visitor: Visitor) -> None:
        """End the visit when its token ends."""
        if visitor.timer is not None:
            visitor.timer.cancel()
        left = visitor.identity.expires - self._clock.wall()
        if left <= 0:
            self._soon(self._end(visitor, "token_expired"))
        else:
            loop = asyncio.get_running_loop()
            visitor.timer = loop.call_later(min(left, LOOK_AGAIN_S), self._watch, visitor)

    def _soon(self, ending: Coroutine[Any, Any, None]) -> None:
        """Do it in a task of its own, and keep that until it is done."""
        task = asyncio.get_running_loop().create_task(ending)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
