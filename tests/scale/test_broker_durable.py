"""A broker that is durable: what it has answered is there again after a kill, and nothing is left after a stop."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from deadlines import WAIT_S
from eventually import until
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from scale.redis_servers import QUICKLY_ONE, use_as_valkey

from rtlab.errors import ChildError, UsageError
from rtlab.scale.broker import Broker, open_broker
from rtlab.servers.supervisor import Child

pytestmark = pytest.mark.timeout(WAIT_S * 3)


@pytest.fixture(params=QUICKLY_ONE, autouse=True)
def kind(request, monkeypatch):
    """What serves as our Valkey."""
    use_as_valkey(request.param, monkeypatch)
    return request.param


def client_of(broker: Broker) -> Redis:
    """A client that tries once."""
    return Redis.from_url(broker.url, decode_responses=True, retry=Retry(NoBackoff(), 0))


async def test_what_it_has_answered_survives_kills_and_restarts_and_goes_with_the_stop():
    async with open_broker(durable=True) as broker:
        assert broker.durable
        assert "durable" in repr(broker)
        assert repr(broker).endswith(", running>")
        home, seen = broker.child.directory, [broker.child]
        for disturb in (broker.kill, broker.freeze, broker.kill, None):
            async with client_of(broker) as client:
                await client.rpush("seen", len(seen))
            if disturb is not None:
                await disturb()
            await broker.restart()
            seen.append(broker.child)
            async with client_of(broker) as client:
                assert await client.lrange("seen", 0, -1) == [str(number) for number in range(1, len(seen))]
                assert await client.config_get("appendonly", "appendfsync", "dir") == {
                    "appendonly": "yes",
                    "appendfsync": "always",
                    "dir": str(home),
                }
        assert home.exists()
        assert [each.pid for each in seen if psutil.pid_exists(each.pid) and each.running] == [broker.child.pid]
        assert [each.directory for each in seen if each.directory.exists()] == [home, broker.child.directory]
    assert not [each for each in seen if each.running or each.directory.exists()]
    assert not psutil.pid_exists(broker.child.watchdog_pid)


async def test_everything_that_was_acknowledged_before_a_kill_in_the_middle_is_there():
    async with open_broker(durable=True) as broker:
        acknowledged: list[int] = []

        async def write() -> None:
            async with client_of(broker) as client:
                number = 0
                while True:
                    await client.rpush("numbers", number)
                    acknowledged.append(number)
                    number += 1

        writing = asyncio.create_task(write())
        await until(lambda: len(acknowledged) > 50)
        await broker.kill()
        with pytest.raises(RedisError):
            await writing
        await broker.restart()
        async with client_of(broker) as client:
            kept = [int(each) for each in await client.lrange("numbers", 0, -1)]
        assert kept[: len(acknowledged)] == acknowledged
        assert len(kept) <= len(acknowledged) + 1  # what was written, and whose answer was lost


async def test_a_restart_that_fails_or_is_cancelled_loses_nothing():
    async with open_broker(durable=True) as broker:
        async with client_of(broker) as client:
            await client.set("key", "value")
        await broker.kill()
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", urlsplit(broker.url).port)
        with pytest.raises(ChildError, match="Failed listening on port"):
            await broker.restart()
        server.close()
        await server.wait_closed()
        for turns in (1, 5, 50):
            restarting = asyncio.create_task(broker.restart())
            for _ in range(turns):
                await asyncio.sleep(0)
            restarting.cancel()
            await asyncio.gather(restarting, return_exceptions=True)
        await broker.restart()
        async with client_of(broker) as client:
            assert await client.get("key") == "value"


async def test_without_it_a_restart_forgets(kind):
    async with open_broker() as broker:
        assert not broker.durable
        async with client_of(broker) as client:
            await client.set("key", "value")
        await broker.restart()
        async with client_of(broker) as client:
            assert await client.get("key") is None


async def test_your_own_is_not_configured(monkeypatch):
    async with open_broker() as yours, client_of(yours) as client:
        monkeypatch.setenv("REDIS_URL", yours.url)
        async with open_broker(durable=True) as broker:
            assert not broker.durable
            assert broker.child is None
        assert await client.config_get("appendonly") == {"appendonly": "no"}


async def test_a_mistake_is_said():
    with pytest.raises(UsageError, match="durable='yes'"):
        async with open_broker(durable="yes"):
            pass


KERNEL = """
import asyncio, json
from rtlab.scale.broker import start_broker

async def main():
    broker = await start_broker(durable=True)
    home = broker.child
    await broker.kill()
    await broker.restart()
    child = broker.child
    pids = [child.pid, child.watchdog_pid, home.watchdog_pid]
    print(json.dumps([pids, [str(child.directory), str(home.directory)]]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_its_data_does_not_survive_a_killed_kernel():
    kernel = Child([sys.executable, "-c", KERNEL], name="kernel")
    try:
        line = await until(lambda: [line for line in kernel.log.tail() if line.startswith("[")], kernel.log.tail)
        pids, directories = json.loads(line[0])
        kernel.send_signal(signal.SIGKILL)
        await until(lambda: not [pid for pid in pids if psutil.pid_exists(pid)])
        assert not [each for each in directories if Path(each).exists()]
    finally:
        await kernel.aclose()
