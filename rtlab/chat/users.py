"""How much each user may do, whichever connections it does it with.

What lives here: `User`, one for each ``sub`` that is here or was a moment ago, with its budgets, and `Users`, which
keeps them for as long as they matter. It must not know rooms or messages.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rtlab.chat.limits import ABSENT_USERS, LINES_BURST, LINES_PER_S, Limits
from rtlab.realtime.budgets import Bucket

if TYPE_CHECKING:
    from rtlab.chat.connections import ChatConnection, Visitor

__all__ = ["User", "Users"]


@dataclass(eq=False, slots=True)
class User:
    """Whom tokens call by one ``sub``, on all its connections."""

    name: str
    """The claim ``sub``."""
    bucket: Bucket
    """Its events, and what they cost (`rtlab.chat.costs`)."""
    new_rooms: Bucket
    """The rooms that it makes."""
    lines: Bucket
    """The lines of the log that say that it comes and goes."""
    pricing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a store is asked for what decides the price of an event."""
    connections: set[ChatConnection] = field(default_factory=set)
    visitors: set[Visitor] = field(default_factory=set)
    """Its connections' namespaces."""

    def topics(self) -> set[str]:
        """What it has subscribed to, on any of its connections."""
        return set[str]().union(*(visitor.topics for visitor in self.visitors))


class Users:
    """The users that are here, and those that left with a budget that is not full again.

    Coming back gives nobody a new budget; and the table does not grow with everybody who was ever here.

    Args:
        limits: how much each may do.
        now: gives seconds of a clock that only goes forward.
    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        self._users: dict[str, User] = {}
        self._absent: OrderedDict[str, None] = OrderedDict()
        """Those without a connection, the longest gone first."""

    def __len__(self) -> int:
        return len(self._users)

    def of(self, name: str) -> User:
        """The user of this name. It counts as gone until a visitor `came`."""
        user = self._users.get(name)
        if user is None:
            self._sweep()
            limits, now = self._limits, self._now()
            user = self._users[name] = User(
                name,
                Bucket(limits.events_per_s, limits.burst, now),
                Bucket(limits.new_rooms_per_min / 60, limits.rooms_per_user, now),
                Bucket(LINES_PER_S, LINES_BURST, now),
            )
            self._absent[name] = None
        return user

    def came(self, visitor: Visitor) -> None:
        """A visitor is here."""
        visitor.user.visitors.add(visitor)
        visitor.user.connections.add(visitor.connection)
        self._users[visitor.user.name] = visitor.user
        self._absent.pop(visitor.user.name, None)

    def left(self, visitor: Visitor) -> None:
        """A visitor is gone."""
        user = visitor.user
        user.visitors.discard(visitor)
        if not any(each.connection is visitor.connection for each in user.visitors):
            user.connections.discard(visitor.connection)
        if not user.visitors and user.name in self._users:
            self._sweep()
            self._absent[user.name] = None

    def _sweep(self) -> None:
        """Forget who has a full budget again, and the longest gone where there are too many."""
        now = self._now()
        while self._absent:
            oldest = self._users[next(iter(self._absent))]
            full = oldest.bucket.is_full(now) and oldest.new_rooms.is_full(now)
            if not full and len(self._absent) < ABSENT_USERS:
                break
            del self._users[oldest.name], self._absent[oldest.name]
