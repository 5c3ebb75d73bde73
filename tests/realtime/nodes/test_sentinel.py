"""Behind Sentinel: whoever says and hears goes to the new primary, and to nobody who only was one."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import warnings
from contextlib import asynccontextmanager

import pytest
from deadlines import SCALE, WAIT_S
from eventually import until
from realtime.nodes.several import hears, nodes_on, refused
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from rtlab.errors import MissingProgramError, RedisUnavailable
from rtlab.realtime.nodes.link import RedisLink
from rtlab.realtime.nodes.opening import open_redis
from rtlab.realtime.nodes.publisher import Publisher
from rtlab.realtime.nodes.sentinel import PrimaryPool, read_sentinel_url
from rtlab.realtime.nodes.subscription import Subscription
from rtlab.scale.emitting import emit_from_outside
from rtlab.scale.redis_url import client_of
from rtlab.scale.sentinel_launching import open_sentinel_group
from rtlab.servers import programs

try:
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(WAIT_S * 6)
CHANNEL = "news"


@pytest.fixture
async def group():
    async with open_sentinel_group() as started:
        yield started


async def another(group, old):
    """The other one, once the sentinels name it."""
    with contextlib.suppress(RedisError):
        primary = await group.primary()
        return primary if primary is not old else None
    return None


async def served(action):
    """Try until it is done; gives what it gave."""
    async with asyncio.timeout(3 * WAIT_S):
        while True:
            with contextlib.suppress(RedisUnavailable):
                return await action()
            await asyncio.sleep(0.02)


async def subscribers(server) -> int:
    """Of this one process."""
    async with client_of(server.url) as client:
        [(_, count)] = await client.pubsub_numsub(CHANNEL)
        return int(count)


@asynccontextmanager
async def saying_and_hearing(url, answer_s):
    """A link with its publisher and its subscription, and what that has heard."""
    link = RedisLink(url, answer_s=answer_s)

    async def nothing() -> str:
        return ""

    publisher, subscription = Publisher(link, CHANNEL, nothing), Subscription(link, CHANNEL)
    heard: list[bytes] = []

    async def hear() -> None:
        async with contextlib.aclosing(subscription.messages()) as messages:
            async for message in messages:
                heard.append(message)  # noqa: PERF401 - each when it comes

    hearing = asyncio.create_task(hear())
    try:
        await subscription.subscribed.wait()
        yield link, publisher, heard
    finally:
        hearing.cancel()
        await asyncio.wait([hearing])
        await publisher.aclose()
        await link.aclose()


async def test_a_frozen_primary_is_left_and_not_spoken_to_when_it_goes_on(group):
    """Its connections live on. Thawed, it takes what it is sent for some seconds, and nobody hears that.

    Ours would not work without the frozen one; others, which are not set up like that, do.
    """
    for server in group.servers:
        async with client_of(server.url) as client:
            await client.config_set("min-replicas-to-write", 0)
    patience_s = 10 * WAIT_S  # so that nothing is left because it is silent
    async with saying_and_hearing(group.url, patience_s) as (link, publisher, heard):
        link.answer_s = SCALE  # what a look waits for the frozen one
        assert await publisher.publish(b"before") == 1
        old = await group.freeze()
        new = await until(lambda: another(group, old))
        await until(lambda: subscribers(new))
        await until(lambda: link.up)
        await group.thaw(old)
        assert await publisher.publish(b"after") == 1
        await until(lambda: heard == [b"before", b"after"], lambda: heard)


@pytest.mark.long
async def test_events_cross_after_a_failover_also_those_from_outside(group):
    async with nodes_on(group.url) as nodes:
        clients = [await node.client() for node in nodes]
        for node, (_, sid) in zip(nodes, clients, strict=True):
            await node.sio.enter_room(sid, "lobby")
        for turn in ("first", "second", "third"):
            for node in nodes:
                await served(node.manager.ready)
                await served(lambda node=node, turn=turn: node.sio.emit("news", turn))
                for client, _ in clients:
                    await hears(client, "news", turn)
            assert await emit_from_outside(group.url, "lobby", "outside", turn) == 2
            for client, _ in clients:
                await hears(client, "outside", turn)
            if turn != "third":
                await group.failover()


async def test_a_server_that_the_sentinels_name_and_that_is_a_replica_is_not_asked(group):
    primary = await group.primary()
    other = next(each for each in group.servers if each is not primary)
    async with client_of(primary.url) as client:
        await client.execute_command("REPLICAOF", "127.0.0.1", other.port)  # the sentinels find out within a second
        redis = open_redis(group.url, 1, WAIT_S, decode=True)
        with pytest.raises(RedisConnectionError, match=r"is no primary any more|that the primary .* is down"):
            await redis.ping()
        await redis.aclose()


async def test_a_primary_alone_takes_no_write_and_says_so(group):
    """Also for whoever waits for no replica: what it took now, a failover to the other one would lose."""
    link = RedisLink(group.url)
    primary = await group.primary()
    replica = next(each for each in group.servers if each is not primary)
    assert await link.ask(lambda redis: redis.set("key", "value"))
    await group.kill(replica, restart=False)

    async def refuses() -> bool:
        with contextlib.suppress(RedisUnavailable):
            await link.ask(lambda redis: redis.set("key", "lost"))
            return False
        return not link.up

    await until(refuses)
    assert "NOREPLICAS" in (await refused(link.ask(lambda redis: redis.get("key")))).problem
    await group.restart()
    assert await served(lambda: link.ask(lambda redis: redis.set("key", "again")))
    await link.aclose()


async def test_who_stops_asking_the_sentinels_leaves_no_connection_open(group):
    """Whenever that is, and also where it is cancelled while it ends."""
    pool = PrimaryPool(read_sentinel_url(group.url))
    await pool.find()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for turns in range(60):
            asking = asyncio.create_task(pool.find())
            for _ in range(turns):
                await asyncio.sleep(0)
            for _ in range(3):
                asking.cancel()
                await asyncio.sleep(0)
            await asyncio.wait([asking])
        await until(lambda: not [task for task in asyncio.all_tasks() if "PrimaryPool" in repr(task.get_coro())])
        gc.collect()
        complaints = [str(each.message) for each in caught if issubclass(each.category, ResourceWarning)]
    assert complaints == []
    assert await pool.find() == ("127.0.0.1", (await group.primary()).port)
    await pool.aclose()
