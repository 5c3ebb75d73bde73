"""The processes of one check, seen from outside.

What lives here: what they occupy, where they listen, and their end. A process that vanishes while it is looked at is
the normal case.
"""

from __future__ import annotations

import contextlib
import shlex

import psutil

__all__ = ["ProcessTree"]

COMMAND_CHARACTERS = 60
"""How much of a command a sentence shows."""


class ProcessTree:
    """All descendants of a watchdog but the process that the check was forked from. Who was seen once is remembered:
    where there are no subreapers (macOS) a process that starts its own session is lost from the tree when its parent
    ends, but not from memory.

    Args:
        watchdog: its process id.
        grader: that of the process below it, which has imported the grader.
    """

    def __init__(self, watchdog: int, grader: int) -> None:
        self.child = 0
        """The process id of the check, once it is known. Without forks it is that of the grader."""
        self._watchdog = watchdog
        self._grader = grader
        self._seen: set[psutil.Process] = set()

    def look(self) -> list[psutil.Process]:
        """The processes that there are now, the check's among them; the ended but unreaped included."""
        with contextlib.suppress(psutil.Error):
            self._seen.update(psutil.Process(self._watchdog).children(recursive=True))
        self._seen = {process for process in self._seen if process.is_running() and self._is_of_check(process.pid)}
        return list(self._seen)

    def memory_bytes(self, processes: list[psutil.Process]) -> int:
        """Bytes in memory, those that are shared counted in each."""
        return sum(_memory(process) for process in processes)

    def _is_of_check(self, pid: int) -> bool:
        return pid != self._grader or pid == self.child

    def left_behind(self) -> str:
        """What still listens or runs beside the child itself, in words; empty if nothing does."""
        others = ""
        for process in self.look():
            own = process.pid == self.child
            port = _listening(process)
            command = "" if own else _command(process)
            if port is not None:
                return f"left a server listening on port {port} behind" + (f" (`{command}`)" if command else "")
            if command:
                others = f"left a process running behind (`{command}`)"
        return others

    def kill(self) -> None:
        """SIGKILL to whoever was seen and is still there."""
        for process in self._seen:
            with contextlib.suppress(psutil.Error):
                process.kill()


def _memory(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.Error:
        return 0


def _listening(process: psutil.Process) -> int | None:
    try:
        for connection in process.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN:
                return int(connection.laddr.port)
    except psutil.Error:
        pass
    return None


def _command(process: psutil.Process) -> str:
    """The command line, shortened; empty for a process that has ended and was not waited for."""
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return ""
        text = shlex.join(process.cmdline()) or process.name()
    except psutil.Error:
        return ""
    return text if len(text) <= COMMAND_CHARACTERS else f"{text[:COMMAND_CHARACTERS]}…"
