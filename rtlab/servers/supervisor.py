"""Children that cannot outlive us.

What lives here: `Child`, a process under a watchdog (see ``watchdog.py`` for how it works; `Log`, what that process has
printed, is in `output`). It must not know what the child is: Valkey, nginx, a worker and a learner's submission are
all the same here.

A child's output goes to a file in a private directory, because a kernel's own standard output cannot be relied
on (ipykernel captures it or not, depending on who runs the notebook). The directory is removed when the child is
closed, or by the watchdog when we are gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from rtlab.errors import ChildError, UnsupportedPlatformError
from rtlab.servers.output import TAIL_LINES, Log

__all__ = ["GRACE_S", "TAIL_LINES", "Child", "Log", "describe_status", "readable"]

WATCHDOG_S = 5.0
"""Seconds that a watchdog has to sweep up and go, which takes milliseconds. Then it is killed."""
GRACE_S = 5.0
"""Seconds between SIGTERM and SIGKILL. A server that drains needs some; a person who waits for a cell bears few."""
WATCHDOG = Path(__file__).with_name("watchdog.py")


class Child:
    """A process that ends when we end, whatever ends us.

    Starting takes about 30 ms more than the process itself. Everything here is synchronous and quick, but for
    `wait` and `close`; `wait_async` and `aclose` are their forms for an event loop.

    Args:
        command: the program and its arguments. The program is looked up on PATH if it has no slash.
        name: what to call it in messages: "Valkey", "worker chat:app".
        cwd: its working directory; its private directory by default.
        env: its whole environment; ours by default.
        pass_fds: descriptors that it inherits under the same numbers.
        files: written into its private directory (mode 0600) before it starts, by their names: its configuration, say.
        grace_s: seconds that it has between SIGTERM and SIGKILL.

    Raises:
        UnsupportedPlatformError: on Windows.
        ChildError: the program cannot be executed.
    """

    def __init__(
        self,
        command: Sequence[str | os.PathLike[str]],
        *,
        name: str,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        files: Mapping[str, bytes] | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        if sys.platform == "win32":
            raise UnsupportedPlatformError("Starting processes under a watchdog", "Windows", "Use WSL.")
        self.name = name
        self.command = [os.fspath(part) for part in command]
        self.grace_s = grace_s
        self.returncode: int | None = None
        """The exit status, negative for a signal, as in `subprocess`. None while it runs."""
        self.directory = Path(tempfile.mkdtemp(prefix="rtlab-"))
        """A private directory for its files, removed at the end."""
        for file, content in (files or {}).items():
            (self.directory / file).touch(0o600, exist_ok=False)
            (self.directory / file).write_bytes(content)
        self.log = Log(self.directory / "output.log")
        self._buffer = b""
        self._waiting: set[asyncio.Future[None]] = set()
        self._closed = False
        self._status, status_writer = os.pipe()
        os.set_blocking(self._status, False)
        try:
            with self.log.path.open("ab") as output:
                self._watchdog = subprocess.Popen(
                    [sys.executable, "-I", "-S", os.fspath(WATCHDOG), str(status_writer), str(os.getpid()),
                     str(grace_s), os.fspath(self.directory), "--", *self.command],
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    cwd=cwd or self.directory,
                    env=env,
                    pass_fds=(status_writer, *pass_fds),
                    start_new_session=True,
                )  # fmt: skip
        finally:
            os.close(status_writer)
        self.pid = self._read_start()

    @property
    def watchdog_pid(self) -> int:
        """The process id of the watchdog. On Linux all descendants of the child are descendants of this."""
        return self._watchdog.pid

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self.poll() is None

    def poll(self) -> int | None:
        """The exit status if the child has ended, else None."""
        while self.returncode is None:
            try:
                data = os.read(self._status, 4096)
            except BlockingIOError:
                break
            if not data:  # the watchdog itself was killed: what it watched has to go
                self._signal_group(signal.SIGKILL)
                self.returncode = -signal.SIGKILL
                break
            self._buffer += data
            *lines, self._buffer = self._buffer.split(b"\n")
            for line in lines:
                word, _, number = line.partition(b" ")
                if word == b"exit":
                    self.returncode = int(number)
        if self.returncode is not None:
            self._wake_waiting()
        return self.returncode

    def wait(self, timeout_s: float | None = None) -> int:
        """Block until the child has ended; gives its exit status.

        Raises:
            TimeoutError: it still ran after `timeout_s` seconds.
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self.poll() is None:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError(f"{self.name} still runs after {timeout_s:g} s")
            select.select([self._status], [], [], left)
        assert self.returncode is not None
        return self.returncode

    async def wait_async(self) -> int:
        """Wait until the child has ended; gives its exit status."""
        while self.poll() is None:
            waiting = asyncio.ensure_future(readable(self._status))
            self._waiting.add(waiting)
            try:
                await asyncio.wait([waiting])
            finally:
                self._waiting.discard(waiting)
                waiting.cancel()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal to the child itself (not to what it started). No error if it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to the child's process group. `close` still has to follow."""
        if self.poll() is None:
            self._signal_group(signal.SIGKILL)

    def close(self) -> None:
        """End the child and all it started, remove its directory, and block until that is done.

        It gets SIGTERM, and SIGKILL after the grace period. The end of the log stays readable. A second call does
        nothing.
        """
        if self._closed:
            return
        self._closed = True
        if self.poll() is None:
            self._ask_to_end()
            try:
                self.wait(self.grace_s)
            except TimeoutError:
                self._signal_group(signal.SIGKILL)
                self.wait()
        self._close_lifeline()

    async def aclose(self) -> None:
        """`close`, without blocking the event loop."""
        if self._closed:
            return
        self._closed = True
        try:
            await self.end_async()
        finally:
            self._close_lifeline()

    async def end_async(self) -> None:
        """End the child as `close` does. What it left, and its directory, stay until that."""
        if self.poll() is None:
            self._ask_to_end()
            try:
                async with asyncio.timeout(self.grace_s):
                    await self.wait_async()
            except TimeoutError:
                self._signal_group(signal.SIGKILL)
                await self.wait_async()

    def failure(self, problem: str | None = None) -> ChildError:
        """A ChildError that says what happened and shows the last lines of output."""
        if problem is None:
            problem = f"ended with {describe_status(self.returncode)}" if self.returncode is not None else "failed"
        return ChildError(self.name, problem, self.log.tail())

    @property
    def state(self) -> str:
        """In words: "running", or how it ended."""
        code = self.poll()
        return "running" if code is None else f"ended with {describe_status(code)}"

    def __repr__(self) -> str:
        return f"<Child {self.name}, process {self.pid}, {self.state}>"

    def _close_lifeline(self) -> None:
        """Let the watchdog go, which takes milliseconds: it kills what the child left and removes the directory."""
        self.log.keep()
        assert self._watchdog.stdin is not None
        self._watchdog.stdin.close()
        try:
            self._wake_watchdog()
            self._watchdog.wait(self.grace_s + WATCHDOG_S)
        except subprocess.TimeoutExpired:
            self._watchdog.kill()
            self._watchdog.wait()
        os.close(self._status)
        shutil.rmtree(self.directory, ignore_errors=True)  # in case somebody had killed the watchdog

    def _read_start(self) -> int:
        """The process id, once the program has been executed."""
        line = b""
        while not line.endswith(b"\n"):
            select.select([self._status], [], [])
            data = os.read(self._status, 1)  # what follows the first line stays for poll
            if not data:
                line = b"failed 0\n"
            line += data
        word, number = line.split()
        if word == b"started":
            return int(number)
        problem = f"could not be started: {self.command[0]}: {os.strerror(int(number))}."
        if int(number) == errno.ENOENT:
            problem += " Is it installed?"
        self.returncode = 127
        self._closed = True
        self._close_lifeline()
        raise self.failure(problem)

    def _wake_waiting(self) -> None:
        """Whoever waits finds nothing left to read: what the watchdog had said was read here."""
        for waiting in list(self._waiting):
            with contextlib.suppress(RuntimeError):  # its event loop is closed
                waiting.get_loop().call_soon_threadsafe(waiting.cancel)

    def _wake_watchdog(self) -> None:
        """Its child may have stopped it, and then nothing is ever heard of either."""
        with contextlib.suppress(ProcessLookupError):
            self._watchdog.send_signal(signal.SIGCONT)

    def _ask_to_end(self) -> None:
        """SIGTERM, and SIGCONT for one that is stopped: else it would never hear of it (as systemd.kill(5) does)."""
        self._signal_group(signal.SIGTERM)
        self._signal_group(signal.SIGCONT)

    def _signal_group(self, number: int) -> None:
        self._wake_watchdog()  # or nobody says what came of it
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)


def describe_status(code: int) -> str:
    """An exit status in words: "exit status 3", "signal SIGKILL"."""
    if code >= 0:
        return f"exit status {code}"
    try:
        return f"signal {signal.Signals(-code).name}"
    except ValueError:
        return f"signal {-code}"


async def readable(descriptor: int) -> None:
    """Wait until a descriptor can be read. Any number of tasks may wait for the same one."""
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    own = os.dup(descriptor)  # an event loop has one callback for each descriptor

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    loop.add_reader(own, wake)
    try:
        await future
    finally:
        loop.remove_reader(own)
        os.close(own)
