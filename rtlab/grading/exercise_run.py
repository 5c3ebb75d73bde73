"""The parent's side of grading: the checks of one exercise on one file.

What lives here: `ExerciseRun`, which runs one check after the other, each in a child of its own, and keeps what is
known of the submission between them: that it cannot be imported, that it hangs. How a child is started is the
business of `launcher`, and how it is watched that of `check_run`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

from rtlab.errors import UnsupportedPlatformError
from rtlab.grading.catalogue import Exercise
from rtlab.grading.check_run import CheckRun, ProcessLimits
from rtlab.grading.checks import Check
from rtlab.grading.launcher import Launcher
from rtlab.grading.results import CheckResult, ExerciseResult, Verdict, time_scale

__all__ = ["BUDGET_S", "ExerciseRun", "ProcessLimits", "grade_exercise"]

BUDGET_S = 30.0
"""Seconds that a submission which hangs may cost in all, however many checks it hangs in."""


class ExerciseRun:
    """The checks of one exercise, run on one file.

    In a ``with`` block the process that has imported the grader is kept from one check to the next, which makes them
    quicker and nothing else.

    Args:
        exercise: from the catalogue.
        submission: the file to grade.
        reset: the command that brings back the file to start from, for messages; empty if there is none.
        limits: instead of those of the exercise.
    """

    def __init__(
        self, exercise: Exercise, submission: Path, *, reset: str = "", limits: ProcessLimits | None = None
    ) -> None:
        self.exercise = exercise
        self.submission = submission.absolute()
        self.reset = reset
        self.limits = limits or ProcessLimits()
        self._import_failure: CheckResult | None = None
        self._spent_s = 0.0
        self._hung = False
        self._keeps = False
        self._launcher: Launcher | None = None

    def __enter__(self) -> Self:
        self._keeps = True
        return self

    def __exit__(self, *_: object) -> None:
        self._keeps = False
        self._close()

    def turn_to(self, submission: Path) -> None:
        """Go on with another file for the exercise. Only the process that has imported the grader is kept."""
        self.submission = submission.absolute()
        self._import_failure = None
        self._spent_s = 0.0
        self._hung = False

    def run(self, check: Check) -> CheckResult:
        """Run one check in a child process, and block until the child and all it started are gone.

        Raises:
            UnsupportedPlatformError: on Windows.
            ChildError: Python itself cannot be started.
        """
        if sys.platform == "win32":
            raise UnsupportedPlatformError("ExerciseRun", "Windows", "Use WSL.")
        if self._import_failure is not None:
            return replace(self._import_failure, name=check.name, max=check.points)
        scale = time_scale()
        deadline_s = (self.limits.deadline_s or check.deadline_s) * scale
        if self._hung:
            budget_s = (self.limits.budget_s or self.exercise.budget_s or BUDGET_S) * scale
            deadline_s = min(deadline_s, budget_s - self._spent_s)
            if deadline_s <= 0:
                message = (
                    f"not run: the checks before it used up the {budget_s:g} s that a submission which hangs may cost"
                )
                return CheckResult(check.name, Verdict.FAILED, message, check.points)
        started = time.monotonic()
        try:
            run = self._check_run(check, deadline_s)
            try:
                result = run.result()
            finally:
                run.end()
        finally:
            self._spent_s += time.monotonic() - started
            if not self._keeps:
                self._close()
        self._hung |= run.hung
        if run.phase == "import" and result.verdict is not Verdict.PASSED:
            self._import_failure = result
        return result

    def _check_run(self, check: Check, deadline_s: float) -> CheckRun:
        try:
            return self._begin(check, deadline_s)
        except OSError:  # the check before has taken the launcher's place away
            self._close()
            return self._begin(check, deadline_s)

    def _begin(self, check: Check, deadline_s: float) -> CheckRun:
        if self._launcher is None or not self._launcher.usable:
            self._close()
            self._launcher = Launcher(self.exercise.grader)
        return CheckRun(
            self.exercise, check, self.submission, deadline_s, self._launcher, reset=self.reset, limits=self.limits
        )

    def _close(self) -> None:
        if self._launcher is not None:
            self._launcher.close()
            self._launcher = None


def grade_exercise(run: ExerciseRun, on_result: Callable[[CheckResult], None] = lambda _: None) -> ExerciseResult:
    """Run all checks of an exercise, in order.

    Args:
        run: what to run.
        on_result: called after each check.
    """
    results = []
    with run:
        for check in run.exercise.checks:
            results.append(run.run(check))
            on_result(results[-1])
    return ExerciseResult(run.exercise.id, tuple(results), missing=not run.submission.exists())
