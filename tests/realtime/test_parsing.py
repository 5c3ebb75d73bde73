"""What is slow to read is read in line: clients that cost little do not wait for it."""

import asyncio
import gc
import time

import pytest
from deadlines import WAIT_S
from realtime.serving import serving

from rtlab.errors import ProtocolError
from rtlab.realtime.limits import PARSING_SHARE
from rtlab.realtime.packets import packet_class, reader
from rtlab.realtime.parsing import ParsingLine

WORK_S = 0.02


async def test_a_line_leaves_the_loop_to_others_for_as_long_as_its_share_wants():
    line, worked = ParsingLine(), []

    async def cost():
        for _ in range(4):
            async with line.turn() as turn:
                time.sleep(WORK_S)
                worked.append(turn.ended())

    began = time.monotonic()
    await asyncio.gather(cost(), cost(), cost())
    assert time.monotonic() - began > 0.99 * sum(worked) / PARSING_SHARE


async def test_little_work_is_done_at_once():
    line, turns = ParsingLine(), []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    async with line.turn():
        pass
    assert turns == [], "nobody else has had a turn of the loop"


async def test_whoever_is_cancelled_holds_up_nobody():
    line = ParsingLine()

    async def cost(work_s):
        async with line.turn():
            time.sleep(work_s)

    resting = asyncio.create_task(cost(WORK_S))
    waiting = asyncio.create_task(cost(WORK_S))
    await asyncio.sleep(0)
    for each in (waiting, resting):
        each.cancel()
    await asyncio.gather(resting, waiting, return_exceptions=True)
    async with asyncio.timeout(WAIT_S):
        await cost(0)
    assert not line.head.locked()


@pytest.mark.parametrize("async_handlers", [True, False])
async def test_a_server_reads_in_line_and_in_order(async_handlers):
    """Lists of empty lists: sixty times what text of their size costs."""
    async with serving(async_handlers=async_handlers) as (sio, lab, _):
        hostile = [await lab.client() for _ in range(3)]
        honest = await lab.client()
        lists = "[]," * 50_000 + "[]"
        heard: dict[str, list[int]] = {}

        async def take(sid, number, _):
            heard.setdefault(sid, []).append(number)

        sio.on("take", take)

        async def flood(client):
            for number in range(3):
                await client.say(f'2["take",{number},[{lists}]]')
            assert await client.request("echo", "behind it") == ["behind it"]

        floods = [asyncio.create_task(flood(client)) for client in hostile]
        while not all(each.done() for each in floods):
            assert await honest.request("echo", "hi") == ["hi"]
        await asyncio.gather(*floods)
        assert sorted(heard.values()) == [[*range(3)]] * 3


def test_messagepack_with_numbers_for_keys_is_refused_before_they_are_looked_up():
    """Python hashes a number to itself: n that are chosen well take a dict n² steps. 250 KB took a second."""
    head = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\x82"
    with pytest.raises(ProtocolError, match="ValueError"):  # FormatError if it had come to what stands behind the key
        reader(packet_class("msgpack"), 1).add(head + b"\x07\xc0\xc1")


@pytest.mark.parametrize("collects", [True, False])
async def test_the_collector_rests_while_something_large_is_read(collects):
    ran = []

    def note(phase, info):
        ran.append(phase)

    gc.callbacks.append(note)
    try:
        if not collects:
            gc.disable()
        async with ParsingLine().turn() as turn:
            reader(packet_class("default"), 1).add('2["many"' + ",[]" * 50_000 + "]")
            meanwhile = list(ran)
            assert turn.ended() > 0
        assert meanwhile == []
        assert gc.isenabled() is collects
    finally:
        gc.callbacks.remove(note)
        gc.enable()
