"""Redis away, frozen, full, read-only, slow, forgetful: who asks is told in time, and all is right again after."""

import asyncio
import logging
import time

import aiohttp
import pytest
import socketio.exceptions
from chat.serving import cut, token
from chat.several import keys_of, left_of, needs_valkey, several
from deadlines import SCALE, WAIT_S
from eventually import until

pytestmark = needs_valkey
ANSWER_S = 2.0 * SCALE
ASKING = {
    "chat:join": "other",
    "chat:leave": "hall",
    "chat:message": {"room": "hall", "text": "lost", "clientId": "lost"},
    "chat:typing": "hall",
    "room:join": "other",
    "room:leave": "desk",
    "session:restore": "x" * 32,
}


async def take_away(broker, how):
    await {
        "frozen": broker.freeze, "killed": broker.kill, "full": broker.out_of_memory, "read-only": broker.read_only
    }[how]()  # fmt: skip


async def give_back(broker, how):
    await {"frozen": broker.thaw, "killed": broker.restart, "full": broker.recover, "read-only": broker.recover}[how]()


async def is_ready(place):
    async with aiohttp.ClientSession() as client, client.get(f"{place.url}/health/ready") as answer:
        return answer.status == 200


async def is_away(place):
    return not await is_ready(place)


@pytest.mark.parametrize("how", ["frozen", "killed", "full", pytest.param("read-only", marks=pytest.mark.long)])
async def test_who_asks_is_told_in_time_and_nothing_was_done(how, caplog):
    caplog.set_level(logging.WARNING)
    async with several(2, errors_expected=True, answer_s=ANSWER_S) as nodes:
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(1, "bob")
        for each in (alice, bob):
            await each.join("hall")
            await each.ask("room:join", "desk")
        await alice.say("hall", "before")
        await alice.next("chat:userJoined")
        await take_away(nodes.broker, how)
        longest = 0.0
        for event, payload in ASKING.items():
            asked = time.monotonic()
            ack = await alice.ask(event, payload)
            longest = max(longest, time.monotonic() - asked)
            assert (ack["status"], ack["code"]) == ("error", "unavailable"), (event, ack)
            assert "message" in ack
        print(f"{how}: the longest answer took {longest:.2f} s")
        assert longest < ANSWER_S + WAIT_S / 8, "in the time that was named, and what a busy machine adds"
        with pytest.raises(socketio.exceptions.ConnectionError):
            await nodes.enter(0, "carol")
        assert (await nodes[0].people[-1].next("connect_error"))["data"] == {"code": "unavailable"}
        for place in nodes.places:
            await until(lambda place=place: is_away(place), "not ready")
            metrics = await place.metrics()
            assert metrics["rtlab_chat_redis_up"] == 0
            assert metrics["rtlab_chat_redis_losses_total"] >= 1
        assert (await alice.ask("token:refresh", token("alice", expires_s=9999)))["status"] == "ok", "needs no Redis"
        cut(bob.sio)  # who goes while Redis is away
        await until(lambda: not nodes[1].chat._connections and not left_of(nodes[1]).get("sessions"))
        await give_back(nodes.broker, how)
        await until(lambda: all_ready(nodes), "ready by itself")
        assert (await alice.next("chat:userLeft"))["username"] == "bob", "told late rather than never"
        assert (await alice.next("room:userLeft"))["user"] == "bob"
        joined = await alice.join("hall")
        assert joined["members"] == ["alice"]
        texts = [each["text"] for each in joined["history"]]
        assert texts in (["before"], [] if how == "killed" else ["before"]), "what was refused is not there"
        said = await alice.say("hall", "lost", clientId="lost")
        assert said["status"] == "ok"
        carol = await nodes.enter(1, "carol")
        assert [each["text"] for each in (await carol.join("hall"))["history"]] == [*texts, "lost"]
        assert await alice.next("chat:userJoined") == {"username": "carol", "room": "hall"}
        assert await alice.all("chat:userLeft") == await alice.all("chat:userJoined") == []
        lost = [each for each in caplog.records if "is lost" in each.getMessage()]
        found = [each for each in caplog.records if "there again" in each.getMessage()]
        assert len(lost) == len(found) == 2, "once for each node"


async def all_ready(nodes):
    return all([await is_ready(place) for place in nodes.places])


@pytest.mark.long
async def test_where_redis_has_forgotten_all_nobody_hears_of_it():
    async with several(3, errors_expected=True, answer_s=ANSWER_S) as nodes:
        people = [await nodes.enter(number, name) for number, name in enumerate(("alice", "bob", "carol"))]
        tab = await nodes.enter(1, "alice")
        for each in (*people, tab):
            await each.join("hall")
        alice, bob, carol = people
        for each in people:
            await each.all("chat:userJoined")
        await nodes.broker.kill()
        await until(lambda: not any(place.chat.node.redis.up for place in nodes.places))
        cut(bob.sio)
        cut(tab.sio)
        await until(lambda: not nodes[1].chat._connections)
        await nodes.broker.restart()
        await until(lambda: all_ready(nodes))
        for each in (alice, carol):
            assert await each.next("chat:userLeft") == {"username": "bob", "room": "hall"}

        async def counted():
            return set(await nodes.redis.hkeys("{rtlab.chat}:chat:room:hall")) == {"alice", "carol"}

        await until(counted)
        for each in (alice, carol):
            assert (await each.join("hall"))["members"] == ["alice", "carol"]
            assert await each.all("chat:userJoined") == await each.all("chat:userLeft") == [], "once, and nobody else"
        sessions = [each for each in await keys_of(nodes.redis) if each.startswith("session:")]
        assert len(sessions) >= 2, "kept when Redis was there again"


async def test_a_slow_redis_is_not_waited_for_once_per_question():
    """Each answer takes 0.6 of the time that an event has, and a join asks twice: each alone would be in time."""
    async with several(1, errors_expected=True, answer_s=ANSWER_S) as nodes:
        alice = await nodes.enter(0, "alice")
        link = nodes[0].chat.node.link
        ask = link._link.act
        asked, takes_s = 0, 0.6 * ANSWER_S

        async def slowly(*arguments):
            nonlocal asked
            asked += not asyncio.current_task().get_name().startswith("beats")
            await asyncio.sleep(takes_s)
            return await ask(*arguments)

        link._link.act = slowly
        ack = await alice.ask("chat:join", "hall")
        assert ack["code"] == "unavailable"
        assert asked <= 2, "and nothing was asked after that"
        asked = takes_s = 0
        assert (await alice.join("hall"))["members"] == ["alice"]
        assert asked > 1
        link._link.act = ask


@pytest.mark.long
async def test_a_crowd_that_leaves_while_redis_is_frozen_is_gone_at_once_and_told_later():
    async with several(2, errors_expected=True, answer_s=ANSWER_S) as nodes:
        watcher = await nodes.enter(1, "watcher")
        people = [await nodes.enter(0, f"p{number}") for number in range(20)]
        for each in (watcher, *people):
            for room in range(5):
                await each.join(f"room {room}")
        await nodes.broker.freeze()
        began = time.monotonic()
        for each in people:
            cut(each.sio)
        await until(lambda: not nodes[0].chat._events.rooms.chat._rooms and not nodes[0].chat.sio.eio.sockets)
        print(f"gone here after {time.monotonic() - began:.1f} s")
        assert time.monotonic() - began < ANSWER_S + WAIT_S / 4
        await nodes.broker.thaw()
        left = [await watcher.next("chat:userLeft") for _ in range(100)]
        assert len({(each["username"], each["room"]) for each in left}) == 100
        assert (await watcher.join("room 0"))["members"] == ["watcher"]
        assert await watcher.all("chat:userLeft") == []
