"""What a node delivers, whatever Pub/Sub loses: each message once, in order, or members are told that it is gone.

Here the stream is one in memory and the channel is a list, so that every interleaving can be played. The same with real
nodes stands in `test_nodes_delivery`.
"""

import asyncio
import gc
import logging
import random
import time
import tracemalloc
from collections import deque

import pytest
from eventually import until
from hypothesis import given, settings
from hypothesis import strategies as st

from rtlab.chat import delivery
from rtlab.chat.delivery import AHEAD_S, PAGE, REPAIRS, Delivery
from rtlab.chat.limits import Limits
from rtlab.chat.rooms import chat_room
from rtlab.chat.stores.memory import MemoryHistory
from rtlab.chat.stores.protocols import Page, position, spelled
from rtlab.chat.stores.redis_history import ROOMS_AT_ONCE
from rtlab.errors import RedisUnavailable
from rtlab.servers.repeats import RepeatLog

ROOMS = ("hall", "attic")
KEPT = 4
STEPS = ("say", "say", "say", "hear", "hear", "lose", "cut", "join", "leave", "look", "turn", "fail", "restart")


class Stream(MemoryHistory):
    """A history that a `Delivery` can follow, slow at random, and away for as long as `away` is set."""

    def __init__(self, numbers, clock):
        super().__init__(KEPT, clock)
        self.numbers = numbers
        self.away = False

    async def turn(self):
        for _ in range(self.numbers.randrange(3)):
            await asyncio.sleep(0)
        if self.away:
            raise RedisUnavailable("redis://here", "away")

    async def after(self, room, offset, count):
        await self.turn()
        page = await super().after(room, offset, 2)  # several pages for what is missing
        await self.meanwhile()
        await self.turn()
        return page

    async def meanwhile(self):
        """What happens between the reading of a page and its delivery."""

    async def tails(self, rooms):
        await self.turn()
        answer = [self.tail(room) for room in rooms], spelled(self._last)
        await self.turn()
        return answer

    def tail(self, room):
        kept = self._rooms.get(room)
        if kept is None:
            return spelled(self._dropped)
        return spelled(kept.records[-1].offset if kept.records else kept.floor)


class World:
    """One node, its channel, and the sockets on it."""

    def __init__(self, seed=0):
        self.numbers = random.Random(seed)
        self.now = 1000.0
        self.stream = Stream(self.numbers, lambda: self.now)
        self.delivery = Delivery(self.stream, RepeatLog(logging.getLogger("test")))
        self.delivery.to(self)
        self.channel = deque()
        self.sockets: dict[str, Socket] = {}
        self.joins: set[asyncio.Task] = set()
        self.said = {room: [] for room in ROOMS}

    async def emit(self, event, data, *, to, skip_sid=None, ignore_queue):
        assert ignore_queue
        for socket in list(self.sockets.values()):
            if chat_room(socket.room) == to and socket.sid not in (skip_sid or ()):
                socket.heard.append((event, data))
        await asyncio.sleep(0)

    async def say(self, room):
        prev = self.stream.tail(room)
        record, _ = await self.stream.append(room, {"text": str(len(self.said[room])), "room": room}, "u")
        self.said[room].append(record["offset"])
        self.channel.append({"room": chat_room(room), "prev": prev, "data": [record], "skip_sid": None})

    async def pause(self):
        await asyncio.sleep(0)

    async def hear(self):
        if self.channel:
            message = self.channel.popleft()
            if self.delivery.admit(message):
                await self.emit(
                    "chat:message",
                    message["data"][0],
                    to=message["room"],
                    skip_sid=message["skip_sid"],
                    ignore_queue=True,
                )

    def join(self, room):
        socket = Socket(f"s{len(self.joins)}", room)
        task = asyncio.create_task(self._join(socket))
        self.joins.add(task)

    async def _join(self, socket):
        """As `SharedRooms` and `Events` do it: enter in Redis, then here, then the page."""
        tail = self.stream.tail(socket.room)
        for _ in range(self.numbers.randrange(3)):
            await asyncio.sleep(0)
        self.sockets[socket.sid] = socket
        self.delivery.follow(socket.room, tail)
        for _ in range(self.numbers.randrange(3)):
            await asyncio.sleep(0)
        page = await self.stream.last(socket.room, 50)
        for _ in range(self.numbers.randrange(3)):
            await asyncio.sleep(0)
        if socket.sid in self.sockets:
            self.delivery.gave(socket.room, socket.sid, page.offset)
            socket.heard.append(("page", (page.records, page.offset)))

    def leave(self):
        if self.sockets:
            socket = self.sockets.pop(self.numbers.choice(list(self.sockets)))
            self.delivery.left(socket.room, socket.sid)
            if not any(each.room == socket.room for each in self.sockets.values()):
                self.delivery.forget(socket.room)

    def restart(self):
        """Redis has lost everything, and what it has not published too."""
        self.now += 1
        self.channel.clear()
        self.stream = self.delivery._history = Stream(self.numbers, lambda: self.now)
        self.delivery.look_soon()

    async def settle(self):
        """Until nothing more happens."""
        self.stream.away = False
        await asyncio.gather(*self.joins)
        while self.channel:
            await self.hear()
        for _ in range(50):
            await self.delivery.look()
            for _ in range(50):
                await asyncio.sleep(0)
            if not any(each.behind for each in self.delivery._rooms.values()):
                return
        raise AssertionError("a room stays behind for ever")


class Socket:
    """Somebody in a room, with all that it got."""

    def __init__(self, sid, room):
        self.sid, self.room = sid, room
        self.heard: list[tuple[str, object]] = []

    def check(self, said):
        """Each once, in order, and what is missing was told as gone."""
        at = next(number for number, (event, _) in enumerate(self.heard) if event == "page")
        records, ends = self.heard[at][1]
        page = [each["offset"] for each in records]
        before = [data["offset"] for event, data in self.heard[:at] if event == "chat:message"]
        rest = [data["offset"] for event, data in self.heard[at:] if event == "chat:message"]
        live = list(map(position, before + rest))
        assert live == sorted(set(live)), "live: in order, each once"
        assert not set(page) & set(rest), "what came in the page does not come after it"
        assert all(position(each) > position(ends) for each in rest)
        gone = [data for event, data in self.heard if event == "chat:lost"]
        told = [data for event, data in self.heard[at:] if event == "chat:lost"]
        assert all(position(gap["offset"]) > position(ends) for gap in told), "of what is in no page"
        got = {*page, *before, *rest}
        first = min((position(each) for each in got), default=position(ends))
        for each in said:
            place = position(each)
            if each not in got and place > max(first, position(ends)):
                assert any(position(gap["after"]) < place <= position(gap["offset"]) for gap in gone), each


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 2**32), steps=st.lists(st.sampled_from(STEPS), max_size=60))
async def test_each_message_once_in_order_or_told_as_gone(seed, steps):
    world = World(seed)
    await world.delivery.start()
    try:
        await play(world, steps)
    finally:
        await world.delivery.stop()


async def play(world, steps):
    for step in ("join", *steps):
        room = world.numbers.choice(ROOMS)
        if step == "say":
            await world.say(room)
        elif step == "hear":
            await world.hear()
        elif step == "lose" and world.channel:
            world.channel.popleft()
        elif step == "cut":
            world.channel.clear()
            world.delivery.look_soon()
        elif step == "join":
            world.join(room)
        elif step == "leave":
            world.leave()
        elif step == "look":
            world.delivery.look_soon()
        elif step == "turn":
            for _ in range(world.numbers.randrange(30)):
                await world.numbers.choice([world.hear, world.pause, world.pause])()
        elif step == "fail":
            world.stream.away = not world.stream.away
        elif step == "restart":
            world.restart()
        for _ in range(world.numbers.randrange(4)):
            await world.pause()
    await world.settle()
    for socket in world.sockets.values():
        socket.check(world.said[socket.room])
    assert set(world.delivery._rooms) == {socket.room for socket in world.sockets.values()}, "no room is kept"
    for followed in world.delivery._rooms.values():
        assert followed.ahead.keys() <= world.sockets.keys(), "nor sockets"
        assert all(upto > followed.mark for upto in followed.ahead.values())
    assert not world.delivery._waiting


async def test_what_is_missing_is_read_before_what_has_come_is_delivered():
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()
    for _ in range(3):
        await world.say("hall")
    world.channel.popleft()
    (socket,) = world.sockets.values()
    while world.channel:
        await world.hear()
    await world.settle()
    assert [data["text"] for event, data in socket.heard if event == "chat:message"] == ["0", "1", "2"]
    assert world.delivery.repaired_total == 3
    assert world.delivery.lost_total == 0
    await world.delivery.stop()


async def test_what_comes_while_a_page_is_read_is_read_next():
    """And not with the next look, five seconds later."""
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()

    async def meanwhile():
        del world.stream.meanwhile
        await world.say("hall")
        await world.hear()

    world.stream.meanwhile = meanwhile
    for _ in range(2):
        await world.say("hall")
    world.channel.popleft()
    await world.hear()
    for _ in range(100):
        await world.pause()
    (socket,) = world.sockets.values()
    assert [data["text"] for event, data in socket.heard if event == "chat:message"] == ["0", "1", "2"]
    await world.delivery.stop()


async def test_a_room_that_is_left_and_entered_again_while_it_is_read_begins_anew():
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()
    emit, again = world.emit, []

    async def emit_and_come_again(*arguments, **options):
        await emit(*arguments, **options)
        if not again:
            again.append(True)
            world.leave()
            world.join("hall")
            await asyncio.gather(*world.joins)

    world.emit = emit_and_come_again
    for _ in range(2):
        await world.say("hall")
    world.channel.clear()
    await world.settle()
    (socket,) = world.sockets.values()
    assert [event for event, _ in socket.heard] == ["page"], "which has both"
    await world.delivery.stop()


async def test_what_the_stream_has_no_more_is_told_once_and_in_its_place(caplog):
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()
    for _ in range(KEPT + 3):
        await world.say("hall")
    world.channel.clear()
    await world.settle()
    (socket,) = world.sockets.values()
    events = [(event, data.get("text")) for event, data in socket.heard if event != "page"]
    assert events == [("chat:lost", None), *(("chat:message", str(number)) for number in range(3, KEPT + 3))]
    lost = next(data for event, data in socket.heard if event == "chat:lost")
    assert lost["room"] == "hall"
    assert lost["offset"] == world.said["hall"][2]
    await world.settle()
    assert world.delivery.lost_total == 1
    assert [each.levelname for each in caplog.records if "are gone" in each.message] == ["ERROR"]
    await world.delivery.stop()


async def test_who_had_it_in_a_page_is_left_out():
    world = World()
    world.join("hall")
    await world.settle()
    await world.say("hall")  # on its way to this node
    world.join("hall")
    await asyncio.gather(*world.joins)
    await world.hear()
    first, second = world.sockets.values()
    assert [event for event, _ in first.heard] == ["page", "chat:message"]
    assert [event for event, _ in second.heard] == ["page"]
    assert not world.delivery._rooms["hall"].ahead


async def test_an_offset_of_the_far_future_is_not_believed_unless_the_stream_has_it():
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()
    await world.say("hall")
    await world.hear()
    mark = world.delivery.mark("hall")
    for offset in ("9999999999999-0", spelled((int((time.time() + 2 * AHEAD_S) * 1000), 0))):
        record = {"room": "hall", "offset": offset, "text": "forged"}
        assert not world.delivery.admit({"room": "chat:hall", "prev": "0-0", "data": [record]})
        assert world.delivery.mark("hall") == mark
    await world.settle()
    await world.say("hall")
    await world.hear()
    world.now = time.time() + 3 * AHEAD_S  # Redis's clock is that wrong
    await world.say("hall")
    await world.hear()
    await world.settle()
    (socket,) = world.sockets.values()
    assert [data["text"] for event, data in socket.heard if event == "chat:message"] == ["0", "1", "2"]
    assert world.delivery.lost_total == 0
    await world.delivery.stop()


async def test_rooms_that_are_flooded_while_they_are_read_hold_up_no_other_that_is_behind():
    """Each has news whenever a page of it was read: none of them is ever caught up with."""
    world = World()
    flooded = [f"flooded {number}" for number in range(REPAIRS)]
    after, read = world.stream.after, []

    async def say(room):
        await world.stream.append(room, {"text": "", "room": room}, "u")

    async def after_and_more(room, offset, count):
        await world.pause()
        page = await after(room, offset, count)
        read.append(room)
        if room in flooded:
            await say(room)
            record = {"room": room, "offset": world.stream.tail(room)}
            assert not world.delivery.admit({"room": chat_room(room), "prev": "9-9", "data": [record]})
        return page

    for room in (*flooded, "hall"):
        world.delivery.follow(room, world.stream.tail(room))
    world.stream.after = after_and_more
    await world.delivery.start()
    for room in (*flooded, "hall"):
        await say(room)
    world.delivery.look_soon()
    for _ in range(200):
        await world.pause()
    assert read.count("hall") == 1
    assert all(read.count(room) > 1 for room in flooded), "and they go on"
    assert world.delivery.mark("hall") == world.stream.tail("hall")
    await world.delivery.stop()


async def test_an_offset_beyond_all_that_there_are_silences_a_room_until_the_next_look_only():
    """Whoever can publish on the channel can do worse; a room comes back from it by itself."""
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()
    record = {"room": "hall", "offset": spelled((int(time.time() * 1000), 0)), "text": "from the future"}
    assert world.delivery.admit({"room": "chat:hall", "prev": "0-0", "data": [record]})
    await world.settle()
    await world.settle()
    assert world.delivery.lost_total == 1, "once"
    await world.say("hall")
    await world.hear()
    await world.settle()
    (socket,) = world.sockets.values()
    assert [data["text"] for event, data in socket.heard if event == "chat:message"] == ["0"]
    await world.say("hall")
    await world.hear()
    assert [data["text"] for event, data in socket.heard if event == "chat:message"] == ["0", "1"]
    await world.delivery.stop()


@pytest.mark.parametrize("offset", ["", "yesterday", "1", "-", "1-", "9" * 40 + "-0", "1-0 ", "\u0661-\u0660", None, 5])
async def test_an_offset_that_is_none_changes_nothing(offset):
    world = World()
    world.join("hall")
    await world.settle()
    for message in (
        {"prev": "0-0", "data": [{"room": "hall", "offset": offset}]},
        {"prev": offset or "", "data": [{"room": "hall", "offset": "9999999999999-0"}]},
    ):
        before = world.delivery.mark("hall")
        with pytest.raises((ValueError, TypeError)):
            world.delivery.admit(message)
        assert world.delivery.mark("hall") == before


async def test_a_room_that_nobody_is_in_here_costs_nothing():
    world = World()
    await world.say("hall")
    assert not world.delivery.admit(world.channel.popleft())
    assert world.delivery.mark("hall") == ""
    assert not world.delivery._rooms


@pytest.mark.parametrize("rooms", [683, 1365])
def test_a_room_costs_a_mark_while_it_has_members_here(rooms):
    """So many that the table of rooms has just grown, and is emptiest; and so many that it is full."""
    delivery = World().delivery
    entered = [(f"room {number}", f"{1_800_000_000_000 + number}-{1000 + number}") for number in range(rooms)]
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for room, tail in entered:
            delivery.follow(room, tail)
        taken = tracemalloc.get_traced_memory()[0] - before
        for room, _ in entered:
            delivery.forget(room)
    finally:
        tracemalloc.stop()
    print(f"{taken / rooms:.0f} bytes for each of {rooms:,} rooms, beside its name")
    assert taken <= 300 * rooms
    assert not delivery._rooms


async def test_a_room_that_is_left_while_it_is_read_is_read_no_further():
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()
    emit, read, after = world.emit, [], world.stream.after

    async def emit_and_leave(event, data, **options):
        await emit(event, data, **options)
        if data["text"] == "1":  # the last one of its page
            world.leave()

    async def counting(*asked):
        read.append(asked)
        return await after(*asked)

    world.emit, world.stream.after = emit_and_leave, counting
    for _ in range(4):
        await world.say("hall")
    world.channel.clear()
    await world.settle()
    assert len(read) == 1
    await world.delivery.stop()


async def test_whoever_enters_a_room_while_it_is_read_is_told_of_no_loss_before():
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()

    async def meanwhile():
        del world.stream.meanwhile
        world.leave()
        world.join("hall")
        await asyncio.gather(*world.joins)

    world.stream.meanwhile = meanwhile
    for _ in range(KEPT + 3):
        await world.say("hall")
    world.channel.clear()
    await world.settle()
    (socket,) = world.sockets.values()
    assert [event for event, _ in socket.heard] == ["page"]
    assert world.delivery.lost_total == 0
    await world.delivery.stop()


async def test_who_has_left_is_remembered_no_longer():
    world = World()
    world.join("hall")
    await world.settle()
    await world.say("hall")
    world.join("hall")
    await asyncio.gather(*world.joins)
    (_, second) = world.sockets
    assert second in world.delivery._rooms["hall"].ahead
    world.delivery.left("hall", second)
    assert second not in world.delivery._rooms["hall"].ahead


async def test_a_room_that_is_forgotten_waits_for_nothing():
    world = World()
    world.join("hall")
    await world.settle()
    for _ in range(2):
        await world.say("hall")
    world.channel.popleft()
    await world.hear()
    assert list(world.delivery._waiting) == ["hall"], "nobody reads: it was not started"
    world.leave()
    assert not world.delivery._waiting


async def test_nothing_is_read_where_nothing_is_missing():
    """Messages, and people who leave and enter, between a look's question and its answer."""
    world = World()
    await world.delivery.start()
    world.join("hall")
    await world.settle()
    read, tails, after = [], world.stream.tails, world.stream.after

    async def say_and_hear():
        await world.say("hall")
        await world.hear()

    async def say_and_come_again():
        await world.say("hall")
        world.channel.clear()
        answer.append(await tails(["hall"]))
        world.leave()
        world.join("hall")
        await asyncio.gather(*world.joins)

    async def counting(*asked):
        read.append(asked)
        return await after(*asked)

    world.stream.after = counting
    await say_and_hear()
    await world.delivery.look()
    assert not world.delivery._tasks, "nor does anybody begin to"
    for meanwhile in (say_and_hear, say_and_come_again):
        answer = []

        async def asked(rooms, meanwhile=meanwhile, answer=answer):
            before = await tails(rooms)
            await meanwhile()
            return (answer or [before])[0]

        world.stream.tails = asked
        await world.delivery.look()
        for _ in range(20):
            await world.pause()
    assert read == []
    await world.delivery.stop()


def gap(room):
    """A message whose predecessor is missing."""
    return {"prev": "9000-0", "data": [{"room": room, "offset": "9001-0"}]}


async def test_few_rooms_are_read_at_the_same_time_and_none_once_it_is_stopped():
    world, reading, may_go = World(), [], asyncio.Event()

    async def after(room, *_):
        reading.append(room)
        await may_go.wait()
        reading.remove(room)
        return Page([], 0, False, "9001-0")

    world.stream.after = after
    await world.delivery.start()
    names = [f"room {number}" for number in range(3 * REPAIRS)]
    for name in names:
        world.delivery.follow(name, "1-0")
        assert not world.delivery.admit(gap(name))
    for _ in range(20):
        await world.pause()
    assert reading == names[:REPAIRS]
    await world.delivery.stop()
    assert not world.delivery._tasks
    assert not world.delivery.admit(gap(names[0]))
    assert not world.delivery._tasks, "and none begins any more"


@pytest.mark.parametrize(
    ("problem", "said"), [(RedisUnavailable("redis://here", "away"), False), (LookupError("what a message"), True)]
)
async def test_a_room_that_cannot_be_read_is_read_with_the_next_look_and_not_again_and_again(problem, said, caplog):
    world, asked = World(), []

    async def nothing_new(rooms):
        return ["1-0" for _ in rooms], "1-0"

    async def fail(*_):
        asked.append(problem)
        raise problem

    world.stream.after, world.stream.tails = fail, fail
    await world.delivery.start()
    world.delivery.follow("hall", "1-0")
    assert not world.delivery.admit(gap("hall"))
    for _ in range(50):
        await world.pause()
    assert len(asked) <= 1 + REPAIRS, "the look's question, and the room's"
    assert [each.message for each in caplog.records if "could not be compared" in each.message] == said * [
        "rooms could not be compared with Redis"
    ]
    read = [each.message for each in caplog.records if "could not be read" in each.message]
    assert read[:1] == said * ["messages of a room could not be read"], "Redis says itself that it is away"
    before = len(asked)
    world.stream.tails = nothing_new
    world.delivery.look_soon()
    for _ in range(50):
        await world.pause()
    assert before < len(asked) <= before + REPAIRS, "it still looks"
    await world.delivery.stop()


async def test_what_names_no_message_before_it_has_no_part_in_this():
    assert World().delivery.admit({"data": [{"room": "hall"}]})


async def test_every_room_that_is_behind_is_read_with_one_look():
    world = World()
    await world.delivery.start()
    for room in ROOMS:
        world.join(room)
    await world.settle()
    for room in ROOMS:
        await world.say(room)
    world.channel.clear()
    await world.delivery.look()
    for _ in range(50):
        await world.pause()
    for socket in world.sockets.values():
        assert [event for event, _ in socket.heard] == ["page", "chat:message"]
    await world.delivery.stop()


async def test_a_look_asks_for_so_many_rooms_at_once_and_for_each_of_them_once():
    world, asked = World(), []
    names = [f"room {number}" for number in range(2 * ROOMS_AT_ONCE + 1)]

    async def tails(rooms):
        asked.append(rooms)
        world.delivery.forget(names[-1])  # its last member leaves while others are asked for
        return ["1-0" for _ in rooms], "1-0"

    world.stream.tails = tails
    for name in names:
        world.delivery.follow(name, "1-0")
    await world.delivery.look()
    assert [len(rooms) for rooms in asked] == [ROOMS_AT_ONCE, ROOMS_AT_ONCE, 0]
    assert [name for rooms in asked for name in rooms] == names[:-1]


async def test_it_looks_by_itself_again_and_again(monkeypatch):
    monkeypatch.setattr(delivery, "FOLLOW_S", 0.01)
    world = World()
    await world.delivery.start()
    world.join("hall")
    await asyncio.gather(*world.joins)
    (socket,) = world.sockets.values()
    for number in range(3):
        await world.say("hall")
        world.channel.clear()
        texts = [str(each) for each in range(number + 1)]
        await until(lambda texts=texts: [data["text"] for event, data in socket.heard[1:]] == texts)
    await world.delivery.stop()


async def test_it_ends_with_all_that_it_began():
    world = World()
    await world.delivery.stop()  # before it has begun: nothing
    before = asyncio.all_tasks()
    await world.delivery.start()
    await world.pause()
    assert asyncio.all_tasks() > before
    await world.delivery.stop()
    assert asyncio.all_tasks() == before


async def test_a_room_that_is_left_while_it_cannot_be_read_is_not_read_again():
    world = World()
    await world.delivery.start()

    async def fail(*_):
        world.delivery.forget("hall")
        raise RedisUnavailable("redis://here", "away")

    world.stream.after = fail
    world.delivery.follow("hall", "1-0")
    assert not world.delivery.admit(gap("hall"))
    for _ in range(10):
        await world.pause()
    assert not world.delivery._waiting
    await world.delivery.stop()


async def test_a_clock_that_is_ahead_is_no_reason_to_ask_each_time():
    """By less than `AHEAD_S` never, and by more once: from then on the mark is as far ahead."""
    world, asked = World(), []
    world.delivery.follow("hall", world.stream.tail("hall"))

    async def after(*question):
        asked.append(question)
        return await Stream.after(world.stream, *question)

    world.stream.after = after
    world.emit = lambda *_, **__: world.pause()
    await world.delivery.start()
    for ahead_s, questions in ((0.9 * AHEAD_S, 0), (2 * AHEAD_S, 1), (2.9 * AHEAD_S, 1), (10 * AHEAD_S, 2)):
        world.now = time.time() + ahead_s
        await world.say("hall")
        world.delivery.admit(world.channel.popleft())
        for _ in range(20):
            await world.pause()
        assert len(asked) == questions, f"{ahead_s} s ahead"
        assert world.delivery.mark("hall") == world.stream.tail("hall")
    await world.delivery.stop()


async def test_what_is_said_of_a_room_that_nobody_is_in_here_is_nothing():
    world = World()
    world.delivery.gave("hall", "s0", "1-0")
    world.delivery.left("hall", "s0")
    world.delivery.forget("hall")
    assert not world.delivery._rooms


def test_a_question_reads_as_much_as_a_room_keeps():
    assert Limits().history == PAGE
