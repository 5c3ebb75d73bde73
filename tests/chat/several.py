"""A chat of several nodes for a test: each in this process, on a port of its own, with one Valkey.

A node that ends must have let go of everybody, here and in Redis.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from chat.serving import GENEROUS, SECRET, Place, left, no_errors
from deadlines import WAIT_S
from eventually import until
from redis.asyncio import Redis

import rtlab
from rtlab.chat import create_app
from rtlab.chat.stores.redis_keys import PREFIX
from rtlab.errors import MissingProgramError
from rtlab.realtime.nodes.link import open_redis
from rtlab.scale.broker import Broker, open_broker
from rtlab.servers import programs

__all__ = ["Several", "keys_of", "needs_valkey", "several"]

try:
    programs.valkey()
    needs_valkey = pytest.mark.filterwarnings("error")
except MissingProgramError as error:
    needs_valkey = pytest.mark.skip(str(error))

STAYS = ("chat:owners", "chat:empt", "history:", "session", "epoch")
"""What may be there when everybody has left: bounded, or with a time to live."""


class Several:
    """Nodes, the broker that they share, and a client to look into it."""

    def __init__(self, broker: Broker, redis: Redis) -> None:
        self.broker = broker
        self.redis = redis
        self.places: list[Place] = []

    def __getitem__(self, number: int) -> Place:
        return self.places[number]

    async def enter(self, number: int, name: str | None = None, **options: Any) -> Any:
        """Somebody connects to a node, over WebSocket."""
        return await self.places[number].enter(name, **{"transports": ["websocket"]} | options)

    async def dismiss(self) -> None:
        """Everybody leaves, and every node has let go of them."""
        await asyncio.gather(*(place.dismiss() for place in self.places))
        for place in self.places:
            await until(lambda place=place: not left_of(place), lambda place=place: left_of(place))


def left_of(place: Place) -> dict[str, Any]:
    """What a node still has of its clients."""
    found = left(place.chat)
    rooms = place.chat._events.rooms
    for name in ("_turns", "owed"):
        if kept := dict(getattr(rooms, name)):
            found[name] = kept
    return found


async def keys_of(redis: Redis) -> list[str]:
    """The chat's keys, without the prefix."""
    return sorted([each.removeprefix(PREFIX) async for each in redis.scan_iter(f"{PREFIX.replace('[', '?')}*")])


@asynccontextmanager
async def several(
    count: int = 2, *, errors_expected: bool = False, answer_s: float = WAIT_S / 4, broker: Any = None, **options: Any
) -> AsyncIterator[Several]:
    """So many nodes. At the end nothing of anybody may be left, nor in Redis but what is kept on purpose.

    Args:
        count: how many.
        errors_expected: whether the log may have some.
        answer_s: seconds until Redis counts as away: many, since a machine that does much else is slow.
        broker: opens the Redis that they share; one in memory if not given.
        options: for `create_app`.
    """
    async with AsyncExitStack() as stack:
        environment = stack.enter_context(pytest.MonkeyPatch.context())
        environment.delenv("REDIS_URL", raising=False)
        environment.setattr("rtlab.chat.node.ANSWER_S", answer_s)
        broker = await stack.enter_async_context(open_broker() if broker is None else broker)
        redis = await stack.enter_async_context(open_redis(broker.url, 4, answer_s, decode=True))
        if not errors_expected:
            stack.enter_context(no_errors())
        nodes = Several(broker, redis)
        async with AsyncExitStack() as servers:
            for number in range(count):
                app = create_app(
                    **{"secret": SECRET, "redis": broker.url, "node": f"node {number}", "limits": GENEROUS} | options
                )
                server = await servers.enter_async_context(rtlab.serve(app))
                nodes.places.append(Place(app, server))
            for place in nodes.places:
                await place.chat.node.manager.ready()
            try:
                yield nodes
            finally:
                await nodes.dismiss()
        kept = [each for each in await keys_of(redis) if not each.startswith(STAYS)]
        assert not kept, kept
