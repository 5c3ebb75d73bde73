"""What came of grading.

What lives here: verdicts and results as plain values, and the one scale of all deadlines. It must not know how they
came about or how they are shown.
"""

from __future__ import annotations

import enum
import os
from dataclasses import dataclass

from rtlab.errors import UsageError

__all__ = ["CheckResult", "ExerciseResult", "Verdict", "time_scale"]

TIME_SCALE = "RTLAB_TIME_SCALE"
"""The environment variable that stretches every deadline: 3 on a machine that is three times slower."""


class Verdict(enum.StrEnum):
    """What became of one check."""

    PASSED = "passed"
    FAILED = "failed"
    TODO = "to do"
    """The learner's file raised NotImplementedError: not written yet."""
    UNKNOWN = "unknown"
    """Nothing was observed, or the grader itself broke. Never a pass."""


MARKS = {Verdict.PASSED: "✔", Verdict.FAILED: "✘", Verdict.TODO: "○", Verdict.UNKNOWN: "?"}


@dataclass(frozen=True)
class CheckResult:
    """What came of one check."""

    name: str
    """The check's function: "test_greets_by_name"."""
    verdict: Verdict
    message: str
    """One sentence: what was expected and what came. Empty after a pass."""
    max: int
    """What the check is worth."""
    output: tuple[str, ...] = ()
    """The last lines that the submission printed, kept for those who look for their mistake."""

    @property
    def mark(self) -> str:
        """One character for the verdict. It stands beside the word: colour alone tells not everybody."""
        return MARKS[self.verdict]

    @property
    def label(self) -> str:
        """Mark and verdict, as wide as the widest of them."""
        return f"{self.mark} {self.verdict:7}"

    @property
    def points(self) -> int:
        """What was made of `max`: all or nothing."""
        return self.max if self.verdict is Verdict.PASSED else 0


@dataclass(frozen=True)
class ExerciseResult:
    """What came of one exercise's checks."""

    id: str
    """The exercise's folder: "00_hello"."""
    checks: tuple[CheckResult, ...]
    """In the order of the grader."""
    missing: bool = False
    """There was no file to grade."""

    @property
    def points(self) -> int:
        """What was made."""
        return sum(check.points for check in self.checks)

    @property
    def max(self) -> int:
        """What could be made."""
        return sum(check.max for check in self.checks)

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.verdict is Verdict.PASSED for check in self.checks)


def time_scale() -> float:
    """By how much deadlines are stretched: the environment's RTLAB_TIME_SCALE, or 1.

    Raises:
        UsageError: it is set to something that is no positive number.
    """
    text = os.environ.get(TIME_SCALE) or "1"
    try:
        scale = float(text)
    except ValueError:
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise UsageError(f"{TIME_SCALE} stretches all deadlines: expected a number above 0, got {text!r}.")
    return scale
