"""What it costs that an acknowledged message is not lost: the chat's own history, in Valkeys that keep more and more.

What lives here: `durability_cost`, the time of one message until it may be acknowledged; `failover_times`, how long a
group behind Sentinel acknowledges nothing when its primary was killed. The servers are started here, also where
REDIS_URL names another one, whose configuration is not ours; all are on this machine, so the network costs nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from time import perf_counter

from rtlab.chat.limits import Limits
from rtlab.chat.stores.redis_history import RedisHistory
from rtlab.chat.stores.redis_keys import telling
from rtlab.chat.stores.redis_link import EventLink
from rtlab.errors import RedisUnavailable, UsageError
from rtlab.instruments.measuring.bench import machine
from rtlab.instruments.measuring.way import Way, percentile_heads
from rtlab.realtime.nodes.link import RedisLink
from rtlab.scale.sentinel_group import SentinelGroup
from rtlab.scale.sentinel_launching import open_sentinel_group
from rtlab.scale.valkey import DURABLE, RunningValkey, new_password, start_valkey
from rtlab.servers import programs

__all__ = ["DurabilityCost", "FailoverTimes", "durability_cost", "failover_times"]

TEXT = "x" * 100
"""A chat line."""
ROOM, USER, CHANNEL = "lobby", "alice", "socketio"
IN_FLIGHT = 16
"""Messages on the way at once, for the rate: as many as one worker has connections to Redis."""
PUBLISH = "return redis.call('PUBLISH', ARGV[1], ARGV[2])"
AGAIN_S = 0.01
"""Seconds between two writes while a group fails over."""

Write = Callable[[int], Awaitable[object]]


@dataclass(frozen=True, repr=False)
class DurabilityCost:
    """The ways beside each other, and what they were measured on."""

    ways: tuple[Way, ...]
    messages: int
    """In each round, on each way, one by one; and as many again with `IN_FLIGHT` on the way."""
    rounds: int
    machine: str

    def __str__(self) -> str:
        many = f"{self.rounds} rounds of {self.messages:,} messages on each way, in turns"
        trips = f"ms until it may be acknowledged, n = {len(self.ways[0].round_trips_us):,}"
        lines = [
            f"Messages of {len(TEXT)} characters, {many}. {self.machine}.",
            f"{'':26}{'messages/s':>12}{percentile_heads()}{'max':>9}   {trips}",
            *(each.row(width=26, unit_us=1000, digits=2) for each in self.ways),
        ]
        return "\n".join(lines)

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class FailoverTimes:
    """How long nothing was acknowledged, each time that a primary was killed."""

    seconds: tuple[float, ...]
    """Sorted: from the kill to the next acknowledgement by two servers."""
    machine: str

    def __str__(self) -> str:
        low, high = self.seconds[0], self.seconds[-1]
        figures = f"min {low:.1f}, median {statistics.median(self.seconds):.1f}, max {high:.1f} s"
        return (
            f"Failover, from the kill to the next acknowledgement: {figures}, n = {len(self.seconds)}. {self.machine}."
        )

    __repr__ = __str__


async def durability_cost(
    *, messages: int = 500, rounds: int = 4, progress: Callable[[str], None] = lambda _: None
) -> DurabilityCost:
    """Measure it. Takes some seconds.

    Four ways: only told to the other nodes (PUBLISH); stored first, in memory; stored on disk (AOF, ``appendfsync
    always``); stored by two servers (WAIT 1) and told then.

    Args:
        messages: in each round, on each way: once one by one, once with many on the way.
        rounds: how often; the ways take turns, so that a slow moment of the machine hits all.
        progress: called with a few words before each round.

    Raises:
        UsageError: fewer than one message or round.
        MissingProgramError: there is no Valkey on this machine.
        ChildError: one did not come up.
    """
    if messages < 1 or rounds < 1:
        raise UsageError(f"Expected messages and rounds from 1, got messages={messages}, rounds={rounds}.")
    async with AsyncExitStack() as stack:
        memory = await stack.enter_async_context(_link((await stack.enter_async_context(_valkey(durable=False))).url))
        disk = await stack.enter_async_context(_link((await stack.enter_async_context(_valkey(durable=True))).url))
        group = await stack.enter_async_context(_link((await stack.enter_async_context(open_sentinel_group())).url))
        ways: dict[str, Write] = {
            "told only": _telling(memory),
            "stored first, in memory": _storing(memory),
            "stored on disk": _storing(disk),
            "stored by two servers": _storing(group, replicas=1),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        trips: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):  # the first one warms up
            for name, write in ways.items():
                progress(f"{name}, round {number} of {rounds}")
                taken = await _one_by_one(write, messages)
                rate = await _many(write, messages)
                if number:
                    rates[name].append(rate)
                    trips[name] += taken
        found = tuple(Way(name, statistics.median(rates[name]), tuple(sorted(trips[name]))) for name in ways)
        return DurabilityCost(found, messages, rounds, machine())


async def failover_times(*, times: int = 5, progress: Callable[[str], None] = lambda _: None) -> FailoverTimes:
    """Kill the primary of a group while it is written to, again and again. Takes about 10 s each time.

    Args:
        times: how often.
        progress: called with a few words before each kill.

    Raises:
        UsageError: fewer than once.
        MissingProgramError: there is no Valkey on this machine.
        ChildError: a server did not come up.
    """
    if times < 1:
        raise UsageError(f"Expected times from 1, got {times}.")
    taken = []
    async with open_sentinel_group() as group, _link(group.url) as link:
        write = _storing(link, replicas=1)
        for number in range(1, times + 1):
            progress(f"failover {number} of {times}")
            await group.ready()
            await write(0)
            taken.append(await _until_acknowledged(group, write))
    return FailoverTimes(tuple(sorted(taken)), machine())


async def _until_acknowledged(group: SentinelGroup, write: Write) -> float:
    """Kill the primary; seconds until a write is acknowledged."""
    killed = perf_counter()
    await group.kill()
    while True:
        with contextlib.suppress(RedisUnavailable):
            await write(0)
            return perf_counter() - killed
        await asyncio.sleep(AGAIN_S)


@asynccontextmanager
async def _valkey(*, durable: bool) -> AsyncIterator[RunningValkey]:
    running = await start_valkey(programs.valkey(), new_password(), settings=DURABLE if durable else {})
    try:
        yield running
    finally:
        await running.child.aclose()


@asynccontextmanager
async def _link(url: str) -> AsyncIterator[RedisLink]:
    link = RedisLink(url)
    try:
        yield link
    finally:
        await link.aclose()


def _telling(link: RedisLink) -> Write:
    """Tell the other nodes, and store nothing."""
    head, tail = telling("chat:message", f"chat:{ROOM}")

    async def write(number: int) -> object:
        return await link.act(PUBLISH, arguments=[CHANNEL, head + json.dumps(_record(number)) + tail + "}"])

    return write


def _storing(link: RedisLink, *, replicas: int = 0) -> Write:
    """As the chat does it: look for the ``clientId``, store, tell the other nodes."""
    limits = Limits()
    history = RedisHistory(EventLink(link), limits.history, limits.history_bytes, CHANNEL, replicas=replicas)
    return lambda number: history.append(ROOM, _record(number), USER)


def _record(number: int) -> dict[str, object]:
    return {"id": f"{number:032}", "username": USER, "text": TEXT, "room": ROOM, "timestamp": number}


async def _one_by_one(write: Write, count: int) -> list[float]:
    """Microseconds of each."""
    taken = []
    for number in range(count):
        began = perf_counter()
        await write(number)
        taken.append((perf_counter() - began) * 1e6)
    return taken


async def _many(write: Write, count: int) -> float:
    """Messages a second, with `IN_FLIGHT` on the way."""
    numbers = iter(range(count))

    async def one_after_the_other() -> None:
        for number in numbers:
            await write(number)

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(IN_FLIGHT):
            group.create_task(one_after_the_other())
    return count / (perf_counter() - began)
