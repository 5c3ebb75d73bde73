"""WebSocket servers and clients on asyncio: `serve` and `connect`.

What lives here: the server's side of the opening handshake on a socket, and a server's life: accept, run a handler for
each connection, close them all. The client's side is in `connecting`, the connection itself in `connection`, the
protocol in `rtlab.wire`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as tls
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from rtlab.errors import HandshakeError
from rtlab.servers.apps import Close
from rtlab.servers.connecting import connect
from rtlab.servers.connection import WebSocket
from rtlab.servers.door.acceptor import Acceptor, accept
from rtlab.servers.mistaken_apps import refuse_no_handler
from rtlab.servers.options import Options
from rtlab.servers.unawaited import block
from rtlab.wire import handshake
from rtlab.wire.frames import CloseCode, cut_reason
from rtlab.wire.handshake import Headers, Response
from rtlab.wire.protocol import Closed

__all__ = ["MAX_OPENING", "Endpoint", "Handler", "Options", "WebSocket", "WebSocketServer", "connect", "serve"]

logger = logging.getLogger(__name__)

MAX_OPENING = 1_000
"""Sockets whose handshake is not done. Each holds at most `HEADER_BYTES` and what was read last, and a descriptor for
`open_timeout`. Above that the oldest is cut: a handshake takes milliseconds, and who has taken longest is the least
likely to be one."""

TLS_HELLO = b"\x16\x03"
"""How a client of TLS begins: a record of the type handshake, of version 3.x (RFC 8446 §5.1). No HTTP does."""

Handler = Callable[[WebSocket], Awaitable[None]]
"""Talks to one client; when it returns, the connection is closed with 1000."""


class WebSocketServer:
    """A listening server. Made by `serve`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.connections: set[WebSocket] = set()
        """Those whose handshake is done and whose handler runs."""
        self._handlers: set[asyncio.Task[None]] = set()
        self._opening: dict[_ServerSide, None] = {}  # whose handshake is not done, the oldest first
        self._server: Acceptor = None  # type: ignore[assignment]  # set by start
        self._scheme = "ws"

    async def start(self, listener: socket.socket, ssl: tls.SSLContext | None = None) -> None:
        """Accept connections on a socket that listens; with a context, those with TLS."""
        self._scheme = "ws" if ssl is None else "wss"
        self._server = await accept(lambda: _ServerSide(self), listener, tls=ssl)

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where it listens: ``ws://127.0.0.1:PORT``, with TLS ``wss://127.0.0.1:PORT``."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    async def close(self, timeout_s: float = 1.0) -> None:
        """Accept no more, close every connection with 1001, and wait until the handlers have ended.

        Args:
            timeout_s: seconds that handlers and peers have before they are cut off.
        """
        self._server.close()
        await self._server.wait_closed()
        for opening in list(self._opening):
            opening.abort()
        for connection in list(self.connections):
            connection.begin_close(CloseCode.GOING_AWAY)
        if self._handlers:
            await asyncio.wait(self._handlers, timeout=timeout_s)
        for connection in list(self.connections):
            connection.abort()
        for task in self._handlers:
            task.cancel()
        if self._handlers:
            await asyncio.wait(self._handlers)

    def connected(self, side: _ServerSide) -> None:
        """A socket is there, and its handshake is to come. Too many: the oldest has had the most time, and goes."""
        self._opening[side] = None
        if len(self._opening) > MAX_OPENING:
            next(iter(self._opening)).abort()

    def gone(self, side: _ServerSide) -> None:
        """A socket has ended."""
        self._opening.pop(side, None)

    def opened(self, side: _ServerSide) -> None:
        """A handshake is done: run the handler."""
        self.gone(side)
        self.connections.add(side)
        task = asyncio.get_running_loop().create_task(self._run(side))
        self._handlers.add(task)
        task.add_done_callback(self._handlers.discard)

    async def _run(self, side: _ServerSide) -> None:
        code, reason = CloseCode.NORMAL, ""
        try:
            await self.endpoint.handler(side)
        except asyncio.CancelledError:
            side.abort()
            raise
        except ConnectionError:
            pass
        except Exception as error:
            if side.closed is None:
                logger.exception("the handler of %r failed", side)
                code, reason = CloseCode.INTERNAL_ERROR, cut_reason(type(error).__name__)
        finally:
            self.connections.discard(side)
            side.forget_messages()
        await side.close(code, reason)


@dataclass(frozen=True)
class Endpoint:
    """A handler with everything that a server has to know: an app, as `rtlab.serve` takes them."""

    handler: Handler
    options: Options = field(default_factory=Options)
    origins: Collection[str] | None = None
    """The Origins that browsers may connect from; None for any."""
    headers: Iterable[tuple[str, str]] = ()
    """Fields to add to the response of the handshake."""

    def __post_init__(self) -> None:
        refuse_no_handler(self.handler)

    def __str__(self) -> str:
        return f"WebSocket handler {getattr(self.handler, '__name__', type(self.handler).__name__)}"

    async def host(self, listener: socket.socket) -> Close:
        """Serve on a socket that listens; gives what stops it. `rtlab.serve` calls this."""
        server = WebSocketServer(self)
        await server.start(listener)
        return server.close


@block("async with serve(handler) as server:")
async def serve(
    handler: Handler,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    origins: Collection[str] | None = None,
    ssl: tls.SSLContext | None = None,
    **options: Any,
) -> AsyncIterator[WebSocketServer]:
    """Run a server for the length of an ``async with`` block.

    Args:
        handler: talks to one client; it is called for each.
        host: the address to listen on.
        port: the port; 0 takes a free one.
        origins: the Origins that browsers may connect from; None for any.
        ssl: a server's context, with its certificate: then it speaks TLS.
        options: the fields of `Options`, by name.

    Raises:
        OSError: the port is taken.
    """
    endpoint = Endpoint(handler, Options(**options), origins)
    listener = socket.create_server((host, port))
    server = WebSocketServer(endpoint)
    await server.start(listener, ssl)
    try:
        yield server
    finally:
        await server.close()


class _ServerSide(WebSocket):
    """A connection as the server has it."""

    def __init__(self, server: WebSocketServer) -> None:
        super().__init__(server.endpoint.options)
        self.server = server
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.server.connected(self)
        if self.options.open_timeout is not None:
            self._deadline = self._loop.call_later(self.options.open_timeout, self.abort)

    def handshake_received(self, data: bytes) -> None:
        endpoint = self.server.endpoint
        try:
            if data.startswith(TLS_HELLO):  # it has no end of a head, and its client waits for an answer
                raise HandshakeError("expected HTTP, got TLS: connect with ws://", rule="RFC 6455 §3")
            head = self._head.add(data)
            parsed = None if head is None else handshake.parse_request(head)
            if parsed is None:
                return
            self.request, rest = parsed
            upgrade = handshake.accept_upgrade(
                self.request,
                origins=endpoint.origins,
                subprotocols=self.options.subprotocols,
                deflate=self.options.deflate,
                headers=endpoint.headers,
            )
        except HandshakeError as error:
            self._refuse(error)
            return
        self._write(bytes(upgrade.response))
        self._stop_clock()
        self._begin(upgrade, rest, None)
        self.server.opened(self)  # last: with an eager task factory the handler starts at once

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_clock()
        self.server.gone(self)
        super().connection_lost(error)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, error: HandshakeError) -> None:
        body = f"{error}\n".encode()
        fields = [
            *error.headers,
            ("Content-Type", "text/plain; charset=utf-8"),
            ("Content-Length", str(len(body))),
        ]
        if not any(name == "Connection" for name, _ in error.headers):
            fields.append(("Connection", "close"))
        self.response = Response(error.status, Headers(fields), body)
        self.closed = Closed(int(CloseCode.ABNORMAL), str(error), clean=False)
        self._write(bytes(self.response))
        self.linger()
