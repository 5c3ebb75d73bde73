"""What a tap costs: the same messages to the same server, straight and through a tap, in turns.

What lives here: `tap_cost`. The server runs in a process of its own; the tap and the client share this event loop, as
they do in a notebook, so what the tap takes is taken from the client. It is the dearest case: small messages, all of
them decoded and recorded.
"""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

from websockets.asyncio.client import ClientConnection, connect

from rtlab.errors import UsageError
from rtlab.instruments.measuring.bench import IN_FLIGHT, machine
from rtlab.instruments.measuring.way import Way, percentile_heads
from rtlab.instruments.wiretap.tap import tap
from rtlab.servers.hosting import serve

__all__ = ["TapCost", "tap_cost"]

SERVER = "rtlab.servers.echo:on_websockets"
"""The echo server of the `websockets` library, whose client asks here."""
SIZE = 100
"""Bytes of a message: a chat line."""


@dataclass(frozen=True, repr=False)
class TapCost:
    """The two ways beside each other, and what they were measured on."""

    straight: Way
    tapped: Way
    messages: int
    """In each round, on each way."""
    rounds: int
    machine: str

    @property
    def per_message_us(self) -> float:
        """Microseconds that the tap adds to each echoed message, which passes it twice, at full speed."""
        return 1e6 / self.tapped.per_second - 1e6 / self.straight.per_second

    def __str__(self) -> str:
        many = f"{self.rounds} rounds of {self.messages:,} messages on each way, in turns"
        trips = f"µs of a round trip, n = {len(self.straight.round_trips_us):,}"
        lines = [
            f"Echo of {SIZE} bytes, {many}. {self.machine}.",
            f"{'':12}{'messages/s':>12}{percentile_heads()}{'max':>9}   {trips}",
        ]
        lines += [way.row(width=12) for way in (self.straight, self.tapped)]
        share = self.tapped.per_second / self.straight.per_second
        lines.append(f"Through the tap: {share:.0%} of the rate, {self.per_message_us:.0f} µs more for each echo.")
        return "\n".join(lines)

    __repr__ = __str__


async def tap_cost(
    *, messages: int = 2000, rounds: int = 5, progress: Callable[[str], None] = lambda _: None
) -> TapCost:
    """Measure it. Takes some seconds.

    Args:
        messages: in each round, on each way: once with many on the way, once one by one.
        rounds: how often; the ways take turns, so that a slow moment of the machine hits both.
        progress: called with a few words before each round.

    Raises:
        UsageError: fewer than one message or round.
    """
    if messages < 1 or rounds < 1:
        raise UsageError(f"Expected messages and rounds from 1, got messages={messages}, rounds={rounds}.")
    async with serve(SERVER, in_child=True, name="tap cost") as server, tap(server, name="tap cost: the tap") as tapped:
        ways = {"straight": server.ws_url, "tapped": tapped.ws_url}
        rates: dict[str, list[float]] = {name: [] for name in ways}
        trips: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(rounds + 1):  # the first one warms up
            for name, url in ways.items():
                progress(f"{name}, round {number} of {rounds}")
                async with connect(url, compression=None) as client:
                    rate = await _pipelined(client, messages)
                    taken = await _one_by_one(client, messages)
                if number:
                    rates[name].append(rate)
                    trips[name] += taken
        found = [Way(name, statistics.median(rates[name]), tuple(sorted(trips[name]))) for name in ways]
        return TapCost(found[0], found[1], messages, rounds, machine())


async def _pipelined(client: ClientConnection, count: int) -> float:
    """Messages a second, with `IN_FLIGHT` on the way."""
    free = asyncio.Semaphore(IN_FLIGHT)
    text = "x" * SIZE

    async def send() -> None:
        for _ in range(count):
            await free.acquire()
            await client.send(text)

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        group.create_task(send())
        for _ in range(count):
            await client.recv()
            free.release()
    return count / (perf_counter() - began)


async def _one_by_one(client: ClientConnection, count: int) -> list[float]:
    """Microseconds of each round trip."""
    text = "x" * SIZE
    taken = []
    for _ in range(count):
        began = perf_counter()
        await client.send(text)
        await client.recv()
        taken.append((perf_counter() - began) * 1e6)
    return taken
