"""Redis killed under load: with its log on disk, and with a replica that takes over. What was acknowledged arrives."""

import asyncio
import inspect

import pytest
from chat.serving import Person
from chat.several import needs_valkey, several
from chat.test_nodes_delivery import HALL
from deadlines import SCALE
from eventually import until

from rtlab.chat.stores.protocols import position
from rtlab.scale.broker import open_broker

pytestmark = [
    needs_valkey,
    pytest.mark.skipif(
        "durable" not in inspect.signature(open_broker).parameters, reason="no broker keeps its data yet"
    ),
]
SAID = 30
"""Messages of each of four."""


async def talk(person: Person, acknowledged: dict[str, str]) -> None:
    """Each message until it is acknowledged, one after the other."""
    for number in range(SAID):
        name = f"{person.name}-{number}"
        while (ack := await person.say(HALL, name, clientId=name))["status"] != "ok":
            assert ack["code"] == "unavailable", ack
            await asyncio.sleep(0.05)
        acknowledged[name] = ack["offset"]


async def play(nodes, disturb, times):
    """Four talk on three nodes while Redis is disturbed. Each must have all, once, in order."""
    people = [await nodes.enter(number % 3) for number in range(4)]
    for each in people:
        await each.join(HALL)
    acknowledged: dict[str, str] = {}
    talking = [asyncio.create_task(talk(each, acknowledged)) for each in people]
    for turn in range(1, times + 1):
        await until(lambda turn=turn: len(acknowledged) >= turn * 4 * SAID // (times + 1))
        await disturb()
    await asyncio.gather(*talking)
    want = sorted(acknowledged.values(), key=position)
    assert len(set(want)) == len(want) == 4 * SAID
    for each in people:
        got: list[str] = []
        while not set(want) <= set(got):
            got.append((await each.next("chat:message"))["offset"])
        assert got == want, "and nothing else: each message was acknowledged in the end"
        assert await each.all("chat:message") == await each.all("chat:lost") == []
    return people


async def test_a_redis_with_its_log_on_disk_is_killed_and_started_again():
    async with several(3, errors_expected=True, broker=open_broker(durable=True)) as nodes:

        async def disturb():
            await nodes.broker.kill()
            await nodes.broker.restart()

        await play(nodes, disturb, 3)


async def test_what_was_heard_is_on_disk():
    """A Redis flushes its log before it writes to any client: also to whoever has subscribed."""
    async with several(1, errors_expected=True, broker=open_broker(durable=True)) as nodes:
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(0, "bob")
        for each in (alice, bob):
            await each.join(HALL)
        for turn in range(5):
            saying = asyncio.create_task(alice.say(HALL, str(turn), clientId=str(turn)))
            heard = (await bob.next("chat:message"))["offset"]
            await nodes.broker.kill()
            await nodes.broker.restart()
            await saying
            while (ack := await alice.say(HALL, str(turn), clientId=str(turn)))["status"] != "ok":
                assert ack["code"] == "unavailable"
            assert ack["offset"] == heard, "the same message, not a new one"
            assert [each["offset"] for each in (await alice.join(HALL))["history"]][-1] == heard
            assert await bob.all("chat:message") == []


@pytest.mark.long
async def test_a_primary_is_killed_twice_and_its_replica_takes_over():
    launching = pytest.importorskip("rtlab.scale.sentinel_launching")
    group = launching.open_sentinel_group()
    async with several(3, errors_expected=True, answer_s=2 * SCALE, broker=group, min_replicas=1) as nodes:
        await play(nodes, nodes.broker.failover, 2)
