"""What one node says to the others: in the order in which it was said, and never after it was refused.

What lives here: `Publisher`, with its one connection and its queue of bounded bytes. It must not know what the messages
mean.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from redis import exceptions as redis_errors

from rtlab.realtime.nodes.link import IN_TIME, RedisLink
from rtlab.realtime.nodes.opening import open_redis

__all__ = ["BATCH_BYTES", "BATCH_MESSAGES", "QUEUE_BYTES", "Publisher"]

QUEUE_BYTES = 32 * 1024 * 1024
"""Bytes that may wait for Redis. With Redis frozen that is what is said in `ANSWER_S`, and then nothing waits."""
BATCH_MESSAGES = 256
"""Messages that are written to Redis at once. It answers all of them in one packet."""
BATCH_BYTES = 1024 * 1024
"""Bytes that are written to Redis at once. The message that reaches it is the last."""
PUBLISH = IN_TIME + "return redis.call('PUBLISH', ARGV[1], ARGV[2])"
"""Once the time of its caller is up, a message is not published any more: see `RedisLink.act`."""


class Saying(NamedTuple):
    """A message that waits."""

    message: bytes
    size: int
    given_up: float
    heard: asyncio.Future[int]


class Publisher:
    """Publishes on one channel, over one connection, so that nothing overtakes anything.

    Args:
        link: to which Redis.
        channel: its name.
        before: awaited before each batch; gives what keeps it from being sent, or nothing.
    """

    def __init__(self, link: RedisLink, channel: str, before: Callable[[], Awaitable[str]]) -> None:
        self._link = link
        self._channel = channel
        self._before = before
        self._redis = open_redis(link.url, 1, link.answer_s, decode=True)
        self._waiting: deque[Saying] = deque()
        self._task: asyncio.Task[None] | None = None
        self.held = 0
        """Bytes of the messages whose callers wait."""

    async def publish(self, message: bytes) -> int:
        """Publish a message; gives how many have subscribed.

        Raises:
            RedisUnavailable: Redis has not taken it, and does not deliver it later. The one exception: Redis had taken
                it within the time, and its answer was lost.
        """
        if not self._link.up:
            raise self._link.unavailable()
        size = len(message)
        if self.held and self.held + size > QUEUE_BYTES:
            raise self._link.unavailable(f"{self.held} bytes that wait for it already, of {QUEUE_BYTES}")
        loop = asyncio.get_running_loop()
        given_up = time.monotonic() + self._link.answer_s
        saying = Saying(message, size, given_up, loop.create_future())
        self._waiting.append(saying)
        self.held += size
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"publishes on {self._channel}")
        limit = asyncio.timeout(self._link.answer_s)
        try:
            async with limit:
                return await saying.heard
        except TimeoutError:
            if not limit.expired():
                raise
            self._link.suspect()
            raise self._link.unavailable(f"no answer within {self._link.answer_s:g} s") from None
        finally:
            self.held -= size

    async def aclose(self) -> None:
        """Refuse what waits, and close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        self._refuse(self._waiting, "the manager was closed")
        with contextlib.suppress(redis_errors.RedisError, OSError):
            await self._redis.aclose()

    async def _run(self) -> None:
        batch: list[Saying] = []
        try:
            while self._waiting:
                await self._link.look()
                problem = await self._before() if self._link.up else self._link.problem
                if problem:
                    self._refuse(self._waiting, problem)
                    return
                batch = self._take()
                if batch:
                    await self._send(batch)
        finally:
            self._refuse(batch, "its publisher ended")

    def _take(self) -> list[Saying]:
        """The next ones, without those whose callers have given up."""
        batch: list[Saying] = []
        size = 0
        while self._waiting and len(batch) < BATCH_MESSAGES and size < BATCH_BYTES:
            saying = self._waiting.popleft()
            if not saying.heard.done():
                batch.append(saying)
                size += saying.size
        return batch

    async def _send(self, batch: list[Saying]) -> None:
        if not self._link.agrees(self._redis):  # what the old primary is told, nobody hears
            await self._redis.connection_pool.disconnect()
        pipeline = self._redis.pipeline(transaction=False)
        for saying in batch:
            pipeline.eval(PUBLISH, 0, self._link.redis_ms(saying.given_up), self._channel, saying.message)
        try:
            async with asyncio.timeout(self._link.answer_s):
                answers = await pipeline.execute(raise_on_error=False)
        except (redis_errors.RedisError, OSError) as error:  # a time-out is an OSError
            problem = str(error) or f"no answer within {self._link.answer_s:g} s"
            self._link.lose(problem)
            with contextlib.suppress(redis_errors.RedisError, OSError):
                await self._redis.connection_pool.disconnect()
            self._refuse(batch, problem)
            return
        for saying, answer in zip(batch, answers, strict=True):
            if isinstance(answer, Exception):
                self._link.suspect()
                self._refuse([saying], str(answer))
            elif not saying.heard.done():
                saying.heard.set_result(answer)

    def _refuse(self, sayings: deque[Saying] | list[Saying], problem: str) -> None:
        for saying in sayings:
            if not saying.heard.done():
                saying.heard.set_exception(self._link.unavailable(problem))
                saying.heard.exception()  # its caller may give up in this very moment, and asyncio would complain
        sayings.clear()
