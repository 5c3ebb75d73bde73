"""What one client of a soak sees, written down for the checker.

What lives here: `Witness`, the `rtlab.chat` observer of one client. It writes into the history that all clients share,
and remembers what the driver itself has to know: what was acknowledged, and what has not come yet. It must not know
who writes, nor which faults come.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from rtlab.chat.stores.protocols import position

if TYPE_CHECKING:
    from rtlab.instruments.checking.happenings import Happening
    from rtlab.instruments.checking.history import ObservedHistory
    from rtlab.instruments.checking.recorder import HistoryRecorder

__all__ = ["Board", "Witness", "renamed"]


@dataclass
class Board:
    """What all clients of a round know together."""

    acknowledged: dict[str, set[str]] = field(default_factory=dict)
    """By room: the offsets of all messages that were acknowledged to whoever wrote them."""
    counts: Counter[str] = field(default_factory=Counter)
    """How often what happened: "attempts", "acknowledged", "unanswered", "refused: rate_limited" …"""
    longest_s: float = 0.0
    """The longest time between two acknowledgements."""
    _last: float = 0.0

    def acknowledge(self, room: str, offset: str) -> None:
        """A message was acknowledged."""
        self.acknowledged.setdefault(room, set()).add(offset)
        self.counts["acknowledged"] += 1
        self.longest_s = max(self.longest_s, self.silent_s)
        self._last = time.monotonic()

    @property
    def silent_s(self) -> float:
        """Seconds since the last acknowledgement; 0 before the first."""
        return time.monotonic() - self._last if self._last else 0.0


class Witness:
    """Observes one client (`rtlab.chat.Watching`).

    Args:
        name: the client's.
        user: whose client it is.
        recorder: takes what happens, in its order.
        board: takes what all have to know.
    """

    def __init__(self, name: str, user: str, recorder: HistoryRecorder, board: Board) -> None:
        self.name = name
        self.user = user
        self.ends: dict[str, str] = {}
        """By room that it is in: the last offset that it has."""
        self.handed: dict[str, list[str]] = {}
        """By room: every offset that the application was given, in that order."""
        self._book = recorder.client(name, user=user)
        self._board = board
        self._starts: dict[str, str] = {}
        """By room that it is in: from this offset on it should have everything."""
        self._seen: dict[str, set[str]] = {}

    def missing(self) -> dict[str, list[str]]:
        """By room that it is in: offsets that were acknowledged to somebody and have not come here."""
        found = {}
        for room, start in self._starts.items():
            due = self._board.acknowledged.get(room, set()) - self._seen[room]
            if late := sorted((each for each in due if position(each) > position(start)), key=position):
                found[room] = late
        return found

    def settled(self, room: str) -> None:
        """The last look has been taken: everything up to here has been handed over."""
        self._book.settled(room, self.ends[room])

    # What the client tells

    def sent(self, room: str, client_id: str) -> None:
        """An attempt leaves the client."""
        self._board.counts["attempts"] += 1
        self._book.sent(room, client_id)

    def acknowledged(self, room: str, client_id: str, offset: str) -> None:
        """The server has said that it has a message."""
        self._board.acknowledge(room, offset)
        self._book.acknowledged(room, client_id, offset)

    def refused(self, room: str, client_id: str, code: str) -> None:
        """The server has refused an attempt, or could not say whether it was done."""
        self._board.counts[f"refused: {code}"] += 1
        self._book.refused(room, client_id, code)

    def unanswered(self, room: str, client_id: str) -> None:
        """An attempt got no answer."""
        self._board.counts["unanswered"] += 1
        self._book.unanswered(room, client_id)

    def joining(self, room: str) -> None:
        """A join leaves the client."""
        self._book.joining(room)

    def joined(self, room: str, after: str | None, offset: str, complete: bool, lost: bool) -> None:
        """It is in a room, for the first time or again; this is how the last page ended."""
        self._board.counts["joins"] += 1
        if lost:
            self._board.counts["losses that were told"] += 1
        if after is None or lost:
            self._starts[room] = offset
        elif room not in self._starts:
            self._starts[room] = after
        self._seen.setdefault(room, set())
        self._goes_on(room, offset)
        self._book.joined(room, after, offset, complete, lost)

    def received(self, room: str, client_id: str | None, offset: str, live: bool) -> None:
        """A message was handed to the application."""
        self._board.counts["received live" if live else "received from the history"] += 1
        self._seen.setdefault(room, set()).add(offset)
        self.handed.setdefault(room, []).append(offset)
        if room in self._starts:
            self._goes_on(room, offset)
        self._book.received(room, client_id, offset, live)

    def left(self, room: str) -> None:
        """It is in a room no more."""
        self._board.counts["leaves"] += 1
        self._starts.pop(room, None)
        self.ends.pop(room, None)
        self._book.left(room)

    def disconnected(self) -> None:
        """Its connection has ended; it will come back."""
        self._board.counts["disconnections"] += 1
        self._book.disconnected()

    def _goes_on(self, room: str, offset: str) -> None:
        if room not in self.ends or position(offset) > position(self.ends[room]):
            self.ends[room] = offset


def renamed(history: ObservedHistory, names: Mapping[str, str]) -> ObservedHistory:
    """The same history, in which each message has the name that its writer has given it.

    An id is what a client says that it has written. The text is what it has written: where a client repeats a message
    with another id, the effect is there twice, and only the text shows that it is the same message.

    Args:
        history: with the ids that clients have used.
        names: by id: the name that stands in the text.
    """
    return history.of(_renamed(each, names) for each in history)


def _renamed(event: Happening, names: Mapping[str, str]) -> Happening:
    name = names.get(getattr(event, "id", None) or "")
    return event if name is None else replace(event, id=name)  # type: ignore[call-arg]  # it has one
