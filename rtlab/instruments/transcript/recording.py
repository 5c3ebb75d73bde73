"""A recording: rows come in as they are seen, and stand in an order that means something.

What lives here: `Recording`, which numbers the rows, gives stable labels and keeps within its limits. No I/O.

The order: rows stand as they came, but for one thing. A broadcast has no order among those who hear it: the server's
set of clients has another one each time. So where one side says the same on several connections, while the other side
says nothing, these rows stand together, by the number of the connection, at the place of the first of them. Within one
connection nothing ever changes places.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rtlab.instruments.transcript.labels import Labels, make_labels
from rtlab.instruments.transcript.transcript import Kind, Row, Transcript
from rtlab.instruments.transcript.wording import DETAIL, describe_raw, shorten
from rtlab.instruments.wiretap.packets_seen import PacketSeen

__all__ = ["KEPT_BYTES", "LOOK_AHEAD", "RAW_BYTES", "ROWS", "RUN_BYTES", "RUN_ROWS", "Recording", "arrange", "finish"]

logger = logging.getLogger(__name__)

ROWS = 10_000
"""Rows that are kept. A reader looks at tens; a test counts thousands. Older ones go first."""
KEPT_BYTES = 64 * 1024 * 1024
"""Bytes of raw data, messages and bodies that are kept, in all rows together."""
RAW_BYTES = 64 * 1024
"""Bytes that are kept of a row that nobody can decode."""
RUN_ROWS, RUN_BYTES = 1_000, 16 * 1024 * 1024
"""Rows of one run, and their data, that are held back to be sorted. A longer run of one side is cut into several."""
LOOK_AHEAD = 100
"""Rows of a run among which the next broadcast is looked for. More would cost more than they are worth."""


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
        run = [finish(row, first + number, labels, self._clocks) for number, row in enumerate(ordered)]
        return Transcript([*self._final, *run], self._dropped)

    def append(self, row: Row) -> None:
        """Take a row, whose clock is its number so far. Raw bytes that follow raw bytes become one row.

        How TCP has cut them means nothing.
        """
        if self._on_row is not None:
            _tell(self._on_row, finish(row, self.count, None))
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
            row = finish(self._placed.popleft(), self._dropped + len(self._final), self._labels, self._clocks)
            self._final.append(row)
            if self._on_final is not None:
                _tell(self._on_final, row)


def finish(row: Row, clock: int, labels: Labels | None, clocks: Mapping[int, int] | None = None) -> Row:
    """A row as it is shown: with its number, with labels, its lines cut to a width that can be read.

    Args:
        row: as it was recorded; it refers to others by their numbers.
        clock: its own.
        labels: None leaves everything as it is.
        clocks: what became of those numbers; None leaves them.
    """
    change = (lambda text: text) if labels is None else labels.apply
    where = (lambda number: number) if clocks is None else clocks.get
    client, session = row.client_number, row.session
    if labels is not None:
        client = labels.client(client or row.connection)
        session = session and labels.mark("session", session)
        for packet in row.packets:
            if packet.socket:
                labels.mark("socket", packet.socket)
    return replace(
        row,
        clock=clock,
        client_number=client,
        session=session,
        packets=tuple(_finish_packet(packet, change, where) for packet in row.packets),
        answers=None if row.answers is None else where(row.answers),
        summary=shorten(change(row.summary)),
        details=tuple(shorten(change(line), DETAIL) for line in row.details),
        note=shorten(change(row.note), DETAIL),
        problem=shorten(change(row.problem), DETAIL),
    )


def _finish_packet(packet: PacketSeen, change: Callable[[str], str], where: Callable[[int], int | None]) -> PacketSeen:
    return replace(
        packet,
        socket=change(packet.socket),
        data=change(packet.data),
        says=shorten(change(packet.says), DETAIL),
        answers=None if packet.answers is None else where(packet.answers),
    )


def _tell(listener: Callable[[Row], None], row: Row) -> None:
    try:
        listener(row)
    except Exception:  # somebody else's function; the recording has to go on
        logger.exception("A listener of the tap failed at %r", row)


def arrange(run: Sequence[Row]) -> list[Row]:
    """The rows of a run with its broadcasts brought together."""
    contents = [(row.kind, row.opcode, _content(row)) for row in run]
    client_of = {row.connection: row.client_number for row in run}
    queues: dict[int, deque[int]] = {}  # what each connection has still to say, as indices
    speakers: dict[object, Counter[int]] = {}  # how often each thing is still to be said, by connection
    for index, row in enumerate(run):
        queues.setdefault(row.connection, deque()).append(index)
        speakers.setdefault(contents[index], Counter())[row.connection] += 1
    if len(queues) < 2:
        return list(run)
    order: list[int] = []
    left = [True] * len(run)

    def say(connection: int) -> None:
        index = queues[connection].popleft()
        order.append(index)
        left[index] = False
        counts = speakers[contents[index]]
        counts[connection] -= 1
        if not counts[connection]:
            del counts[connection]

    def speaking(connection: int) -> tuple[int, int]:
        """The connections of one Engine.IO session stand together, where its first one would stand."""
        return client_of[connection] or connection, connection

    def together(index: int) -> bool:
        """Whether it is what every connection that has it still to say says next."""
        content = contents[index]
        return left[index] and all(contents[queues[each][0]] == content for each in speakers[content])

    for first in range(len(run)):
        while left[first]:
            ahead = range(first, min(first + LOOK_AHEAD, len(run)))
            chosen = next((index for index in ahead if together(index)), first)
            alone = not together(chosen)  # two broadcasts that cross each other: as they came
            for connection in [run[first].connection] if alone else sorted(speakers[contents[chosen]], key=speaking):
                say(connection)
    return [run[index] for index in order]


def _content(row: Row) -> str | bytes:
    """What a row says. Of long-polling it is the body: all responses are 200 OK."""
    if row.message is not None:
        return row.message
    return row.body if row.session and row.body is not None else row.summary


def _weight(row: Row) -> int:
    return len(row.raw) + len(row.message or b"") + len(row.body or b"")


def _joined(before: Row, row: Row) -> Row:
    raw = before.raw if len(before.raw) < before.size else (before.raw + row.raw)[:RAW_BYTES]
    size = before.size + row.size
    return replace(before, raw=raw, size=size, summary=describe_raw(raw, size))
