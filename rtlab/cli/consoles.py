"""Where the commands write: colours, bars and changing lines on a terminal, and nothing of that elsewhere.

What lives here: the consoles of rich as all commands make them. rich is imported when a command needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console_on", "progress_bar", "status_line"]


def console_on(*, stderr: bool = False) -> Console:
    """Standard output, or standard error, with nothing guessed about what is printed."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, nothing elsewhere; what it gives is called after each step."""
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda text: bar.update(task, advance=1, description=text)


@contextmanager
def status_line(console: Console) -> Iterator[Callable[[str], None] | None]:
    """A line that changes on a terminal, nothing elsewhere; what it gives says what is being done."""
    if not console.is_terminal:
        yield None
        return
    from rich.text import Text

    with console.status("") as status:
        yield lambda text: status.update(Text(text))
