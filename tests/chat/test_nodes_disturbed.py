"""Redis frozen, killed, emptied, full and read-only at random while clients come, go, speak and break off.

Afterwards Redis counts exactly what is so on the nodes, and when everybody has left nothing is left.
"""

import asyncio
import random
import time

import pytest
from chat.serving import cut
from chat.several import keys_of, needs_valkey, several
from deadlines import SCALE
from eventually import until
from redis.exceptions import RedisError
from socketio.exceptions import SocketIOError

from rtlab.chat.stores.redis_keys import KINDS, PREFIX
from rtlab.errors import RedisUnavailable

pytestmark = [needs_valkey, pytest.mark.long]
DISTURBED_S = 20.0
CLIENTS = 10
EVENTS = (
    "chat:join",
    "chat:join",
    "chat:leave",
    "chat:message",
    "chat:message",
    "chat:typing",
    "room:join",
    "room:leave",
)


async def live(nodes, number, numbers, over, codes):
    """One client, that comes again whenever its connection is gone."""
    person, said = None, 0
    while not over.is_set():
        await asyncio.sleep(numbers.random() * 0.05)
        try:
            if person is None:
                person = await nodes.enter(numbers.randrange(3), f"user {number % 5}")
            elif numbers.random() < 0.03:
                cut(person.sio)
                person = None
                continue
            event, room = numbers.choice(EVENTS), f"room {numbers.randrange(4)}"
            said += 1
            payload = {"room": room, "text": "x", "clientId": f"{number}-{said}"} if event == "chat:message" else room
            codes.add((await person.ask(event, payload)).get("code", "ok"))
        except (SocketIOError, OSError, AttributeError):  # not let in, or gone in the middle
            person = None


async def disturb(nodes, numbers):
    """One thing that happens to a Redis."""
    broker, seconds = nodes.broker, numbers.random() * 2
    begin, end = numbers.choice(
        [
            (broker.freeze, broker.thaw),
            (broker.kill, broker.restart),
            (broker.out_of_memory, broker.recover),
            (broker.read_only, broker.recover),
            (nodes.redis.flushall, None),
            (nodes.redis.script_flush, None),
        ]
    )
    try:
        await begin()
    except RedisError:  # our own client has not noticed that it was killed before
        return
    await asyncio.sleep(seconds)
    if end is not None:
        await end()


async def agree(nodes):
    """Whether Redis counts what is so on the nodes."""
    try:
        for place in nodes.places:
            node, rooms = place.chat.node, place.chat._events.rooms
            for kind in KINDS:
                if await node.presence.entries(kind) != rooms.pairs(kind):
                    return False
            if await node.presence.entries("conns") != set(place.chat._connections.present()) or rooms.owed:
                return False
        for kind in KINDS:
            here: dict[str, dict[str, int]] = {}
            for place in nodes.places:
                for user, room in place.chat._events.rooms.pairs(kind):
                    members = here.setdefault(room, {})
                    members[user] = members.get(user, 0) + 1
            there = {}
            for key in await keys_of(nodes.redis):
                if key.startswith(f"{kind}:room:"):
                    held = await nodes.redis.hgetall(PREFIX + key)
                    there[key.split(":", 2)[2]] = {user: int(each.partition(":")[0]) for user, each in held.items()}
            if here != there:
                return False
    except (RedisUnavailable, RedisError):
        return False
    return True


@pytest.mark.parametrize("seed", [1, 2])
async def test_whatever_happens_to_redis_it_counts_what_is_so_afterwards(seed):
    numbers, over, codes = random.Random(seed), asyncio.Event(), set()
    async with several(3, errors_expected=True, answer_s=SCALE) as nodes:
        living = [asyncio.create_task(live(nodes, number, numbers, over, codes)) for number in range(CLIENTS)]
        ends = time.monotonic() + DISTURBED_S
        while time.monotonic() < ends:
            await asyncio.sleep(numbers.random() * 2)
            await disturb(nodes, numbers)
        over.set()
        await asyncio.gather(*living)
        assert codes >= {"ok", "unavailable"}
        assert codes <= {"ok", "unavailable", "not_a_member", "gone"}, "and never an error of the server's"
        await until(lambda: agree(nodes), "Redis and the nodes agree")
