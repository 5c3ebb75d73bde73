"""Accepting connections, as many as there is room for.

What lives here: `accept` and `Acceptor`, which take the place of ``loop.create_server(factory, sock=listener)`` for
every kind of server. It must not know what is spoken on a connection.

asyncio's own accepts without a limit. At the limit of file descriptors it logs a traceback per listening socket and
second, and tries again. This one counts. It stops reading the listening socket when there is no room, says so once,
and goes on when a connection has ended: who comes meanwhile waits in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from rtlab.servers.door.limits import DoorLimits
from rtlab.servers.repeats import RepeatLog

__all__ = ["Acceptor", "accept"]

logger = logging.getLogger(__name__)

PER_TURN = 100
"""Connections that are accepted in one turn of the loop, as asyncio does: then those that are there have theirs."""
BACKLOG = 1024
"""Connections that wait in the kernel until they are accepted; Linux allows 4,096 (net.core.somaxconn)."""
RETRY_S = 1.0
"""Seconds after which accepting is tried again, where the system had no room and no connection of ours has ended."""
TLS_TIMEOUT_S = 20.0
"""Seconds for a TLS handshake: as long as for the head of a request."""
STOP_S = 0.5
"""Seconds that TLS handshakes have when the server stops. Connections without TLS need two turns of the loop."""

UNREAD_TIMEOUT_S = 60
"""Seconds that a peer may acknowledge nothing, or have no room, while we have something for it (TCP_USER_TIMEOUT, RFC
5482; Linux alone has it). A server that closes such a connection would otherwise hold its descriptor for ever."""

Factory = Callable[[], asyncio.BaseProtocol]


class CountedSocket(socket.socket):
    """A connection's socket that says once when its descriptor is given back.

    A transport closes its socket when it is done with it (uvloop detaches it), whatever its protocol is by then. So
    what is counted are descriptors, also those of connections that only linger.
    """

    released: Callable[[], None] | None = None

    def close(self) -> None:
        super().close()
        self._release()

    def detach(self) -> int:
        descriptor = super().detach()
        self._release()
        return descriptor

    def _release(self) -> None:
        released, self.released = self.released, None
        if released is not None:
            released()


async def accept(
    factory: Factory,
    listeners: socket.socket | Iterable[socket.socket],
    *,
    limits: DoorLimits | None = None,
    tls: ssl.SSLContext | None = None,
) -> Acceptor:
    """Accept connections until the server is closed.

    Args:
        factory: makes a connection's protocol, as for `asyncio.loop.create_server`.
        listeners: sockets that are bound. They are closed with the server.
        limits: how many connections there may be; `DoorLimits()` if not given.
        tls: for connections with TLS.

    Returns:
        What stops it. On Windows, whose event loop tells of no socket that can be accepted from, asyncio accepts below
        it, without limits.
    """
    acceptor = Acceptor(factory, [listeners] if isinstance(listeners, socket.socket) else listeners, limits, tls)
    await acceptor.start()
    return acceptor


class Acceptor:
    """A listening server. Made by `accept`; the arguments are its."""

    def __init__(
        self,
        factory: Factory,
        listeners: Iterable[socket.socket],
        limits: DoorLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.limits = limits or DoorLimits()
        self.connections = 0
        """Those that are open: accepted, and their descriptor not yet given back."""
        self._loop = asyncio.get_running_loop()
        self._factory = factory
        self._listeners = tuple(listeners)
        self._tls = tls
        self._room = self.limits.room()
        self._by_address: Counter[str] = Counter()
        self._opening: set[asyncio.Task[None]] = set()
        self._without_limits: list[asyncio.AbstractServer] = []
        self._log = RepeatLog(logger)
        self._serving = False
        self._paused = False
        self._crowded = False  # paused since nobody waited the last time
        self._retry: asyncio.TimerHandle | None = None

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """Those that listen."""
        return self._listeners

    async def start(self) -> None:
        """Begin."""
        for listener in self._listeners:
            listener.setblocking(False)
            listener.listen(BACKLOG)
            try:
                self._loop.add_reader(listener, self._accept, listener)
            except NotImplementedError:  # Windows
                server = await self._loop.create_server(self._factory, sock=listener, ssl=self._tls)
                self._without_limits.append(server)
        self._serving = True

    def close(self) -> None:
        """Accept no more, and close the sockets that listen. Connections stay."""
        self._serving = False
        for server in self._without_limits:
            server.close()
        self._pause_reading()
        if self._retry is not None:
            self._retry.cancel()
        for listener in self._listeners:
            listener.close()
        self._log.sum_up()

    async def wait_closed(self) -> None:
        """After `close`: wait until every connection that was accepted has its protocol."""
        if self._opening:
            _, handshaking = await asyncio.wait(self._opening, timeout=STOP_S)
            for task in handshaking:
                task.cancel()
            if handshaking:
                await asyncio.wait(handshaking)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(PER_TURN):
            if self.connections >= self._room:
                self._pause(f"there are {self.connections:,} connections")
                return
            try:
                plain, peername = listener.accept()
            except ConnectionAbortedError:
                continue  # gone before it was accepted
            except (BlockingIOError, InterruptedError):
                self._nobody_waits()
                return
            except OSError as error:  # out of descriptors or memory, in this process or in all; or no network
                self._pause(error.strerror or str(error))
                self._retry = self._retry or self._loop.call_later(RETRY_S, self._try_again)
                return
            address = self.limits.counted_as(peername)
            if address is not None and self._by_address[address] >= self.limits.per_address:
                plain.close()
                extra = {"peer": address, "connections": self._by_address[address]}
                self._log.log(logging.WARNING, "address", "too many connections from one address", extra=extra)
                continue
            self._take(plain, address)

    def _take(self, plain: socket.socket, address: str | None) -> None:
        connection = CountedSocket(fileno=plain.detach())
        connection.setblocking(False)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            with suppress(OSError):  # a Unix socket, or one that is gone already
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_TIMEOUT_S * 1000)
        self.connections += 1
        if address is not None:
            self._by_address[address] += 1
        connection.released = lambda: self._release(address)
        task = self._loop.create_task(self._open(connection))
        self._opening.add(task)

    async def _open(self, connection: CountedSocket) -> None:
        try:
            protocol = self._factory()
        except BaseException:
            connection.close()
            self._opened()
            raise
        try:
            timeout_s = None if self._tls is None else TLS_TIMEOUT_S
            await self._loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._tls, ssl_handshake_timeout=timeout_s
            )
        except OSError as error:  # TLS's are of this kind; the socket is closed
            logger.debug("a connection was not made: %s", error)
        finally:
            self._opened()

    def _opened(self) -> None:
        """This task has done what it was for. (A callback of its end would cost another turn of the loop.)"""
        task = asyncio.current_task()
        if task is not None:
            self._opening.discard(task)

    def _release(self, address: str | None) -> None:
        self.connections -= 1
        if address is not None:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
        if self._paused:
            self._go_on()

    def _pause(self, why: str) -> None:
        """Read the listening sockets no more. Said once, until a turn in which nobody waited."""
        self._paused = True
        self._pause_reading()
        if not self._crowded:
            self._crowded = True
            self._log.log(logging.WARNING, "pause", "accepting pauses: %s", why, extra={"open": self.connections})

    def _nobody_waits(self) -> None:
        if self._crowded:
            self._crowded = False
            self._log.log(logging.WARNING, "resume", "accepting goes on", extra={"open": self.connections})

    def _try_again(self) -> None:
        self._retry = None
        if self._paused:
            self._go_on()

    def _go_on(self) -> None:
        self._paused = False
        if self._serving:
            for listener in self._listeners:
                self._loop.add_reader(listener, self._accept, listener)

    def _pause_reading(self) -> None:
        for listener in self._listeners:
            if listener.fileno() >= 0 and not self._without_limits:
                self._loop.remove_reader(listener)
