"""What one user gets done at once on a node, where Redis says only later what each event costs."""

import asyncio
import time

import pytest
from chat.several import needs_valkey, several

from rtlab.chat import Limits
from rtlab.chat.costs import BYTES_PER_TOKEN, wire_bytes
from rtlab.realtime.nodes.link import RedisLink

pytestmark = needs_valkey

LIMITS = Limits()
PEOPLE = 1000
"""In a room: a message to them costs more than a user can have, and longer than a test takes."""
LONGEST = "\U0001f600" * LIMITS.text
CONNECTIONS = 10
"""Of one user. What is said on one of them is taken in turns anyway."""


@pytest.fixture
def make_slow(monkeypatch):
    """From then on every question to Redis takes a moment, so that many are on their way at the same time."""
    act = RedisLink.act

    async def later(self, *arguments, **options):
        await asyncio.sleep(0.05)
        return await act(self, *arguments, **options)

    return lambda: monkeypatch.setattr(RedisLink, "act", later)


async def test_of_many_messages_to_a_large_room_so_many_go_as_a_burst_pays_for(make_slow, monkeypatch):
    """All of them are asked for before Redis has said how many hear the first one."""
    async with several(1, limits=LIMITS) as nodes:
        rooms = nodes[0].chat._events.rooms
        people = [await nodes.enter(0, "mallory") for _ in range(CONNECTIONS)]
        for each in people:
            await each.join("hall")
        size = rooms._shared.size

        async def large(kind, room):
            return PEOPLE * await size(kind, room)

        monkeypatch.setattr(rooms._shared, "size", large)
        make_slow()
        answers = await asyncio.gather(*(each.say("hall", LONGEST) for each in people for _ in range(4)))
        done = [each for each in answers if each["status"] == "ok"]
        assert {each["code"] for each in answers if each not in done} == {"rate_limited"}
        assert len(done) == 1


async def test_of_many_joins_of_many_connections_so_many_go_as_a_burst_pays_for(make_slow):
    async with several(1, limits=LIMITS) as nodes:
        node = nodes[0].chat.node
        for number in range(LIMITS.history):
            record = {"id": str(number), "username": "u", "text": LONGEST, "room": "hall", "timestamp": 1}
            await node.history.append("hall", record, "u")
        make_slow()
        people = [await nodes.enter(0, "mallory") for _ in range(CONNECTIONS)]
        began = time.monotonic()
        answers = await asyncio.gather(
            *(each.ask("chat:join", {"room": "hall", "after": "1-0"}) for each in people for _ in range(4))
        )
        assert "rate_limited" in {each.get("code") for each in answers}
        sent = sum(wire_bytes(data) for each in people for _, event, data in each.heard if event == "chat:history")
        tokens = LIMITS.burst + LIMITS.events_per_s * (time.monotonic() - began)
        assert 0 < sent <= tokens * BYTES_PER_TOKEN + LIMITS.page_bytes
