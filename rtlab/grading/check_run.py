"""One check in one child, within limits.

What lives here: the watch over the child: deadline, memory, processes, and what is left behind. Whatever
happens, the child and all it started are gone afterwards. It must not know what the submission does; it never reads the
submission's text or output for a verdict. What the child says is described in ``messages.py``.
"""

from __future__ import annotations

import os
import re
import secrets
import select
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rtlab.grading.catalogue import Exercise
from rtlab.grading.checks import Check
from rtlab.grading.code_origin import CodeOrigin
from rtlab.grading.launcher import Launcher
from rtlab.grading.messages import (
    Began,
    Imported,
    Late,
    Message,
    NotUnderstoodError,
    Order,
    Spoken,
    Unmet,
    decode,
    one_line,
)
from rtlab.grading.printed import Printed
from rtlab.grading.results import CheckResult, Verdict, time_scale
from rtlab.servers.supervisor import describe_status

__all__ = ["CheckRun", "ProcessLimits"]

STARTUP_S = 20.0
"""Seconds for a process to start and to import the grader. That takes 0.2 to 0.8 s, or some on a machine that is
busy."""
LATE_S = 0.5
"""Seconds after its deadline in which the child may say where it is; in the second half faulthandler is asked."""
SAID_BYTES = 1024 * 1024
"""Bytes of one message. The runner's have some hundred."""
LOOK_S = 0.05
"""How often the child is looked at. At 3 GB/s, as fast as memory is filled, it takes 150 MB meanwhile."""
LEFTOVER_S = 1.0
"""Seconds in which what a check has closed has to be gone. Processes and sockets need some milliseconds for it."""
OUTPUT_LINES = 10
"""How many last lines of its output are kept with a result."""
TRACE_LINES = 1000
"""Lines of such a file that are read; a dump of one thread has a hundred at most."""
TRACE = "trace.txt"
"""The file, in the child's private directory, into which faulthandler writes when the child does not answer."""
FRAME = re.compile(r'  File "(?P<file>.*)", line (?P<line>\d+) in ')
"""A line of `faulthandler`'s dump, most recent call first."""


@dataclass(frozen=True)
class ProcessLimits:
    """What a submission may use. Seconds are stretched by RTLAB_TIME_SCALE."""

    deadline_s: float | None = None
    """Seconds for each check instead of its own deadline."""
    memory_mib: int | None = None
    """MiB for each check instead of its own."""
    processes: int | None = None
    """Processes for each check instead of its own."""
    budget_s: float | None = None
    """Seconds that a submission which hangs may cost in all, instead of the exercise's."""


class CheckRun:
    """One child, from its start to its end.

    Args:
        exercise: whose check it is.
        check: what to run.
        submission: the file, absolute.
        deadline_s: seconds that it has, not stretched any more.
        launcher: starts the child.
        reset: the command that brings back the file to start from, for messages.
        limits: instead of the check's own.
    """

    def __init__(
        self,
        exercise: Exercise,
        check: Check,
        submission: Path,
        deadline_s: float,
        launcher: Launcher,
        *,
        reset: str,
        limits: ProcessLimits,
    ) -> None:
        self.exercise = exercise
        self.check = check
        self.submission = submission
        self.deadline_s = deadline_s
        self.scale = time_scale()
        self.memory_mib = limits.memory_mib or check.memory_mib
        self.processes = limits.processes or check.processes
        self.phase = "start"
        """"start", "import", "check" or "grader": where the child was, or which of them the verdict is about."""
        self.hung = False
        """Whether the deadline was reached."""
        self._unmet = ""  # the first expectation that was not met
        self._where = ""  # where the child says it is
        self._begun: float | None = None
        self._looked = 0.0  # when the limits were last looked at
        self._asked = 0  # how many times it was asked where it is
        self._buffer = b""
        self._closed = False
        self._token = secrets.token_hex(16)
        self._ours, theirs = socket.socketpair()
        order = Order(
            check=check.name,
            forbidden=exercise.forbidden,
            reset=reset,
            solutions=self._closed_folder(),
            submission=os.fspath(submission),
            trace=TRACE,
            token=self._token,
        )
        try:
            with theirs:
                self.child = launcher.launch(order, theirs)
        except BaseException:
            self._ours.close()
            raise

    def result(self) -> CheckResult:
        """What came of it: from the child's own mouth, or from what was seen of it."""
        started = time.monotonic()
        while True:
            try:
                spoken = self._listen()
            except NotUnderstoodError:
                return self._failed("your code wrote into the socket that the verdict comes on")
            if spoken is not None:
                return spoken
            now = time.monotonic()
            if self._closed:
                return self._ended()
            if now > self._looked + LOOK_S:  # what it prints wakes us more often
                self._looked = now
                broken = self._broken_limit()
                if broken:
                    return self._failed(broken)
            if self._begun is None:
                if now > started + STARTUP_S * self.scale:
                    self.phase = "grader"
                    return self._unknown(f"the grader {self.exercise.grader.name} was not imported in time")
                continue
            overdue_s = now - self._begun - self.deadline_s
            if self._where or overdue_s > LATE_S * self.scale:
                return self._late()
            self._ask(overdue_s)

    def end(self) -> None:
        """End the child and all that it started."""
        self.child.close()
        self._ours.close()

    def _closed_folder(self) -> str:
        """The folder of solutions, which the submission may not open, unless it is one of them."""
        solutions = self.exercise.root / "solutions"
        return "" if self.submission.resolve().is_relative_to(solutions.resolve()) else os.fspath(solutions)

    def _listen(self) -> CheckResult | None:
        """Take in what the child has said since, after a wait of at most `LOOK_S`. Gives its verdict, if it is there.

        Raises:
            NotUnderstoodError: that was not the runner who spoke.
        """
        for message in self._messages():
            match message:
                case Began():
                    if self._begun is not None:  # again: the deadline would begin anew
                        raise NotUnderstoodError("expected one beginning")
                    self._begun, self.phase = time.monotonic(), "import"
                    self.child.poll()  # by now its process id is known
                case Imported():
                    self.phase = "check"
                case Unmet(sentence):
                    self._unmet = self._unmet or sentence
                case Late(where):
                    self._where = where
                case Spoken():
                    return self._spoken(message)
                case Order():
                    raise NotUnderstoodError("expected no order from a check")
        return None

    def _messages(self) -> Iterator[Message]:
        """What came. Each is taken in before the next is read: what cannot be understood spoils nothing before it."""
        sources: list[socket.socket | Printed] = (
            [self._ours] if self.child.printed.ended else [self._ours, self.child.printed]
        )
        ready = select.select(sources, [], [], LOOK_S)[0]
        self.child.printed.drain()
        if self._ours in ready:
            try:
                data = self._ours.recv(65536)
            except ConnectionResetError:
                data = b""
            self._closed = not data
            self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > SAID_BYTES:
            raise NotUnderstoodError("a message without an end")
        return (decode(line, self._token) for line in lines)

    def _ask(self, overdue_s: float) -> None:
        """After its deadline, ask the child where it is: first Python itself, and if that is stuck, faulthandler."""
        if overdue_s > 0 and self._asked == 0:
            self.child.send_signal(signal.SIGUSR1)
            self._asked = 1
        elif overdue_s > LATE_S * self.scale / 2 and self._asked == 1:
            self.child.send_signal(signal.SIGUSR2)
            self._asked = 2

    def _broken_limit(self) -> str:
        """The limit that the child has broken, in words; empty if none."""
        processes = self.child.tree.look()
        if len(processes) - 1 > self.processes:
            return f"your code had more than {self.processes} processes running at once"
        if self.child.tree.memory_bytes(processes) > self.memory_mib * 1024 * 1024:
            return f"your code took more than {self.memory_mib} MiB of memory"
        if not self.child.running and not self._closed and not select.select([self._ours], [], [], 0)[0]:
            self._closed = True  # a process that it forked off holds the socket open
        return ""

    def _spoken(self, said: Spoken) -> CheckResult:
        self.phase = said.phase
        if self._unmet and said.verdict in (Verdict.PASSED, Verdict.UNKNOWN):
            return self._failed(self._unmet)  # it has told us before something made it forget
        if said.verdict is not Verdict.PASSED:
            return self._made(said.verdict, said.message)
        left = said.left or self.child.tree.left_behind()
        until = time.monotonic() + LEFTOVER_S * self.scale
        while left and not said.left and time.monotonic() < until:
            time.sleep(LOOK_S)
            self.child.printed.drain()
            left = self.child.tree.left_behind()
        return self._failed(f"your code {left}") if left else self._made(said.verdict, "")

    def _ended(self) -> CheckResult:
        """The child ended without a verdict."""
        try:
            status = self.child.wait(LEFTOVER_S * self.scale)
        except TimeoutError:
            return self._failed("your code closed a file descriptor that is not its own: the verdict's")
        if self._asked:
            return self._late()
        if self.phase == "start":
            self.phase = "grader"
            return self._unknown(f"the grading process ended at once, with {describe_status(status)}")
        ended = "ended the process" if status >= 0 else "crashed"
        return self._failed(f"your code {ended} ({describe_status(status)})")

    def _late(self) -> CheckResult:
        self.hung = True
        where = self._where or self._traced()
        seconds = f"{round(self.deadline_s, 1):g} s"
        if where.startswith(self.exercise.grader.name):
            sentence = f"still waiting after {seconds} for what never came ({where})"
        else:
            during = " while it is imported" if self.phase == "import" else ""
            sentence = f"still running after {seconds}{during}" + (f", in {where}" if where else "")
        return self._failed(f"{self._unmet}. Then {sentence}" if self._unmet else sentence)

    def _traced(self) -> str:
        """The learner's innermost line in which the child's main thread was, from faulthandler's file."""
        text = "\n".join(self.child.trace.tail(TRACE_LINES))
        origin = CodeOrigin(self.submission, self.exercise.grader)
        for frame in FRAME.finditer(text):
            if origin.owns(frame["file"]):
                return origin.line(frame["file"], int(frame["line"]), show=True)
        return ""

    def _failed(self, message: str) -> CheckResult:
        return self._made(Verdict.FAILED, message)

    def _unknown(self, message: str) -> CheckResult:
        return self._made(Verdict.UNKNOWN, message)

    def _made(self, verdict: Verdict, message: str) -> CheckResult:
        kept = () if verdict in (Verdict.PASSED, Verdict.TODO) else tuple(self.child.tail(OUTPUT_LINES))
        # a line of the submission may be in the message, or the name of a process of its own
        return CheckResult(self.check.name, verdict, one_line(message), self.check.points, kept)
