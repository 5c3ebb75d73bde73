"""The requests of a client that polls: GET takes messages away, POST brings some (Engine.IO protocol v4, HTTP
long-polling).

What lives here: `PollingRequests`. It must not know handshakes or upgrades; `http_side` does, and calls it with a
session that there is.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from rtlab.errors import ProtocolError
from rtlab.realtime.endings import Reason
from rtlab.realtime.intake import Turn
from rtlab.realtime.limits import PACKETS_PER_PYTHON_GET
from rtlab.realtime.message import NOOP, Message
from rtlab.realtime.refusals import Refusal, RequestRefused
from rtlab.realtime.session import Session
from rtlab.realtime.transports import GET_BYTES, PollingTransport
from rtlab.wire.engineio import SEPARATOR, EnginePacket, decode_payload

if TYPE_CHECKING:
    from rtlab.realtime.engine import Engine

__all__ = ["PollingRequests"]


class PollingRequests:
    """Answers GET and POST for the sessions of an engine.

    Args:
        engine: has the options.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def poll(self, request: web.Request, session: Session, polling: PollingTransport) -> web.Response:
        """A GET, which waits until there is something to say (Engine.IO protocol v4, HTTP long-polling)."""
        if polling.waiting:
            # final, since the protocol's test suite wants the first GET to hear CLOSE
            raise _broken_off(session, Refusal.BAD_REQUEST, "a second GET while the first one waits", final=True)
        if session.resent.get(request.query):  # the client has to come back, and to ask for what it has missed
            session.close(Reason.TRANSPORT_CLOSE, detail="the answer to a GET was lost")
            raise RequestRefused(Refusal.UNKNOWN_SESSION, "the same GET again: the answer to the first was lost")
        if not polling.queue and not session.probed:
            try:
                await polling.wait()
            except asyncio.CancelledError:
                session.close(Reason.TRANSPORT_CLOSE)
                raise
        if request.transport is None or request.transport.is_closing():
            session.close(Reason.TRANSPORT_CLOSE)
        if not session.closed:
            # python-engineio's client writes the time as a float into the address, and gives up over more than that
            packets = PACKETS_PER_PYTHON_GET if "." in request.query.get("t", "") else None
            return self._body_of(polling.take(packets, GET_BYTES) or [NOOP])
        messages = session.final_messages()
        if not messages:
            raise RequestRefused(_refusal_of_closed(session), "it is closed, and there is nothing more to say")
        return self._body_of(messages)

    async def post(self, request: web.Request, session: Session) -> web.Response:
        """A POST, which brings what the client has to say."""
        if session.posting:
            raise _broken_off(session, Refusal.BAD_REQUEST, "a second POST while the first one is read")
        session.posting = True
        turn = Turn()
        try:
            body = await self._body_in_time(request, session)
            if session.resent.post(request.query, body):  # it was done; it only costs what it would have
                await session.intake.wait(session.intake.count(len(body)))
                return web.Response(text="ok")
            for packet in self._packets(body, session):
                turn.begin()
                await session.receive(packet)
                await turn.end()
        except TimeoutError:
            if session.closed:
                why = "it was closed before the body was there"
                raise RequestRefused(_refusal_of_closed(session), why, cut=True) from None
            raise _broken_off(session, Refusal.BAD_REQUEST, "the body took too long", cut=True) from None
        except ProtocolError as error:
            raise _violated(session, error) from None
        except web.RequestPayloadError:
            why = "a body that is not encoded as its head says"
            raise _broken_off(session, Refusal.BAD_REQUEST, why) from None
        except (ConnectionError, asyncio.CancelledError) as error:
            session.close(Reason.TRANSPORT_CLOSE)  # what was in the body is lost
            if isinstance(error, asyncio.CancelledError):
                raise
            raise RequestRefused(Refusal.BAD_REQUEST, "the connection was lost") from None
        finally:
            session.posting = False
        return web.Response(text="ok")

    async def _body_in_time(self, request: web.Request, session: Session) -> bytes:
        """A body, if it is here in time. Raises TimeoutError also when the session ends meanwhile."""
        try:
            async with asyncio.timeout(self._engine.ping_interval + self._engine.ping_timeout) as session.body_timeout:
                return await self._body(request, session)
        finally:
            session.body_timeout = None

    async def _body(self, request: web.Request, session: Session) -> bytes:
        chunks, size = [], 0
        most, whose = self._engine.max_http_buffer_size, "max_http_buffer_size"
        if session.intake.bounded and session.intake.left < most:
            most, whose = session.intake.left, "Guards.bound_unadmitted"
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > most:
                raise _broken_off(session, Refusal.TOO_LARGE, f"a body of more than {most:,} bytes ({whose})")
            chunks.append(chunk)
        return b"".join(chunks)

    def _packets(self, body: bytes, session: Session) -> list[EnginePacket]:
        limit = self._engine.guards.max_packets_per_payload
        try:
            text = body.decode()
            if limit is not None and text.count(SEPARATOR) >= limit:
                raise _broken_off(
                    session,
                    Refusal.TOO_LARGE,
                    f"more than {limit:,} packets in one body (Guards.max_packets_per_payload)",
                )
            return decode_payload(text)
        except UnicodeDecodeError as error:
            refused = ProtocolError(f"expected a body in UTF-8: {error.reason}", rule="Engine.IO protocol v4")
        except ProtocolError as error:
            refused = error
        raise _violated(session, refused)

    def gone(self, session: Session | None, method: str) -> web.Response:
        """What a request for a session that is over is answered (Engine.IO protocol v4, HTTP long-polling)."""
        if (
            method == "GET"
            and session is not None
            and session.closed == Reason.SERVER_DISCONNECT
            and not session.close_delivered
        ):
            return self._body_of(session.final_messages())
        raise RequestRefused(Refusal.UNKNOWN_SESSION, "there is none, or it is closed")

    def _body_of(self, messages: list[Message]) -> web.Response:
        body = Message.bodies(messages)
        response = web.Response(body=body, content_type="text/plain", charset="utf-8")
        if self._engine.http_compression and len(body) >= self._engine.compression_threshold:
            response.enable_compression()
        return response


def _refusal_of_closed(session: Session) -> Refusal:
    """What a request is refused with whose session has been closed meanwhile."""
    return Refusal.SHUTTING_DOWN if session.closed == Reason.SHUTTING_DOWN else Refusal.UNKNOWN_SESSION


def _broken_off(
    session: Session, refusal: Refusal, why: str, *, final: bool = False, cut: bool = False
) -> RequestRefused:
    """End a session over a request that cannot be right; gives what the request is answered."""
    session.close(Reason.TRANSPORT_ERROR, detail=why, final=final)
    return RequestRefused(refusal, why, cut=cut)


def _violated(session: Session, error: ProtocolError) -> RequestRefused:
    """End a session over what a POST has brought; gives what the request is answered."""
    session.violate(error)
    return RequestRefused(Refusal.BAD_REQUEST, error.problem)
