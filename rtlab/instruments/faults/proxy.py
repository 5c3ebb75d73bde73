"""The fault proxy: it stands in front of any server over TCP, and spoils its connections while they are used.

What lives here: `fault_proxy` and `start_fault_proxy`, and `FaultProxy`, which accepts connections and disturbs all of
them, or those that you pick. It must not know how one connection is disturbed; `connection` does.

Left alone, it passes on what comes and how it comes, but for the offer of compression in a WebSocket's handshake (see
`sieve`). It is made for servers of HTTP, WebSocket and Socket.IO, and takes any other over TCP, such as Valkey, where
it finds no acks.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl as tls
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from rtlab.errors import UsageError
from rtlab.instruments.direction import Direction
from rtlab.instruments.faults.connection import (
    Condition,
    FaultyConnection,
    expect_delay,
    one_direction,
    some_directions,
)
from rtlab.instruments.faults.faulty_relay import FaultyRelay
from rtlab.instruments.faults.sieve import AckSessions, Sieve
from rtlab.instruments.faults.target import Addressed, Target, read_target
from rtlab.instruments.room import room_for
from rtlab.instruments.turns import Turns
from rtlab.instruments.wiretap.observing import Refused
from rtlab.servers import registry
from rtlab.servers.accepting import stop_accepting
from rtlab.servers.hosting import HostedServer, expect_port, listen
from rtlab.servers.repeats import RepeatLog
from rtlab.servers.tls import Trust, client_context
from rtlab.servers.unawaited import awaited, block

__all__ = ["CONNECTIONS", "FaultProxy", "fault_proxy", "start_fault_proxy"]

logger = logging.getLogger(__name__)

CONNECTIONS = 400
"""Connections that are open at a time, with two sockets each, and up to 2 MiB that wait in a stalled one. On a system
that allows a process fewer than 1,600 descriptors, a quarter of those. Who comes then is reset at once."""


class FaultProxy(HostedServer):
    """A proxy that listens on a port of its own. Made by `rtlab.fault_proxy` and `rtlab.start_fault_proxy`.

    What it is told to do, it does to all connections, those that come later too, until `healthy`. To disturb one alone,
    take it from `connections`; it has the same methods.
    """

    def __init__(self, listener: socket.socket, target: Target, ssl: tls.SSLContext | None) -> None:
        super().__init__(listener.getsockname()[1], f"in front of {target}", self._end)
        self.target = str(target)
        """The server's URL, without its password."""
        self._target = target
        self._tls = ssl
        self._listener = listener
        self._condition = Condition()
        self._refusing = False
        self._relays: dict[FaultyConnection, FaultyRelay] = {}
        self._accepted = 0
        self._swallowed = 0  # by connections that are over
        self._sessions = AckSessions()
        self._turns = Turns()
        self._room = room_for(CONNECTIONS)
        self._full = RepeatLog(logger)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """Where clients connect: the server's URL with the proxy's host and port, and without TLS.

        Of a Redis it carries the password.

        Raises:
            UsageError: it has been stopped.
        """
        self._address_while_running()
        return self._target.url_of_proxy(self.port)

    @property
    def ws_url(self) -> str:
        """The same for WebSocket clients: ``ws://127.0.0.1:PORT``. Raises UsageError like `url`."""
        return f"ws://{self.url.partition('://')[2]}"

    @property
    def connections(self) -> tuple[FaultyConnection, ...]:
        """Those that are open, oldest first."""
        return tuple(self._relays)

    @property
    def accepted(self) -> int:
        """How many there have been, those that were refused not counted."""
        return self._accepted

    @property
    def swallowed(self) -> int:
        """Acks that went nowhere, on all connections."""
        return self._swallowed + sum(each.swallowed for each in self._relays)

    @property
    def state(self) -> str:
        """What disturbs all connections, in words: "healthy", "stalled to client, refusing"."""
        said = [str(self._condition)] if str(self._condition) else []
        return ", ".join([*said, "refusing"] if self._refusing else said) or "healthy"

    def delay(self, seconds: float, direction: Direction | str | None = None) -> None:
        """Let all bytes go on that much later than they have come. 0 ends it.

        Order is kept. A connection carries at most 128 KiB in that time.

        Args:
            seconds: up to 60.
            direction: "to server" or "to client"; None for both, and then an answer is twice as late.

        Raises:
            UsageError: these are no seconds, or this is no direction; or the proxy was stopped.
        """
        ways, late = some_directions("delay", direction), expect_delay(seconds)
        self._for_all(self._condition.delayed(ways, late), lambda each: each.delay(late, direction))

    def stall(self, direction: Direction | str | None = None) -> None:
        """Let nothing go on, until `resume`. Connections stay open, new ones are accepted.

        Bytes wait, at most about 600 KiB for each connection and direction. Then they wait in the kernel, and then the
        sender does. A peer that goes away meanwhile is not noticed, so the other one does not hear of it either.

        Args:
            direction: "to server" or "to client"; None for both.

        Raises:
            UsageError: this is no direction, or the proxy was stopped.
        """
        stalled = self._condition.stalled | set(some_directions("stall", direction))
        self._for_all(replace(self._condition, stalled=stalled), lambda each: each.stall(direction))

    def resume(self, direction: Direction | str | None = None) -> None:
        """End `stall`: what has waited goes on first, and in order. Arguments and errors are those of `stall`."""
        stalled = self._condition.stalled - set(some_directions("resume", direction))
        self._for_all(replace(self._condition, stalled=stalled), lambda each: each.resume(direction))

    def swallow_acks(self) -> None:
        """Let the acks that a Socket.IO server sends go nowhere, until `pass_acks`. All else goes on as it came.

        What was asked has been done then, and whoever asked does not know. It works over WebSocket and long-polling,
        with attachments, and with MessagePack. `swallowed` counts them.

        Raises:
            UsageError: the server speaks no HTTP, or the proxy was stopped.
        """
        if not self._target.is_http:
            raise UsageError(f"swallow_acks(): acks belong to Socket.IO, and {self.target} speaks no HTTP.")
        self._for_all(replace(self._condition, swallowing=True), FaultyConnection.swallow_acks)

    def pass_acks(self) -> None:
        """End `swallow_acks`. What was swallowed does not come back."""
        self._for_all(replace(self._condition, swallowing=False), FaultyConnection.pass_acks)

    def half_close(self, direction: Direction | str) -> None:
        """End one direction of all connections that are open now (FIN); the other one goes on.

        What waits in that direction goes nowhere, and so does what is sent there later. `healthy` resets them.

        Args:
            direction: "to server": the server is told that the client sends no more. "to client": the other way.

        Raises:
            UsageError: this is no direction; the proxy speaks TLS to the server and "to server" was asked for; or it
                was stopped.
        """
        way = one_direction("half_close", direction)
        self._for_all(self._condition, lambda each: each.half_close(way))

    def drop(self) -> None:
        """Reset all connections that are open now (RST), for clients and the server. New ones are accepted."""
        self._for_all(self._condition, FaultyConnection.drop)

    def refuse(self) -> None:
        """Reset each new connection as soon as it is there, until `accept`. Those that are open go on."""
        self._for_all(self._condition, lambda _: None)
        self._refusing = True

    def accept(self) -> None:
        """End `refuse`."""
        self._refusing = False

    def healthy(self) -> None:
        """Undo all, also what was done to single connections. Those that are half closed are reset.

        Always possible, also when the proxy was stopped.
        """
        self._refusing = False
        self._condition = Condition()
        for each in self.connections:
            each.healthy()

    def __repr__(self) -> str:
        state = f"{self.state}, {len(self._relays)} open" if self.running else "stopped"
        return f"<FaultProxy 127.0.0.1:{self.port} in front of {self.target}, {state}>"

    async def listen(self) -> None:
        """Begin to accept connections. For `start_fault_proxy`."""
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=self._listener)

    def _for_all(self, condition: Condition, act: Callable[[FaultyConnection], None]) -> None:
        if not self.running:
            raise UsageError(f"{self!r} was stopped, and disturbs nobody any more. Start another one.")
        self._condition = condition
        for each in self.connections:
            act(each)

    def _accept(self) -> asyncio.Protocol:
        if self._refusing:
            return Refused()
        if len(self._relays) >= self._room:
            self._full.log(
                logging.WARNING, "full", "The fault proxy on port %d has %d connections open and takes no more.",
                self.port, self._room,
            )  # fmt: skip
            return Refused()
        self._accepted += 1
        sieve = Sieve(self._sessions) if self._target.is_http else None
        made = FaultyConnection(self._accepted, sieve, self._condition, self._gone)
        relay = FaultyRelay(made, (self._target.host, self._target.port), self._turns, self._tls)
        self._relays[made] = relay
        made.through(relay)
        return relay.client

    def _gone(self, connection: FaultyConnection) -> None:
        if self._relays.pop(connection, None) is not None:
            self._swallowed += connection.swallowed

    async def _end(self) -> None:
        assert self._server is not None
        await stop_accepting(self._listener)
        self._server.close()
        for relay in list(self._relays.values()):
            relay.abort()
            await relay.closed.wait()
        self._full.sum_up()


@awaited("proxy = await rtlab.start_fault_proxy(…)", "async with rtlab.fault_proxy(…) as proxy:")
async def start_fault_proxy(
    server: str | Addressed, *, port: int = 0, ssl: Trust = None, name: str | None = None
) -> FaultProxy:
    """Put a fault proxy in front of a server, until ``await proxy.stop()``, over as many cells as you like.

    Clients connect to `proxy.url` instead of the server's. In a notebook, running the same cell again stops what its
    earlier run had started. The server need not be there yet: who comes then is reset.

    Args:
        server: one that `rtlab.start` gave, a cluster, a worker, a broker, or a URL: ``"http://127.0.0.1:8000"``,
            ``"redis://:PASSWORD@127.0.0.1:6379"``, ``"127.0.0.1:9000"`` for any other protocol over TCP.
        port: a TCP port; 0 takes a free one.
        ssl: whom to trust where the server's URL begins with https://, wss:// or rediss://: see `rtlab.tap`. Clients
            speak to the proxy without TLS.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        UsageError: the URL is none that a proxy can stand in front of, the port is taken, or there is no CA at that
            path.
    """
    expect_port(port)
    target = read_target(server)
    if ssl is not None and not target.has_tls:
        raise UsageError(f"ssl= is for a server with https://, wss:// or rediss://, and {target} has no TLS.")
    context = client_context(ssl, f"{target.host}:{target.port}") if target.has_tls else None
    async with registry.opening(name) as register:
        listener = listen(port)
        try:
            made = FaultProxy(listener, target, context)
            await made.listen()
        except BaseException:
            listener.close()
            raise
        register(made)
    return made


@block("async with rtlab.fault_proxy(…) as proxy:", "proxy = await rtlab.start_fault_proxy(…)")
async def fault_proxy(
    server: str | Addressed, *, port: int = 0, ssl: Trust = None, name: str | None = None
) -> AsyncIterator[FaultProxy]:
    """A fault proxy for the length of an ``async with`` block. Arguments and errors: see `start_fault_proxy`."""
    made = await start_fault_proxy(server, port=port, ssl=ssl, name=name)
    try:
        yield made
    finally:
        await made.stop()
