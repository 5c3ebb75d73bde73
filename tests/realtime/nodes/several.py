"""Several nodes in one process, each a server of ours with clients of its own, and the Valkey between them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from deadlines import SCALE, WAIT_S
from eventually import until
from realtime.conformance.clients import Client
from realtime.serving import lab_of
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

import rtlab
from rtlab.errors import MissingProgramError, RedisUnavailable
from rtlab.realtime import RedisManager, Server
from rtlab.servers import programs
from rtlab.servers.ports import free_port
from rtlab.servers.supervisor import Child

__all__ = ["SHORT_S", "Node", "Valkey", "hears", "nodes_on", "refused", "valkey"]

SHORT_S = 0.5 * SCALE
"""Seconds that callers wait for Redis in tests of what happens when it does not answer."""


class Valkey:
    """A Valkey on a port that it keeps over a restart."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"redis://127.0.0.1:{port}"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        program = programs.valkey()
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--appendonly", "no"]
        self.child = Child([*program.command, *options], name=program.name)
        await until(self._answers, self.child.log.tail)

    async def _answers(self) -> bool:
        with contextlib.suppress(RedisError, OSError):
            return bool(await self.ask("PING"))
        return False

    async def ask(self, *command: Any) -> Any:
        """One command, over a connection of its own."""
        async with Redis.from_url(self.url, retry=Retry(NoBackoff(), 0), decode_responses=True) as client:
            return await client.execute_command(*command)

    async def kill(self) -> None:
        """SIGKILL."""
        self.child.kill()
        await self.child.wait_async()
        await self.child.aclose()

    def freeze(self) -> None:
        """SIGSTOP."""
        self.child.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self.child.send_signal(signal.SIGCONT)


@asynccontextmanager
async def valkey() -> AsyncIterator[Valkey]:
    """A Valkey for one test."""
    try:
        programs.valkey()
    except MissingProgramError as error:
        pytest.skip(str(error))
    server = Valkey(free_port())
    await server.start()
    try:
        yield server
    finally:
        server.thaw()
        await server.child.aclose()


class Node:
    """A server, its manager, and raw clients of it."""

    def __init__(self, sio: Any, manager: Any, lab: Any) -> None:
        self.sio = sio
        self.manager = manager
        self.lab = lab

    async def client(self, namespace: str = "/") -> tuple[Client, str]:
        """A client, and its id."""
        client = Client(self.lab, await self.lab.websocket())
        return client, await client.connect(namespace)


@asynccontextmanager
async def nodes_on(url: str, count: int = 2, **options: Any) -> AsyncIterator[list[Node]]:
    """Nodes of ours that hear each other. Options are those of `RedisManager`."""
    async with AsyncExitStack() as stack:
        nodes = []
        for _ in range(count):
            manager = RedisManager(url, **options)
            sio = Server(client_manager=manager)
            sio.on("*", lambda event, sid, *data: data)
            server = await stack.enter_async_context(rtlab.serve(sio))
            nodes.append(Node(sio, manager, await stack.enter_async_context(lab_of(server))))
        async with asyncio.timeout(WAIT_S):
            for node in nodes:
                await node.manager.ready()
        yield nodes


async def hears(client: Client, *data: Any) -> None:
    """Hold the next event of this client to being this one."""
    async with asyncio.timeout(WAIT_S):
        assert (await client.receive()).data == list(data)


async def refused(action: Any) -> RedisUnavailable:
    """Hold it to failing because of Redis; gives the error."""
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(RedisUnavailable) as caught:
            await action
    return caught.value
