"""What doctor says: one line for each thing that it looked at, and what they come to.

What lives here: the values, and the forms in which they are shown. Nothing here looks at the machine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import RenderableType

__all__ = ["Diagnosis", "Finding", "Status"]


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARNING = "warning"
    """Usable, but something is not as it should be."""
    MISSING = "missing"
    """Not there, or there and not working."""


MARKS = {
    Status.OK: ("\N{CHECK MARK}", "#2e9e4f"),
    Status.WARNING: ("!", "#c98a00"),
    Status.MISSING: ("\N{BALLOT X}", "#e0483e"),
}
"""Sign and colour in HTML. The colours are legible on white and on black, and the word stands beside them."""
STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.MISSING: "bold red"}
"""Colours in a terminal."""
WORD_WIDTH = max(map(len, Status))


@dataclass(frozen=True)
class Finding:
    """One line of a diagnosis."""

    name: str
    """What was looked at."""
    status: Status
    found: str
    """What was found, and why this one; or what was expected and what came."""
    advice: str = ""
    """What to do. Empty if there is nothing to do."""
    required: bool = True
    """Whether the lab needs it here. What is not required may be missing."""

    @property
    def label(self) -> str:
        """The name as it is shown: whether it may be missing stands beside it."""
        return self.name if self.required else f"{self.name} (optional)"

    @property
    def blocking(self) -> bool:
        """Whether the lab cannot do without what this found missing."""
        return self.required and self.status is Status.MISSING


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What `rtlab.diagnose` gives."""

    checks: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether everything that is required is here. Warnings do not count."""
        return not any(check.blocking for check in self.checks)

    @property
    def exit_status(self) -> int:
        """0 if `ok`, else 1."""
        return 0 if self.ok else 1

    @property
    def summary(self) -> str:
        """One sentence that is the same on every machine where everything required is here."""
        missing = [check.name for check in self.checks if check.blocking]
        if missing:
            return f"Missing: {', '.join(missing)}."
        return "Everything that the lab needs is here."

    def to_json(self) -> str:
        """The same for programs: ``{"ok", "exit_status", "checks": [{"name", "status", "found", "advice",
        "required"}]}``."""
        checks = [asdict(check) for check in self.checks]
        return json.dumps({"ok": self.ok, "exit_status": self.exit_status, "checks": checks}, indent=2)

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.checks)

    def __str__(self) -> str:
        width = max((len(check.label) for check in self.checks), default=0)
        lines = []
        for check in self.checks:
            first, *more = [*check.found.splitlines(), *check.advice.splitlines()]
            lines.append(f"{check.status:{WORD_WIDTH}}  {check.label:{width}}  {first}")
            lines += [f"{'':{WORD_WIDTH}}  {'':{width}}  {line}" for line in more]
        return "\n".join([*lines, "", self.summary])

    __repr__ = __str__

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2), pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column()
        table.add_column(overflow="fold")
        for check in self.checks:
            style = STYLES[check.status if check.blocking or check.status is Status.OK else Status.WARNING]
            found = Text(check.found)
            if check.advice:
                found.append(f"\n{check.advice}", "bold")
            table.add_row(Text(check.status, style), check.label, found)
        return Group(table, Padding(Text(self.summary, "green" if self.ok else "bold red"), (1, 0, 0, 0)))

    def _repr_html_(self) -> str:
        cell = "text-align: left; vertical-align: top; padding: 2px 12px 2px 0"
        rows = []
        for check in self.checks:
            mark, colour = MARKS[check.status if check.blocking or check.status is Status.OK else Status.WARNING]
            advice = f"<br><strong>{_html(check.advice)}</strong>" if check.advice else ""
            rows.append(
                f'<tr><td style="{cell}; white-space: nowrap"><span style="color: {colour}; font-weight: bold">'
                f'{mark}</span> {check.status}</td><td style="{cell}; white-space: nowrap">{escape(check.label)}</td>'
                f'<td style="{cell}">{_html(check.found)}{advice}</td></tr>'
            )
        return f"<table>{''.join(rows)}</table><p><strong>{escape(self.summary)}</strong></p>"


def _html(text: str) -> str:
    """A text as HTML, what stands between backticks as code."""
    return re.sub("`(.+?)`", r"<code>\1</code>", escape(text)).replace("\n", "<br>")
