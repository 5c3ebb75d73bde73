"""The HTTP side of an Engine.IO server on aiohttp (Engine.IO protocol v4).

What lives here: `HttpSide`, which answers the requests for one path: handshakes, polls, posts and upgrades. It must not
know what becomes of a message, nor of a session that has ended; `engine` does, whose sessions and options it uses.
Three of those are private methods of python-engineio; `compat` lists them.
"""

# ruff: noqa: SLF001

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from aiohttp import WebSocketError, WSMsgType, web
from engineio.async_drivers.aiohttp import translate_request

from rtlab.errors import ProtocolError
from rtlab.realtime.endings import Reason
from rtlab.realtime.limits import CLOSE_S, PACKETS_PER_GET, UPGRADE_TIMEOUT_S
from rtlab.realtime.message import NOOP, Message
from rtlab.realtime.peer import set_peer
from rtlab.realtime.refusals import Refusal, RequestRefused
from rtlab.realtime.session import Session
from rtlab.realtime.transports import PollingTransport, WebSocketTransport
from rtlab.wire.engineio import (
    SEPARATOR,
    EnginePacket,
    EnginePacketType,
    Handshake,
    decode_packet,
    decode_payload,
    encode_packet,
)
from rtlab.wire.frames import CloseCode

if TYPE_CHECKING:
    from rtlab.realtime.engine import Engine

__all__ = ["HttpSide"]


class HttpSide:
    """Answers the requests for an engine.

    Args:
        engine: has the options, and the sessions.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for the endpoint: a handshake, a poll, a post or an upgrade."""
        environ = self._environ(request)
        try:
            self._check_origin(environ)
            response = await self._answer(request, environ)
        except RequestRefused as refused:
            self._engine.logger.info("refused: %s", refused)
            response = refused.response()
        if not response.prepared:
            response.headers.update(self._engine._cors_headers(environ))
        return response

    async def _answer(self, request: web.Request, environ: dict[str, Any]) -> web.StreamResponse:
        if request.method == "OPTIONS":
            return web.Response(text="ok")
        query = request.query
        transport = query.get("transport", "")
        if transport not in self._engine.transports:
            raise RequestRefused(Refusal.UNKNOWN_TRANSPORT, f"transport={transport!r}")
        sid = query.get("sid")
        if sid is None:
            if request.method != "GET":
                raise RequestRefused(Refusal.BAD_METHOD, request.method)
            if query.get("EIO") != "4":
                raise RequestRefused(Refusal.UNSUPPORTED_VERSION, f"EIO={query.get('EIO')!r}")
            if transport == "websocket" and not _asks_for_websocket(request):
                raise RequestRefused(Refusal.BAD_REQUEST, "no upgrade")
            return await self._open(request, environ, transport)
        session = self._engine.sockets.get(sid) or self._engine.lingering.get(sid)
        if session is None or session.closed:
            return self._gone(session, request.method)
        if _asks_for_websocket(request):
            return await self._upgrade(request, session)
        if transport != "polling" or not isinstance(session.transport, PollingTransport):
            raise RequestRefused(Refusal.BAD_REQUEST, f"the session is on {session.transport.name}")
        if request.method == "GET":
            return await self._poll(request, session, session.transport)
        if request.method == "POST":
            return await self._post(request, session)
        raise RequestRefused(Refusal.BAD_METHOD, request.method)

    async def _open(self, request: web.Request, environ: dict[str, Any], transport: str) -> web.StreamResponse:
        """The handshake (Engine.IO protocol v4, Handshake)."""
        session = self._engine.new_session()
        try:
            await self._engine.handlers["connect"](session.sid, environ)
            handshake = Handshake(
                session.sid,
                ("websocket",)
                if self._engine.allow_upgrades and transport == "polling" and "websocket" in self._engine.transports
                else (),
                round((self._engine.ping_interval + self._engine.ping_interval_grace_period) * 1000),
                round(self._engine.ping_timeout * 1000),
                self._engine.max_http_buffer_size,
            )
            hello = Message(encode_packet(EnginePacket(EnginePacketType.OPEN, handshake.encode())))
            if transport == "polling":
                session.open()
                response = web.Response(text=hello.body)
                if self._engine.cookie:
                    response.headers.add("Set-Cookie", self._session_cookie(session.sid))
                return response
            ws = self._websocket()
            await ws.prepare(request)
        except BaseException:
            session.close(Reason.TRANSPORT_ERROR)
            raise
        socket = self._socket(ws, request, session)
        session.transport = socket
        session.open()
        session.send(hello)
        return await self._read(request, session, ws, socket)

    async def _poll(self, request: web.Request, session: Session, polling: PollingTransport) -> web.Response:
        """A GET, which waits until there is something to say (Engine.IO protocol v4, HTTP long-polling)."""
        if polling.waiting:
            # final, since the protocol's test suite wants the first GET to hear CLOSE
            raise _broken_off(session, Refusal.BAD_REQUEST, "a second GET while the first one waits", final=True)
        if not polling.queue and not session.probed:
            try:
                await polling.wait()
            except asyncio.CancelledError:
                session.close(Reason.TRANSPORT_CLOSE)
                raise
        if request.transport is None or request.transport.is_closing():
            session.close(Reason.TRANSPORT_CLOSE)
        if not session.closed:
            return self._body_of(polling.take(PACKETS_PER_GET) or [NOOP])
        messages = session.final_messages()
        if not messages:
            refusal = Refusal.SHUTTING_DOWN if session.closed == Reason.SHUTTING_DOWN else Refusal.UNKNOWN_SESSION
            raise RequestRefused(refusal, "it is closed, and there is nothing more to say")
        return self._body_of(messages)

    async def _post(self, request: web.Request, session: Session) -> web.Response:
        """A POST, which brings what the client has to say."""
        if session.posting:
            raise _broken_off(session, Refusal.BAD_REQUEST, "a second POST while the first one is read")
        session.posting = True
        try:
            async with asyncio.timeout(self._engine.ping_interval + self._engine.ping_timeout):
                body = await self._body(request, session)
            for packet in body:
                await session.receive(packet)
        except TimeoutError:
            raise _broken_off(session, Refusal.BAD_REQUEST, "the body took too long") from None
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

    async def _body(self, request: web.Request, session: Session) -> list[EnginePacket]:
        chunks, size = [], 0
        async for chunk in request.content.iter_any():
            size += len(chunk)
            if size > self._engine.max_http_buffer_size:
                why = f"a body of more than {self._engine.max_http_buffer_size:,} bytes"
                raise _broken_off(session, Refusal.TOO_LARGE, why)
            chunks.append(chunk)
        limit = self._engine.guards.max_packets_per_payload
        try:
            text = b"".join(chunks).decode()
            if limit is not None and text.count(SEPARATOR) >= limit:
                raise _broken_off(session, Refusal.TOO_LARGE, f"more than {limit:,} packets in one body")
            return decode_payload(text)
        except UnicodeDecodeError as error:
            refused = ProtocolError(f"expected a body in UTF-8: {error.reason}", rule="Engine.IO protocol v4")
        except ProtocolError as error:
            refused = error
        session.violate(refused)
        raise RequestRefused(Refusal.BAD_REQUEST, refused.problem)

    async def _upgrade(self, request: web.Request, session: Session) -> web.StreamResponse:
        """A WebSocket for a session that polls: probe, answer, change (Engine.IO protocol v4, Upgrade)."""
        if not self._engine.allow_upgrades or "websocket" not in self._engine.transports:
            raise RequestRefused(Refusal.BAD_REQUEST, "no upgrades here")
        ws = self._websocket()
        await ws.prepare(request)
        if session.upgrading is not None or not isinstance(session.transport, PollingTransport):
            await ws.close(code=CloseCode.POLICY_VIOLATION, message=b"the session has a WebSocket already")
            return ws  # as Node does: accepted and closed, so that a client hears of it in the same way as of any end
        socket = session.upgrading = self._socket(ws, request, session)
        try:
            async with asyncio.timeout(UPGRADE_TIMEOUT_S):
                if await _next(ws) == EnginePacket(EnginePacketType.PING, "probe") and not session.closed:
                    socket.send(Message("3probe"))
                    session.probed = True
                    session.transport.wake()  # its GET ends with a NOOP, and the client can go over
                    if await _next(ws) == EnginePacket(EnginePacketType.UPGRADE) and not session.closed:
                        session.upgrade(socket)
        except (TimeoutError, ProtocolError, WebSocketError):
            pass
        finally:
            session.upgrading, session.probed = None, False
        if session.transport.name == socket.name:
            return await self._read(request, session, ws, socket)
        # It went wrong, and the session goes on with polling; or it was closed meanwhile, and the client hears it here.
        await socket.close(session.close_code, session.closed or "expected a probe, then an upgrade")
        return ws

    async def _read(
        self, request: web.Request, session: Session, ws: web.WebSocketResponse, socket: WebSocketTransport
    ) -> web.WebSocketResponse:
        """Take what a WebSocket brings until it ends."""
        reason = Reason.TRANSPORT_CLOSE
        try:
            async with socket.reading():
                while not session.closed:
                    packet = await _next(ws)
                    if packet is None:
                        break
                    await session.receive(packet)
        except ProtocolError as error:
            session.violate(error)
        except WebSocketError as error:  # a message that is too large, or no WebSocket: aiohttp has closed it
            session.close(Reason.TRANSPORT_ERROR, detail=str(error))
        except asyncio.CancelledError:
            if request.transport is not None:  # without one, an app with handler_cancellation lost its client
                reason = Reason.SHUTTING_DOWN
            raise
        finally:
            session.close(reason)
        await session.wait_closed()
        return ws

    def _gone(self, session: Session | None, method: str) -> web.Response:
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
        response = web.Response(text=SEPARATOR.join(message.body for message in messages))
        if self._engine.http_compression and len(response.body or b"") >= self._engine.compression_threshold:  # type: ignore[arg-type]
            response.enable_compression()
        return response

    def _environ(self, request: web.Request) -> dict[str, Any]:
        environ: dict[str, Any] = translate_request(request)
        if self._engine.guards.real_peer_address:
            peername = request.transport.get_extra_info("peername") if request.transport is not None else None
            port = peername[1] if isinstance(peername, tuple) else 0
            secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
            set_peer(environ, request.remote or "", port, "https" if secure else "http", self._engine.guards.proxies)
        return environ

    def _check_origin(self, environ: dict[str, Any]) -> None:
        """Refuse a foreign Origin, for HTTP and WebSocket alike: browsers apply CORS to the first only."""
        origin = environ.get("HTTP_ORIGIN")
        if origin and self._engine.cors_allowed_origins != []:
            allowed = self._engine._cors_allowed_origins(environ)
            if allowed is not None and origin not in allowed:
                raise RequestRefused(Refusal.FORBIDDEN, f"{origin} is not an accepted origin")

    def _session_cookie(self, sid: str) -> str:
        attributes = self._engine.cookie
        if not isinstance(attributes, dict):
            attributes = {"name": attributes, "path": "/", "SameSite": "Lax"}
        return str(self._engine._generate_sid_cookie(sid, attributes))

    def _websocket(self) -> web.WebSocketResponse:
        return web.WebSocketResponse(
            timeout=CLOSE_S,
            compress=self._engine.guards.compress_over is not None,
            max_msg_size=self._engine.max_http_buffer_size,
        )

    def _socket(self, ws: web.WebSocketResponse, request: web.Request, session: Session) -> WebSocketTransport:
        guards = self._engine.guards
        return WebSocketTransport(
            ws, request, guards.max_queued_bytes, guards.compress_over, session.drop_slow_consumer
        )


def _broken_off(session: Session, refusal: Refusal, why: str, *, final: bool = False) -> RequestRefused:
    """End a session over a request that cannot be right; gives what the request is answered."""
    session.close(Reason.TRANSPORT_ERROR, detail=why, final=final)
    return RequestRefused(refusal, why)


async def _next(ws: web.WebSocketResponse) -> EnginePacket | None:
    """The next packet; None when there is none any more. Raises ProtocolError, and WebSocketError as aiohttp does."""
    message = await ws.receive()
    if isinstance(message.data, WebSocketError):
        raise message.data
    if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
        return decode_packet(message.data)
    return None


def _asks_for_websocket(request: web.Request) -> bool:
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
