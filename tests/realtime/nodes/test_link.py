"""The link to Redis: nobody waits for long, everybody is told, and it is there again by itself."""

import asyncio
import logging
import time

import pytest
from deadlines import WAIT_S
from eventually import until
from realtime.nodes.several import SHORT_S, Valkey, refused, valkey
from redis.exceptions import ResponseError

from rtlab.errors import RedisUnavailable, UsageError
from rtlab.realtime.nodes.link import RedisLink

PUSH = "return redis.call('RPUSH', KEYS[1], ARGV[1])"


@pytest.fixture
async def redis():
    async with valkey() as server:
        yield server


@pytest.fixture
async def link(redis):
    link = RedisLink(redis.url, answer_s=SHORT_S)
    yield link
    await link.aclose()


async def found(link):
    await until(lambda: link.up, lambda: link)


async def test_it_asks_and_acts(link):
    assert await link.ask(lambda redis: redis.set("name", "é"))
    async with link.asking() as redis:
        assert await redis.get("name") == "é"
        assert await redis.delete("name") == 1
    for length in (1, 2):
        assert await link.act(PUSH, ["list"], [b"\xff"]) == length
    assert (link.up, link.lost_total) == (True, 0)


async def test_bytes_stay_bytes_where_they_are_asked_for(redis):
    link = RedisLink(redis.url, decode=False)
    await link.ask(lambda redis: redis.set("name", b"\xff"))
    assert await link.ask(lambda redis: redis.get("name")) == b"\xff"
    await link.aclose()


async def test_a_mistake_of_the_caller_is_no_loss(link):
    await link.ask(lambda redis: redis.set("text", "x"))
    with pytest.raises(ResponseError, match="wrong kind"):
        await link.ask(lambda redis: redis.lrange("text", 0, -1))
    with pytest.raises(ResponseError):
        await link.act("return nonsense(")
    with pytest.raises(ZeroDivisionError):
        async with link.asking():
            1 / 0  # noqa: B018
    with pytest.raises(TimeoutError, match="my own"):
        async with link.asking():
            raise TimeoutError("my own")
    assert (link.up, link.lost_total) == (True, 0)


async def test_more_ask_at_once_than_there_are_connections(redis):
    link = RedisLink(redis.url)
    names = [f"name {number}" for number in range(300)]
    await asyncio.gather(*(link.ask(lambda redis, name=name: redis.set(name, name)) for name in names))
    assert await asyncio.gather(*(link.ask(lambda redis, name=name: redis.get(name)) for name in names)) == names
    assert (await redis.ask("CLIENT", "LIST", "TYPE", "normal")).count("\n") <= 16 + 2
    await link.aclose()


async def test_who_gives_up_leaves_no_answer_for_the_next_one(link, redis):
    await link.ask(lambda redis: redis.mset({"a": "of a", "b": "of b"}))
    await redis.ask("CLIENT", "PAUSE", int(SHORT_S * 500))
    asking = [asyncio.create_task(link.ask(lambda redis: redis.get("a"))) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    assert await asyncio.gather(*(link.ask(lambda redis: redis.get("b")) for _ in range(20))) == ["of b"] * 20


async def test_a_redis_that_is_killed_is_lost_and_found_when_it_is_there_again(link, redis, caplog):
    changes = []
    link.on_change(changes.append)
    caplog.set_level(logging.WARNING, "rtlab.realtime")
    await link.look()
    await redis.kill()
    await until(lambda: not link.up)  # nobody has asked: it looks by itself
    error = await refused(link.ask(lambda redis: redis.get("a")))
    assert error.url == redis.url
    assert "Connect" in error.problem
    assert repr(link).startswith(f"<RedisLink {redis.url}, down: ")
    await redis.start()
    await found(link)
    assert await link.ask(lambda redis: redis.ping())
    assert changes == [False, True]
    assert link.lost_total == 1
    lines = [record.getMessage() for record in caplog.records if record.name == "rtlab.realtime"]
    assert [line.partition(":")[0] for line in lines] == ["Redis is lost", "Redis is there again"]


async def test_a_redis_that_was_never_there_is_waited_for():
    redis = Valkey(1)
    link = RedisLink(redis.url, answer_s=SHORT_S)
    assert await link.look() is False
    await refused(link.ask(lambda redis: redis.get("a")))
    await refused(link.act("return 1"))
    await link.aclose()


async def test_of_a_frozen_redis_everybody_is_told_and_it_does_nothing_of_it_later(link, redis):
    await link.act(PUSH, ["list"], ["before"])
    redis.freeze()
    actions = [link.act(PUSH, ["list"], [number]) for number in range(100)]
    async with asyncio.timeout(WAIT_S):
        assert {type(each) for each in await asyncio.gather(*actions, return_exceptions=True)} == {RedisUnavailable}
    begun = asyncio.get_running_loop().time()
    await refused(link.ask(lambda redis: redis.get("a")))
    assert asyncio.get_running_loop().time() - begun < SHORT_S  # it does not wait once it knows
    redis.thaw()
    await found(link)
    await link.act(PUSH, ["list"], ["after"])
    assert await link.ask(lambda redis: redis.lrange("list", 0, -1)) == ["before", "after"]


async def test_a_slow_redis_does_nothing_late(link, redis):
    await link.look()
    await redis.ask("CLIENT", "PAUSE", int(SHORT_S * 2000))
    await refused(link.act(PUSH, ["list"], ["late"]))
    await found(link)
    assert await link.ask(lambda redis: redis.lrange("list", 0, -1)) == []


@pytest.mark.parametrize(
    ("break_it", "mend_it"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
        (("CONFIG", "SET", "min-replicas-to-write", "1"), ("CONFIG", "SET", "min-replicas-to-write", "0")),
    ],
    ids=["full", "read-only", "no replicas"],
)
async def test_a_redis_that_does_not_write_is_lost(link, redis, break_it, mend_it):
    await link.act(PUSH, ["list"], ["before"])
    await redis.ask(*break_it)
    await refused(link.act(PUSH, ["list"], ["not done"]))
    await refused(link.ask(lambda redis: redis.set("a", "1")))
    await redis.ask(*mend_it)
    await found(link)
    assert await link.ask(lambda redis: redis.lrange("list", 0, -1)) == ["before"]


async def test_a_password_that_is_missing_is_said(redis):
    await redis.ask("CONFIG", "SET", "requirepass", "secret")
    link = RedisLink(redis.url, answer_s=SHORT_S)
    assert "authenticated" in (await refused(link.ask(lambda redis: redis.set("a", 1)))).problem
    await link.aclose()
    link = RedisLink(redis.url.replace("//", "//:secret@"), answer_s=SHORT_S)
    assert await link.ask(lambda redis: redis.set("a", 1))
    await link.aclose()


async def test_a_clock_that_is_wrong_is_read_again(link):
    await link.look()
    link._clock_ms -= 3_600_000
    await refused(link.act("return 1"))
    await found(link)
    assert await link.act("return 1") == 1
    assert abs(link.redis_ms(time.monotonic()) - time.time() * 1000) < 60_000


async def test_a_callback_that_fails_harms_nobody(redis, caplog):
    link = RedisLink(redis.url, answer_s=SHORT_S)
    heard = []
    link.on_change(lambda up: 1 / 0)
    link.on_change(heard.append)
    link.lose("for a test")
    assert heard == [False]
    assert "a callback of on_change failed" in caplog.text
    await link.aclose()


async def test_what_is_closed_can_be_opened_again(link):
    await link.look()
    await link.aclose()
    assert "closed" in (await refused(link.ask(lambda redis: redis.get("a")))).problem
    assert await link.look() is False
    link.open()
    assert await link.ask(lambda redis: redis.ping())


async def test_to_open_one_that_is_open_disturbs_nobody(link):
    asking = asyncio.create_task(link.ask(lambda redis: redis.ping()))
    await asyncio.sleep(0)  # now it waits for the first look
    link.open()
    assert await asking


async def test_no_password_is_shown():
    url = "redis://user:secret@127.0.0.1:1/0?password=secret"
    link = RedisLink(url)
    error = await refused(link.ask(lambda redis: redis.get("a")))
    assert "secret" not in f"{error} {link!r}"
    with pytest.raises(UsageError) as caught:
        RedisLink(url.replace("redis", "http"))
    assert "secret" not in str(caught.value)
    await link.aclose()


@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_both_names_are_spoken(redis, scheme):
    link = RedisLink(redis.url.replace("redis", scheme))
    assert await link.ask(lambda redis: redis.ping())
    await link.aclose()
