"""A recording: rows come in as they are seen, and are kept within limits.

What lives here: `Recording`, which stores and numbers the rows; `ordering` says where they stand, `shown_rows` how they
are shown. No I/O.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from sys import getsizeof

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
"""Bytes of memory that all rows together take which are kept: an emoji makes a text of four bytes a character, and the
smallest row takes 1 KB."""
ROW_BYTES, PACKET_BYTES = 600, 200
"""Bytes of a row, and of a packet in it, without what it holds: its fields, its numbers, its place in the queue."""
RAW_BYTES = 64 * 1024
"""Bytes that are kept of a row that nobody can decode."""
RUN_ROWS, RUN_BYTES = 1_000, 16 * 1024 * 1024
"""Rows of one run with the packets in them, and their memory, that are held back to be sorted. A longer run of one side
is cut into several."""
CATCH_UP = 20
"""Rows and packets that get both at a time where somebody listens for them: half a millisecond, with a file."""
PLACED = 1_000
"""Rows and packets that have their place and neither number nor labels yet. With a run, these are all that somebody who
looks has to wait for: 2,500 at most, 10 µs each. Of more, each row that comes finishes two."""


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
        self._unfinished = 0  # rows and packets in there
        self._weights: deque[int] = deque()  # of both, in the same order
        self._bytes = 0
        self._dropped = 0
        self._clocks: dict[int, int] = {}  # of the rows whose place is certain, by their number
        self._run: list[Row] = []
        self._run_items = 0
        self._run_bytes = 0
        self._shown: Transcript | None = None  # what somebody has seen, while nothing has come since

    @property
    def transcript(self) -> Transcript:
        """What has been recorded so far."""
        if self._shown is None:
            self._finish_placed()
            labels = self._labels.ahead()
            ordered = arrange(self._run)
            first = self._dropped + len(self._final)
            run = [as_shown(row, first + number, labels, self._clocks) for number, row in enumerate(ordered)]
            self._shown = Transcript([*self._final, *run], self._dropped)
        return self._shown

    def append(self, row: Row) -> None:
        """Take a row, whose clock is its number so far. Raw bytes that follow raw bytes become one row.

        How TCP has cut them means nothing.
        """
        self._shown = None
        if self._on_row is not None:
            _tell(self._on_row, as_shown(row, self.count, None))
        full = self._run_items >= RUN_ROWS or self._run_bytes > RUN_BYTES
        if self._run and (full or row.direction is not self._run[0].direction):
            self._place_run()
        if row.kind is Kind.RAW:
            for index in range(len(self._run) - 1, -1, -1):
                before = self._run[index]
                if before.connection == row.connection:
                    if before.kind is Kind.RAW and row.problem in {"", before.problem}:
                        self._run[index] = joined = _joined(before, row)
                        self._run_bytes += _weight(joined) - _weight(before)
                        return
                    break
        self._run.append(row)
        self._run_items += _items(row)
        self._run_bytes += _weight(row)
        self.count += 1
        self._finish_placed(PLACED if self._on_final is None else 0, 2 * _items(row))

    def close_run(self) -> None:
        """Nobody will speak any more: all rows have their places now, and whoever listens hears of them."""
        self._place_run()
        if self._on_final is not None:
            self._finish_placed()

    @property
    def behind(self) -> bool:
        """Whether rows have their place that `on_final` has not been told of."""
        return self._on_final is not None and bool(self._placed)

    def catch_up(self) -> bool:
        """Tell `on_final` of some of them; gives whether there are more. For whoever has time."""
        self._finish_placed(0, CATCH_UP)
        return bool(self._placed)

    def _place_run(self) -> None:
        """The other side speaks, or the run is long: the places of its rows are certain now."""
        self._shown = None
        run, self._run = arrange(self._run), []
        first = self._dropped + len(self._final) + len(self._placed)
        self._clocks.update((row.clock, first + number) for number, row in enumerate(run))
        while len(self._clocks) > 2 * self._rows:
            del self._clocks[next(iter(self._clocks))]
        self._placed += run
        self._unfinished += self._run_items
        self._weights += map(_weight, run)
        self._bytes += self._run_bytes
        self._run_bytes = self._run_items = 0
        while len(self._weights) > self._rows or self._bytes > self._kept_bytes:
            if self._final:
                self._final.popleft()
            elif self._on_final is not None:  # a file gets what is not kept here
                self._finish_placed(0, 1)
                continue
            else:
                self._unfinished -= _items(self._placed.popleft())
            self._bytes -= self._weights.popleft()
            self._dropped += 1

    def _finish_placed(self, leave: int = 0, limit: int | None = None) -> None:
        """Give rows whose place is certain their number and their labels.

        Args:
            leave: how many rows and packets may be left.
            limit: how many are done at most; None does all.
        """
        done = 0
        while self._unfinished > leave and (limit is None or done < limit):
            row = self._placed.popleft()
            done += _items(row)
            self._unfinished -= _items(row)
            row = as_shown(row, self._dropped + len(self._final), self._labels, self._clocks)
            self._final.append(row)
            if self._on_final is not None:
                _tell(self._on_final, row)


def _tell(listener: Callable[[Row], None], row: Row) -> None:
    try:
        listener(row)
    except Exception:  # somebody else's function; the recording has to go on
        logger.exception("A listener of the tap failed at %r", row)


def _items(row: Row) -> int:
    """What it takes to show a row: each packet in it costs as much as a row."""
    return 1 + len(row.packets)


def _weight(row: Row) -> int:
    """Bytes of memory that a row takes."""
    held = [row.raw, row.message, row.body, row.summary, row.problem, row.note, row.asked, *row.details]
    for packet in row.packets:
        held += packet.says, packet.data, packet.namespace, packet.event
    return ROW_BYTES + PACKET_BYTES * len(row.packets) + sum(map(getsizeof, filter(None, held)))


def _joined(before: Row, row: Row) -> Row:
    raw = before.raw if len(before.raw) < before.size else (before.raw + row.raw)[:RAW_BYTES]
    size = before.size + row.size
    return replace(before, raw=raw, size=size, summary=describe_raw(raw, size))
