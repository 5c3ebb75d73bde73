"""Pings and the pongs that answer them."""

import asyncio

import pytest
from deadlines import WAIT_S

from rtlab.errors import ConnectionClosed
from rtlab.servers.pings import Pings
from rtlab.wire.protocol import Closed

pytestmark = pytest.mark.timeout(WAIT_S)


async def test_each_pong_answers_its_own_ping():
    pings, sent = Pings(), []
    first, second = (asyncio.create_task(pings.latency(sent.append)) for _ in range(2))
    await asyncio.sleep(0)
    assert len(set(sent)) == 2
    pings.answered(sent[1])
    pings.answered(sent[1])
    pings.answered(b"unasked")
    assert await second >= 0
    assert not first.done()
    pings.answered(sent[0])
    assert await first >= 0
    assert pings._waiting == {}


async def test_the_end_is_told_to_whoever_waits():
    pings, sent = Pings(), []
    waiting = asyncio.create_task(pings.latency(sent.append))
    await asyncio.sleep(0)
    pings.ended(Closed(1001, "going"))
    with pytest.raises(ConnectionClosed, match="1001"):
        await waiting
    assert pings._waiting == {}


async def test_who_gives_up_or_cannot_send_leaves_nothing_behind():
    pings = Pings()
    waiting = asyncio.create_task(pings.latency(lambda _: None))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    def fails(_):
        raise ConnectionClosed(1006)

    with pytest.raises(ConnectionClosed):
        await pings.latency(fails)
    assert pings._waiting == {}
    pings.ended(Closed(1006))
