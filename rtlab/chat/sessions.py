"""Which rooms somebody was in, for when they come back on another connection.

What lives here: `Sessions`, what the chat needs of a store, and `MemorySessions`. They must not know sockets.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

__all__ = ["LIFE_S", "SESSIONS", "SESSIONS_OF_ONE", "MemorySessions", "Saved", "Sessions"]

LIFE_S = 300.0
"""Seconds that a session can be restored after the last change to it, or the end of its connection."""
SESSIONS = 10_000
"""Sessions that are kept in memory. The oldest is forgotten first."""
SESSIONS_OF_ONE = 50
"""Of these, sessions of one user: who comes and goes in a hurry makes nobody else's forgotten."""


@dataclass(frozen=True)
class Saved:
    """The rooms of a session."""

    chat: frozenset[str] = frozenset()
    plain: frozenset[str] = frozenset()


class Sessions(Protocol):
    """What the chat needs of a store."""

    async def save(self, user: str, session_id: str, rooms: Saved) -> None:
        """Keep the rooms of a session for a while from now on. Saved again, it is kept anew."""

    async def restore(self, user: str, session_id: str) -> Saved | None:
        """The rooms of a session of this user; None if there is none, it is over, or it is somebody else's."""


class MemorySessions:
    """`Sessions` in this process's memory: gone when it ends.

    Args:
        life_s: seconds that each is kept.
        limit: how many are kept.
        clock: gives seconds, and only goes forward.
    """

    def __init__(
        self, life_s: float = LIFE_S, limit: int = SESSIONS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._life_s = life_s
        self._limit = limit
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[float, Saved]] = OrderedDict()
        """By user and id, so that nobody finds somebody else's; in the order in which they end."""
        self._of: dict[str, OrderedDict[str, None]] = {}
        """The ids of each user's, in the same order."""

    async def save(self, user: str, session_id: str, rooms: Saved) -> None:
        """As `Sessions` says."""
        now, key = self._clock(), (user, session_id)
        self._kept[key] = (now + self._life_s, rooms)
        self._kept.move_to_end(key)
        own = self._of.setdefault(user, OrderedDict())
        own[session_id] = None
        own.move_to_end(session_id)
        if len(own) > SESSIONS_OF_ONE:
            self._forget((user, next(iter(own))))
        while self._kept:
            ends, _ = self._kept[oldest := next(iter(self._kept))]
            if ends > now and len(self._kept) <= self._limit:
                break
            self._forget(oldest)

    async def restore(self, user: str, session_id: str) -> Saved | None:
        """As `Sessions` says."""
        ends, rooms = self._kept.get((user, session_id), (0.0, None))
        return rooms if ends > self._clock() else None

    def _forget(self, key: tuple[str, str]) -> None:
        user, session_id = key
        del self._kept[key], self._of[user][session_id]
        if not self._of[user]:
            del self._of[user]
