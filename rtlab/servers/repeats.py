"""A log that cannot be made to grow by whoever is refused: what repeats is counted, and summed up.

What lives here: `RepeatLog`. It must not know what is refused, nor by whom.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from typing import Any

__all__ = ["INTERVAL_S", "LINES", "RepeatLog"]

LINES = 5
"""Lines of one kind that are written in an interval. The first ones say what it is like; the rest is a number."""
INTERVAL_S = 10.0
"""Seconds between two sums. With `LINES` that is one line in two seconds at most, and one more for the sum, of each
kind, whatever is sent to us."""


class RepeatLog:
    """Writes the first lines of each kind as they are, and how many more there were when the interval is over.

    Args:
        logger: where they go.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._seen: Counter[str] = Counter()
        self._levels: dict[str, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def log(self, level: int, kind: str, message: str, *arguments: object, **options: Any) -> bool:
        """Write a line, or count it; gives whether it was written.

        Args:
            level: of `logging`.
            kind: what repeats: a word of ours, never a text of the peer's, of which there may be any number.
            message, arguments, options: as for `logging.Logger.log`: ``extra``, ``exc_info``.
        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the timer of one that has ended never comes
            self._loop, self._timer = loop, None
            self._seen.clear()
        self._seen[kind] += 1
        self._levels[kind] = level
        if self._seen[kind] <= LINES:
            self._logger.log(level, message, *arguments, **options)
        if self._timer is None:
            self._timer = loop.call_later(INTERVAL_S, self.sum_up)
        return self._seen[kind] <= LINES

    def exception(self, kind: str, message: str, *arguments: object) -> None:
        """Write a line about the exception that is being handled, with its traceback, or count it."""
        self.log(logging.ERROR, kind, message, *arguments, exc_info=True)

    def sum_up(self) -> None:
        """Write how many lines were left out, and begin anew."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for kind, count in self._seen.items():
            if count > LINES:
                more = {"kind": kind, "repeated": count - LINES}
                self._logger.log(self._levels[kind], "%s: %d more in %g s", kind, count - LINES, INTERVAL_S, extra=more)
        self._seen.clear()
        self._levels.clear()
