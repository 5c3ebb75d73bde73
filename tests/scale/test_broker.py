"""A real Valkey, and Debian's Redis: started, stopped, replaced, and prevented from starting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from urllib.parse import urlsplit

import psutil
import pytest
from deadlines import WAIT_S
from redis.asyncio import Redis
from redis.exceptions import AuthenticationError
from scale.redis_servers import KINDS, use_as_valkey

from rtlab.errors import ChildError, UsageError
from rtlab.realtime.nodes.opening import shown
from rtlab.scale import broker as module
from rtlab.scale import valkey as starting
from rtlab.scale.broker import expect_replica, open_broker, start_broker
from rtlab.scale.launching import start_cluster
from rtlab.servers import programs
from rtlab.servers.registry import resources


@pytest.fixture(autouse=True, params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What serves as our Valkey: the bundled one, or Debian's redis-server."""
    use_as_valkey(request.param, monkeypatch)
    return request.param


def port_of(broker) -> int:
    return urlsplit(broker.url).port


def runs(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_it_answers_and_leaves_nothing_behind():
    async with open_broker() as broker, Redis.from_url(broker.url, decode_responses=True) as client:
        assert broker.running
        assert urlsplit(broker.url).hostname == "127.0.0.1"
        await client.set("greeting", "hello")
        assert await client.get("greeting") == "hello"
        assert resources() == (broker,)
        assert "Ready to accept connections" in "\n".join(broker.log.tail())
        pid, directory, port = broker.child.pid, broker.child.directory, port_of(broker)
        assert runs(pid)
    assert not runs(pid)
    assert not directory.exists()
    assert not broker.running
    assert resources() == ()
    socket.create_server(("127.0.0.1", port)).close()
    await broker.stop()


async def test_its_repr_says_what_it_is_and_whether_it_runs(kind):
    async with open_broker() as broker:
        assert repr(broker).startswith(f"<Broker redis://:…@127.0.0.1:{port_of(broker)}, {kind} ")
        assert repr(broker).endswith(", running>")
        broker.child.kill()
        async with asyncio.timeout(WAIT_S):
            await broker.child.wait_async()
        assert repr(broker).endswith(", ended with signal SIGKILL>")
    assert repr(broker).endswith(", stopped>")


async def test_it_keeps_nothing_on_disk():
    async with open_broker() as broker, Redis.from_url(broker.url, decode_responses=True) as client:
        assert (await client.config_get("save", "appendonly")) == {"save": "", "appendonly": "no"}


async def test_it_listens_on_loopback_only():
    async with open_broker() as broker, Redis.from_url(broker.url, decode_responses=True) as client:
        assert (await client.config_get("bind"))["bind"] == "127.0.0.1"


async def test_brokers_stand_side_by_side_unless_they_share_a_name(capsys):
    async with open_broker() as first, open_broker(name="shared") as second:
        assert first.url != second.url
        async with open_broker(name="shared") as third:
            assert (first.running, second.running, third.running) == (True, False, True)
    assert "started under the name 'shared'" in capsys.readouterr().out


@pytest.mark.parametrize("holder", ["another program", "another Valkey"])
async def test_a_port_that_is_lost_to_another_program_is_replaced_by_the_next(holder, monkeypatch):
    free_port = starting.free_port
    async with contextlib.AsyncExitStack() as stack:
        if holder == "another Valkey":
            other = await stack.enter_async_context(open_broker())
            taken = port_of(other)
        else:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            taken = listener.getsockname()[1]
        ports = [taken, taken]
        monkeypatch.setattr(starting, "free_port", lambda: ports.pop() if ports else free_port())
        async with open_broker() as broker:
            assert ports == []
            assert not broker.url.endswith(f":{taken}")
            assert broker.running


async def test_when_every_port_is_lost_the_message_shows_why(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(starting, "free_port", lambda: listener.getsockname()[1])
        with pytest.raises(ChildError, match=r"(?s)exit status 1.*Failed listening on port"):
            await start_broker()
    assert resources() == ()


async def test_your_own_server_is_used_and_never_stopped(monkeypatch):
    async with open_broker() as yours:
        monkeypatch.setenv("REDIS_URL", yours.url)
        async with open_broker() as broker:
            assert broker.url == yours.url
            assert broker.child is None
            assert repr(broker) == f"<Broker {shown(yours.url)}, your own, named by REDIS_URL, running>"
            with pytest.raises(UsageError, match="its own log"):
                _ = broker.log
        assert not broker.running
        assert yours.running
        async with Redis.from_url(yours.url) as client:
            assert await client.ping()


async def test_a_cluster_that_waits_for_replicas_refuses_a_server_of_your_own_that_has_none(monkeypatch):
    monkeypatch.setattr(module, "LOOK_MS", 10)
    async with open_broker() as yours:
        monkeypatch.setenv("REDIS_URL", yours.url)
        with pytest.raises(UsageError, match="no replica follows that server") as caught:
            await start_cluster(durability="replica")
        assert yours.url not in str(caught.value), "the password is not shown"
        assert resources() == (yours,)


async def test_a_replica_of_your_own_is_found_and_is_no_primary_itself():
    async with open_broker() as yours:
        password = urlsplit(yours.url).password
        async with Redis.from_url(yours.url) as client:
            await client.config_set("repl-diskless-sync-delay", 0)
        settings = {"replicaof": f"127.0.0.1 {port_of(yours)}", "masterauth": password}
        replica = await starting.start_valkey(programs.valkey(), password, settings=settings)
        try:
            await expect_replica(yours.url)  # it waits until the replica has copied all
            with pytest.raises(UsageError, match="WAIT cannot be used with replica instances"):
                await expect_replica(replica.url)
        finally:
            await replica.child.aclose()


async def test_a_wrong_password_or_none_is_refused_and_the_url_has_the_right_one():
    async with open_broker() as broker:
        right = urlsplit(broker.url)
        assert len(right.password) >= 32
        for netloc in (f"127.0.0.1:{right.port}", f":wrong@127.0.0.1:{right.port}", f"ada:x@127.0.0.1:{right.port}"):
            async with Redis.from_url(right._replace(netloc=netloc).geturl()) as stranger:
                for command in ("PING", "INFO", "GET x", "PUBLISH x y", "SHUTDOWN NOSAVE", "CONFIG GET requirepass"):
                    with pytest.raises(AuthenticationError):
                        await stranger.execute_command(*command.split())
        assert broker.running
        async with open_broker() as other:
            assert urlsplit(other.url).password != right.password


async def test_the_password_stands_nowhere_but_in_the_url():
    async with open_broker() as broker:
        await broker.restart()
        password = urlsplit(broker.url).password
        process = psutil.Process(broker.child.pid)
        watchdog = psutil.Process(broker.child.watchdog_pid)
        for each in (process, watchdog):
            assert password not in " ".join(each.cmdline())
            assert password not in str(each.environ())
        files = [path for path in broker.child.directory.rglob("*") if path.is_file()]
        assert not [path for path in files if password.encode() in path.read_bytes()]
        for text in (repr(broker), str(broker), repr(broker.child), repr(broker.log), repr(broker._ours)):
            assert password not in text
        assert password not in "\n".join(broker.log.tail(1000))


async def test_a_wrong_password_in_redis_url_is_an_error_that_says_so(monkeypatch):
    async with open_broker() as yours:
        for user in ("", ":wrong@", "ada:wrong@"):
            monkeypatch.setenv("REDIS_URL", f"redis://{user}127.0.0.1:{port_of(yours)}")
            with pytest.raises(UsageError, match="no answer there: the user and password in the URL are wrong"):
                await start_broker()
