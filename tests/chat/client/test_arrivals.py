"""What waits for a script: given once and in order, bounded, and what is dropped is counted."""

import asyncio
import gc

import pytest
from chat.client.wilful import wilful
from deadlines import WAIT_S
from eventually import until

from rtlab.chat import ChatError, connect
from rtlab.chat.client import arrivals
from rtlab.chat.client.arrivals import EVENTS, Arrivals, Event

FAST = {"transports": ["websocket"], "reconnection_delay": 0.01, "randomization_factor": 0}


def message(number, room="lobby"):
    return Event("chat:message", {"room": room, "text": str(number)})


async def test_messages_of_a_room_come_once_in_order_and_over_cuts():
    async with wilful() as server, connect(server.url, token="t", **FAST) as alice:
        await alice.join("lobby")
        await alice.join("garden")
        texts = []

        async def read():
            async for each in alice.messages("lobby"):
                texts.append(each["text"])  # noqa: PERF401 - looked at while it grows

        reading = asyncio.create_task(read())
        for number in range(60):
            offset = server.say("lobby", f"m{number}")
            await server.tell(server.say("garden", "elsewhere"))
            if number % 20 == 7:
                await server.cut()
            else:
                await server.tell(offset)
        await until(lambda: texts[-1:] == ["m59"] and "chat:message (60)" in str(alice._arrivals))
        assert texts == [f"m{number}" for number in range(60)]
        assert not reading.done()
        await alice.close()
        async with asyncio.timeout(WAIT_S):
            await reading
        assert [each["room"] async for each in alice.messages()] == ["garden"] * 60, "what is left can still be taken"


async def test_a_reader_that_is_too_slow_knows_how_much_it_lost(monkeypatch):
    monkeypatch.setattr(arrivals, "EVENTS", 10)
    box = Arrivals()
    lobby, both = box.messages("lobby"), box.messages(None)
    for number in range(8):
        box.put(message(number))
        box.put(message(number, "garden"))
    box.put(Event("chat:typing", {}))
    assert (box.dropped, lobby.dropped, both.dropped) == (7, 4, 7)
    assert (await anext(lobby))["text"] == "4"
    assert "of lobby, 4 dropped" in repr(lobby)
    assert "of all rooms, 7 dropped" in repr(both)
    assert box.messages("lobby").dropped == 0
    del lobby
    gc.collect()
    assert list(box._readers) == [both]
    box.end(ChatError("gone", "over"))
    assert [each["text"] async for each in both] == ["3", "4", "5", "5", "6", "6", "7", "7"]


async def test_a_script_that_never_takes_anything_costs_a_bounded_number_of_events():
    box = Arrivals()
    for number in range(EVENTS + 500):
        box.put(message(number))
    assert len(box._events) == EVENTS
    assert box.dropped == 500


async def test_whoever_waits_gets_what_comes_and_hears_of_the_end():
    box = Arrivals()
    waiting = [asyncio.create_task(box.next("chat:message", {"text": text})) for text in ("1", "2", "3")]
    await asyncio.sleep(0)
    box.put(message(2))
    box.put(message(1))
    done, _ = await asyncio.wait(waiting[:2])
    assert sorted(each.result().data["text"] for each in done) == ["1", "2"]
    box.end(ChatError("gone", "it is over"))
    with pytest.raises(ChatError, match="it is over"):
        await waiting[2]
    assert str(box) == "nothing"
