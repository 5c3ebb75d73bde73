"""Hostile clients who have been let in: whatever they say is answered, bounded, and nobody else's trouble."""

import asyncio
import json
import os
import re
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgpack
import psutil
import pytest
import pytest_asyncio
from chat.hostile import Elsewhere, flood, honest, hostile
from chat.serving import BOTH, NOTIFICATIONS, chatting
from deadlines import SCALE, WAIT_S
from eventually import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from realtime.hostile_figures import note, table
from realtime.serving import lab_of
from websockets.exceptions import ConnectionClosed

import rtlab
from rtlab.chat import Limits
from rtlab.wire.socketio import RESERVED_EVENTS, PacketType

__all__ = ["table"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

EVENTS = {
    "/": [
        "chat:join", "chat:leave", "chat:message", "chat:typing", "room:join", "room:leave", "session:restore",
        "token:refresh",
    ],
    NOTIFICATIONS: ["subscribe", "unsubscribe", "token:refresh"],
}  # fmt: skip
CODES = {
    "bad_payload", "not_a_member", "rooms_full", "too_many_rooms", "room_full", "rate_limited", "unknown_event",
    "unknown_session", "token_invalid", "token_expired", "forbidden",
}  # fmt: skip
GROWTH_MIB = 150
"""What the server may have more at the end: all that its limits allow, and far less than was sent at it."""


# Any event with any payload


def fine(ack):
    """Whether this is how an event is answered."""
    if ack.get("status") == "ok":
        return True
    assert set(ack) == {"status", "code", "message"}, ack
    assert ack["status"] == "error", ack
    assert ack["code"] in CODES, ack
    assert isinstance(ack["message"], str), ack
    assert len(ack["message"]) < 500, ack
    assert ack["message"].isprintable(), ack
    if ack["code"] == "bad_payload":
        assert re.match(r"(?:[\w\[\]]+|'.+'): expected .+, got .+", ack["message"]), ack
    else:
        assert re.match(r"(?:[\w\[\]]+|'.+'): expected .+", ack["message"]), ack
    return True


PLAIN = st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=80)
LEAF = {
    "default": PLAIN | st.integers(-(10**300), 10**300) | st.binary(max_size=20),
    "msgpack": PLAIN
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.binary(max_size=20)
    | st.builds(msgpack.ExtType, st.integers(0, 127), st.binary(max_size=4))
    | st.builds(msgpack.Timestamp, st.integers(0, 2**34 - 1), st.integers(0, 999)),
}
NAMES = st.sampled_from(["a", "b", "c", " a", "", "a" * 64, "a" * 65, "sid:x", "\u0000", "\u202e", "e\u0301"])


def values(serializer):
    anything = st.recursive(
        LEAF[serializer],
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=8,
    )
    some = NAMES | anything
    offsets = st.sampled_from(
        ["1-0", "0-0", "9" * 39 + "-", "9" * 19 + "-" + "9" * 19, "-1-0", "1-0-0", "٣-٣", "1e3-0"]
    )
    fields = st.fixed_dictionaries(
        {},
        optional={"room": some, "text": some, "after": offsets | some, "clientId": some, "topics": some, "token": some},
    )
    return NAMES | fields | st.lists(NAMES, max_size=60) | anything


def arguments(serializer):
    return st.lists(values(serializer), min_size=1, max_size=1) | st.lists(values(serializer), max_size=5)


def calls(serializer):
    """Events as a client may send them: (namespace, name, arguments)."""
    known = [(namespace, name) for namespace, names in EVENTS.items() for name in names]
    odd = st.sampled_from(
        [
            "*",
            "",
            " ",
            "message",
            "__proto__",
            "toString",
            "__class__",
            "chat:join ",
            "CHAT:JOIN",
            "session",
            0,
            7,
            -1,
            1.5,
        ]
    ) | st.text(max_size=200).filter(lambda name: name not in RESERVED_EVENTS)
    names = st.sampled_from(known) | st.tuples(st.sampled_from(BOTH), odd)
    return st.builds(lambda name, given: (*name, given), names, arguments(serializer))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["default", "msgpack"])
async def attacked(request):
    """A chat, a hostile client in it, and two honest ones who talk until the end."""
    async with chatting(serializer=request.param) as place, lab_of(place.server, request.param) as lab:
        options = {"serializer": request.param} if request.param == "msgpack" else {}
        async with honest(place, 0.01, **options), hostile(place, lab, request.param) as mallory:
            yield mallory


@pytest.mark.parametrize(
    "examples", [pytest.param(150), pytest.param(3000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
async def test_whatever_is_said_is_answered(attacked, examples):
    asked = 0
    loop = asyncio.get_running_loop()

    def run():
        """Hypothesis is not asynchronous: it runs in a thread, and each of its examples here."""

        @settings(
            max_examples=examples,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
        )
        @given(st.lists(calls(attacked.serializer), min_size=1, max_size=8))
        def check(some):
            asyncio.run_coroutine_threadsafe(ask(some), loop).result(WAIT_S)

        check()

    async def ask(some):
        nonlocal asked
        for namespace, name, given_arguments in some:
            if attachments(given_arguments) > 10:
                continue  # more than a packet may have
            ack = await attacked.ask(namespace, name, given_arguments)
            assert fine(ack), (namespace, name, given_arguments, ack)
            asked += 1

    await asyncio.to_thread(run)
    assert asked > examples
    print(f"{asked} events, {attacked.serializer}")


def attachments(value):
    """How many binary attachments a value has."""
    if isinstance(value, dict | list):
        return sum(map(attachments, value.values() if isinstance(value, dict) else value))
    return isinstance(value, bytes)


@pytest.mark.parametrize(
    "frame",
    [
        '2["chat:message",NaN]', '2["chat:message",1e999]', '2["chat:message",-Infinity]',
        "2" + "[" * 5000 + "]" * 5000, '2["chat:join",' + "[" * 5000 + "]" * 5000 + "]",
        '2["chat:join",' + '{"a":' * 5000,
        '2["chat:join",' + "9" * 5000 + "]",
        "2[]", "2{}", '2"chat:join"', "2[null]", "2[{}]", "2[[]]", "2[true]", "2", '2["chat:join"', '2["chat:join"]x',
        "2" + "9" * 400 + '["chat:join","a"]', "3", '31{"x":1}', '4{"message":"x"}', "7", "x", "",
        '51-["chat:join",{"_placeholder":true,"num":7}]', '511-["chat:join"]', '50-["chat:join"]', '5["chat:join"]',
        '599999-["chat:join"]', '61-1[{"_placeholder":true,"num":0}]' * 2, '2/nowhere,["chat:join","a"]',
        *(f'2["{name}","x"]' for name in sorted(RESERVED_EVENTS)),
        *(f'2/notifications,["{name}"]' for name in sorted(RESERVED_EVENTS)),
    ],
    ids=lambda frame: ascii(frame[:40]),
)  # fmt: skip
async def test_what_is_no_packet_ends_its_connection_and_no_other(violated, frame):
    place, lab, alice = violated
    async with hostile(place, lab) as mallory:
        assert (await mallory.ask("/", "chat:join", ["lobby"]))["status"] == "ok"
        await mallory.client.say(frame)
        with pytest.raises(ConnectionClosed):
            await mallory.until(PacketType.ACK)
    assert mallory.client.transport.raw.close_code == 1008
    assert (await alice.next("chat:userLeft"))["room"] == "lobby"
    assert (await alice.join("lobby"))["members"] == [alice.name]
    assert len(place.chat._connections) == 1


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
async def test_half_a_surrogate_pair_is_answered_and_the_connection_goes_on(serializer):
    half = "\ud83d"
    events = [
        ("chat:join", half), ("chat:message", {"room": "lobby", "text": half}), (half, "a"), ("chat:typing", half),
        ("chat:message", {"room": half, "text": "a"}), ("chat:message", {"room": "lobby", "text": "a", half: "b"}),
        ("chat:message", {"room": "lobby", "text": "a", "clientId": half}), ("chat:join", {"room": "a", "after": half}),
        ("session:restore", half), ("token:refresh", half), ("room:join", half), ("chat:leave", half),
    ]  # fmt: skip
    async with chatting(serializer=serializer) as place, lab_of(place.server, serializer) as lab:
        alice = await place.enter(serializer=serializer)
        await alice.join("lobby")
        async with hostile(place, lab, serializer) as mallory:
            await mallory.ask("/", "chat:join", ["lobby"])
            for number, (name, payload) in enumerate(events, 100):
                if serializer == "msgpack":
                    fields = {"type": 2, "nsp": "/", "data": [name, payload], "id": number}
                    await mallory.client.say(msgpack.packb(fields, unicode_errors="surrogatepass"))
                else:
                    await mallory.client.say(f"2{number}{json.dumps([name, payload])}")
                (ack,) = (await mallory.until(PacketType.ACK)).data
                assert (ack["status"], ack["code"]) == ("error", "unknown_event" if name == half else "bad_payload")
            assert (await mallory.ask("/", "chat:message", [{"room": "lobby", "text": "whole"}]))["status"] == "ok"
        assert (await alice.next("chat:message"))["text"] == "whole", "and nothing before it"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def violated():
    async with chatting() as place, lab_of(place.server) as lab:
        alice = await place.enter()
        await alice.join("lobby")
        yield place, lab, alice


# Ten thousand rooms

MANY = [pytest.param(500), pytest.param(10_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]


@pytest.mark.parametrize("many", MANY)
@pytest.mark.parametrize("kind", ["chat", "room"])
async def test_rooms_of_one_client_are_bounded(kind, many):
    async with chatting() as place, lab_of(place.server) as lab, honest(place, 0.01), hostile(place, lab) as mallory:
        answers = await flood(mallory, ((f"{kind}:join", f"room {n}") for n in range(many)))
        assert answers == {"ok": 50, "too_many_rooms": many - 50}
        presence = getattr(place.chat._events.rooms, {"chat": "chat", "room": "plain"}[kind])
        assert len(presence) == 50 + (kind == "chat")
        await until(lambda: len(place.chat.sio.manager.rooms["/"]) < 60)


@pytest.mark.parametrize("many", MANY)
async def test_rooms_that_are_filled_and_left_are_bounded(many, monkeypatch):
    """Each room with the longest message that there is. The honest ones' room is occupied, and so it is kept."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
    monkeypatch.chdir(Path(__file__).parent)

    def events():
        for n in range(many):
            yield "chat:join", f"room {n}"
            yield "chat:message", {"room": f"room {n}", "text": "🎈" * 1000}
            yield "chat:leave", f"room {n}"
            yield "room:join", f"room {n}"
            yield "room:leave", f"room {n}"

    async with rtlab.serve("hostile_chat_app:generous", in_child=True) as server:
        process = psutil.Process(server.child.pid)
        place = Elsewhere(server)
        async with lab_of(server) as lab, honest(place, 0.01), hostile(place, lab) as mallory:
            before = process.memory_info().rss
            answers = await flood(mallory, events())
            after = process.memory_info().rss
            assert answers == {"ok": 5 * many}
            metrics = await place.metrics()
            assert metrics["rtlab_chat_rooms"] == Limits().rooms_per_user + 1, "its own make place for its own"
            assert metrics["rtlab_chat_plain_rooms"] == 0
        await place.until_empty()
        note(f"{many:,} rooms, filled and left", before, max(before, after), after, f"{5 * many:,} events")
        assert (after - before) / 2**20 < GROWTH_MIB
        assert server.running
        assert "Traceback" not in "\n".join(server.log.tail(1000))


# The rate


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("namespaces", [("/",), BOTH], ids=["one namespace", "both"])
async def test_a_flood_is_told_and_then_ended(transport, namespaces):
    limits = Limits()
    async with chatting(limits=limits) as place, lab_of(place.server) as lab:
        async with honest(place, 0.1 * SCALE), hostile(place, lab, transport=transport) as mallory:
            loop = asyncio.get_running_loop()
            began = loop.time()
            sent = [(namespaces[n % len(namespaces)], n) for n in range(200)]
            messages = [said(where, n + 1) for where, n in sent]
            answers, ended = Counter(), []
            with suppress(ConnectionClosed, AssertionError):
                await (mallory.client.say(*messages) if transport == "websocket" else all_at_once(mallory, messages))
            with suppress(ConnectionClosed, AssertionError):  # closed, on a WebSocket or by the status of a GET
                while True:
                    packet = await mallory.until(PacketType.ACK, PacketType.DISCONNECT)
                    if packet.type is PacketType.DISCONNECT:
                        ended.append(packet.namespace)
                    else:
                        answers[packet.data[0].get("code", "ok")] += 1
            took = loop.time() - began
            assert set(answers) == {"ok", "rate_limited"}
            left = limits.burst - len(BOTH)  # a knock counts too
            assert left <= answers["ok"] <= left + limits.events_per_s * took + 1, "in both together"
            assert answers["rate_limited"] > limits.breaches, "it is told first"
            assert sorted(ended) == sorted(BOTH)
            await until(lambda: len(place.chat._connections) == 2, "the honest ones")
        async with hostile(place, lab) as again:
            assert (await again.ask("/", "chat:join", ["a"]))["status"] == "ok", "whoever comes back is let in"


def said(namespace, number):
    """Something harmless, that is acknowledged."""
    return f'2{number}["chat:leave","x"]' if namespace == "/" else f'2{namespace},{number}["unsubscribe",[]]'


async def all_at_once(mallory, messages):
    """All in the body of one POST."""
    await mallory.client.transport.post("\x1e".join(f"4{each}" for each in messages))


async def test_ten_thousand_rooms_at_the_default_rate():
    """It is over long before."""
    async with chatting(limits=Limits()) as place, lab_of(place.server) as lab, honest(place, 0.1 * SCALE):
        async with hostile(place, lab) as mallory:
            sent = 0

            async def send():
                nonlocal sent
                with suppress(ConnectionClosed):
                    while sent < 10_000:
                        await mallory.say("/", "chat:join", [f"room {sent}"])
                        sent += 1

            sending = asyncio.create_task(send())
            answers = Counter()
            with suppress(ConnectionClosed):
                while True:
                    (ack,) = (await mallory.until(PacketType.ACK)).data
                    answers[ack.get("code", "ok")] += 1
            await sending
            await until(lambda: len(place.chat._connections) == 2, "the honest ones")
        assert answers["ok"] <= 50
        assert answers["rate_limited"] > Limits().breaches
        assert len(place.chat._events.rooms.chat) == 1
        assert len(place.chat._events.rooms.locks) == 0
