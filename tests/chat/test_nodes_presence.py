"""Who is where over several nodes: each user comes and goes once, and everybody sees the same."""

import asyncio
import random

import pytest
from chat.serving import GENEROUS, fresh
from chat.several import keys_of, needs_valkey, several
from eventually import until

from rtlab.chat import Limits

pytestmark = needs_valkey
ODD_NAMES = ("{curly} [x]*?", "a:b", "3:abc", "\U0001f388 emoji", "%d %s", "]==]", "Zürich", '"quoted"\\', "owners")


async def told(person, event):
    return [each["username" if event.startswith("chat") else "user"] for each in await person.all(event)]


@pytest.mark.parametrize(("kind", "name"), [("chat", "username"), ("room", "user")])
async def test_a_user_comes_once_and_leaves_once_over_all_nodes(kind, name):
    async with several(3) as nodes:
        watcher = await nodes.enter(0)
        await watcher.ask(f"{kind}:join", "hall")
        alice = [await nodes.enter(number, "alice") for number in (0, 1, 2, 1)]
        for each in alice:
            assert (await each.ask(f"{kind}:join", "hall"))["status"] == "ok"
        assert await watcher.next(f"{kind}:userJoined") == {name: "alice", "room": "hall"}
        for each in alice[:-1]:
            await each.ask(f"{kind}:leave", "hall")
        await nodes[1].dismiss_one(alice[-1])
        assert await watcher.next(f"{kind}:userLeft") == {name: "alice", "room": "hall"}
        assert await told(watcher, f"{kind}:userJoined") == await told(watcher, f"{kind}:userLeft") == []


async def test_members_messages_and_typing_are_those_of_all_nodes():
    async with several(3) as nodes:
        people = [await nodes.enter(number, f"p{number}") for number in range(3)]
        for number, each in enumerate(people):
            joined = await each.join("hall")
            assert joined["members"] == [f"p{n}" for n in range(number + 1)]
        other_tab = await nodes.enter(2, "p0")
        await other_tab.join("hall")
        said = await people[0].say("hall", "hello", clientId="1")
        again = await people[0].say("hall", "hello", clientId="1")
        assert said == again
        for each in (*people, other_tab):
            assert (await each.next("chat:message"))["offset"] == said["offset"]
        await people[0].ask("chat:typing", "hall")
        for each in people[1:]:
            assert await each.next("chat:typing") == {"username": "p0", "room": "hall"}
        assert await other_tab.all("chat:typing") == [], "the user itself hears nothing, on any node"
        assert await people[0].all("chat:message") == [], "what was repeated is told once"


async def test_all_nodes_hear_the_messages_of_a_room_in_the_order_of_their_offsets():
    async with several(3) as nodes:
        people = [await nodes.enter(number % 3) for number in range(6)]
        for each in people:
            await each.join("hall")
        await asyncio.gather(*(each.say("hall", str(n)) for each in people for n in range(20)))
        for each in people:
            heard = [await each.next("chat:message") for _ in range(120)]
            offsets = [tuple(map(int, message["offset"].split("-"))) for message in heard]
            assert offsets == sorted(set(offsets))


async def test_rooms_may_be_called_anything():
    async with several(2) as nodes:
        one, other = await nodes.enter(0, "al:ice"), await nodes.enter(1, "3:bob")
        for room in ODD_NAMES:
            await one.join(room)
            assert (await other.join(room))["members"] == ["3:bob", "al:ice"]
            assert await one.next("chat:userJoined") == {"username": "3:bob", "room": room}
            await one.say(room, room)
            assert (await other.next("chat:message"))["text"] == room
            await other.ask("room:join", room)
        await nodes[1].dismiss_one(other)
        left = [await one.next("chat:userLeft") for _ in ODD_NAMES]
        assert {each["room"] for each in left} == set(ODD_NAMES)
        assert (await one.join(ODD_NAMES[0]))["members"] == ["al:ice"]


async def test_a_crowd_that_comes_and_goes_leaves_everybody_with_the_same_view():
    async with several(3) as nodes:
        watchers = [await nodes.enter(number, f"watcher {number}") for number in range(3)]
        for each in watchers:
            await each.join("hall")
        names = [fresh("wanderer") for _ in range(4)]

        async def wander(number, name):
            numbers = random.Random(number)
            person = await nodes.enter(number % 3, name)
            for _ in range(15):
                await person.ask(numbers.choice(["chat:join", "chat:leave"]), "hall")

        await asyncio.gather(*(wander(number, name) for number, name in enumerate(names * 3)))
        members = set((await watchers[0].join("hall"))["members"])
        for each in watchers:
            await each.all("chat:message")
            here: set[str] = set()
            for _, event, about in list(each.heard):
                if event in {"chat:userJoined", "chat:userLeft"} and not about["username"].startswith("watcher"):
                    assert (about["username"] in here) is (event == "chat:userLeft"), "once, and in turns"
                    here ^= {about["username"]}
            await until(lambda here=here: here == {m for m in members if not m.startswith("watcher")}, here)


async def test_empty_rooms_and_places_count_over_all_nodes():
    limits = Limits(rooms=12, rooms_per_user=5, members=2, events_per_s=1e6, burst=1_000_000, new_rooms_per_min=1e8)
    async with several(2, limits=limits) as nodes:
        one, other = await nodes.enter(0, "mallory"), await nodes.enter(1, "mallory")
        for number in range(5):
            assert (await (one, other)[number % 2].ask("chat:join", f"m{number}"))["status"] == "ok"
        assert (await other.ask("chat:join", "m5"))["code"] == "too_many_rooms"
        await other.say("m1", "kept")
        for number in range(5):
            await (one, other)[number % 2].ask("chat:leave", f"m{number}")
        for number in range(20):  # each pushes out an own one, and its history with it
            await one.join(f"more {number}")
            await one.say(f"more {number}", "x")
            await one.ask("chat:leave", f"more {number}")
        assert await nodes.redis.hlen("{rtlab.chat}:chat:owners") == 5
        assert len([each for each in await keys_of(nodes.redis) if each.startswith("history:room:")]) == 5
        for name in ("a", "b"):
            assert (await (await nodes.enter(0, name)).ask("chat:join", "full"))["status"] == "ok"
        assert (await other.ask("chat:join", "full"))["code"] == "room_full"


async def test_a_user_has_so_many_connections_over_all_nodes():
    async with several(3, limits=Limits(events_per_s=1e6, burst=1_000_000, connections_per_user=20)) as nodes:
        results = await asyncio.gather(
            *(nodes.enter(number % 3, "mallory") for number in range(50)), return_exceptions=True
        )
        let_in = [each for each in results if not isinstance(each, BaseException)]
        assert len(let_in) == 20
        assert await nodes.redis.hlen("{rtlab.chat}:conns:mallory") == 20
        number = next(number for number, each in enumerate(results) if each is let_in[0])
        await nodes[number % 3].dismiss_one(let_in[0])
        await until(lambda: nodes.redis.hlen("{rtlab.chat}:conns:mallory"), "one less")

        async def place():
            return await nodes.redis.hlen("{rtlab.chat}:conns:mallory") == 19

        await until(place)
        await nodes.enter(0, "mallory")


async def test_what_stays_when_everybody_has_left_is_bounded():
    limits = Limits(rooms=20, events_per_s=1e6, burst=1_000_000, new_rooms_per_min=1e8)
    async with several(2, limits=limits) as nodes:
        people = [await nodes.enter(number % 2, fresh("p")) for number in range(6)]
        for number, each in enumerate(people):
            for room in range(15):
                ack = await each.ask("chat:join", f"room {number} {room}")
                await each.ask("room:join", f"room {number} {room}")
                if ack["status"] == "ok":
                    await each.say(f"room {number} {room}", "x", clientId="1")
        await nodes.dismiss()
        kept = await keys_of(nodes.redis)
        assert len([each for each in kept if each.startswith("history:room:")]) <= 20
        assert len(kept) <= 20 * 3 + 6 * 3 + 10
        for each in kept:
            if each.startswith("session"):
                assert 0 < await nodes.redis.ttl("{rtlab.chat}:" + each) <= 310
    assert GENEROUS.connections_per_user == 20
