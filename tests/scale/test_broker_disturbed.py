"""The broker frozen, killed, restarted, out of memory, read-only: what a client sees, and that nothing is left."""

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
from quick import quick
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import OutOfMemoryError, ReadOnlyError, ResponseError
from scale.redis_servers import QUICKLY_ONE, use_as_valkey

from rtlab.errors import ChildError, UsageError
from rtlab.scale.broker import Broker, open_broker, start_broker
from rtlab.servers.supervisor import Child

ACTS = ("freeze", "thaw", "kill", "restart", "out_of_memory", "read_only", "recover")
pytestmark = pytest.mark.timeout(WAIT_S * 3)


@pytest.fixture(params=QUICKLY_ONE, autouse=True)
def kind(request, monkeypatch):
    """What serves as our Valkey."""
    use_as_valkey(request.param, monkeypatch)
    return request.param


def client_of(broker: Broker, **options) -> Redis:
    """A client that tries once."""
    return Redis.from_url(broker.url, decode_responses=True, retry=Retry(NoBackoff(), 0), **options)


async def test_a_frozen_one_answers_nothing_and_on_thaw_does_what_was_given_up():
    async with open_broker() as broker, client_of(broker) as client:
        await client.set("before", 1)
        await broker.freeze()
        assert broker.running
        assert repr(broker).endswith(", frozen>")
        assert psutil.Process(broker.child.pid).status() == psutil.STATUS_STOPPED
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await client.set("given up", 1)
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(broker.url).port)  # the kernel accepts
        writer.close()
        await broker.freeze()
        await broker.thaw()
        assert repr(broker).endswith(", running>")
        assert await client.get("before") == "1"
        await until(lambda: client.get("given up"), "the command that the client had given up")
        await broker.thaw()


async def test_a_killed_one_closes_its_connections_and_refuses_others_until_the_restart():
    async with open_broker() as broker, client_of(broker) as client, client_of(broker) as listener:
        url, pid = broker.url, broker.child.pid
        await client.set("key", 1)
        async with listener.pubsub() as subscription:
            await subscription.subscribe("news")
            await broker.kill()
            assert not broker.running
            assert repr(broker).endswith(", ended with signal SIGKILL>")
            with pytest.raises(RedisConnectionError):
                await client.get("key")
            async with client_of(broker) as late:
                with pytest.raises(RedisConnectionError):
                    await late.ping()
            await broker.restart()
            assert broker.running
            assert (broker.url, broker.child.pid == pid) == (url, False)
        async with client_of(broker) as new:
            assert await new.get("key") is None
            assert await new.publish("news", "x") == 0


async def test_a_restart_ends_what_runs_and_leaves_one_directory_and_process():
    async with open_broker() as broker:
        seen = []
        for disturb in (None, broker.freeze, broker.out_of_memory, broker.read_only):
            if disturb is not None:
                await disturb()
            old = broker.child
            seen.append(old)
            await broker.restart()
            assert not psutil.pid_exists(old.pid)
            assert not old.directory.exists()
            async with client_of(broker) as client:
                await client.set("key", 1)
        assert "Ready to accept connections" in "\n".join(broker.log.tail())
        seen.append(broker.child)
    assert not [each for each in seen if psutil.pid_exists(each.pid) or each.directory.exists()]


async def test_restarts_at_once_come_one_after_the_other_and_a_stop_is_the_last_word():
    async with open_broker() as broker:
        await asyncio.gather(*(broker.restart() for _ in range(3)))
        restarting = asyncio.create_task(broker.restart())
        await asyncio.sleep(0)
        await broker.stop()
        await asyncio.gather(restarting, return_exceptions=True)
        assert not broker.running
        assert not psutil.pid_exists(broker.child.pid)
        with pytest.raises(UsageError, match="has been stopped"):
            await broker.restart()


async def test_a_restart_that_is_cancelled_can_be_repeated():
    async with open_broker() as broker:
        for turns in (0, 1, 5, 50):
            restarting = asyncio.create_task(broker.restart())
            for _ in range(turns):
                await asyncio.sleep(0)
            restarting.cancel()
            await asyncio.gather(restarting, return_exceptions=True)
        await broker.restart()
        async with client_of(broker) as client:
            assert await client.ping()


async def test_a_port_that_is_lost_meanwhile_is_said_and_can_be_tried_again():
    async with open_broker() as broker:
        await broker.kill()
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", urlsplit(broker.url).port)
        with pytest.raises(ChildError, match="Failed listening on port"):
            await broker.restart()
        assert not broker.running
        server.close()
        await server.wait_closed()
        await broker.restart()
        assert broker.running


async def test_out_of_memory_it_stores_nothing_and_still_passes_messages_on():
    async with open_broker() as broker, client_of(broker) as client:
        await client.set("key", "value")
        async with client.pubsub() as subscription:
            await subscription.subscribe("news")
            assert (await subscription.get_message(timeout=WAIT_S))["type"] == "subscribe"
            await broker.out_of_memory()
            for command in (("SET", "a", "b"), ("XADD", "s", "*", "k", "v"), ("EVAL", "redis.call('set','a',1)", "0")):
                with pytest.raises((OutOfMemoryError, ResponseError), match=r"OOM|used memory"):
                    await client.execute_command(*command)
            assert await client.get("key") == "value"
            assert await client.publish("news", "still here") == 1
            assert (await subscription.get_message(timeout=WAIT_S))["data"] == "still here"
        assert await client.delete("key") == 1
        await broker.recover()
        await client.set("a", "b")


async def test_read_only_it_takes_no_write_and_still_passes_messages_on():
    async with open_broker() as broker, client_of(broker) as client:
        await client.set("key", "value")
        waiting = asyncio.create_task(client.blpop(["queue"]))
        async with client_of(broker) as other:
            await until(lambda: _blocked(other))
            await broker.read_only()
            with pytest.raises(ResponseError, match="UNBLOCKED"):
                await waiting
            for command in (("SET", "a", "b"), ("DEL", "key"), ("XADD", "s", "*", "k", "v")):
                with pytest.raises(ReadOnlyError):
                    await other.execute_command(*command)
            assert await other.get("key") == "value"
            assert await other.publish("news", "x") == 0
            await broker.recover()
            assert await other.get("key") == "value", "no data is lost"
            await other.set("a", "b")


async def _blocked(client: Redis) -> bool:
    return (await client.info("clients"))["blocked_clients"] == 1


async def test_recover_undoes_all_three():
    async with open_broker() as broker, client_of(broker) as client:
        await broker.out_of_memory()
        await broker.read_only()
        await broker.freeze()
        for act in (broker.out_of_memory, broker.read_only):
            with pytest.raises(UsageError, match="frozen"):
                await act()
        await broker.recover()
        await client.set("a", "b")


async def test_nothing_can_be_done_to_a_dead_one_but_a_restart():
    async with open_broker() as broker:
        await broker.kill()
        for act in ACTS:
            if act != "restart":
                with pytest.raises(UsageError, match=r"ended with signal SIGKILL.*restart"):
                    await getattr(broker, act)()
    for act in ACTS:
        with pytest.raises(UsageError, match="has been stopped"):
            await getattr(broker, act)()


@pytest.mark.parametrize("act", ACTS)
async def test_your_own_server_is_never_touched(act, monkeypatch):
    async with open_broker() as yours, client_of(yours) as client:
        monkeypatch.setenv("REDIS_URL", yours.url)
        async with open_broker() as broker:
            before = await client.config_get("maxmemory"), (await client.info("server"))["run_id"]
            with pytest.raises(UsageError, match=r"server of your own.*Unset REDIS_URL") as caught:
                await getattr(broker, act)()
            assert urlsplit(yours.url).password not in str(caught.value)
            assert before == (await client.config_get("maxmemory"), (await client.info("server"))["run_id"])
            assert (await client.info("replication"))["role"] == "master"
            assert broker.running


async def test_a_frozen_one_is_stopped_properly_not_cut_off():
    broker = await start_broker()
    await broker.freeze()
    pid, directory = broker.child.pid, broker.child.directory
    await broker.stop()
    assert not psutil.pid_exists(pid)
    assert not directory.exists()
    assert broker.child.returncode == 0, "it has heard SIGTERM, and has not waited for SIGKILL"
    assert repr(broker).endswith(", stopped>")


KERNEL = """
import asyncio, json
from rtlab.scale.broker import start_broker

async def main():
    broker = await start_broker()
    await broker.freeze()
    child = broker.child
    print(json.dumps([child.pid, child.watchdog_pid, str(child.directory)]), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("number", quick([signal.SIGKILL, signal.SIGTERM], [signal.SIGKILL]))
async def test_a_frozen_one_does_not_survive_a_killed_kernel(number):
    kernel = Child([sys.executable, "-c", KERNEL], name="kernel")
    try:
        line = await until(lambda: [line for line in kernel.log.tail() if line.startswith("[")], kernel.log.tail)
        pid, watchdog, directory = json.loads(line[0])
        assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
        kernel.send_signal(number)
        await until(lambda: not psutil.pid_exists(pid) and not psutil.pid_exists(watchdog))
        assert not Path(directory).exists()
    finally:
        await kernel.aclose()
