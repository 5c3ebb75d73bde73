"""A relay that passes bytes on late, or not at all, and cuts a connection in each way that TCP knows.

What lives here: `FaultyRelay`. It must not know what the bytes mean, nor which connections there are beside its own.

What has been written to a socket is gone: the kernel sends it on, whatever is done here afterwards. What waits here is
bounded, and from then on that side is not read from: its sender notices, as it would with a slow network.
"""

from __future__ import annotations

import asyncio
import ssl

from rtlab.errors import UsageError
from rtlab.instruments.direction import Direction
from rtlab.instruments.faults.waiting import Waiting
from rtlab.instruments.relay import Observer, Relay
from rtlab.instruments.side import Side
from rtlab.instruments.turns import Turns

__all__ = ["FaultyRelay"]


class FaultyRelay(Relay):
    """One connection through a fault proxy. The arguments are those of `Relay`."""

    def __init__(
        self, observer: Observer, address: tuple[str, int], turns: Turns, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(observer, address, turns, tls)
        self.waiting = {direction: Waiting() for direction in Direction}
        """What is on its way, in each direction."""
        self.cut: set[Direction] = set()
        """The directions that `half_close` has ended. What comes from there goes nowhere."""
        self._timers: dict[Direction, asyncio.TimerHandle] = {}

    @property
    def connected(self) -> bool:
        """Whether there is a connection to the server."""
        return self._server.open

    def delay(self, direction: Direction, seconds: float) -> None:
        """Let bytes go on that much later than they have come; what waits already too."""
        self.waiting[direction].delay_s = seconds
        self._changed(direction)

    def stall(self, direction: Direction, stalled: bool) -> None:
        """Let nothing go on, or let it go on again."""
        self.waiting[direction].stalled = stalled
        self._changed(direction)

    def half_close(self, direction: Direction) -> None:
        """End one direction: whoever receives there is told that nothing more will come (FIN).

        Raises:
            UsageError: TLS has no half-closed connections.
        """
        if self._tls is not None and direction is Direction.TO_SERVER:
            raise UsageError(
                "half_close('to server'): the proxy speaks TLS to it, which has no half-closed connection."
            )
        if direction not in self.cut:
            self.cut.add(direction)
            self._cut(direction)

    def forget(self) -> None:
        """The connection is over: nothing waits any more."""
        for direction in Direction:
            self.waiting[direction].clear()
            if (timer := self._timers.pop(direction, None)) is not None:
                timer.cancel()

    def data(self, side: Side, data: bytes) -> None:
        """Bytes have come."""
        waiting = self.waiting[side.direction]
        if side.direction in self.cut:
            return
        if waiting.passes:
            super().data(side, data)
        else:
            waiting.put(data, asyncio.get_running_loop().time())
            self._steer(side)
            self._schedule(side)

    def eof(self, side: Side) -> None:
        """One side will send no more. That waits too."""
        if side.eof_told:
            return
        if self.waiting[side.direction].passes:
            super().eof(side)
        else:
            self.waiting[side.direction].put(b"", asyncio.get_running_loop().time())
            self._schedule(side)

    def has_ended(self, side: Side) -> bool:
        """Whether nothing of this side waits any more."""
        return super().has_ended(side) and self.waiting[side.direction].empty

    def may_read(self, side: Side) -> bool:
        """Whether more of this side may come."""
        waiting = self.waiting[side.direction]
        return side.direction in self.cut or (super().may_read(side) and not (waiting.stalled or waiting.full))

    def read(self, side: Side) -> bool:
        """Pass on what has had its turn. Then the next part may go."""
        more = super().read(side)
        self._schedule(side)
        return more

    def writable(self, side: Side, writable: bool) -> None:
        """One side has caught up, or has not: what waits for it goes on, or does not."""
        super().writable(side, writable)
        self._schedule(self._other(side))

    def _connected(self, task: asyncio.Task[None]) -> None:
        super()._connected(task)
        self._steer(self._server)
        if self._no_server:
            self.reset()  # as if we were not there
        for direction in self.cut:
            self._cut(direction)

    def _cut(self, direction: Direction) -> None:
        side = self._side(direction)
        if self._over or self._connecting or side.eof_told:
            return
        self.waiting[direction].clear()
        side.unseen = memoryview(b"")
        self.tell_eof(side)
        self._steer(side)

    def _side(self, direction: Direction) -> Side:
        """From which bytes come that go there."""
        return self.client if direction is self.client.direction else self._server

    def _changed(self, direction: Direction) -> None:
        if (timer := self._timers.pop(direction, None)) is not None:
            timer.cancel()
        side = self._side(direction)
        self._steer(side)
        self._schedule(side)

    def _schedule(self, side: Side) -> None:
        """Let what waits go on when it is due, and not before the other side takes it."""
        due = self.waiting[side.direction].due
        held = side.unseen or not self._other(side).writable or self._over
        if due is not None and not held and side.direction not in self._timers:
            self._timers[side.direction] = asyncio.get_running_loop().call_at(due, self._go_on, side)

    def _go_on(self, side: Side) -> None:
        del self._timers[side.direction]
        waiting = self.waiting[side.direction]
        now = asyncio.get_running_loop().time()
        while not (side.unseen or self._over) and self._other(side).writable:
            data = waiting.take(now)
            if data is None:
                break
            if data:
                super().data(side, data)
        if self.has_ended(side) and not (side.eof_told or self._over):
            self.tell_eof(side)
        self._steer(side)
        self._schedule(side)
