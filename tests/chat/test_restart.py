"""A server that drains or restarts throws nobody out: every client comes back by itself, on every transport."""

import asyncio
import signal
from pathlib import Path

import pytest
from chat.serving import SECRET, token
from deadlines import WAIT_S

import rtlab
from rtlab.chat import connect, create_app

TESTS = Path(__file__).parent.parent
TRANSPORTS = {"default": None, "polling": ["polling"], "websocket": ["websocket"]}


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_a_client_comes_back_after_a_restart(transports):
    first = await rtlab.start(create_app(secret=SECRET), name="before")
    async with connect(first.url, token=token("alice"), transports=transports, reconnection_delay=0.1) as alice:
        await alice.join("lobby")
        await first.stop()
        assert (await alice.next("server:draining", within_s=WAIT_S)).data == {}
        reason = (await alice.next("disconnect", within_s=WAIT_S)).data
        assert reason in {"transport close", "transport error"}
        async with rtlab.serve(create_app(secret=SECRET), port=first.port):
            await alice.next("connect", within_s=WAIT_S)
            assert (await alice.send("lobby", "back again")).id, "in its rooms, too"


@pytest.mark.parametrize("transports", TRANSPORTS.values(), ids=TRANSPORTS)
async def test_sigterm_drains_whoever_hosts_the_chat(transports, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    async with rtlab.serve("chat.hostile_chat_app:by_default", in_child=True) as server:
        async with connect(server.url, token=token("alice"), transports=transports, reconnection=False) as alice:
            await alice.join("lobby")
            server.child.send_signal(signal.SIGTERM)
            await alice.next("server:draining", within_s=WAIT_S)
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
