"""Waiting until a process that was sent SIGSTOP has stopped.

What lives here: `wait_until_stopped`. It must not know what the process is.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from rtlab.servers.supervisor import Child

__all__ = ["wait_until_stopped"]

PAUSE_S = 0.001
"""Seconds between two looks whether a process has stopped. It takes microseconds."""


async def wait_until_stopped(child: Child) -> None:
    """Wait until it does nothing any more, because it has stopped or ended."""
    while child.running and not _has_stopped(child.pid):
        await asyncio.sleep(PAUSE_S)


def _has_stopped(pid: int) -> bool:
    """Whether a process is stopped (state T, proc(5)). Where there is no /proc, SIGSTOP counts as done at once."""
    if sys.platform != "linux":
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] in {b"T", b"Z", b"X"}
    except OSError:  # it has just ended
        return True
