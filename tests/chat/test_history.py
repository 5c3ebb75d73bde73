"""History, in memory and in Redis: bounds, offsets, pages, and what a client cannot know."""

import gc
import itertools
import time
import tracemalloc

import pytest
from growth import LINEAR
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from quick import quick
from redis.asyncio import Redis

from rtlab.chat.limits import CLIENT_ID_LENGTH, NAME_LENGTH, Limits
from rtlab.chat.stores.memory import MemoryHistory
from rtlab.chat.stores.protocols import History, position
from rtlab.chat.stores.redis_history import ROOMS_AT_ONCE, RedisHistory
from rtlab.chat.stores.redis_keys import PREFIX
from rtlab.chat.stores.redis_link import EventLink
from rtlab.realtime.nodes.link import RedisLink


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(params=["memory", "redis"])
def url(request):
    """Where the Redis is; None for a history in memory."""
    return request.getfixturevalue("valkey") if request.param == "redis" else None


@pytest.fixture
async def make(url):
    """Makes an empty history: ``await make(per_room, clock, max_bytes)``."""
    if url is None:

        async def in_memory(per_room, clock=time.time, max_bytes=Limits.history_bytes):
            return MemoryHistory(per_room, clock, max_bytes)

        yield in_memory
        return
    async with Redis.from_url(url) as redis:
        link = RedisLink(url)

        async def in_redis(per_room, clock=None, max_bytes=Limits.history_bytes):
            await redis.flushall()
            return RedisHistory(EventLink(link), per_room, max_bytes, clock=clock)

        yield in_redis
        await link.aclose()


async def say(history: History, text: str, room: str = "r", user: str = "u", **more: str) -> str:
    record, _ = await history.append(room, {"text": text, **more}, user)
    return record["offset"]


def texts(page) -> list[str]:
    return [record["text"] for record in page.records]


async def test_the_last_ones_oldest_first(make):
    history = await make(5)
    for number in range(8):
        await say(history, str(number))
    assert texts(await history.last("r", 3)) == ["5", "6", "7"]
    assert texts(await history.last("r", 50)) == ["3", "4", "5", "6", "7"]
    assert texts(await history.last("elsewhere", 50)) == []


async def test_what_came_after_an_offset_in_pages(make):
    history = await make(10)
    offsets = [await say(history, str(number)) for number in range(7)]
    page = await history.after("r", offsets[1], 3)
    assert (texts(page), page.missed, page.complete) == (["2", "3", "4"], 5, False)
    page = await history.after("r", page.records[-1]["offset"], 3)
    assert (texts(page), page.missed, page.complete) == (["5", "6"], 2, True)
    page = await history.after("r", offsets[-1], 3)
    assert (texts(page), page.missed, page.complete) == ([], 0, True)


async def test_what_was_evicted_is_missing_and_that_is_said(make):
    history = await make(3)
    offsets = [await say(history, str(number)) for number in range(5)]
    page = await history.after("r", offsets[0], 10)
    assert (texts(page), page.complete) == (["2", "3", "4"], False), "1 is gone"
    assert (await history.after("r", offsets[1], 10)).complete, "the last one evicted is what the client has"


async def test_an_offset_from_before_a_restart_is_older_than_all_that_is_here(make):
    clock = Clock()
    old = await say(await make(5, clock), "before")
    clock.now += 10
    restarted = await make(5, clock)
    page = await restarted.after("r", old, 10)
    assert (page.records, page.complete) == ([], False), "nobody knows what was said"
    await say(restarted, "after")
    page = await restarted.after("r", old, 10)
    assert (texts(page), page.complete) == (["after"], False)


async def test_a_room_that_was_dropped_and_comes_again_goes_on_after_it(make):
    clock = Clock()
    history = await make(5, clock)
    old = await say(history, "before")
    last = await say(history, "forgotten")
    await history.drop("r")
    assert not await history.holds("r")
    new = await say(history, "after")
    assert position(new) > position(last)
    assert not (await history.after("r", old, 5)).complete, "one was forgotten between"


async def test_offsets_only_grow_whatever_the_clock_does(make):
    clock = Clock()
    history = await make(50, clock)
    offsets = []
    for step in (0, 0, 0.001, -5, 0, 10):
        clock.now += step
        offsets.append(position(await say(history, "x")))
    assert offsets == sorted(set(offsets))


async def test_the_same_message_of_the_same_user_is_kept_once(make):
    history = await make(2)
    first, new = await history.append("r", {"text": "hi", "clientId": "1", "id": "a"}, "alice")
    assert new
    assert await history.append("r", {"text": "hi", "clientId": "1", "id": "b"}, "alice") == (first, False)
    assert (await history.append("r", {"text": "hi", "clientId": "1", "id": "c"}, "bob"))[1], "another user's"
    assert (await history.append("s", {"text": "hi", "clientId": "1", "id": "d"}, "alice"))[1], "another room's"
    await say(history, "x")
    await say(history, "y")
    assert (await history.append("r", {"text": "hi", "clientId": "1", "id": "e"}, "alice"))[1], "as long as it is kept"


@pytest.mark.parametrize("per_room", [1, 4])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.sampled_from(["say", "drop", "tick"]), max_size=30), asked=st.integers(0, 30))
async def test_a_client_that_is_told_complete_has_everything(make, per_room, steps, asked):
    clock = Clock()
    history = await make(per_room, clock)
    said: list[tuple[str, str]] = []
    for step in steps:
        if step == "say":
            said.append((await say(history, str(len(said))), str(len(said))))
        elif step == "drop":
            await history.drop("r")
        else:
            clock.now += 1
    if said:
        have = asked % len(said)
        page = await history.after("r", said[have][0], 100)
        after = [text for _, text in said[have + 1 :]]
        assert texts(page) == after[len(after) - len(page.records) :], "the newest, in order, none twice"
        if page.complete:
            assert texts(page) == after


LONGEST = {
    "emoji": (
        "\U0001f388",
        {"username": "\U0001f388" * NAME_LENGTH, "clientId": "\U0001f388" * (CLIENT_ID_LENGTH - 8)},
    ),
    "English": ("x", {"username": "x" * NAME_LENGTH, "clientId": "x" * (CLIENT_ID_LENGTH - 8)}),
    "control characters": ("\x01", {"username": "x", "clientId": "x"}),
    "one emoji among letters": ("x", {"username": "x", "clientId": "x"}),
}
SHARE = 20
"""The test fills this part of a house: the bound is in bytes, and filling 200 MB takes a while."""


async def filled(each, more, rooms, limits, max_bytes):
    """A history with the longest messages in so many rooms, and the bytes that Python takes for it."""
    numbers = itertools.count()
    gc.collect()
    tracemalloc.start()
    history = MemoryHistory(limits.history, max_bytes=max_bytes)
    for _ in range(limits.history + 5):
        for room in range(rooms):
            text = each * (limits.text - 1) + ("\U0001f388" if more["username"] == "x" and each == "x" else each)
            number = f"{next(numbers):08}"
            record = {
                "id": number * 4, "text": text, "timestamp": 1_764_000_000_000, **more,
                "room": f"{room:04}" + each * (limits.room_name - 4), "clientId": number + more["clientId"],
            }  # fmt: skip
            await history.append(record["room"], record, more["username"])
        del record, text
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return history, taken


@pytest.mark.parametrize("kind", quick(LONGEST, ["emoji", "English"]))
async def test_what_limits_promise_of_memory(kind):
    """In real bytes; and English is not bounded by them: all of its messages are there."""
    limits = Limits()
    rooms, max_bytes = limits.rooms // SHARE, limits.history_bytes // SHARE
    history, taken = await filled(*LONGEST[kind], rooms, limits, max_bytes)
    count = sum(len(each.records) for each in history._rooms.values())
    print(f"{kind}: {taken * SHARE / 1e6:.0f} MB for {count * SHARE:,}, counted {history._size * SHARE / 1e6:.0f}")
    assert taken <= max_bytes
    assert taken <= history._size, "what is counted is not less than what there is"
    assert len(history._rooms) == rooms, "each room has some"
    assert min(len(each.records) for each in history._rooms.values()) >= 50
    if kind in {"English", "one emoji among letters"}:
        assert count == rooms * limits.history
        assert taken * SHARE < 100_000_000, "as the docstring of Limits says"


async def test_the_largest_room_makes_place_and_says_so(make):
    history = await make(100, max_bytes=100_000)
    quiet = [await say(history, "worth keeping", "quiet") for _ in range(3)]
    loud = [await say(history, "x" * 1000, "loud") for _ in range(100)]
    assert (await history.after("quiet", quiet[0], 100)).complete
    assert len((await history.last("quiet", 100)).records) == 3
    page = await history.after("loud", loud[0], 100)
    assert 50 < len(page.records) < 100
    assert not page.complete
    assert await size_of(history) <= 100_000
    for room in ("loud", "quiet"):
        await history.drop(room)
    assert await size_of(history) == 0


async def size_of(history):
    """Bytes that a history counts."""
    if isinstance(history, MemoryHistory):
        return history._size
    return int(await history._link.ask(lambda redis: redis.hget(f"{PREFIX}history:state", "bytes")))


async def test_one_message_of_each_room_stays_whatever_the_bound(make):
    history = await make(100, max_bytes=1)
    for room in ("a", "b"):
        for number in range(3):
            await say(history, str(number), room)
    assert [texts(await history.last(room, 9)) for room in ("a", "b")] == [["2"], ["2"]]


LOOKS = 8
"""How often each is measured: what a neighbour on the same processor does to one is gone in another."""


async def test_a_look_takes_no_more_time_than_there_are_rooms(valkey):
    """In microseconds by Redis's own clock, and the least of some tries. Eight times as many rooms take eight times as
    long; if each looked at each, 64 times.
    """
    async with Redis.from_url(valkey) as redis:
        await redis.flushall()
        link = RedisLink(valkey)
        history = RedisHistory(EventLink(link), 10, 1_000_000)
        rooms = [f"room {number}" for number in range(ROOMS_AT_ONCE)]
        for room in rooms:
            await say(history, "hello", room)
        took = {ROOMS_AT_ONCE // 8: [], ROOMS_AT_ONCE: []}
        await history.tails(rooms)  # loads the script
        for _ in range(LOOKS):
            for count, each in took.items():
                await redis.config_resetstat()
                tails, _last = await history.tails(rooms[:count])
                each.append((await redis.info("commandstats"))["cmdstat_evalsha"]["usec"])
                assert len({*tails}) == count
        await link.aclose()
    part, whole = (min(each) for each in took.values())
    print(f"a look at {ROOMS_AT_ONCE} rooms takes Redis {whole} microseconds, at an eighth of them {part}")
    assert whole < LINEAR**3 * part


@pytest.mark.parametrize("kind", quick(LONGEST, ["emoji"]))
async def test_what_redis_takes_is_not_more_than_is_counted(kind, valkey):
    """In bytes of its memory, with the longest messages; and the room that takes most makes way."""
    each, more = LONGEST[kind]
    limits, most, numbers = Limits(), 4_000_000, itertools.count()
    async with Redis.from_url(valkey) as redis:
        await redis.flushall()
        link = RedisLink(valkey)
        history = RedisHistory(EventLink(link), limits.history, most)
        await history.last("r", 1)  # connects, and loads a script
        before = (await redis.info("memory"))["used_memory"]
        for _ in range(limits.history):
            for room in range(10):
                text = each * (limits.text - 1) + ("\U0001f388" if more["username"] == "x" and each == "x" else each)
                number = f"{next(numbers):08}"
                record = {"id": number * 4, "text": text, **more, "clientId": number + more["clientId"]}
                await history.append(f"{room:04}" + each * (limits.room_name - 4), record, more["username"])
        taken = (await redis.info("memory"))["used_memory"] - before
        counted = await size_of(history)
        await link.aclose()
    print(f"{kind}: {taken / 1e6:.2f} MB taken, {counted / 1e6:.2f} counted")
    assert counted <= most
    assert taken <= counted + 200_000, "script texts, connections and the like besides"
