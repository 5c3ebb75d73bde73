"""What stands before and behind the workers of a cluster: kept an eye on, and nginx started again when it dies.

What lives here: `Front`. A Redis that has gone is only told of: what was in its memory is lost, and whether to start it
again is the decision of whoever has stopped it. (A `SentinelGroup` starts its processes again itself.)
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from rtlab.errors import RtlabError
from rtlab.scale.balancer import Balancer
from rtlab.scale.broker import Broker
from rtlab.scale.crew import FIRST_DELAY_S, MOST_DELAY_S
from rtlab.scale.logs import ClusterLog
from rtlab.scale.sentinel_group import SentinelGroup
from rtlab.servers.supervisor import Child, Log

__all__ = ["Front"]

LOOK_S = 0.1
"""Seconds between two looks whether a Redis was started again."""


class Say(Protocol):
    """Remembers an event: `Crew.say`."""

    def __call__(self, name: str, text: str, level: int = logging.INFO) -> None:
        """Remember it."""


class Front:
    """The nginx in front of the workers, and the Redis behind them.

    Args:
        balancer: that was started.
        launch: starts another one on a port.
        broker: that was started, if any.
        log: takes what nginx prints, and what the Redis prints after it was started again.
        say: takes what happens to them.
    """

    def __init__(
        self,
        balancer: Balancer,
        launch: Callable[[int], Awaitable[Balancer]],
        broker: Broker | SentinelGroup | None,
        log: ClusterLog,
        say: Say,
    ) -> None:
        self.balancer = balancer
        self._launch = launch
        self._broker = broker
        self._log = log
        self._say = say
        self._tasks: list[asyncio.Task[None]] = []

    def watch(self) -> None:
        """Take in what nginx prints, and look after both."""
        loop = asyncio.get_running_loop()
        self._log.add("nginx", self.balancer.log)
        self._tasks.append(loop.create_task(self._keep_nginx(), name="rtlab keeps nginx"))
        if isinstance(self._broker, SentinelGroup):
            self._broker.watch = self
        elif self._broker is not None and self._broker.child is not None:
            self._tasks.append(loop.create_task(self._watch_redis(self._broker), name="rtlab watches Redis"))

    def leave_alone(self) -> None:
        """What ends from now on is meant to."""
        if isinstance(self._broker, SentinelGroup):
            self._broker.watch = None
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """End nginx. (The broker is stopped by whoever has started it.)"""
        self.leave_alone()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._log.read()
        await self.balancer.stop()

    def came(self, name: str, log: Log) -> None:
        """A process of the Redis group has been started again."""
        self._log.add(name, log)
        self._say(name, "was started again")

    def went(self, name: str, log: Log, how: str) -> None:
        """A process of the Redis group has ended."""
        self._say(name, how, logging.WARNING)
        self._log.drop(log)

    async def _keep_nginx(self) -> None:
        delay_s = FIRST_DELAY_S
        while True:
            began = asyncio.get_running_loop().time()
            await self.balancer.child.wait_async()
            if asyncio.get_running_loop().time() - began > MOST_DELAY_S:
                delay_s = FIRST_DELAY_S
            self._say("nginx", f"{self.balancer.child.state} by itself", logging.WARNING)
            self._log.drop(self.balancer.log)
            await self.balancer.stop()
            while not self.balancer.running:
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, MOST_DELAY_S)
                try:
                    self.balancer = await self._launch(self.balancer.port)
                except RtlabError as error:
                    what = str(error).partition("\n")[0]
                    self._say("nginx", f"{what}; the next attempt is in {delay_s:g} s", logging.WARNING)
            self._log.add("nginx", self.balancer.log)
            self._say("nginx", f"was started again (process {self.balancer.child.pid})")

    async def _watch_redis(self, broker: Broker) -> None:
        child: Child | None = broker.child
        while child is not None:
            await child.wait_async()
            self._say("redis", f"{child.state}; until `await cluster.broker.restart()` there is none", logging.WARNING)
            self._log.drop(child.log)
            while broker.child is child or not broker.running:
                await asyncio.sleep(LOOK_S)
            child = broker.child
            self._log.add("redis", broker.log)
            self._say("redis", "was started again")
