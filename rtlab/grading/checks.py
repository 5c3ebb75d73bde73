"""What a grader is made of.

What lives here: the decorator `check`, and `Check`, what the catalogue knows of one. A grader is a file
``test_<topic>.py`` of such functions. Its decorators hold literals only, because the catalogue reads them without
running the file: listing all exercises starts no server and imports nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["DEADLINE_S", "MEMORY_MIB", "PROCESSES", "Check", "check"]

DEADLINE_S = 5.0
"""Seconds that a check has, from the import of the submission on. A learner waits that long for an
endless loop."""
MEMORY_MIB = 512
"""MiB that a check's processes may occupy together. Python with a server takes 60, Node 80; a 2 GB slip is caught
before it makes the machine swap."""
PROCESSES = 16
"""Processes that may run at once beside the check's own. A server that rtlab starts is two: itself and its watchdog."""

Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True)
class Check:
    """One check of a grader, as its decorator and docstring describe it."""

    name: str
    """The function's name: "test_greets_by_name"."""
    points: int
    """What passing is worth."""
    hints: tuple[str, ...]
    """Two sentences, the second more telling."""
    sentence: str
    """The docstring: what is checked, in one sentence."""
    deadline_s: float = DEADLINE_S
    """Seconds from the import of the submission on."""
    memory_mib: int = MEMORY_MIB
    """MiB, resident, of all its processes together."""
    processes: int = PROCESSES
    """How many may run at once."""


def check(
    *,
    points: int,
    hints: tuple[str, str],
    deadline_s: float = DEADLINE_S,
    memory_mib: int = MEMORY_MIB,
    processes: int = PROCESSES,
) -> Callable[[Function], Function]:
    """Mark a function of a grader as a check. It gets the learner's module, and observes it with `expect`.

    The function's docstring is one sentence that says what is checked. All arguments have to be literals.

    Args:
        points: what passing is worth.
        hints: two, the second more telling; neither gives the answer away.
        deadline_s: seconds that it has, the import of the submission included.
        memory_mib: MiB that all its processes may occupy together.
        processes: how many processes may run at once beside its own.
    """

    def mark(function: Function) -> Function:
        return function

    return mark
