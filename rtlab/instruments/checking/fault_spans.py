"""Faults as spans of time: from where they began to where they ended.

What lives here: `FaultSpan` and `spans`, pure. They must not know what was broken by them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rtlab.instruments.checking.happenings import FaultSeen
from rtlab.instruments.checking.wording import named

__all__ = ["FaultSpan", "spans"]


@dataclass(frozen=True)
class FaultSpan:
    """A fault, from its beginning to its end."""

    what: str
    """"worker-2 killed"."""
    begin: int
    """When, by the observer's clock."""
    end: int | None
    """When it was over; None if it never was. Equal to `begin` for what takes no time."""

    def touches(self, begin: int, end: int) -> bool:
        """Whether it was there at some time between the two."""
        return self.begin <= end and (self.end is None or self.end >= begin)

    def __str__(self) -> str:
        if self.end == self.begin:
            return f"{self.what} at {self.begin}"
        return f"{self.what} from {self.begin} {'on' if self.end is None else f'to {self.end}'}"


def spans(faults: Iterable[FaultSeen]) -> list[FaultSpan]:
    """The faults in the order in which they began. An "end" without a "begin" before it stands for itself."""
    found: list[FaultSpan] = []
    open_: dict[tuple[str, str], list[int]] = {}
    for each in faults:
        what = f"{named(each.target)} {named(each.what)}"
        begun = open_.setdefault((each.target, each.what), [])
        if each.phase == "begin":
            begun.append(len(found))
            found.append(FaultSpan(what, each.at, None))
        elif each.phase == "end" and begun:
            number = begun.pop()
            found[number] = FaultSpan(what, found[number].begin, each.at)
        else:
            found.append(FaultSpan(f"{what}, over" if each.phase else what, each.at, each.at))
    return found
