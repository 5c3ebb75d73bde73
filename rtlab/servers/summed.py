"""A handler of `logging` whose output nobody can make grow: what repeats is summed up, whoever logs it.

What lives here: `SummedHandler`, for the log of a whole program, also of libraries. It must not know what is logged,
nor in which form. Where we ourselves refuse, `repeats` counts before a record is made, which costs less.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from dataclasses import dataclass
from typing import TextIO

__all__ = ["INTERVAL_S", "KINDS", "KIND_CHARACTERS", "SummedHandler"]

KIND_CHARACTERS = 8192
"""Characters that records of one kind may take in an interval: three tracebacks, or thirty short lines. One record may
go beyond."""
INTERVAL_S = 10.0
"""Seconds between two sums. With `KIND_CHARACTERS`, a kind writes less than 1 KB a second for any length of time."""
KINDS = 256
"""Kinds that are told apart in an interval. Beyond it all of one logger and level count as one kind: a message may have
been put together by a client. An interval writes 2 MiB at most, and 8 KiB more for each logger and level."""

Kind = tuple[str, int, str, str]
"""Logger, level, the message before its arguments are put in, and the exception's type."""


@dataclass
class Tally:
    """What one kind has had in this interval."""

    characters: int = 0
    left_out: int = 0


class SummedHandler(logging.StreamHandler[TextIO]):
    """Writes the first records of each kind, and at the end of an interval how many more there were.

    A record that its formatter cannot write is replaced by one that says so; nothing is ever raised.

    Args:
        stream: where the lines go; standard error if not given.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream or sys.stderr)
        self._tallies: dict[Kind, Tally] = {}
        self._began = 0.0
        self._timer: threading.Timer | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        now = time.monotonic()
        if now - self._began >= INTERVAL_S:
            self._sum_up()
            self._began = now
        kind = _kind(record)
        if kind not in self._tallies and len(self._tallies) >= KINDS:
            kind = (*kind[:2], "", "")
        tally = self._tallies.setdefault(kind, Tally())
        if tally.characters >= KIND_CHARACTERS:
            tally.left_out += 1
            if self._timer is None:
                self._timer = threading.Timer(self._began + INTERVAL_S - now, self.sum_up)
                self._timer.daemon = True
                self._timer.start()
        else:
            tally.characters += self._write(record)

    def sum_up(self) -> None:
        """Write how many records were left out, and begin anew. Of any thread."""
        self.acquire()
        try:
            self._sum_up()
        finally:
            self.release()

    def close(self) -> None:
        """Write the last sums. `logging.shutdown` calls this when the program ends."""
        self.sum_up()
        super().close()

    def _sum_up(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tallies, self._tallies = self._tallies, {}
        for (name, level, message, _), tally in tallies.items():
            if tally.left_out:
                arguments = (message or "records of many kinds", tally.left_out)
                said = _record(name, level, "%.200s: %d more", arguments)
                said.repeated = tally.left_out
                self._write(said)

    def _write(self, record: logging.LogRecord) -> int:
        """Write a record; gives its characters."""
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001 - its arguments, its extra, or a __str__ in them
            arguments = (f"{record.msg!a:.200}", type(error).__name__)
            try:
                line = self.format(_record(record.name, record.levelno, "could not be logged: %s (%s)", arguments))
            except Exception:  # noqa: BLE001 - see above
                return 0
        try:
            self.stream.write(line + self.terminator)
            self.flush()
        except (OSError, ValueError):
            pass  # whoever read the log has gone; there is nobody to tell
        return len(line) + len(self.terminator)


def _kind(record: logging.LogRecord) -> Kind:
    raised = record.exc_info[0] if record.exc_info else None
    message = record.msg if isinstance(record.msg, str) else type(record.msg).__name__
    return record.name, record.levelno, message[:200], raised.__qualname__ if raised else ""


def _record(name: str, level: int, message: str, arguments: tuple[object, ...]) -> logging.LogRecord:
    return logging.LogRecord(name, level, __file__, 0, message, arguments, None)
