"""One WebSocket connection on asyncio, as an application has it.

What lives here: `WebSocket`, which servers and clients share: messages, pings, the close. How bytes become messages,
and what a connection may cost, is in `channel`; all protocol is in `rtlab.wire`. It must not know what the messages
mean, nor how the opening handshake of either side goes; `websocket` does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Self

from rtlab.errors import ConnectionClosed, UsageError
from rtlab.servers.channel import TURN_BYTES, TURN_FRAMES, SocketChannel
from rtlab.servers.inbox import INBOX_BYTES
from rtlab.servers.options import Options
from rtlab.servers.pings import until_overdue
from rtlab.wire.events import memory_of
from rtlab.wire.frames import CloseCode
from rtlab.wire.handshake import Upgrade
from rtlab.wire.protocol import Connection, State

__all__ = ["WebSocket"]

LEAST = TURN_BYTES // TURN_FRAMES
"""Bytes that a message counts for at least, where a turn of the event loop is shared out."""


class WebSocket(SocketChannel):
    """One connection. Iterate over it for messages; it ends when the peer closes with 1000 or 1001.

    A text message is a `str`, a binary one `bytes`, in both directions.
    """

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.latency = float("nan")
        """Seconds that the last keep-alive ping took to be answered; nan before the first."""
        self._taken = 0  # bytes that recv has given without waiting once
        self._sending = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None

    # What an application calls

    async def recv(self) -> str | bytes:
        """The next message. What came before the end can be taken after it, until the handler returns.

        Raises:
            ConnectionClosed: there is none, and will be none.
            UsageError: another task is waiting for one already.
        """
        if self._taken >= TURN_BYTES:  # a handler that finds a message each time would never let anybody else run
            self._taken = 0
            await asyncio.sleep(0)
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
            self._taken = 0
        message = self._inbox.take()
        self._taken += max(LEAST, memory_of(message))
        if self._writable is None and self._inbox.room >= INBOX_BYTES // 2:
            self._read_on()
        return message

    async def send(self, message: str | bytes) -> None:
        """Send a message, and wait while the peer is too slow to take more.

        Raises:
            ConnectionClosed: the connection is closing or closed.
            UsageError: the message is neither `str` nor `bytes`.
        """
        self._require_open()
        if not isinstance(message, (str, bytes, bytearray, memoryview)):
            raise UsageError(f"Expected a message of type str or bytes, got {type(message).__name__}.")
        async with self._sending:  # one message goes over the bound, however many tasks send; first come, first served
            await self._room_to_write()
            connection = self._require_open()
            if isinstance(message, str):
                connection.text(message)
            else:
                connection.binary(bytes(message))
            self._write(connection.data_to_send())
        if self._writable is not None:
            await self._room_to_write()
            self._require_open()

    async def ping(self) -> float:
        """Send a ping and wait for its pong; gives the latency in seconds.

        Raises:
            ConnectionClosed: the connection ended before.
        """
        connection = self._require_open()

        def send(payload: bytes) -> None:
            connection.ping(payload)
            self._write(connection.data_to_send())

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
            self._write(self._connection.data_to_send())
        self._discard()

    def forget_messages(self) -> None:
        """The handler has returned: nobody takes what has come, nor what will come."""
        self._discard()
        self._inbox.clear()

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

    # Inside

    async def _room_to_write(self) -> None:
        if self._writable is not None:
            await asyncio.shield(self._writable)

    def _begin(self, upgrade: Upgrade, rest: bytes, masking_key: Callable[[], bytes] | None) -> None:
        super()._begin(upgrade, rest, masking_key)
        if self.options.ping_interval is not None:
            self._keeper = self._loop.create_task(self._keep_alive(self.options.ping_interval))

    def connection_lost(self, error: Exception | None) -> None:
        """TCP has ended: so have the pings."""
        super().connection_lost(error)
        if self._keeper is not None:
            self._keeper.cancel()
            self._keeper = None

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
