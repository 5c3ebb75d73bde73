"""The client's mark: nothing is lost and nothing comes twice, whatever order messages and pages come in."""

import pytest
from chat.resuming import EXPECTED, Restless
from chat.serving import SECRET, token
from deadlines import WAIT_S
from hypothesis import given
from hypothesis import strategies as st

import rtlab
from rtlab.chat import CHAT, Limits, connect, create_app
from rtlab.chat.client.room_mark import SEEN, RoomMark

GENEROUS = Limits(events_per_s=1e6, burst=1_000_000)


async def texts_until(client, last):
    texts = []
    while texts[-1:] != [last]:
        texts.append((await client.next("chat:message", within_s=WAIT_S)).data["text"])
    return texts


@pytest.mark.parametrize("said_before", [["before"], []], ids=["with a message", "in an empty room"])
async def test_60_missed_one_live_before_the_history_and_a_cut_between_the_pages(said_before):
    history = Restless()
    app = create_app(secret=SECRET, limits=GENEROUS, history=history)
    history.sio = app[CHAT].sio
    async with rtlab.serve(app) as server, connect(server.url, token=token("alice"), reconnection_delay=0.1) as alice:
        await alice.join("lobby")
        for text in said_before:
            await alice.send("lobby", text)
        await history.cut_all()
        assert await texts_until(alice, "live") == [*said_before, *EXPECTED]
        await alice.send("lobby", "the end")
        assert await texts_until(alice, "the end") == ["the end"], "and none twice"
        assert len(history.asked) == 3, "a page, the cut, and on from where that page ended"
        assert len(set(history.asked)) == 2


async def test_a_room_that_is_closed_meanwhile_does_not_keep_the_client_out_of_the_others():
    closed = set()

    async def may_join(_, room):
        return room not in closed

    app = create_app(secret=SECRET, limits=GENEROUS, may_join=may_join)
    async with rtlab.serve(app) as server, connect(server.url, token=token("alice"), reconnection_delay=0.1) as alice:
        for room in ("one", "two", "three"):
            await alice.join(room)
        closed.add("two")
        for session in list(app[CHAT].sio.eio.sockets):
            await app[CHAT].sio.eio.disconnect(session)
        refused = (await alice.next("rejoin_refused", within_s=WAIT_S)).data
        assert (refused["room"], refused["code"]) == ("two", "forbidden")
        assert (await alice.send("three", "here")).id
        assert "three" in repr(alice)
        assert "two" not in repr(alice)


async def test_a_join_with_an_offset_gives_every_page():
    async with (
        rtlab.serve(create_app(secret=SECRET, limits=GENEROUS)) as server,
        connect(server.url, token=token("alice")) as alice,
        connect(server.url, token=token("bob")) as bob,
    ):
        joined = await bob.join("lobby")
        await bob.leave("lobby")
        await alice.join("lobby")
        for number in range(100):
            await alice.send("lobby", str(number))
        again = await bob.join("lobby", after=joined.offset)
        assert [each["text"] for each in again.history] == [str(number) for number in range(100)]
        assert (again.missed, again.complete, again.lost) == (100, True, False)
        await alice.send("lobby", "100")
        late = await bob.join("lobby", after=joined.offset)
        assert (len(late.history), late.missed, late.complete, late.lost) == (100, 100, False, True), "0 is gone"
        assert (await bob.join("lobby", after=late.offset)).history == []
        assert await texts_until(bob, "100") == ["100"]


def test_a_live_message_that_comes_before_the_pages_does_not_move_the_mark():
    mark = RoomMark("1-0")
    assert mark.see("9-0")
    assert mark.offset == "1-0"
    assert mark.see("2-0")
    mark.page("2-0", last=False)
    assert (mark.see("10-0"), mark.offset) == (True, "2-0")
    assert not mark.see("9-0")
    mark.page("9-0", last=True)
    assert mark.offset == "10-0"
    assert (mark.see("11-0"), mark.offset) == (True, "11-0")
    mark.away()
    assert (mark.see("13-0"), mark.offset) == (True, "11-0")


def test_what_it_remembers_is_bounded():
    mark = RoomMark("0-0")
    mark.page("0-0", last=True)
    for number in range(1, 3 * SEEN):
        assert mark.see(f"{number}-0")
    assert len(mark._seen) == SEEN
    assert not mark.see(f"{3 * SEEN - 1}-0")


@given(
    steps=st.lists(st.sampled_from(["say", "deliver", "fetch", "cut", "return"]), max_size=60),
    page=st.integers(1, 4),
)
def test_whatever_happens_each_message_comes_once(steps, page):
    """A model: a log of offsets, a client that hears live messages while connected, and pages in between."""
    log: list[int] = []
    on_its_way: list[int] = []
    mark, seen, connected = RoomMark("0-0"), [], True
    mark.page("0-0", last=True)

    def hear(number):
        if mark.see(f"{number}-0"):
            seen.append(number)

    def fetch():
        start = int(mark.offset.partition("-")[0])
        found = [each for each in log if each > start]
        for each in found[:page]:
            hear(each)
        last = len(found) <= page
        mark.page(f"{found[:page][-1]}-0" if found else mark.offset, last=last)
        return last

    for step in [*steps, "return"]:
        if step == "say":
            log.append(len(log) + 1)
            if connected:
                on_its_way.append(log[-1])
        elif step == "deliver" and on_its_way:
            hear(on_its_way.pop(0))
        elif step == "fetch" and connected:
            while on_its_way:  # one connection keeps its order: what was emitted before the history comes before it
                hear(on_its_way.pop(0))
            fetch()
        elif step == "cut":
            on_its_way.clear()
            mark.away()
            connected = False
        elif step == "return":
            connected = True
    while not fetch():
        pass
    assert sorted(seen) == log
    assert len(set(seen)) == len(seen)
