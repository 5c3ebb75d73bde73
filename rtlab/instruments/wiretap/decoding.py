"""What a connection says, in rows: HTTP first, and after a handshake the frames of a WebSocket.

What lives here: `ConnectionDecoder`, which takes the bytes of both directions of one connection as they come, finds out
what they are, and gives rows. It must not know sockets or the order among connections. No I/O.

The strategy: each direction has a reader, which begins with HTTP. A request to upgrade makes the client's bytes wait
for the response: 101 gives both directions a frame reader, anything else goes on with HTTP. A direction that cannot be
read any more becomes raw bytes, for good, and the other one goes on. Nothing that comes over a wire raises here.

The seams for protocols above: `session_reader` fills in what a row says in Engine.IO and Socket.IO. `meaning` is called
with each row that carries a message, an event or a body, and what it answers stands in the row's `note`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rtlab.errors import HandshakeError
from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript.recording import RAW_BYTES
from rtlab.instruments.transcript.rows import Kind, Row
from rtlab.instruments.transcript.wording import describe_raw, printable
from rtlab.instruments.wiretap.frame_reader import FrameReader, FrameSeen
from rtlab.instruments.wiretap.http_messages import HttpMessage, HttpReader, StreamEvent
from rtlab.instruments.wiretap.row_fields import event_fields, frame_fields, http_fields
from rtlab.instruments.wiretap.session_reader import SessionReader
from rtlab.instruments.wiretap.sessions_seen import SessionsSeen
from rtlab.instruments.wiretap.switching import frame_readers, is_websocket, refute
from rtlab.wire.frames import Opcode
from rtlab.wire.handshake import Request, Response

__all__ = ["ConnectionDecoder", "Meaning"]

Meaning = Callable[[Row], str | None]
"""Says in one line what a row means in a protocol above; None if it is not of that protocol."""

HELD_BYTES = 1024 * 1024
"""Bytes that a client may send after a request to upgrade while there is no response. More, and they become raw."""
PORTION_BYTES = 256
"""Bytes that are decoded in one go, where they may be many small things: the dearest are 128 frames of the server's, or
42 of a client's. To decode and record one takes 15 to 40 µs."""
REQUESTS = 1_000
"""Requests on one connection that wait for a response. No browser sends a second one before the first is answered."""
TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT


@dataclass(frozen=True, slots=True)
class _Requested:
    """A request that has no response yet."""

    head: Request
    number: int
    """Of its row, in the order in which rows come."""

    def __str__(self) -> str:
        return f"{self.head.method} {self.head.target}"


class ConnectionDecoder:
    """Turns what goes over one connection into rows.

    Args:
        connection: its number.
        record: takes each row.
        meaning: says what a row means in a protocol above.
        sessions: the Engine.IO sessions of all connections; None for those of this one alone.
    """

    def __init__(
        self,
        connection: int,
        record: Callable[[Row], None],
        meaning: Meaning | None = None,
        sessions: SessionsSeen | None = None,
    ) -> None:
        self._connection = connection
        self._record = record
        self._meaning = meaning
        self._count = 0
        self._sessions = sessions or SessionsSeen(lambda: self._count)
        self._above = SessionReader(self._sessions, connection)
        self._requests: deque[_Requested] = deque()
        self._answered: _Requested | None = None  # whose response is being read
        self._upgrade: Request | None = None  # a request to upgrade that has no response yet
        self._held = bytearray()
        self._readers: dict[Direction, HttpReader | FrameReader | None] = {
            TO_SERVER: HttpReader(),
            TO_CLIENT: HttpReader(self._next_method),
        }
        self._reasons = dict.fromkeys(Direction, "")  # why a direction is raw
        self._closed: set[Direction] = set()  # who has sent a close frame
        self._ended: set[Direction] = set()
        self._end_told = False

    @property
    def waiting(self) -> str:
        """The request that has no response yet: "GET /chat". Empty if there is none."""
        return str(self._requests[0]) if self._requests else ""

    @property
    def is_http(self) -> bool:
        """Whether the client speaks HTTP, as far as one can tell."""
        return isinstance(self._readers[TO_SERVER], HttpReader)

    def portion(self, direction: Direction) -> int:
        """How many bytes of this direction can be given to `receive` at once, such that it does not take long.

        What belongs to one large thing is one row, however long it is. So are bytes that nobody decodes.
        """
        if direction is TO_SERVER and self._upgrade is not None:
            return PORTION_BYTES
        reader = self._readers[direction]
        return RAW_BYTES if reader is None else max(PORTION_BYTES, reader.missing)

    def receive(self, direction: Direction, data: bytes) -> None:
        """Take bytes that go this way. Never raises."""
        try:
            self._receive(direction, data)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with the decoding, the copying has to go on
            self._give_up(direction, f"the tap could not decode this: {type(error).__name__}: {error}")

    def end(self, direction: Direction, problem: str = "") -> None:
        """TCP has ended in this direction: politely, or as `problem` says."""
        if direction in self._ended:
            return
        self._ended.add(direction)
        reader = self._readers[direction]
        if isinstance(reader, HttpReader) and not problem and (message := reader.end()) is not None:
            self._http(direction, message)
        missing = self._missing(direction, bool(problem))
        self._flush(direction)
        if (missing or (problem and reader is None)) and not self._end_told:
            self.tell_end(direction, f"{problem or 'TCP ended'}{missing}")

    def left_over(self, direction: Direction, data: bytes) -> None:
        """Take bytes that have come, and go nowhere: the connection is over. They become one row."""
        self._give_up(direction, "not passed on: the connection was over")
        self._raw(direction, data, len(data))

    def finish(self) -> None:
        """The tap stops: what has come in part is told."""
        for direction in Direction:
            self._flush(direction)

    def tell_end(self, direction: Direction, problem: str) -> None:
        """Record that the connection ended as it should not, and which way the news went."""
        self._end_told = True
        self._add(direction, kind=Kind.END, summary=printable(problem), size=0)

    def _receive(self, direction: Direction, data: bytes) -> None:
        if direction is TO_SERVER and self._upgrade is not None:
            self._held += data
            if len(self._held) > HELD_BYTES:
                self._upgrade = None
                self._give_up(direction, "not decoded: there is no answer to the handshake yet")
            return
        reader = self._readers[direction]
        if reader is None:
            self._raw(direction, data, len(data))
        elif isinstance(reader, FrameReader):
            for seen in reader.feed(data):
                self._frame(direction, seen)
        else:
            self._read_http(direction, reader, data)

    def _read_http(self, direction: Direction, reader: HttpReader, data: bytes) -> None:
        try:
            for message in reader.feed(data):
                self._http(direction, message)
                if direction is TO_SERVER and len(self._requests) > REQUESTS:
                    self._give_up(direction, f"not decoded: more than {REQUESTS:,} requests wait for a response")
                    return
                if self._readers[direction] is not reader or (direction is TO_SERVER and self._upgrade is not None):
                    rest = reader.take_rest()
                    if rest:
                        self._receive(direction, rest)
                    return
        except HandshakeError as error:
            self._give_up(direction, str(error))

    def _next_method(self) -> str:
        self._answered = self._requests.popleft() if self._requests else None
        return self._answered.head.method if self._answered else "GET"

    def _http(self, direction: Direction, message: HttpMessage | StreamEvent) -> None:
        if isinstance(message, StreamEvent):
            self._add(direction, **event_fields(message))
            return
        head = message.head
        handshake = self._upgrade is not None or (isinstance(head, Request) and is_websocket(head))
        if isinstance(head, Request):
            self._requests.append(_Requested(head, self._sessions.next_number()))
            if handshake:
                self._upgrade = head
        fields, whole = http_fields(message, handshake=handshake)
        if handshake and isinstance(head, Response):
            fields["problem"] = refute(self._upgrade, head) or fields["problem"]
        self._add(direction, head=head, whole=whole, **fields)
        if handshake and isinstance(head, Response) and head.status >= 200:
            self._release()
        elif isinstance(head, Response) and head.status == 101:
            self._switch(head)

    def _switch(self, response: Response) -> None:
        """101: the connection speaks something else from here on."""
        if is_websocket(response):
            self._readers.update(frame_readers(response))
        else:
            for direction in Direction:
                self._readers[direction] = None
                self._reasons[direction] = f"switched to {printable(response.headers.get('Upgrade') or 'nothing')}"
        self._release()

    def _release(self) -> None:
        """The handshake is over: what the client has sent meanwhile is read as what it is."""
        held, self._upgrade = bytes(self._held), None
        self._held.clear()
        if held:
            self._receive(TO_SERVER, held)

    def _frame(self, direction: Direction, seen: FrameSeen) -> None:
        if seen.frame is not None and seen.frame.opcode is Opcode.CLOSE:
            self._closed.add(direction)
        self._add(direction, **frame_fields(seen))

    def _give_up(self, direction: Direction, reason: str) -> None:
        """This direction cannot be read any more: its bytes stay bytes."""
        reader = self._readers[direction]
        self._readers[direction] = None
        self._reasons[direction] = printable(reason)
        if reader is not None and reader.unfinished_size:
            self._raw(direction, reader.unfinished, reader.unfinished_size)
        if direction is TO_SERVER and self._held:
            held = bytes(self._held)
            self._held.clear()
            self._raw(direction, held, len(held))

    def _raw(self, direction: Direction, data: bytes, size: int, reason: str = "") -> None:
        data = data[:RAW_BYTES]
        if not reason:  # said once
            reason, self._reasons[direction] = self._reasons[direction], ""
        summary = describe_raw(data, size)
        self._add(direction, kind=Kind.RAW, summary=summary, size=size, raw=data, problem=reason)

    def _flush(self, direction: Direction) -> None:
        """What has come in part is told, and the direction is over."""
        reader = self._readers[direction]
        if reader is not None:
            missing = reader.expecting
            if missing and reader.unfinished_size:
                self._raw(direction, reader.unfinished, reader.unfinished_size, f"{missing} never came")
            self._readers[direction] = None
            self._reasons[direction] = "after the end"
        if direction is TO_SERVER and self._held:
            held = bytes(self._held)
            self._held.clear()
            self._raw(direction, held, len(held), "there was no answer to the handshake")

    def _missing(self, direction: Direction, reset: bool) -> str:
        """What should have come before the end of this direction; empty if nothing."""
        reader = self._readers[direction]
        if reader is None:
            return ""
        if reader.expecting:
            return f" before {reader.expecting}"
        if isinstance(reader, FrameReader):
            if direction in self._closed:
                return ""
            return (
                " before the close frame was answered" if direction.back in self._closed else " without a close frame"
            )
        if self._requests and (direction is TO_CLIENT or reset):
            return f" before the response to {self._requests[0]}"
        return ""

    def _asked_by(self, head: Request | Response | None) -> _Requested | None:
        """What a response answers."""
        if not isinstance(head, Response):
            return None
        final = head.status >= 200 or head.status == 101
        return self._answered if final else self._requests[0] if self._requests else None

    def _add(
        self, direction: Direction, *, head: Request | Response | None = None, whole: bool = True, **fields: Any
    ) -> None:
        """Record a row.

        Args:
            direction: which way it goes.
            head: of an HTTP message.
            whole: whether its body has been kept and could be read.
            fields: of the row.
        """
        row = Row(
            clock=self._sessions.next_number(),
            connection=self._connection,
            client_number=self._above.client,
            direction=direction,
            **fields,
        )
        asked = self._asked_by(head)
        if asked is not None:
            row = replace(row, answers=asked.number, asked=asked.head.method)
        try:
            row = self._above.read(row, head, None if asked is None else asked.head, whole=whole)
        except Exception as error:  # noqa: BLE001 - a mistake of ours; the copying has to go on
            row = replace(row, problem=f"the tap could not read Engine.IO here: {type(error).__name__}: {error}")
        if self._meaning is not None and (row.message is not None or row.body is not None):
            try:
                row = replace(row, note=printable(self._meaning(row) or row.note))
            except Exception as error:  # noqa: BLE001 - somebody else's function; the copying has to go on
                row = replace(row, note=f"the tap's `meaning` raised {type(error).__name__}: {printable(str(error))}")
        self._record(row)
        self._count += 1
