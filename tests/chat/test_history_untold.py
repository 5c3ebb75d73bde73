"""Messages that wait for replicas: nobody sees them before; then they are told in order and once, whoever does it."""

import asyncio
import inspect
import itertools
import json

import pytest
from chat.several import several
from chat.test_nodes_delivery import offsets
from eventually import until
from redis.asyncio import Redis

from rtlab.chat.stores.history_scripts import LATE
from rtlab.chat.stores.protocols import position
from rtlab.chat.stores.redis_history import REFUSED_S, RedisHistory
from rtlab.chat.stores.redis_keys import PREFIX
from rtlab.chat.stores.redis_link import EventLink
from rtlab.errors import RedisUnavailable
from rtlab.realtime.nodes.link import RedisLink
from rtlab.scale.broker import open_broker

CHANNEL = "told"
waits_for_replicas = pytest.mark.skipif(
    "replicas" not in inspect.signature(RedisLink.act).parameters, reason="RedisLink waits for no replicas yet"
)


class Replicated(EventLink):
    """A way to a Redis whose replicas are there or not, as a test says."""

    there = True

    async def act(self, script, keys=(), arguments=(), *, replicas=0):
        answer = await super().act(script, keys, arguments)
        if replicas and not self.there:
            raise self.unavailable("stored, but on 0 of 1 replicas")
        return answer


@pytest.fixture
async def make(valkey):
    """Makes histories of one Redis, each with its own link, and the list of what they publish."""
    async with Redis.from_url(valkey, decode_responses=True) as redis, redis.pubsub() as pubsub:
        await redis.flushall()
        await pubsub.subscribe(CHANNEL)
        link, heard, over = RedisLink(valkey), [], asyncio.Event()

        async def listen():
            while not over.is_set():
                message = await pubsub.get_message(ignore_subscribe_messages=True, timeout=0.05)
                if message:
                    said = json.loads(message["data"])
                    heard.append((said["prev"], said["data"][0]["offset"], said["data"][0]["text"]))

        listening = asyncio.create_task(listen())

        def one(per_room=100, replicas=1, **options):
            link_of_it = Replicated(link)
            return RedisHistory(link_of_it, per_room, channel=CHANNEL, replicas=replicas, **options), link_of_it

        yield one, heard, redis
        over.set()
        await listening
        await link.aclose()


async def say(history, text, room="r", **more):
    record, _ = await history.append(room, {"text": text, "room": room, **more}, "u")
    return record["offset"]


async def store(history, link, text, **more):
    """Store it, and have no replica that takes it."""
    link.there = False
    with pytest.raises(RedisUnavailable, match="stored"):
        await say(history, text, **more)
    link.there = True


def texts(page):
    return [record["text"] for record in page.records]


async def heard_of(heard, *expected):
    await until(lambda: len(heard) >= len(expected), lambda: heard)
    assert [text for _, _, text in heard] == list(expected)
    for before, after in itertools.pairwise(heard):
        assert after[0] == before[1], "each names the one told before it"


async def test_nobody_sees_what_no_replica_has(make):
    one, heard, _ = make
    history, link = one()
    first = await say(history, "told")
    await store(history, link, "untold", clientId="1")
    for page in (await history.last("r", 9), await history.after("r", "0-0", 9)):
        assert texts(page) == ["told"]
        assert page.offset == first
    page = await history.after("r", first, 9)
    assert (texts(page), page.missed, page.lost, page.offset) == ([], 0, False, first)
    assert (await history.tails(["r"]))[0] == [first]
    await store(history, link, "alone", room="other")
    page = await history.last("other", 9)
    assert texts(page) == []
    offset = await say(history, "alone too", room="other")
    page = await history.after("other", page.offset, 9)
    assert texts(page) == ["alone", "alone too"], "the end of an empty page is before what was not told"
    assert page.offset == offset
    assert [text for _, _, text in heard if text == "untold"] == []


async def test_its_sender_tells_it_when_it_comes_again(make):
    one, heard, _ = make
    history, link = one()
    await store(history, link, "a", clientId="1")
    record, new = await history.append("r", {"text": "a", "room": "r", "clientId": "1"}, "u")
    assert not new
    assert await history.append("r", {"text": "a", "room": "r", "clientId": "1"}, "u") == (record, False)
    await say(history, "b")
    await heard_of(heard, "a", "b")


async def test_what_was_stored_before_is_told_before_whoever_tells(make):
    """Two nodes; the first dies between the two steps, and the other one says something."""
    one, heard, redis = make
    (dead, its_link), (other, _) = one(), one()
    await store(dead, its_link, "a")
    await store(dead, its_link, "b")
    await say(other, "c")
    await heard_of(heard, "a", "b", "c")
    assert not await redis.exists(f"{PREFIX}history:untold")
    assert texts(await other.last("r", 9)) == ["a", "b", "c"]


async def test_any_node_tells_it_late_and_once(make, monkeypatch):
    monkeypatch.setattr("rtlab.chat.stores.redis_history.LATE_S", 0.0)
    one, heard, redis = make
    (dead, its_link), (other, link), (third, _) = one(), one(), one()
    for room in ("r", "s"):
        await store(dead, its_link, "a", room=room)
        await store(dead, its_link, "b", room=room)
    link.there = False
    with pytest.raises(RedisUnavailable):
        await other.tell_late()
    assert heard == [], "no replica has it yet"
    link.there = True
    await until(lambda: told_late(other, third, redis))
    await until(lambda: len(heard) == 4)
    assert sorted(text for _, _, text in heard) == ["a", "a", "b", "b"]
    assert await other.tell_late() == await third.tell_late() == 0
    assert len(heard) == 4


async def told_late(one, other, redis):
    await asyncio.gather(one.tell_late(), other.tell_late())  # both at the same time
    return not await redis.exists(f"{PREFIX}history:untold")


async def test_a_message_that_overtakes_another_on_its_way_to_be_told(make):
    """Stored first, told last: the second one's node tells both, and the first one's then does nothing."""
    one, heard, _ = make
    (slow, _), (quick, _) = one(), one()
    may_go, tell = asyncio.Event(), slow._tell

    async def tell_later(room, offset):
        await may_go.wait()
        await tell(room, offset)

    slow._tell = tell_later
    first = asyncio.create_task(say(slow, "first", clientId="1"))
    await until(lambda: quick._link.ask(lambda redis: redis.exists(f"{PREFIX}history:room:r")))
    second = await say(quick, "second")
    assert not first.done()
    may_go.set()
    assert position(await first) < position(second)
    await say(quick, "third")
    await heard_of(heard, "first", "second", "third")


async def test_what_is_told_goes_no_further_than_what_replicas_have(make):
    """The first one is with the replicas, the second one, of another node, is not; then somebody tells the first."""
    one, heard, redis = make
    (slow, _), (other, its_link) = one(), one()
    may_go, tell, untold = asyncio.Event(), slow._tell, f"{PREFIX}history:untold"

    async def tell_later(room, offset):
        await may_go.wait()
        await tell(room, offset)

    slow._tell = tell_later
    saying = asyncio.create_task(say(slow, "first"))
    await until(lambda: redis.exists(f"{PREFIX}history:room:r"))
    await store(other, its_link, "second", clientId="2")
    await redis.zadd(untold, {"r": 1})  # since 1970
    may_go.set()
    first = await saying
    assert (await other.tails(["r"]))[0] == [first]
    assert texts(await other.last("r", 9)) == ["first"]
    assert await redis.zscore(untold, "r") > 1, "the other one has not waited so long"
    assert (await other.append("r", {"text": "second", "room": "r", "clientId": "2"}, "u"))[1] is False
    await heard_of(heard, "first", "second")
    assert not await redis.exists(untold)


async def test_many_nodes_at_once_tell_everything_once_in_order(make):
    one, heard, _ = make
    nodes = [one()[0] for _ in range(8)]
    await asyncio.gather(*(say(node, f"{number} {turn}") for turn in range(12) for number, node in enumerate(nodes)))
    await until(lambda: len(heard) >= 96)
    assert [offset for _, offset, _ in heard] == sorted((offset for _, offset, _ in heard), key=position)
    assert len({text for _, _, text in heard}) == len(heard) == 96
    for before, after in itertools.pairwise(heard):
        assert after[0] == before[1]


async def test_what_is_not_told_pushes_nothing_out_that_was_seen(make, monkeypatch):
    one, _, redis = make
    history, link = one(per_room=3)
    seen = [await say(history, str(number)) for number in range(3)]
    await store(history, link, "untold", clientId="1")
    await redis.zadd(f"{PREFIX}history:untold", {"r": 1})  # since 1970: longer than REFUSED_S
    assert REFUSED_S > 0
    for number in range(5):
        with pytest.raises(RedisUnavailable, match="wait for replicas"):
            await say(history, f"flood {number}")
    assert texts(await history.last("r", 9)) == ["1", "2"]
    page = await history.after("r", seen[0], 9)
    assert (texts(page), page.lost) == (["1", "2"], False)
    record, _ = await history.append("r", {"text": "untold", "room": "r", "clientId": "1"}, "u")
    assert texts(await history.after("r", seen[1], 9)) == ["2", "untold"], "and its sender's next attempt is taken"
    assert await say(history, "on")
    assert record["offset"]


async def test_those_that_follow_make_the_first_that_waits_no_younger(make):
    """Else a room that is spoken in would never be refused."""
    one, _, redis = make
    history, link = one()
    await store(history, link, "a")
    await redis.zadd(f"{PREFIX}history:untold", {"r": 9e15})
    await store(history, link, "b")
    assert await redis.zscore(f"{PREFIX}history:untold", "r") == 9e15


async def test_what_was_pushed_out_before_it_was_told_is_no_loss(make):
    """Nobody was told, and its sender has no acknowledgement."""
    one, _, _ = make
    history, link = one(per_room=2)
    first = await say(history, "seen")
    for number in range(3):
        await store(history, link, str(number))
    await say(history, "last")
    page = await history.after("r", first, 9)
    assert (texts(page), page.lost) == (["2", "last"], False)


async def test_what_a_node_has_delivered_is_in_the_pages_that_it_asks_for(make):
    """A failover has kept the message and not that it was told. Whoever joins now here is not told live again."""
    one, heard, redis = make
    marks = {}
    history, _ = one(heard=lambda room: marks.get(room, ""))
    first, second = await say(history, "a"), await say(history, "b")
    await redis.hset(f"{PREFIX}history:told", "r", first)
    await redis.zadd(f"{PREFIX}history:untold", {"r": 1})
    marks["r"] = second
    assert texts(await history.last("r", 9)) == ["a", "b"]
    await redis.hset(f"{PREFIX}history:told", "r", second)
    marks["r"] = first
    assert texts(await history.last("r", 9)) == ["a", "b"], "a node that is behind hides nothing"
    await redis.hset(f"{PREFIX}history:told", "r", first)
    marks["r"] = second
    assert texts(await history.after("r", first, 9)) == ["b"]
    marks["r"] = "9999999999999-0"
    assert texts(await history.last("r", 9)) == ["a"], "an offset that nothing has counts for nothing"
    marks["r"] = ""
    assert await history.tell_late() == 1
    await until(lambda: [text for _, _, text in heard] == ["a", "b", "b"])


async def test_a_room_that_is_dropped_takes_what_was_untold_with_it(make):
    one, heard, redis = make
    history, link = one()
    await store(history, link, "a")
    await history.drop("r")
    for key in ("untold", "told", "floor"):
        assert not await redis.exists(f"{PREFIX}history:{key}")
    await say(history, "b")
    await heard_of(heard, "b")


async def test_a_history_that_waits_for_nobody_tells_what_others_left(make):
    """One node was started without replicas: the order holds all the same."""
    one, heard, redis = make
    (waiting, link), (careless, _) = one(), one(replicas=0)
    await store(waiting, link, "a", clientId="1")
    await redis.zadd(f"{PREFIX}history:untold", {"r": 1})  # it refuses nothing, however long others wait
    await say(careless, "b")
    await heard_of(heard, "a", "b")
    assert texts(await careless.last("r", 9)) == ["a", "b"]


async def test_an_empty_page_ends_with_the_newest_that_was_told_anywhere(make):
    """So whoever comes back with its end is told of no loss when rooms that others spoke in are dropped."""
    one, _, _ = make
    (slow, link), (quick, _) = one(), one()
    await store(slow, link, "first", room="r")
    newest = await say(quick, "second", room="s")
    assert (await quick.last("empty", 9)).offset == newest
    await store(slow, link, "third", room="t")
    assert (await quick.last("empty", 9)).offset == newest, "not with what is untold"
    ((_, oldest),) = await quick._run(LATE, -10_000, 1)
    await quick._tell("r", oldest)
    assert (await quick.last("empty", 9)).offset == newest, "and it does not go back"
    page = await quick.last("t", 9)
    assert page.records == []
    assert position((await quick.tails(["s"]))[0][0]) < position(await say(quick, "fourth", room="s"))
    page = await quick.last("t", 9)
    await quick._tell("t", "9999999999999-0")
    assert texts(await quick.after("t", page.offset, 9)) == ["third"], "its end is before what was not told"
    await quick.drop("s")
    page = await quick.after("empty", newest, 9)
    assert (page.lost, texts(page)) == (True, []), "the one that was dropped came after it, perhaps in this room"
    await store(slow, link, "fifth", room="u")
    await quick.drop("u")
    page = await quick.last("empty", 9)
    await say(quick, "at last", room="empty")
    page = await quick.after("empty", page.offset, 9)
    assert (page.lost, texts(page)) == (False, ["at last"])


async def test_whoever_comes_again_is_not_told_before_replicas_have_it_either(make):
    one, heard, _ = make
    (waiting, link), (careless, _) = one(), one(replicas=0)
    for _ in range(2):
        await store(waiting, link, "a", clientId="1")
    assert (await waiting.last("r", 9)).records == []
    record, new = await careless.append("r", {"text": "a", "room": "r", "clientId": "1"}, "u")
    assert not new
    assert texts(await waiting.last("r", 9)) == ["a"], "who waits for nobody tells it at once"
    await heard_of(heard, "a")
    assert heard[0][1] == record["offset"]


async def test_what_waits_for_nobody_names_the_one_before_it_too(make):
    one, heard, redis = make
    history, _ = one(replicas=0)
    offsets = [await say(history, "a", clientId="1"), await say(history, "b"), await say(history, "c")]
    await heard_of(heard, "a", "b", "c")
    assert [offset for _, offset, _ in heard] == offsets
    record, new = await history.append("r", {"text": "a", "room": "r", "clientId": "1"}, "u")
    assert (record["offset"], new) == (offsets[0], False)
    assert (await history.tails(["r"]))[0] == [offsets[2]], "the mark does not go back"
    await say(history, "d")
    await heard_of(heard, "a", "b", "c", "d")
    assert not await redis.exists(f"{PREFIX}history:untold")


@waits_for_replicas
@pytest.mark.long
async def test_with_a_real_replica_that_is_frozen_nobody_hears_and_then_all_hear():
    async with several(2, errors_expected=True, min_replicas=1) as nodes, open_broker() as replica:
        async with Redis.from_url(replica.url) as its:
            password, port = nodes.broker.url.split("@")[0].split(":")[-1], nodes.broker.url.rpartition(":")[2]
            await its.config_set("masterauth", password)
            await its.replicaof("127.0.0.1", port)
            await until(lambda: is_replicated(nodes.redis))
        alice, bob = await nodes.enter(0, "alice"), await nodes.enter(1, "bob")
        for each in (alice, bob):
            await each.join("hall")
        first = (await alice.say("hall", "first", clientId="1"))["offset"]
        assert await offsets(bob, 1) == [first]
        await replica.freeze()
        ack = await alice.say("hall", "second", clientId="2")
        assert ack["code"] == "unavailable"
        assert await bob.all("chat:message") == []
        assert [each["offset"] for each in (await bob.join("hall"))["history"]] == [first]
        await replica.thaw()
        (second,) = await offsets(bob, 1)  # told late, by a beat
        while (ack := await alice.say("hall", "second", clientId="2"))["status"] != "ok":
            assert ack["code"] == "unavailable"
        assert ack["offset"] == second
        assert await offsets(alice, 2) == [first, second]
        assert await bob.all("chat:message") == []


async def is_replicated(redis):
    return (await redis.info("replication")).get("slave0", {}).get("state") == "online"


async def test_a_room_that_was_dropped_while_its_message_waited_has_nothing_to_tell(make):
    one, heard, redis = make
    history, link = one()
    await store(history, link, "untold")
    ((offset, _),) = await redis.xrange(f"{PREFIX}history:room:r")
    await history.drop("r")
    await history._tell("r", offset)
    assert not await redis.zcard(f"{PREFIX}history:untold")
    assert not await redis.hexists(f"{PREFIX}history:told", "r")
    assert heard == []


async def test_a_message_that_waited_is_told_by_a_process_that_waits_for_no_replicas(make):
    """When it comes again there, with its ``clientId``."""
    one, heard, _ = make
    history, link = one()
    await store(history, link, "untold", clientId="c")
    at_once, _ = one(replicas=0)
    offset = await say(at_once, "untold", clientId="c")
    await until(lambda: [each[1:] for each in heard] == [(offset, "untold")])
