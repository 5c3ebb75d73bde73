"""How far a client has followed a room: which messages it has seen, and from where it has to ask on.

What lives here: `RoomMark`, the rule by which a client resumes without losing a message and without showing one twice.
It must not know connections.

One mark is not enough. A live message may come before the history that precedes it, and a connection may break between
two pages. If each message moved the mark, what lies between would count as seen and would never be asked for. So there
are two things: the mark, up to which nothing is missing, and the set of offsets that were seen. A page moves the mark.
A live message moves it only while nothing is left to fetch.
"""

from __future__ import annotations

from rtlab.chat.stores.protocols import position

__all__ = ["SEEN", "RoomMark"]

SEEN = 1_000
"""Offsets that are remembered once a room is caught up with: ten times what the chat keeps of one."""


class RoomMark:
    """How far a client has followed one room.

    Args:
        mark: the offset up to which nothing is missing; None before the first history.
    """

    def __init__(self, mark: str | None = None) -> None:
        self.offset = mark
        """Up to here nothing is missing. A join asks for what came after it."""
        self.caught_up = False
        """Whether everything up to now is here, so that the next live message follows the mark."""
        self._seen: dict[str, None] = {}
        self._ahead: list[str] = []
        """Live messages that came while something before them was still to be fetched."""

    def see(self, offset: str) -> bool:
        """A message has come, live or in a history. Gives whether it is new."""
        new = offset not in self._seen
        self._seen[offset] = None
        if self.caught_up:
            self._pass(offset)
        else:
            self._ahead.append(offset)
        return new

    def page(self, offset: str, *, last: bool) -> None:
        """A page has come, and all its messages were seen.

        Args:
            offset: of the acknowledgement: where the page ends.
            last: whether no further page follows.
        """
        self.offset = offset
        self.caught_up = last
        if last:
            for each in self._ahead:
                self._pass(each)
            self._ahead.clear()

    def away(self) -> None:
        """The connection is cut: what comes next need not follow the mark."""
        self.caught_up = False

    def _pass(self, offset: str) -> None:
        if self.offset is None or position(offset) > position(self.offset):
            self.offset = offset
        while len(self._seen) > SEEN:
            del self._seen[next(iter(self._seen))]
