"""A node that is killed, or taken for dead: its members leave once, its sessions are restored elsewhere."""

import asyncio
import signal
import time
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from chat.serving import BOTH, SECRET, Person, token
from chat.several import keys_of, needs_valkey, several
from deadlines import SCALE, WAIT_S
from eventually import until

import rtlab
from rtlab.chat.node import BEAT_S, GONE_S, PRESENCE_S
from rtlab.chat.stores.memory import LIFE_S
from rtlab.chat.stores.redis_sessions import RENEW_S

TESTS = Path(__file__).parents[1]
pytestmark = needs_valkey


@asynccontextmanager
async def worker(nodes, name="worker-1", app="chat.node_app:generous"):
    """One more node, in a process of its own. It reads the environment as a worker of a cluster does."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PYTHONPATH", str(TESTS))
        environment.setenv("RTLAB_WORKER", name)
        environment.setenv("RTLAB_SECRET", SECRET)
        environment.setenv("REDIS_URL", nodes.broker.url)
        async with rtlab.serve(app, in_child=True) as server:
            yield server


async def buried(nodes, name):
    """Whether nothing in Redis counts for a node any longer."""
    there = [*await keys_of(nodes.redis), *await nodes.redis.zrange("{rtlab.chat}:nodes", 0, -1)]
    return not any(name in each for each in there)


async def visit(server, name):
    person = Person(name)
    await person.sio.connect(
        server.url, auth={"token": token(name)}, namespaces=list(BOTH), transports=["websocket"], wait_timeout=WAIT_S
    )
    return person


async def test_members_of_a_killed_node_leave_once_and_in_time():
    async with several(2) as nodes, worker(nodes) as server:
        watchers = [await nodes.enter(0, "w0"), await nodes.enter(1, "w1")]
        both = await nodes.enter(1, "both")
        people = [await visit(server, name) for name in ("alice", "both")]
        for each in (*watchers, both, *people):
            await each.join("hall")
            await each.ask("room:join", "desk")
        ids = [await each.next("session") for each in people]
        await asyncio.to_thread(server.child.kill)
        killed = time.monotonic()
        for each in await keys_of(nodes.redis):
            if each.startswith("session:"):
                ttl = await nodes.redis.ttl("{rtlab.chat}:" + each)
                assert LIFE_S - GONE_S * SCALE <= ttl <= LIFE_S + RENEW_S, "from the last moment connected"
        for each in watchers:
            assert await each.next("chat:userLeft") == {"username": "alice", "room": "hall"}
            assert await each.next("room:userLeft") == {"user": "alice", "room": "desk"}
        took = time.monotonic() - killed
        print(f"told after {took:.1f} s")
        assert took < (PRESENCE_S + 2 * BEAT_S) * SCALE + 10, (
            "in the order of the constant, on a machine with neighbours"
        )
        again = await nodes.enter(0, "alice")
        restored = await again.ask("session:restore", ids[0]["id"])
        assert restored["rooms"] == ["desk", "hall"]
        assert (await again.join("hall"))["members"] == ["alice", "both", "w0", "w1"]
        thief = await nodes.enter(1, "mallory")
        assert (await thief.ask("session:restore", ids[0]["id"]))["code"] == "unknown_session"
        for each in watchers:
            assert await each.all("chat:userLeft") == []
        await until(lambda: buried(nodes, "worker-1"))
        assert len(await nodes.redis.hgetall("{rtlab.chat}:conns:both")) == 1
        for each in people:
            await each.close()


@pytest.mark.long
async def test_a_node_that_was_stopped_for_long_is_taken_for_dead_and_comes_again():
    async with several(1) as nodes, worker(nodes) as server:
        watcher = await nodes.enter(0, "watcher")
        await watcher.join("hall")
        alice = await visit(server, "alice")
        await alice.join("hall")
        assert (await watcher.next("chat:userJoined"))["username"] == "alice"
        server.child.send_signal(signal.SIGSTOP)
        assert (await watcher.next("chat:userLeft"))["username"] == "alice"
        server.child.send_signal(signal.SIGCONT)
        assert (await watcher.next("chat:userJoined"))["username"] == "alice", "whose connection was there all the time"
        assert (await watcher.join("hall"))["members"] == ["alice", "watcher"]
        await alice.close()
        assert (await watcher.next("chat:userLeft"))["username"] == "alice"


async def test_an_end_in_good_order_leaves_nothing_at_once():
    async with several(1) as nodes:
        watcher = await nodes.enter(0, "watcher")
        await watcher.join("hall")
        async with worker(nodes, app="rtlab.chat:create_app") as server:
            alice = await visit(server, "alice")
            await alice.join("hall")
            assert (await watcher.next("chat:userJoined"))["username"] == "alice"
            await alice.close()
            assert (await watcher.next("chat:userLeft"))["username"] == "alice"


@pytest.mark.long
async def test_where_redis_was_frozen_for_long_no_node_is_taken_for_dead():
    """Nobody could say that it lives: whoever is first when it goes on must not bury the others."""
    async with several(3, errors_expected=True, answer_s=2 * SCALE) as nodes:
        people = [await nodes.enter(number) for number in range(3)]
        for each in people:
            await each.join("hall")
        await until(lambda: all(place.chat.node._steady_since for place in nodes.places))
        await nodes.broker.freeze()
        frozen = time.monotonic()
        await until(lambda: time.monotonic() - frozen > GONE_S + 2 * BEAT_S)
        await nodes.broker.thaw()
        thawed = time.monotonic()
        await until(lambda: time.monotonic() - thawed > GONE_S + 2 * BEAT_S)
        for each in people:
            assert await each.all("chat:userLeft") == []
        assert len((await people[0].join("hall"))["members"]) == 3


@pytest.mark.long
async def test_when_all_nodes_were_killed_the_next_one_tidies_up():
    async with several(1) as nodes:
        async with worker(nodes, "worker-1") as one, worker(nodes, "worker-2") as other:
            people = [await visit(one, "alice"), await visit(other, "bob")]
            for each in people:
                await each.join("hall")
            for each in (one, other):
                await asyncio.to_thread(each.child.kill)
            for each in people:
                await each.close()
        assert (await (watcher := await nodes.enter(0, "watcher")).join("hall"))["members"]
        for name in ("worker-1", "worker-2"):
            await until(lambda name=name: buried(nodes, name))
        assert (await watcher.join("hall"))["members"] == ["watcher"]
