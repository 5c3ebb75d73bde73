"""Connecting and leaving: every kind of connect handler, and what becomes of a client in the middle of it."""

import asyncio

import pytest
import socketio
from realtime.conformance.lab import Client
from realtime.serving import CONNECT, DISCONNECT, SERIALIZERS, echoes, serving
from socketio.exceptions import ConnectionRefusedError as RefusedByHandler

import rtlab
from rtlab.realtime import Guards
from rtlab.realtime.endings import Reason
from rtlab.wire.socketio import Packet, PacketType


async def ask(lab, auth=None, namespace="/"):
    """What a CONNECT is answered."""
    client = Client(lab, await lab.websocket())
    await client.send(Packet(CONNECT, namespace, auth))
    answer = await client.receive()
    return answer.type, answer.data if answer.type is PacketType.CONNECT_ERROR else None


def three(sid, environ, auth):
    return auth == {"token": "x"}


def two(sid, environ):
    return "REMOTE_ADDR" in environ


async def later(sid, environ, auth=None):
    await asyncio.sleep(0)
    return


@pytest.mark.parametrize(
    ("handler", "auth", "kind"),
    [
        (three, {"token": "x"}, CONNECT),
        (three, {"token": "y"}, PacketType.CONNECT_ERROR),
        (three, None, PacketType.CONNECT_ERROR),
        (two, {"token": "x"}, CONNECT),
        (two, None, CONNECT),
        (later, {"token": "x"}, CONNECT),
    ],
)
async def test_handlers_with_and_without_auth(handler, auth, kind):
    async with serving() as (sio, lab, _):
        sio.on("connect", handler)
        assert (await ask(lab, auth))[0] is kind


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize(
    ("error", "data"),
    [
        (RefusedByHandler(), {"message": "Connection rejected by server"}),
        (RefusedByHandler("no"), {"message": "no"}),
        (RefusedByHandler("no", {"code": 7}), {"message": "no", "data": {"code": 7}}),
        (ConnectionRefusedError(), {"message": "Connection refused by server"}),
    ],
)
async def test_a_refusal_says_why(serializer, error, data):
    async with serving(serializer) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            raise error

        assert await ask(lab) == (PacketType.CONNECT_ERROR, data)
        assert sio.manager.rooms == {}


class Hall(socketio.AsyncNamespace):
    """Lets in whoever knows the word."""

    async def on_connect(self, sid, environ, auth):
        if auth != {"word": "x"}:
            raise RefusedByHandler("the word?")

    async def on_echo(self, sid, *data):
        return data


class Own(socketio.AsyncNamespace):
    """Dispatches by itself."""

    async def trigger_event(self, event, *args):
        return event != "connect" or args[2] == {"word": "x"}


@pytest.mark.parametrize("hall", [Hall, Own])
async def test_a_class_has_a_door_of_its_own(hall):
    async with serving() as (sio, lab, _):
        sio.register_namespace(hall("/hall"))
        assert (await ask(lab, {"word": "x"}, "/hall"))[0] is CONNECT
        assert (await ask(lab, {"word": "y"}, "/hall"))[0] is PacketType.CONNECT_ERROR


async def test_a_class_without_a_door_lets_everybody_in():
    async with serving() as (sio, lab, _):
        sio.register_namespace(socketio.AsyncNamespace("/open"))
        assert (await ask(lab, None, "/open"))[0] is CONNECT


async def test_catch_all_handlers_have_doors_too():
    async with serving(namespaces="*") as (sio, lab, journal):

        @sio.on("connect", namespace="*")
        async def connect(namespace, sid, environ, auth):
            await journal.note(namespace)
            return namespace != "/closed"

        assert (await ask(lab, None, "/any"))[0] is CONNECT
        assert (await ask(lab, None, "/closed"))[0] is PacketType.CONNECT_ERROR


async def test_a_second_connect_is_refused_and_the_first_one_stays():
    async with serving() as (_, lab, _journal):
        client = await lab.client()
        await client.send(Packet(CONNECT))
        answer = await client.receive()
        assert (answer.type, answer.data) == (PacketType.CONNECT_ERROR, {"message": "Already connected"})
        await echoes(client)


async def test_whoever_leaves_during_connect_is_let_in_and_out_in_that_order():
    async with serving() as (sio, lab, journal):
        going_on = asyncio.Event()

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note("asked")
            await going_on.wait()
            await journal.note("let in")

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        await journal.until("asked")
        await client.transport.raw.close()
        going_on.set()
        await journal.until("disconnect", "transport close")
        assert journal.entries == [("asked",), ("let in",), ("disconnect", "transport close")]
        assert sio.manager.rooms == {}


async def test_a_slow_connect_handler_does_not_stop_the_heartbeat():
    guards = Guards(whole_ping_interval=False)
    async with serving(guards=guards, ping_interval=0.05, ping_timeout=5) as (sio, lab, _):
        answered = asyncio.Event()

        @sio.event
        async def connect(sid, environ, auth):
            await answered.wait()

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        for _ in range(2):
            assert (await client.transport.receive()).type.name == "PING"
            await client.transport.raw.send("3")
        answered.set()
        assert (await client.receive()).type is CONNECT


@pytest.mark.parametrize("success", [True, False])
async def test_always_connect_says_so_first(success):
    async with serving(always_connect=True) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.emit("hello", to=sid)
            return success

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        assert [(await client.receive()).type.name for _ in range(2)] == ["CONNECT", "EVENT"]
        if success:
            await echoes(client)
        else:
            assert (await client.receive()) == Packet(DISCONNECT)


async def test_the_server_puts_a_socket_out():
    async with serving() as (sio, lab, journal):
        client = await lab.client()
        (sid,) = (pair[0] for pair in sio.manager.get_participants("/", None))
        await sio.disconnect(sid)
        assert await client.receive() == Packet(DISCONNECT)
        assert journal.entries[-1] == ("disconnect", "server disconnect")
        await sio.disconnect(sid)  # it is gone: nothing happens
        await client.connect()
        await echoes(client)


async def test_sessions_and_rooms_are_there_until_the_disconnect_handler_is_done():
    async with serving() as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.save_session(sid, {"name": "alice"})
            await sio.enter_room(sid, "hall")

        @sio.event
        async def disconnect(sid, reason):
            await journal.note((await sio.get_session(sid))["name"], "hall" in sio.rooms(sid))

        client = await lab.client()
        await client.transport.raw.close()
        await journal.until("alice", True)


async def test_guards_that_are_set_later_hold():
    async with serving() as (sio, lab, _):
        sio.guards = sio.guards.without("name_unknown_namespaces")
        client = Client(lab, await lab.websocket())
        await client.send(Packet(PacketType.CONNECT, "/nowhere"))
        assert (await client.receive()).data == "Unable to connect"


TALKS_ON = """
const ends = [];
for (let each = 0; each < 8; each++) {
  const socket = io(url, { transports: ["websocket"], reconnection: false, forceNew: true });
  await once(socket, "connect");
  const timer = setInterval(() => { for (let n = 0; n < 200; n++) socket.emit("talk", "y".repeat(500)); }, 1);
  const ended = once(socket, "disconnect");
  socket.emit("enough");
  ends.push((await ended)[0]);
  clearInterval(timer);
}
return ends;
"""


async def test_who_is_put_out_while_it_talks_hears_of_it():
    """TCP that is closed with data unread is reset, and a reset takes the DISCONNECT away that was sent before."""
    async with serving() as (sio, lab, _):

        @sio.event
        async def enough(sid):
            session = sio.eio.sockets[sio.manager.eio_sid_from_sid(sid, "/")]
            await sio.disconnect(sid)
            session.close(Reason.SERVER_DISCONNECT)

        run = await rtlab.node(TALKS_ON, url=lab.url.partition("/socket.io")[0])
        assert run.value == ["io server disconnect"] * 8
