"""The process that imports a grader once, and the checks that are forked from it.

What lives here: `Launcher`, our side of that process; `check_process` is its handle on one check. The other side is
``child/fork_server.py``. It must not know what a check says or what came of it.

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

- An order: one line (see ``messages.py``), with two descriptors: where the check speaks, and where its output goes.
- ``started PID``: so it runs, as that process. Said by the check itself, before anything else.
- ``exit STATUS`` (negative for a signal): it has ended. Said by the process that it was forked from. It stays a zombie
  until the next order comes, so that its process id is nobody else's before its group was ended.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from rtlab.grading.check_process import CheckProcess
from rtlab.grading.messages import Order, encode
from rtlab.servers.supervisor import Child

__all__ = ["Launcher"]


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
                [sys.executable, "-P", "-B", "-u", "-X", "utf8", "-m", "rtlab.grading.child.fork_server",
                 str(theirs.fileno()), grader],
                name=f"the grader {grader.name}",
                pass_fds=[theirs.fileno()],
                grace_s=0,
            )  # fmt: skip
        self._buffer = b""
        self._closed = False

    @property
    def usable(self) -> bool:
        """Whether another check can be launched."""
        return not self._closed and self.process.running

    def launch(self, order: Order, channel: socket.socket) -> CheckProcess:
        """Start a check. The one before it has to be closed.

        Args:
            order: what to do; its directory is filled in.
            channel: where the check speaks. The caller closes it.

        Raises:
            OSError: there is no place for it any more: a check has taken it away. Another launcher has its own.
        """
        self.process.directory.mkdir(exist_ok=True)  # the check before may have removed it
        directory = Path(tempfile.mkdtemp(dir=self.process.directory))
        line = encode(replace(order, directory=os.fspath(directory)))
        check = CheckProcess(self.process, self.listen, self.close, directory, order.trace)
        try:
            with contextlib.suppress(BrokenPipeError):  # the process has ended, as `poll` will tell
                socket.send_fds(self._ours, [line], [channel.fileno(), check.printed.theirs])
        finally:
            check.printed.handed_over()
        return check

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
