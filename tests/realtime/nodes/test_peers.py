"""Plain servers and emitters of python-socketio on the same channel: both sides understand each other."""

import asyncio
import contextlib
from contextlib import asynccontextmanager

import pytest
import socketio
from deadlines import WAIT_S
from eventually import until
from realtime.nodes.several import Node, hears, nodes_on, refused, valkey
from realtime.serving import lab_of

import rtlab
from rtlab.realtime import RedisManager


@asynccontextmanager
async def plain_node(manager):
    """A plain server with this manager, that hears the others."""
    sio = socketio.AsyncServer(client_manager=manager)
    sio.on("*", lambda event, sid, *data: data)
    async with rtlab.serve(sio) as server, lab_of(server) as lab:
        node = Node(sio, manager, lab)
        await node.client()  # only now does it subscribe
        yield node


@asynccontextmanager
async def plain_peer(redis):
    """One with the manager of python-socketio, which has nothing that ends it."""
    manager = socketio.AsyncRedisManager(redis.url)
    try:
        async with plain_node(manager) as node:
            await until(lambda: subscribed(redis, 2))
            yield node
    finally:
        manager.thread.cancel()
        await asyncio.wait([manager.thread])
        await manager.pubsub.aclose()
        await manager.redis.aclose()


async def subscribed(redis, count):
    return (await redis.ask("PUBSUB", "NUMSUB", "socketio"))[1] == count


async def test_a_plain_server_and_ours_do_everything_to_each_other():
    async with valkey() as redis, nodes_on(redis.url, 1) as (ours,), plain_peer(redis) as plain:
        for here, there in ((ours, plain), (plain, ours)):
            mine, my_sid = await here.client()
            client, sid = await there.client()
            await here.sio.emit("news", {"bytes": b"\x00\xff", "text": "é"}, skip_sid=my_sid)
            await hears(client, "news", {"bytes": b"\x00\xff", "text": "é"})
            await here.sio.enter_room(sid, "room:a")
            await until(lambda there=there, sid=sid: "room:a" in there.sio.rooms(sid))
            await here.sio.emit("in room", (1, 2), to="room:a")
            await hears(client, "in room", 1, 2)
            calling = asyncio.create_task(here.sio.call("ask", to=sid, timeout=WAIT_S))
            asked = await client.receive()
            await client.say(f'3{asked.id}["answer",2]')
            assert await calling == ("answer", 2)
            await here.sio.leave_room(sid, "room:a")
            await until(lambda there=there, sid=sid: "room:a" not in there.sio.rooms(sid))
            await there.sio.enter_room(sid, "room:b")
            await here.sio.close_room("room:b")
            await until(lambda there=there, sid=sid: "room:b" not in there.sio.rooms(sid))
            await here.sio.disconnect(sid)
            assert (await client.receive()).type.name == "DISCONNECT"
            await mine.request("echo", 1)
        assert ours.manager.nonsense == {}


async def test_our_manager_serves_below_a_plain_server_too():
    async with valkey() as redis, nodes_on(redis.url, 1) as (ours,):
        manager = RedisManager(redis.url)
        async with plain_node(manager) as plain:
            await manager.ready()
            client, sid = await plain.client()
            other, _ = await ours.client()
            await ours.sio.emit("news")
            await plain.sio.emit("more")
            for each in (client, other):
                await hears(each, "news")
                await hears(each, "more")
            await ours.sio.disconnect(sid)
            assert (await client.receive()).type.name == "DISCONNECT"
            await redis.kill()
            await refused(plain.sio.emit("refused"))
        await manager.aclose()


@pytest.mark.parametrize("kind", [socketio.AsyncRedisManager, RedisManager])
async def test_whoever_has_no_server_emits_from_outside(kind):
    async with valkey() as redis, nodes_on(redis.url) as nodes:
        clients = [await node.client() for node in nodes]
        outside = kind(redis.url, write_only=True)
        if kind is RedisManager:
            await outside.ready()
        await outside.emit("news", {"bytes": b"\x01"})
        await outside.emit("yours", 1, room=clients[1][1])
        await outside.enter_room(clients[0][1], "/", "room:a")
        await until(lambda: "room:a" in nodes[0].sio.rooms(clients[0][1]))
        await outside.emit("in room", None, room="room:a")
        await hears(clients[0][0], "news", {"bytes": b"\x01"})
        await hears(clients[0][0], "in room")
        await hears(clients[1][0], "news", {"bytes": b"\x01"})
        await hears(clients[1][0], "yours", 1)
        if kind is RedisManager:  # python-socketio's own cannot disconnect from outside: it asks its server first
            await outside.disconnect(clients[0][1], "/")
            assert (await clients[0][0].receive()).type.name == "DISCONNECT"
            await redis.kill()
            await refused(outside.emit("refused", 1))
            await outside.aclose()
        else:
            await outside.redis.aclose()


def test_the_synchronous_emitter_is_understood():
    async def main():
        async with valkey() as redis, nodes_on(redis.url, 1) as (node,):
            client, sid = await node.client()

            def emit():
                outside = socketio.RedisManager(redis.url, write_only=True)
                outside.emit("news", {"a": 1}, room=sid)
                outside.redis.close()

            await asyncio.to_thread(emit)
            await hears(client, "news", {"a": 1})

    with contextlib.closing(asyncio.Runner()) as runner:
        runner.run(main())
