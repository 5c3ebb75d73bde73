"""Everything at once: cuts, refusals, swallowed acknowledgements, tokens that fail.

What a client promises holds all the same: what it posted is stored once and in order, what was said reaches it once and
in order, and nothing of it is left.
"""

import asyncio
import random

import pytest
from chat.client.wilful import wilful
from chat.serving import SECRET
from deadlines import SCALE, WAIT_S

from rtlab.chat import ChatError, connect, issue_token
from rtlab.chat.client import following, pacing, refreshing
from rtlab.chat.client.watching import NobodyWatching

ROOMS = ("one", "two")
MESSAGE_FATES = [
    *["ok"] * 6, "cut", "lost", "unavailable", "gone", "nonsense", "twice", "bad_payload", "silent", "rate_limited",
]  # fmt: skip
JOIN_FATES = [*["ok"] * 6, "cut", "lost", "unavailable", "silent", "rate_limited"]
SEEDS = [*range(3), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(3, 30))]


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    for module, name, seconds in (
        (pacing, "GAP_S", 0.001), (pacing, "GAP_MAX_S", 0.005), (pacing, "PAUSE_S", 0.05), (pacing, "PAUSE_MAX_S", 0.1),
        (pacing, "RETRY_S", 0.01), (pacing, "RETRY_MAX_S", 0.05), (following, "SLOWER_S", 0.01),
        (refreshing, "AGAIN_S", 0.02),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, seconds)


class Notes(NobodyWatching):
    """An observer that remembers where it came in, and what it received."""

    def __init__(self):
        self.seen = {room: [] for room in ROOMS}
        self.first = {}

    def joined(self, room, after, offset, complete, lost):
        self.first.setdefault(room, number_of(offset))

    def received(self, room, client_id, offset, live):
        self.seen[room].append(number_of(offset))


def number_of(offset):
    return int(offset.partition("-")[0])


async def until_done(act):
    """Try again until it is not refused."""
    while True:
        try:
            return await act()
        except ChatError:
            await asyncio.sleep(0.01)


async def storm(server, chance):
    while True:
        await asyncio.sleep(0.1 * chance.random())
        for _ in range(chance.randrange(4)):
            await server.tell(server.say(chance.choice(ROOMS), "somebody else"))
        if chance.random() < 0.3:
            await server.cut()
        server.notifications = chance.random() < 0.8


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("flushes", [True, False], ids=["flushed", "closed in the middle"])
async def test_in_a_storm(seed, flushes):
    chance, notes, asked = random.Random(seed), Notes(), 0

    async def fresh():
        nonlocal asked
        asked += 1
        if asked > 1 and chance.random() < 0.3:
            raise RuntimeError("the identity provider is away")
        return issue_token("alice", SECRET, expires_s=chance.choice([0.2, 1, 100]))

    async with wilful() as server:
        server.tells = True
        server.fate = lambda message, attempt: chance.choice(MESSAGE_FATES)
        server.join_fate = lambda asked: chance.choice(JOIN_FATES)
        alice = await connect(
            server.url, token=fresh, transports=["websocket"], reconnection_delay=0.01, reconnection_delay_max=0.1,
            randomization_factor=0, ack_s=0.1 * SCALE, watching=notes,
        )  # fmt: skip
        raging = asyncio.create_task(storm(server, chance))
        for room in ROOMS:
            await until_done(lambda room=room: alice.join(room))
        posted = [alice.post(chance.choice(ROOMS), str(number)) for number in range(15)]
        if flushes:
            await alice.flush(within_s=2 * WAIT_S)
        else:
            await asyncio.sleep(0.2 * chance.random())
        raging.cancel()
        server.notifications, server.join_fate = True, lambda asked: "ok"
        if flushes:
            for room in ROOMS:
                await until_done(lambda room=room: alice.join(room))  # it waits until the client is back in its rooms
        await alice.close()

        for room in ROOMS:
            assert notes.seen[room] == sorted(set(notes.seen[room])), "each once and in order"
            there = [each for each in server.log if each["room"] == room]
            said = [int(each["text"]) for each in there if each["text"] != "somebody else"]
            assert said == sorted(set(said)), "what was posted is there once and in order"
            if flushes:
                after = {number_of(each["offset"]) for each in there if number_of(each["offset"]) > notes.first[room]}
                assert after <= set(notes.seen[room]), "nothing is missing"
        stored = {each.get("clientId"): each["offset"] for each in server.log}
        for each in posted:
            assert each.done
            assert each.sent is None or stored[each.client_id] == each.sent.offset
        assert flushes <= (alice.unsent == ())
        left = [task for task in asyncio.all_tasks() if "chat/client/" in str(task) or "socketio" in str(task)]
        assert not [task for task in left if task is not asyncio.current_task()], left
