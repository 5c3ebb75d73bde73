"""The transcript: what went over the wire, as rows with a logical clock.

What lives here: `Transcript`, an immutable sequence of rows that can be filtered, shown, saved and loaded. It must not
know how rows come about: `decoding` makes them, `sessions` reads the packets in them, `recording` puts them in order.

The clock counts 0, 1, 2 …: it tells what came before what, never when. So the same conversation gives the same
transcript, and its text and its picture can be compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import overload

from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript.file import read_rows, write_rows
from rtlab.instruments.transcript.picture import draw
from rtlab.instruments.transcript.rows import Kind, Row

__all__ = ["Direction", "Kind", "Row", "Transcript"]


class Transcript(Sequence[Row]):
    """Rows, oldest first. Shown as a picture in a notebook and as text elsewhere. It never changes: ask the tap again.

    Args:
        rows: what was said.
        dropped: how many rows before them were not kept.
    """

    __slots__ = ("_rows", "dropped")

    def __init__(self, rows: Iterable[Row] = (), dropped: int = 0) -> None:
        self._rows = tuple(rows)
        self.dropped = dropped
        """How many rows before the first one were not kept, because a recording is bounded."""

    def only(
        self,
        where: Callable[[Row], bool] | None = None,
        *,
        kind: str | Collection[str] | None = None,
        connection: int | Collection[int] | None = None,
        direction: str | Collection[str] | None = None,
        opcode: str | Collection[str] | None = None,
        client: str | Collection[str] | None = None,
        session: str | Collection[str] | None = None,
        event: str | Collection[str] | None = None,
    ) -> Transcript:
        """The rows that match all that is given; each may be one value or several.

        Args:
            where: a function of the row.
            kind: as in `Kind`: "frame", {"request", "response"}.
            connection: its number.
            direction: "to server" or "to client".
            opcode: "TEXT", {"PING", "PONG"}.
            client: "client-1".
            session: of Engine.IO, by its label: "session-1".
            event: the name of a Socket.IO event: its packets, their attachments and their acknowledgements.
        """
        wanted = {"kind": kind, "connection": connection, "direction": direction, "opcode": opcode, "client": client,
                  "session": session}  # fmt: skip
        tests = [(name, _set(value)) for name, value in wanted.items() if value is not None]
        rows = (row for row in self._rows if all(getattr(row, name) in values for name, values in tests))
        if event is not None:
            rows = (row for row in rows if not _set(event).isdisjoint(packet.event for packet in row.packets))
        return Transcript((row for row in rows if where is None or where(row)), self.dropped)

    @property
    def frames(self) -> Transcript:
        """The WebSocket frames."""
        return self.only(kind=Kind.FRAME)

    @property
    def messages(self) -> Transcript:
        """The frames that complete a message. The data is in `message` of each row."""
        return self.only(lambda row: row.message is not None, kind=Kind.FRAME)

    @property
    def packets(self) -> Transcript:
        """The rows with Engine.IO packets: without the requests of long-polling that only wait, and the like."""
        return self.only(lambda row: bool(row.packets))

    @property
    def http(self) -> Transcript:
        """Requests and responses, handshakes among them."""
        return self.only(kind={Kind.REQUEST, Kind.RESPONSE, Kind.HANDSHAKE})

    @property
    def handshakes(self) -> Transcript:
        """The requests that asked for a WebSocket, and their responses."""
        return self.only(kind=Kind.HANDSHAKE)

    @property
    def problems(self) -> Transcript:
        """The rows with which something is wrong."""
        return self.only(lambda row: bool(row.problem))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON lines, raw bytes included: a line about the file, then a line for each row.

        Tokens and cookies are in there, and its first line says so. On POSIX only its owner can read the file (mode
        0600, also if it was there). Do not pass it on as it is.

        Raises:
            OSError: it cannot be written, or it is somebody else's.
        """
        write_rows(path, self._rows, self.dropped)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Transcript:
        """Read what `save` or ``rtlab tap --save`` has written. It equals what was saved.

        Raises:
            UsageError: the file is no transcript; the message names the line.
        """
        return cls(*read_rows(path))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Transcript: ...
    def __getitem__(self, index: int | slice) -> Row | Transcript:
        if isinstance(index, slice):
            return Transcript(self._rows[index], self.dropped)
        return self._rows[index]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Transcript):
            return NotImplemented
        return self._rows == other._rows and self.dropped == other.dropped

    def __hash__(self) -> int:
        return hash((self._rows, self.dropped))

    def __str__(self) -> str:
        lines = [f"({self.dropped:,} earlier rows were not kept)"] if self.dropped else []
        if not self._rows:
            return "\n".join([*lines, "(no rows)"])
        clocks = len(str(self._rows[-1].clock))
        clients = max(len(row.client) for row in self._rows)
        for row in self._rows:
            first, *more = row.lines
            lines.append(f"{row.clock:{clocks}}  {row.client:{clients}} {row.direction.arrow} server  {first}")
            lines += [f"{'':{clocks + clients + 13}}{line}" for line in more]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_svg_(self) -> str:
        return draw(self, dropped=self.dropped)


def _set(values: str | int | Collection[str] | Collection[int]) -> frozenset[object]:
    return frozenset((values,) if isinstance(values, str | int) else values)
