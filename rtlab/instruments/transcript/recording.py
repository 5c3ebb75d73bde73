"""A recording: rows come in as they are seen, and are kept within limits.

What lives here: `Recording`, which stores and numbers the rows; `ordering` says where they stand, `shown_rows` how they
are shown. No I/O.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace

from rtlab.instruments.transcript.labels import Labels, make_labels
from rtlab.instruments.transcript.ordering import arrange
from rtlab.instruments.transcript.rows import Kind, Row
from rtlab.instruments.transcript.shown_rows import as_shown
from rtlab.instruments.transcript.transcript import Transcript
from rtlab.instruments.transcript.wording import describe_raw

__all__ = ["KEPT_BYTES", "RAW_BYTES", "ROWS", "RUN_BYTES", "RUN_ROWS", "Recording"]

logger = logging.getLogger(__name__)

ROWS = 10_000
"""Rows that are kept. A reader looks at tens; a test counts thousands. Older ones go first."""
KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of raw data, messages and bodies that are kept, in all rows together."""
RAW_BYTES = 64 * 1024
"""Bytes that are kept of a row that nobody can decode."""
RUN_ROWS, RUN_BYTES = 1_000, 16 * 1024 * 1024
"""Rows of one run, and their data, that are held back to be sorted. A longer run of one side is cut into several."""


class Recording:
    """The rows of all connections of a tap.

    Args:
        labels: what gives stable labels.
        rows: how many are kept.
        kept_bytes: how much data is kept.
        on_row: called with each row as it comes, numbered in that order, without labels.
        on_final: called with each row once its place is certain.
    """

    def __init__(
        self,
        labels: Labels | None = None,
        *,
        rows: int = ROWS,
        kept_bytes: int = KEPT_BYTES,
        on_row: Callable[[Row], None] | None = None,
        on_final: Callable[[Row], None] | None = None,
    ) -> None:
        self.count = 0
        """Rows that have come so far."""
        self._labels = labels or make_labels()
        self._rows = rows
        self._kept_bytes = kept_bytes
        self._on_row = on_row
        self._on_final = on_final
        self._final: deque[Row] = deque()  # those that have their number and their labels
        self._placed: deque[Row] = deque()  # those whose place is certain; they get both when somebody looks
        self._bytes = 0
        self._dropped = 0
        self._clocks: dict[int, int] = {}  # of the rows whose place is certain, by their number
        self._run: list[Row] = []
        self._run_bytes = 0

    @property
    def transcript(self) -> Transcript:
        """What has been recorded so far."""
        self._finish_placed()
        labels = self._labels.ahead()
        ordered = arrange(self._run)
        first = self._dropped + len(self._final)
        run = [as_shown(row, first + number, labels, self._clocks) for number, row in enumerate(ordered)]
        return Transcript([*self._final, *run], self._dropped)

    def append(self, row: Row) -> None:
        """Take a row, whose clock is its number so far. Raw bytes that follow raw bytes become one row.

        How TCP has cut them means nothing.
        """
        if self._on_row is not None:
            _tell(self._on_row, as_shown(row, self.count, None))
        full = len(self._run) >= RUN_ROWS or self._run_bytes > RUN_BYTES
        if self._run and (full or row.direction is not self._run[0].direction):
            self.close_run()
        if row.kind is Kind.RAW:
            for index in range(len(self._run) - 1, -1, -1):
                before = self._run[index]
                if before.connection == row.connection:
                    if before.kind is Kind.RAW and row.problem in {"", before.problem}:
                        self._run[index] = _joined(before, row)
                        return
                    break
        self._run.append(row)
        self._run_bytes += _weight(row)
        self.count += 1

    def close_run(self) -> None:
        """The other side speaks, or nobody will any more: the places of the rows are certain now."""
        run, self._run = arrange(self._run), []
        first = self._dropped + len(self._final) + len(self._placed)
        self._clocks.update((row.clock, first + number) for number, row in enumerate(run))
        while len(self._clocks) > 2 * self._rows:
            del self._clocks[next(iter(self._clocks))]
        self._placed += run
        self._bytes += sum(map(_weight, run))
        self._run_bytes = 0
        if self._on_final is not None:
            self._finish_placed()
        while len(self._final) + len(self._placed) > self._rows or self._bytes > self._kept_bytes:
            self._bytes -= _weight((self._final or self._placed).popleft())
            self._dropped += 1

    def _finish_placed(self) -> None:
        while self._placed:
            row = as_shown(self._placed.popleft(), self._dropped + len(self._final), self._labels, self._clocks)
            self._final.append(row)
            if self._on_final is not None:
                _tell(self._on_final, row)


def _tell(listener: Callable[[Row], None], row: Row) -> None:
    try:
        listener(row)
    except Exception:  # somebody else's function; the recording has to go on
        logger.exception("A listener of the tap failed at %r", row)


def _weight(row: Row) -> int:
    return len(row.raw) + len(row.message or b"") + len(row.body or b"")


def _joined(before: Row, row: Row) -> Row:
    raw = before.raw if len(before.raw) < before.size else (before.raw + row.raw)[:RAW_BYTES]
    size = before.size + row.size
    return replace(before, raw=raw, size=size, summary=describe_raw(raw, size))
