"""Real nodes, and a Pub/Sub that loses: every member sees each offset once, in order, or is told that it is gone."""

import asyncio
import os
import signal

import pytest
from chat.serving import Person
from chat.several import needs_valkey, several
from chat.test_nodes_killed import visit, worker
from eventually import until

from rtlab.chat.stores.protocols import position
from rtlab.chat.stores.redis_keys import PREFIX

pytestmark = needs_valkey
HALL = "hall"


async def offsets(person: Person, count: int) -> list[str]:
    """The offsets of the next messages that somebody gets."""
    return [(await person.next("chat:message"))["offset"] for _ in range(count)]


def publish_nowhere(nodes):
    for place in nodes.places:
        place.chat.node.history._channel = "nowhere"


def publish_again(nodes):
    for place in nodes.places:
        place.chat.node.history._channel = place.chat.node.manager.channel


async def cut_subscriptions(redis):
    await redis.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB")


async def test_what_was_published_to_nobody_comes_before_what_follows():
    async with several(2) as nodes:
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(1, "bob")
        for each in (alice, bob):
            await each.join(HALL)
        publish_nowhere(nodes)
        said = [(await alice.say(HALL, str(number)))["offset"] for number in range(3)]
        publish_again(nodes)
        said.append((await bob.say(HALL, "3"))["offset"])
        for each in (alice, bob):
            assert await offsets(each, 4) == said
            assert await each.all("chat:message") == []


async def test_what_was_published_to_nobody_comes_by_itself(monkeypatch):
    """With nothing that follows: a node looks from time to time."""
    monkeypatch.setattr("rtlab.chat.delivery.FOLLOW_S", 0.2)
    async with several(2) as nodes:
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(1, "bob")
        for each in (alice, bob):
            await each.join(HALL)
        publish_nowhere(nodes)
        ack = await alice.say(HALL, "hello", clientId="1")
        assert ack["status"] == "ok", "it is stored, and will be told"
        for each in (alice, bob):
            assert await offsets(each, 1) == [ack["offset"]]
        assert await alice.say(HALL, "hello", clientId="1") == ack
        assert await bob.all("chat:message") == []


async def test_a_subscription_that_is_cut_again_and_again_under_load():
    """Nothing is lost, doubled or out of order; the history has it all, so that it can be compared."""
    async with several(2, errors_expected=True) as nodes:
        people = [await nodes.enter(number % 2) for number in range(4)]
        for each in people:
            await each.join(HALL)
        said: list[str] = []

        async def talk(person: Person) -> None:
            for number in range(25):
                ack = await person.say(HALL, f"{person.name} {number}", clientId=f"{person.name}-{number}")
                while ack["status"] != "ok":
                    assert ack["code"] == "unavailable"
                    ack = await person.say(HALL, f"{person.name} {number}", clientId=f"{person.name}-{number}")
                said.append(ack["offset"])

        talking = [asyncio.create_task(talk(each)) for each in people]
        cuts = 0
        while not all(each.done() for each in talking):
            await cut_subscriptions(nodes.redis)
            cuts += 1
            before = len(said)
            await until(lambda before=before: len(said) >= before + 10 or all(each.done() for each in talking))
        await asyncio.gather(*talking)
        said.sort(key=position)
        for each in people:
            assert await offsets(each, 100) == said
            assert await each.all("chat:message") == await each.all("chat:lost") == []
        repaired = sum(place.chat.node.delivery.repaired_total for place in nodes.places)
        print(f"{cuts} cuts, {repaired} of 200 deliveries read from the stream")


async def test_whoever_comes_while_a_message_is_on_its_way_gets_it_once():
    async with several(2) as nodes:
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(1, "bob")
        for each in (alice, bob):
            await each.join(HALL)
        node, held = nodes[1].chat.node, []
        admit = node.manager.admit["chat:message"]
        node.manager.admit["chat:message"] = lambda message: held.append(message)  # still on its way to this node
        said = await alice.say(HALL, "hello")
        await until(lambda: held)
        carol = await nodes.enter(1, "carol")
        assert [each["offset"] for each in (await carol.join(HALL))["history"]] == [said["offset"]]
        node.manager.admit["chat:message"] = admit
        assert admit(held[0])
        await node.manager._handle_emit({**held[0], "prev": None})  # it arrives
        assert await offsets(bob, 1) == [said["offset"]]
        assert await carol.all("chat:message") == [], "it was in the page"
        after = await alice.say(HALL, "again")
        for each in (bob, carol):
            assert await offsets(each, 1) == [after["offset"]]
        node.manager.admit["chat:message"] = lambda message: False
        await alice.say(HALL, "on its way")
        await carol.ask("chat:leave", HALL)
        await carol.join(HALL)
        assert node.delivery._rooms[HALL].ahead
        await carol.ask("chat:leave", HALL)
        assert not node.delivery._rooms[HALL].ahead


async def test_a_redis_that_has_lost_everything_is_told_once_and_the_next_message_comes():
    async with several(2, errors_expected=True) as nodes:
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(1, "bob")
        for each in (alice, bob):
            await each.join(HALL)
        before = (await alice.say(HALL, "before"))["offset"]
        for each in (alice, bob):
            assert await offsets(each, 1) == [before]
        await nodes.broker.restart()
        for each in (alice, bob):
            lost = await each.next("chat:lost")
            assert (lost["room"], lost["after"]) == (HALL, before)
            assert position(lost["offset"]) > position(before)
        ack = await alice.say(HALL, "after", clientId="1")
        while ack["status"] != "ok":
            ack = await alice.say(HALL, "after", clientId="1")
        for each in (alice, bob):
            assert await offsets(each, 1) == [ack["offset"]]
            assert await each.all("chat:lost") == await each.all("chat:message") == []


async def test_a_room_that_is_empty_is_followed_by_nobody():
    async with several(1) as nodes:
        alice = await nodes.enter(0, "alice")
        await alice.join(HALL)
        assert list(nodes[0].chat.node.delivery._rooms) == [HALL]
        await alice.ask("chat:leave", HALL)
        assert not nodes[0].chat.node.delivery._rooms
        await alice.ask("room:join", HALL)
        assert not nodes[0].chat.node.delivery._rooms, "plain rooms have no messages"
        await alice.join(HALL)
        await alice.ask("room:leave", HALL)
        assert list(nodes[0].chat.node.delivery._rooms) == [HALL], "and are others, whatever they are called"


async def test_other_rooms_that_come_and_go_make_nobody_believe_that_something_is_missing():
    """A room was empty of messages when another one was dropped: nothing was said in it, so nothing is lost."""
    async with several(1) as nodes:
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(0, "bob")
        joined = await alice.join(HALL)
        await bob.join("other")
        await bob.say("other", "x")
        await bob.ask("chat:leave", "other")
        await nodes[0].chat.node.history.drop("other")
        said = await bob.join(HALL)
        assert said["history"] == []
        offset = (await bob.say(HALL, "first"))["offset"]
        assert await offsets(alice, 1) == [offset]
        again = await alice.join(HALL, joined["offset"])
        assert (again["lost"], again["complete"], len(again["history"])) == (False, True, 1)
        assert await alice.all("chat:lost") == []


@pytest.mark.parametrize("count", [30, pytest.param(250, marks=pytest.mark.long)])
async def test_a_node_that_was_frozen_delivers_what_it_missed_or_says_that_it_is_gone(count):
    """Its subscription is cut meanwhile, as Redis does with one that does not read."""
    async with several(1, errors_expected=True) as nodes, worker(nodes) as server:
        alice, bob = await nodes.enter(0, "alice"), await visit(server, "bob")
        for each in (alice, bob):
            await each.join(HALL)
        server.child.send_signal(signal.SIGSTOP)
        said = [(await alice.say(HALL, str(number)))["offset"] for number in range(count // 2)]
        await cut_subscriptions(nodes.redis)
        await until(nodes[0].chat.node.manager.subscription.subscribed.is_set)
        said += [(await alice.say(HALL, str(number)))["offset"] for number in range(count - count // 2)]
        server.child.send_signal(signal.SIGCONT)
        kept = said[-100:]
        assert await offsets(alice, count) == said
        if len(kept) < count:
            got = [await bob.next("chat:message")]
            while got[-1]["offset"] != said[-1]:
                got.append(await bob.next("chat:message"))
            live = [each["offset"] for each in got]
            lost = await bob.next("chat:lost")
            missing = [each for each in said if each not in live]
            assert live == sorted(live, key=position)
            assert live[-100:] == kept
            assert all(position(lost["after"]) < position(each) <= position(lost["offset"]) for each in missing)
        else:
            assert await offsets(bob, count) == said
        assert await bob.all("chat:message") == await bob.all("chat:lost") == []
        await bob.close()


@pytest.mark.long
@pytest.mark.skipif(os.name != "posix", reason="signals")
async def test_a_node_that_was_stopped_without_losing_its_subscription_goes_on_in_order():
    async with several(1) as nodes, worker(nodes) as server:
        alice, bob = await nodes.enter(0, "alice"), await visit(server, "bob")
        for each in (alice, bob):
            await each.join(HALL)
        server.child.send_signal(signal.SIGSTOP)
        said = [(await alice.say(HALL, str(number)))["offset"] for number in range(20)]
        server.child.send_signal(signal.SIGCONT)
        assert await offsets(bob, 20) == said
        assert await bob.all("chat:message") == []
        await bob.close()


async def test_thousands_of_rooms_are_compared_and_one_is_read():
    async with several(1) as nodes:
        alice = await nodes.enter(0, "alice")
        await alice.join(HALL)
        delivery, history = nodes[0].chat.node.delivery, nodes[0].chat.node.history
        for number in range(1200):
            delivery.follow(f"room {number}", "0-0")
        publish_nowhere(nodes)
        offset = (await alice.say(HALL, "hello"))["offset"]
        asked = []
        after = history.after

        async def counting(room, *rest):
            asked.append(room)
            return await after(room, *rest)

        history.after = counting
        await delivery.look()
        assert await offsets(alice, 1) == [offset]
        assert asked == [HALL]
        for number in range(1200):
            delivery.forget(f"room {number}")
        keys = await nodes.redis.hlen(f"{PREFIX}history:told")
        assert keys == 1
