"""A server in a process of its own, and two honest clients who talk through whatever is done to it.

What lives here: `watched`, for every test that floods. All that the two say arrives at both, once and in order; how
long they waited for their acknowledgements is a line in the table at the end of the module.
"""

import asyncio
import statistics
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import psutil
import socketio
from deadlines import WAIT_S
from eventually import until
from realtime.hostile_figures import note
from realtime.serving import lab_of

import rtlab

__all__ = ["MIB", "Honest", "Watched", "watched"]

MIB = 2**20
GROWTH_MIB = 60
"""What the server may have more: a hundred times what it keeps for one client, and a fraction of what is sent."""


class Honest:
    """A client that says numbers to all honest ones, one after the other as they are acknowledged."""

    def __init__(self, name, transport, serializer):
        self.name = name
        self.transport = transport
        self.client = socketio.AsyncClient(serializer=serializer, handle_sigint=False, reconnection=False)
        self.client.on("said", lambda data: self.heard.append(tuple(data)))
        self.heard = []
        self.said = 0
        self.delays = []
        """Seconds that each acknowledgement took."""
        self.over = False

    async def talk(self):
        while not self.over:  # cancelled alone, it may go on: on 3.11 wait_for can swallow that
            began = time.perf_counter()
            assert await self.client.call("say", (self.name, self.said), timeout=WAIT_S) == "ok"
            self.delays.append(time.perf_counter() - began)
            self.said += 1


@asynccontextmanager
async def talking(url, people):
    """Both talk for the length of the block; then all that they said has arrived at both, once and in order."""
    for each in people:
        await each.client.connect(url, auth={"name": "honest"}, transports=[each.transport])
    tasks = [asyncio.create_task(each.talk()) for each in people]
    try:
        yield
    finally:
        for each in people:
            each.over = True
    await asyncio.gather(*tasks)

    def all_have_come():
        return all(
            len([1 for who, _ in each.heard if who == one.name]) >= one.said for each in people for one in people
        )

    await until(all_have_come)
    for each in people:
        for one in people:
            numbers = [number for who, number in each.heard if who == one.name]
            assert numbers == list(range(numbers[0], one.said)), "once each, in order"
            assert each is not one or numbers[0] == 0
        assert each.said > 0
        await each.client.disconnect()


class Watched:
    """What a test sees of it."""

    def __init__(self, server, people):
        self.server = server
        self.people = people
        self.honest = people[0].client
        self.process = psutil.Process(server.child.pid)
        self.before = self.most = self.process.memory_info().rss

    def look(self):
        """Note how much memory the server has now."""
        self.most = max(self.most, self.process.memory_info().rss)

    async def asked_more(self):
        """Wait until both have got some answers more."""
        so_far = [each.said for each in self.people]
        await until(lambda: all(each.said >= said + 3 for each, said in zip(self.people, so_far, strict=True)))

    async def alone(self):
        """Wait until nobody else has a session."""

        async def are_alone():
            return await self.honest.call("sessions", timeout=WAIT_S) == len(self.people)

        await until(are_alone)

    def connections(self):
        """Connections to the server, without those of the honest ones that poll."""
        return sum(each.status != "LISTEN" for each in self.process.net_connections("tcp"))

    def delay(self):
        """How long both waited, in words."""
        delays = sorted(each for one in self.people for each in one.delays)
        median, worst = statistics.median(delays), delays[-1]
        return f"{len(delays):,} acks of the honest two, median {median * 1000:.1f} ms, worst {worst * 1000:.0f} ms"


@asynccontextmanager
async def watched(monkeypatch, what, app="in_json", serializer="default", growth_mib=GROWTH_MIB, until_alone=True):
    """Such a server.

    Args:
        monkeypatch: pytest's.
        what: the attack, for the table.
        app: of ``hostile_app``.
        serializer: of its clients.
        growth_mib: mebibytes that the server may have more at the worst.
        until_alone: whether all others have to be gone at the end. What somebody has sent before it left is still read,
            and as slowly as anything that comes too fast: of a flood, megabytes are in the kernel.
    """
    monkeypatch.chdir(Path(__file__).parent)
    people = [Honest("alice", "websocket", serializer), Honest("bob", "polling", serializer)]
    async with rtlab.serve(f"hostile_app:{app}", in_child=True) as server:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(talking(server.url, people))
            seen = Watched(server, people)

            async def look():
                while True:
                    seen.look()
                    await asyncio.sleep(0.02)

            looking = asyncio.create_task(look())
            stack.callback(looking.cancel)
            async with lab_of(server, serializer) as lab:
                yield seen, lab
                await seen.asked_more()
            if until_alone:
                await seen.alone()
            after = seen.process.memory_info().rss
        assert server.running
    note(what, seen.before, seen.most, after, seen.delay())
    assert (seen.most - seen.before) / MIB < growth_mib
