"""A running chat: who is let in, what each event goes through, and what a balancer and a monitor ask.

What lives here: `Chat`, which `app` makes and puts in front of aiohttp. What events do stands in `events`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web
from socketio.exceptions import ConnectionRefusedError as ConnectRefused

from rtlab.chat import payloads
from rtlab.chat.auth import Identity, is_newer, verify
from rtlab.chat.clock import Clock
from rtlab.chat.connections import Connections, Visitor
from rtlab.chat.events import NOTIFICATIONS, Ack, Events, topic_room
from rtlab.chat.limits import Limits
from rtlab.chat.metrics import CONTENT_TYPE, Metrics
from rtlab.chat.payloads import BadPayload
from rtlab.chat.rooms import EventRefused, May, Rooms
from rtlab.chat.stores.protocols import History, Sessions
from rtlab.errors import InvalidToken, RedisUnavailable, UsageError
from rtlab.realtime import Server
from rtlab.servers.repeats import RepeatLog

if TYPE_CHECKING:
    from rtlab.chat.node import Node

__all__ = ["DRAIN_S", "Chat"]

DRAIN_S = 1.0
"""Seconds between telling clients that the server goes and going: enough to hear it, and to finish a sentence."""
PATH = "/socket.io/"
"""Where Socket.IO is, as clients expect it."""

REFRESH = "token:refresh"

LATER = {
    "rate_limited": "Too many attempts",
    "too_many_connections": "Too many connections",
    "unavailable": "The store is away. Try again in a moment",
}
"""What a client is told that is not let in although its token is good: it may come back later."""

logger = logging.getLogger("rtlab.chat")


class Chat:
    """The parts of a running chat. Made by `create_app`, whose arguments it takes."""

    def __init__(
        self,
        secret: str,
        limits: Limits,
        history: History,
        sessions: Sessions,
        may_join: May,
        may_subscribe: May,
        clock: Clock,
        node: Node | None = None,
        **options: Any,
    ) -> None:
        self._secret = secret
        self.node = node
        """What it shares with other processes; None if it is the only one."""
        self._clock = clock
        self.limits = limits
        """How much it takes."""
        self.draining = False
        """Whether it is about to go, and lets nobody in any more."""
        self._drained = asyncio.Event()
        # One event of a client after the other: messages keep their order, and nobody has thousands in progress.
        self.sio = Server(async_handlers=False, **options)
        """The Socket.IO server."""
        self._log = RepeatLog(logger)
        self._connections = Connections(limits, self._end, self._hang_up, clock, self._log)
        if node is None:
            rooms = Rooms(self.sio, limits, history, may_join, clock)
        else:
            rooms = node.rooms(self.sio, limits, may_join, clock, self._connections)
        self._events = Events(self.sio, limits, history, sessions, rooms, may_subscribe, clock)
        self.handlers = self._events.handlers | dict.fromkeys((("/", REFRESH), (NOTIFICATIONS, REFRESH)), self._refresh)
        """What does each event that clients may send, by namespace and event."""
        self._metrics = Metrics(
            {
                "rtlab_chat_connections": ("Clients that are let in.", lambda: len(self._connections)),
                "rtlab_chat_users": ("Users that are here, or left lately.", lambda: len(self._connections.users)),
                "rtlab_chat_sessions": ("Engine.IO sessions, let in or not.", lambda: len(self.sio.eio.sockets)),
                "rtlab_chat_rooms": ("Chat rooms, occupied or kept.", lambda: len(self._events.rooms.chat)),
                "rtlab_chat_plain_rooms": ("Plain rooms.", lambda: len(self._events.rooms.plain)),
                "rtlab_chat_queued_bytes": ("Bytes that wait for clients.", self._queued_bytes),
            }
        )
        if node is not None:
            self._metrics.gauge("rtlab_chat_redis_up", "Whether Redis does what it is asked.", lambda: node.redis.up)
            self._metrics.count("rtlab_chat_redis_losses", "How often Redis was lost.", lambda: node.redis.lost_total)
        for namespace in ("/", NOTIFICATIONS):
            self._stand_at(namespace)

    async def notify(self, topic: str, data: Mapping[str, Any]) -> None:
        """Send ``notification`` {topic, …} to all who have subscribed to a topic.

        Args:
            topic: its name.
            data: what else the notification says.

        Raises:
            UsageError: the topic's name is none.
            RedisUnavailable: with several processes, nobody has heard it.
        """
        try:
            payloads.name_of("topic", topic, self.limits.room_name)
        except BadPayload as error:
            raise UsageError(str(error)) from None
        await self.sio.emit("notification", {**data, "topic": topic}, to=topic_room(topic), namespace=NOTIFICATIONS)

    async def drain(self, seconds: float = DRAIN_S) -> None:
        """Let nobody in any more, tell those who are here, and give them a moment. A second call does nothing.

        The app's shutdown does this first, whoever serves it, and then ends every connection as a server that goes away
        does: clients come back by themselves. A host may call it before, while the app still listens.

        Args:
            seconds: how long at most; shorter if everybody has left, or somebody calls `hurry`.
        """
        if self.draining:
            return
        self.draining = True
        logger.info("draining", extra={"connections": len(self._connections)})
        for namespace in ("/", NOTIFICATIONS):
            await self.sio.emit("server:draining", {}, namespace=namespace, ignore_queue=True)  # this node's own
        if len(self._connections):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._drained.wait(), seconds)

    def hurry(self) -> None:
        """End the draining now, or make none of it."""
        self._drained.set()
        self.draining = True

    async def drain_at_shutdown(self, _: web.Application) -> None:
        """`drain`, as aiohttp calls it when the app shuts down."""
        await self.drain()
        self._log.sum_up()

    # Doors

    def _stand_at(self, namespace: str) -> None:
        async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            await self._let_in(sid, namespace, environ, auth)

        async def disconnect(sid: str, reason: str) -> None:
            await self._let_out(sid, namespace, reason)

        async def event(name: str, sid: str, *arguments: Any) -> Ack:
            return await self._handle(name, sid, namespace, arguments)

        self.sio.on("connect", connect, namespace=namespace)
        self.sio.on("disconnect", disconnect, namespace=namespace)
        self.sio.on("*", event, namespace=namespace)

    async def _let_in(self, sid: str, namespace: str, environ: dict[str, Any], auth: Any) -> None:
        if self.draining:  # of a session that began before; `gate` refuses new ones
            raise self._refused("draining", "This server is going away")
        connection = self._connections.connection_of(self.sio.manager.eio_sid_from_sid(sid, namespace), environ)
        self._connections.charge_event(connection)  # asking to be let in counts as an event does
        if connection.thrown_out:
            raise self._refused("rate_limited", "Too many attempts")
        identity = self._identity(auth, namespace, connection.peer)
        refusal = self._connections.refusal(identity, connection)
        if refusal is not None:
            raise self._later(refusal, identity, connection.peer, namespace)
        visitor = self._connections.enter(sid, namespace, identity, connection)
        try:
            if namespace == "/":
                visitor.session_id = self._events.new_session_id()
            await self._count_in(visitor)
            if visitor.session_id:
                # held back by the server until the client has heard that it is connected
                await self.sio.emit("session", {"id": visitor.session_id}, to=sid, ignore_queue=True)
            if self._connections.is_over(visitor):  # meanwhile: nobody can be put out who is only coming in
                self._say_refused("token_expired", "it ended meanwhile", peer=connection.peer, namespace=namespace)
                raise self._refused("token_expired")
        except BaseException:
            self._connections.leave(visitor)  # a refused client gets no disconnect event
            if self.node is not None:
                await self.node.depart(visitor)
            raise
        self._say("connected", visitor, visitor.about())

    async def _count_in(self, visitor: Visitor) -> None:
        """A connection is one of its user's on all nodes.

        Raises:
            ConnectRefused: that has too many, or Redis is away and nobody knows.
        """
        if self.node is None:
            return
        peer = visitor.connection.peer
        try:
            with self.node.link.event():
                allowed = await self.node.arrive(visitor)
                if visitor.session_id and allowed:
                    await self._events.keep(visitor)
        except RedisUnavailable as error:
            raise self._later("unavailable", visitor.identity, peer, visitor.namespace) from error
        if not allowed:
            raise self._later("too_many_connections", visitor.identity, peer, visitor.namespace)

    def _identity(self, auth: Any, namespace: str, peer: str) -> Identity:
        """Who a client is.

        Raises:
            ConnectRefused: it does not say, or cannot prove it. The client gets a code; the log gets the reason.
        """
        token = auth.get("token") if isinstance(auth, Mapping) else None
        if token is None or token == "":
            came = 'no "token" in it' if isinstance(auth, Mapping) else payloads.described(auth)
            problem = f"auth: expected an object with a token, got {came}"
            self._say_refused("token_missing", problem, peer=peer, namespace=namespace)
            raise self._refused("token_missing", "Authentication required")
        try:
            return verify(token, self._secret, now=self._clock.wall())
        except InvalidToken as error:
            self._say_refused(error.code, error.problem, peer=peer, namespace=namespace)
            raise self._refused(error.code) from error

    def _say_refused(self, reason: str, problem: str, **about: str) -> None:
        """Log whom the chat does not let in, and why; never the token. A flood of refusals is counted and summed up."""
        kind = "refused" if reason.startswith("token_") else reason
        extra = {"reason": reason, "problem": problem, **about}
        self._log.log(logging.WARNING, kind, "refused: %s (%s)", reason, problem, extra=extra)

    def _later(self, code: str, identity: Identity, peer: str, namespace: str) -> ConnectRefused:
        self._say_refused(code, f"user {identity.user!r}", peer=peer, namespace=namespace, user=identity.user)
        return self._refused(code, LATER[code])

    def _refused(self, code: str, message: str = "Invalid token") -> ConnectRefused:
        self._metrics.refusal(code)
        return ConnectRefused(message, {"code": code})

    async def _let_out(self, sid: str, namespace: str, reason: str) -> None:
        visitor = self._connections.get(sid, namespace)
        if visitor is None:
            return  # it was never let in
        self._connections.leave(visitor)
        self._say("disconnected", visitor, {**visitor.about(), "reason": reason})
        if self.draining and not len(self._connections):
            self._drained.set()
        try:
            await self._events.gone(visitor)
        finally:
            if self.node is not None:
                await self.node.depart(visitor)

    async def _end(self, visitor: Visitor, reason: str) -> None:
        extra = {**visitor.about(), "reason": reason}
        self._log.log(logging.WARNING, "ended", "ended: %s (user %r)", reason, visitor.identity.user, extra=extra)
        await self.sio.disconnect(visitor.sid, namespace=visitor.namespace, ignore_queue=True)

    async def _hang_up(self, eio_sid: str) -> None:
        await self.sio.eio.disconnect(eio_sid)

    def _say(self, what: str, visitor: Visitor, about: dict[str, str]) -> None:
        """Log that somebody comes or goes. Who does it in a hurry is counted, and does not hide that others do it."""
        if visitor.user.lines.take(self._clock.steady()):
            logger.info(what, extra=about)
        else:
            self._log.log(logging.INFO, what, what, extra=about)

    # Events

    async def _handle(self, name: str, sid: str, namespace: str, arguments: tuple[Any, ...]) -> Ack:
        """One event from anybody. Whatever it is, it is answered, and nobody else notices."""
        handler = self.handlers.get((namespace, name))
        self._metrics.event(name if handler is not None else "unknown")
        visitor = self._connections.get(sid, namespace)
        try:
            if visitor is None:
                raise EventRefused("gone", "expected a client that is still here")
            if not self._connections.charge_event(visitor.connection, visitor.user):
                raise self._events.rooms.too_much()
            if handler is None:
                raise EventRefused("unknown_event", f"event: expected one of the chat's, got {payloads.quoted(name)}")
            if len(arguments) != 1:
                raise BadPayload("payload", "one argument", f"{len(arguments)}")
            with contextlib.nullcontext() if self.node is None else self.node.link.event():
                return await handler(visitor, arguments[0])
        except EventRefused as refused:
            code, problem = refused.code, str(refused)
        except BadPayload as error:
            code, problem = "bad_payload", str(error)
        except RedisUnavailable:
            code, problem = "unavailable", LATER["unavailable"]
        except Exception:  # noqa: BLE001 - logged, as often as a log can bear
            about = {"event": name, "namespace": namespace}
            self._log.log(logging.ERROR, "event failed", "event failed", extra=about, exc_info=True)
            code, problem = "server_error", "This is our fault and not yours. It is logged."
        self._metrics.refusal(code)
        return {"status": "error", "code": code, "message": problem}

    async def _refresh(self, visitor: Visitor, payload: Any) -> Ack:
        try:
            identity = verify(payloads.token(payload), self._secret, now=self._clock.wall())
        except InvalidToken as error:
            connection = visitor.connection
            self._say_refused(error.code, error.problem, peer=connection.peer, user=visitor.identity.user)
            raise EventRefused(error.code, f"token: expected a valid one, but {error.problem}") from error
        if identity.user != visitor.identity.user:
            raise EventRefused("token_invalid", "token: expected one of the same user")
        if not is_newer(identity, visitor.identity):
            raise EventRefused("token_invalid", "token: expected one that ends later than the one that you have")
        self._connections.refresh(visitor, identity)
        return {"status": "ok", "exp": visitor.identity.expires}

    # What others ask

    async def health(self, request: web.Request) -> web.Response:
        """``/health``, ``/health/live`` and ``/health/ready``: 503 where the answer is no."""
        there = self.node is None or await self.node.is_ready()
        state = {"live": True, "ready": there and not self.draining}
        asked = request.match_info.get("what")
        fine = all(state.values()) if asked is None else state[asked]
        return web.json_response(state, status=200 if fine else 503, headers={"Cache-Control": "no-store"})

    async def metrics(self, _: web.Request) -> web.Response:
        """``/metrics``: Prometheus's text format."""
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    @web.middleware
    async def gate(self, request: web.Request, handler: Any) -> web.StreamResponse:
        """While the server drains, no session begins. Those that there are go on."""
        if self.draining and request.path == PATH and "sid" not in request.query:
            body = json.dumps({"code": "draining", "message": "This server is going away. Try again in a moment."})
            return web.Response(status=503, text=body, content_type="application/json", headers={"Retry-After": "2"})
        response: web.StreamResponse = await handler(request)
        return response

    def _queued_bytes(self) -> float:
        return float(sum(session.transport.queued_bytes for session in self.sio.eio.sockets.values()))
