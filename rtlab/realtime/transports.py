"""The two ways in which a session's messages reach its client: HTTP long-polling and WebSocket.

What lives here: `PollingTransport`, a queue that a GET takes away, and `WebSocketTransport`, which writes at once. Both
are bounded: what waits for a client that does not read has a limit, and `overflow` is called when it is passed. They
must not know heartbeats, packets or what a closed session means.

Where a WebSocket's peer reads, nothing is queued. A frame is written whole to the connection, by whoever sends it and
without waiting, so frames cannot overtake each other and a room of a thousand costs a thousand writes and no task.
Where it does not, frames gather in one piece of memory, and not each as an object of the event loop's: since
Python 3.12 those cost 200 bytes for a frame of ten. aiohttp reads, answers WebSocket pings and does the closing
handshake; what it writes are whole frames too.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import TracebackType

from aiohttp import web

from rtlab.realtime.limits import CLOSE_S
from rtlab.realtime.message import Message
from rtlab.wire.frames import cut_reason

__all__ = ["GET_BYTES", "PollingTransport", "Reading", "WebSocketTransport"]

FLUSH_S = 0.005
"""Seconds between two looks whether a peer that was behind reads again."""
GET_BYTES = 1024 * 1024
"""Bytes of memory that one GET takes away at most, so that its body is no second queue. One message in any case."""


class PollingTransport:
    """Messages that wait for the client to fetch them.

    Args:
        limit: bytes of memory that may wait; None for any number. The message that reaches it is the last.
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
        """Bytes of memory that wait."""
        return self._queued_bytes

    def send(self, message: Message) -> None:
        """Queue it for the next GET."""
        if self._limit is not None and self._queued_bytes > self._limit:
            self._overflow()
            return
        self.queue.append(message)
        self._queued_bytes += message.held
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

    def take(self, packets: int | None = None, size: int | None = None) -> list[Message]:
        """All that waits, or the first messages of it; one message in any case.

        Args:
            packets: how many at most.
            size: bytes of memory at most.
        """
        taken: list[Message] = []
        count = held = 0
        while self.queue:
            count += len(self.queue[0])
            held += self.queue[0].held
            if taken and ((packets is not None and count > packets) or (size is not None and held > size)):
                break
            taken.append(self.queue.popleft())
            self._queued_bytes -= taken[-1].held
        return taken

    def release(self) -> None:
        """Nobody fetches anything any more."""
        self.queue.clear()
        self._queued_bytes = 0
        self._overflow = _nothing


class WebSocketTransport:
    """A WebSocket that has been accepted.

    Args:
        ws: aiohttp's end of it, prepared.
        request: the request that became it.
        limit: bytes of memory that may wait; None for any number. The message that reaches it is the last.
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
        self._backlog = bytearray()  # frames for a peer that is behind
        self._flushing: asyncio.TimerHandle | None = None
        self._reading: asyncio.Timeout | None = None
        self._unread = asyncio.Event()
        self._unread.set()

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait, here and not in the operating system."""
        return len(self._backlog) + self._transport.get_write_buffer_size()

    def send(self, message: Message) -> None:
        """Write its frames."""
        if self._transport.is_closing():
            return  # whoever reads from it learns that, and closes the session
        frames = message.frames(self._window_bits, self._threshold)
        if not self._backlog and not self._transport.get_write_buffer_size():
            self._transport.write(frames)
        elif self._limit is not None and self.queued_bytes > self._limit:
            self._overflow()
        else:
            self._backlog += frames
            if self._flushing is None:
                self._flush_later()

    def _flush_later(self) -> None:
        self._flushing = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def _flush(self) -> None:
        """Write what has gathered, if the peer has taken everything before it."""
        self._flushing = None
        if self._transport.is_closing() or self._ws.closed:
            self._backlog.clear()  # nothing follows a close frame
        elif self._transport.get_write_buffer_size():
            self._flush_later()
        else:
            self._write_backlog()

    def _write_backlog(self) -> None:
        if self._backlog:
            backlog, self._backlog = self._backlog, bytearray()
            self._transport.write(backlog)

    def reading(self) -> Reading:
        """A block for whoever reads from it: it ends where it stands when the socket is closed.

        aiohttp reads on to the peer's close frame only if nobody else is reading. Otherwise it closes TCP at once, and
        what the peer is just sending makes that a reset, which takes our last words away from it.
        """
        return Reading(self)

    def begin_reading(self, limit: asyncio.Timeout) -> None:
        """Somebody reads, until this says that it is over."""
        self._reading = limit
        self._unread.clear()

    def end_reading(self) -> None:
        """Nobody reads any more."""
        self._reading = None
        self._unread.set()

    def stop_reading(self) -> None:
        """End the block in which somebody is `reading`, if there is one."""
        if self._reading is not None:
            self._reading.reschedule(0)  # that is now

    async def close(self, code: int, why: str) -> None:
        """Do the closing handshake (RFC 6455 §7.1.2) as far as the peer takes part, and end TCP in any case."""
        try:
            async with asyncio.timeout(CLOSE_S):
                self.stop_reading()
                await self._unread.wait()
                if not self._ws.closed and not self._transport.is_closing():
                    self._write_backlog()
                await self._ws.close(code=code, message=cut_reason(why).encode())
        except TimeoutError:
            pass
        finally:
            self.abort()

    def abort(self) -> None:
        """End TCP now. What still waits is thrown away."""
        self._transport.abort()
        self.release()

    def release(self) -> None:
        """Nothing is sent any more."""
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._backlog = bytearray()
        self._overflow = _nothing

    def forget_error(self) -> None:
        """Nobody reads from it any more: cut the cycle between aiohttp's WebSocket and the error that it has kept."""
        error = self._ws.exception()
        while error is not None:
            error.__traceback__ = None
            error = error.__cause__ or error.__context__


class Reading:
    """The block of `WebSocketTransport.reading`.

    A class, and no generator: a frame of contextlib's would hold the exception that holds it, and with that the
    session and all that it has, until the cyclic collector comes (seen on Python 3.13).
    """

    def __init__(self, socket: WebSocketTransport) -> None:
        self._socket = socket
        self._limit = asyncio.timeout(None)

    async def __aenter__(self) -> None:
        self._socket.begin_reading(await self._limit.__aenter__())

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        try:
            await self._limit.__aexit__(kind, error, trace)
        except TimeoutError:
            return True  # the socket has been closed
        finally:
            self._socket.end_reading()
        return False


def _nothing() -> None:
    """Who has ended, has ended."""
