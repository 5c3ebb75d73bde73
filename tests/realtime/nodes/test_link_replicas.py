"""The link waits for replicas: also where a script writes nothing, and never longer than its caller does."""

import asyncio

import pytest
from deadlines import WAIT_S
from realtime.nodes.several import SHORT_S, refused, valkey
from redis.exceptions import ResponseError

from rtlab.realtime.nodes.link import RedisLink

PUSH = "return redis.call('RPUSH', KEYS[1], ARGV[1])"


@pytest.fixture
async def link():
    async with valkey() as server:
        made = RedisLink(server.url, answer_s=2 * SHORT_S)
        yield made
        await made.aclose()


async def test_without_a_replica_it_is_stored_and_refused(link):
    for script in (PUSH, PUSH, "return 'nothing written'"):
        error = await refused(link.act(script, ["list"], ["x"], replicas=1))
        assert "stored, but" in error.problem
        assert "0 of 1 replicas" in error.problem
    assert await link.act(PUSH, ["list"], ["y"]) == 3  # what needs no replica is done as ever
    assert link.lost_total == 0


async def test_a_mistake_of_the_script_is_told_as_one(link):
    with pytest.raises(ResponseError):
        await link.act("return nonsense(", replicas=1)
    with pytest.raises(ResponseError, match="my own"):
        await link.act("return redis.error_reply('ERR my own')", replicas=1)


async def test_who_gives_up_leaves_no_answer_for_the_next_one(link):
    link.answer_s = WAIT_S
    asking = [asyncio.create_task(link.act(PUSH, ["list"], [n], replicas=1)) for n in range(20)]
    await link.look()
    await asyncio.sleep(0)
    for task in asking:
        task.cancel()
    await asyncio.wait(asking)
    assert await asyncio.gather(*(link.ask(lambda redis: redis.echo("mine")) for _ in range(20))) == ["mine"] * 20
