"""What a node hears of the others: it subscribes, and does so again whenever that was lost.

What lives here: `Subscription`. It must not know what the messages mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable

from redis import exceptions as redis_errors
from redis.asyncio.client import PubSub

from rtlab.realtime.nodes.link import LOOK_S, RedisLink
from rtlab.realtime.nodes.opening import open_redis, shown
from rtlab.servers.repeats import RepeatLog

__all__ = ["FIRST_BACKOFF_S", "LONGEST_BACKOFF_S", "Subscription"]

FIRST_BACKOFF_S = 0.05
"""Seconds until the first attempt to subscribe again. Each that fails doubles it."""
LONGEST_BACKOFF_S = 1.0
"""Seconds between attempts at most. When the link says that Redis is there, the next one follows at once."""


class Subscription:
    """One channel of one Redis, for as long as its reader runs.

    Args:
        link: to which Redis.
        channel: its name.
    """

    def __init__(self, link: RedisLink, channel: str) -> None:
        self._link = link
        self._channel = channel
        self._redis = open_redis(link.url, 2, link.answer_s, decode=False)
        self._logger = RepeatLog(logging.getLogger("rtlab.realtime"))
        self._again = asyncio.Event()
        self.subscribed = asyncio.Event()
        """Set while Redis sends us what is published."""
        self.lost_total = 0
        """How often it was lost. What was published until it was there again, this node has not heard."""
        self._callbacks: list[Callable[[], None]] = []
        link.on_change(self._changed)

    def on_subscribed(self, callback: Callable[[], None]) -> None:
        """Call it whenever Redis sends us what is published, at first and again."""
        self._callbacks.append(callback)

    def _changed(self, up: bool) -> None:
        if up:
            self._again.set()

    async def messages(self) -> AsyncGenerator[bytes, None]:
        """What is published, from the first subscription on. Never ends, and never fails."""
        backoff_s = FIRST_BACKOFF_S
        try:
            while True:
                pubsub = self._redis.pubsub()
                try:
                    await self._subscribe(pubsub)
                    backoff_s = FIRST_BACKOFF_S
                    async with contextlib.aclosing(self._receive(pubsub)) as published:
                        async for data in published:
                            yield data
                except (redis_errors.RedisError, OSError) as error:  # a time-out is an OSError
                    self._note(str(error) or f"no answer within {self._link.answer_s:g} s")
                finally:
                    self.subscribed.clear()
                    with contextlib.suppress(redis_errors.RedisError, OSError):
                        await pubsub.aclose()  # type: ignore[no-untyped-call]
                self._again.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(backoff_s):
                        await self._again.wait()
                backoff_s = min(2 * backoff_s, LONGEST_BACKOFF_S)
        finally:
            with contextlib.suppress(redis_errors.RedisError, OSError):
                await self._redis.aclose()

    async def _subscribe(self, pubsub: PubSub) -> None:
        async with asyncio.timeout(self._link.answer_s):
            await pubsub.subscribe(self._channel)
            while True:
                answer = await pubsub.get_message(timeout=self._link.answer_s)
                if answer is not None and answer["type"] == "subscribe":
                    break
        if self.lost_total:
            self._logger.log(
                logging.WARNING,
                "redis subscribed",
                "subscribed to %r again at %s",
                self._channel,
                shown(self._link.url),
            )
        self.subscribed.set()
        for callback in self._callbacks:
            callback()

    async def _receive(self, pubsub: PubSub) -> AsyncGenerator[bytes, None]:
        """Messages, until the connection ends, or is silent although Redis answers others.

        A frozen Redis is silent to everybody. Then we wait: when it goes on, nothing was missed. But where sentinels
        have made another server the primary meanwhile, what is said is said there.
        """
        pinged: float | None = None
        while True:
            if self._link.up and not self._link.agrees(self._redis):
                raise redis_errors.ConnectionError("another server is the primary now")
            message = await pubsub.get_message(timeout=LOOK_S)
            now = time.monotonic()
            if message is not None:
                pinged = None
                if message["type"] == "message":
                    yield message["data"]
            elif pinged is None:
                await pubsub.ping()
                pinged = now
            elif self._link.up and now - max(pinged, self._link.since) > self._link.answer_s:
                raise redis_errors.TimeoutError("a connection that is silent, while Redis answers on others")

    def _note(self, problem: str) -> None:
        self._link.suspect()
        if self.subscribed.is_set():
            self.lost_total += 1
        self._logger.log(
            logging.ERROR,
            "redis subscription",
            "expected messages of other nodes from Redis at %s, got: %s",
            shown(self._link.url),
            problem,
        )
