"""Engine.IO on one connection: which session its requests and its frames belong to.

What lives here: `SessionReader`, which fills in what a row says in Engine.IO and Socket.IO: the session, the client,
the packets, what they answer. It must not know how rows come about or where they stand. No I/O.

A session is recognised by its requests: EIO=4 and a transport in the query (Engine.IO protocol v4, Query parameters).
Nothing else is touched.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import parse_qs, urlsplit

from rtlab.errors import ProtocolError
from rtlab.instruments.transcript.rows import Kind, Row
from rtlab.instruments.transcript.wording import printable
from rtlab.instruments.wiretap.sessions_seen import SessionSeen, SessionsSeen
from rtlab.wire.engineio import SEPARATOR, EnginePacketType, Handshake, decode_packet
from rtlab.wire.handshake import Request, Response

__all__ = ["EngineQuery", "SessionReader", "engine_query"]

PACKETS = 500
"""Packets of one payload that are read. A megabyte holds half a million, of which each takes 10 µs. The others are
counted."""


@dataclass(frozen=True, slots=True)
class EngineQuery:
    """What a request of Engine.IO says about itself."""

    transport: str
    """"polling" or "websocket"."""
    sid: str
    """The session's id; empty before there is one."""
    plain: bool
    """No Socket.IO: Engine.IO alone has a path of that name, unless somebody has chosen another one (Request path)."""


class SessionReader:
    """Reads the rows of one connection, in the order in which they come.

    Args:
        sessions: those of the tap.
        connection: its number.
    """

    def __init__(self, sessions: SessionsSeen, connection: int) -> None:
        self._sessions = sessions
        self._connection = connection
        self.client = connection
        """Whose connection it is, by the number of that client's first one."""
        self._session: SessionSeen | None = None  # of the WebSocket

    def read(self, row: Row, head: Request | Response | None, request: Request | None, *, whole: bool) -> Row:
        """A row, with what it says in Engine.IO.

        Args:
            row: what was recorded.
            head: of an HTTP message.
            request: what it answers.
            whole: whether its body has been kept and could be read.
        """
        if isinstance(head, Request):
            return self._request(row, head, whole=whole)
        if head is not None and request is not None:
            return self._response(row, head, request, whole=whole)
        return self._frame(row)

    def _request(self, row: Row, head: Request, *, whole: bool) -> Row:
        query = engine_query(head)
        if query is None:
            return self._marked(row)
        session = self._named(query)
        if session is not None:
            self.client = session.client
        row = self._marked(row, session)
        if query.transport == "websocket":
            what = "the upgrade of a session" if session is not None else "a session without long-polling"
            return replace(row, note=f"Engine.IO over WebSocket, {what}")
        return self._payload(row, session, whole=whole) if session is not None and head.method == "POST" else row

    def _response(self, row: Row, head: Response, request: Request, *, whole: bool) -> Row:
        query = engine_query(request)
        if query is None:
            return self._marked(row)
        session = self._named(query)
        if query.transport == "websocket":
            if head.status == 101:
                self._session = session or SessionSeen("", self.client, plain=query.plain, whole=True)
            return self._marked(row, session)
        if head.status != 200 or request.method != "GET":
            return self._marked(row, session)
        if session is None:
            sid = _sid_offered(row.body)
            if not sid:
                return self._marked(row)
            session = self._sessions.of(sid, self.client, plain=query.plain, begins=True)
        return self._payload(self._marked(row, session), session, whole=whole)

    def _frame(self, row: Row) -> Row:
        """A frame, with a message in it or without, or whatever else is no HTTP."""
        session = self._session
        if session is None or row.message is None or row.kind is not Kind.FRAME:
            return self._marked(row, session)
        seen, problem = session.read(row.direction, row.message, row.clock)
        if seen.engineio == "OPEN" and session.sid:
            self._sessions.adopt(session)
        return replace(
            row,
            session=session.sid,
            packets=(seen,),
            answers=seen.answers,
            asked=seen.asked,
            problem=_joined(row.problem, problem),
        )

    def _marked(self, row: Row, session: SessionSeen | None = None) -> Row:
        sid = "" if session is None else session.sid
        if row.client_number == self.client and row.session == sid:
            return row
        return replace(row, client_number=self.client, session=sid)

    def _named(self, query: EngineQuery) -> SessionSeen | None:
        """The session that a request names."""
        return self._sessions.of(query.sid, self._connection, plain=query.plain) if query.sid else None

    def _payload(self, row: Row, session: SessionSeen, *, whole: bool) -> Row:
        """The packets in a body of long-polling."""
        if not whole:
            return replace(row, note="Engine.IO, a body longer than is decoded here")
        if not isinstance(row.body, str) or not row.body:
            problem = "expected Engine.IO packets, got nothing" if not row.body else "expected text, got other bytes"
            return replace(row, problem=_joined(row.problem, f"{problem} (Engine.IO protocol v4, Packet encoding)"))
        encoded = row.body.split(SEPARATOR, PACKETS)
        count = row.body.count(SEPARATOR) + 1
        read = [session.read(row.direction, each, row.clock) for each in encoded[:PACKETS]]
        problem = row.problem
        for number, (_, wrong) in enumerate(read, 1):
            where = f"packet {number} of {count}: " if wrong and count > 1 else ""
            problem = _joined(problem, f"{where}{wrong}" if wrong else "")
        more = ""
        if count > PACKETS:
            session.miss(row.direction)
            more = f"{count - PACKETS:,} packets more, which were not decoded"
        return replace(row, packets=tuple(seen for seen, _ in read), problem=problem, note=more)


def engine_query(head: Request) -> EngineQuery | None:
    """What is in a request's query; None if this is no request of Engine.IO."""
    target = head.target
    if "EIO=4" not in target or head.method not in {"GET", "POST"}:
        return None
    try:
        parts = urlsplit(target)
        query = parse_qs(parts.query, max_num_fields=50)
    except ValueError:
        return None
    transport = query.get("transport", [""])[0]
    if query.get("EIO") != ["4"] or transport not in {"polling", "websocket"} or "j" in query:  # j: JSONP
        return None
    return EngineQuery(transport, query.get("sid", [""])[0], "engine.io" in parts.path.lower())


def _sid_offered(body: str | bytes | None) -> str:
    """The id in the handshake that this body begins with."""
    if not isinstance(body, str):
        return ""
    try:
        packet = decode_packet(body.partition(SEPARATOR)[0])
        return Handshake.decode(packet.data).sid if packet.type is EnginePacketType.OPEN else ""
    except ProtocolError:
        return ""


def _joined(first: str, second: str) -> str:
    return "; ".join(filter(None, (first, printable(second))))
