"""Redis killed, frozen, slow, full, read-only: who emits is told, nobody hears what was refused, and it goes on."""

import asyncio
import contextlib
import logging
from contextlib import asynccontextmanager

import pytest
from deadlines import SCALE, WAIT_S
from eventually import until
from realtime.nodes.several import SHORT_S, hears, nodes_on, refused, valkey
from realtime.serving import lab_of

import rtlab
from rtlab.errors import RedisUnavailable
from rtlab.realtime import RedisManager, Server
from rtlab.realtime.nodes import publisher, subscription


async def goes_on(node):
    """Wait until an emit is taken again."""

    async def emitted():
        try:
            await node.sio.emit("again")
        except RedisUnavailable:
            return False
        return True

    await until(emitted)


async def skip_to(client, *data):
    """Read until this event; gives what came before."""
    before = []
    async with asyncio.timeout(WAIT_S):
        while (got := (await client.receive()).data) != list(data):
            before.append(got)
    return before


async def every_refusal(node, sid):
    """Everything that needs the other nodes is refused, and in time."""
    await refused(node.sio.emit("refused"))
    await refused(node.sio.emit("refused", to=sid, callback=print))
    await refused(node.sio.call("refused", to="sid:elsewhere"))
    await refused(node.sio.enter_room("sid:elsewhere", "a"))
    await refused(node.sio.leave_room("sid:elsewhere", "a"))
    await refused(node.sio.close_room("a"))
    await refused(node.sio.disconnect("sid:elsewhere"))


async def test_killed_and_started_again(caplog):
    caplog.set_level(logging.WARNING, "rtlab.realtime")
    async with valkey() as redis, nodes_on(redis.url, answer_s=SHORT_S) as (here, there):
        clients = [(await node.client())[0] for node in (here, there)]
        sid = next(sid for sid, _ in here.manager.get_participants("/", None))
        await here.sio.enter_room(sid, "a")
        await redis.kill()
        await every_refusal(here, sid)
        assert "a" in here.sio.rooms(sid)  # what was refused was not done here either
        assert here.manager.callbacks == {}
        assert await clients[0].request("echo", 1) == [1]  # what needs no other node works
        await redis.start()
        await goes_on(here)
        for client in clients:
            await hears(client, "again")
        await there.sio.emit("end")
        for client in clients:
            await hears(client, "end")
        for node in (here, there):
            assert node.manager.subscription.lost_total == 1
            assert node.manager.link.lost_total == 1
    assert "expected messages of other nodes from Redis" in caplog.text


async def test_frozen_and_thawed():
    async with valkey() as redis, nodes_on(redis.url, answer_s=SHORT_S) as (here, there):
        clients = [(await node.client())[0] for node in (here, there)]
        await here.sio.emit("begin")
        for client in clients:
            await hears(client, "begin")
        redis.freeze()
        async with asyncio.timeout(WAIT_S):
            emits = (here.sio.emit("refused", number) for number in range(200))
            assert {type(each) for each in await asyncio.gather(*emits, return_exceptions=True)} == {RedisUnavailable}
        await every_refusal(here, "sid:elsewhere")
        assert here.manager.callbacks == {}
        assert here.manager._publisher.held == 0
        redis.thaw()
        await goes_on(here)
        for client in clients:
            await hears(client, "again")
        for node in (here, there):  # who waits with its subscription through a frozen Redis has missed nothing
            assert node.manager.subscription.lost_total == 0


async def test_slow():
    """Slower than the caller waits: refused, and not delivered when Redis comes to it."""
    async with valkey() as redis, nodes_on(redis.url, answer_s=SHORT_S) as nodes:
        clients = [(await node.client())[0] for node in nodes]
        await nodes[0].sio.emit("begin")
        await redis.ask("CLIENT", "PAUSE", int(SHORT_S * 500))
        await nodes[0].sio.emit("late")  # but in time
        await redis.ask("CLIENT", "PAUSE", int(SHORT_S * 2000))
        await refused(nodes[0].sio.emit("refused"))
        await goes_on(nodes[0])
        for client in clients:
            for each in ("begin", "late", "again"):
                await hears(client, each)


@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    ],
    ids=["full", "read-only", "no replicas"],
)
async def test_full_or_read_only(break_it, mend_it):
    """It still publishes for us until the next look; from then on it counts as away, for what it may have lost."""
    async with valkey() as redis, nodes_on(redis.url, answer_s=SHORT_S) as nodes:
        clients = [(await node.client())[0] for node in nodes]
        await redis.ask(*break_it)
        await until(lambda: not any(node.manager.link.up for node in nodes))
        await every_refusal(nodes[0], "sid:elsewhere")
        await redis.ask(*mend_it)
        await goes_on(nodes[0])
        for client in clients:
            await hears(client, "again")


async def test_under_load_each_emit_is_heard_by_all_or_refused():
    """Redis is killed and frozen under four talkers. On the node that emits, nothing that was refused is heard."""
    async with valkey() as redis, nodes_on(redis.url, answer_s=SHORT_S) as (here, there):
        clients = [(await node.client())[0] for node in (here, there)]
        taken, over = [], asyncio.Event()

        async def talk(who):
            number = 0
            while not over.is_set():
                number += 1
                try:
                    await here.sio.emit("news", [who, number])
                except RedisUnavailable:
                    await asyncio.sleep(0.01)
                else:
                    taken.append([who, number])

        talking = [asyncio.create_task(talk(who)) for who in range(4)]
        for trouble, mended in ((redis.kill, redis.start), (redis.freeze, redis.thaw)):
            count = len(taken)
            await until(lambda count=count: len(taken) > count + 50)
            await in_turn(trouble)
            await until(lambda: not here.manager.link.up)
            await in_turn(mended)
        count = len(taken)
        await until(lambda: len(taken) > count + 50)
        over.set()
        await asyncio.gather(*talking)
        await here.sio.emit("end")
        on_here, on_there = [[each[1] for each in await skip_to(client, "end")] for client in clients]
        assert on_here == taken  # exactly what was taken, in order
        refused_there = [each for each in on_there if each not in taken]
        assert [each for each in on_there if each in taken] == [each for each in taken if each in on_there]
        assert len(refused_there) <= 8  # what each of four had said when Redis took it and could not answer, twice


async def in_turn(action):
    if asyncio.iscoroutine(result := action()):
        await result


async def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(publisher, "QUEUE_BYTES", 100_000)
    async with valkey() as redis, nodes_on(redis.url, answer_s=SHORT_S) as (here, _):
        redis.freeze()
        emitting = [asyncio.create_task(here.sio.emit("news", "x" * 9_000)) for _ in range(50)]
        await until(lambda: sum(task.done() for task in emitting) >= 38)
        assert here.manager._publisher.held <= 100_000
        problems = [task.exception().problem for task in emitting if task.done()]
        assert any("wait for it already" in problem for problem in problems)
        await asyncio.wait(emitting)
        assert {type(task.exception()) for task in emitting} == {RedisUnavailable}
        assert here.manager._publisher.held == 0


async def test_one_that_gives_up_neither_stops_nor_reorders_the_others():
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        client, _ = await there.client()
        tasks = [asyncio.create_task(here.sio.emit("news", number)) for number in range(100)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.wait(tasks)
        await here.sio.emit("end")
        heard = [number for _, number in await skip_to(client, "end")]
        assert heard == sorted(heard)
        assert set(range(1, 100, 2)) <= set(heard)


async def test_a_subscription_that_redis_ends_is_made_again(caplog):
    async with valkey() as redis, nodes_on(redis.url, answer_s=SHORT_S) as (here, there):
        client, _ = await there.client()
        for lost in range(1, 4):
            await redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
            await until(lambda lost=lost: there.manager.subscription.lost_total >= lost)
            await there.manager.subscription.subscribed.wait()
        await goes_on(here)
        await hears(client, "again")
    assert "subscribed to 'socketio' again" in caplog.text


async def test_a_silent_connection_is_given_up_and_a_quiet_one_is_not(monkeypatch):
    monkeypatch.setattr(subscription, "LOOK_S", 0.02)
    async with valkey() as redis, deaf_subscribers(redis.port) as (port, deaf):
        async with nodes_on(f"redis://127.0.0.1:{port}", 1, answer_s=2 * SCALE) as (node,):
            await until(lambda: pinged(redis, 20))
            assert node.manager.subscription.lost_total == 0
            deaf.set()  # as behind a firewall that has forgotten the connection
            await until(lambda: node.manager.subscription.lost_total >= 1)
            deaf.clear()
            await node.manager.subscription.subscribed.wait()
            assert node.manager.link.lost_total == 0


async def pinged(redis, times):
    return (await redis.ask("INFO", "commandstats")).get("cmdstat_ping", {}).get("calls", 0) > times


@asynccontextmanager
async def deaf_subscribers(port):
    """A way to Redis on which subscribers hear nothing any more while `deaf` is set; gives its port, and that."""
    deaf = asyncio.Event()

    async def carry(reader, writer, subscribes, outward):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if outward and b"SUBSCRIBE" in data:
                    subscribes.set()
                if outward or not (deaf.is_set() and subscribes.is_set()):
                    writer.write(data)
        writer.close()

    async def connected(reader, writer):
        subscribes = asyncio.Event()
        there = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, there[1], subscribes, True), carry(there[0], writer, subscribes, False))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], deaf
    finally:
        server.close()


async def test_a_node_that_starts_without_redis_serves_its_clients_and_hears_the_others_later():
    async with valkey() as redis:
        await redis.kill()
        manager = RedisManager(redis.url, answer_s=SHORT_S)
        sio = Server(client_manager=manager)
        sio.on("echo", lambda sid, *data: data)
        async with rtlab.serve(sio) as server, lab_of(server) as lab:
            client = await lab.client()
            assert await client.request("echo", 1) == [1]
            await refused(sio.emit("refused"))
            await redis.start()
            async with nodes_on(redis.url) as (other, _), asyncio.timeout(WAIT_S):
                await manager.ready()
                await other.sio.emit("news")
                await hears(client, "news")
