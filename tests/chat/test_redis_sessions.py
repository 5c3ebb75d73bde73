"""Sessions in Redis: whose they are, how long they live, how many there are, and that any node restores them."""

import pytest
from chat.several import keys_of, needs_valkey, several
from eventually import until
from redis.asyncio import Redis

from rtlab.chat.stores.memory import LIFE_S, SESSIONS_OF_ONE
from rtlab.chat.stores.protocols import Saved
from rtlab.chat.stores.redis_keys import PREFIX
from rtlab.chat.stores.redis_link import EventLink
from rtlab.chat.stores.redis_sessions import RENEW_S, RedisSessions
from rtlab.realtime.nodes.link import RedisLink

pytestmark = needs_valkey
ROOMS = Saved(frozenset({"lobby", "\U0001f388 {a}:b"}), frozenset({"desk"}))


@pytest.fixture
async def redis(valkey):
    async with Redis.from_url(valkey, decode_responses=True) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def sessions(redis, valkey):
    link = RedisLink(valkey)
    yield RedisSessions(EventLink(link))
    await link.aclose()


async def ttls(redis):
    return {name: await redis.ttl(PREFIX + name) for name in await keys_of(redis)}


async def test_ones_own_and_nobody_elses(sessions):
    await sessions.save("alice", "s1", ROOMS)
    assert await sessions.restore("alice", "s1") == ROOMS
    for user, session in [("bob", "s1"), ("alice", "s2"), ("alice:s1", ""), ("", "alice:s1"), ('alice", "s1', "")]:
        assert await sessions.restore(user, session) is None
    assert await sessions.restore("alice", "s1") == ROOMS, "it can be restored again"


async def test_it_lives_for_300_s_after_the_end_and_somewhat_longer_while_its_client_is_here(sessions, redis):
    await sessions.keep("alice", "s1", ROOMS)
    assert LIFE_S + RENEW_S - 5 <= max((await ttls(redis)).values()) <= LIFE_S + RENEW_S
    await sessions.save("alice", "s1", ROOMS)
    name = next(each for each in await ttls(redis) if each.startswith("session:"))
    assert LIFE_S - 5 <= await redis.ttl(PREFIX + name) <= LIFE_S
    await redis.expire(PREFIX + name, 100)
    assert await sessions.renew([("alice", "s1"), ("alice", "gone")]) == [("alice", "gone")]
    assert await redis.ttl(PREFIX + name) > LIFE_S
    assert all(ttl > 0 for ttl in (await ttls(redis)).values()), "nothing stays for ever"


async def test_one_user_has_so_many_and_takes_nobody_elses_place(sessions, redis):
    await sessions.save("bob", "s", ROOMS)
    await sessions.keep("alice", "here", ROOMS)
    for number in range(SESSIONS_OF_ONE + 20):
        await sessions.save("alice", f"s{number}", Saved())
    assert len([each for each in await keys_of(redis) if each.startswith("session:")]) == SESSIONS_OF_ONE + 1
    assert await redis.zcard(f"{PREFIX}sessions:alice") == SESSIONS_OF_ONE
    assert await sessions.restore("bob", "s") == ROOMS
    assert await sessions.restore("alice", "here") == ROOMS, "that of a client that is here ends last"
    assert await sessions.restore("alice", "s0") is None
    assert await sessions.restore("alice", f"s{SESSIONS_OF_ONE + 19}") == Saved()


async def test_renewing_many_goes_in_pieces(sessions, redis):
    names = [(f"u{number}", "s") for number in range(450)]
    for user, session in names[::2]:
        await sessions.keep(user, session, ROOMS)
    assert await sessions.renew(names) == names[1::2]


async def test_any_node_restores_it():
    async with several(3) as nodes:
        alice = await nodes.enter(0, "alice")
        first = (await alice.next("session"))["id"]
        await alice.join("hall")
        await alice.ask("room:join", "desk")
        watcher = await nodes.enter(2, "watcher")
        await watcher.join("hall")
        await nodes[0].dismiss_one(alice)
        await watcher.next("chat:userLeft")
        again = await nodes.enter(1, "alice")
        ack = await again.ask("session:restore", first)
        assert ack == {"status": "ok", "rooms": ["desk", "hall"]}
        assert await again.next("session:restored") == {"rooms": ["desk", "hall"]}
        assert (await watcher.next("chat:userJoined"))["username"] == "alice"
        mallory = await nodes.enter(2, "mallory")
        assert (await mallory.ask("session:restore", first))["code"] == "unknown_session"

        async def one_each():
            kept = [each for each in await keys_of(nodes.redis) if each.startswith("session:")]
            return len(kept) == 4

        await until(one_each, "that of the first connection, and those of the three that are here")
