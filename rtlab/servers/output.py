"""What a child has printed.

What lives here: `Log`, the file to which a child's output goes, read by us. It must not know who writes it.
"""

from __future__ import annotations

import os
import weakref
from collections import deque
from pathlib import Path

__all__ = ["TAIL_LINES", "Log"]

TAIL_LINES = 20
"""How many last lines of output a failure message shows."""
TAIL_BYTES = 64 * 1024
"""How much of the end of a log file is read for its last lines."""


class Log:
    """What a child has printed: standard output and standard error, in one file.

    The file is made here and read through a descriptor of our own: whatever a child does to its name, what was printed
    can be read, and nothing else is.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        """The file; removed when the child is closed, after which `tail` answers from memory."""
        self._kept: bytes | None = None
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._close = weakref.finalize(self, os.close, self._file)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        if self._kept is not None:
            return len(self._kept)
        return os.fstat(self._file).st_size

    def tail(self, lines: int = TAIL_LINES) -> list[str]:
        """The last lines (at most `lines` of them, from the last 64 KiB), without line ends."""
        text = self._end().decode(errors="replace")
        return list(deque(text.splitlines(), maxlen=lines))

    def since(self, offset: int) -> bytes:
        """What was written after the first `offset` bytes: at most 64 KiB of it; nothing once the file is removed."""
        return b"" if self._kept is not None else os.pread(self._file, TAIL_BYTES, offset)

    def clear(self) -> None:
        """Forget what was written so far. What is written next stands at the beginning."""
        if self._kept is None:
            os.ftruncate(self._file, 0)  # whoever writes, appends

    def keep(self) -> None:
        """Remember the end of the file, which is about to be removed."""
        self._kept = self._end()
        self._close()

    def _end(self) -> bytes:
        if self._kept is not None:
            return self._kept
        return os.pread(self._file, TAIL_BYTES, max(0, self.size - TAIL_BYTES))

    def __repr__(self) -> str:
        return f"<Log {self.size} bytes, last line {(self.tail(1) or [''])[0]!r}>"
