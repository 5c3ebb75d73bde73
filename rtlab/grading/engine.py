"""The parent's side of grading: each check in a child of its own, within limits.

What lives here: `Grading`, which runs the checks of one exercise on one file, and the watch over the child: deadline,
memory, processes, output, and what is left behind. Whatever happens, the child and all it started are gone
afterwards. It must not know what the submission does; it never reads its text or its output for a verdict.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rtlab.errors import UnsupportedPlatformError
from rtlab.grading.blame import Origin
from rtlab.grading.catalogue import Exercise
from rtlab.grading.checks import Check
from rtlab.grading.results import CheckResult, ExerciseResult, Verdict, time_scale
from rtlab.grading.tree import ProcessTree
from rtlab.servers.supervisor import Child, describe_status

__all__ = ["Grading", "Limits", "grade_exercise"]

STARTUP_S = 20.0
"""Seconds for the child to start and to import the grader. That takes 0.2 s, or some on a machine that is busy."""
BUDGET_S = 30.0
"""Seconds that a submission which hangs may cost in all, however many checks it hangs in."""
LATE_S = 0.5
"""Seconds that the child has, after its deadline, to say where it waits. An endless loop never says it."""
OUTPUT_BYTES = 1024 * 1024
"""Bytes that a check may print. Nobody reads more; a loop that prints writes that in a tenth of a second."""
LOOK_S = 0.05
"""How often the child is looked at. At 3 GB/s, as fast as memory is filled, it takes 150 MB meanwhile."""
LEFTOVER_S = 1.0
"""Seconds in which what a check has closed has to be gone. Processes and sockets need some milliseconds for it."""
OUTPUT_LINES = 10
"""How many last lines of its output are kept with a result."""
TRACE = "trace.txt"
"""The file, in the child's private directory, into which faulthandler writes at the deadline."""
FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in ')
"""A line of `faulthandler`'s dump, most recent call first."""


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Seconds are stretched by RTLAB_TIME_SCALE."""

    deadline_s: float | None = None
    """Seconds for each check instead of its own deadline."""
    memory_mib: int | None = None
    """MiB for each check instead of its own."""
    processes: int | None = None
    """Processes for each check instead of its own."""
    output_bytes: int = OUTPUT_BYTES
    """Bytes that each check may print."""
    budget_s: float | None = None
    """Seconds that a submission which hangs may cost in all, instead of the exercise's."""


class Grading:
    """The checks of one exercise, run on one file.

    Args:
        exercise: from the catalogue.
        submission: the file to grade.
        reset: the command that brings back the file to start from, for messages; empty if there is none.
        limits: instead of those of the exercise.
    """

    def __init__(self, exercise: Exercise, submission: Path, *, reset: str = "", limits: Limits | None = None) -> None:
        self.exercise = exercise
        self.submission = submission.absolute()
        self.reset = reset
        self.limits = limits or Limits()
        self._import_failure: CheckResult | None = None
        self._spent_s = 0.0
        self._hung = False

    def run(self, check: Check) -> CheckResult:
        """Run one check in a child process, and block until the child and all it started are gone.

        Raises:
            UnsupportedPlatformError: on Windows.
            ChildError: Python itself cannot be started.
        """
        if sys.platform == "win32":
            raise UnsupportedPlatformError("Grading", "Windows", "Use WSL.")
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
        attempt = _Attempt(self, check, deadline_s, scale)
        started = time.monotonic()
        try:
            result = attempt.result()
        finally:
            attempt.end()
            self._spent_s += time.monotonic() - started
        self._hung |= attempt.hung
        if attempt.phase == "import":
            self._import_failure = result
        return result


def grade_exercise(grading: Grading, on_result: Callable[[CheckResult], None] = lambda _: None) -> ExerciseResult:
    """Run all checks of an exercise, in order.

    Args:
        grading: what to run.
        on_result: called after each check.
    """
    results = []
    for check in grading.exercise.checks:
        results.append(grading.run(check))
        on_result(results[-1])
    return ExerciseResult(grading.exercise.id, tuple(results), missing=not grading.submission.exists())


class _Attempt:
    """One child, from its start to its end."""

    def __init__(self, grading: Grading, check: Check, deadline_s: float, scale: float) -> None:
        self.check = check
        self.grading = grading
        self.deadline_s = deadline_s
        self.scale = scale
        limits = grading.limits
        self.memory_mib = limits.memory_mib or check.memory_mib
        self.processes = limits.processes or check.processes
        self.output_bytes = limits.output_bytes
        self.phase = "start"
        """"start", "import", "check" or "grader": where the child was, or which of them the verdict is about."""
        self.hung = False
        """Whether the deadline was reached."""
        self.unmet = ""
        """The first expectation that was not met."""
        self._buffer = b""
        self._closed = False
        self._ours, theirs = socket.socketpair()
        exercise = grading.exercise
        solutions = exercise.root / "solutions"
        outside = not grading.submission.resolve().is_relative_to(solutions.resolve())
        with theirs:
            self.child = Child(
                [sys.executable, "-P", "-B", "-u", "-X", "utf8", "-m", "rtlab.grading.runner",
                 self._order(theirs, outside)],
                name=f"the check {check.name}",
                pass_fds=[theirs.fileno()],
                grace=0,
            )  # fmt: skip
        self.tree = ProcessTree(self.child.watchdog_pid, self.child.pid)

    def result(self) -> CheckResult:
        """What came of it: from the child's own mouth, or from what was seen of it."""
        begun: float | None = None
        started = time.monotonic()
        where = ""
        while True:
            for message in self._messages():
                word = message["say"]
                if word == "begin":
                    begun, self.phase = time.monotonic(), "import"
                elif word == "imported":
                    self.phase = "check"
                elif word == "unmet":
                    self.unmet = self.unmet or message["sentence"]
                elif word == "late":
                    where = message["where"]
                elif word == "verdict":
                    return self._spoken(message)
            now = time.monotonic()
            if self._closed:
                return self._ended()
            broken = self._broken_limit()
            if broken:
                return self._failed(broken)
            if begun is None and now > started + STARTUP_S * self.scale:
                self.phase = "grader"
                return self._unknown(f"the grader {self.grading.exercise.grader.name} was not imported in time")
            if begun is not None and (where or now > begun + self.deadline_s + LATE_S * self.scale):
                return self._late(where)

    def end(self) -> None:
        """End the child and all that it started."""
        self.tree.look()
        self.child.close()
        self.tree.kill()
        self._ours.close()

    def _order(self, channel: socket.socket, outside: bool) -> str:
        exercise = self.grading.exercise
        return json.dumps({
            "channel": channel.fileno(),
            "check": self.check.name,
            "deadline_s": self.deadline_s,
            "forbidden": exercise.forbidden,
            "grader": os.fspath(exercise.grader),
            "reset": self.grading.reset,
            "solutions": os.fspath(exercise.root / "solutions") if outside else "",
            "submission": os.fspath(self.grading.submission),
            "trace": TRACE,
        })  # fmt: skip

    def _messages(self) -> list[dict[str, str]]:
        """What the child has said since, after a wait of at most `LOOK_S`."""
        if select.select([self._ours], [], [], LOOK_S)[0]:
            try:
                data = self._ours.recv(65536)
            except ConnectionResetError:
                data = b""
            self._closed = not data
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        messages = []
        for line in lines:
            with contextlib.suppress(ValueError):  # the submission found the socket and wrote to it
                messages.append(json.loads(line))
        return messages

    def _broken_limit(self) -> str:
        """The limit that the child has broken, in words; empty if none."""
        if self.child.log.size > self.output_bytes:
            return f"your code printed more than {_size(self.output_bytes)}"
        processes = self.tree.look()
        if len(processes) - 1 > self.processes:
            return f"your code had more than {self.processes} processes running at once"
        if self.tree.memory_bytes(processes) > self.memory_mib * 1024 * 1024:
            return f"your code took more than {self.memory_mib} MiB of memory"
        if not self.child.running and not self._closed and not select.select([self._ours], [], [], 0)[0]:
            self._closed = True  # a process that it forked off holds the socket open
        return ""

    def _spoken(self, message: dict[str, str]) -> CheckResult:
        self.phase = message["phase"]
        verdict = Verdict(message["verdict"])
        if verdict is not Verdict.PASSED:
            return self._made(verdict, message["message"])
        left = message["left"] or self.tree.left_behind()
        until = time.monotonic() + LEFTOVER_S * self.scale
        while left and not message["left"] and time.monotonic() < until:
            time.sleep(LOOK_S)
            left = self.tree.left_behind()
        return self._failed(f"your code {left}") if left else self._made(verdict, "")

    def _ended(self) -> CheckResult:
        """The child ended without a verdict."""
        try:
            status = self.child.wait(LEFTOVER_S * self.scale)
        except TimeoutError:
            return self._failed("your code closed a file descriptor that is not its own: the verdict's")
        if self.phase == "start":
            self.phase = "grader"
            return self._unknown(f"the grading process ended at once, with {describe_status(status)}")
        ended = "ended the process" if status >= 0 else "crashed"
        return self._failed(f"your code {ended} ({describe_status(status)})")

    def _late(self, where: str) -> CheckResult:
        self.hung = True
        where = where or self._traced()
        seconds = f"{round(self.deadline_s, 1):g} s"
        if where.startswith(self.grading.exercise.grader.name):
            sentence = f"still waiting after {seconds} for what never came ({where})"
        else:
            during = " while it is imported" if self.phase == "import" else ""
            sentence = f"still running after {seconds}{during}" + (f", in {where}" if where else "")
        return self._failed(f"{self.unmet}. Then {sentence}" if self.unmet else sentence)

    def _traced(self) -> str:
        """The line in which the child was at its deadline, from faulthandler's file: the learner's innermost one,
        in the main thread (the last in the file) if it has any."""
        try:
            text = (self.child.directory / TRACE).read_text(errors="replace")
        except FileNotFoundError:
            return ""
        origin = Origin(self.grading.submission, self.grading.exercise.grader)
        for thread in reversed(text.split("\n\n")):
            for frame in FRAME.finditer(thread):
                if origin.owns(frame["file"]):
                    return origin.line(frame["file"], int(frame["line"]), show=True)
        return ""

    def _failed(self, message: str) -> CheckResult:
        return self._made(Verdict.FAILED, message)

    def _unknown(self, message: str) -> CheckResult:
        return self._made(Verdict.UNKNOWN, message)

    def _made(self, verdict: Verdict, message: str) -> CheckResult:
        kept = () if verdict in (Verdict.PASSED, Verdict.TODO) else tuple(self.child.log.tail(OUTPUT_LINES))
        return CheckResult(self.check.name, verdict, message, self.check.points, kept)


def _size(count: int) -> str:
    return f"{count // 1024 // 1024} MiB" if count >= 1024 * 1024 else f"{count // 1024} KiB"
