"""What one node does reaches the clients of the others: emits in their order, rooms, calls, disconnects."""

import asyncio
import json

import pytest
import socketio
from deadlines import WAIT_S
from eventually import until
from realtime.nodes.several import hears, nodes_on, valkey
from realtime.serving import SERIALIZERS, lab_of

import rtlab
from rtlab.errors import UsageError
from rtlab.realtime import RedisManager, Server
from rtlab.realtime.fanout import Fanout
from rtlab.realtime.nodes import manager as module


async def test_an_emit_is_heard_on_every_node_once():
    async with valkey() as redis, nodes_on(redis.url, 3) as nodes:
        clients = [(await node.client())[0] for node in nodes]
        await nodes[0].sio.emit("news", {"text": "é", "bytes": b"\x00\xff"})
        await nodes[1].sio.emit("more", (1, [2], None))
        await nodes[2].sio.emit("end")
        for client in clients:
            await hears(client, "news", {"text": "é", "bytes": b"\x00\xff"})
            await hears(client, "more", 1, [2], None)
            await hears(client, "end")


async def test_emits_of_a_node_keep_their_order_on_every_other_under_load():
    async with valkey() as redis, nodes_on(redis.url, 3) as nodes:
        clients = [(await node.client())[0] for node in nodes]
        said = [[], []]

        async def talk(who, task):
            for number in range(60):
                text = "x" * (number * 37 % 3000)
                said[who].append([who, task, number])
                await nodes[who].sio.emit("news", ([who, task, number], text, b"\x01" * (number % 2)))

        talking = asyncio.gather(*(talk(who, task) for who in range(2) for task in range(5)))
        async with asyncio.timeout(WAIT_S):
            for client in clients:
                heard = [(await client.receive()).data[1] for _ in range(600)]
                await talking
                assert [[each for each in heard if each[0] == who] for who in range(2)] == said


async def test_rooms_are_entered_left_and_closed_from_another_node():
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        client, sid = await there.client()

        async def rooms(*names):
            await until(lambda: set(there.sio.rooms(sid)) == {sid, *names}, lambda: there.sio.rooms(sid))

        await here.sio.enter_room(sid, "room:a")
        await here.sio.enter_room(sid, "room:b")
        await rooms("room:a", "room:b")
        await here.sio.emit("news", 1, to=["room:a", "room:b"])
        await hears(client, "news", 1)
        await here.sio.leave_room(sid, "room:a")
        await rooms("room:b")
        await here.sio.close_room("room:b")
        await rooms()
        await here.sio.emit("news", 2, to="room:b")
        await here.sio.emit("news", 3, to=sid)
        await hears(client, "news", 3)


async def test_a_client_elsewhere_is_called_and_its_answer_comes_back():
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        client, sid = await there.client()
        calling = asyncio.create_task(here.sio.call("ask", "what?", to=sid, timeout=WAIT_S))
        asked = await client.receive()
        assert asked.data == ["ask", "what?"]
        await client.say(f'3{asked.id}["that"]')
        assert await calling == "that"
        assert here.manager.callbacks == {}


async def test_answers_that_never_come_are_not_waited_for_in_ever_more_memory(monkeypatch):
    monkeypatch.setattr(module, "MAX_CALLBACKS", 10)
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        client, sid = await there.client()
        answers = []
        for number in range(30):
            await here.sio.emit("ask", to=sid, callback=answers.append)
            await here.sio.emit("ask", to=f"nobody {number}", callback=answers.append)
        assert sum(len(waiting) - 1 for waiting in here.manager.callbacks.values()) == 10
        asked = [await client.receive() for _ in range(30)]
        for each in asked:  # the first ones find nobody any more, and nobody else either
            await client.say(f"3{each.id}[{each.id}]")
        await until(lambda: there.manager.callbacks.get(sid, {}).keys() <= {0})
        await until(lambda: here.manager.nonsense["unknown_callback"] == 25 and len(answers) == 5)
        assert answers == [each.id for each in asked[-5:]]
        assert here.manager.callbacks.keys().isdisjoint({sid})


async def test_a_client_elsewhere_is_disconnected():
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        client, sid = await there.client()
        await here.sio.disconnect(sid)
        assert (await client.receive()).type.name == "DISCONNECT"
        await until(lambda: not there.manager.is_connected(sid, "/"))


async def test_a_slow_disconnect_handler_does_not_keep_its_node_from_hearing():
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        hold = asyncio.Event()

        @there.sio.event
        async def disconnect(sid, reason):
            await hold.wait()

        client, _ = await there.client()
        _, sid = await there.client()
        await here.sio.disconnect(sid)
        await here.sio.emit("news")
        await hears(client, "news")
        hold.set()


async def test_what_no_other_node_would_take_is_refused_and_nobody_hears_it():
    async with valkey() as redis, nodes_on(redis.url, max_message_bytes=100_000) as (here, there):
        clients = [(await node.client())[0] for node in (here, there)]
        deep = []
        for _ in range(250):
            deep = [deep]
        for event, data in (("news", "x" * 100_000), ("news", deep), ("connect", 1), ("news", float("nan"))):
            with pytest.raises(UsageError, match="Other nodes would not take this emit"):
                await here.sio.emit(event, data)
        with pytest.raises(TypeError):
            await here.sio.emit("news", object(), to="somebody", callback=print)
        assert here.manager.callbacks == {}
        await here.sio.emit("end")
        for client in clients:
            await hears(client, "end")


async def test_an_empty_target_is_nobody_on_every_node():
    async with valkey() as redis, nodes_on(redis.url) as nodes:
        clients = [(await node.client())[0] for node in nodes]
        for target in ("", [], (), set()):
            await nodes[0].sio.emit("news", to=target)
            await nodes[0].manager.emit("news", 1, to=target)
        await nodes[0].sio.emit("end")
        for client in clients:
            await hears(client, "end")


async def test_who_is_skipped_is_skipped_on_every_node():
    async with valkey() as redis, nodes_on(redis.url) as nodes:
        (one, first), (two, second) = [await node.client() for node in nodes]
        for skipped in (first, [first, second], {first, second}):
            await nodes[1].manager.emit("news", 1, skip_sid=skipped)
        await nodes[1].sio.emit("end")
        await hears(one, "end")
        await hears(two, "news", 1)
        await hears(two, "end")


async def test_a_server_hears_the_others_before_its_first_client_and_again_when_it_is_started_again():
    async with valkey() as redis, nodes_on(redis.url, 1) as (node,):
        await node.sio.emit("news")
        before = await connections(redis)
        manager = RedisManager(redis.url)
        sio = Server(client_manager=manager)
        for _ in range(2):
            async with rtlab.serve(sio), asyncio.timeout(WAIT_S):
                await manager.subscription.subscribed.wait()
                assert sio.manager_initialized
                await node.sio.emit("news")
            assert not manager.subscription.subscribed.is_set()
            assert not manager.link.up
        await until(lambda: no_more_than(redis, before))


async def connections(redis):
    return (await redis.ask("CLIENT", "LIST")).count("\n")


async def no_more_than(redis, count):
    return await connections(redis) <= count


async def test_it_is_the_public_manager_below_our_fan_out():
    manager = RedisManager("redis://127.0.0.1:1")
    assert isinstance(manager, socketio.AsyncRedisManager)
    assert Server(client_manager=manager).manager is manager
    assert isinstance(manager, Fanout)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis+sentinel://127.0.0.1:26379", "redis://h:port"])
async def test_what_is_no_redis_is_refused_when_it_is_made(url):
    with pytest.raises(UsageError, match=r"redis://HOST:PORT|no URL of a Redis"):
        RedisManager(url)


async def test_a_manager_without_a_server_is_never_ready_to_hear():
    with pytest.raises(UsageError, match="write_only"):
        await RedisManager("redis://127.0.0.1:1").ready()


async def test_half_a_surrogate_pair_crosses_as_it_is():
    async with valkey() as redis, nodes_on(redis.url) as nodes:
        clients = [(await node.client())[0] for node in nodes]
        await nodes[0].sio.emit("news", "\ud83d")
        for client in clients:  # as it would be without Redis
            assert (await client.transport.receive()).data == '2["news","\\ud83d"]'


async def test_a_json_module_that_gives_bytes_will_do():
    class BytesJson:
        loads = staticmethod(json.loads)

        @staticmethod
        def dumps(*data, **options):
            return json.dumps(*data, **options).encode()

    async with valkey() as redis, nodes_on(redis.url, 1) as (node,):
        client, _ = await node.client()
        outside = RedisManager(redis.url, write_only=True, json=BytesJson)
        await outside.emit("news", 1)
        await hears(client, "news", 1)
        await outside.aclose()


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_either_serializer(serializer):
    async with valkey() as redis:
        sio = Server(client_manager=RedisManager(redis.url), serializer=serializer)
        outside = RedisManager(redis.url, write_only=True)
        async with rtlab.serve(sio) as server, lab_of(server, serializer) as lab:
            client = await lab.client()
            await sio.manager.ready()
            await outside.emit("news", {"bytes": b"\x00", "text": "é", "number": 1.5})
            await hears(client, "news", {"bytes": b"\x00", "text": "é", "number": 1.5})
            await sio.emit("more", b"\x01")
            await hears(client, "more", b"\x01")
        await outside.aclose()
