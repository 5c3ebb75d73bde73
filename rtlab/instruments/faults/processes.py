"""Processes of ours, stopped, continued and killed: a worker, a broker, or any child under the supervisor.

What lives here: `stop`, `continue_` and `kill`. They must not know what the process does, and they touch none that we
have not started: each of ours ends with us, also a stopped one, because its watchdog wakes it first.
"""

from __future__ import annotations

import signal
from typing import Protocol, runtime_checkable

from rtlab.errors import UsageError
from rtlab.scale.broker import Broker
from rtlab.scale.stopping import wait_until_stopped
from rtlab.servers.supervisor import Child

__all__ = ["Process", "continue_", "kill", "stop"]


@runtime_checkable
class Process(Protocol):
    """What has a process of ours: a `Worker`, say."""

    @property
    def child(self) -> Child | None:
        """The process; None while there is none."""


async def stop(process: Child | Broker | Process) -> None:
    """SIGSTOP: it does nothing more until `continue_`, as in a virtual machine that is paused. Waits until it is so.

    Its connections stay open, and new ones are accepted by the kernel for as long as its backlog has room.

    Raises:
        UsageError: it is no process of ours, or has ended.
    """
    if isinstance(process, Broker):
        await process.freeze()
        return
    child = _running(process, "stopped")
    child.send_signal(signal.SIGSTOP)
    await wait_until_stopped(child)


async def continue_(process: Child | Broker | Process) -> None:
    """SIGCONT: it goes on where `stop` had stopped it, and first does what was sent to it meanwhile.

    Raises:
        UsageError: it is no process of ours, or has ended.
    """
    if isinstance(process, Broker):
        await process.thaw()
        return
    _running(process, "continued").send_signal(signal.SIGCONT)  # at once: signal(7)


async def kill(process: Child | Broker | Process) -> None:
    """SIGKILL, as when a machine runs out of memory: nothing is closed, nobody is told. Waits until it is dead.

    A worker of a cluster is started again by that; with `Cluster.kill` it need not be.

    Raises:
        UsageError: it is no process of ours, or has ended.
    """
    if isinstance(process, Broker):
        await process.kill()
        return
    child = _running(process, "killed")
    child.kill()
    await child.wait_async()


def _running(process: object, act: str) -> Child:
    child = process if isinstance(process, Child) else getattr(process, "child", None)
    if isinstance(child, Child):
        if child.running:
            return child
        raise UsageError(f"{child.name} cannot be {act}: it has {child.state}.")
    if isinstance(process, Process):
        raise UsageError(f"{process!r} cannot be {act}: it has no process of its own now.")
    raise UsageError(
        f"Expected a process that the lab has started, such as cluster.workers[0] or cluster.broker, got {process!r}."
    )
