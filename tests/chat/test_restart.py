"""A server that drains or restarts throws nobody out: every client comes back by itself, on every transport."""

import asyncio
import functools
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from chat.serving import SECRET, token
from deadlines import WAIT_S
from quick import quick

import rtlab
from rtlab.chat import connect, create_app
from rtlab.servers.ports import free_port

TESTS = Path(__file__).parent.parent
TRANSPORTS = {"default": None, "polling": ["polling"], "websocket": ["websocket"]}
EACH_TRANSPORT = pytest.mark.parametrize("transport", quick(TRANSPORTS, ["default"]))


@EACH_TRANSPORT
async def test_a_client_comes_back_after_a_restart(transport):
    first = await rtlab.start(create_app(secret=SECRET), port=free_port(), name="before")
    async with connect(
        first.url, token=token("alice"), transports=TRANSPORTS[transport], reconnection_delay=0.1
    ) as alice:
        await alice.join("lobby")
        await first.stop()
        assert (await alice.next("server:draining", within_s=WAIT_S)).data == {}
        reason = (await alice.next("disconnect", within_s=WAIT_S)).data
        assert reason in {"transport close", "transport error"}
        async with rtlab.serve(create_app(secret=SECRET), port=first.port):
            await alice.next("connect", within_s=WAIT_S)
            assert (await alice.send("lobby", "back again")).id, "in its rooms, too"


@pytest.mark.parametrize("turns", range(8))
@EACH_TRANSPORT
async def test_a_client_that_is_closed_while_it_tries_to_come_back_stops(transport, turns):
    """In whichever turn of the event loop: python-socketio's own shutdown can come too early for its attempts."""
    app = create_app(secret=SECRET)
    server = await rtlab.start(app, name="gone")
    async with connect(
        server.url, token=token("alice"), transports=TRANSPORTS[transport], reconnection_delay=0.01
    ) as alice:
        app[rtlab.chat.CHAT].hurry()
        await server.stop()
        await alice.next("disconnect", within_s=WAIT_S)
        for _ in range(turns):
            await asyncio.sleep(0)
        async with asyncio.timeout(WAIT_S):
            await alice.close()
        assert not alice.connected


@asynccontextmanager
async def saying_nothing(port):
    """A server that accepts and says nothing, from when somebody has come to it."""
    asked = asyncio.Event()

    async def silent(reader, writer):
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", port):
        await asked.wait()
        yield


@EACH_TRANSPORT
async def test_a_client_is_closed_while_a_server_accepts_and_says_nothing(transport):
    app = create_app(secret=SECRET)
    server = await rtlab.start(app, name="gone")
    async with connect(
        server.url, token=token("alice"), transports=TRANSPORTS[transport], reconnection_delay=0.01
    ) as alice:
        app[rtlab.chat.CHAT].hurry()
        await server.stop()
        async with saying_nothing(server.port):
            async with asyncio.timeout(WAIT_S):
                await alice.close()
        with pytest.raises(rtlab.chat.ChatError, match="over"):
            await alice.next("never", within_s=WAIT_S)


@EACH_TRANSPORT
async def test_a_client_whose_attempts_are_used_up_says_so(transport):
    app = create_app(secret=SECRET)
    server = await rtlab.start(app, name="gone")
    options = {"reconnection_delay": 0.01, "reconnection_attempts": 2}
    async with connect(server.url, token=token("alice"), transports=TRANSPORTS[transport], **options) as alice:
        app[rtlab.chat.CHAT].hurry()
        await server.stop()
        with pytest.raises(rtlab.chat.ChatError, match="over"):
            await alice.next("never", within_s=WAIT_S)


async def test_a_server_that_says_nothing_is_tried_again(monkeypatch):
    first = await rtlab.start(app := create_app(secret=SECRET), port=free_port(), name="gone")
    only = ["websocket"]
    async with connect(first.url, token=token("alice"), transports=only, reconnection_delay=0.01) as alice:
        await alice.next("connect")
        app[rtlab.chat.CHAT].hurry()
        with monkeypatch.context() as patched:
            patched.setattr("rtlab.chat.client.calls.CONNECT_S", 0.2)
            await first.stop()
            async with saying_nothing(first.port):
                pass
        async with rtlab.serve(create_app(secret=SECRET), port=first.port):
            await alice.next("connect", within_s=WAIT_S)


@EACH_TRANSPORT
async def test_sigterm_drains_whoever_hosts_the_chat(transport, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    async with rtlab.serve("chat.hostile_chat_app:by_default", in_child=True) as server:
        async with connect(
            server.url, token=token("alice"), transports=TRANSPORTS[transport], reconnection=False
        ) as alice:
            await alice.join("lobby")
            server.child.send_signal(signal.SIGTERM)
            await alice.next("server:draining", within_s=WAIT_S)
            await alice.next("disconnect", within_s=WAIT_S)
            async with asyncio.timeout(WAIT_S):
                assert await server.child.wait_async() == 0


@EACH_TRANSPORT
async def test_who_is_there_goes_on_while_a_child_drains(transport, monkeypatch):
    """What was begun is finished; nobody new comes in; a balancer hears that it is not ready."""
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    async with (
        rtlab.serve("chat.hostile_chat_app:by_default", in_child=True) as server,
        connect(server.url, token=token("alice"), transports=TRANSPORTS[transport], reconnection=False) as alice,
    ):

        async def ready() -> int:
            """As a balancer asks: on a connection of its own."""
            async with aiohttp.ClientSession() as balancer, balancer.get(f"{server.url}/health/ready") as answer:
                return answer.status

        await alice.join("lobby")
        assert await ready() == 200
        server.child.send_signal(signal.SIGTERM)
        await alice.next("server:draining", within_s=WAIT_S)
        server.child.send_signal(signal.SIGTERM)  # a second one changes nothing
        assert await ready() == 503
        assert (await alice.send("lobby", "the end of a sentence")).id
        assert (await alice.next("chat:message", within_s=WAIT_S)).data["text"] == "the end of a sentence"
        with pytest.raises(rtlab.chat.ChatError):
            await connect(server.url, token=token("bob"), transports=TRANSPORTS[transport], reconnection=False)
        await alice.next("disconnect", within_s=WAIT_S)
        async with asyncio.timeout(WAIT_S):
            assert await server.child.wait_async() == 0


async def test_draining_ends_when_everybody_has_left():
    app = create_app(secret=SECRET)
    chat = app[rtlab.chat.CHAT]
    async with rtlab.serve(app) as server:
        async with connect(server.url, token=token("alice")) as alice:
            draining = asyncio.create_task(chat.drain(10 * WAIT_S))
            await alice.next("server:draining", within_s=WAIT_S)
            assert not draining.done()
        async with asyncio.timeout(WAIT_S):
            await draining


@pytest.mark.parametrize("code", ["draining", "rate_limited", "too_many_connections"])
async def test_a_client_that_is_refused_with_a_good_token_comes_back_later(code, monkeypatch):
    app = create_app(secret=SECRET)
    chat, refused = app[rtlab.chat.CHAT], []
    let_in = chat._let_in

    async def refuse_first(*arguments):
        if len(refused) in {2, 3}:  # the first time that it comes back
            refused.append(code)
            raise chat._refused(code, "Later")
        refused.append("")
        await let_in(*arguments)

    monkeypatch.setattr(chat, "_let_in", refuse_first)
    async with rtlab.serve(app) as server:
        async with connect(server.url, token=token("alice"), reconnection_delay=0.05) as alice:
            await alice.join("lobby")
            await alice.next("connect")
            for session in [*chat.sio.eio.sockets.values()]:
                session.drop_slow_consumer()
            assert (await alice.next("connect_error", within_s=WAIT_S)).data["data"] == {"code": code}
            await alice.next("connect", within_s=WAIT_S)
            assert (await alice.send("lobby", "back again")).id


async def test_a_client_in_more_rooms_than_its_rate_allows_at_once_comes_back_into_all():
    app = create_app(secret=SECRET, limits=rtlab.chat.Limits(burst=8, events_per_s=10))
    async with rtlab.serve(app) as server:
        async with connect(server.url, token=token("alice"), reconnection_delay=0.05) as alice:

            async def in_the_end(ask):
                """What is asked, again where the rate does not allow it yet."""
                while True:
                    try:
                        return await ask()
                    except rtlab.chat.ChatError as error:
                        if error.code != "rate_limited":
                            raise
                    await asyncio.sleep(0.05)

            for number in range(10):
                await in_the_end(functools.partial(alice.join, f"room {number}"))
            await alice.next("connect")
            for session in [*app[rtlab.chat.CHAT].sio.eio.sockets.values()]:
                session.drop_slow_consumer()
            await alice.next("connect", within_s=WAIT_S)
            assert (await in_the_end(lambda: alice.send("room 9", "back again"))).id
