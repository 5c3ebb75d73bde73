"""Stores that take their time, or fail: what is acknowledged is kept, in one order for all; nothing is left over."""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest
from chat.serving import chatting, fresh, token
from deadlines import SCALE, WAIT_S
from eventually import until

from rtlab.chat import Limits
from rtlab.chat.stores.memory import MemoryHistory, MemorySessions
from rtlab.chat.stores.protocols import position


class SlowHistory(MemoryHistory):
    """A store at the other end of a network: every answer takes its time, before and after."""

    def __init__(self, per_room=100):
        super().__init__(per_room)
        self.numbers = random.Random(7)
        self.pending = 0

    async def slowly(self, what):
        self.pending += 1
        try:
            await asyncio.sleep(self.numbers.random() * 0.004)
            found = await what
            await asyncio.sleep(self.numbers.random() * 0.004)
            return found
        finally:
            self.pending -= 1

    async def append(self, room, record, user):
        return await self.slowly(super().append(room, record, user))

    async def last(self, room, count):
        return await self.slowly(super().last(room, count))

    async def after(self, room, offset, count):
        return await self.slowly(super().after(room, offset, count))

    async def holds(self, room):
        return await self.slowly(super().holds(room))

    async def drop(self, room):
        await self.slowly(super().drop(room))


async def test_with_a_slow_store_all_hear_the_same_order_and_nobody_misses_anything():
    async with chatting(history=SlowHistory(per_room=1000)) as place:
        writers = [await place.enter(transports=["websocket"]) for _ in range(4)]
        readers = [await place.enter(transports=[each]) for each in ("websocket", "polling")]
        for writer in writers:
            await writer.join("hall")
        over = asyncio.Event()

        async def write(writer):
            for n in range(25):
                await writer.say("hall", str(n), clientId=str(n))
                if n % 5 == 0:  # again, as after a lost acknowledgement
                    await writer.say("hall", str(n), clientId=str(n))

        async def read(reader):
            """Come and go; gives every message that was heard or read, by offset."""
            got, last, complete = {}, None, False
            while not (over.is_set() and complete):
                done = over.is_set()
                joined = await reader.join("hall", last)
                complete = joined["complete"] and done
                for record in joined["history"]:
                    got[record["offset"]] = record
                page = [each["offset"] for each in joined["history"]]
                if joined["complete"]:
                    heard = await reader.all("chat:message")
                    got |= {each["offset"]: each for each in heard}
                    page += [each["offset"] for each in heard]
                    await reader.ask("chat:leave", "hall")
                    late = await reader.all("chat:message")
                    got |= {each["offset"]: each for each in late}
                    page += [each["offset"] for each in late]
                else:
                    await reader.all("chat:message")  # they come again, in the pages that follow
                last = max([*page, *([last] if last else [])], key=position, default=None)
            return got

        reading = [asyncio.create_task(read(reader)) for reader in readers]
        await asyncio.gather(*(write(writer) for writer in writers))
        over.set()
        got = await asyncio.gather(*reading)
        heard = [await writer.all("chat:message") for writer in writers]
        assert len(heard[0]) == 100
        assert all(each == heard[0] for each in heard), "the same, in the same order"
        offsets = [each["offset"] for each in heard[0]]
        assert offsets == sorted(offsets, key=position)
        for each in got:
            first = min(each, key=position)
            assert {offset for offset in offsets if position(offset) >= position(first)} <= set(each)


async def test_with_a_slow_store_no_history_outlives_its_room_or_goes_before_it():
    """Rooms are filled, left, given up and entered again by several clients at the same time."""
    history = SlowHistory()
    limits = Limits(rooms=4, events_per_s=1e6, burst=1_000_000)
    async with chatting(history=history, limits=limits) as place:
        people = [await place.enter(transports=["websocket"]) for _ in range(4)]
        rooms = [f"room {n}" for n in range(7)]

        async def wander(number, person):
            numbers = random.Random(number)
            for step in range(25):
                room = numbers.choice(rooms)
                ack = await person.ask("chat:join", room)
                person.heard.clear()
                if ack["status"] == "ok":
                    if numbers.random() < 0.5:
                        said = await person.say(room, f"{person.name} {step}")
                        assert said["status"] == "ok"
                        page = await person.join(room)
                        assert said["offset"] in [each["offset"] for each in page["history"]], (
                            "kept while somebody is there"
                        )
                    await person.ask("chat:leave", room)
                else:
                    assert ack["code"] == "rooms_full", ack

        await asyncio.gather(*(wander(*each) for each in enumerate(people)))
        known = set(place.chat._events.rooms.chat._owners)
        assert set(history._rooms) <= known, "nothing is kept of a room that nobody counts"
        assert len(known) <= 4


class Gated(MemoryHistory):
    """A store of which one answer waits, before or after it is found."""

    def __init__(self, method, when):
        super().__init__(100)
        self.waits = (method, when)
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def gate(self, method, room, answer):
        here = room == "gated" and self.waits[0] == method and not self.asked.is_set()
        if here:
            self.asked.set()
            if self.waits[1] == "before":
                await self.open.wait()
        found = await answer
        if here:
            await self.open.wait()
        return found

    async def append(self, room, record, user):
        return await self.gate("append", room, super().append(room, record, user))

    async def holds(self, room):
        return await self.gate("holds", room, super().holds(room))

    async def drop(self, room):
        return await self.gate("drop", room, super().drop(room))


def all_counted(place, history):
    """Whether nothing is kept of a room that nobody counts: it would be there for ever."""
    presence = place.chat._events.rooms.chat
    return set(history._rooms) <= set(presence._owners)


@asynccontextmanager
async def gated(method, when, **limits):
    history = Gated(method, when)
    limits = Limits(events_per_s=1e6, burst=1_000_000, **limits)
    async with chatting(history=history, limits=limits) as place:
        yield place, history


async def first_of(task):
    """Give a task the time to be done, if it can be."""
    await asyncio.wait({task}, timeout=0.2 * SCALE)


async def wait_for(event):
    async with asyncio.timeout(WAIT_S):
        await event.wait()


async def test_a_room_that_is_being_given_up_loses_nothing_that_is_said_in_it_anew():
    async with gated("drop", "before", rooms=2) as (place, history):
        alice, bob, carol = [await place.enter(transports=["websocket"]) for _ in range(3)]
        for room in ("gated", "next"):  # "gated" has been empty for longer
            await alice.join(room)
            await alice.say(room, "old")
            await alice.ask("chat:leave", room)
        giving_up = asyncio.create_task(bob.join("new"))
        await wait_for(history.asked)
        await carol.join("gated")
        saying = asyncio.create_task(carol.say("gated", "new"))
        await first_of(saying)
        history.open.set()
        async with asyncio.timeout(WAIT_S):
            await giving_up
            said = await saying
        assert said["status"] == "ok"
        assert [each["text"] for each in (await alice.join("gated"))["history"]] == ["new"]
        assert all_counted(place, history)


async def test_a_room_that_is_left_while_another_speaks_in_it_stays_counted():
    async with gated("holds", "after") as (place, history):
        alice, bob = [await place.enter(transports=["websocket"]) for _ in range(2)]
        await alice.join("gated")
        leaving = asyncio.create_task(alice.ask("chat:leave", "gated"))
        await wait_for(history.asked)

        async def visit():
            await bob.join("gated")
            assert (await bob.say("gated", "hello"))["status"] == "ok"
            await bob.ask("chat:leave", "gated")

        visiting = asyncio.create_task(visit())
        await first_of(visiting)
        history.open.set()
        async with asyncio.timeout(WAIT_S):
            await asyncio.gather(leaving, visiting)
        assert all_counted(place, history)
        assert [each["text"] for each in (await alice.join("gated"))["history"]] == ["hello"]


async def test_a_message_whose_sender_goes_while_it_is_stored_leaves_its_room_counted():
    async with gated("append", "before") as (place, history):
        name = fresh("short")
        bob = await place.enter(name, transports=["websocket"], auth={"token": token(name, expires_s=3 * SCALE)})
        await bob.join("gated")
        await bob.sio.emit("chat:message", {"room": "gated", "text": "last words"})
        await wait_for(history.asked)
        await bob.next("disconnect")
        await until(lambda: place.chat._events.rooms.chat.is_empty("gated"))
        history.open.set()
        await until(lambda: not place.chat._connections)
        await until(lambda: not place.chat._events.rooms.locks)
        assert all_counted(place, history)
        alice = await place.enter(transports=["websocket"])
        assert [each["text"] for each in (await alice.join("gated"))["history"]] == ["last words"]


@pytest.mark.parametrize("store", ["history", "sessions"])
async def test_a_store_that_fails_is_an_error_for_one_and_leaves_no_ghost(store):
    class Fails:
        """Nothing of it works, once it is down."""

        down = False

        async def holds(self, room):
            return await self.of(super().holds, room)

        async def append(self, room, record, user):
            return await self.of(super().append, room, record, user)

        async def save(self, user, session_id, rooms):
            return await self.of(super().save, user, session_id, rooms)

        async def of(self, method, *arguments):
            if Fails.down:
                raise ConnectionError("the store is down")
            return await method(*arguments)

    kind = type("Store", (Fails, MemoryHistory if store == "history" else MemorySessions), {})
    made = kind(100) if store == "history" else kind()
    async with chatting(errors_expected=True, **{store: made}) as place:
        alice, bob = await place.enter(), await place.enter()
        for room in ("one", "two"):
            for person in (alice, bob):
                await person.join(room)
                await person.ask("room:join", room)
        Fails.down = True
        ack = await bob.say("one", "x") if store == "history" else await bob.ask("chat:join", "three")
        assert (ack["status"], ack["code"]) == ("error", "server_error")
        assert "down" not in ack["message"], "what is wrong with us is nobody else's business"
        await place.dismiss_one(bob)
        for event in ("chat:userLeft", "chat:userLeft", "room:userLeft", "room:userLeft"):
            await alice.next(event)
        assert (
            place.chat._events.rooms.chat.members("one")
            == place.chat._events.rooms.plain.members("two")
            == [alice.name]
        )
        assert len(place.chat._connections) == 1
        Fails.down = False
        assert (await alice.say("one", "it is back"))["status"] == "ok"


async def test_a_store_that_fails_fills_no_log(caplog):
    class Fails(MemoryHistory):
        """It cannot read."""

        async def last(self, room, count):
            raise ConnectionError("the store is down")

    async with chatting(errors_expected=True, history=Fails(100)) as place:
        alice = await place.enter(transports=["websocket"])
        for _ in range(50):
            assert (await alice.ask("chat:join", "hall"))["code"] == "server_error"
        failed = [each for each in caplog.records if each.message == "event failed"]
        assert 1 <= len(failed) <= 5
        assert "the store is down" in str(failed[0].exc_info)
        assert (await place.metrics())['rtlab_chat_refusals_total{reason="server_error"}'] == 50
    assert any(each.message.startswith("event failed: 45 more") for each in caplog.records)
