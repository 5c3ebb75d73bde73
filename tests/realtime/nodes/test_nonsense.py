"""Nonsense on the channel harms nobody and is counted."""

import asyncio
import base64
import json
import logging

import psutil
import pytest
from deadlines import WAIT_S
from eventually import until
from realtime.nodes.several import hears, nodes_on, valkey
from realtime.nodes.test_messages import WRONG
from redis.asyncio import Redis

from rtlab.realtime.nodes import manager as module
from rtlab.servers.repeats import LINES


def raw(message):
    return message if isinstance(message, bytes) else json.dumps(message).encode()


async def test_all_of_it_is_counted_by_its_kind_and_the_next_emit_is_heard(caplog):
    async with valkey() as redis, nodes_on(redis.url) as nodes, Redis.from_url(redis.url) as stranger:
        clients = [(await node.client())[0] for node in nodes]
        for _, message in WRONG:
            await stranger.publish("socketio", raw(message))
        await nodes[0].sio.emit("end")
        for client in clients:
            await hears(client, "end")
        for node in nodes:
            expected = [kind for kind, _ in WRONG]
            assert {kind: expected.count(kind) for kind in expected} == dict(node.manager.nonsense)
            assert node.manager.subscription.lost_total == 0


async def test_a_flood_of_it_fills_neither_memory_nor_log(caplog):
    caplog.set_level(logging.INFO)
    flood = [raw(message) for kind, message in WRONG if kind != "too_large"] * 10
    process = psutil.Process()
    async with valkey() as redis, nodes_on(redis.url) as (here, there), Redis.from_url(redis.url) as stranger:
        client, _ = await there.client()

        async def pour():
            async with stranger.pipeline(transaction=False) as pipe:
                for each in flood:
                    pipe.publish("socketio", each)
                await pipe.execute()
            await here.sio.emit("end")
            await hears(client, "end")

        await pour()
        before, lines = process.memory_info().rss, len(caplog.records)
        for _ in range(2):
            await pour()
        assert process.memory_info().rss - before < 30 * 1024 * 1024
        assert len(caplog.records) - lines <= 2 * len({kind for kind, _ in WRONG}) * (LINES + 1)


async def test_what_is_well_formed_and_meant_for_nobody_changes_nothing():
    async with valkey() as redis, nodes_on(redis.url) as (here, there), Redis.from_url(redis.url) as stranger:
        client, sid = await there.client()
        other, other_sid = await there.client()
        rooms, sockets = set(there.sio.rooms(sid)), set(there.sio.eio.sockets)
        foreign = {"host_id": "of nobody", "namespace": "/"}
        for message in (
            {**foreign, "method": "emit", "event": "x", "data": [1], "namespace": "/nowhere"},
            {**foreign, "method": "emit", "event": "x", "data": [1], "namespace": ""},
            {**foreign, "method": "emit", "event": "x", "data": [1], "room": "nobody's"},
            {**foreign, "method": "emit", "event": "x", "data": [1], "room": []},
            {**foreign, "method": "emit", "event": "x", "data": [1], "room": ""},
            {**foreign, "method": "emit", "event": "x", "data": [1], "host_id": there.manager.host_id},  # forged
            {**foreign, "method": "enter_room", "sid": sid, "room": other_sid},
            {**foreign, "method": "enter_room", "sid": "nobody", "room": "a"},
            {**foreign, "method": "enter_room", "sid": sid, "room": "a", "namespace": "/nowhere"},
            {**foreign, "method": "leave_room", "sid": sid, "room": sid},
            {**foreign, "method": "leave_room", "sid": sid, "room": "never entered"},
            {**foreign, "method": "close_room", "room": sid},
            {**foreign, "method": "close_room", "room": None},
            {**foreign, "method": "close_room", "room": "nobody's"},
            {**foreign, "method": "disconnect", "sid": "nobody"},
            {**foreign, "method": "disconnect", "sid": sid, "namespace": "/nowhere"},
            {**foreign, "method": "callback", "sid": sid, "id": 1, "args": []},
            {**foreign, "method": "callback", "sid": sid, "id": 1, "args": [], "host_id": there.manager.host_id},
            {**foreign, "method": "callback", "sid": sid, "id": 0, "args": [], "host_id": there.manager.host_id},
        ):
            await stranger.publish("socketio", json.dumps(message))
        await here.sio.emit("private", to=other_sid)
        await here.sio.emit("end")
        await hears(client, "end")
        await hears(other, "private")
        assert set(there.sio.rooms(sid)) == rooms
        assert set(there.sio.eio.sockets) == sockets
        assert there.manager.rooms.keys() == {"/"}
        assert there.manager.nonsense["unknown_callback"] == 1
        assert there.manager.callbacks == {}


async def test_an_answer_that_was_never_asked_for_does_not_take_the_place_of_one_that_was():
    async with valkey() as redis, nodes_on(redis.url) as (here, there), Redis.from_url(redis.url) as stranger:
        client, sid = await there.client()
        calling = asyncio.create_task(here.sio.call("ask", to=sid, timeout=WAIT_S))
        asked = await client.receive()
        for number in (0, 2, 10**30):
            forged = {
                "method": "callback",
                "host_id": here.manager.host_id,
                "sid": sid,
                "id": number,
                "args": ["forged"],
            }
            await stranger.publish("socketio", json.dumps(forged))
        await until(lambda: sum(here.manager.nonsense.values()) == 3)
        await client.say(f'3{asked.id}["mine"]')
        assert await calling == "mine"


async def test_a_handler_that_fails_is_logged_and_the_next_is_called(caplog):
    async with valkey() as redis, nodes_on(redis.url) as (here, there):

        @there.sio.event
        async def disconnect(sid, reason):
            raise ZeroDivisionError

        client, _ = await there.client()
        for _ in range(3):
            _, sid = await there.client()
            await here.sio.disconnect(sid)
        await until(
            lambda: len(there.sio.eio.sockets) == 1 or len(list(there.manager.get_participants("/", None))) == 1
        )
        await here.sio.emit("end")
        await hears(client, "end")


async def test_handlers_of_others_are_bounded(monkeypatch):
    monkeypatch.setattr(module, "MAX_TASKS", 3)
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        hold, at_work = asyncio.Event(), []

        @there.sio.event
        async def disconnect(sid, reason):
            at_work.append(sid)
            await hold.wait()

        client, _ = await there.client()
        for _ in range(6):
            _, sid = await there.client()
            await here.sio.disconnect(sid)
        await until(lambda: len(at_work) == 3)
        hold.set()
        await here.sio.emit("end")
        await hears(client, "end")
        await until(lambda: len(at_work) == 6)


@pytest.mark.parametrize("size", [1_000, 500_000])
async def test_large_messages_and_attachments_cross(size):
    async with valkey() as redis, nodes_on(redis.url) as (here, there):
        client, _ = await there.client()
        data = {"text": "é" * size, "bytes": bytes(range(256)) * (size // 256)}
        await here.sio.emit("news", data)
        await hears(client, "news", data)
        assert base64.b64encode(data["bytes"])
