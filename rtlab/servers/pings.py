"""Pings that have been sent, and the pongs that answer them (RFC 6455 §5.5.2).

What lives here: `Pings`, which measures how long each took, and `until_overdue`, which sends one after the other. They
must not know the socket; `connection` sends.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable

from rtlab.errors import ConnectionClosed
from rtlab.wire.protocol import Closed

__all__ = ["Pings", "until_overdue"]


class Pings:
    """The pings of one connection that wait for their pongs."""

    def __init__(self) -> None:
        self._waiting: dict[bytes, tuple[asyncio.Future[float], float]] = {}

    async def latency(self, send: Callable[[bytes], None]) -> float:
        """Send a ping and wait for its pong; gives the seconds between them.

        Args:
            send: takes the payload, which is different for each.

        Raises:
            ConnectionClosed: the connection ended before.
        """
        payload = secrets.token_bytes(4)
        future: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._waiting[payload] = future, time.perf_counter()
        try:
            send(payload)
            return await future
        finally:
            self._waiting.pop(payload, None)
            del future  # it holds the exception, whose traceback holds this frame

    def answered(self, payload: bytes) -> None:
        """A pong has arrived; nothing if nobody asked for it."""
        future, sent = self._waiting.get(payload, (None, 0.0))
        if future is not None and not future.done():
            future.set_result(time.perf_counter() - sent)

    def ended(self, closed: Closed) -> None:
        """No pong comes any more: whoever waits for one is told how the connection ended."""
        for future, _ in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionClosed(closed.code, closed.reason, clean=closed.clean))
                future.exception()  # whoever awaited it may be gone


async def until_overdue(
    interval_s: float, timeout_s: float | None, ping: Callable[[], Awaitable[object]], excused: Callable[[], bool]
) -> None:
    """Ping again and again until a pong is overdue.

    Args:
        interval_s: seconds between two.
        timeout_s: seconds that each may take; None for ever.
        ping: sends one and waits for its pong.
        excused: whether it is not the peer's fault.

    Raises:
        ConnectionClosed: the connection ended before.
    """
    while True:
        await asyncio.sleep(interval_s)
        try:
            async with asyncio.timeout(timeout_s):
                await ping()
        except TimeoutError:
            if not excused():
                return
