"""The process of one check, as the one that waits for it has it.

What lives here: `CheckProcess`, its handle: whether it runs, what it prints, its end and that of all it started. It
must not know what it says.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

from rtlab.grading.messages import printable
from rtlab.grading.printed import Printed
from rtlab.grading.process_tree import ProcessTree
from rtlab.grading.results import time_scale
from rtlab.servers.supervisor import Child, Log

__all__ = ["CheckProcess"]

SWEEP_S = 1.0
"""Seconds that what a check leaves has to be gone after SIGKILL; it takes milliseconds."""
LOOK_S = 0.005
"""How often it is looked at whether something has ended."""


class CheckProcess:
    """The process of one check, in a directory of its own.

    Args:
        grader: the process that it was forked from, or is.
        listen: what that one has said since: words and their numbers.
        give_up: ends all of it, where what the check has left cannot be ended otherwise.
        directory: its working directory.
        trace: the name of the file in there that faulthandler writes into.
    """

    def __init__(
        self,
        grader: Child,
        listen: Callable[[], list[tuple[str, int]]],
        give_up: Callable[[], None],
        directory: Path,
        trace: str,
    ) -> None:
        self.directory = directory
        """Its working directory, removed at the end."""
        self.pid = 0
        """Its process id; 0 as long as the grader is being imported."""
        self.tree = ProcessTree(grader.watchdog_pid, grader.pid)
        self._grader = grader
        self._listen = listen
        self._give_up = give_up
        self.printed = Printed()
        """What it prints itself."""
        self.trace = Log(directory / trace)
        """What faulthandler has written."""
        self._returncode: int | None = None

    def tail(self, lines: int) -> list[str]:
        """The last lines that it has printed, or, before it has started, that the grader has."""
        return self.printed.tail(lines) if self.pid else [printable(line) for line in self._grader.log.tail(lines)]

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.poll() is None

    def poll(self) -> int | None:
        """The exit status if it has ended, else None. Drains what it prints: a full pipe would keep it from ending."""
        self.printed.drain()
        if self._returncode is None:
            ended = self._grader.poll()  # before listening: what was said last is then there
            for word, number in self._listen():
                if word == "started":
                    self.pid = self.tree.child = number
                else:
                    self._returncode = number
            if self._returncode is None:
                self._returncode = ended
        return self._returncode

    def wait(self, timeout_s: float) -> int:
        """Block until it has ended; gives its exit status.

        Raises:
            TimeoutError: it still ran after `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} still runs after {timeout_s:g} s")
            time.sleep(LOOK_S)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the process itself. No error if it has ended."""
        if self.running and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def close(self) -> None:
        """End it and all that it started, and block until that is done."""
        self.tree.look()
        swept = self._sweep()
        self.printed.close()
        self.trace.keep()
        if not swept:
            self._give_up()
            self.tree.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _sweep(self) -> bool:
        """Kill all but the process that it was forked from. Tells whether nothing else is left of it."""
        self.poll()
        if self.pid in (0, self._grader.pid):
            return False
        until = time.monotonic() + SWEEP_S * time_scale()
        while self._grader.running and time.monotonic() < until:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.tree.kill()
            if self.poll() is not None and all(process.pid == self.pid for process in self.tree.look()):
                return True
            time.sleep(LOOK_S)
        return False
