"""What is slow to read is read in line: clients that cost little do not wait for it."""

import asyncio
import gc
import time

import pytest
from realtime.serving import serving

from rtlab.errors import ProtocolError
from rtlab.realtime.limits import LARGE_PACKET_BYTES, PARSING_SHARE, TURN_S
from rtlab.realtime.packets import packet_class, reader
from rtlab.realtime.parsing import ParsingLine, without_collecting

WORK_S = 0.02


async def test_a_line_leaves_the_loop_to_others_for_as_long_as_its_share_wants():
    line = ParsingLine()

    async def cost():
        for _ in range(4):
            assert await line.wait(LARGE_PACKET_BYTES + 1, 0)
            time.sleep(WORK_S)
            line.took(WORK_S)

    began = time.monotonic()
    await asyncio.gather(cost(), cost(), cost())
    assert time.monotonic() - began > 11 * WORK_S / PARSING_SHARE


async def test_who_costs_little_does_not_wait():
    line = ParsingLine()
    assert await line.wait(LARGE_PACKET_BYTES + 1, 0)
    line.took(1000.0)
    waiting = asyncio.create_task(line.wait(10, TURN_S * 2))
    await asyncio.sleep(0)
    assert not await line.wait(LARGE_PACKET_BYTES, TURN_S), "small, and nothing to pay for"
    assert not waiting.done(), "small, and many before it were not"
    waiting.cancel()


@pytest.mark.parametrize("kind", ["large", "many"])
@pytest.mark.parametrize("async_handlers", [True, False])
async def test_a_server_reads_in_line_and_in_order(kind, async_handlers, monkeypatch):
    """Lists of empty lists: three hundred times what text of their size costs."""
    async with serving(async_handlers=async_handlers) as (sio, lab, _):
        hostile = [await lab.client() for _ in range(3)]
        honest = await lab.client()
        lists = "[]," * (50_000 if kind == "large" else 3_000) + "[]"
        count = 3 if kind == "large" else 30
        heard: dict[str, list[int]] = {}

        async def take(sid, number, _):
            heard.setdefault(sid, []).append(number)

        sio.on("take", take)
        took, line_took = [], ParsingLine.took

        def noted(line, seconds):
            took.append((time.monotonic(), seconds))
            line_took(line, seconds)

        monkeypatch.setattr(ParsingLine, "took", noted)

        async def flood(client):
            for number in range(count):
                await client.say(f'2["take",{number},[{lists}]]')
            assert await client.request("echo", "behind it") == ["behind it"]

        floods = [asyncio.create_task(flood(client)) for client in hostile]
        while not all(each.done() for each in floods):
            assert await honest.request("echo", "hi") == ["hi"]
        await asyncio.gather(*floods)
        assert sorted(heard.values()) == [[*range(count)]] * 3
        rests = sum(seconds for _, seconds in took[:-1]) * (1 / PARSING_SHARE - 1)
        assert took[-1][0] - took[0][0] > 0.99 * rests
        assert sum(seconds for _, seconds in took) > TURN_S


def test_messagepack_with_numbers_for_keys_is_refused_before_they_are_looked_up():
    """Python hashes a number to itself: n that are chosen well take a dict n² steps. 250 KB took a second."""
    head = b"\x83\xa4type\x02\xa3nsp\xa1/\xa4data\x92\xa1e\x82"
    with pytest.raises(ProtocolError, match="ValueError"):  # FormatError if it had come to what stands behind the key
        reader(packet_class("msgpack"), 1).add(head + b"\x07\xc0\xc1")


@pytest.mark.parametrize("collects", [True, False])
def test_the_collector_rests_while_something_large_is_read(collects):
    ran = []

    def note(phase, info):
        ran.append(phase)

    gc.callbacks.append(note)
    try:
        if not collects:
            gc.disable()
        with without_collecting():
            reader(packet_class("default"), 1).add('2["many"' + ",[]" * 50_000 + "]")
            meanwhile = list(ran)
        assert meanwhile == []
        assert gc.isenabled() is collects
    finally:
        gc.callbacks.remove(note)
        gc.enable()
