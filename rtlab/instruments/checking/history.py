"""A history: what happened to the clients of a chat, in the order of one observer's logical clock.

What lives here: `ObservedHistory`, which never changes (``rtlab.History``). It must not know how it came about
(`recorder`), nor what any of it is worth (`checker`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import overload

from rtlab.errors import UsageError
from rtlab.instruments.checking.happenings import (
    HAPPENINGS,
    ClientHappening,
    Happening,
)
from rtlab.instruments.checking.history_file import read_history, write_history
from rtlab.instruments.checking.timeline import draw
from rtlab.instruments.checking.wording import counted, describe, named, who

__all__ = ["SHOWN", "ObservedHistory"]

SHOWN = 60
"""Events that are shown of a long history: the first three quarters of them, and the last."""


class ObservedHistory(Sequence[Happening]):
    """Events, oldest first. `rtlab.check` judges it.

    Args:
        events: what happened, `at` growing.
        bound: messages that the server keeps of each room, at least. Of what is older it may say that it is gone.
        dropped: how many events after the last one were not kept, because a recording is bounded.

    Raises:
        UsageError: `at` does not grow; or the bound is not a whole number from 1 on.
    """

    __slots__ = ("_events", "bound", "dropped")

    def __init__(self, events: Iterable[Happening] = (), *, bound: int, dropped: int = 0) -> None:
        self._events = tuple(events)
        self.bound = bound
        """Messages that the server keeps of each room, at least."""
        self.dropped = dropped
        """How many events after the last one were not kept."""
        if type(bound) is not int or bound < 1:
            raise UsageError(f"bound: expected the number of messages that the server keeps of a room, got {bound!r}.")
        if type(dropped) is not int or dropped < 0:
            raise UsageError(f"dropped: expected the number of events that were not kept, got {dropped!r}.")
        last = 0
        for each in self._events:
            if each.at <= last:
                raise UsageError(f"events: expected `at` to grow, got {each.at} after {last}.")
            last = each.at

    def only(
        self,
        where: Callable[[Happening], bool] | None = None,
        *,
        kind: str | Collection[str] | None = None,
        client: str | Collection[str] | None = None,
        room: str | Collection[str] | None = None,
        id: str | Collection[str] | None = None,  # noqa: A002 - as the field is called
    ) -> ObservedHistory:
        """The events that match all that is given; each may be one value or several.

        Args:
            where: a function of the event.
            kind: "sent", {"joined", "left"} …
            client: its name.
            room: its name.
            id: of a message.

        Raises:
            UsageError: there is no such kind.
        """
        wanted = {"kind": kind, "client": client, "room": room, "id": id}
        tests = [(name, _set(value)) for name, value in wanted.items() if value is not None]
        for each in sorted(_set(kind) - set(HAPPENINGS)) if kind is not None else ():
            raise UsageError(f"kind: expected one of {', '.join(HAPPENINGS)}, got {each!r}.")
        found = (each for each in self._events if all(getattr(each, name, None) in values for name, values in tests))
        return self.of(each for each in found if where is None or where(each))

    def of(self, events: Iterable[Happening]) -> ObservedHistory:
        """A history with these events instead, of the same server."""
        return ObservedHistory(events, bound=self.bound, dropped=self.dropped)

    @property
    def clients(self) -> tuple[str, ...]:
        """Their names, in the order in which they come up."""
        return tuple(dict.fromkeys(each.client for each in self._events if isinstance(each, ClientHappening)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON lines: a line about the file, then a line for each event. Texts and tokens are not in it.

        Raises:
            OSError: it cannot be written.
        """
        write_history(path, self._events, self.bound, self.dropped)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> ObservedHistory:
        """Read what `save` has written. It equals what was saved.

        Raises:
            UsageError: the file is no history, or not all of one; the message names the line.
            OSError: it cannot be read.
        """
        events, bound, dropped = read_history(path)
        return cls(events, bound=bound, dropped=dropped)

    @overload
    def __getitem__(self, index: int) -> Happening: ...
    @overload
    def __getitem__(self, index: slice) -> ObservedHistory: ...
    def __getitem__(self, index: int | slice) -> Happening | ObservedHistory:
        return self.of(self._events[index]) if isinstance(index, slice) else self._events[index]

    def __len__(self) -> int:
        return len(self._events)

    def __iter__(self) -> Iterator[Happening]:
        return iter(self._events)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ObservedHistory):
            return NotImplemented
        return (self._events, self.bound, self.dropped) == (other._events, other.bound, other.dropped)

    def __hash__(self) -> int:
        return hash((self._events, self.bound, self.dropped))

    def __str__(self) -> str:
        if not self._events:
            return "(no events)"
        events: list[Happening | None] = list(self._events)
        hidden = len(events) - SHOWN
        if hidden > 0:
            first = SHOWN * 3 // 4
            events[first : first + hidden] = [None]
        rooms = {each.room for each in self._events if isinstance(each, ClientHappening)}
        clocks = len(str(self._events[-1].at))
        clients = max(len(who(each)) for each in events if each is not None)
        lines = []
        for each in events:
            if each is None:
                lines.append(f"… {counted(hidden, 'event')} not shown: go through the history, or use `only`")
                continue
            room = f" in {named(each.room)}" if isinstance(each, ClientHappening) and len(rooms) > 1 else ""
            lines.append(f"{each.at:{clocks}}  {who(each) or '!':{clients}}  {describe(each)}{room}")
        if self.dropped:
            lines.append(f"({counted(self.dropped, 'later event')} not kept)")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_svg_(self) -> str:
        return draw(self)


def _set(values: str | Collection[str]) -> frozenset[str]:
    return frozenset((values,) if isinstance(values, str) else values)
