"""The verdict on a history: pass, fail or unknown, with a finding for each guarantee.

What lives here: `HistoryFinding` and `HistoryVerdict`, and how they are shown. They must not know how problems are
found.
"""

from __future__ import annotations

from dataclasses import dataclass

from rtlab.instruments.checking.history import ObservedHistory
from rtlab.instruments.checking.problems import MISSED, Guarantee, Trouble
from rtlab.instruments.checking.timeline import Missing, draw

__all__ = ["FAIL", "PASS", "UNKNOWN", "HistoryFinding", "HistoryVerdict"]

PASS, FAIL, UNKNOWN = "pass", "fail", "unknown"
"""What a result can be."""


@dataclass(frozen=True, kw_only=True, repr=False)
class HistoryFinding:
    """What a history shows of a guarantee."""

    guarantee: Guarantee
    result: str
    """"pass", "fail" or "unknown"."""
    story: str
    """What happened, in plain words; or what was looked at; or what is missing."""
    trouble: Trouble | None = None
    """In which way the guarantee was broken; None unless it failed."""
    room: str = ""
    """Where; "" unless it failed."""
    clients: tuple[str, ...] = ()
    """To whom it happened."""
    id: str | None = None
    """The message's."""
    offset: str | None = None
    """The message's."""
    also: int = 0
    """To how many further messages the same happened."""
    smallest: ObservedHistory | None = None
    """The events that show it, as few as possible: judged alone they fail in the same way, and without any one of them
    they do not. None unless it failed."""

    @property
    def missing(self) -> list[Missing]:
        """Which messages did not come to whom, for the picture."""
        if self.trouble not in MISSED or not self.smallest:
            return []
        return [Missing(client, self.id or "", self.smallest[-1].at) for client in self.clients]

    def __str__(self) -> str:
        return f"{self.guarantee}: {self.result}. {self.story}"

    __repr__ = __str__

    def _repr_svg_(self) -> str | None:
        """The smallest history that shows it, if it failed."""
        if self.smallest is None:
            return None
        return draw(self.smallest, {each.at for each in self.smallest}, self.missing)


@dataclass(frozen=True, repr=False)
class HistoryVerdict:
    """What the checker says. `rtlab.check` makes it."""

    history: ObservedHistory
    """What was judged."""
    findings: tuple[HistoryFinding, ...]
    """At least one for each guarantee; those that failed first."""
    unshown: int = 0
    """How many failures there are beyond those in `findings`."""

    @property
    def result(self) -> str:
        """ "fail" if a guarantee was broken; "unknown" if none was and too little was observed; otherwise "pass"."""
        results = {each.result for each in self.findings}
        return FAIL if FAIL in results else UNKNOWN if UNKNOWN in results else PASS

    @property
    def failures(self) -> tuple[HistoryFinding, ...]:
        """The findings that failed."""
        return tuple(each for each in self.findings if each.result == FAIL)

    @property
    def unknowns(self) -> tuple[HistoryFinding, ...]:
        """The findings that say what was not observed."""
        return tuple(each for each in self.findings if each.result == UNKNOWN)

    def of(self, guarantee: str) -> tuple[HistoryFinding, ...]:
        """The findings about a guarantee: "kept", "once" …

        Raises:
            ValueError: there is no such guarantee.
        """
        wanted = Guarantee(guarantee)
        return tuple(each for each in self.findings if each.guarantee is wanted)

    def __str__(self) -> str:
        lines = [self.result]
        lines += [f"  {each.guarantee + ':':13} {each.result:8} {each.story}" for each in self.findings]
        if self.unshown:
            lines.append(f"  and {self.unshown:,} more failures")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_svg_(self) -> str:
        marked = {event.at for each in self.failures for event in each.smallest or ()}
        return draw(self.history, marked, [lack for each in self.failures for lack in each.missing])
