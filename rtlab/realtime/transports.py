"""The two ways in which a session's messages reach its client: HTTP long-polling and WebSocket.

What lives here: `PollingTransport`, a queue that a GET takes away, and `WebSocketTransport`, which writes at once. Both
are bounded: what waits for a client that does not read has a limit, and `overflow` is called when it is passed. They
must not know heartbeats, packets or what a closed session means.

Nothing is queued for a WebSocket. A frame is written whole to the connection's own buffer, by whoever sends it and
without waiting, so frames cannot overtake each other and a room of a thousand costs a thousand writes and no task.
aiohttp reads, answers WebSocket pings and does the closing handshake; what it writes are whole frames too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from rtlab.realtime.limits import CLOSE_S
from rtlab.realtime.message import Message
from rtlab.wire.frames import cut_reason

__all__ = ["PollingTransport", "WebSocketTransport"]

CHECKS = 8
"""How often the buffer's size is looked at until its limit can be reached: looking costs more than writing."""


class PollingTransport:
    """Messages that wait for the client to fetch them.

    Args:
        limit: bytes that may wait; None for any number.
        overflow: called when more would wait.
    """

    name = "polling"

    def __init__(self, limit: int | None, overflow: Callable[[], None]) -> None:
        self.queue: deque[Message] = deque()
        self._queued_bytes = 0
        self._limit = limit
        self._overflow = overflow
        self._waiting: asyncio.Future[None] | None = None

    @property
    def waiting(self) -> bool:
        """Whether a GET waits for something to take away."""
        return self._waiting is not None

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait."""
        return self._queued_bytes

    def send(self, message: Message) -> None:
        """Have it fetched."""
        if self._limit is not None and self._queued_bytes > self._limit:
            self._overflow()
            return
        self.queue.append(message)
        self._queued_bytes += message.size
        self.wake()

    def wake(self) -> None:
        """Let the waiting GET go, with what there is."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def wait(self) -> None:
        """Wait until there is something, or until `wake`. For one GET at a time."""
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def take(self, packets: int | None = None) -> list[Message]:
        """All that waits, or the first messages of it, of so many packets at most; one message in any case."""
        taken: list[Message] = []
        count = 0
        while self.queue:
            count += len(self.queue[0].packets)
            if packets is not None and taken and count > packets:
                break
            taken.append(self.queue.popleft())
            self._queued_bytes -= taken[-1].size
        return taken


class WebSocketTransport:
    """A WebSocket that has been accepted.

    Args:
        ws: aiohttp's end of it, prepared.
        request: the request that became it.
        limit: bytes that may wait; None for any number.
        compress_over: bytes from which a packet is compressed, if the client has agreed to that.
        overflow: called when more would wait.
    """

    name = "websocket"

    def __init__(
        self,
        ws: web.WebSocketResponse,
        request: web.Request,
        limit: int | None,
        compress_over: int | None,
        overflow: Callable[[], None],
    ) -> None:
        assert request.transport is not None
        self._ws = ws
        self._transport = request.transport
        self._window_bits = int(ws.compress) if compress_over is not None else 0
        self._threshold = compress_over or 0
        self._limit = limit
        self._overflow = overflow
        self._unchecked = 0
        self._reading: asyncio.Timeout | None = None
        self._unread = asyncio.Event()
        self._unread.set()

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait, here and not in the operating system."""
        return self._transport.get_write_buffer_size()

    def send(self, message: Message) -> None:
        """Write its frames."""
        if self._transport.is_closing():
            return  # whoever reads from it learns that, and closes the session
        frames = message.frames(self._window_bits, self._threshold)
        if self._limit is not None:
            self._unchecked += len(frames)
            if self._unchecked * CHECKS > self._limit:
                self._unchecked = 0
                if self.queued_bytes > self._limit:
                    self._overflow()
                    return
        self._transport.write(frames)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """For whoever reads from it: the block ends where it stands when the socket is closed.

        aiohttp reads on to the peer's close frame only if nobody else is reading. Otherwise it closes TCP at once, and
        what the peer is just sending makes that a reset, which takes our last words away from it.
        """
        self._unread.clear()
        try:
            async with asyncio.timeout(None) as self._reading:
                yield
        except TimeoutError:
            if self._reading is None or not self._reading.expired():
                raise
        finally:
            self._reading = None
            self._unread.set()

    async def close(self, code: int, why: str) -> None:
        """Do the closing handshake (RFC 6455 §7.1.2) as far as the peer takes part, and end TCP in any case."""
        try:
            async with asyncio.timeout(CLOSE_S):
                if self._reading is not None:
                    self._reading.reschedule(0)  # that is now
                await self._unread.wait()
                await self._ws.close(code=code, message=cut_reason(why).encode())
        except TimeoutError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """End TCP now. What still waits is thrown away."""
        self._transport.abort()
