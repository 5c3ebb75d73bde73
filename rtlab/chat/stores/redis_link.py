"""The chat's way to Redis, on which an event has a bounded time for all that it asks.

What lives here: `EventLink`. It must not know events or what is asked.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from redis.asyncio import Redis

from rtlab.errors import RedisUnavailable
from rtlab.realtime.nodes.link import RedisLink

__all__ = ["EventLink"]

Answer = TypeVar("Answer")

_LEFT: ContextVar[list[float] | None] = ContextVar("seconds that the event in this task may still wait", default=None)


class EventLink:
    """A `RedisLink` where several questions of one event together wait for as long as one alone may.

    A Redis that needs a second for each answer is slow, and not away: who asks it five times is told after two.

    Args:
        link: the way to Redis.
        hears: set while this process hears what the others publish. While it does not, its clients would miss what
            others say: events wait for it.
    """

    def __init__(self, link: RedisLink, hears: asyncio.Event | None = None) -> None:
        self._link = link
        self._hears = hears

    @contextmanager
    def event(self) -> Iterator[None]:
        """What this task asks in the block, has `answer_s` in all. What others do meanwhile does not count."""
        reset = _LEFT.set([self._link.answer_s])
        try:
            yield
        finally:
            _LEFT.reset(reset)

    async def ask(self, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """As `RedisLink.ask`."""
        return await self._in_time(lambda: self._link.ask(question))

    async def act(
        self, script: str, keys: Sequence[str] = (), arguments: Sequence[Any] = (), *, replicas: int = 0
    ) -> Any:
        """As `RedisLink.act`."""
        waits: dict[str, Any] = {"replicas": replicas} if replicas else {}
        return await self._in_time(lambda: self._link.act(script, keys, arguments, **waits))

    def unavailable(self, problem: str) -> RedisUnavailable:
        """What to raise where something is not done that Redis has to do."""
        return self._link.unavailable(problem)

    async def _in_time(self, work: Callable[[], Awaitable[Answer]]) -> Answer:
        left = _LEFT.get()
        if left is None:
            return await work()
        began, limit = time.monotonic(), asyncio.timeout(max(0.0, left[0]))
        try:
            async with limit:
                if self._link.up and self._hears is not None and not self._hears.is_set():
                    await self._hears.wait()
                return await work()
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self._link.unavailable(f"{self._link.answer_s:g} s were not enough for all") from error
        finally:
            left[0] -= time.monotonic() - began
