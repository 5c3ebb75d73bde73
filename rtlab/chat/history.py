"""What was said in a room, for those who come later.

What lives here: `History`, what the chat needs of a store, and `MemoryHistory`. They must not know who is in a room.

An offset says where in its room's history a message stands. It is spelled as Redis spells the ids of a stream,
``milliseconds-number``, and compared as two numbers: the milliseconds come from a clock, so that an offset from before
a restart is older than all that came after it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

__all__ = ["History", "MemoryHistory", "Page", "Record", "position"]

Record = Mapping[str, Any]
"""A message as clients get it: {id, username, text, room, timestamp, offset, clientId?}."""


@dataclass(frozen=True)
class Page:
    """A stretch of a room's history."""

    records: list[Record]
    """The messages, oldest first."""
    missed: int
    """How many are known that came after the offset that was asked for; 0 where none was."""
    complete: bool
    """Whether `records` is all that came after that offset, with nothing evicted or forgotten between."""


class History(Protocol):
    """What the chat needs of a store."""

    async def append(self, room: str, record: Record, user: str) -> tuple[Record, bool]:
        """Keep a message.

        Args:
            room: where.
            record: the message, still without its offset.
            user: whose it is. The same ``clientId`` of the same user is the same message.

        Returns:
            The message with its offset, and whether it is new. If not, it is what was kept the first time.
        """

    async def last(self, room: str, count: int) -> Page:
        """The last messages, `count` at most."""

    async def after(self, room: str, offset: str, count: int) -> Page:
        """The first messages after an offset, `count` at most: whoever asks on from the last one gets the rest."""

    async def holds(self, room: str) -> bool:
        """Whether there is anything of this room."""

    async def drop(self, room: str) -> None:
        """Forget a room."""


def position(offset: str) -> tuple[int, int]:
    """An offset as what can be compared."""
    milliseconds, _, number = offset.partition("-")
    return int(milliseconds), int(number)


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
