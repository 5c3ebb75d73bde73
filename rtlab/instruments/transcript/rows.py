"""A row: one thing that was said over the wire, with what it says decoded and in words.

What lives here: `Row` and `Kind`. It must not know how rows come about, how they are stored, nor that they stand in a
transcript.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from rtlab.errors import PeerError
from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.transcript.wording import printable
from rtlab.wire.frames import MASK, Frame, FrameParser
from rtlab.wire.handshake import Request, Response, parse_request, parse_response

__all__ = ["Kind", "Row"]


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
    """1, 2, 3 … in the order in which the TCP connections were made."""
    client_number: int = 0
    """1, 2, 3 … in the order in which the clients first spoke. All connections of one Engine.IO session are of one
    client. 0 where nobody has counted: each connection is a client then."""
    session: str = ""
    """The Engine.IO session that it belongs to, by its label: "session-1"."""
    direction: Direction
    kind: Kind
    summary: str
    """One line for people, with stable labels for what differs from run to run."""
    details: tuple[str, ...] = ()
    """More lines: header fields, a body."""
    packets: tuple[PacketSeen, ...] = ()
    """The Engine.IO packets in it, and what they mean in Socket.IO. A WebSocket message is one, a payload of
    long-polling may hold several."""
    note: str = ""
    """What it means in a protocol above: from the tap's `meaning`, and of a handshake of Engine.IO."""
    answers: int | None = None
    """The clock of what it answers: of a response its request, of an acknowledgement its event, of a PONG its PING.
    Where several packets are in one payload, each has its own."""
    asked: str = ""
    """What that was, in words: "GET", "'chat:join'"."""
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
        return f"client-{self.client_number or self.connection}"

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
        """All that is shown of it: the summary, what is wrong with it, what it means, the details.

        Nothing in it moves a terminal's cursor, wherever the row comes from: a file may have been loaded.
        """
        said = [self.summary]
        if self.session and self.answers is not None and self.kind is not Kind.FRAME:
            said[0] += f", answers row {self.answers}: {self.asked}"  # of several requests in flight
        if self.problem:
            said.append(f"! {self.problem}")
        said += [f"= {packet}" for packet in self.packets]
        if self.note:
            said.append(f"= {self.note}")
        return [printable(line) for line in (*said, *self.details)]

    def __str__(self) -> str:
        return f"{self.clock}  {self.client} {self.direction.arrow} server  {printable(self.summary)}"

    def __repr__(self) -> str:
        return f"<Row {self}>"
