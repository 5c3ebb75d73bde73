"""A cluster and people in it, for one short scene that a checker judges.

Each person is a client that is watched, behind a fault proxy of its own, at a worker of its own choice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from deadlines import WAIT_S
from redis.asyncio import Redis
from soak.unsafe_app import UNDONE, unsafe

import rtlab
from rtlab.chat import Client, connect, issue_token
from rtlab.instruments.checking.checker import check
from rtlab.instruments.checking.recorder import HistoryRecorder
from rtlab.instruments.faults.proxy import FaultProxy
from rtlab.instruments.soaking.witness import renamed

__all__ = ["ROOM", "Person", "Stage", "staged"]

ROOM = "stage"
PATIENCE_S = 3 * WAIT_S
"""Seconds until something has to have come. A worker that is started again, or a failover, may lie in between."""
ACK_S = 3.0
"""Seconds that a client waits for an answer; what waits longer than that is sent again, which a scene has to want."""


class Person:
    """Somebody with one client."""

    def __init__(self, name: str, client: Client, proxy: FaultProxy, recorder: HistoryRecorder) -> None:
        self.name = name
        self.client = client
        self.proxy = proxy
        self._recorder = recorder
        self._messages = client.messages()
        self.read: dict[str, str] = {}
        """By the ids of the messages that it was given: their texts."""

    async def say(self, text: str) -> Any:
        """Post a message, whose id is its text, and wait until it is acknowledged."""
        async with asyncio.timeout(PATIENCE_S):
            return await self.client.post(ROOM, text, client_id=text)

    async def hears(self, text: str) -> None:
        """Wait until a message comes. Others may come before it."""
        async with asyncio.timeout(PATIENCE_S):
            async for message in self._messages:
                self.read[message["clientId"]] = message["text"]
                if message["text"] == text:
                    return

    async def join(self) -> None:
        """Enter the room."""
        await self.client.join(ROOM)

    async def looks(self) -> None:
        """A last look: all is here."""
        events = self._recorder.history.only(client=self.name, room=ROOM, kind={"joined", "received"})
        after = max((each.offset for each in events), key=lambda each: tuple(map(int, each.split("-"))))
        joined = await self.client.join(ROOM, after)
        self.read |= {record["clientId"]: record["text"] for record in joined.history}
        self._recorder.settled(self.name, ROOM, joined.offset)


class Stage:
    """The cluster, and who is there."""

    def __init__(self, cluster: Any, recorder: HistoryRecorder, stack: AsyncExitStack, replicas: bool) -> None:
        self.cluster = cluster
        self.recorder = recorder
        self.replicas = replicas
        """Whether an acknowledgement waits for a replica."""
        self.people: dict[str, Person] = {}
        self._stack = stack

    async def enter(self, name: str, worker: int = 1, transport: str = "websocket") -> Person:
        """Somebody connects to a worker, past the balancer, and joins the room."""
        proxy = await self._stack.enter_async_context(
            rtlab.fault_proxy(self.cluster.workers[worker - 1].url, name=f"proxy of {name}")
        )
        client = await self._stack.enter_async_context(
            connect(
                proxy.url,
                token=lambda: issue_token(name, self.cluster.secret),
                transports=[transport],
                ack_s=ACK_S,
                watching=self.recorder.client(name),
                reconnection_delay=0.05,
                reconnection_delay_max=0.2,
            )
        )
        person = self.people[name] = Person(name, client, proxy, self.recorder)
        await person.join()
        return person

    def redis(self, port: int | None = None) -> contextlib.AbstractAsyncContextManager[Redis]:
        """A client of the Redis behind the cluster, or of one of its servers."""
        url = self.cluster.broker.url
        if port is not None:
            url = f"redis://:{urlsplit(url).password}@127.0.0.1:{port}"
        return Redis.from_url(url, decode_responses=True)

    async def judge(self) -> Any:
        """Everybody takes a last look; gives the verdict."""
        for person in self.people.values():
            await person.looks()
        texts = {each: text for person in self.people.values() for each, text in person.read.items()}
        return check(renamed(self.recorder.history, texts))


@asynccontextmanager
async def staged(
    without: str = "", *, workers: int = 1, durability: str = "memory", **env: str
) -> AsyncIterator[Stage]:
    """A stage.

    Args:
        without: the safeguard that is undone, if a worker undoes it.
        workers: how many.
        durability: of the cluster.
        env: more environment variables for the workers.
    """
    env = {**unsafe(without if without in UNDONE else ""), **env}
    async with (
        rtlab.cluster("soak.unsafe_app:create", workers, durability=durability, env=env) as cluster,
        AsyncExitStack() as stack,
    ):
        yield Stage(cluster, HistoryRecorder(500), stack, durability == "replica" and env.get("RTLAB_REPLICAS") != "0")
