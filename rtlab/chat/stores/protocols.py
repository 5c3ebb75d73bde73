"""What the chat needs of a store: the messages of its rooms, and which rooms somebody was in.

What lives here: `History` and `Sessions`, and the values that they give. They must not know who is in a room, nor
sockets.

An offset says where in its room's history a message stands. It is spelled as Redis spells the ids of a stream,
``milliseconds-number``, and compared as two numbers: the milliseconds come from a clock, so that an offset from before
a restart is older than all that came after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["History", "Page", "Record", "Saved", "Sessions", "position", "spelled"]

Record = Mapping[str, Any]
"""A message as clients get it: {id, username, text, room, timestamp, offset, clientId?}."""


@dataclass(frozen=True)
class Page:
    """A stretch of a room's history."""

    records: list[Record]
    """The messages, oldest first."""
    missed: int
    """How many messages after the given offset the store still has, these included; 0 where no offset was given."""
    lost: bool
    """Whether messages after the given offset are gone, or may be: evicted, forgotten, or from before a restart."""
    offset: str
    """Where it ends. Whoever asks for what came after this one misses nothing, also where there are no messages."""
    floor: str = ""
    """What came after this is here; before it, messages may be gone. Only where an offset was given."""

    @property
    def complete(self) -> bool:
        """Whether `records` is all that came after the given offset: no further page, and nothing lost."""
        return not self.lost and len(self.records) >= self.missed


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


def spelled(place: tuple[int, int]) -> str:
    """What can be compared, as an offset."""
    return f"{place[0]}-{place[1]}"


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
