"""The process that imports a grader once, and the checks that are forked from it.

What lives here: the engine's side of that process, `Launcher`, and its handle on one check, `Launched`. The other side
is ``fork_server.py``. It must not know what a check says or what came of it.

The law:

- Importing what a grader needs (python-socketio, aiohttp) takes four fifths of a second, and a check a tenth of one. So
  it is imported once, in a process that never runs a line of the submission's. Each check is a fork of it, and nothing
  that one check does is there for the next.
- A fork is made on Linux, by a process with one thread. Elsewhere (the system libraries of macOS do not bear it) and
  after a grader that has started a thread the process runs one check itself, and the next check gets another process.
- The process runs under a watchdog (see ``supervisor.py``), and so does all that is forked from it: we may be killed.
- After a check the process is used again only if everything else below its watchdog is gone. Otherwise the watchdog
  ends the whole of it.

What the two say to each other over a socket, besides the end of it, which is the end of the process:

- An order: one line of JSON, with two descriptors: where the check speaks, and where its output goes.
- ``started PID``: so it runs, as that process. Said by the check itself, before anything else.
- ``exit STATUS`` (negative for a signal): it has ended. Said by the process that it was forked from. It stays a zombie
  until the next order comes, so that its process id is nobody else's before its group was ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rtlab.grading.results import time_scale
from rtlab.grading.tree import ProcessTree
from rtlab.servers.supervisor import Child, Log

__all__ = ["Launched", "Launcher"]

OUTPUT = "output.log"
"""The file, in the directory of a check, that holds what it prints."""
SWEEP_S = 1.0
"""Seconds that what a check leaves has to be gone after SIGKILL; it takes milliseconds."""
LOOK_S = 0.005
"""How often it is looked at whether something has ended."""


class Launcher:
    """A process that has imported a grader, or is about to.

    Args:
        grader: the file.

    Raises:
        ChildError: Python itself cannot be started.
    """

    def __init__(self, grader: Path) -> None:
        self._ours, theirs = socket.socketpair()
        with theirs:
            self.process = Child(
                [sys.executable, "-P", "-B", "-u", "-X", "utf8", "-m", "rtlab.grading.fork_server",
                 str(theirs.fileno()), grader],
                name=f"the grader {grader.name}",
                pass_fds=[theirs.fileno()],
                grace_s=0,
            )  # fmt: skip
        self._buffer = b""
        self._launched = 0
        self._closed = False

    @property
    def usable(self) -> bool:
        """Whether another check can be launched."""
        return not self._closed and self.process.running

    def launch(self, order: Mapping[str, object], channel: socket.socket) -> Launched:
        """Start a check. The one before it has to be closed.

        Args:
            order: what to do, see `rtlab.grading.attempt`; its directory is added.
            channel: where the check speaks. The caller closes it.
        """
        self._launched += 1
        directory = self.process.directory / str(self._launched)
        directory.mkdir()
        line = json.dumps({**order, "directory": os.fspath(directory)}).encode() + b"\n"
        with (directory / OUTPUT).open("ab") as output:
            with contextlib.suppress(BrokenPipeError):  # the process has ended, as `poll` will tell
                socket.send_fds(self._ours, [line], [channel.fileno(), output.fileno()])
        return Launched(self, directory)

    def listen(self) -> list[tuple[str, int]]:
        """What the process has said since: words and their numbers."""
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            self._buffer += self._ours.recv(4096, socket.MSG_DONTWAIT)
        *lines, self._buffer = self._buffer.split(b"\n")
        return [(word.decode(), int(number)) for word, _, number in (line.partition(b" ") for line in lines)]

    def close(self) -> None:
        """End the process and all that was forked from it. A second call does nothing."""
        self._closed = True
        self.process.close()
        self._ours.close()


class Launched:
    """The process of one check, in a directory of its own."""

    def __init__(self, launcher: Launcher, directory: Path) -> None:
        self.directory = directory
        """Its working directory, removed at the end."""
        self.pid = 0
        """Its process id; 0 as long as the grader is being imported."""
        self.tree = ProcessTree(launcher.process.watchdog_pid, launcher.process.pid)
        self._launcher = launcher
        self._log = Log(directory / OUTPUT)
        self._returncode: int | None = None

    @property
    def log(self) -> Log:
        """What it has printed, or, before it has started, what the grader has."""
        return self._log if self.pid else self._launcher.process.log

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.poll() is None

    def poll(self) -> int | None:
        """The exit status if it has ended, else None."""
        if self._returncode is None:
            ended = self._launcher.process.poll()  # before listening: what was said last is then there
            for word, number in self._launcher.listen():
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
        self._log.keep()
        if not swept:
            self._launcher.close()
            self.tree.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _sweep(self) -> bool:
        """Kill all but the process that it was forked from. Tells whether nothing else is left of it."""
        self.poll()
        if self.pid in (0, self._launcher.process.pid):
            return False
        until = time.monotonic() + SWEEP_S * time_scale()
        while self._launcher.process.running and time.monotonic() < until:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
            self.tree.kill()
            if self.poll() is not None and all(process.pid == self.pid for process in self.tree.look()):
                return True
            time.sleep(LOOK_S)
        return False
