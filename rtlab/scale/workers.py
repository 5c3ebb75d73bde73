"""A worker: one process of several that run the same app, each on a port of its own.

What lives here: `Worker`, how a worker is started, how we know that it listens, and how it ends. When that is done, and
what happens after a worker has died, `crew` decides.

A worker inherits a socket that listens, and we close ours: while there is no worker, its port refuses connections, so
that the balancer asks the next one. To keep the port meanwhile, a second socket is bound to it that never listens.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from rtlab.errors import ChildError
from rtlab.scale.logs import ClusterLog
from rtlab.scale.offering import Offer
from rtlab.servers.supervisor import GRACE_S, TAIL_LINES, Child, describe_status, readable

__all__ = ["READY_S", "Worker"]

LOOPBACK = "127.0.0.1"
READY_S = 30.0
"""Seconds that a worker has to import its app and listen. Several start at the same time, on few cores perhaps."""
KEEPS_PORTS = sys.platform == "linux"
"""Whether a port can be held by a socket that is bound and does not listen, while another one listens on it: Linux
allows that where both have SO_REUSEADDR (socket(7)); elsewhere the port is free while there is no worker."""


class Worker:
    """One process of a cluster. Made by `rtlab.cluster`.

    Args:
        name: "worker-1".
        app: its import string.
        env: the environment that it gets.
        log: takes what it prints.
    """

    def __init__(self, name: str, app: str, env: Mapping[str, str], log: ClusterLog) -> None:
        self.name = name
        """What `Cluster.kill` and the others take: "worker-1"."""
        self.app = app
        self.child: Child | None = None
        """Its process; None while there is none."""
        self.offer = Offer()
        """What it has said about its app."""
        self.restarts = 0
        """How often it was started again, for whatever reason."""
        self.state = "new"
        """In words: "ready", "draining", "starting again in 0.4 s"."""
        self._env = {**env, "RTLAB_WORKER": name, "PYTHONUNBUFFERED": "1"}
        self._log = log
        self._ready_fd: int | None = None
        self._holder = socket.socket()
        try:
            self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._holder.bind((LOOPBACK, 0))
        except BaseException:
            self._holder.close()
            raise
        self.port: int = self._holder.getsockname()[1]
        """Its TCP port, the same for as long as its cluster runs."""

    @property
    def url(self) -> str:
        """Where it listens itself, past the balancer: ``http://127.0.0.1:PORT``."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int | None:
        """The id of its process; None while there is none."""
        return self.child.pid if self.child is not None and self.child.running else None

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.pid is not None

    @property
    def how_often(self) -> str:
        """How often it was started again, in words; empty if never."""
        times = "once" if self.restarts == 1 else f"{self.restarts} times"
        return f"started again {times}" if self.restarts else ""

    def tail(self, lines: int = TAIL_LINES) -> list[str]:
        """The last lines that it has printed, of its earlier processes too."""
        return [line.text for line in self._log.tail(lines, of=self.name)]

    def spawn(self) -> None:
        """Start its process. It does not listen yet.

        Raises:
            ChildError: somebody else has taken its port.
        """
        assert self.child is None, "one process at a time"
        self.state = "starting"
        if not KEEPS_PORTS:
            self._holder.close()
        try:
            listener = socket.create_server((LOOPBACK, self.port), backlog=socket.SOMAXCONN)
        except OSError as error:
            raise ChildError(self.name, f"cannot listen on its port {self.port}: {error}.") from None
        with listener:  # ours is closed: a dead worker's port has to refuse
            reader, writer = os.pipe()
            try:
                self.child = Child(
                    [sys.executable, "-m", "rtlab.scale.worker_program",
                     str(listener.fileno()), str(writer), self.app],
                    name=self.name,
                    cwd=Path.cwd(),
                    env=self._env,
                    pass_fds=(listener.fileno(), writer),
                )  # fmt: skip
            except BaseException:
                os.close(reader)
                raise
            finally:
                os.close(writer)
        self._ready_fd = reader
        self._log.add(self.name, self.child.log)

    async def listens(self) -> None:
        """Wait until it listens.

        Raises:
            ChildError: it has ended, or not listened within `READY_S`. The message shows its last lines.
        """
        assert self._ready_fd is not None
        assert self.child is not None
        try:
            async with asyncio.timeout(READY_S):
                await readable(self._ready_fd)
            said = os.read(self._ready_fd, 4096)
            if not said:
                await self.child.wait_async()
                raise self.failure()
            self.offer = Offer.from_bytes(said)
        except TimeoutError:
            raise self.failure(f"did not listen within {READY_S:g} s") from None
        finally:
            self._close_pipe()

    async def ended(self) -> None:
        """Wait until its process has ended; at once if there is none."""
        if self.child is not None:
            await self.child.wait_async()

    def kill(self) -> None:
        """SIGKILL: it closes no connection and says nothing. `close` still has to follow."""
        if self.child is not None:
            self.child.kill()

    def ask_to_end(self) -> None:
        """SIGTERM: it drains, and ends. `close` still has to follow."""
        if self.child is not None:
            self.child.send_signal(signal.SIGTERM)
            self.child.send_signal(signal.SIGCONT)  # a frozen one would never hear of it

    async def close(self) -> None:
        """End its process if it runs: SIGTERM, upon which it drains, and SIGKILL after five seconds."""
        child = self.child
        if child is None:
            return
        try:
            if child.running:
                self.ask_to_end()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GRACE_S):
                        await child.wait_async()
                child.kill()
                await child.wait_async()
        finally:
            self._close_pipe()
            self._log.drop(child.log)  # its directory goes now
            await child.aclose()
            self.child = None

    def give_port_back(self) -> None:
        """Nobody starts it again."""
        self._holder.close()

    def how_it_ended(self) -> str:
        """In words: "ended with exit status 1"."""
        if self.child is None or self.child.returncode is None:
            return "has no process"
        return f"ended with {describe_status(self.child.returncode)}"

    def failure(self, problem: str | None = None) -> ChildError:
        """A ChildError about it, with the last lines that it has printed."""
        return ChildError(f"{self.name} ({self.app})", problem or self.how_it_ended(), self.tail())

    def __repr__(self) -> str:
        process = f"process {self.pid}" if self.running else "no process"
        return f"<Worker {self.name}, {self.url}, {process}, {', '.join(filter(None, (self.state, self.how_often)))}>"

    def _close_pipe(self) -> None:
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None
