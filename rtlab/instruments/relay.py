"""Copying between two sockets, unchanged, in both directions.

What lives here: `Relay`, which connects a client that was accepted with a server, and passes on whatever comes and how
it comes: backpressure (it holds about 600 KiB per direction at most), half-closed connections, resets. It must not
know what the bytes mean; an observer is told of them before they go on, and may put others in their place. The
server's side may speak TLS.

The observer may need long for few bytes. So it gets them in portions. What it has not seen after a short spell waits
for its turn, and that side is not read from meanwhile: whoever sends what is slow to read waits, and nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from functools import partial
from time import perf_counter
from typing import Protocol

from rtlab.instruments.direction import Direction
from rtlab.instruments.side import Side
from rtlab.instruments.turns import Turns
from rtlab.servers.tls import tls_problem

__all__ = ["CONNECT_S", "QUIET_S", "SPELL_S", "Observer", "Relay"]

CONNECT_S = 10.0
"""Seconds that the server has to accept a connection; and that a client has, where there is no server, to say what it
wants to be told."""
QUIET_S = 2.0
"""Seconds without a byte after which a connection is closed of which one half has ended, where the server's side speaks
TLS. asyncio closes no half of TLS alone, so its server cannot be told: it gets this time to finish its answer."""
SPELL_S = 0.0005
"""Seconds that the observer gets at a time for the bytes of one side, and one portion more. 250 KiB of large messages
take less, and go on at once."""


class Observer(Protocol):
    """Who is told what goes through. Nothing here may raise."""

    def portion(self, direction: Direction) -> int:
        """How many bytes it takes next at most, such that they cost it little time."""

    def receive(self, direction: Direction, data: bytes) -> bytes | None:
        """These bytes go this way next. None lets them; else what it gives goes in their place."""

    def end(self, direction: Direction, problem: str = "") -> bytes | None:
        """TCP has ended in this direction: politely, or as `problem` says. What it gives goes before a polite end."""

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
        tls: how to speak TLS to the server; None for TCP alone.
    """

    def __init__(
        self, observer: Observer, address: tuple[str, int], turns: Turns, tls: ssl.SSLContext | None = None
    ) -> None:
        self.observer = observer
        self.client = Side(self, Direction.TO_SERVER)
        """The protocol for the socket that was accepted."""
        self.closed = asyncio.Event()
        """Set when both sockets are closed."""
        self._server = Side(self, Direction.TO_CLIENT)
        self._address = address
        self._turns = turns
        self._tls = tls
        self._quiet: asyncio.TimerHandle | None = None  # until a connection with TLS that has half ended is closed
        self._connecting: asyncio.Task[None] | None = None
        self._no_server = ""  # why there is none
        self._deadline: asyncio.TimerHandle | None = None  # of a client that has no server
        self._accepted = False  # the client's socket is there, or was
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

    def reset(self) -> None:
        """Close both sockets now, with RST."""
        for side in (self.client, self._server):
            if side.open:
                side.linger()
        self.abort()

    def made(self, side: Side) -> None:
        """A socket is there. The client's bytes wait in its kernel until the server's is."""
        self._accepted = self._accepted or side is self.client
        if self._over:  # aborted after asyncio had accepted the connection, and before it said so
            side.linger()
            side.transport.abort()
        elif side is self.client:
            side.transport.pause_reading()
            self._connecting = asyncio.Task(self._connect())
            self._connecting.add_done_callback(self._connected)

    def data(self, side: Side, data: bytes) -> None:
        """Bytes have come."""
        if self._quiet is not None and not self._over:
            self._wait_for_quiet()
        waits = bool(side.unseen)  # not where asyncio keeps its word: that side is paused
        side.unseen = memoryview(bytes(side.unseen) + data if waits else data)
        if not waits and self.read(side):
            self._turns.join(side.turn)

    def read(self, side: Side) -> bool:
        """Show the observer some of what has come, and pass that on. Gives whether more is left."""
        if self._over:
            return False
        came, seen, end = side.unseen, 0, perf_counter() + SPELL_S
        passed = 0  # bytes that have been written
        other = self._other(side)
        takes = other.open and not other.transport.is_closing()
        while seen < len(came):
            part = bytes(came[seen : seen + self.observer.portion(side.direction)])
            instead = self.observer.receive(side.direction, part)
            if takes and instead is not None:
                other.transport.write(came[passed:seen])
                other.transport.write(instead)
                passed = seen + len(part)
            seen += len(part)
            if perf_counter() >= end:
                break
        side.unseen = came[seen:]
        if takes:
            other.transport.write(came[passed:seen])
        elif self._no_server:
            self._refuse()
        if self.has_ended(side) and not side.eof_told:
            self.tell_eof(side)
        self._steer(side)
        return bool(side.unseen)

    def eof(self, side: Side) -> None:
        """One side will send no more; the other may go on. (TLS says so before its last bytes have had their turn.)"""
        if self.has_ended(side):
            self.tell_eof(side)

    def has_ended(self, side: Side) -> bool:
        """Whether all that this side had to say has gone on, its end alone has not."""
        return side.eof and not side.unseen

    def tell_eof(self, side: Side) -> None:
        """Pass on that this side will send no more."""
        side.eof_told = True
        last = self.observer.end(side.direction)
        other = self._other(side)
        if other.open and last and not other.transport.is_closing():
            other.transport.write(last)
        if other.open and other.transport.can_write_eof():
            with contextlib.suppress(OSError):  # it was reset after its own end, and nobody reads there any more
                other.transport.write_eof()
        if self._no_server:
            self._refuse(last=True)
        elif other.eof_told:
            self._close()
        elif self._tls is not None:
            self._wait_for_quiet()

    def _wait_for_quiet(self) -> None:
        """One half has ended, and TLS cannot tell the server, or has no other half: not for ever."""
        if self._quiet is not None:
            self._quiet.cancel()
        self._quiet = asyncio.get_running_loop().call_later(QUIET_S, self._end_quiet)

    def _end_quiet(self) -> None:
        if self.client.writable and self._server.writable:
            self._close()
        else:  # somebody reads slowly, and that is why nothing comes
            self._wait_for_quiet()

    def writable(self, side: Side, writable: bool) -> None:
        """One side reads too slowly, or has caught up: the other one has to wait, or may go on."""
        if writable and side.reset_when_drained:
            return side.reset()
        side.writable = writable
        return self._steer(self._other(side))

    def lost(self, side: Side) -> None:
        """A socket is closed. If that was not us, and it had not ended before as TLS does, it was reset."""
        ended = side.eof and self._tls is not None and side is self._server
        if not (self._over or ended):
            self._over = True
            self.observer.end(side.direction, "TCP was reset")
            if self._connecting is not None:
                self._connecting.cancel()
            other = self._other(side)
            if other.open:
                other.reset()
        self._check_gone()

    def may_read(self, side: Side) -> bool:
        """Whether more of this side can be taken: the other one takes it, and the observer keeps up with it."""
        return not side.unseen and self._other(side).writable

    def _steer(self, side: Side) -> None:
        if side.open and not (side.eof or self._over or self._connecting):
            if self.may_read(side):
                side.transport.resume_reading()
            else:
                side.transport.pause_reading()

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                patience = QUIET_S if self._tls else None
                await asyncio.get_running_loop().create_connection(
                    lambda: self._server, *self._address, ssl=self._tls, ssl_shutdown_timeout=patience
                )
        except TimeoutError:
            self._no_server = f"no answer within {CONNECT_S:g} s"
        except (OSError, UnicodeError) as error:  # the latter: a name that cannot be looked up at all
            problem = tls_problem(error, self._address[0], plain="http://", trust="ssl=PATH") if self._tls else None
            number = error.errno if isinstance(error, ConnectionError) else None
            self._no_server = problem or (str(error) if number is None else os.strerror(number).lower())

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

    def _other(self, side: Side) -> Side:
        return self._server if side is self.client else self.client

    def _check_gone(self) -> None:
        alive = self.client.open or self._server.open or self._connecting or not self._accepted
        if alive or self.closed.is_set():
            return
        self.closed.set()
        for timer in (self._deadline, self._quiet):
            if timer is not None:
                timer.cancel()
        for side in (self.client, self._server):
            if side.unseen:
                self.observer.left_over(side.direction, bytes(side.unseen))
            side.leave()
        self.observer.gone(self)
