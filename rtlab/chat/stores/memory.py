"""Stores in this process's memory: gone when it ends.

What lives here: `MemoryHistory` and `MemorySessions`, each within its bounds. These count bytes as Python takes them:
values are kept packed, as JSON in UTF-8 instead of an object for each field, and what lies around them is added.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rtlab.chat.stores.protocols import Page, Record, Saved, position, spelled

__all__ = [
    "HISTORY_BYTES",
    "LIFE_S",
    "SESSIONS",
    "SESSIONS_OF_ONE",
    "SESSION_BYTES",
    "MemoryHistory",
    "MemorySessions",
]

HISTORY_BYTES = 200_000_000
"""Bytes of memory for the messages of all rooms: 47,000 of 1,000 emoji."""
AROUND_RECORD = 400
"""Bytes that Python takes around a packed message: its head, its place, and what finds it by its ``clientId``."""
LIFE_S = 300.0
"""Seconds that a session can be restored after the last change to it, or the end of its connection."""
SESSIONS = 10_000
"""Sessions that are kept in memory. The oldest is forgotten first."""
SESSIONS_OF_ONE = 50
"""Of these, sessions of one user: who comes and goes in a hurry makes nobody else's forgotten."""
SESSION_BYTES = 50_000_000
"""Bytes of memory for all sessions. One user's take 1.3 MB at most: 50 with 100 rooms named with 64 emoji."""
AROUND_SESSION = 1_000
"""Bytes that Python takes around a packed session: its keys, and its places in two tables."""


@dataclass(slots=True)
class _Kept:
    """A message."""

    offset: tuple[int, int]
    packed: bytes
    key: bytes | None
    """Finds it by its user and ``clientId``."""

    @property
    def size(self) -> int:
        return len(self.packed) + AROUND_RECORD


@dataclass(slots=True)
class _Room:
    floor: tuple[int, int]
    """Everything after this is here."""
    records: deque[_Kept] = field(default_factory=deque)
    by_client: dict[bytes, _Kept] = field(default_factory=dict)
    size: int = 0
    """Bytes of all of them."""


class MemoryHistory:
    """A `History` in this process's memory: gone when it ends.

    Args:
        per_room: messages that are kept of each room.
        clock: gives seconds since 1970.
        max_bytes: of memory, for all rooms. Beyond that, the room that takes most loses its oldest message; each keeps
            one at least.
    """

    def __init__(self, per_room: int, clock: Callable[[], float] = time.time, max_bytes: int = HISTORY_BYTES) -> None:
        self._per_room = per_room
        self._clock = clock
        self._max_bytes = max_bytes
        self._rooms: dict[str, _Room] = {}
        self._size = 0
        self._last = (int(clock() * 1000), 0)
        """The newest offset that was given."""
        self._dropped = self._last
        """All that came after this is either here, or was evicted from a room that is here."""

    async def append(self, room: str, record: Record, user: str) -> tuple[Record, bool]:
        """As `History` says."""
        kept = self._rooms.get(room)
        if kept is None:
            kept = self._rooms[room] = _Room(self._dropped)
        key = _key(user, record["clientId"]) if "clientId" in record else None
        if key is not None and (first := kept.by_client.get(key)):
            return _record(first), False
        new = _Kept(self._next(), _packed(dict(record)), key)
        kept.records.append(new)
        if key is not None:
            kept.by_client[key] = new
        kept.size += new.size
        self._size += new.size
        if len(kept.records) > self._per_room:
            self._evict(kept)
        while self._size > self._max_bytes:
            largest = max((each for each in self._rooms.values() if len(each.records) > 1), key=_size, default=None)
            if largest is None:
                break
            self._evict(largest)
        return _record(new), True

    async def last(self, room: str, count: int) -> Page:
        """As `History` says."""
        kept = self._rooms.get(room)
        found = list(kept.records)[-count:] if kept else []
        return Page([_record(each) for each in found], 0, False, spelled(found[-1].offset if found else self._next()))

    async def after(self, room: str, offset: str, count: int) -> Page:
        """As `History` says."""
        kept, place = self._rooms.get(room), position(offset)
        floor = kept.floor if kept else self._dropped
        lost = place < floor
        if place > self._last:  # not one of ours: the clock went back in a restart
            place, lost = (0, 0), True
        found = [each for each in kept.records if each.offset > place] if kept else []
        page = found[:count]
        end = page[-1].offset if page else self._next() if lost else place
        return Page([_record(each) for each in page], len(found), lost, spelled(end), spelled(floor))

    async def holds(self, room: str) -> bool:
        """As `History` says."""
        return room in self._rooms

    async def drop(self, room: str) -> None:
        """As `History` says."""
        kept = self._rooms.pop(room, None)
        if kept is not None:
            self._size -= kept.size
            self._dropped = max(self._dropped, kept.records[-1].offset)

    def _next(self) -> tuple[int, int]:
        """An offset that nothing has yet: milliseconds of the clock, and a number where one millisecond has several or
        the clock went back."""
        now = int(self._clock() * 1000)
        self._last = (now, 0) if now > self._last[0] else (self._last[0], self._last[1] + 1)
        return self._last

    def _evict(self, room: _Room) -> None:
        old = room.records.popleft()
        room.floor = old.offset
        room.size -= old.size
        self._size -= old.size
        if old.key is not None:
            del room.by_client[old.key]


def _key(user: str, client_id: str) -> bytes:
    """Of fixed size, whatever characters they have. Neither can be chosen so that two are the same."""
    return hashlib.blake2b(_packed([user, client_id]), digest_size=16).digest()


def _record(kept: _Kept) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(kept.packed)
    return {**record, "offset": spelled(kept.offset)}


def _packed(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _size(room: _Room) -> int:
    return room.size


class MemorySessions:
    """`Sessions` in this process's memory: gone when it ends.

    Args:
        life_s: seconds that each is kept.
        limit: how many are kept.
        clock: gives seconds, and only goes forward.
        max_bytes: of memory, for all of them.
    """

    def __init__(
        self,
        life_s: float = LIFE_S,
        limit: int = SESSIONS,
        clock: Callable[[], float] = time.monotonic,
        max_bytes: int = SESSION_BYTES,
    ) -> None:
        self._life_s = life_s
        self._limit = limit
        self._clock = clock
        self._max_bytes = max_bytes
        self._size = 0
        self._kept: OrderedDict[tuple[str, str], tuple[float, bytes]] = OrderedDict()
        """By user and id, so that nobody finds somebody else's; in the order in which they end."""
        self._of: dict[str, OrderedDict[str, None]] = {}
        """The ids of each user's, in the same order."""

    async def save(self, user: str, session_id: str, rooms: Saved) -> None:
        """As `Sessions` says."""
        now, key = self._clock(), (user, session_id)
        if key in self._kept:
            self._forget(key)
        packed = _packed([sorted(rooms.chat), sorted(rooms.plain)])
        self._kept[key] = (now + self._life_s, packed)
        self._size += len(packed) + AROUND_SESSION
        own = self._of.setdefault(user, OrderedDict())
        own[session_id] = None
        if len(own) > SESSIONS_OF_ONE:
            self._forget((user, next(iter(own))))
        while self._kept:
            ends, _ = self._kept[oldest := next(iter(self._kept))]
            if ends > now and len(self._kept) <= self._limit and self._size <= self._max_bytes:
                break
            self._forget(oldest)

    async def restore(self, user: str, session_id: str) -> Saved | None:
        """As `Sessions` says."""
        ends, packed = self._kept.get((user, session_id), (0.0, b""))
        return Saved(*map(frozenset, json.loads(packed))) if ends > self._clock() else None

    def _forget(self, key: tuple[str, str]) -> None:
        user, session_id = key
        self._size -= len(self._kept.pop(key)[1]) + AROUND_SESSION
        del self._of[user][session_id]
        if not self._of[user]:
            del self._of[user]
