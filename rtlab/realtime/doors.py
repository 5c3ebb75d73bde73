"""Who is let into a namespace, and how a socket leaves one again.

What lives here: `Doors`, the half of `Server` that connects and disconnects, with the time-outs that go with it. It
must not know events.
"""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field
from typing import Any

import socketio
from socketio import packet as kinds
from socketio.exceptions import ConnectionRefusedError as RefusedByHandler

from rtlab.errors import ProtocolError
from rtlab.realtime.engine import Engine
from rtlab.realtime.guards import Guards
from rtlab.realtime.message import Message
from rtlab.realtime.packets import Reader
from rtlab.realtime.rules import PendingMessages, match_arguments
from rtlab.realtime.session import Reason, is_cancelled

__all__ = ["EXCHANGE", "Client", "Doors"]

EXCHANGE = "Socket.IO protocol v5, Exchange protocol"
REJECTED = {"message": "Connection rejected by server"}
"""What a client hears that is refused without a reason."""


@dataclass(slots=True)
class Client:
    """What the server knows of one Engine.IO session."""

    reader: Reader
    joined: set[str] = field(default_factory=set)
    """Namespaces that it is in."""
    seen: set[str] = field(default_factory=set)
    """Namespaces that it has ever asked for: what it sends to one that it has just left is late, not wrong."""
    connecting: bool = False
    """Whether a connect handler runs for it."""
    connect_timer: asyncio.TimerHandle | None = None
    attachments_timer: asyncio.TimerHandle | None = None


class Doors(socketio.AsyncServer):  # type: ignore[misc]
    """Connects sockets to namespaces, and disconnects them."""

    eio: Engine
    guards: Guards
    held: dict[str, PendingMessages]
    """By socket id: what waits for the outcome of its connect handler."""
    unwanted: set[str]
    """Socket ids that were disconnected while their connect handlers ran: they are refused."""
    _clients: dict[str, Client]

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        namespace = namespace or "/"
        client = self._clients[eio_sid]
        if not self._is_known(namespace):
            unknown = {"message": "Invalid namespace"} if self.guards.name_unknown_namespaces else "Unable to connect"
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, unknown)
            return
        sid = await self.manager.pre_connect(eio_sid, namespace)
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
        client = self._clients[eio_sid]
        if self.always_connect:
            await self._let_in(eio_sid, sid, namespace)
        elif self.guards.hold_until_connected:
            session = self.eio.sockets[eio_sid]
            self.held[sid] = PendingMessages(self.guards.max_queued_bytes, session.drop_slow_consumer)
        refusal: Any = REJECTED
        left = False
        try:
            answer = await self._ask(namespace, sid, self.environ[eio_sid], data or None)
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
            self.logger.exception("the connect handler of %s failed: %s is refused", namespace, sid)
        finally:
            if left:
                await self.manager.disconnect(sid, namespace, ignore_queue=True)
        if refusal is None:
            if not self.always_connect:
                await self._let_in(eio_sid, sid, namespace)
            return
        self.held.pop(sid, None)
        out_already = self.always_connect and not self.manager.is_connected(sid, namespace)  # the handler saw to it
        await self.manager.disconnect(sid, namespace, ignore_queue=True)
        client.joined.discard(namespace)
        self._expect_connect(eio_sid)
        if self.always_connect:
            if not out_already:
                await self._answer(eio_sid, kinds.DISCONNECT, namespace, None)
            return
        try:
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, refusal)
        except Exception:
            if not self.guards.refuse_on_error:
                raise
            self.logger.exception("the reason for a refusal in %s cannot be sent", namespace)
            await self._answer(eio_sid, kinds.CONNECT_ERROR, namespace, REJECTED)

    async def _let_in(self, eio_sid: str, sid: str, namespace: str) -> None:
        """Say so, then what was said to it meanwhile."""
        await self._answer(eio_sid, kinds.CONNECT, namespace, {"sid": sid})
        await self.manager.connect(sid, namespace)
        self._clients[eio_sid].joined.add(namespace)
        held = self.held.pop(sid, None)
        for message in held.messages if held is not None else ():
            self.eio.send_message(eio_sid, message)

    async def _ask(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> Any:
        """What the connect handler says. A handler that was cancelled says nothing, and so lets nobody in."""
        handler, arguments = self._get_event_handler("connect", namespace, (sid, environ, auth))
        if handler is None:
            owner, arguments = self._get_namespace_handler(namespace, (sid, environ, auth))
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

    async def _handle_disconnect(self, eio_sid: str, namespace: str, reason: str | None = None) -> None:
        namespace = namespace or "/"
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if self.manager.is_connected(sid, namespace):
            self.manager.pre_disconnect(sid, namespace=namespace)
            await self._part(eio_sid, sid, namespace, reason or Reason.CLIENT_DISCONNECT)

    async def _part(self, eio_sid: str, sid: str, namespace: str, reason: str) -> None:
        """Run the disconnect handler, and let go whatever it does."""
        self._binary_packet.pop(eio_sid, None)
        try:
            await self._trigger_event("disconnect", namespace, sid, reason)
        except (Exception, asyncio.CancelledError):
            if not self.guards.refuse_on_error:
                raise
            self.logger.exception("the disconnect handler of %s failed", namespace)
        if client := self._clients.get(eio_sid):
            client.joined.discard(namespace)
            self._expect_connect(eio_sid)
        await self.manager.disconnect(sid, namespace, ignore_queue=True)

    # Time-outs

    def _expect_connect(self, eio_sid: str) -> None:
        """A session that is in no namespace has so long to join one."""
        client = self._clients[eio_sid]
        if client.connect_timer is not None:
            client.connect_timer.cancel()
        if self.guards.connect_timeout_s is not None and not client.joined:
            client.connect_timer = asyncio.get_running_loop().call_later(
                self.guards.connect_timeout_s, self._check_connect, eio_sid
            )

    def _check_connect(self, eio_sid: str) -> None:
        client, session = self._clients.get(eio_sid), self.eio.sockets.get(eio_sid)
        if client is None or session is None or client.joined:
            return
        if client.connecting:
            self._expect_connect(eio_sid)  # the handler is slow, and not the client
        else:
            session.close(Reason.CONNECT_TIMEOUT, detail=f"in no namespace for {self.guards.connect_timeout_s} s")

    def _expect_attachments(self, eio_sid: str, client: Client) -> None:
        """A packet whose attachments are missing has so long to get them."""
        if client.attachments_timer is not None and not client.reader.pending:
            client.attachments_timer.cancel()
            client.attachments_timer = None
        elif client.attachments_timer is None and client.reader.pending and self.guards.attachments_timeout_s:
            error = ProtocolError(f"expected {client.reader.pending} more attachments in time", rule=EXCHANGE)
            session = self.eio.sockets[eio_sid]
            client.attachments_timer = asyncio.get_running_loop().call_later(
                self.guards.attachments_timeout_s, session.violate, error
            )

    def _is_known(self, namespace: str) -> bool:
        return (
            self.namespaces == "*"
            or namespace in self.namespaces
            or namespace in self.handlers
            or namespace in self.namespace_handlers
        )

    # Answering

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        self.eio.send_message(eio_sid, Message.of(pkt.encode()))

    async def _answer(self, eio_sid: str, kind: int, namespace: str, data: Any) -> None:
        await self._send_packet(eio_sid, self.packet_class(kind, data, namespace=namespace))
