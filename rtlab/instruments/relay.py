"""Copying between two sockets, unchanged, in both directions.

What lives here: `Relay`, which connects a client that was accepted with a server, and passes on whatever comes and how
it comes: backpressure (it holds about 600 KiB per direction at most), half-closed connections, resets. It must not
know what the bytes mean; an observer is told of them before they go on.

The observer may need long for few bytes. So it gets them in portions. What it has not seen after a short spell waits
for its turn, and that side is not read from meanwhile: whoever sends what is slow to read waits, and nobody else.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import sys
from functools import partial
from time import perf_counter
from typing import Protocol, cast

from rtlab.instruments.direction import Direction
from rtlab.instruments.turns import Turns

__all__ = ["CONNECT_S", "SPELL_S", "Observer", "Relay"]

CONNECT_S = 10.0
"""Seconds that the server has to accept a connection; and that a client has, where there is no server, to say what it
wants to be told."""
SPELL_S = 0.0005
"""Seconds that the observer gets at a time for the bytes of one side, and one portion more. 250 KiB of large messages
take less, and go on at once."""
RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER without time to linger: closing sends RST. That is how a reset is passed on."""


class Observer(Protocol):
    """Who is told what goes through. Nothing here may raise."""

    def portion(self, direction: Direction) -> int:
        """How many bytes it takes next at most, such that they cost it little time."""

    def receive(self, direction: Direction, data: bytes) -> None:
        """These bytes go this way next."""

    def end(self, direction: Direction, problem: str = "") -> None:
        """TCP has ended in this direction: politely, or as `problem` says."""

    def left_over(self, direction: Direction, data: bytes) -> None:
        """These bytes have come, and go nowhere: the connection is over."""

    def refusal(self, problem: str) -> bytes | None:
        """There is no server: what the client is told before its connection is closed. None: let it finish first."""

    def gone(self, relay: Relay) -> None:
        """Both sockets are closed."""


class Relay:
    """One connection through the tap.

    Args:
        observer: is told of all that goes through.
        address: host and port of the server.
        turns: where the bytes wait that the observer has not seen yet; those of all relays that share an event loop.
    """

    def __init__(self, observer: Observer, address: tuple[str, int], turns: Turns) -> None:
        self.observer = observer
        self.client = _Side(self, Direction.TO_SERVER)
        """The protocol for the socket that was accepted."""
        self.closed = asyncio.Event()
        """Set when both sockets are closed."""
        self._server = _Side(self, Direction.TO_CLIENT)
        self._address = address
        self._turns = turns
        self._connecting: asyncio.Task[None] | None = None
        self._no_server = ""  # why there is none
        self._deadline: asyncio.TimerHandle | None = None  # of a client that has no server
        self._over = False  # we are closing both ourselves

    def abort(self) -> None:
        """Close both sockets now."""
        self._over = True
        if self._connecting is not None:
            self._connecting.cancel()
        for side in (self.client, self._server):
            if side.open:
                side.transport.abort()
        self._check_gone()

    def made(self, side: _Side) -> None:
        """A socket is there. The client's bytes wait in its kernel until the server's is."""
        if self._over:  # aborted after asyncio had accepted the connection, and before it said so
            side.transport.abort()
        elif side is self.client:
            side.transport.pause_reading()
            self._connecting = asyncio.Task(self._connect())
            self._connecting.add_done_callback(self._connected)

    def data(self, side: _Side, data: bytes) -> None:
        """Bytes have come."""
        waits = bool(side.unseen)  # not where asyncio keeps its word: that side is paused
        side.unseen = memoryview(bytes(side.unseen) + data if waits else data)
        if not waits and self.read(side):
            self._turns.join(side.turn)

    def read(self, side: _Side) -> bool:
        """Show the observer some of what has come, and pass that on. Gives whether more is left."""
        if self._over:
            return False
        came, seen, end = side.unseen, 0, perf_counter() + SPELL_S
        while seen < len(came):
            part = bytes(came[seen : seen + self.observer.portion(side.direction)])
            self.observer.receive(side.direction, part)
            seen += len(part)
            if perf_counter() >= end:
                break
        side.unseen = came[seen:]
        other = self._other(side)
        if other.open and not other.transport.is_closing():
            other.transport.write(came[:seen])
        elif self._no_server:
            self._refuse()
        self._steer(side)
        return bool(side.unseen)

    def eof(self, side: _Side) -> None:
        """One side will send no more; the other may go on."""
        self.observer.end(side.direction)
        other = self._other(side)
        if other.open:
            other.transport.write_eof()
        if self._no_server:
            self._refuse(last=True)
        elif other.eof:
            self._close()

    def writable(self, side: _Side, writable: bool) -> None:
        """One side reads too slowly, or has caught up: the other one has to wait, or may go on."""
        if writable and side.reset_when_drained:
            return side.reset()
        side.writable = writable
        return self._steer(self._other(side))

    def lost(self, side: _Side) -> None:
        """A socket is closed. If that was not us, it was reset."""
        if not self._over:
            self._over = True
            self.observer.end(side.direction, "TCP was reset")
            if self._connecting is not None:
                self._connecting.cancel()
            other = self._other(side)
            if other.open:
                other.reset()
        self._check_gone()

    def _steer(self, side: _Side) -> None:
        """Read from a side while the other one takes it, and while the observer keeps up with it."""
        if side.open and not (side.eof or self._over or self._connecting):
            if side.unseen or not self._other(side).writable:
                side.transport.pause_reading()
            else:
                side.transport.resume_reading()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await asyncio.get_running_loop().create_connection(lambda: self._server, *self._address)
        except TimeoutError:
            self._no_server = f"no answer within {CONNECT_S:g} s"
        except (OSError, UnicodeError) as error:  # the latter: a name that cannot be looked up at all
            number = error.errno if isinstance(error, ConnectionError) else None
            self._no_server = str(error) if number is None else os.strerror(number).lower()

    def _connected(self, _: asyncio.Task[None]) -> None:
        # a callback, because a task that is cancelled before its first step runs no line of its own
        self._connecting = None
        self._check_gone()
        self._steer(self.client)
        if self._no_server and self.client.open:
            self._deadline = asyncio.get_running_loop().call_later(CONNECT_S, partial(self._refuse, last=True))

    def _refuse(self, *, last: bool = False) -> None:
        if self._over:
            return
        answer = self.observer.refusal(self._no_server)
        if answer is not None or last:
            self.client.transport.write(answer or b"")
            self._close()

    def _close(self) -> None:
        """Both directions have ended: what is still on its way goes out, and that is it."""
        self._over = True
        for side in (self.client, self._server):
            if side.open:
                side.transport.close()

    def _other(self, side: _Side) -> _Side:
        return self._server if side is self.client else self.client

    def _check_gone(self) -> None:
        if self.client.open or self._server.open or self._connecting or self.closed.is_set():
            return
        self.closed.set()
        if self._deadline is not None:
            self._deadline.cancel()
        for side in (self.client, self._server):
            if side.unseen:
                self.observer.left_over(side.direction, bytes(side.unseen))
            side.leave()
        self.observer.gone(self)


class _Side(asyncio.Protocol):
    """One of the two sockets. What it reads goes in `direction`."""

    transport: asyncio.Transport

    def __init__(self, relay: Relay, direction: Direction) -> None:
        self.direction = direction
        self.open = False
        self.eof = False
        self.writable = True
        self.reset_when_drained = False
        self.unseen = memoryview(b"")
        """What has come from here and waits for the observer."""
        self._relay = relay

    def turn(self) -> bool:
        """It is this side's turn. Gives whether it needs another one."""
        return bool(self.unseen) and self._relay.read(self)

    def leave(self) -> None:
        """The connection is over. Without this, the two would keep each other until the cyclic collector comes."""
        self.unseen = memoryview(b"")
        del self._relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.open = True
        self._relay.made(self)

    def data_received(self, data: bytes) -> None:
        self._relay.data(self, data)

    def eof_received(self) -> bool:
        self.eof = True
        self._relay.eof(self)
        return True  # it stays open for what the other side still has to say

    def pause_writing(self) -> None:
        self._relay.writable(self, False)

    def resume_writing(self) -> None:
        self._relay.writable(self, True)

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._relay.lost(self)

    def reset(self) -> None:
        """Send what is still to be sent, as the network would have, and then RST."""
        if self.transport.get_write_buffer_size():
            self.reset_when_drained = True
            self.transport.pause_reading()
            self.transport.set_write_buffer_limits(high=0)
        else:
            self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
            self.transport.abort()
