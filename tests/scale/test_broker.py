"""A real Valkey, started, stopped, replaced, and prevented from starting."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket

import pytest
from deadlines import SCALE, WAIT_S
from redis.asyncio import Redis

from rtlab.errors import ChildError, MissingProgramError, UsageError
from rtlab.scale import broker as module
from rtlab.scale.broker import open_broker, start_broker
from rtlab.servers import programs
from rtlab.servers.registry import resources

try:
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)


@pytest.fixture(autouse=True)
def _our_own_valkey(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)


def stand_in(tmp_path, monkeypatch, *lines: str) -> None:
    """Name a shell script as the Valkey to start."""
    path = tmp_path / "valkey-server"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    monkeypatch.setenv("RTLAB_VALKEY", str(path))


def runs(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def test_it_answers_and_leaves_nothing_behind():
    async with open_broker() as broker, Redis.from_url(broker.url, decode_responses=True) as client:
        assert broker.running
        assert broker.url.startswith("redis://127.0.0.1:")
        await client.set("greeting", "hello")
        assert await client.get("greeting") == "hello"
        assert resources() == (broker,)
        assert "Ready to accept connections" in "\n".join(broker.log.tail())
        pid, directory, port = broker.child.pid, broker.child.directory, int(broker.url.rpartition(":")[2])
        assert runs(pid)
    assert not runs(pid)
    assert not directory.exists()
    assert not broker.running
    assert resources() == ()
    socket.create_server(("127.0.0.1", port)).close()
    await broker.stop()


async def test_its_repr_says_what_it_is_and_whether_it_runs():
    async with open_broker() as broker:
        assert repr(broker).startswith(f"<Broker {broker.url}, Valkey ")
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
    free_port = module._free_port
    async with contextlib.AsyncExitStack() as stack:
        if holder == "another Valkey":
            other = await stack.enter_async_context(open_broker())
            taken = int(other.url.rpartition(":")[2])
        else:
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            taken = listener.getsockname()[1]
        ports = [taken, taken]
        monkeypatch.setattr(module, "_free_port", lambda: ports.pop() if ports else free_port())
        async with open_broker() as broker:
            assert ports == []
            assert not broker.url.endswith(f":{taken}")
            assert broker.running


async def test_when_every_port_is_lost_the_message_shows_why(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setattr(module, "_free_port", lambda: listener.getsockname()[1])
        with pytest.raises(ChildError, match=r"(?s)exit status 1.*Failed listening on port"):
            await start_broker()
    assert resources() == ()


async def test_a_valkey_that_ends_shows_its_last_words(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, "echo 'no memory left'", "exit 3")
    with pytest.raises(ChildError, match=r"(?s)Valkey ended with exit status 3.*no memory left"):
        await start_broker()


async def test_a_valkey_that_never_answers_is_given_up_and_ended(tmp_path, monkeypatch):
    stand_in(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/pid", "echo 'still loading'", "exec sleep 1000")
    monkeypatch.setattr(module, "READY_S", 2 * SCALE)
    with pytest.raises(ChildError, match=r"(?s)did not answer PING within.*still loading"):
        await start_broker()
    assert not runs(int((tmp_path / "pid").read_text()))


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "alive")
    stand_in(tmp_path, monkeypatch, f"echo $$ > {tmp_path}/alive", "exec sleep 1000")
    starting = asyncio.create_task(start_broker())
    async with asyncio.timeout(WAIT_S):
        pid = int(await asyncio.to_thread((tmp_path / "alive").read_text))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert not runs(pid)


async def test_your_own_server_is_used_and_never_stopped(monkeypatch):
    async with open_broker() as yours:
        monkeypatch.setenv("REDIS_URL", yours.url)
        async with open_broker() as broker:
            assert broker.url == yours.url
            assert broker.child is None
            assert repr(broker) == f"<Broker {yours.url}, your own, named by REDIS_URL, running>"
            with pytest.raises(UsageError, match="its own log"):
                _ = broker.log
        assert not broker.running
        assert yours.running
        async with Redis.from_url(yours.url) as client:
            assert await client.ping()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("redis://ada:secret@127.0.0.1:{port}/3", "PING got no answer there"),
        ("redis://127.0.0.1:{port}?password=secret", "PING got no answer there"),
        ("http://127.0.0.1:{port}", "redis://, rediss://, unix://"),
        ("localhost", "redis://, rediss://, unix://"),
    ],
)
async def test_a_wrong_address_is_an_error_that_tells_no_password(url, says, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    monkeypatch.setenv("REDIS_URL", url.format(port=port))
    with pytest.raises(UsageError) as caught:
        await start_broker()
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_a_server_that_accepts_and_says_nothing_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "READY_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(UsageError, match=r"no answer within 0\.5 s"):
            await start_broker()


async def test_your_password_stands_in_the_url_but_not_in_the_repr():
    shown = repr(module.Broker("redis://ada:secret@example.org:6379/0", "your own"))
    assert shown == "<Broker redis://ada:…@example.org:6379/0, your own, running>"
