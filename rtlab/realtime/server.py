"""A Socket.IO server for aiohttp that closes gaps of python-socketio.

What lives here: `Server`, which takes the place of `socketio.AsyncServer(...)`. It applies the guards; the rules
themselves are in `rules`, the switches in `guards`, who is let in in `namespace_gate`, the sessions below in `engine`.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from collections.abc import AsyncIterator
from typing import Any

import socketio
from socketio import packet as kinds

from rtlab.errors import ProtocolError, UsageError
from rtlab.realtime import compat
from rtlab.realtime.endings import Reason
from rtlab.realtime.engine import Engine, errors_log
from rtlab.realtime.fanout import guarded
from rtlab.realtime.guards import Guards
from rtlab.realtime.limits import LARGE_PACKET_BYTES, PACKET_MESSAGES
from rtlab.realtime.message import Message
from rtlab.realtime.namespace_gate import EXCHANGE, ClientState, NamespaceGate
from rtlab.realtime.options import refuse_wrong
from rtlab.realtime.packets import packet_class
from rtlab.realtime.parsing import ParsingLine
from rtlab.realtime.rules import event_name, refuse_socket_id, target_of
from rtlab.wire.frames import CloseCode
from rtlab.wire.socketio import Packet, PacketType, namespace_of

__all__ = ["Server"]


class Server(socketio.AsyncServer):  # type: ignore[misc]
    """A Socket.IO server with the arguments and methods of `socketio.AsyncServer`, on aiohttp.

    Args:
        client_manager, logger, json, async_handlers, namespaces: as in `socketio.AsyncServer`.
        guards: what it guards against; all that there are if not given. What it does not: see SECURITY.md.
        serializer: "default" or "msgpack", for all clients.
        **options: those of `socketio.AsyncServer` and `engineio.AsyncServer`. Times are in seconds.

    Raises:
        UnknownOptionError: an option that does not exist; the message names the nearest.
        UsageError: an option of the wrong kind (`options.OPTIONS` has them all), one that this server cannot honour, a
            ping interval that nobody can mean, or a version of python-socketio in which a guard would have nothing to
            hold on to.
    """

    def __init__(
        self,
        client_manager: Any = None,
        logger: Any = False,
        json: Any = None,
        async_handlers: bool = True,
        namespaces: Any = None,
        *,
        guards: Guards | None = None,
        serializer: Any = "default",
        **options: Any,
    ) -> None:
        compat.check()
        named = {"client_manager": client_manager, "logger": logger, "json": json, "async_handlers": async_handlers}
        refuse_wrong({**named, "namespaces": namespaces, "guards": guards, "serializer": serializer, **options})
        if not logger:  # python-socketio's own default is a second line for each error, in plain text
            logger = errors_log()
        if not options.get("engineio_logger"):
            options["engineio_logger"] = errors_log()
        self.eio: Engine
        self._handling: set[asyncio.Task[None]] = set()
        self._parsing = ParsingLine()
        self.guards = guards or Guards()
        self.gate = NamespaceGate(self)
        super().__init__(
            client_manager=guarded(client_manager or socketio.AsyncManager()),
            logger=logger,
            json=json,
            async_handlers=async_handlers,
            namespaces=namespaces,
            serializer=packet_class(serializer),
            **options,
        )
        compat.check_made(self)

    # What an application calls

    async def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: Any = None,
        namespace: str | None = None,
        callback: Any = None,
        ignore_queue: bool = False,
    ) -> None:
        """Emit an event, as in `socketio.AsyncServer`. An empty `to` or `room` is nobody; None is everybody.

        Args:
            event: its name.
            data: its argument; a tuple for several.
            to: a socket id, a room, or several rooms in a list, tuple or set.
            room: the same.
            skip_sid: a socket id, or several, that do not get it.
            namespace: "/" if not given.
            callback: called with what the client acknowledges.
            ignore_queue: deliver in this process only.
        """
        target = target_of(to, room, self.guards)
        if target == []:
            self.logger.warning("emit of %r to nobody: the target was empty", event)
            return
        if skip_sid is not None and not isinstance(skip_sid, str):
            skip_sid = list(skip_sid)
        await super().emit(
            event, data, to=target, skip_sid=skip_sid, namespace=namespace, callback=callback, ignore_queue=ignore_queue
        )

    async def call(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        sid: Any = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Emit to one client and wait for its acknowledgement, as in `socketio.AsyncServer`.

        Raises:
            ValueError: no client is named, or one whose connect handler still runs, so that it can hear nothing yet.
            socketio.exceptions.TimeoutError: it did not answer in `timeout` seconds.
        """
        target = target_of(to, sid, self.guards)
        if self.guards.empty_target_is_nobody and target in (None, []):
            raise ValueError("call() asks one client: expected its id in to=, got none.")
        asked = (target,) if isinstance(target, str) else target or ()
        if not self.gate.held.keys().isdisjoint(asked):
            raise ValueError("call() asks a client that is connected: expected its connect handler to have ended.")
        return await super().call(event, data, to, sid, namespace, timeout, ignore_queue)

    async def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> None:
        """Put a socket into a room.

        Raises:
            ValueError: the room is named like another socket, here or on any node.
        """
        if self.guards.reserve_socket_ids:
            refuse_socket_id(sid, room)
        await super().enter_room(sid, room, namespace)

    async def close_room(self, room: Any, namespace: str | None = None) -> None:
        """Put everybody out of a room.

        Raises:
            ValueError: the room is named like a socket.
        """
        if self.guards.reserve_socket_ids:
            refuse_socket_id("", room)
        await super().close_room(room, namespace)

    async def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Put a socket out of a namespace, wherever it lives. While its connect handler runs, that refuses it."""
        namespace = namespace or "/"
        if self.guards.refuse_on_disconnect and self.manager.is_pre_connected(sid, namespace):
            self.gate.unwanted.add(sid)
            return
        here = self.manager.is_connected(sid, namespace)
        if not here and not ignore_queue:
            here = await self.manager.can_disconnect(sid, namespace)
        if here:
            eio_sid = self.manager.pre_disconnect(sid, namespace=namespace)
            await self._send_packet(eio_sid, self.packet_class(kinds.DISCONNECT, namespace=namespace))
            await self.gate.part(eio_sid, sid, namespace, Reason.SERVER_DISCONNECT)

    def attach(self, app: Any, socketio_path: str = "socket.io") -> None:
        """Answer requests below this path of an aiohttp app; hear other nodes from its start to its end."""
        super().attach(app, socketio_path)
        app.cleanup_ctx.append(self._with_manager)

    def instrument(self, *_: Any, **__: Any) -> Any:
        """The Socket.IO Admin UI cannot look into this server.

        Raises:
            UsageError: always.
        """
        raise UsageError("The Admin UI patches python-engineio's sessions, and this server has its own.")

    # What comes from below

    def _engineio_server_class(self) -> Any:
        return functools.partial(Engine, guards=self.guards)

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self.gate.opened(eio_sid)

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if not self.guards.strict_packets:
            await super()._handle_eio_message(eio_sid, data)
            return
        client = self.gate.clients[eio_sid]
        large = len(data) > LARGE_PACKET_BYTES
        packet = await self._read_large(eio_sid, client, data) if large else client.reader.add(data)
        self.gate.expect_attachments(eio_sid, client)
        client.held += sys.getsizeof(data)
        if packet is not None:
            held, client.held = client.held, 0
            await self._handle_packet(eio_sid, client, packet, held)
        elif client.reader.incomplete is not None:
            self._expect_asked(client, client.reader.incomplete.namespace)
            if client.held > (most := PACKET_MESSAGES * self.eio.max_http_buffer_size):
                problem = f"expected at most {most} bytes with all attachments"
                raise ProtocolError(problem, rule=EXCHANGE, code=CloseCode.TOO_BIG)

    async def _read_large(self, eio_sid: str, client: ClientState, data: str | bytes) -> Packet | None:
        """The packet in a message that may take long: its namespace is looked at before, and its client is charged."""
        if isinstance(data, str) and data[0] != "0":
            self._expect_asked(client, namespace_of(data) or "/")
        intake = self.eio.sockets[eio_sid].intake
        async with self._parsing.turn() as turn:
            try:
                return client.reader.add(data)
            finally:
                intake.worked(turn.ended())

    def _expect_asked(self, client: ClientState, namespace: str) -> None:
        """Whoever says something in a namespace has asked to be let in before."""
        if namespace.partition("?")[0] not in client.seen:
            raise ProtocolError("expected a CONNECT first, got another packet", rule=EXCHANGE)

    async def _handle_packet(self, eio_sid: str, client: ClientState, packet: Packet, held: int) -> None:
        namespace = packet.namespace.partition("?")[0]
        if packet.type is PacketType.CONNECT:
            await self._handle_connect(eio_sid, namespace, packet.data)
            return
        if packet.type is PacketType.CONNECT_ERROR:
            raise ProtocolError("expected no CONNECT_ERROR from a client", rule=EXCHANGE)
        if namespace not in client.seen:
            raise ProtocolError(f"expected a CONNECT first, got {packet.type.name}", rule=EXCHANGE)
        if packet.type is PacketType.DISCONNECT:
            await self._handle_disconnect(eio_sid, namespace, Reason.CLIENT_DISCONNECT)
        elif packet.type is PacketType.EVENT:
            name = event_name(packet, self.guards)
            await self._begin_event(eio_sid, namespace, packet.id, [name, *packet.data[1:]], held)
        elif packet.id:  # 0 is none of ours: python-socketio keeps its counter there, and a client could call it away
            await self._handle_ack(eio_sid, namespace, packet.id, packet.data)

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        await self.gate.connect(eio_sid, namespace or "/", data)

    async def _handle_disconnect(self, eio_sid: str, namespace: str, reason: str | None = None) -> None:
        await self.gate.leave(eio_sid, namespace or "/", reason or Reason.CLIENT_DISCONNECT)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        self.eio.send_message(eio_sid, Message.of(pkt.encode()))

    async def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self.gate.closed(eio_sid)
        await super()._handle_eio_disconnect(eio_sid, reason)
        self._binary_packet.pop(eio_sid, None)

    async def _with_manager(self, _: Any) -> AsyncIterator[None]:
        if not self.manager_initialized:  # python-socketio waits for the first client, who would miss what is said then
            self.manager_initialized: bool = True
            self.manager.initialize()
        yield
        if hasattr(self.manager, "aclose"):  # python-socketio's own have nothing that ends them
            await self.manager.aclose()

    # Events

    async def _begin_event(self, eio_sid: str, namespace: str, number: int | None, data: list[Any], held: int) -> None:
        """Have an event handled: now, or in a task of its own where handlers may overtake each other."""
        namespace = namespace or "/"
        sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
        if not self.manager.is_connected(sid, namespace):
            return  # it has left, and this was on its way
        if not self.async_handlers:
            await self._handle_event_internal(self, sid, eio_sid, data, namespace, number)
            return
        intake = self.eio.sockets[eio_sid].intake
        await intake.begin_handler(held)
        task = asyncio.ensure_future(self._handle_event_internal(self, sid, eio_sid, data, namespace, number))
        self._handling.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._handling.discard(task)
            intake.end_handler(held)

        task.add_done_callback(ended)

    def _get_event_handler(self, event: str, namespace: str, args: Any) -> Any:
        if event == "*" and self.guards.reserved_events:
            # A client may call an event "*". Looked up by that name it would find the catch-all handler and hand it
            # the wrong arguments: the client's first one as the socket id. So the lookup is for a name that nobody has.
            handler, arguments = super()._get_event_handler("* ", namespace, args)
            return handler, arguments if handler is None else (event, *arguments[1:])
        return super()._get_event_handler(event, namespace, args)

    async def _handle_event_internal(
        self, server: Any, sid: str, eio_sid: str, data: list[Any], namespace: str, number: int | None
    ) -> None:
        try:
            await super()._handle_event_internal(server, sid, eio_sid, data, namespace, number)
        except Exception:
            known = data[0] in self.handlers.get(namespace, ())  # other names are the client's, any number of them
            kind = f"event {data[0] if known else '*'} {namespace}"
            self.eio.error_logger.exception(kind, "the handler of event %r in %s failed", data[0], namespace)
