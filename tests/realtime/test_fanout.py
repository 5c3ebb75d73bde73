"""A broadcast: encoded once, written to each, in order with what else is said to a socket."""

import asyncio

import pytest
import socketio
from realtime.conformance.lab import Client
from realtime.serving import SERIALIZERS, serving

from rtlab.errors import UsageError
from rtlab.realtime import Guards, Server
from rtlab.realtime.fanout import Fanout


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_it_is_encoded_once_however_many_hear_it(serializer):
    async with serving(serializer) as (sio, lab, _):
        clients = [await lab.client() for _ in range(4)]
        clients.append(Client(lab, await lab.polling()))
        await clients[-1].connect()
        encoded = []
        plain = sio.packet_class

        class Counted(plain):
            def encode(self):
                encoded.append(self)
                return super().encode()

        sio.packet_class = Counted
        await sio.emit("news", {"binary": b"\x00\x01", "text": "é"})
        for client in clients:
            assert (await client.receive()).data == ["news", {"binary": b"\x00\x01", "text": "é"}]
        assert len(encoded) == 1


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_everything_arrives_in_the_order_in_which_it_was_said(serializer):
    """Direct messages, broadcasts, acknowledgements and binary events from many tasks, in an order that is noted."""
    async with serving(serializer) as (sio, lab, _):
        client = await lab.client()
        (sid,) = (pair[0] for pair in sio.manager.get_participants("/", None))
        said = []

        async def talk(who):
            for number in range(50):
                data = [who, number, b"x" * (number % 3)]
                said.append(data)
                await sio.emit("news", data, **({"to": sid} if who % 2 else {}))

        await asyncio.gather(*(talk(who) for who in range(4)))
        assert [(await client.receive()).data[1] for _ in said] == said


@pytest.mark.parametrize("collection", [str, list, tuple, set])
async def test_those_who_are_skipped_may_be_named_in_any_collection(collection):
    async with serving() as (sio, lab, _):
        skipped, *_others = clients = [await lab.client() for _ in range(3)]
        first = next(sid for sid, _ in sio.manager.get_participants("/", None))
        await sio.emit("news", skip_sid=first if collection is str else collection([first]))
        await sio.emit("end")
        for client in clients:
            assert (await client.receive()).data == (["end"] if client is skipped else ["news"])


async def test_rooms_that_overlap_deliver_once_and_any_collection_names_them():
    async with serving() as (sio, lab, _):
        client = await lab.client()
        (sid,) = (pair[0] for pair in sio.manager.get_participants("/", None))
        for room in ("a", "b"):
            await sio.enter_room(sid, room)
        for target in (["a", "b"], ("b", "a", "nobody's"), {"a", "b"}):
            await sio.emit("news", to=target)
        await sio.emit("end")
        assert [(await client.receive()).data[0] for _ in range(4)] == ["news", "news", "news", "end"]


async def test_a_callback_is_called_once_per_member():
    async with serving() as (sio, lab, _):
        clients = [await lab.client() for _ in range(3)]
        answers = asyncio.Queue()
        await sio.emit("ask", callback=answers.put_nowait)
        for number, client in enumerate(clients):
            asked = await client.receive()
            await client.say(f"3{asked.id}[{number}]")
        assert sorted([await answers.get() for _ in clients]) == [0, 1, 2]


async def test_a_socket_that_leaves_hears_nothing_more():
    async with serving() as (sio, lab, journal):

        @sio.event
        async def disconnect(sid, reason):
            await sio.emit("gone", to=sid)
            await journal.note("done")

        client = await lab.client()
        await client.say("1")
        await journal.until("done")
        await client.say("0")
        assert (await client.receive()).type.name == "CONNECT"


def test_any_asyncio_manager_is_taken_and_keeps_its_own_emit():
    manager = socketio.AsyncRedisManager("redis://127.0.0.1:1", write_only=True)
    server = Server(client_manager=manager)
    assert server.manager is manager
    assert isinstance(manager, Fanout)
    assert type(manager).emit is socketio.AsyncRedisManager.emit
    assert isinstance(manager, socketio.AsyncRedisManager)


def test_any_other_manager_is_refused():
    with pytest.raises(UsageError, match="AsyncManager"):
        Server(client_manager=socketio.Manager())


async def test_a_long_run_of_emits_lets_others_in():
    async with serving(guards=Guards(max_queued_bytes=100_000)) as (sio, lab, _):
        client = await lab.client()
        heard = asyncio.create_task(count(client, 3000))
        for number in range(3000):  # far more than may wait, and the client keeps up with it
            await sio.emit("news", [number, "x" * 1000])
        assert await heard == list(range(3000))


async def count(client, wanted):
    return [(await client.receive()).data[1][0] for _ in range(wanted)]
