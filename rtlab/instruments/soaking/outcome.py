"""What came out of one round of a soak.

What lives here: `SoakOutcome`, and how it looks on a terminal. It must not know how a round is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

    from rtlab.instruments.checking.history import ObservedHistory
    from rtlab.instruments.checking.verdict import HistoryVerdict
    from rtlab.instruments.faults.schedule import Schedule
    from rtlab.instruments.soaking.plan import SoakPlan

__all__ = ["SoakOutcome"]

STATUS = {"pass": 0, "fail": 1, "unknown": 3}
"""The exit status of `rtlab soak`, as of `rtlab check`. 2 is for wrong use."""


@dataclass(frozen=True)
class SoakOutcome:
    """What came out of one round."""

    plan: SoakPlan
    """What was asked for."""
    schedule: Schedule
    """The faults that were due."""
    faults: Mapping[str, int]
    """By kind: how many have happened."""
    history: ObservedHistory
    """What all clients have seen."""
    verdict: HistoryVerdict
    """What the checker says of it."""
    problems: tuple[str, ...]
    """What the driver itself found wrong, in sentences; empty if nothing."""
    notes: tuple[str, ...]
    """What did not go as planned and breaks no promise, in sentences: a fault that could not be made."""
    counts: Mapping[str, int]
    """How often what happened."""
    seconds: float
    """From the first message to the last look."""
    pause: float
    """The longest time without any acknowledgement, in seconds."""

    @property
    def result(self) -> str:
        """ "pass", "fail" or "unknown": the checker's, and "fail" where the driver itself found something wrong."""
        return "fail" if self.problems else str(self.verdict.result)

    @property
    def exit_status(self) -> int:
        """0 pass, 1 fail, 3 unknown."""
        return STATUS[self.result]

    def __str__(self) -> str:
        lines = [self._headline(), ""]
        width = max((len(each) for each in (*self.faults, *self.counts)), default=0)
        for title, rows in (("faults", self.faults), ("counts", self.counts)):
            lines.append(f"{title}:" if rows else f"{title}: none")
            lines += [f"  {name:<{width}}  {number:>7,}" for name, number in rows.items()]
        lines += ["", str(self.verdict), *self._said()]
        return "\n".join(lines)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """All but the verdict."""
        from rich.columns import Columns
        from rich.table import Table
        from rich.text import Text

        colour = {"pass": "green", "fail": "red", "unknown": "yellow"}[self.result]
        yield Text(self._headline(), style=f"bold {colour}")
        tables = []
        for title, rows in (("fault", self.faults), ("what happened", self.counts)):
            table = Table(box=None, pad_edge=False)
            table.add_column(title)
            table.add_column("times", justify="right")
            for name, number in rows.items():
                table.add_row(Text(name), f"{number:,}")
            tables.append(table)
        yield Columns(tables, padding=(0, 4))
        for line in self._said():
            yield Text(line)

    def _headline(self) -> str:
        plan = self.plan
        return (
            f"{self.result}: seed {plan.seed}, {self.counts.get('written', 0):,} messages, {plan.clients} clients, "
            f"{plan.workers} workers, {plan.durability}, {sum(self.faults.values())} faults, {self.seconds:.0f} s; "
            f"the longest time without an acknowledgement was {self.pause:.1f} s"
        )

    def _said(self) -> list[str]:
        problems = [f"The driver found: {each}" for each in self.problems]
        return problems + [f"Note: {each}" for each in self.notes]
