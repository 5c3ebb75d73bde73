"""One WebSocket connection on asyncio, over the wire core.

What lives here: `WebSocket`, the connection that servers and clients share, and its limits. All protocol is in
`rtlab.wire`; this module moves bytes, waits, and keeps time. It must not know what the messages mean, nor how the
opening handshake of either side goes; `websocket` does.

How a connection is bounded: received messages wait for the handler in an `Inbox` until they take `INBOX_BYTES` of
memory; then decoding stops, and with it reading from the socket, TCP's window fills, and the peer has to wait. So a
handler that reads nothing costs `INBOX_BYTES`, one message more (four times `max_message_size` as a `str`), and what
asyncio had read before: `READ_BYTES`. In the other direction `send` waits while more than `WRITE_BYTES` are unsent, and
nothing is read meanwhile: a peer that takes no pongs is given no more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

from rtlab.errors import ConnectionClosed, UsageError
from rtlab.servers.inbox import INBOX_BYTES, Inbox
from rtlab.servers.options import Options
from rtlab.servers.pings import Pings, until_overdue
from rtlab.wire.frames import CloseCode
from rtlab.wire.handshake import Request, Response, Upgrade
from rtlab.wire.protocol import (
    BinaryMessage,
    Closed,
    Connection,
    Event,
    Pong,
    State,
    TextMessage,
)

__all__ = ["LINGER_S", "READ_BYTES", "WRITE_BYTES", "WebSocket"]

READ_BYTES = 256 * 1024
"""Bytes that asyncio reads from a socket at once (`max_size` of its transports)."""
LINGER_S = 2.0
"""Seconds that a peer has to close its half of TCP after we have closed ours."""
WRITE_BYTES = 256 * 1024
"""Unsent bytes above which `send` waits. A few messages of 64 KiB; a peer that does not read costs no more."""


class WebSocket(asyncio.Protocol):
    """One connection. Iterate over it for messages; it ends when the peer closes with 1000 or 1001.

    A text message is a `str`, a binary one `bytes`, in both directions.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.latency = float("nan")
        """Seconds that the last keep-alive ping took to be answered; nan before the first."""
        self.request: Request | None = None
        """The client's half of the opening handshake."""
        self.response: Response | None = None
        """The server's half."""
        self.subprotocol: str | None = None
        """The one that was agreed on."""
        self.closed: Closed | None = None
        """How it ended; None while it is open."""
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # set by connection_made
        self._connection: Connection | None = None  # set when the handshake is done
        self._head = b""
        self._inbox = Inbox()
        self._reading = True
        self._closing = False
        self._patience: asyncio.TimerHandle | None = None
        self._receiver: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._pings = Pings()
        self._keeper: asyncio.Task[None] | None = None

    # What an application calls

    async def recv(self) -> str | bytes:
        """The next message.

        Raises:
            ConnectionClosed: there is none, and will be none.
            UsageError: another task is waiting for one already.
        """
        while not self._inbox:
            if self.closed is not None:
                raise ConnectionClosed(self.closed.code, self.closed.reason, clean=self.closed.clean)
            if self._receiver is not None:
                raise UsageError("Another task is waiting for the next message of this connection already.")
            self._receiver = self._loop.create_future()
            try:
                await self._receiver
            finally:
                self._receiver = None
        message = self._inbox.take()
        if not self._reading and self._writable is None and self._inbox.room >= INBOX_BYTES // 2:
            self._decode()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message, and wait while the peer is too slow to take more.

        Raises:
            ConnectionClosed: the connection is closing or closed.
            UsageError: the message is neither `str` nor `bytes`.
        """
        connection = self._require_open()
        if isinstance(message, str):
            connection.text(message)
        elif isinstance(message, (bytes, bytearray, memoryview)):
            connection.binary(bytes(message))
        else:
            raise UsageError(f"Expected a message of type str or bytes, got {type(message).__name__}.")
        self._transport.write(connection.data_to_send())
        if self._writable is not None:
            await asyncio.shield(self._writable)
            self._require_open()

    async def ping(self) -> float:
        """Send a ping and wait for its pong; gives the latency in seconds.

        Raises:
            ConnectionClosed: the connection ended before.
        """
        connection = self._require_open()

        def send(payload: bytes) -> None:
            connection.ping(payload)
            self._transport.write(connection.data_to_send())

        self.latency = await self._pings.latency(send)
        return self.latency

    async def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Close the connection and wait until it is closed. Nothing if it is.

        Args:
            code: why (RFC 6455 §7.4).
            reason: for people; at most 123 bytes in UTF-8.
        """
        self.begin_close(code, reason)
        try:
            async with asyncio.timeout(self.options.close_timeout):
                await asyncio.shield(self._lost)
        except TimeoutError:
            self._transport.abort()
            await asyncio.shield(self._lost)

    def begin_close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send the close frame, and wait for nothing. What arrives from now on is dropped."""
        if self._connection is not None and self._connection.state is State.OPEN:
            self._connection.close(code, reason)
            self._transport.write(self._connection.data_to_send())
        self._closing = True
        self._read_on()

    def abort(self) -> None:
        """Cut the connection at once, without a word."""
        self._transport.abort()

    async def wait_closed(self) -> None:
        """Wait until the connection has ended, whoever ends it."""
        await asyncio.shield(self._lost)

    @property
    def close_code(self) -> int | None:
        """The code it was closed with; None while it is open."""
        return None if self.closed is None else self.closed.code

    @property
    def close_reason(self) -> str | None:
        """The reason it was closed with; None while it is open."""
        return None if self.closed is None else self.closed.reason

    @property
    def remote_address(self) -> tuple[str, int]:
        """The peer's address and port."""
        host, port, *_ = self._transport.get_extra_info("peername") or ("", 0)
        return host, port

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str | bytes:
        try:
            return await self.recv()
        except ConnectionClosed as closed:
            if closed.code in {CloseCode.NORMAL, CloseCode.GOING_AWAY, CloseCode.NO_STATUS}:
                raise StopAsyncIteration from None
            raise

    def __repr__(self) -> str:
        host, port = self.remote_address
        state = "closed" if self.closed else "open"
        return f"<WebSocket {host}:{port}, {state}>"

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is connected; the handshake begins."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=WRITE_BYTES)

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived."""
        if self._connection is None:
            if not self._closing:
                self._head += data
                self.handshake_received()
            return
        self._decode(data)

    def eof_received(self) -> bool:
        """The peer has closed its half of TCP; so do we."""
        if self._connection is not None:
            for event in self._connection.receive_eof():
                self._handle(event)
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """TCP has ended, one way or another. What was not decoded is lost with it, like what the kernel still had."""
        if self._connection is not None:
            for event in self._connection.receive_eof():
                self._handle(event)
        elif self.closed is None:
            self.closed = Closed(int(CloseCode.ABNORMAL), clean=False)
        if self._keeper is not None:
            self._keeper.cancel()
        if self._patience is not None:
            self._patience.cancel()
        self.resume_writing()
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        """More than `WRITE_BYTES` are unsent."""
        self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """The peer has taken enough of them."""
        if self._writable is not None:
            self._writable.set_result(None)
            self._writable = None
            self._read_on()

    # Inside

    def handshake_received(self) -> None:
        """More of the handshake's head has arrived; what to do with it differs between server and client."""
        raise NotImplementedError

    def _begin(self, upgrade: Upgrade, rest: bytes, masking_key: Callable[[], bytes] | None) -> None:
        """The handshake is done: from now on frames."""
        self.response, self.subprotocol = upgrade.response, upgrade.subprotocol
        self._connection = Connection(
            masking_key=masking_key,
            deflate=upgrade.deflate,
            max_message_size=self.options.max_message_size,
            max_fragments=self.options.max_fragments,
        )
        self._head = b""
        if self.options.ping_interval is not None:
            self._keeper = self._loop.create_task(self._keep_alive(self.options.ping_interval))
        if rest:
            self.data_received(rest)

    def _decode(self, data: bytes = b"") -> None:
        """Decode what has arrived for as long as there is room; with none, stop reading from the socket."""
        connection = self._connection
        assert connection is not None
        while True:
            events = connection.receive(data, max(1, self._inbox.room))
            out = connection.data_to_send()
            if out:
                self._transport.write(out)
            for event in events:
                self._handle(event)
            data = b""
            full = (self._inbox.room <= 0 or self._writable is not None) and not self._closing
            if full or not connection.undecoded:
                break
        if full is self._reading:
            self._reading = not full
            if full:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _handle(self, event: Event) -> None:
        if isinstance(event, (TextMessage, BinaryMessage)):
            if self._closing:
                return
            self._inbox.put(event)
        elif isinstance(event, Pong):
            self._pings.answered(event.payload)
        elif isinstance(event, Closed):
            self._end(event)
        else:
            return
        if self._receiver is not None and not self._receiver.done():
            self._receiver.set_result(None)

    def _end(self, closed: Closed) -> None:
        self.closed = closed
        self._pings.ended(closed)
        self.close_transport(closed)

    def close_transport(self, closed: Closed) -> None:
        """Both close frames have been sent, or nothing will help. A server closes TCP first (RFC 6455 §7.1.1)."""
        self.linger()

    def linger(self) -> None:
        """Close our half of TCP, and read on until the peer closes its own.

        Closing at once, with data unread, would reset the connection, and a reset takes our last words away from a
        peer that has not read them yet (RFC 9112 §9.6 describes it for HTTP).
        """
        self._closing = True
        self._read_on()
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._patience = self._loop.call_later(LINGER_S, self._transport.abort)
        else:
            self._transport.close()

    def _read_on(self) -> None:
        """What stood in the way is gone: a peer that took nothing, or messages that nobody takes any more."""
        if not self._reading:
            self._decode()

    def _pong_may_wait(self) -> bool:
        """Whether a pong may stand behind messages that our handler has not taken; not where the peer takes nothing."""
        return not self._reading and self._writable is None

    def _require_open(self) -> Connection:
        if self.closed is not None:
            raise ConnectionClosed(self.closed.code, self.closed.reason, clean=self.closed.clean)
        if self._connection is None or self._connection.state is not State.OPEN:
            raise ConnectionClosed(int(CloseCode.NORMAL), "closing")
        return self._connection

    async def _keep_alive(self, interval_s: float) -> None:
        with contextlib.suppress(ConnectionClosed):
            await until_overdue(interval_s, self.options.ping_timeout, self.ping, self._pong_may_wait)
            self._keeper = None  # close() must not cancel the task that runs it
            await self.close(CloseCode.INTERNAL_ERROR, "keep-alive ping timed out")
