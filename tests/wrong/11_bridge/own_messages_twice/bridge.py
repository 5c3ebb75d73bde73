"""Fails: test_delivers_once_in_each_process

An event is delivered where it is published, and once more when it comes back from Redis.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

CHANNEL = "bridge"
"""The Pub/Sub channel that all bridges of one Redis use."""
ANSWER_S = 2
"""Seconds after which `start` and `publish` have given up."""
PAUSE_S = 1
"""Seconds between two attempts to subscribe again."""

Deliver = Callable[[str, str, Any], Awaitable[None]]

logger = logging.getLogger(__name__)


class Bridge:
    """Carries events from each process to all, through Redis Pub/Sub."""

    def __init__(self, url: str) -> None:
        self._redis = Redis.from_url(url)  # a pool: the subscription takes one connection for itself, `publish` others
        self._listening: asyncio.Task[None] | None = None
        self._deliver: Deliver | None = None

    async def start(self, deliver: Deliver) -> None:
        """Listen, and call `deliver(room, event, data)` for each event that any process publishes from then on."""
        confirmed = asyncio.Event()
        self._deliver = deliver
        self._listening = asyncio.create_task(self._keep_listening(deliver, confirmed))
        try:
            async with asyncio.timeout(ANSWER_S):
                await confirmed.wait()
        except TimeoutError:
            await self.stop()
            raise

    async def publish(self, room: str, event: str, data: Any) -> None:
        """Publish an event. It comes back over the channel, and is delivered here as well only then."""
        text = json.dumps([room, event, data])
        async with asyncio.timeout(ANSWER_S):
            await self._redis.publish(CHANNEL, text)
        if self._deliver is not None:
            await self._deliver(room, event, data)

    async def stop(self) -> None:
        """End the connections to Redis and whatever runs."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait({self._listening})
        await self._redis.aclose()

    async def _keep_listening(self, deliver: Deliver, confirmed: asyncio.Event) -> None:
        while True:
            try:
                await self._listen(deliver, confirmed)
            except RedisError as error:
                logger.warning("no subscription: %s; trying again", error)
            await asyncio.sleep(PAUSE_S)

    async def _listen(self, deliver: Deliver, confirmed: asyncio.Event) -> None:
        async with self._redis.pubsub() as pubsub:
            await pubsub.subscribe(CHANNEL)
            async for message in pubsub.listen():
                if message["type"] == "message":
                    await self._take(message["data"], deliver)
                else:
                    confirmed.set()

    async def _take(self, text: bytes, deliver: Deliver) -> None:
        try:
            match json.loads(text):
                case [str(room), str(event), data]:
                    await deliver(room, event, data)
        except Exception:
            logger.exception("an event was not delivered")
