"""History in memory: bounds, offsets, pages, and what a client cannot know."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.chat.stores.memory import MemoryHistory
from rtlab.chat.stores.protocols import position


class Clock:
    """Seconds that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def say(history: MemoryHistory, text: str, room: str = "r", user: str = "u", **more: str) -> str:
    record, _ = await history.append(room, {"text": text, **more}, user)
    return record["offset"]


def texts(page) -> list[str]:
    return [record["text"] for record in page.records]


async def test_the_last_ones_oldest_first():
    history = MemoryHistory(per_room=5)
    for number in range(8):
        await say(history, str(number))
    assert texts(await history.last("r", 3)) == ["5", "6", "7"]
    assert texts(await history.last("r", 50)) == ["3", "4", "5", "6", "7"]
    assert texts(await history.last("elsewhere", 50)) == []


async def test_what_came_after_an_offset_in_pages():
    history = MemoryHistory(per_room=10)
    offsets = [await say(history, str(number)) for number in range(7)]
    page = await history.after("r", offsets[1], 3)
    assert (texts(page), page.missed, page.complete) == (["2", "3", "4"], 5, False)
    page = await history.after("r", page.records[-1]["offset"], 3)
    assert (texts(page), page.missed, page.complete) == (["5", "6"], 2, True)
    page = await history.after("r", offsets[-1], 3)
    assert (texts(page), page.missed, page.complete) == ([], 0, True)


async def test_what_was_evicted_is_missing_and_that_is_said():
    history = MemoryHistory(per_room=3)
    offsets = [await say(history, str(number)) for number in range(5)]
    page = await history.after("r", offsets[0], 10)
    assert (texts(page), page.complete) == (["2", "3", "4"], False), "1 is gone"
    assert (await history.after("r", offsets[1], 10)).complete, "the last one evicted is what the client has"


async def test_an_offset_from_before_a_restart_is_older_than_all_that_is_here():
    clock = Clock()
    old = await say(MemoryHistory(5, clock), "before")
    clock.now += 10
    restarted = MemoryHistory(5, clock)
    page = await restarted.after("r", old, 10)
    assert (page.records, page.complete) == ([], False), "nobody knows what was said"
    await say(restarted, "after")
    page = await restarted.after("r", old, 10)
    assert (texts(page), page.complete) == (["after"], False)


async def test_a_room_that_was_dropped_and_comes_again_goes_on_after_it():
    clock = Clock()
    history = MemoryHistory(5, clock)
    old = await say(history, "before")
    last = await say(history, "forgotten")
    await history.drop("r")
    assert not await history.holds("r")
    new = await say(history, "after")
    assert position(new) > position(last)
    assert not (await history.after("r", old, 5)).complete, "one was forgotten between"


async def test_offsets_only_grow_whatever_the_clock_does():
    clock = Clock()
    history = MemoryHistory(50, clock)
    offsets = []
    for step in (0, 0, 0.001, -5, 0, 10):
        clock.now += step
        offsets.append(position(await say(history, "x")))
    assert offsets == sorted(set(offsets))


async def test_the_same_message_of_the_same_user_is_kept_once():
    history = MemoryHistory(2)
    first, new = await history.append("r", {"text": "hi", "clientId": "1", "id": "a"}, "alice")
    assert new
    assert await history.append("r", {"text": "hi", "clientId": "1", "id": "b"}, "alice") == (first, False)
    assert (await history.append("r", {"text": "hi", "clientId": "1", "id": "c"}, "bob"))[1], "another user's"
    assert (await history.append("s", {"text": "hi", "clientId": "1", "id": "d"}, "alice"))[1], "another room's"
    await say(history, "x")
    await say(history, "y")
    assert (await history.append("r", {"text": "hi", "clientId": "1", "id": "e"}, "alice"))[1], "as long as it is kept"


@pytest.mark.parametrize("per_room", [1, 4])
@given(steps=st.lists(st.sampled_from(["say", "drop", "tick"]), max_size=30), asked=st.integers(0, 30))
async def test_a_client_that_is_told_complete_has_everything(per_room, steps, asked):
    clock = Clock()
    history = MemoryHistory(per_room, clock)
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
