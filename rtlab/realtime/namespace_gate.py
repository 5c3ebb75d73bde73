"""Who is let into a namespace, and how a socket leaves one again.

What lives here: `NamespaceGate`, which connects and disconnects for a `Server`, with its table of clients and the
time-outs that go with it. It must not know events. What it asks of the server are python-socketio's own methods, and
those are private: `compat` lists them.
"""

# ruff: noqa: SLF001

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import socketio
from socketio import packet as kinds
from socketio.exceptions import ConnectionRefusedError as RefusedByHandler

from rtlab.errors import ProtocolError
from rtlab.realtime.endings import Reason
from rtlab.realtime.guards import Guards
from rtlab.realtime.limits import NAMESPACE_LENGTH
from rtlab.realtime.packets import Reader, reader
from rtlab.realtime.rules import PendingMessages, match_arguments
from rtlab.realtime.session import is_cancelled

if TYPE_CHECKING:
    from rtlab.realtime.server import Server

__all__ = ["EXCHANGE", "ClientState", "NamespaceGate"]

EXCHANGE = "Socket.IO protocol v5, Exchange protocol"
LATE = "rtlab.realtime, Guards.attachments_timeout_s"
REJECTED = {"message": "Connection rejected by server"}
"""What a client hears that is refused without a reason."""


@dataclass(slots=True)
class ClientState:
    """What the server knows of one Engine.IO session."""

    reader: Reader
    joined: set[str] = field(default_factory=set)
    """Namespaces that it is in."""
    seen: set[str] = field(default_factory=set)
    """Namespaces that it has ever asked for: what it sends to one that it has just left is late, not wrong."""
    held: int = 0
    """Bytes of memory that its messages took that are not a whole packet yet."""
    connecting: bool = False
    """Whether a connect handler runs for it."""
    connect_timer: asyncio.TimerHandle | None = None
    attachments_timer: asyncio.TimerHandle | None = None


class NamespaceGate:
    """Connects the sockets of a server to namespaces, and disconnects them.

    Args:
        server: whose sockets.
    """

    def __init__(self, server: Server) -> None:
        self.clients: dict[str, ClientState] = {}
        """By Engine.IO session id."""
        self.held: dict[str, PendingMessages] = {}
        """By socket id: what waits for the outcome of its connect handler."""
        self.unwanted: set[str] = set()
        """Socket ids that were disconnected while their connect handlers ran: they are refused."""
        self._server = server

    @property
    def guards(self) -> Guards:
        """Which rules are kept: the server's."""
        return self._server.guards

    def opened(self, eio_sid: str) -> None:
        """A session has begun. It has so long to join a namespace."""
        self.clients[eio_sid] = ClientState(reader(self._server.packet_class, self.guards.max_attachments))
        self._expect_connect(eio_sid)

    def closed(self, eio_sid: str) -> None:
        """A session has ended."""
        client = self.clients.pop(eio_sid)
        for timer in (client.connect_timer, client.attachments_timer):
            if timer is not None:
                timer.cancel()

    async def connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        """A client asks to be let in (Socket.IO protocol v5, Connection to a namespace): ask the connect handler."""
        client = self.clients[eio_sid]
        if len(namespace) > NAMESPACE_LENGTH:
            problem = f"expected a namespace of at most {NAMESPACE_LENGTH} characters, got {len(namespace)}"
            raise ProtocolError(problem, rule=EXCHANGE)
        most = self.guards.max_namespaces
        if most is not None and namespace not in client.seen and len(client.seen) >= most:
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, {"message": "Too many namespaces"})
            return
        if not self._is_known(namespace):
            unknown = {"message": "Invalid namespace"} if self.guards.name_unknown_namespaces else "Unable to connect"
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, unknown)
            return
        sid = await self._server.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, {"message": "Already connected"})
            return
        client.seen.add(namespace)
        client.connecting = True
        try:
            await self._connect(eio_sid, sid, namespace, data)
        finally:
            client.connecting = False
            self.held.pop(sid, None)
            self.unwanted.discard(sid)

    async def _connect(self, eio_sid: str, sid: str, namespace: str, data: Any) -> None:
        client = self.clients[eio_sid]
        if self._server.always_connect:
            await self._let_in(eio_sid, sid, namespace)
        elif self.guards.hold_until_connected:
            session = self._server.eio.sockets[eio_sid]
            self.held[sid] = PendingMessages(self.guards.max_queued_bytes, session.drop_slow_consumer)
        refusal: Any = REJECTED
        left = False
        try:
            answer = await self._ask(namespace, sid, self._server.environ[eio_sid], data or None)
            if answer is not False and sid not in self.unwanted:
                refusal = None
        except RefusedByHandler as error:
            refusal = error.error_args
        except ConnectionRefusedError:
            refusal = {"message": "Connection refused by server"}
        except (Exception, asyncio.CancelledError) as error:
            left = isinstance(error, asyncio.CancelledError) and is_cancelled()
            if left or not self.guards.refuse_on_error:
                raise
            self._log_failure("connect", namespace)
        finally:
            if left:
                await self._server.manager.disconnect(sid, namespace, ignore_queue=True)
        if refusal is None:
            if not self._server.always_connect:
                await self._let_in(eio_sid, sid, namespace)
            elif client.joined:
                self._server.eio.admit(eio_sid)
            return
        self.held.pop(sid, None)
        out_already = self._server.always_connect and not self._server.manager.is_connected(
            sid, namespace
        )  # the handler saw to it
        await self._server.manager.disconnect(sid, namespace, ignore_queue=True)
        self._left(eio_sid, client, namespace)
        if self._server.always_connect:
            if not out_already:
                await self._answer(eio_sid, kinds.DISCONNECT, namespace, None)
            return
        try:
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, refusal)
        except Exception:
            if not self.guards.refuse_on_error:
                raise
            self._log_failure("answer of the connect", namespace)
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, REJECTED)

    async def _let_in(self, eio_sid: str, sid: str, namespace: str) -> None:
        """Send CONNECT, then the messages held during the connect handler."""
        if not self._server.always_connect:  # its handler is still to be asked there
            self._server.eio.admit(eio_sid)
        await self._answer(eio_sid, kinds.CONNECT, namespace, {"sid": sid})
        await self._server.manager.connect(sid, namespace)
        self.clients[eio_sid].joined.add(namespace)
        held = self.held.pop(sid, None)
        for message in held.messages if held is not None else ():
            self._server.eio.send_message(eio_sid, message)

    async def _ask(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> Any:
        """What the connect handler says. A handler that was cancelled says nothing, and so lets nobody in."""
        handler, arguments = self._server._get_event_handler("connect", namespace, (sid, environ, auth))
        if handler is None:
            owner, arguments = self._server._get_namespace_handler(namespace, (sid, environ, auth))
            if owner is None:
                return None
            if type(owner).trigger_event is not socketio.AsyncNamespace.trigger_event:
                return await owner.trigger_event(
                    "connect", *match_arguments(owner.trigger_event, ("connect", *arguments))[1:]
                )
            handler = getattr(owner, "on_connect", None)
            if handler is None:
                return None
        answer = handler(*match_arguments(handler, arguments))
        return await answer if inspect.isawaitable(answer) else answer

    async def leave(self, eio_sid: str, namespace: str, reason: str) -> None:
        """A client leaves a namespace, or its connection has ended. Nothing if it is not there."""
        sid = self._server.manager.sid_from_eio_sid(eio_sid, namespace)
        if self._server.manager.is_connected(sid, namespace):
            self._server.manager.pre_disconnect(sid, namespace=namespace)
            await self.part(eio_sid, sid, namespace, reason)

    async def part(self, eio_sid: str, sid: str, namespace: str, reason: str) -> None:
        """Run the disconnect handler, and let go whatever it does."""
        self._server._binary_packet.pop(eio_sid, None)
        try:
            await self._server._trigger_event("disconnect", namespace, sid, reason)
        except (Exception, asyncio.CancelledError):
            if not self.guards.refuse_on_error:
                raise
            self._log_failure("disconnect", namespace)
        if client := self.clients.get(eio_sid):
            self._left(eio_sid, client, namespace)
        await self._server.manager.disconnect(sid, namespace, ignore_queue=True)

    def _log_failure(self, what: str, namespace: str) -> None:
        """One line for what an application's handler, or its answer, has failed with."""
        kind = f"{what} {namespace}"
        self._server.eio.error_logger.exception(kind, "%s handler of %s failed", what, namespace)

    def _left(self, eio_sid: str, client: ClientState, namespace: str) -> None:
        client.joined.discard(namespace)
        address = str(self._server.environ[eio_sid].get("REMOTE_ADDR", ""))
        if not client.joined and self._server.eio.put_out(eio_sid, address):
            self._expect_connect(eio_sid)  # who is refused gets no more time: it could stay for as long as it asks

    # Time-outs

    def _expect_connect(self, eio_sid: str) -> None:
        """A session that is in no namespace has so long to join one."""
        client = self.clients[eio_sid]
        if client.connect_timer is not None:
            client.connect_timer.cancel()
        if self.guards.connect_timeout_s is not None and not client.joined:
            client.connect_timer = asyncio.get_running_loop().call_later(
                self.guards.connect_timeout_s, self._check_connect, eio_sid
            )

    def _check_connect(self, eio_sid: str) -> None:
        client, session = self.clients.get(eio_sid), self._server.eio.sockets.get(eio_sid)
        if client is None or session is None or client.joined:
            return
        if client.connecting:
            self._expect_connect(eio_sid)  # the handler is slow, and not the client
        else:
            detail = f"in no namespace for {self.guards.connect_timeout_s} s (Guards.connect_timeout_s)"
            session.close(Reason.CONNECT_TIMEOUT, detail=detail)

    def expect_attachments(self, eio_sid: str, client: ClientState) -> None:
        """A packet whose attachments are missing has so long to get them."""
        if client.attachments_timer is not None and not client.reader.pending:
            client.attachments_timer.cancel()
            client.attachments_timer = None
        elif client.attachments_timer is None and client.reader.pending and self.guards.attachments_timeout_s:
            error = ProtocolError(f"expected {client.reader.pending} more attachments in time", rule=LATE)
            session = self._server.eio.sockets[eio_sid]
            client.attachments_timer = asyncio.get_running_loop().call_later(
                self.guards.attachments_timeout_s, session.violate, error
            )

    def _is_known(self, namespace: str) -> bool:
        return (
            self._server.namespaces == "*"
            or namespace in self._server.namespaces
            or namespace in self._server.handlers
            or namespace in self._server.namespace_handlers
        )

    async def _answer(self, eio_sid: str, kind: int, namespace: str, data: Any) -> None:
        server = self._server
        await server._send_packet(eio_sid, server.packet_class(kind, data, namespace=namespace))
