"""Connections that are cut at every stage, and handlers that fail at every place: nothing of them is left.

What is left would be a ghost: a socket that broadcasts still go to, a session that nobody ends, a task, a descriptor.
"""

import asyncio
import logging
from contextlib import asynccontextmanager, suppress

import psutil
import pytest
import socketio
from deadlines import WAIT_S
from eventually import until
from realtime.conformance.lab import Client
from realtime.serving import SERIALIZERS, Journal, lab_of
from socketio.exceptions import ConnectionRefusedError as RefusedByHandler

import rtlab
from rtlab.realtime import Guards, Server
from rtlab.wire.engineio import EnginePacket, EnginePacketType
from rtlab.wire.socketio import Packet, PacketType

PING, UPGRADE = EnginePacketType.PING, EnginePacketType.UPGRADE
CONNECT, EVENT = PacketType.CONNECT, PacketType.EVENT


def left(sio):
    """What a server still has of its clients."""
    manager, engine = sio.manager, sio.eio
    places = {
        "rooms": manager.rooms, "callbacks": manager.callbacks, "pending_connect": manager.pending_connect,
        "pending_disconnect": manager.pending_disconnect, "environ": sio.environ, "clients": sio.gate.clients,
        "held": sio.gate.held, "binary": sio._binary_packet, "sessions": engine.sockets, "lingering": engine.lingering,
        "tasks": engine._tasks,
    }  # fmt: skip
    return {name: place for name, place in places.items() if place}


async def emptied(sio):
    """Wait until a server has nothing of its clients any more."""
    await until(lambda: not left(sio), lambda: f"nothing is left behind, and there is {left(sio)}")


@asynccontextmanager
async def haunted(serializer="default", guards=None, **options):
    """A server that must have nothing left at the end: no session, no task, no descriptor."""
    process = psutil.Process()
    tasks, files = asyncio.all_tasks(), process.num_fds()
    options = {"ping_interval": 0.2, "ping_timeout": 0.8} | options
    guards = guards or Guards(connect_timeout_s=1, attachments_timeout_s=1, whole_ping_interval=False)
    sio = Server(serializer=serializer, guards=guards, **options)
    async with rtlab.serve(sio) as server:
        async with lab_of(server, serializer) as lab:
            yield sio, lab, Journal()
        await emptied(sio)
    await until(lambda: not asyncio.all_tasks() - tasks and process.num_fds() <= files)


@pytest.fixture(autouse=True)
def short_memory(monkeypatch):
    monkeypatch.setattr("rtlab.realtime.engine.LINGER_S", 0.1)


def cut(client):
    """End its TCP connection without a word."""
    client.transport.raw.transport.abort()


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_a_websocket_cut_during_its_connect_handler(serializer):
    async with haunted(serializer) as (sio, lab, journal):
        go_on = asyncio.Event()

        @sio.event
        async def connect(sid, environ, auth):
            await sio.enter_room(sid, "hall")
            await journal.note("asked")
            await go_on.wait()
            await sio.emit("hello", to="hall", callback=print)

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        await journal.until("asked")
        cut(client)
        go_on.set()


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_a_websocket_cut_during_an_event_handler_that_goes_on(serializer):
    async with haunted(serializer) as (sio, lab, journal):
        gone = asyncio.Event()
        sio.on("disconnect", lambda sid, reason: gone.set())

        @sio.event
        async def work(sid):
            await journal.note("working")
            await gone.wait()
            with suppress(ValueError, KeyError):
                await sio.enter_room(sid, "late")
            with suppress(KeyError):
                await sio.save_session(sid, {"late": True})
            await sio.emit("news", to=sid, callback=print)
            await sio.emit("news", to="late")
            await sio.disconnect(sid)
            await journal.note("done")

        client, other = await lab.client(), await lab.client()
        await client.emit("work")
        await journal.until("working")
        cut(client)
        async with asyncio.timeout(WAIT_S):
            await gone.wait()
        await journal.until("done")
        assert "late" not in sio.manager.rooms["/"], "a room that nobody is in"
        cut(other)


@pytest.mark.parametrize("stage", ["opened", "probed", "answered", "upgraded", "upgraded, at once"])
async def test_an_upgrade_cut_at(stage):
    async with haunted() as (sio, lab, _):
        client = Client(lab, await lab.polling())
        await client.connect()
        over = await lab.upgrading(client.transport)
        if stage != "opened":
            await over.send(EnginePacket(PING, "probe"))
        if stage in {"answered", "upgraded"}:
            await over.receive()
        if stage.startswith("upgraded"):
            await over.send(EnginePacket(UPGRADE))
        over.raw.transport.abort()
        if not stage.startswith("upgraded"):
            await sio.emit("still", "there")
            assert await client.receive() == Packet(EVENT, data=["still", "there"])


async def test_a_polling_client_cut_in_the_middle_of_a_body():
    async with haunted() as (sio, lab, journal):

        @sio.event
        async def disconnect(sid, reason):
            await journal.note("gone")

        client = Client(lab, await lab.polling())
        await client.connect()
        pending = await lab.begin("POST", b'42["wo', 100, **client.transport.query)
        await pending.abandon()
        await journal.until("gone")


async def test_a_polling_client_cut_while_it_waits():
    async with haunted() as (sio, lab, journal):

        @sio.event
        async def disconnect(sid, reason):
            await journal.note("gone")

        client = Client(lab, await lab.polling())
        await client.connect()
        pending = await client.transport.begin_get()
        await pending.abandon()
        await journal.until("gone")


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_clients_cut_while_everybody_is_emitted_to(serializer):
    async with haunted(serializer, ping_interval=5, ping_timeout=5) as (sio, lab, _):
        over = asyncio.Event()

        async def talk():
            number = 0
            while not over.is_set():
                await sio.emit("news", [number, b"x"], callback=print if number % 10 == 0 else None)
                number += 1

        talking = asyncio.create_task(talk())
        for _ in range(30):
            client = await lab.client()
            await client.transport.receive()
            cut(client)
        over.set()
        await talking


def raising(error):
    async def handler(*_):
        raise error

    return handler


ERRORS = [KeyError("x"), asyncio.CancelledError(), TypeError("x"), RefusedByHandler("x", object())]


@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "at once"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("place", ["connect", "disconnect", "work", "*", "callback"])
@pytest.mark.parametrize("kind", ["coroutine", "function"])
async def test_a_handler_that_raises(place, error, kind, in_order):
    async with haunted(async_handlers=not in_order) as (sio, lab, _):

        def handler(*_):
            raise error

        async def coroutine(*_):
            raise error

        fails = coroutine if kind == "coroutine" else handler

        @sio.event
        async def ask(sid):
            await sio.emit("question", to=sid, callback=fails)

        if place != "callback":
            sio.on(place, fails)
        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        answer = await client.receive()
        assert answer.type is (PacketType.CONNECT_ERROR if place == "connect" else CONNECT)
        assert place != "connect" or left(sio).get("rooms") is None
        if place in {"work", "*"}:
            await client.emit("work", 1)
        if place == "callback":
            await client.emit("ask")
            question = await client.receive()
            await client.send(Packet(PacketType.ACK, data=[], id=question.id))
        if place != "connect":
            sio.on("fine", lambda sid: "yes")
            assert await client.request("fine") == ["yes"], "it goes on"
        await client.transport.raw.close()


@pytest.mark.parametrize("reason", [ValueError("\ud800"), object(), b"bytes", {1, 2}])
async def test_a_refusal_that_cannot_be_said_is_a_refusal(reason):
    async with haunted() as (sio, lab, _):
        sio.on("connect", raising(RefusedByHandler("no", reason)))
        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        assert (await client.receive()).type is PacketType.CONNECT_ERROR
        assert "rooms" not in left(sio)


async def test_always_connect_and_out_again_from_within():
    async with haunted(always_connect=True) as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.disconnect(sid)
            await journal.note("out")
            return False

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        assert (await client.receive()).type is CONNECT
        assert (await client.receive()).type is PacketType.DISCONNECT
        await journal.until("out")
        await client.transport.ends(within_s=WAIT_S)


class Stubborn(socketio.AsyncNamespace):
    """Its handlers do not end by themselves."""

    async def on_connect(self, sid, environ):
        pass

    async def on_disconnect(self, sid, reason):
        await asyncio.Event().wait()

    async def on_work(self, sid):
        await asyncio.Event().wait()


async def test_a_shutdown_gets_over_any_number_of_handlers_that_do_not_end(monkeypatch):
    monkeypatch.setattr("rtlab.realtime.engine.CLOSE_S", 0.1)
    async with haunted(async_handlers=False) as (sio, lab, _):
        for name in ("/a", "/b", "/c"):
            sio.register_namespace(Stubborn(name))
        clients = []
        for _ in range(3):
            client = Client(lab, await lab.websocket())
            for name in ("/a", "/b", "/c"):
                await client.connect(name)
            clients.append(client)
        for _ in range(5):
            await clients[0].emit("work", namespace="/a")
        async with asyncio.timeout(WAIT_S):
            await sio.shutdown()
        await emptied(sio)


async def test_a_shutdown_during_a_connect_handler_leaves_nothing(monkeypatch):
    monkeypatch.setattr("rtlab.realtime.engine.CLOSE_S", 0.1)
    async with haunted() as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note("asked")
            await asyncio.Event().wait()

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        await journal.until("asked")
        await sio.shutdown()
        await emptied(sio)


async def test_what_is_held_beyond_its_limit_is_said_once(caplog):
    caplog.set_level(logging.WARNING, "engineio.server")
    guards = Guards(max_queued_bytes=1000)
    async with haunted(guards=guards, ping_interval=5, ping_timeout=5) as (sio, lab, journal):
        go_on = asyncio.Event()

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note("asked")
            await go_on.wait()

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        await journal.until("asked")
        for _ in range(50):
            await sio.emit("news", "x" * 500)
        go_on.set()
        await client.transport.ends()
        assert caplog.text.count("slow consumer") == 1


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="from Python 3.12 on")
async def test_tasks_may_start_at_once():
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)
    try:
        async with haunted(ping_interval=5, ping_timeout=5) as (sio, lab, _):
            sio.on("echo", lambda sid, *data: data)
            client = await lab.client()
            for number in range(3):
                assert await client.request("echo", number) == [number]
            await client.transport.raw.close()
    finally:
        loop.set_task_factory(None)
