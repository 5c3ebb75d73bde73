"""What a client costs at most: before it is let in, while it is here, and when it is gone."""

import asyncio
import gc
import json
import logging
import time
import weakref
from contextlib import suppress

import aiohttp
import msgpack
import pytest
from deadlines import WAIT_S
from eventually import until
from quick import quick
from realtime.conformance.lab import Client
from realtime.serving import CONNECT, SERIALIZERS, echoes, lab_of, serving
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode

import rtlab
from rtlab.realtime import Guards, Server
from rtlab.realtime.admission import Admission
from rtlab.realtime.limits import (
    HEAD_BYTES,
    NAMESPACE_LENGTH,
    PACKETS_PER_PYTHON_GET,
    UNADMITTED_BYTES,
    UNADMITTED_GRACE_S,
    UNADMITTED_PACKET_BYTES,
    UNADMITTED_PACKETS,
)
from rtlab.servers.repeats import LINES
from rtlab.wire.socketio import Packet

POLL = {"EIO": "4", "transport": "polling"}


# Before it is let in


async def test_the_beginning_of_a_large_message_is_not_kept_for_who_is_not_known():
    """A frame that says it has 900 kB, and brings them: whoever is in no namespace is cut off long before the end."""
    async with serving() as (sio, lab, _):
        stranger, friend = await lab.websocket(), await lab.client()
        long = Frame(Opcode.TEXT, b"4" + b"x" * 900_000).serialize(mask=True)
        friend.transport.raw.transport.write(long[:500_000])
        with suppress(ConnectionResetError):
            stranger.raw.transport.write(long[: UNADMITTED_BYTES + 1])
        await stranger.ends(within_s=WAIT_S)
        assert stranger.raw.close_code == 1008
        await until(lambda: len(sio.eio.sockets) == 1)
        friend.transport.raw.transport.write(long[500_000:])  # it is no packet, and that is what it is cut off for
        await friend.transport.ends(within_s=WAIT_S)
        assert "packet type" in friend.transport.raw.close_reason


async def test_nor_is_a_body():
    async with serving() as (_, lab, journal):
        stranger = await lab.polling()
        assert (await stranger.post("4" * (UNADMITTED_BYTES + 1))).status == 413
        await stranger.is_gone()
        friend = Client(lab, await lab.polling())
        await friend.connect()
        await friend.request("echo", "x" * 10 * UNADMITTED_BYTES)
        assert ("disconnect", "transport error") not in journal.entries


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("what", ["one large packet", "bytes in all", "packets"])
async def test_a_stranger_says_little(what, transport):
    async with serving() as (sio, lab, _):
        sio.on("connect", lambda sid, environ, auth: False)
        client = Client(lab, await getattr(lab, transport)())
        ask = "0" + json.dumps({"token": "x" * (1 if what == "packets" else UNADMITTED_PACKET_BYTES // 2)})
        allowed = UNADMITTED_PACKETS if what == "packets" else UNADMITTED_BYTES // len(ask) - 1  # frames have heads
        if what == "one large packet":
            allowed, ask = 0, '0{"token":"' + "x" * UNADMITTED_PACKET_BYTES + '"}'
        for _ in range(allowed):
            await client.say(ask)
            assert (await client.receive()).type.name == "CONNECT_ERROR"
        with suppress(AssertionError, ConnectionClosed):
            for _ in range(3):
                await client.say(ask)
                await client.receive()
        await until(lambda: not sio.eio.sockets)


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_who_has_left_is_a_stranger_again_and_may_come_back_often(transport):
    async with serving() as (sio, lab, _):
        client = Client(lab, await getattr(lab, transport)())
        for _ in range(2 * UNADMITTED_PACKETS):
            await client.connect()
            assert len(sio.eio.admission) == 0
            await client.say("1")
            await until(lambda: len(sio.eio.admission) == 1)
        with suppress(AssertionError, ConnectionClosed):
            await client.say("0" + json.dumps({"x": "y" * UNADMITTED_PACKET_BYTES}))
        await until(lambda: not sio.eio.sockets)
        assert len(sio.eio.admission) == 0


async def test_so_many_strangers_of_one_address_and_in_all():
    guards = Guards(max_unadmitted=5, max_unadmitted_per_address=3, trusted_proxies=["127.0.0.1"])
    async with serving(guards=guards) as (sio, lab, _):

        async def come(address):
            headers = {"X-Forwarded-For": address}
            async with lab.http.get(lab.url, params=POLL, headers=headers) as response:
                return response.status, await response.text()

        assert [(await come("192.0.2.1"))[0] for _ in range(4)] == [200, 200, 200, 503]
        assert json.loads((await come("192.0.2.1"))[1]) == {"code": 3, "message": "Too many clients are waiting"}
        assert [(await come(f"192.0.2.{number}"))[0] for number in (2, 3)] == [200, 200]
        assert (await come("192.0.2.2"))[0] == 200, "in the place of one of those who have most"
        assert len(sio.eio.admission) == 5
        assert (await come("192.0.2.1"))[0] == 503, "it has as many as the others, and none is here for long"
        for sid in list(sio.eio.sockets)[:2]:  # two are let in: their places are free
            async with lab.http.post(lab.url, params=POLL | {"sid": sid}, data="40") as response:
                assert response.status == 200
        await until(lambda: len(sio.eio.admission) == 3)
        assert [(await come("192.0.2.1"))[0] for _ in range(3)] == [200, 200, 503]
        await sio.eio.disconnect()
        assert len(sio.eio.admission) == 0


def test_few_addresses_do_not_keep_the_places_of_all():
    now = 0.0
    admission = Admission(8, 4, lambda: now)
    for number in range(8):
        admission.wait(f"{number}", f"192.0.2.{1 + number % 2}")
    assert admission.refusal("192.0.2.3") is not None
    assert admission.replaceable("192.0.2.1") is None, "it has its number, and they are new"
    for number in range(2):
        assert admission.replaceable("192.0.2.3") == f"{number}", "of who has most, the longest here"
        admission.leave(f"{number}")
        admission.wait(f"new {number}", "192.0.2.3")
    assert admission.replaceable("192.0.2.3") is None, "nobody has more than it would have"
    assert admission.replaceable("192.0.2.4") == "2"
    now = UNADMITTED_GRACE_S * 2
    assert admission.replaceable("192.0.2.3") == "2", "they have had their time"
    assert len(admission) == 8


async def test_who_waits_for_long_makes_place_for_who_comes(monkeypatch):
    """A few handshakes a second, from as many addresses as one likes, kept everybody else out."""
    monkeypatch.setattr("rtlab.realtime.admission.UNADMITTED_GRACE_S", 0.0)
    guards = Guards(max_unadmitted=3, max_unadmitted_per_address=3)
    async with serving(guards=guards) as (sio, lab, _):
        strangers = [await lab.polling() for _ in range(2)] + [await lab.websocket()]
        for stranger in strangers:
            await echoes(await lab.client())
            await (stranger.ends(within_s=WAIT_S) if stranger is strangers[-1] else stranger.is_gone())
            strangers_left = len(sio.eio.admission)
            await lab.polling()
            assert len(sio.eio.admission) == strangers_left + 1 == 3


def test_an_ipv6_network_is_one_address():
    admission = Admission(None, 2, time.monotonic)
    for number, address in enumerate(["2001:db8::1", "2001:db8::ffff:2"]):
        assert admission.refusal(address) is None
        admission.wait(str(number), address)
    assert admission.refusal("2001:db8:0:0:1::3") is not None
    assert admission.refusal("2001:db8:0:1::3") is None
    assert admission.refusal("") is None, "a Unix socket has none"
    admission.leave("0")
    admission.leave("0")
    assert admission.refusal("2001:db8::3") is None


async def test_a_head_has_a_limit_and_only_what_is_wanted_of_it_is_kept():
    guards, environs = Guards(kept_headers=["User-Agent", "x-mine"]), []
    async with serving(guards=guards) as (sio, lab, _):
        sio.on("connect", lambda sid, environ, auth: environs.append(environ))
        fields = {f"X-{number}": "x" * 2000 for number in range(HEAD_BYTES // 2000 + 1)}
        async with lab.http.get(lab.url, params=POLL, headers=fields) as response:
            assert response.status == 431
            assert response.headers["Connection"] == "close"
        assert not sio.eio.sockets
        fields = {"X-Mine": "1", "X-Other": "2", "User-Agent": "me", "Cookie": "c=3"}
        async with aiohttp.ClientSession(headers=fields) as http:
            client = Client(lab, await lab.polling())
            await client.connect()
            async with http.get(lab.url, params=POLL) as response:
                sid = (await response.text()).split('"')[3]
            async with http.post(lab.url, params=POLL | {"sid": sid}, data="40") as response:
                assert response.status == 200
            await until(lambda: len(environs) == 2)
        assert {name for name in environs[1] if name.startswith("HTTP_")} == {"HTTP_X_MINE", "HTTP_USER_AGENT"}
        assert not {"aiohttp.request", "wsgi.input"} & environs[1].keys()
        assert environs[1]["REMOTE_ADDR"] == "127.0.0.1"


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_an_attachment_has_no_place_before_its_namespace_is_joined(serializer):
    async with serving(serializer) as (_, lab, _journal):
        client = Client(lab, await lab.websocket())
        text = '451-/nowhere,["x",{"_placeholder":true,"num":0}]'[1:]
        await client.say(
            msgpack.packb({"type": 2, "nsp": "/nowhere", "data": ["x"]}) if serializer != "default" else text
        )
        await client.transport.ends(within_s=WAIT_S)
        assert "expected a CONNECT first" in client.transport.raw.close_reason


async def test_a_packet_has_a_limit_with_all_its_attachments():
    async with serving(max_http_buffer_size=100_000) as (sio, lab, _):
        taken = []
        sio.on("take", lambda sid, *data: taken.append(list(map(len, data))))
        for count in (3, 6):
            client = await lab.client()
            holes = ",".join(f'{{"_placeholder":true,"num":{number}}}' for number in range(count))
            with suppress(ConnectionClosed):
                await client.say(f'5{count}-["take",{holes}]')
                for _ in range(count):
                    await client.say(b"x" * 90_000)
            if count == 3:
                await echoes(client)
            else:
                await client.transport.ends(within_s=WAIT_S)
                assert "with all attachments" in client.transport.raw.close_reason
        assert taken == [[90_000] * 3]


async def test_a_megabyte_for_a_namespace_that_was_not_joined_is_not_parsed():
    async with serving() as (_, lab, _journal):
        client = await lab.client()
        await client.say("2/nowhere,[" + "x" * 500_000)  # no JSON: whoever parses it says so
        await client.transport.ends(within_s=WAIT_S)
        assert "expected a CONNECT first" in client.transport.raw.close_reason


async def test_a_namespace_has_so_many_characters_and_a_client_so_many_namespaces():
    async with serving(guards=Guards(max_namespaces=3), namespaces="*") as (_, lab, _journal):
        client = await lab.client()
        for number in range(2):
            await client.connect(f"/{number}")
        await client.send(Packet(CONNECT, "/another"))
        answer = await client.receive()
        assert (answer.type.name, answer.data) == ("CONNECT_ERROR", {"message": "Too many namespaces"})
        await client.say("0/" + "x" * NAMESPACE_LENGTH)
        await client.transport.ends(within_s=WAIT_S)
        assert "expected a namespace of at most" in client.transport.raw.close_reason


# While it is here


async def test_so_many_handlers_of_one_client_are_at_work():
    async with serving(guards=Guards(max_handlers=5)) as (sio, lab, journal):
        go_on, at_work = asyncio.Event(), []

        @sio.event
        async def work(sid, number):
            at_work.append(number)
            await go_on.wait()

        client, other = await lab.client(), await lab.client()
        for number in range(20):
            await client.emit("work", number)
        await until(lambda: len(at_work) == 5)
        await echoes(other)
        assert at_work == [0, 1, 2, 3, 4]
        await client.transport.raw.close()
        await journal.until("disconnect", "transport close")  # the end waits for no handler
        go_on.set()


async def test_when_one_handler_ends_the_next_one_begins():
    async with serving(guards=Guards(max_handlers=2)) as (sio, lab, _):
        gates = [asyncio.Event() for _ in range(5)]
        at_work = []

        @sio.event
        async def work(sid, number):
            at_work.append(number)
            await gates[number].wait()

        client = await lab.client()
        for number in range(5):
            await client.emit("work", number)
        await until(lambda: at_work == [0, 1])
        gates[1].set()
        await until(lambda: at_work == [0, 1, 2])
        for gate in gates:
            gate.set()
        await until(lambda: at_work == [0, 1, 2, 3, 4])
        await echoes(client)


async def test_the_messages_of_handlers_have_a_limit_in_bytes():
    async with serving() as (sio, lab, _):
        go_on, at_work = asyncio.Event(), []

        @sio.event
        async def work(sid, text):
            at_work.append(text)
            await go_on.wait()

        client = await lab.client()
        sending = asyncio.create_task(flood(client, 20, json.dumps(["work", "😀" * 100_000], ensure_ascii=False)))
        await until(lambda: at_work)
        await echoes(await lab.client())
        await echoes(await lab.client())
        assert len(at_work) <= 4, "400 kB each in memory: the one that reaches a mebibyte is the last"
        go_on.set()
        await sending
        await until(lambda: len(at_work) == 20)


async def flood(client, count, event):
    for _ in range(count):
        await client.say(f"2{event}")


@pytest.mark.parametrize("kind", quick(["PONG", "WebSocket PING", "events", "bytes"], ["PONG", "events"]))
async def test_who_sends_too_fast_is_read_more_slowly(kind):
    """Nobody is cut off for it, and others are served meanwhile."""
    guards = Guards(packets_per_s=25, bytes_per_s=100_000)
    async with serving(guards=guards) as (sio, lab, _):
        client, other = await lab.client(), await lab.client()
        taken = []
        sio.on("take", lambda sid, *data: taken.append(len(taken)))
        frame = {
            "PONG": Frame(Opcode.TEXT, b"3"),
            "WebSocket PING": Frame(Opcode.PING, b"x"),
            "events": Frame(Opcode.TEXT, b'42["take"]'),
            "bytes": Frame(Opcode.TEXT, b'42["take","' + b"x" * 50_000 + b'"]'),
        }[kind].serialize(mask=True)
        count = 12 if kind == "bytes" else 160
        client.transport.raw.transport.write(frame * count)
        asking = asyncio.create_task(client.request("echo", "behind it"))
        for number in range(10):
            await other.request("echo", number)
        assert not asking.done()
        assert await asking == ["behind it"]
        if kind in {"events", "bytes"}:
            assert taken == list(range(count))


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_who_sends_what_is_slow_to_read_waits(serializer, monkeypatch):
    """As much as one client takes of the processor, others have many times over."""
    monkeypatch.setattr("rtlab.realtime.intake.WORK_BURST_S", 0.0001)
    async with serving(serializer, guards=Guards(work_share=0.0001)) as (sio, lab, _):
        taken = []
        sio.on("take", lambda sid, *data: taken.append(len(taken)))
        client, other = await lab.client(), await lab.client()
        for _ in range(2):  # some milliseconds each, for which it waits ten thousand times as long
            await client.emit("take", [[] for _ in range(50_000)])
        await until(lambda: taken)
        for _ in range(50):
            await echoes(other)
        assert taken == [0]
        client.transport.raw.transport.abort()


async def test_a_javascript_client_that_polls_takes_what_there_is_and_a_python_client_what_it_can():
    async with serving() as (sio, lab, _):
        for stamp, expected in (("P8xk2a", 50), ("1764400000.123", PACKETS_PER_PYTHON_GET), (None, 50)):
            client = Client(lab, await lab.polling())
            await client.connect()
            for number in range(50):
                await sio.emit("news", number)
            query = client.transport.query | ({} if stamp is None else {"t": stamp})
            assert len((await lab.request("GET", **query)).packets) == expected
            await client.transport.post("1")


@pytest.mark.parametrize("serializer", SERIALIZERS)
async def test_half_a_surrogate_pair_is_for_the_application_to_refuse(serializer):
    async with serving(serializer) as (sio, lab, _):
        heard = []

        @sio.event
        async def say(sid, text):
            heard.append(text)
            return "refused" if any("\ud800" <= each <= "\udfff" for each in text) else "taken"

        client = await lab.client()
        poisoned = {"type": 2, "nsp": "/", "data": ["say", "\ud83d"], "id": 7}
        binary = msgpack.packb(poisoned, unicode_errors="surrogatepass")
        await client.say('27["say","\\ud83d"]' if serializer == "default" else binary)
        assert (await client.receive()).data == ["refused"]
        assert await client.request("say", "whole") == ["taken"]
        assert heard == ["\ud83d", "whole"]


# When it is gone


@pytest.mark.parametrize("transport", quick(["websocket", "polling"], ["websocket"]))
@pytest.mark.parametrize("how", ["leaves", "is cut off", "is too slow"])
async def test_who_is_gone_holds_nothing_without_the_cyclic_collector(transport, how):
    gc.collect()
    gc.disable()
    try:
        async with serving(guards=Guards(max_queued_bytes=200_000)) as (sio, lab, journal):
            client = Client(lab, await getattr(lab, transport)())
            sid = await client.connect()
            (session,) = sio.eio.sockets.values()
            kept = [weakref.ref(each) for each in (session, session.transport, session.intake)]
            del session
            if how == "is too slow":
                if transport == "websocket":
                    client.transport.raw.transport.pause_reading()
                while sio.eio.sockets:
                    await sio.emit("news", "x" * 50_000)
            elif how == "leaves":
                if transport == "polling":
                    await client.transport.post("1")
                else:
                    await client.transport.raw.close()
            else:
                for _ in range(3):
                    await sio.emit("news", "x" * 50_000, to=sid)
                await client.say("9")
                with suppress(AssertionError):
                    await client.receive()
            await until(lambda: len(journal.entries) == 2)
            if transport == "websocket":
                client.transport.raw.transport.abort()
            await until(lambda: not any(each() for each in kept), lambda: [each() for each in kept])
            assert not sio.environ
    finally:
        gc.enable()


async def test_what_nobody_handled_is_gone_with_its_client():
    gc.collect()
    gc.disable()
    try:
        async with serving(async_handlers=False) as (sio, lab, _):
            begun = asyncio.Event()

            @sio.event
            async def work(sid, text):
                begun.set()
                await asyncio.Event().wait()

            client = await lab.client()
            await flood(client, 10, json.dumps(["work", "x" * 20_000]))
            await begun.wait()
            (session,) = sio.eio.sockets.values()
            kept, intake = weakref.ref(session), session.intake
            del session
            await until(lambda: len(intake) == 9)
            await sio.shutdown()
            assert len(intake) == 0
            await until(lambda: kept() is None)
    finally:
        gc.enable()


# The end of the server


@pytest.mark.parametrize("step", ["probed", "not probed", "a slow body"])
async def test_half_an_upgrade_and_half_a_body_hold_up_no_shutdown(step):
    async with serving() as (sio, lab, _):
        client = Client(lab, await lab.polling())
        await client.connect()
        if step == "a slow body":
            half = await lab.begin("POST", b"4", 100, **client.transport.query)
        else:
            half = await lab.upgrading(client.transport)
            if step == "probed":
                await half.raw.send("2probe")
                await half.raw.recv()
        await sio.shutdown()
        if step == "a slow body":
            assert (await half.answer()).status == 503
        else:
            await half.ends(within_s=WAIT_S)
            assert half.raw.close_code in {1001, 1006}


# The log


async def test_an_error_is_one_line_and_repeated_ones_are_summed_up(caplog):
    loggers = [logging.getLogger(name) for name in ("socketio.server", "engineio.server", "rtlab.realtime.errors")]
    before = [list(each.handlers) for each in loggers]  # those of plain servers in other tests
    async with serving() as (sio, lab, _):

        @sio.event
        async def fail(sid):
            raise KeyError("oops")

        client = await lab.client()
        for number in range(100):
            await client.emit("fail")
            await client.request("echo", number)
        found = [each for each in caplog.records if "failed" in each.getMessage()]
        assert len(found) == LINES
        assert {each.name for each in found} == {"rtlab.realtime.errors"}
    assert [list(each.handlers) for each in loggers] == before, "one more would be a second line, in another form"
    assert before[-1] == []


async def test_strangers_who_come_and_go_are_summed_up_and_guests_are_not(caplog):
    caplog.set_level(logging.INFO, "rtlab.realtime")
    server = Server()
    async with rtlab.serve(server) as hosted, lab_of(hosted) as lab:
        for _ in range(LINES + 10):
            client = await lab.websocket()
            await client.raw.close()
        await until(lambda: not server.eio.sockets)
        assert len(caplog.records) == LINES
        for _ in range(LINES + 10):
            client = await lab.client()
            await client.transport.raw.close()
        await until(lambda: not server.eio.sockets)
        assert len(caplog.records) == 2 * LINES + 10
