"""What a client has sent and its handlers have not taken yet; how much of it there may be, and how fast it may come.

What lives here: `Intake`, with all bounds on what comes in from one client, and `Turn`, which keeps one client from
having the event loop for long. They must not know transports, nor what a message says.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from contextlib import suppress

from rtlab.errors import ProtocolError
from rtlab.realtime.budgets import Bucket, PacketBudget
from rtlab.realtime.guards import Guards
from rtlab.realtime.limits import (
    BURST_S,
    HANDLERS_BYTES,
    INBOX_BYTES,
    INBOX_MESSAGES,
    TURN_S,
    UNADMITTED_BYTES,
    UNADMITTED_PACKET_BYTES,
    UNADMITTED_PACKETS,
    WORK_BURST_S,
)
from rtlab.wire.frames import CloseCode

__all__ = ["Intake", "Turn"]

COUNTED_PACKETS, COUNTED_BYTES = 16, 64 * 1024
"""Packets, or bytes, that are charged together: a budget of thousands need not look at the clock for each."""
RULE = "rtlab.realtime, Guards.bound_unadmitted"


class Turn:
    """How long one client has kept the event loop busy since others were served."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = 0.0
        self._spent = 0.0

    def begin(self) -> None:
        """Something of the client's is looked at now."""
        self._began = self._loop.time()

    async def end(self) -> None:
        """It is done. After `TURN_S` of that, everybody else has a turn."""
        self._spent += self._loop.time() - self._began
        if self._spent > TURN_S:
            self._spent = 0.0
            await asyncio.sleep(0)


class Intake:
    """The packets of one client.

    Args:
        guards: how many there may be.
    """

    def __init__(self, guards: Guards) -> None:
        self._admitted = False
        self._guards = guards
        self._loop = asyncio.get_running_loop()
        self._budget = PacketBudget(guards.packets_per_s, guards.bytes_per_s, BURST_S, self._loop.time())
        share = guards.work_share
        self._work = Bucket(share, WORK_BURST_S, self._loop.time()) if share else None
        self._rest_s = 0.0
        self._messages: deque[tuple[str | bytes, int]] = deque()
        self._held = 0
        self._packets = self._bytes = 0  # before it was admitted; then, those that are not charged yet
        self._handlers = self._handlers_held = 0
        self._room = asyncio.Event()
        self._closed = asyncio.Event()

    def __len__(self) -> int:
        """How many messages wait for handlers."""
        return len(self._messages)

    @property
    def admitted(self) -> bool:
        """Whether the client is in a namespace. Until then it may send little."""
        return self._admitted

    @admitted.setter
    def admitted(self, admitted: bool) -> None:
        self._admitted = admitted
        self._packets = self._bytes = 0

    @property
    def bounded(self) -> bool:
        """Whether the client may send no more than what somebody needs to be let in."""
        return not self._admitted and self._guards.bound_unadmitted

    @property
    def left(self) -> int:
        """Bytes that the client may still send while it is bounded."""
        return max(0, UNADMITTED_BYTES - self._bytes)

    def count(self, size: int) -> float:
        """A packet of so many bytes has come. Gives the seconds until the next one may be read.

        Raises:
            ProtocolError: the client has not been let in, and has sent too much for that.
        """
        self._packets += 1
        self._bytes += size
        if self.bounded:
            if size > UNADMITTED_PACKET_BYTES or self._bytes > UNADMITTED_BYTES:
                raise too_much()
            if self._packets > UNADMITTED_PACKETS:
                problem = f"expected at most {UNADMITTED_PACKETS} packets before a namespace is joined"
                raise ProtocolError(problem, rule=RULE, code=CloseCode.POLICY_VIOLATION)
        elif self._packets >= COUNTED_PACKETS or self._bytes >= COUNTED_BYTES:
            packets, size = self._packets, self._bytes
            self._packets = self._bytes = 0
            return self._budget.take(self._loop.time(), packets, size)
        return 0.0

    def put(self, data: str | bytes) -> None:
        """Add a message."""
        held = sys.getsizeof(data)
        self._messages.append((data, held))
        self._held += held

    def take(self) -> str | bytes:
        """The oldest message."""
        data, held = self._messages.popleft()
        self._held -= held
        self._room.set()
        return data

    @property
    def full(self) -> bool:
        """Whether as much waits for handlers as may."""
        return len(self._messages) > INBOX_MESSAGES or self._held > INBOX_BYTES

    async def wait(self, seconds: float) -> None:
        """Wait until there is room for more, so many seconds at least; not if it is closed."""
        if seconds:
            await self._pause(seconds)
        while self.full and not self._closed.is_set():
            self._room.clear()
            await self._room.wait()

    def worked(self, seconds: float) -> None:
        """So long it has taken to read a packet. What is more than the client's share is waited for in `rest`."""
        if self._work is not None:
            self._rest_s = self._work.debt(self._loop.time(), seconds)

    async def rest(self) -> None:
        """Wait until others have had as much of the processor as they are due; not if it is closed."""
        seconds, self._rest_s = self._rest_s, 0.0
        if seconds:
            await self._pause(seconds)

    async def _pause(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._closed.wait()

    async def begin_handler(self, held: int) -> None:
        """A handler begins, once few enough of the client's are at work; once it is closed, at once.

        Args:
            held: bytes of the message that it has.
        """
        most = self._guards.max_handlers
        while most is not None and (self._handlers >= most or self._handlers_held > HANDLERS_BYTES):
            if self._closed.is_set():
                break
            self._room.clear()
            await self._room.wait()
        self._handlers += 1
        self._handlers_held += held

    def end_handler(self, held: int) -> None:
        """It has ended."""
        self._handlers -= 1
        self._handlers_held -= held
        self._room.set()

    def close(self) -> None:
        """Nothing more comes; whoever waits goes on. What is there is still handled."""
        self._closed.set()
        self._room.set()

    def clear(self) -> None:
        """Nothing that is there is looked at any more."""
        self._messages.clear()
        self._held = 0


def too_much() -> ProtocolError:
    """A client that nobody has let in sends more than that needs."""
    problem = f"expected at most {UNADMITTED_PACKET_BYTES} bytes a packet, and {UNADMITTED_BYTES} in all, before a "
    return ProtocolError(f"{problem}namespace is joined", rule=RULE, code=CloseCode.POLICY_VIOLATION)
