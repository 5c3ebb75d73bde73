"""Takes the acks out of what a Socket.IO server sends, over WebSocket and over long-polling.

What lives here: `Sieve`, which reads both directions of one connection as far as that needs, and `AckSessions`, what is
remembered from one connection to the next. It must not know sockets or time. No I/O.

All else goes on as it came, but for one thing: a request to open a WebSocket loses its offer of extensions. Compressed
messages (RFC 7692) refer to the ones before them, so none could be taken out, and none would be recognised. To offer
nothing is every client's right (RFC 6455 §9.1), and so nobody notices.

What cannot be read goes on unread, for good: no HTTP, a flood of requests without an answer, a very long message.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator

from rtlab.errors import HandshakeError
from rtlab.instruments.direction import Direction
from rtlab.instruments.faults.ack_frames import FrameSieve
from rtlab.instruments.faults.ack_packets import AckPackets
from rtlab.instruments.wiretap.http_messages import (
    BODY_BYTES,
    HEAD_BYTES,
    HttpMessage,
    HttpReader,
    StreamEvent,
    decompress,
)
from rtlab.instruments.wiretap.session_reader import EngineQuery, engine_query
from rtlab.instruments.wiretap.switching import is_websocket
from rtlab.wire.handshake import Request, Response

__all__ = ["UNREAD_BYTES", "AckSessions", "Sieve"]

REQUESTS = 1_000
"""Requests on one connection that wait for a response. More, and nothing is read any more."""
PACKETS = 10_000
"""Packets of one body that are looked at, a microsecond each. A longer body goes on as it came."""
SESSIONS = 1_000
"""Sessions of which is remembered that attachments of an ack are still to come. With more, the oldest is forgotten."""
PORTION_BYTES = 2048
"""Bytes that are read in one go, where they may be many small things: 700 frames of 5 µs, or 110 requests of 40."""
UNREAD_BYTES = 1024 * 1024
"""Bytes that go on at once where nobody reads them."""
SEPARATOR = b"\x1e"
"""Between the packets of a body (Engine.IO protocol v4, Packet encoding)."""
NOOP = b"6"
"""A body that says nothing: an empty one is not allowed."""
REPLACED = (b"content-length:", b"transfer-encoding:", b"content-encoding:")
"""Fields that say how a body is written: another body is written in another way."""
OFFER = b"sec-websocket-extensions:"
"""The field with which a client offers compression."""
TO_SERVER, TO_CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT


class AckSessions:
    """The sessions of one proxy that stand between an ack and its attachments."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, AckPackets] = OrderedDict()

    def take(self, sid: str) -> AckPackets:
        """What is known of a session; `put_back` has to follow."""
        return self._open.pop(sid, None) or AckPackets()

    def put_back(self, sid: str, packets: AckPackets) -> None:
        """Remember it, where there is something to remember."""
        if sid and not packets.idle:
            self._open[sid] = packets
            if len(self._open) > SESSIONS:
                self._open.popitem(last=False)


class Sieve:
    """Both directions of one connection.

    Args:
        sessions: those of its proxy.
    """

    def __init__(self, sessions: AckSessions) -> None:
        self.swallowing = False
        """Whether acks are swallowed now. What has begun is ended: a message is swallowed whole or not at all."""
        self._sessions = sessions
        self._taken = 0  # acks of long-polling
        self._requests: deque[Request] = deque()
        self._answered: Request | None = None  # whose response is arriving
        self._up: _Passing | None = _Passing(HttpReader())
        self._down: _Passing | None = _Passing(HttpReader(self._next_method))
        self._upgrading = False  # a request to upgrade has no response yet
        self._packets: AckPackets | None = None  # of the WebSocket
        self._frames: FrameSieve | None = None

    @property
    def swallowed(self) -> int:
        """Acks that went nowhere."""
        return self._taken + (self._packets.swallowed if self._packets is not None else 0)

    def portion(self, direction: Direction) -> int:
        """How many bytes can be given to `receive` at once, such that it does not take long."""
        if direction is TO_CLIENT and self._frames is not None:
            return max(PORTION_BYTES, self._frames.missing)
        passing = self._up if direction is TO_SERVER else self._down
        return UNREAD_BYTES if passing is None else max(PORTION_BYTES, passing.reader.missing)

    def receive(self, direction: Direction, data: bytes) -> bytes | None:
        """Take what has come; gives what goes on in its place, or None if it goes on as it is."""
        out = self._receive(direction, data)
        return None if out == data else out

    def _receive(self, direction: Direction, data: bytes) -> bytes | None:
        if direction is TO_CLIENT and self._frames is not None:
            return self._frames.feed(data, swallowing=self.swallowing)
        passing = self._up if direction is TO_SERVER else self._down
        if passing is None:
            return None
        if direction is TO_SERVER:
            if self._upgrading:  # it has not waited for the answer
                self._up = None
                return None
            return self._read_requests(passing, data)
        return self._read_responses(passing, data)

    def end(self, direction: Direction) -> bytes:
        """Nothing more will come; gives what has waited."""
        if direction is TO_CLIENT and self._frames is not None:
            return self._frames.unfinished
        passing = self._up if direction is TO_SERVER else self._down
        if passing is None:
            return b""
        message = passing.reader.end()
        return passing.rest() if message is None else self._response(message, passing.take(message.size))

    def _read_requests(self, passing: _Passing, data: bytes) -> bytes:
        out = bytearray()
        try:
            for message in passing.feed(data):
                raw = passing.take(message.size)
                if not isinstance(message, HttpMessage) or not isinstance(message.head, Request):
                    continue
                self._requests.append(message.head)
                upgrades = is_websocket(message.head)
                out += _without_lines(raw, (OFFER,)) if upgrades else raw
                if upgrades or len(self._requests) > REQUESTS:
                    self._upgrading = upgrades
                    self._up = passing if upgrades and not passing.waiting else None
                    break
        except HandshakeError:
            self._up = None
        if self._up is None or passing.reader.arriving is not None:
            out += passing.rest()
        return bytes(out)

    def _read_responses(self, passing: _Passing, data: bytes) -> bytes:
        out = bytearray()
        try:
            for message in passing.feed(data):
                raw = passing.take(message.size)
                if not isinstance(message, HttpMessage) or not isinstance(message.head, Response):
                    out += raw
                    continue
                out += self._response(message, raw)
                if self._down is None:
                    return bytes(out + self._after_switch(passing.rest()))
        except HandshakeError:
            self._down = None
        if self._down is None or not self._holds(passing):
            out += passing.rest()
        return bytes(out)

    def _response(self, message: HttpMessage, raw: bytes) -> bytes:
        head = message.head
        if not isinstance(head, Response) or (head.status < 200 and head.status != 101):
            return raw
        request, self._answered = self._answered, None
        query = None if request is None else engine_query(request)
        if head.status == 101:
            self._down = self._up = None
            if query is not None and is_websocket(head):
                self._packets = self._sessions.take(query.sid)
                self._frames = FrameSieve(self._packets)
        elif request is not None and is_websocket(request):
            self._upgrading = False
        elif query is not None and len(raw) == message.size:
            return self._without_acks(message, head, query, raw)
        return raw

    def _after_switch(self, rest: bytes) -> bytes:
        """What has come behind the 101."""
        return rest if self._frames is None else self._frames.feed(rest, swallowing=self.swallowing)

    def _without_acks(self, message: HttpMessage, head: Response, query: EngineQuery, raw: bytes) -> bytes:
        """A response of long-polling, without acks."""
        body, problem = decompress(message.body, head.headers.get("Content-Encoding"))
        long = message.body_size > BODY_BYTES or len(body) >= BODY_BYTES or body.count(SEPARATOR) >= PACKETS
        if head.status != 200 or problem or long or not query.sid:
            return raw
        packets = self._sessions.take(query.sid)
        found = body.split(SEPARATOR)
        kept = [each for each in found if not packets.text(each, whole=True, swallowing=self.swallowing)]
        self._taken += packets.swallowed
        packets.swallowed = 0
        self._sessions.put_back(query.sid, packets)
        if len(kept) == len(found):
            return raw
        instead = SEPARATOR.join(kept) or NOOP
        lines, _, _ = _without_lines(raw, REPLACED).partition(b"\r\n\r\n")
        return lines + b"\r\nContent-Length: %d\r\n\r\n" % len(instead) + instead

    def _holds(self, passing: _Passing) -> bool:
        """Whether what has come of a response waits for the rest."""
        request = self._answered or (self._requests[0] if self._requests else None)
        if not self.swallowing or request is None or passing.reader.unfinished_size > HEAD_BYTES + BODY_BYTES:
            return False
        query = engine_query(request)
        return query is not None and query.transport == "polling" and request.method == "GET" and bool(query.sid)

    def _next_method(self) -> str:
        self._answered = self._requests.popleft() if self._requests else None
        return self._answered.method if self._answered else "GET"


class _Passing:
    """One direction of HTTP: how much of what has come has gone on."""

    def __init__(self, reader: HttpReader) -> None:
        self.reader = reader
        self.waiting = bytearray()
        self._ahead = 0  # bytes that have gone on of the message that is arriving

    def feed(self, data: bytes) -> Iterator[HttpMessage | StreamEvent]:
        """Take what has come; gives what is whole. After each one, `take` has its bytes."""
        self.waiting += data
        return self.reader.feed(data)

    def take(self, size: int) -> bytes:
        """Those bytes of the next message that wait, given how many it has."""
        if self._ahead >= size:
            self._ahead -= size
            return b""
        taken = bytes(self.waiting[: size - self._ahead])
        del self.waiting[: len(taken)]
        self._ahead = 0
        return taken

    def rest(self) -> bytes:
        """All that waits goes on."""
        rest = bytes(self.waiting)
        self.waiting.clear()
        self._ahead += len(rest)
        return rest


def _without_lines(raw: bytes, fields: tuple[bytes, ...]) -> bytes:
    """A message without some lines of its head."""
    head, end, body = raw.partition(b"\r\n\r\n")
    kept = [line for line in head.split(b"\r\n") if not line.lower().startswith(fields)]
    return b"\r\n".join(kept) + end + body
