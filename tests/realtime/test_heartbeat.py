"""A heartbeat: pings, pongs that count, and silence."""

import asyncio

import pytest

from rtlab.realtime.heartbeat import Heartbeat


@pytest.fixture
def said():
    return asyncio.Queue()


def heart(said, interval=0.01, timeout=0.05):
    return Heartbeat(interval, timeout, lambda: said.put_nowait("ping"), lambda: said.put_nowait("lost"))


async def test_silence_is_found(said):
    heart(said).start()
    assert [await said.get() for _ in range(2)] == ["ping", "lost"]


async def test_an_answer_starts_the_next_interval(said):
    beating = heart(said, timeout=5)
    beating.start()
    for _ in range(3):
        assert await said.get() == "ping"
        beating.pong()
    beating.stop()
    assert said.empty()


async def test_an_answer_that_nobody_asked_for_puts_nothing_off(said):
    beating = heart(said, interval=0.05)
    beating.start()
    timer = beating._timer
    beating.pong()
    assert beating._timer is timer
    assert await said.get() == "ping"
    beating.stop()


async def test_nothing_comes_after_the_end(said):
    beating = heart(said)
    beating.start()
    beating.stop()
    beating.stop()
    beating.pong()
    await asyncio.sleep(0.05)
    assert said.empty()
