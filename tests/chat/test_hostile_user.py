"""Somebody with one good token and many connections: what it takes from the others is bounded by user.

Two honest ones talk meanwhile, over WebSocket and long-polling. ``pytest -s`` shows a table: what the attack got, and
how long they waited.
"""

import asyncio
import json
import logging
import time
from collections import Counter
from contextlib import AsyncExitStack, suppress

import pytest
import socketio
from chat.hostile import flood, honest, hostile, shown
from chat.serving import chatting, cut, fresh, token
from deadlines import SCALE, WAIT_S
from eventually import until
from realtime.conformance.clients import Client
from realtime.serving import lab_of
from websockets.exceptions import ConnectionClosed

from rtlab.chat import ChatRefusedError, Limits, connect
from rtlab.chat.clock import Clock
from rtlab.realtime.limits import UNADMITTED_PACKETS
from rtlab.servers.repeats import INTERVAL_S, LINES
from rtlab.wire.socketio import Packet, PacketType

FAST = Limits(events_per_s=1e6, burst=1_000_000)
"""The rate out of the way; everything else as it is by default."""
PACE_S = 0.06 * SCALE
_rows = []


@pytest.fixture(scope="module", autouse=True)
def table():
    """Prints the rows after the last test."""
    yield
    print("\nattack with one token" + " " * 30 + "what it got; the honest two")
    for row in _rows:
        print("{:<50} {}; {}".format(*row))


def note(attack, got, said):
    _rows.append((attack, got, shown(said)))


class Moved:
    """Seconds that a test moves."""

    ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


async def test_ten_connections_do_not_fill_the_house():
    name = fresh("mallory")
    async with chatting(limits=FAST) as place, lab_of(place.server) as lab, honest(place, PACE_S) as said:
        async with AsyncExitStack() as stack:
            answers = Counter()
            for number in range(10):
                one = await stack.enter_async_context(hostile(place, lab, name=name))
                answers += await flood(one, (("chat:join", f"room {number} {n}") for n in range(50)))
            newcomer = await place.enter()
            ack = await newcomer.ask("chat:join", "a new room")
            note("ten connections, 50 rooms each", f"{answers['ok']} of 500 rooms", said)
            assert ack["status"] == "ok", ack
            assert answers == {"ok": 100, "too_many_rooms": 400}


async def test_rooms_that_are_filled_and_left_evict_ones_own():
    """520 rooms with a message each, at a rate that allows it: the rooms of others keep their history."""
    limits = Limits(events_per_s=1e6, burst=1_000_000, new_rooms_per_min=1e8)
    async with chatting(limits=limits) as place, lab_of(place.server) as lab, honest(place, PACE_S) as said:
        alice = await place.enter(transports=["websocket"])
        for n in range(20):
            await alice.join(f"alice {n}")
            await alice.say(f"alice {n}", "worth keeping")
            await alice.ask("chat:leave", f"alice {n}")

        def events():
            for n in range(520):
                yield "chat:join", f"room {n}"
                yield "chat:message", {"room": f"room {n}", "text": "x"}
                yield "chat:leave", f"room {n}"

        async with hostile(place, lab) as mallory:
            await flood(mallory, events())
        kept = [(await alice.join(f"alice {n}"))["history"] for n in range(20)]
        note("520 rooms filled and left", f"evicted {sum(not each for each in kept)} of 20 of others", said)
        assert all(kept)


async def test_new_rooms_have_a_rate():
    async with chatting(limits=FAST) as place, lab_of(place.server) as lab, honest(place, PACE_S) as said:
        async with hostile(place, lab) as mallory:
            answers = await flood(mallory, (event for n in range(300) for event in visit(f"room {n}")))
        note("300 rooms made and left at once", f"{answers['rate_limited']} refused", said)
        assert answers["rate_limited"] >= 300 - Limits().rooms_per_user - 30
        assert set(answers) == {"ok", "rate_limited"}


def visit(room):
    return [("chat:join", room), ("chat:leave", room)]


async def test_many_connections_of_one_user_neither_fill_a_room_nor_go_beyond_their_number():
    limits = Limits(events_per_s=1e6, burst=1_000_000, members=20)
    name = fresh("mallory")
    async with chatting(limits=limits) as place, honest(place, PACE_S) as said:
        people = [await place.enter(name, transports=["websocket"]) for _ in range(20)]
        joined = sum([(await person.ask("chat:join", "hall"))["status"] == "ok" for person in people])
        alice = await place.enter()
        ack = await alice.ask("chat:join", "hall")
        note("20 connections of one user in a room for 20", f"{joined} let in, then {ack.get('code', 'place')}", said)
        assert ack["members"] == sorted([alice.name, name])
        with pytest.raises(ChatRefusedError, match="Too many connections") as refused:
            await connect(place.url, token=token(name))
        assert refused.value.code == "too_many_connections"
        await place.dismiss_one(people[0])
        async with connect(place.url, token=token(name)) as again:
            assert again.connected


async def test_twelve_connections_share_one_rate_and_the_one_that_says_little_stays():
    name = fresh("mallory")
    limits = Limits()
    async with chatting(limits=limits) as place, lab_of(place.server) as lab, honest(place, PACE_S) as said:
        quiet = await place.enter(name, transports=["websocket"])
        await quiet.join(said.room)
        async with AsyncExitStack() as stack:
            loud = [await stack.enter_async_context(hostile(place, lab, name=name)) for _ in range(11)]
            began = time.monotonic()
            spoken = [("chat:join", said.room)] + [("chat:message", {"room": said.room, "text": "x" * 500})] * 19
            got = await asyncio.gather(*(flood(each, spoken) for each in loud))
            answers = sum(got, Counter())
            took = time.monotonic() - began
            note("twelve connections, each within the rate", f"{answers['ok']} of 220 at once", said)
            assert answers["ok"] <= limits.burst + limits.events_per_s * took
            ack = await quiet.ask("chat:leave", "x")
            assert (ack["status"], ack.get("code")) in {("ok", None), ("error", "rate_limited")}
            for each in loud:
                for _ in range(60):
                    await each.say("/", "chat:leave", ["x"])
                with suppress(ConnectionClosed):
                    while True:
                        await each.until(PacketType.ACK, PacketType.DISCONNECT)
            await until(lambda: len(place.chat._connections) == 3, "the loud ones are ended, nobody else")
            assert quiet.sio.connected


async def test_coming_back_brings_no_new_budget():
    name = fresh("mallory")
    limits = Limits()
    async with chatting(limits=limits) as place, lab_of(place.server) as lab, honest(place, PACE_S) as said:
        began, answers = time.monotonic(), Counter()
        for _ in range(6):
            try:
                async with hostile(place, lab, name=name) as one:
                    answers += await flood(one, [("chat:leave", "x")] * 30)
            except AssertionError:  # a CONNECT_ERROR came
                answers["refused"] += 1
        took = time.monotonic() - began
        note("30 events, then another connection, six times", f"{answers['ok']} of 180 at once", said)
        assert answers["ok"] <= limits.burst + limits.events_per_s * took
        assert len(place.chat._connections.users) <= 4


async def test_joins_are_charged_by_what_they_answer():
    limits = Limits()
    moved = Moved()
    async with chatting(limits=limits, clock=Clock(steady=moved)) as place, lab_of(place.server) as lab:
        alice = await place.enter(transports=["websocket"])
        await alice.join("emoji")
        for _ in range(50):
            assert (await alice.say("emoji", "🎈" * 1000))["status"] == "ok"
            moved.ahead += 2
        async with honest(place, PACE_S) as said, hostile(place, lab) as mallory:
            began = time.monotonic()
            sent = received = 0
            for _ in range(40):
                sent += len('42["chat:join","emoji"]')
                await mallory.say("/", "chat:join", ["emoji"])
            for _ in range(40):
                while True:
                    packet = await mallory.until(PacketType.ACK, PacketType.EVENT)
                    received += len(json.dumps(packet.data))
                    if packet.type is PacketType.ACK:
                        break
            took = time.monotonic() - began
        note(
            "40 joins of a room with 50 x 1,000 emoji",
            f"{received / sent:,.0f} bytes per byte, {received:,} in all",
            said,
        )
        most = (limits.burst + limits.events_per_s * took) * 32 * 1024 + limits.page_bytes
        assert received < most + 40 * 300


async def test_restoring_and_cutting_is_bounded_by_what_others_hear():
    moved = Moved()
    async with chatting(limits=Limits(), clock=Clock(steady=moved)) as place:

        async def in_all(person):
            for kind in ("chat", "room"):
                for n in range(50):
                    ack = await person.ask(f"{kind}:join", f"room {n}")
                    assert ack["status"] == "ok", ack
                    moved.ahead += 2

        watching = await place.enter(transports=["websocket"])
        name = fresh("mallory")
        first = await place.enter(name, transports=["websocket"])
        await in_all(watching)
        await in_all(first)
        session = (await first.next("session"))["id"]
        async with honest(place, PACE_S) as said:
            await place.dismiss_one(first)
            moved.ahead += 60
            await asyncio.sleep(0.1)
            before = len(watching.heard)
            began, restored = time.monotonic(), 0
            while time.monotonic() < began + 2:
                try:
                    person = await place.enter(name, transports=["websocket"], namespaces=("/",))
                except socketio.exceptions.ConnectionError:  # it is not let in now
                    await asyncio.sleep(0.05)
                    continue
                ack = await person.ask("session:restore", session)
                restored += ack["status"] == "ok"
                place.people.remove(person)
                cut(person.sio)
                await person.close()
            took = time.monotonic() - began
            await watching.all("chat:userLeft")
            heard = sum(each[1].endswith(("userJoined", "userLeft")) for each in watching.heard[before:])
        note("restore and cut, 100 rooms", f"{restored} times, {heard / took:,.0f} notices a second", said)
        assert heard <= (2 * 40 + 20 * took) / 0.25


async def test_the_log_does_not_grow_with_what_is_refused(caplog):
    caplog.set_level(logging.INFO)
    async with chatting(limits=FAST) as place, lab_of(place.server) as lab, honest(place, PACE_S) as said:
        caplog.clear()
        sent, began = 0, time.monotonic()
        for n in range(300):
            if n % UNADMITTED_PACKETS == 0:  # that is all that one connection may say
                client = Client(lab, await lab.websocket())
            packet = Packet(PacketType.CONNECT, "/", {"token": f"x{n}"})
            await client.send(packet)
            assert (await client.receive()).type is PacketType.CONNECT_ERROR
            sent += len(f'0{{"token":"x{n}"}}')
        lines = [each for each in caplog.records if each.name == "rtlab.chat" and each.message.startswith("refused")]
        logged = len(lines) * 300
        note("300 refused tokens", f"{len(lines)} lines, {logged / sent:.1f} log bytes per byte", said)
        assert len(lines) <= (LINES + 1) * (1 + (time.monotonic() - began) // INTERVAL_S)
        metrics = await place.metrics()
        assert metrics['rtlab_chat_refusals_total{reason="token_invalid"}'] == 300


async def test_who_comes_and_goes_in_a_hurry_is_counted_in_the_log(caplog):
    caplog.set_level(logging.INFO)
    name = fresh("mallory")
    async with chatting(limits=FAST) as place, lab_of(place.server) as lab, honest(place, PACE_S):
        async with hostile(place, lab, name=name) as mallory:
            for _ in range(60):
                await mallory.client.send(Packet(PacketType.DISCONNECT, "/", None))
                await mallory.client.send(Packet(PacketType.CONNECT, "/", {"token": token(name)}))
                await mallory.until(PacketType.CONNECT)
        lines = Counter(each.user == name for each in caplog.records if each.message in {"connected", "disconnected"})
        assert lines[True] <= 20 + 2 * 5 + 1 + WAIT_S / 2
        assert lines[False] >= 4, "others are seen as before"
