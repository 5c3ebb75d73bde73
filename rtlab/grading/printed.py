"""What a check prints, as the one that waits for it has it.

What lives here: `Printed`, a pipe that is drained as fast as something comes, of which the last bytes are kept. So a
submission may print as much as it likes: it costs neither points nor memory here. One that never stops printing is
ended by its deadline, like any other that never ends.
"""

from __future__ import annotations

import contextlib
import os

from rtlab.grading.messages import printable

__all__ = ["KEPT_BYTES", "LINE_CHARACTERS", "Printed"]

KEPT_BYTES = 64 * 1024
"""Bytes from the end of the output that are kept."""
DRAINED_BYTES = 4 * 1024 * 1024
"""Bytes that are taken in one go, so that whoever prints without end leaves time to look at the rest."""
PIECE_BYTES = 64 * 1024
"""Bytes of one read: what a pipe holds on Linux."""
LINE_CHARACTERS = 500
"""Characters of one line that are shown."""


class Printed:
    """The output of one check: standard output and standard error, in the order in which they came."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.pipe()
        """`theirs` is the end to print into; whoever has passed it on calls `handed_over`."""
        os.set_blocking(self._ours, False)
        self.ended = False
        """Whether nobody can print any more, or it is closed: there is nothing to wait for."""
        self._end = bytearray()

    def fileno(self) -> int:
        """For `select`."""
        return self._ours

    def handed_over(self) -> None:
        """The check has its end now, or never will. A second call does nothing."""
        if self.theirs >= 0:
            os.close(self.theirs)
            self.theirs = -1

    def drain(self) -> None:
        """Take what is there, without waiting, and keep the end of it."""
        taken = 0
        with contextlib.suppress(BlockingIOError):
            while not self.ended and taken < DRAINED_BYTES:
                piece = os.read(self._ours, PIECE_BYTES)
                self.ended = not piece
                taken += len(piece)
                self._end += piece
                del self._end[:-KEPT_BYTES]

    def tail(self, lines: int) -> list[str]:
        """The last lines, as a terminal may show them: cut, and what it would obey spelled out."""
        self.drain()
        last = self._end.decode(errors="replace").splitlines()[-lines:]
        return [printable(line[:LINE_CHARACTERS]) + "…" * (len(line) > LINE_CHARACTERS) for line in last]

    def close(self) -> None:
        """Keep what is there. Whoever still prints gets SIGPIPE. A second call does nothing."""
        self.handed_over()
        if self._ours >= 0:
            self.drain()
            os.close(self._ours)
            self._ours, self.ended = -1, True
