"""The transcript: what went over the wire, as rows with a logical clock.

What lives here: `Row`, one thing that was said, and `Transcript`, an immutable sequence of rows that can be filtered,
shown, saved and loaded. It must not know how rows come about: `decoding` makes them, `recording` puts them in order.

The clock counts 0, 1, 2 …: it tells what came before what, never when. So the same conversation gives the same
transcript, and its text and its picture can be compared.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, overload

from rtlab.errors import PeerError, UsageError
from rtlab.wire.frames import MASK, Frame, FrameParser
from rtlab.wire.handshake import Request, Response, parse_request, parse_response

__all__ = ["VERSION", "Direction", "Kind", "Row", "Transcript", "dump_head", "dump_row"]

VERSION = 1
"""Of the file format, in its first line."""


class Direction(StrEnum):
    """Which way something went."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"

    @property
    def arrow(self) -> str:
        """For one line of text, where the client stands on the left."""
        return "→" if self is Direction.TO_SERVER else "←"

    @property
    def back(self) -> Direction:
        """The other way."""
        return Direction.TO_CLIENT if self is Direction.TO_SERVER else Direction.TO_SERVER


class Kind(StrEnum):
    """What a row is about."""

    REQUEST = "request"
    """An HTTP request with its body."""
    RESPONSE = "response"
    """An HTTP response with its body."""
    HANDSHAKE = "handshake"
    """A request that asks for a WebSocket, or the response to it."""
    EVENT = "event"
    """One event of a server-sent event stream, or the end of the stream."""
    FRAME = "frame"
    """A WebSocket frame."""
    RAW = "raw"
    """Bytes that are none of these. `problem` says why."""
    END = "end"
    """TCP ended where the protocol did not: a reset, a missing close frame, half a message. Or there was no server."""


@dataclass(frozen=True, slots=True, repr=False, kw_only=True)
class Row:
    """One thing that was said."""

    clock: int = 0
    """0, 1, 2 … in the transcript."""
    connection: int
    """1, 2, 3 … in the order in which the clients connected."""
    direction: Direction
    kind: Kind
    summary: str
    """One line for people, with stable labels for what differs from run to run."""
    details: tuple[str, ...] = ()
    """More lines: header fields, a body."""
    note: str = ""
    """What it means in a protocol above, from the tap's `meaning`."""
    problem: str = ""
    """What is wrong with it, and which rule says so."""
    opcode: str = ""
    """Of a frame: "TEXT", "PING" …"""
    message: str | bytes | None = None
    """The WebSocket message that this frame completes, or the data of a server-sent event."""
    body: str | bytes | None = None
    """Of an HTTP message, without chunks and compression; text if it is UTF-8. None if it has none."""
    size: int
    """Bytes on the wire."""
    raw: bytes = field(default=b"")
    """Those bytes as they went over the wire; only the first ones of a very long row."""

    @property
    def client(self) -> str:
        """Who is at the client's end: "client-1"."""
        return f"client-{self.connection}"

    @property
    def cut(self) -> bool:
        """Whether `raw` holds only the first bytes."""
        return len(self.raw) < self.size

    @property
    def head(self) -> Request | Response | None:
        """The HTTP head: method, target, status, headers as they were. None if this is no HTTP."""
        if self.kind not in {Kind.REQUEST, Kind.RESPONSE, Kind.HANDSHAKE}:
            return None
        parse = parse_request if self.direction is Direction.TO_SERVER else parse_response
        try:
            found = parse(self.raw.lstrip(b"\r\n"), max_bytes=len(self.raw))
        except PeerError:
            return None
        return found[0] if found else None

    @property
    def frame(self) -> Frame | None:
        """The frame, unmasked, still compressed. None if this is no frame, or a broken or a very long one."""
        if self.kind is not Kind.FRAME or self.cut:
            return None
        parser = FrameParser(masked=bool(self.raw[1] & MASK), max_size=self.size, rsv1=True)
        try:
            return next(parser.feed(self.raw), None)
        except PeerError:
            return None

    @property
    def masking_key(self) -> bytes | None:
        """The 4 bytes that a client has masked its frame with."""
        frame = self.frame
        if frame is None or not self.raw[1] & MASK:
            return None
        start = self.size - len(frame.payload) - 4
        return self.raw[start : start + 4]

    @property
    def lines(self) -> list[str]:
        """All that is shown of it: the summary, what is wrong with it, what it means, the details."""
        said = [self.summary]
        if self.problem:
            said.append(f"! {self.problem}")
        if self.note:
            said.append(f"= {self.note}")
        return [*said, *self.details]

    def __str__(self) -> str:
        return f"{self.clock}  {self.client} {self.direction.arrow} server  {self.summary}"

    def __repr__(self) -> str:
        return f"<Row {self}>"


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
    ) -> Transcript:
        """The rows that match all that is given; each may be one value or several.

        Args:
            where: a function of the row.
            kind: as in `Kind`: "frame", {"request", "response"}.
            connection: its number.
            direction: "to server" or "to client".
            opcode: "TEXT", {"PING", "PONG"}.
        """
        wanted = {"kind": kind, "connection": connection, "direction": direction, "opcode": opcode}
        tests = [
            (name, {value} if isinstance(value, str | int) else frozenset(value))
            for name, value in wanted.items()
            if value is not None
        ]
        rows = (row for row in self._rows if all(getattr(row, name) in values for name, values in tests))
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
        """Write it as JSON lines, raw bytes included: a line about the file, then a line for each row."""
        with Path(path).open("w", encoding="utf-8") as file:
            file.write(dump_head(self.dropped))
            file.writelines(map(dump_row, self._rows))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Transcript:
        """Read what `save` or ``rtlab tap --save`` has written. It equals what was saved.

        Raises:
            UsageError: the file is no transcript; the message names the line.
        """
        try:
            first, *lines = Path(path).read_text(encoding="utf-8").splitlines()
            head = json.loads(first)
            version, dropped = head["transcript"], int(head["dropped"])
        except (ValueError, KeyError, TypeError):
            raise UsageError(f"{path} is no transcript: expected its first line to say so.") from None
        if version != VERSION:
            raise UsageError(f"{path} is a transcript of version {version}; this rtlab reads version {VERSION}.")
        rows = []
        for number, line in enumerate(lines, 2):
            try:
                rows.append(_load_row(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise UsageError(f"{path}, line {number}: expected a row, got {line[:60]!r} ({error}).") from None
        return cls(rows, dropped)

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
        from rtlab.instruments.picture import draw

        return draw(self)


def dump_head(dropped: int) -> str:
    """The first line of a saved transcript."""
    return json.dumps({"transcript": VERSION, "dropped": dropped}) + "\n"


def dump_row(row: Row) -> str:
    """A row as one line of JSON. What has its default is left out."""
    values = {each.name: getattr(row, each.name) for each in fields(row)}
    kept = {name: value for name, value in values.items() if value != _DEFAULTS[name]}
    return json.dumps({name: _dump_value(value) for name, value in kept.items()}) + "\n"


_DEFAULTS = {each.name: None if each.default is MISSING else each.default for each in fields(Row)}


def _dump_value(value: object) -> object:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _load_row(line: str) -> Row:
    values: dict[str, Any] = json.loads(line)
    for name, value in values.items():
        if isinstance(value, dict):
            values[name] = base64.b64decode(value["base64"], validate=True)
    values["details"] = tuple(values.get("details", ()))
    return Row(**values | {"direction": Direction(values["direction"]), "kind": Kind(values["kind"])})
