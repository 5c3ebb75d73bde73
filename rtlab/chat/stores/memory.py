"""Stores in this process's memory: gone when it ends.

What lives here: `MemoryHistory` and `MemorySessions`, each within its bounds.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rtlab.chat.stores.protocols import Page, Record, Saved, position

__all__ = ["LIFE_S", "SESSIONS", "SESSIONS_OF_ONE", "MemoryHistory", "MemorySessions"]

LIFE_S = 300.0
"""Seconds that a session can be restored after the last change to it, or the end of its connection."""
SESSIONS = 10_000
"""Sessions that are kept in memory. The oldest is forgotten first."""
SESSIONS_OF_ONE = 50
"""Of these, sessions of one user: who comes and goes in a hurry makes nobody else's forgotten."""


@dataclass
class _Room:
    floor: tuple[int, int]
    """Everything after this is here."""
    records: deque[Record] = field(default_factory=deque)
    offsets: deque[tuple[int, int]] = field(default_factory=deque)
    by_client: dict[tuple[str, str], Record] = field(default_factory=dict)
    keys: deque[tuple[str, str] | None] = field(default_factory=deque)


class MemoryHistory:
    """A `History` in this process's memory: gone when it ends.

    Args:
        per_room: messages that are kept of each room.
        clock: gives seconds since 1970.
    """

    def __init__(self, per_room: int, clock: Callable[[], float] = time.time) -> None:
        self._per_room = per_room
        self._clock = clock
        self._rooms: dict[str, _Room] = {}
        self._last = (int(clock() * 1000), 0)
        """The newest offset of all rooms. A room that was dropped and comes again goes on after it."""

    async def append(self, room: str, record: Record, user: str) -> tuple[Record, bool]:
        """As `History` says."""
        kept = self._rooms.get(room)
        if kept is None:
            kept = self._rooms[room] = _Room(self._last)
        key = (user, record["clientId"]) if "clientId" in record else None
        if key is not None and (first := kept.by_client.get(key)):
            return first, False
        # milliseconds of the clock, and a number where one millisecond has several or the clock went back
        now = int(self._clock() * 1000)
        self._last = (now, 0) if now > self._last[0] else (self._last[0], self._last[1] + 1)
        record = {**record, "offset": f"{self._last[0]}-{self._last[1]}"}
        kept.records.append(record)
        kept.offsets.append(self._last)
        kept.keys.append(key)
        if key is not None:
            kept.by_client[key] = record
        if len(kept.records) > self._per_room:
            kept.records.popleft()
            kept.floor = kept.offsets.popleft()
            if (old := kept.keys.popleft()) is not None:
                del kept.by_client[old]
        return record, True

    async def last(self, room: str, count: int) -> Page:
        """As `History` says."""
        kept = self._rooms.get(room)
        return Page(list(kept.records)[-count:] if kept else [], 0, True)

    async def after(self, room: str, offset: str, count: int) -> Page:
        """As `History` says."""
        kept, place = self._rooms.get(room), position(offset)
        if kept is None:
            return Page([], 0, False)  # what was here is forgotten, or never was: nobody knows
        found = [record for record, each in zip(kept.records, kept.offsets, strict=True) if each > place]
        return Page(found[:count], len(found), place >= kept.floor and len(found) <= count)

    async def holds(self, room: str) -> bool:
        """As `History` says."""
        return room in self._rooms

    async def drop(self, room: str) -> None:
        """As `History` says."""
        self._rooms.pop(room, None)


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
