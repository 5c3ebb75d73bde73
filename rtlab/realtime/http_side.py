"""The HTTP side of an Engine.IO server on aiohttp (Engine.IO protocol v4).

What lives here: `HttpSide`, which answers the requests for one path: it refuses what must not be looked at, makes
sessions, and has their WebSockets; `polling_requests` has the rest. It must not know what becomes of a message, nor of
a session that has ended; `engine` does, whose sessions and options it uses.
Three of those are private methods of python-engineio; `compat` lists them.
"""

# ruff: noqa: SLF001

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from aiohttp import WebSocketError, WSMsgType, web
from engineio.async_drivers.aiohttp import translate_request

from rtlab.errors import ProtocolError
from rtlab.realtime.endings import Reason
from rtlab.realtime.intake import too_much
from rtlab.realtime.limits import CLOSE_S, UNADMITTED_BYTES, UPGRADE_TIMEOUT_S
from rtlab.realtime.message import Message
from rtlab.realtime.metering import BytesMeter
from rtlab.realtime.peer import set_peer
from rtlab.realtime.polling_requests import PollingRequests
from rtlab.realtime.refusals import Refusal, RequestRefused
from rtlab.realtime.session import Session
from rtlab.realtime.transports import PollingTransport, WebSocketTransport
from rtlab.servers.door.bodies import finish, refusal_of_encoded_body
from rtlab.wire.engineio import (
    EnginePacket,
    EnginePacketType,
    Handshake,
    decode_packet,
    encode_packet,
)
from rtlab.wire.frames import CloseCode

if TYPE_CHECKING:
    from rtlab.realtime.engine import Engine

__all__ = ["HttpSide"]

PACKETS_AT_ONCE = 64
"""Packets of one WebSocket that are taken before others have their turn."""


class HttpSide:
    """Answers the requests for an engine.

    Args:
        engine: has the options, and the sessions.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._polls = PollingRequests(engine)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer a request for the endpoint: a handshake, a poll, a post or an upgrade."""
        if (refusal := refusal_of_encoded_body(request)) is not None:  # an app that others run has no door before it
            return await finish(request, refusal)
        environ = self._environ(request)
        cut = False
        try:
            self._check_head(request)
            self._check_origin(environ)
            response = await self._answer(request, environ)
        except RequestRefused as refused:
            self._engine.note_refusal(refused)
            response, cut = refused.response(), refused.cut
        if not response.prepared:
            response.headers.update(self._engine._cors_headers(environ))
        return await finish(request, response) if cut else response

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
            return self._polls.gone(session, request.method)
        if _asks_for_websocket(request):
            return await self._upgrade(request, session)
        if transport != "polling" or not isinstance(session.transport, PollingTransport):
            raise RequestRefused(Refusal.BAD_REQUEST, f"the session is on {session.transport.name}")
        if request.method == "GET":
            return await self._polls.poll(request, session, session.transport)
        if request.method == "POST":
            return await self._polls.post(request, session)
        raise RequestRefused(Refusal.BAD_METHOD, request.method)

    def _check_head(self, request: web.Request) -> None:
        """Refuse a request that is too much to keep, whoever sent it."""
        limit = self._engine.guards.max_head_bytes
        if limit is not None:
            size = len(request.path_qs) + sum(len(name) + len(value) for name, value in request.raw_headers)
            if size > limit:
                raise RequestRefused(Refusal.HEAD_TOO_LARGE, f"{size} bytes of head (Guards.max_head_bytes)", cut=True)

    async def _open(self, request: web.Request, environ: dict[str, Any], transport: str) -> web.StreamResponse:
        """The handshake (Engine.IO protocol v4, Handshake)."""
        address = str(environ["REMOTE_ADDR"])
        if (why := self._engine.admission.refusal(address)) is not None and not self._engine.make_room(address):
            raise RequestRefused(Refusal.TOO_MANY, why)
        session = self._engine.new_session()
        self._engine.admission.wait(session.sid, address)
        try:
            await self._engine.handlers["connect"](session.sid, self._kept(environ))
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
                response = web.Response(body=hello.body, content_type="text/plain", charset="utf-8")
                if self._engine.cookie:
                    response.headers.add("Set-Cookie", self._session_cookie(session.sid))
                return response
            ws = self._websocket()
            await ws.prepare(request)
        except BaseException:
            session.close(Reason.TRANSPORT_ERROR, level=logging.INFO)
            raise
        socket = self._socket(ws, request, session)
        session.transport = socket
        session.open()
        session.send(hello)
        return await self._read(request, session, ws, socket)

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
            async with socket.reading(), asyncio.timeout(UPGRADE_TIMEOUT_S):
                if await _next(ws, session) == EnginePacket(EnginePacketType.PING, "probe") and not session.closed:
                    socket.send(Message("3probe"))
                    session.probed = True
                    session.transport.wake()  # its GET ends with a NOOP, and the client can go over
                    if await _next(ws, session) == EnginePacket(EnginePacketType.UPGRADE) and not session.closed:
                        session.upgrade(socket)
        except (TimeoutError, ProtocolError, WebSocketError):
            pass
        finally:
            session.upgrading, session.probed = None, False
        if session.transport.name == socket.name:
            return await self._read(request, session, ws, socket)
        # It went wrong, and the session goes on with polling; or it was closed meanwhile, and the client hears it here.
        await socket.close(session.close_code, session.closed or "expected a probe, then an upgrade")
        socket.forget_error()
        return ws

    async def _read(
        self, request: web.Request, session: Session, ws: web.WebSocketResponse, socket: WebSocketTransport
    ) -> web.WebSocketResponse:
        """Take what a WebSocket brings until it ends."""
        reason = Reason.TRANSPORT_CLOSE
        taken = 0
        try:
            async with socket.reading():
                while not session.closed:
                    packet = await _next(ws, session)
                    if packet is None:
                        break
                    await session.receive(packet)
                    taken += 1
                    if taken % PACKETS_AT_ONCE == 0:  # aiohttp may have more: others have their turn
                        await asyncio.sleep(0)
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
        socket.forget_error()
        return ws

    def _environ(self, request: web.Request) -> dict[str, Any]:
        environ: dict[str, Any] = translate_request(request)
        if self._engine.guards.real_peer_address:
            peername = request.transport.get_extra_info("peername") if request.transport is not None else None
            port = peername[1] if isinstance(peername, tuple) else 0
            secure = request.transport is not None and request.transport.get_extra_info("sslcontext") is not None
            set_peer(environ, request.remote or "", port, "https" if secure else "http", self._engine.guards.proxies)
        return environ

    def _kept(self, environ: dict[str, Any]) -> dict[str, Any]:
        """The environment as a session keeps it."""
        kept = self._engine.guards.kept_headers
        if kept is None:
            return environ
        names = {"HTTP_" + each.upper().replace("-", "_") for each in kept}
        left_out = {"wsgi.input", "aiohttp.request"}
        return {
            name: value
            for name, value in environ.items()
            if name not in left_out and (name in names or not name.startswith("HTTP_"))
        }

    def _check_origin(self, environ: dict[str, Any]) -> None:
        """Refuse a foreign Origin, for HTTP and WebSocket alike: browsers apply CORS to the first only."""
        origin = environ.get("HTTP_ORIGIN")
        if origin and self._engine.cors_allowed_origins != []:
            allowed = self._engine._cors_allowed_origins(environ)
            if allowed is not None and origin not in allowed:
                raise RequestRefused(Refusal.FORBIDDEN, f"{origin[:100]!r} is not in cors_allowed_origins")

    def _session_cookie(self, sid: str) -> str:
        attributes = self._engine.cookie
        if not isinstance(attributes, dict):
            attributes = {"name": attributes, "path": "/", "SameSite": "Lax"}
        return str(self._engine._generate_sid_cookie(sid, attributes))

    def _websocket(self) -> web.WebSocketResponse:
        return web.WebSocketResponse(
            timeout=CLOSE_S,
            autoping=False,  # a PING is a packet like any other: it is counted, and others have their turn
            compress=self._engine.guards.compress_over is not None,
            max_msg_size=self._engine.max_http_buffer_size,
        )

    def _socket(self, ws: web.WebSocketResponse, request: web.Request, session: Session) -> WebSocketTransport:
        guards = self._engine.guards
        intake = session.intake
        if intake.bounded:
            BytesMeter(
                request, lambda: UNADMITTED_BYTES if intake.bounded else None, lambda: session.violate(too_much())
            )
        return WebSocketTransport(
            ws, request, guards.max_queued_bytes, guards.compress_over, session.drop_slow_consumer
        )


async def _next(ws: web.WebSocketResponse, session: Session) -> EnginePacket | None:
    """The next packet; None when there is none any more. Raises ProtocolError, and WebSocketError as aiohttp does."""
    pings = 0
    while True:
        message = await ws.receive()
        if isinstance(message.data, WebSocketError):
            raise message.data
        if message.type in {WSMsgType.TEXT, WSMsgType.BINARY}:
            return decode_packet(message.data)
        if message.type not in {WSMsgType.PING, WSMsgType.PONG}:
            return None
        await session.intake.wait(session.intake.count(len(message.data)))
        if message.type is WSMsgType.PING:
            await ws.pong(message.data)
        pings += 1
        if pings % PACKETS_AT_ONCE == 0:
            await asyncio.sleep(0)


def _asks_for_websocket(request: web.Request) -> bool:
    return request.method == "GET" and request.headers.get("Upgrade", "").lower() == "websocket"
