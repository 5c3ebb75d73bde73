"""Each guard, with its switch on and off, and with both serializers: what differs is the guard's doing."""

import asyncio
import base64
import logging
from contextlib import suppress

import aiohttp
import msgpack
import pytest
import socketio
from deadlines import SCALE, WAIT_S
from eventually import until
from realtime.conformance.lab import Client
from realtime.serving import ACK, CONNECT, DISCONNECT, EVENT, SERIALIZERS, echoes, serving
from websockets.exceptions import ConnectionClosed

import rtlab
from rtlab.errors import UsageError
from rtlab.realtime import Guards, Server
from rtlab.wire.socketio import Packet, PacketType, encode

pytestmark = pytest.mark.parametrize("serializer", SERIALIZERS)
SOON_S = SCALE
"""Seconds after which a client that is in no namespace is closed. Another one connects meanwhile."""


def wire(serializer, packet_type, data=None, namespace="/", number=None):
    """A packet as a client says it, whatever its shape."""
    if serializer == "msgpack":
        fields = {"type": int(packet_type), "nsp": namespace, "data": data, "id": number}
        return msgpack.packb({key: value for key, value in fields.items() if value is not None})
    return encode(Packet(packet_type, namespace, data, number))[0]


@pytest.fixture(autouse=True)
def quiet_log(caplog):
    caplog.set_level(logging.INFO, "rtlab.realtime")
    caplog.set_level(logging.INFO, "socketio.server")


async def ends(client, reason, code=1008):
    """The server closes the connection with this code, and a reason that begins like this; 1006 is a cut."""
    async with asyncio.timeout(WAIT_S):
        try:
            async for _ in client.transport.raw:
                pass
        except ConnectionClosed:
            pass
    assert client.transport.raw.close_code == code
    assert client.transport.raw.close_reason.startswith(reason), client.transport.raw.close_reason


async def test_a_session_that_never_sends_connect_is_closed(serializer):
    async with serving(serializer, Guards(connect_timeout_s=SOON_S)) as (sio, lab, _):
        silent = Client(lab, await lab.websocket())
        honest = await lab.client()
        await ends(silent, "connect timeout")
        await echoes(honest)
        assert len(sio.eio.sockets) == 1


async def test_so_is_one_that_was_refused_or_has_left(serializer):
    async with serving(serializer, Guards(connect_timeout_s=SOON_S)) as (_, lab, journal):
        refused = Client(lab, await lab.websocket())
        await refused.send(Packet(CONNECT, "/nowhere"))
        assert (await refused.receive()).type is PacketType.CONNECT_ERROR
        await ends(refused, "connect timeout")
        left = await lab.client()
        await left.send(Packet(DISCONNECT))
        await ends(left, "connect timeout")
        assert ("disconnect", "client disconnect") in journal.entries


async def test_who_is_refused_again_and_again_gets_no_more_time(serializer):
    guards = Guards(connect_timeout_s=SOON_S)
    async with serving(serializer, guards) as (sio, lab, _):
        sio.on("connect", lambda sid, environ, auth: False)
        client, asked = Client(lab, await lab.websocket()), 0
        with suppress(ConnectionClosed):
            while asked < 50 * SOON_S:  # so often that the time would never be over
                await client.send(Packet(CONNECT))
                assert (await client.receive()).type is PacketType.CONNECT_ERROR
                asked += 1
                await asyncio.sleep(0.1)
        assert "connect timeout" in client.transport.raw.close_reason
        assert 0 < asked < 50 * SOON_S, "and not for the number of its packets"


async def test_without_the_guard_it_stays(serializer):
    guards = Guards(connect_timeout_s=0.1).without("connect_timeout_s")
    async with serving(serializer, guards) as (_, lab, _journal):
        silent = Client(lab, await lab.websocket())
        await echoes(await lab.client())
        await silent.connect()  # it can still come in
        await echoes(silent)


MALFORMED = {
    "default": ["", "9", "2", "2{}", '2["echo"', "2[]", "0[]", '1["x"]', "3[]", "33", '4{"message":"x"}', "2\u0661[]",
                '51-["echo"]', '2["echo",NaN]', '511-["echo",{"_placeholder":true,"num":0}]', b"\x01"],
    "msgpack": [b"", b"\xc1", b"\x01", "2[]", *(msgpack.packb(each) for each in (
        {"type": 9, "nsp": "/", "data": []}, {"type": 2, "nsp": "/"}, {"type": 2, "data": ["echo"]}, [2, "/", ["echo"]],
        {"type": 2, "nsp": "/", "data": ["echo"], "id": -1}, {"type": 5, "nsp": "/", "data": ["echo"]},
        {"type": True, "nsp": "/", "data": ["echo"]}, {"type": 0, "nsp": "no slash"}))],
}  # fmt: skip


MALFORMED_REASONS = ("expected ", "an empty packet", "attachment 0 stands")


async def test_a_malformed_packet_closes_its_connection(serializer):
    async with serving(serializer) as (sio, lab, journal):
        honest = await lab.client()
        for frame in MALFORMED[serializer]:
            hostile = await lab.client()
            await hostile.say(frame)
            await ends(hostile, MALFORMED_REASONS)
            await journal.until("disconnect", "parse error")
            journal.entries.clear()
        await echoes(honest)
        assert len(sio.eio.sockets) == 1


async def test_without_strict_packets_it_is_logged_and_passed_over(serializer):
    async with serving(serializer, Guards().without("strict_packets")) as (_, lab, _journal):
        client = await lab.client()
        await client.say("9" if serializer == "default" else b"\xc1")
        await echoes(client)


async def test_a_packet_for_a_namespace_that_was_never_joined_closes(serializer):
    async with serving(serializer) as (sio, lab, _):
        sio.on("echo", lambda sid, *data: data, namespace="/other")
        client = await lab.client()
        await client.send(Packet(EVENT, "/other", ["echo"], 1))
        await ends(client, "expected a CONNECT first, got EVENT")


async def test_but_one_for_a_namespace_that_it_has_left_is_only_late(serializer):
    async with serving(serializer) as (sio, lab, _):
        sio.on("echo", lambda sid, *data: data, namespace="/other")
        client = await lab.client()
        await client.connect("/other")
        await client.send(Packet(DISCONNECT, "/other"))
        await client.send(Packet(EVENT, "/other", ["echo"], 1))
        await echoes(client)


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "disconnecting", "newListener"])
async def test_a_reserved_event_closes(serializer, name):
    async with serving(serializer) as (_, lab, journal):
        client = await lab.client()
        await client.say(wire(serializer, EVENT, [name, "x"]))
        await ends(client, "expected an event of the application, got the reserved ")
        await journal.until("disconnect", "parse error")
        assert journal.entries == [("connect",), ("disconnect", "parse error")]


async def test_without_the_guard_a_client_runs_the_disconnect_handler(serializer):
    async with serving(serializer, Guards().without("reserved_events")) as (_, lab, journal):
        client = await lab.client()
        await client.emit("disconnect", "I say so")
        await journal.until("disconnect", "I say so")
        await echoes(client)


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_event_called_star_gets_the_arguments_of_any_other(serializer, guarded):
    guards = Guards() if guarded else Guards().without("reserved_events")
    async with serving(serializer, guards) as (sio, lab, journal):

        @sio.on("*")
        async def any_event(event, sid, *data):
            await journal.note(event, sid, *data)

        client = await lab.client()
        (sid,) = (pair[0] for pair in sio.manager.get_participants("/", None))
        await client.emit("*", "somebody else")
        if guarded:
            await journal.until("*", sid, "somebody else")
        else:
            await journal.until(sid, "somebody else")  # the client has chosen what the handler takes for the socket


async def test_what_is_sent_during_connect_comes_after_it(serializer):
    async with serving(serializer) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.enter_room(sid, "hall")
            await sio.emit("to you", 1, to=sid)
            await sio.emit("to the hall", 2, to="hall")
            await sio.emit("to everybody", 3)

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, data={}))
        heard = [await client.receive() for _ in range(4)]
        assert [each.type for each in heard] == [CONNECT, EVENT, EVENT, EVENT]
        assert [each.data for each in heard[1:]] == [["to you", 1], ["to the hall", 2], ["to everybody", 3]]
        assert sio.gate.held == {}


async def test_without_the_guard_it_comes_before(serializer):
    async with serving(serializer, Guards().without("hold_until_connected")) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.emit("to everybody", 3)

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, data={}))
        assert [(await client.receive()).type for _ in range(2)] == [EVENT, CONNECT]


async def test_a_socket_that_is_refused_has_heard_nothing(serializer):
    async with serving(serializer) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.emit("secret", "x")
            return False

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, data={}))
        answer = await client.receive()
        assert (answer.type, answer.data) == (PacketType.CONNECT_ERROR, {"message": "Connection rejected by server"})
        await client.send(Packet(CONNECT, "/nowhere"))
        assert (await client.receive()).namespace == "/nowhere"
        assert sio.gate.held == {}
        assert sio.manager.rooms == {}


async def test_what_is_held_is_bounded(serializer):
    async with serving(serializer, Guards(max_queued_bytes=10_000)) as (sio, lab, journal):
        going_on = asyncio.Event()

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note("asked")
            await going_on.wait()

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, data={}))
        await journal.until("asked")
        while all(not session.closed for session in sio.eio.sockets.values()):
            await sio.emit("blah", "x" * 1000)
        going_on.set()
        await ends(client, "", 1006)
        await journal.until("disconnect", "slow consumer")


@pytest.mark.parametrize("error", [KeyError("oops"), asyncio.CancelledError(), SystemError()])
async def test_an_error_in_connect_refuses_and_leaves_no_ghost(serializer, error, caplog):
    async with serving(serializer) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            raise error

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, data={}))
        answer = await client.receive()
        assert (answer.type, answer.data) == (PacketType.CONNECT_ERROR, {"message": "Connection rejected by server"})
        assert list(sio.manager.get_participants("/", None)) == []
        assert "connect handler of / failed" in caplog.text
        caplog.clear()


async def test_without_the_guard_it_leaves_one(serializer):
    async with serving(serializer, Guards().without("refuse_on_error")) as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note("asked")
            raise KeyError("oops")

        sio.on("connect", lambda sid, environ, auth: None, namespace="/other")
        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, data={}))
        await client.connect("/other")
        assert len(list(sio.manager.get_participants("/", None))) == 1


@pytest.mark.parametrize("always_connect", [False, True])
async def test_a_disconnect_in_connect_refuses(serializer, always_connect):
    async with serving(serializer, always_connect=always_connect) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.enter_room(sid, "lobby")
            await sio.disconnect(sid)

        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, data={}))
        answers = [await client.receive() for _ in range(1 + always_connect)]
        expected = [CONNECT, DISCONNECT] if always_connect else [PacketType.CONNECT_ERROR]
        assert [answer.type for answer in answers] == expected
        assert list(sio.manager.get_participants("/", None)) == []
        assert list(sio.manager.get_participants("/", "lobby")) == []
        assert not sio.gate.unwanted


@pytest.mark.parametrize("several", [list, tuple, set])
async def test_a_call_takes_its_client_in_a_list_too(serializer, several):
    async with serving(serializer) as (sio, lab, _):
        client = await lab.client()
        (sid,) = (pair[0] for pair in sio.manager.get_participants("/", None))
        asking = asyncio.create_task(sio.call("question", to=several([sid]), timeout=WAIT_S))
        question = await client.receive()
        await client.send(Packet(ACK, data=["answer"], id=question.id))
        assert await asking == "answer"
        with pytest.raises(socketio.exceptions.TimeoutError):
            await sio.call("question", to=several(["nobody"]), timeout=0.01)


async def test_without_the_guard_a_disconnect_in_connect_is_passed_over(serializer):
    async with serving(serializer, Guards().without("refuse_on_disconnect")) as (sio, lab, _):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.disconnect(sid)

        await echoes(await lab.client())


async def test_what_else_an_application_does_to_a_socket_that_is_not_in_yet_works_or_raises(serializer):
    async with serving(serializer) as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.enter_room(sid, "kept")
            await sio.enter_room(sid, "left")
            await sio.leave_room(sid, "left")
            await sio.enter_room(sid, "closed")
            await sio.close_room("closed")
            await sio.save_session(sid, {"name": "alice"})
            async with sio.session(sid) as session:
                session["age"] = 30
            await sio.emit("welcome", await sio.get_session(sid), to=sid)
            for arguments in ({"to": sid}, {"sid": sid}, {"to": [sid]}, {"to": (sid,)}, {"to": {sid}}, {"sid": [sid]}):
                with pytest.raises(ValueError, match="connect handler"):
                    await sio.call("question", **arguments)
            await journal.note("rooms", sorted(sio.rooms(sid), key=str) == sorted([sid, "kept"], key=str))

        client = await lab.client()
        await journal.until("rooms", True)
        assert (await client.receive()).data == ["welcome", {"name": "alice", "age": 30}]
        await echoes(client)


@pytest.mark.parametrize("guarded", [True, False])
async def test_an_error_in_disconnect_leaves_no_ghost(serializer, guarded):
    guards = Guards() if guarded else Guards().without("refuse_on_error")
    async with serving(serializer, guards) as (sio, lab, journal):
        sio.on("connect", lambda sid, environ, auth: None, namespace="/other")
        sio.on("echo", lambda sid, *data: data, namespace="/other")

        @sio.event
        async def disconnect(sid, reason):
            await journal.note("leaves", reason)
            raise KeyError("oops")

        client = await lab.client()
        await client.connect("/other")
        await client.send(Packet(DISCONNECT))
        await journal.until("leaves", "client disconnect")
        await echoes(client, "/other")
        assert len(list(sio.manager.get_participants("/", None))) == (0 if guarded else 1)
        sio.handlers["/"]["disconnect"] = lambda sid, reason: None


@pytest.mark.parametrize(
    ("guards", "expected"),
    [(Guards(), {"message": "Invalid namespace"}), (Guards().without("name_unknown_namespaces"), "Unable to connect")],
)
async def test_an_unknown_namespace_is_named(serializer, guards, expected):
    async with serving(serializer, guards) as (_, lab, _journal):
        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT, "/nowhere"))
        answer = await client.receive()
        assert (answer.type, answer.namespace, answer.data) == (PacketType.CONNECT_ERROR, "/nowhere", expected)


EMPTY = [[], "", (), set(), [None]]


@pytest.mark.parametrize("target", EMPTY, ids=repr)
async def test_an_empty_target_is_nobody(serializer, target):
    async with serving(serializer) as (sio, lab, _):
        client = await lab.client()
        await sio.emit("lost", to=target)
        await sio.emit("lost", room=target)
        await sio.send("lost", to=target)
        await sio.manager.emit("lost", None, "/", room=target)
        with pytest.raises(ValueError, match="asks one client"):
            await sio.call("lost", to=target or "")
        await sio.emit("found")
        assert (await client.receive()).data == ["found"]


@pytest.mark.parametrize("target", [[], ""], ids=repr)
async def test_without_the_guard_it_is_everybody(serializer, target):
    async with serving(serializer, Guards().without("empty_target_is_nobody")) as (sio, lab, _):
        client = await lab.client()
        await sio.emit("lost", to=target)
        assert (await client.receive()).data == ["lost"]


async def test_nobody_enters_or_closes_a_room_that_is_named_like_a_socket(serializer):
    async with serving(serializer) as (sio, lab, _):
        alice, bob = await lab.client(), await lab.client()
        first, second = (sid for sid, _ in sio.manager.get_participants("/", None))
        assert first.startswith("sid:")
        elsewhere = "sid:of-another-node"
        for room in (second, elsewhere):
            with pytest.raises(ValueError, match="cannot enter a sid room"):
                await sio.enter_room(first, room)
            with pytest.raises(UsageError):
                await sio.close_room(room)
            with pytest.raises(ValueError, match="cannot enter a sid room"):
                await sio.manager.enter_room(first, "/", room)
        await sio.enter_room(first, first)
        await sio.emit("direct", to=second)
        await sio.emit("all")
        assert (await bob.receive()).data == ["direct"]
        assert (await alice.receive()).data == ["all"]


async def test_without_the_guard_somebody_elses_id_is_a_room_like_any_other(serializer):
    async with serving(serializer, Guards().without("reserve_socket_ids")) as (sio, lab, _):
        await lab.client()
        (sid,) = (pair[0] for pair in sio.manager.get_participants("/", None))
        await sio.enter_room(sid, "sid:of-another-node")
        assert "sid:of-another-node" in sio.rooms(sid)


async def test_a_consumer_that_is_too_slow_is_cut_off_and_the_others_go_on(serializer, caplog):
    async with serving(serializer, Guards(max_queued_bytes=200_000)) as (sio, lab, journal):
        slow, honest = await lab.client(), await lab.client()
        slow.transport.raw.transport.pause_reading()
        number = 0
        async with asyncio.timeout(WAIT_S):
            while ("disconnect", "slow consumer") not in journal.entries:
                number += 1
                await sio.emit("news", [number, "x" * 20_000])
                heard = await honest.receive()
                assert heard.data[1][0] == number
        assert len(sio.eio.sockets) == 1
        assert "closed, slow consumer" in caplog.text
        slow.transport.raw.transport.resume_reading()
        await ends(slow, "", 1006)  # its socket is closed for real
        await echoes(honest)


async def test_so_is_one_that_polls_and_does_not_fetch(serializer):
    async with serving(serializer, Guards(max_queued_bytes=200_000)) as (sio, lab, journal):
        slow = Client(lab, await lab.polling())
        await slow.connect()
        for _ in range(12):
            await sio.emit("news", "x" * 20_000)
        await journal.until("disconnect", "slow consumer")
        await slow.transport.is_gone()


async def test_without_the_guard_everything_is_kept(serializer):
    async with serving(serializer, Guards().without("max_queued_bytes")) as (sio, lab, _):
        slow = Client(lab, await lab.polling())
        await slow.connect()
        for number in range(300):
            await sio.emit("news", [number, "x" * 20_000])
        assert [(await slow.receive()).data[1][0] for _ in range(300)] == list(range(300))


@pytest.mark.parametrize(
    ("guards", "seen"),
    [
        (Guards(), "127.0.0.1"),
        (Guards(trusted_proxies=["127.0.0.0/8"]), "203.0.113.7"),
        (Guards(trusted_proxies=["10.0.0.0/8"]), "127.0.0.1"),
    ],
    ids=["nobody is trusted", "this proxy is", "another one is"],
)
async def test_the_peer_is_the_real_one(serializer, guards, seen):
    async with serving(serializer, guards) as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note(environ["REMOTE_ADDR"], "HTTP_X_FORWARDED_HOST" in environ)

        lab.http.headers.update({"X-Forwarded-For": "198.51.100.1, 203.0.113.7", "X-Forwarded-Host": "evil.example"})
        await Client(lab, await lab.polling()).connect()
        assert journal.entries == [(seen, seen != "127.0.0.1")]


async def test_without_the_guard_the_library_says_what_it_always_says(serializer):
    async with serving(serializer, Guards().without("real_peer_address")) as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note(environ["REMOTE_ADDR"], environ["REMOTE_PORT"])

        await lab.client()
        assert journal.entries == [("127.0.0.1", "0")]


@pytest.mark.parametrize("compress_over", [None, 500])
async def test_messages_are_compressed_only_where_asked_for_and_only_long_ones(serializer, compress_over):
    sio = Server(serializer=serializer, guards=Guards(compress_over=compress_over))
    texts = ("short", "x" * 5000, "y" * 5000)
    async with rtlab.serve(sio) as server, rtlab.tap(server) as tap, aiohttp.ClientSession() as http:
        async with http.ws_connect(f"{tap.url}/socket.io/?EIO=4&transport=websocket", compress=15) as ws:
            hello = wire(serializer, CONNECT)
            await ws.receive()
            await (ws.send_bytes(hello) if serializer == "msgpack" else ws.send_str(f"4{hello}"))
            await ws.receive()
            for text in texts:
                await sio.emit("news", text)
                assert text in str((await ws.receive()).data)
    answered = next(row for row in tap.transcript.handshakes if row.direction == "to client")
    assert ("permessage-deflate" in "".join(answered.lines)) == (compress_over is not None)
    down = [row.frame.rsv1 for row in tap.transcript.messages if row.direction == "to client"]
    assert down[2:] == ([False, False, False] if compress_over is None else [False, True, True])


@pytest.mark.parametrize("interval", [0.9, 1.5, 25_000, 0, -1, "25"])
async def test_a_ping_interval_that_nobody_can_mean_is_refused(serializer, interval):
    with pytest.raises(UsageError, match="ping_interval"):
        Server(serializer=serializer, ping_interval=interval)


async def test_whoever_has_milliseconds_in_mind_is_told(serializer):
    with pytest.raises(UsageError, match=r"6\.9 hours.*Did you mean 25\?"):
        Server(serializer=serializer, ping_interval=25_000)
    with pytest.raises(UsageError, match=r"ping_timeout=20000"):
        Server(serializer=serializer, ping_timeout=20_000)


async def test_without_the_guard_a_fraction_is_taken_and_advertised_as_it_is(serializer):
    async with serving(serializer, Guards().without("whole_ping_interval"), ping_interval=0.9) as (_, lab, _journal):
        assert (await lab.websocket()).handshake.ping_interval_ms == 900


async def test_too_many_packets_in_one_body_are_answered_and_the_session_closed(serializer):
    async with serving(serializer, Guards(max_packets_per_payload=20)) as (_, lab, journal):
        client = Client(lab, await lab.polling())
        await client.connect()
        assert (await client.transport.post("\x1e".join(["3"] * 20))).status == 200
        assert (await client.transport.post("\x1e".join(["3"] * 21))).status == 413
        await journal.until("disconnect", "transport error")
        await client.transport.is_gone()


async def test_a_burst_over_polling_arrives_complete(serializer):
    async with serving(serializer) as (sio, lab, journal):

        @sio.event
        async def count(sid, number):
            journal.entries.append(number)
            if number == 199:
                await journal.note("all")

        client = Client(lab, await lab.polling())
        await client.connect()
        journal.entries.clear()
        body = "\x1e".join(as_text(wire(serializer, EVENT, ["count", number])) for number in range(200))
        assert (await client.transport.post(body)).status == 200
        await journal.until("all")
        assert journal.entries[:-1] == list(range(200))


def as_text(message):
    """A message in the body of a POST."""
    return f"4{message}" if isinstance(message, str) else "b" + base64.b64encode(message).decode()


async def test_a_dead_peer_is_found_when_its_time_is_up(serializer):
    guards = Guards().without("whole_ping_interval")
    loop = asyncio.get_running_loop()
    async with serving(serializer, guards, ping_interval=0.2 * SCALE, ping_timeout=2 * SCALE) as (sio, lab, journal):
        silent = [await lab.client() for _ in range(5)]
        due = max(session._heartbeat._timer.when() for session in sio.eio.sockets.values())
        assert due <= loop.time() + 2.2 * SCALE, "the timer of each, not a look at all of them now and then"
        await until(lambda: journal.entries.count(("disconnect", "ping timeout")) == len(silent))
        await until(lambda: not sio.eio.sockets)


async def test_an_ack_of_number_0_is_nobodys(serializer):
    async with serving(serializer) as (sio, lab, _):
        client = await lab.client()
        (sid,) = (pair[0] for pair in sio.manager.get_participants("/", None))
        asking = asyncio.create_task(sio.call("ask", to=sid))
        asked = await client.receive()
        await client.send(Packet(ACK, data=["hello"], id=0))
        await client.send(Packet(ACK, data=["answer"], id=asked.id))
        assert await asking == "answer"
        second = asyncio.create_task(sio.call("ask", to=sid))
        asked = await client.receive()
        await client.send(Packet(ACK, data=["again"], id=asked.id))
        assert await second == "again"
