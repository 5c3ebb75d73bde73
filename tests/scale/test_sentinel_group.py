"""A group behind Sentinel: it survives its primary, an old primary acknowledges nothing, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from deadlines import WAIT_S
from eventually import until
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from scale.redis_servers import KINDS, use_as_valkey

from rtlab.errors import ChildError, RedisUnavailable, UsageError
from rtlab.realtime.nodes.link import RedisLink
from rtlab.scale import sentinel_processes
from rtlab.scale.redis_url import client_of
from rtlab.scale.sentinel_group import SentinelGroup
from rtlab.scale.sentinel_launching import open_sentinel_group, start_sentinel_group
from rtlab.servers.registry import resources
from rtlab.servers.supervisor import Child

PUSH = "return redis.call('RPUSH', KEYS[1], ARGV[1])"
pytestmark = pytest.mark.timeout(WAIT_S * 6)


@pytest.fixture
def _valkey(monkeypatch):
    use_as_valkey("Valkey", monkeypatch)


@pytest.fixture
async def group(_valkey):
    async with open_sentinel_group() as started:
        yield started


@pytest.fixture
async def link(group):
    made = RedisLink(group.url)
    yield made
    await made.aclose()


async def served(action):
    """Try until it is done; gives what it gave."""
    async with asyncio.timeout(3 * WAIT_S):
        while True:
            with contextlib.suppress(RedisUnavailable):
                return await action()
            await asyncio.sleep(0.02)


async def push(link: RedisLink, number: object) -> int:
    return await link.act(PUSH, ["list"], [number], replicas=1)


async def kept(link: RedisLink) -> list[str]:
    return await served(lambda: link.ask(lambda redis: redis.lrange("list", 0, -1)))


def left(group: SentinelGroup) -> list[object]:
    """What is there of it: processes and directories."""
    return [
        each
        for each in group.members
        if each.running
        or psutil.pid_exists(each.child.watchdog_pid)
        or each.home.exists()
        or each.child.directory.exists()
    ]


async def test_all_that_was_acknowledged_survives_two_failovers(group, link):
    first = await group.primary()
    acknowledged: list[str] = []

    async def write() -> None:
        for number in range(10**6):
            with contextlib.suppress(RedisUnavailable):
                await push(link, number)
                acknowledged.append(str(number))
            await asyncio.sleep(0.01)

    writing = asyncio.create_task(write())
    await until(lambda: len(acknowledged) > 20)
    for old in (first, None):
        before = len(acknowledged)
        await group.failover()
        assert (await group.primary() is first) is (old is None)
        await until(lambda before=before: len(acknowledged) > before + 20)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    there = await kept(link)
    assert [each for each in acknowledged if each not in set(there)] == []
    assert there == sorted(there, key=int)
    assert all(each.running for each in group.members)
    assert first.child.pid != first._home.pid  # it was killed, and is another process now


@pytest.mark.long
async def test_an_old_primary_that_was_frozen_acknowledges_nothing_and_joins_again(group, link):
    await push(link, "before")
    old = await group.freeze()
    await until(lambda: another(group, old))
    async with client_of((await group.primary()).url) as client:
        with pytest.raises(ResponseError, match="NOREPLICAS"):  # the second of two servers is the frozen one
            await client.rpush("list", "refused")
    direct = old.url
    stale = RedisLink(direct)  # somebody who has not heard of the failover
    await group.thaw()
    for number in range(5):
        with pytest.raises(RedisUnavailable):
            await push(stale, f"lost {number}")
    await stale.aclose()
    await group.ready()  # it is a replica now
    assert await served(lambda: push(link, "after")) == 2
    assert await kept(link) == ["before", "after"]
    async with client_of(direct) as client:
        assert await client.lrange("list", 0, -1) == ["before", "after"]


async def another(group, old) -> bool:
    with contextlib.suppress(RedisError):
        return await group.primary() is not old
    return False


async def test_sentinels_may_die_one_by_one(group, link):
    await push(link, 1)
    for sentinel in group.sentinels[:2]:
        await group.kill(sentinel.name, restart=False)
        fresh = RedisLink(group.url)
        await push(fresh, 2)
        await fresh.aclose()
    await group.kill("sentinel-3", restart=False)
    await push(link, 3)  # over a connection that it has
    fresh = RedisLink(group.url)
    with pytest.raises(RedisUnavailable, match="no sentinel says who is the primary"):
        await push(fresh, 4)
    await group.restart()
    await served(lambda: push(fresh, 5))
    await fresh.aclose()
    assert await kept(link) == ["1", "2", "2", "3", "5"]


async def test_without_its_replica_nothing_is_acknowledged_and_it_comes_back_by_itself(group, link):
    primary = await group.primary()
    replica = next(each for each in group.servers if each is not primary)
    await group.freeze(replica)
    with pytest.raises(RedisUnavailable, match=r"stored, but .* on 0 of 1 replicas"):
        await push(link, "once")
    again = "if redis.call('LLEN', KEYS[1]) > 0 then return 'there' end return redis.call('RPUSH', KEYS[1], ARGV[1])"
    fresh = RedisLink(group.url)  # its connection has written nothing that WAIT could be about
    with pytest.raises(RedisUnavailable, match=r"stored, but .* on 0 of 1 replicas"):
        await fresh.act(again, ["list"], ["once"], replicas=1)
    await fresh.aclose()
    await group.thaw(replica)
    assert await served(lambda: link.act(again, ["list"], ["once"], replicas=1)) == "there"
    pid = replica.child.pid
    await group.kill(replica)
    await group.ready()
    assert replica.child.pid != pid
    assert await group.primary() is primary
    await served(lambda: push(link, "twice"))
    assert await kept(link) == ["once", "twice"]


@pytest.mark.long
async def test_both_servers_may_die_at_once(group, link):
    await push(link, 1)
    await asyncio.gather(*(group.kill(each) for each in group.servers))
    await group.ready()
    await served(lambda: push(link, 2))
    assert await kept(link) == ["1", "2"]


async def test_it_says_what_it_is_and_refuses_what_cannot_be(group):
    assert resources() == (group,)
    assert repr(group).startswith("<SentinelGroup redis+sentinel://:…@127.0.0.1:")
    assert repr(group).endswith(", running>")
    await group.kill("sentinel-2", restart=False)
    assert "sentinel-2 ended with signal SIGKILL" in repr(group)
    with pytest.raises(UsageError, match=r"sentinel-2 has ended with signal SIGKILL.*restart"):
        await group.freeze("sentinel-2")
    with pytest.raises(UsageError, match="Did you mean 'redis-1'"):
        await group.kill("redis1")
    await group.freeze("sentinel-1")
    assert "sentinel-1 frozen" in repr(group)
    await group.stop()
    assert not left(group)
    assert not group.running
    assert resources() == ()
    for act in (group.kill, group.freeze, group.thaw, group.restart, group.failover, group.ready):
        with pytest.raises(UsageError, match="has been stopped"):
            await act()
    await group.stop()


async def test_passwords_stand_in_private_directories_only(group):
    await group.kill("sentinel-1")
    await group.ready()
    await until(lambda: all(member.child.running for member in group.members), "the sentinel is started again")
    url = urlsplit(group.url)
    secrets = [url.password, url.query.partition("=")[2]]
    assert len({*secrets}) == 2
    for member in group.members:
        for pid in (member.child.pid, member.child.watchdog_pid):
            process = psutil.Process(pid)
            said = " ".join(process.cmdline()) + str(process.environ()) + "\n".join(member.child.log.tail(1000))
            assert not [each for each in secrets if each in said]
        assert member.home.stat().st_mode & 0o077 == 0
        assert not [each for each in secrets if each in repr(member)]
    assert not [each for each in secrets if each in repr(group)]
    for member in group.members:
        with pytest.raises(AuthenticationError):
            async with client_of(f"redis://127.0.0.1:{member.port}") as stranger:
                await stranger.ping()


@pytest.mark.usefixtures("_valkey")
async def test_a_start_that_fails_or_is_cancelled_leaves_nothing(monkeypatch):
    before = set(psutil.Process().children())
    for turns in (1, 30, 300):
        starting = asyncio.create_task(start_sentinel_group())
        for _ in range(turns):
            await asyncio.sleep(0.001)
        starting.cancel()
        (ended,) = await asyncio.gather(starting, return_exceptions=True)
        if isinstance(ended, SentinelGroup):  # it was quicker
            await ended.stop()
    monkeypatch.setattr(sentinel_processes, "SAID", "what no sentinel says")
    monkeypatch.setattr(sentinel_processes, "READY_S", 0.5)
    with pytest.raises(ChildError, match="sentinel did not answer"):
        await start_sentinel_group()
    assert set(psutil.Process().children()) == before
    assert resources() == ()


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
async def test_debians_redis_serves_as_well(kind, monkeypatch):
    use_as_valkey(kind, monkeypatch)
    async with open_sentinel_group() as group:
        link = RedisLink(group.url)
        await push(link, 1)
        await group.failover()
        await served(lambda: push(link, 2))
        assert await kept(link) == ["1", "2"]
        await link.aclose()


KERNEL = """
import asyncio, json
from rtlab.scale.sentinel_launching import start_sentinel_group

async def main():
    group = await start_sentinel_group()
    await group.failover()
    await group.freeze()
    children = {child for each in group.members for child in (each.child, each._home)}
    pids = [each.child.pid for each in group.members] + [child.watchdog_pid for child in children]
    print(json.dumps([pids, [str(child.directory) for child in children]]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.usefixtures("_valkey")
async def test_it_does_not_survive_a_killed_kernel():
    kernel = Child([sys.executable, "-c", KERNEL], name="kernel", env={**os.environ})
    try:
        line = await until(lambda: [line for line in kernel.log.tail() if line.startswith("[")], kernel.log.tail)
        pids, directories = json.loads(line[0])
        kernel.send_signal(signal.SIGKILL)
        await until(lambda: not [pid for pid in pids if psutil.pid_exists(pid)])
        assert not [each for each in directories if Path(each).exists()]
    finally:
        await kernel.aclose()
