"""The outbox: what was posted arrives once and in order, whatever happens on the way, or the script learns why not."""

import asyncio
import logging
import tracemalloc
from contextlib import asynccontextmanager

import pytest
from chat.client.wilful import wilful
from chat.serving import GENEROUS, SECRET, token
from deadlines import SCALE, WAIT_S
from eventually import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rtlab
from rtlab.chat import ChatError, ChatUnansweredError, Limits, connect, create_app
from rtlab.chat.client import outbox, pacing
from rtlab.chat.client.outbox import ENDS, FAILURES, OUTBOX_BYTES, OUTBOX_MESSAGES, PostOutbox, Sent
from rtlab.errors import UsageError

FAST = {"transports": ["websocket"], "reconnection_delay": 0.01, "randomization_factor": 0}
SHORT_S = 0.3 * SCALE
"""An acknowledgement that does not come within this is not waited for."""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(pacing, "RETRY_S", 0.01)
    monkeypatch.setattr(pacing, "RETRY_MAX_S", 0.05)


@asynccontextmanager
async def in_the_lobby(**options):
    async with wilful() as server, connect(server.url, token="t", **FAST | options) as alice:
        await alice.join("lobby")
        yield server, alice


def stored(server, room="lobby"):
    return [each["text"] for each in server.log if each["room"] == room]


async def settled(*posted):
    async with asyncio.timeout(WAIT_S):
        return [await each for each in posted]


async def refusal_of(posted):
    with pytest.raises(ChatError) as error:
        await settled(posted)
    return error.value


async def test_what_is_posted_arrives_in_order():
    async with rtlab.serve(create_app(secret=SECRET, limits=GENEROUS)) as server:
        async with connect(server.url, token=token("alice")) as alice:
            await alice.join("lobby")
            posted = [alice.post("lobby", str(number)) for number in range(100)]
            assert not posted[0].done
            assert len(alice.unsent) == 100
            assert "100 to send" in repr(alice)
            await alice.flush(within_s=WAIT_S)
            assert [each["text"] for each in (await alice.join("lobby", after="0-0")).history] == [
                str(number) for number in range(100)
            ]
            assert all(each.done and each.attempts == 1 for each in posted)
            assert (await posted[7]).offset == posted[7].sent.offset
            assert alice.unsent == ()
            assert (len(alice._outbox), alice._outbox._bytes) == (0, 0)
            await alice.flush()


async def test_an_acknowledgement_that_is_swallowed_or_comes_twice():
    fates = {"one": ["silent", "silent", "ok"], "two": ["twice"], "three": ["ok"]}
    async with in_the_lobby(ack_s=SHORT_S) as (server, alice):
        server.fate = lambda message, attempt: fates[message["text"]][attempt - 1]
        posted = [alice.post("lobby", text) for text in fates]
        sent = await settled(*posted)
        assert stored(server) == ["one", "two", "three"]
        assert [each.offset for each in sent] == ["1-0", "2-0", "3-0"]
        assert [text for text, _ in server.came] == ["one", "one", "one", "two", "three"]
        assert len({number for text, number in server.came if text == "one"}) == 1, "the same id in every attempt"
        assert alice._sio.callbacks["/"].keys() == {0}, "no callback is kept of what was not answered"


@pytest.mark.parametrize("code", ["unavailable", "draining", "gone", "server_error", "nonsense"])
async def test_what_passes_is_tried_again(code):
    async with in_the_lobby() as (server, alice):
        server.fate = lambda message, attempt: code if message["text"] == "one" and attempt < 4 else "ok"
        one, two = alice.post("lobby", "one"), alice.post("lobby", "two")
        await settled(one, two)
        assert (one.attempts, two.attempts) == (4, 1)
        assert stored(server) == ["one", "two"]


@pytest.mark.parametrize("code", ["bad_payload", "not_a_member", "forbidden", "something new"])
async def test_a_definite_refusal_does_not_stop_those_behind_it(code):
    async with in_the_lobby() as (server, alice):
        server.fate = lambda message, attempt: code if message["text"] == "bad" else "ok"
        good, bad, better = (alice.post("lobby", text) for text in ("good", "bad", "better"))
        await settled(good, better)
        assert (await refusal_of(bad)).code == code
        assert (await refusal_of(bad)).code == code, "as often as one asks"
        assert bad.attempts == 1
        assert bad.problem.code == code
        assert alice.unsent == ()


@pytest.mark.parametrize("fate", ["cut", "lost"])
async def test_one_on_which_the_connection_ends_each_time_is_given_up(fate):
    async with in_the_lobby() as (server, alice):
        server.fate = lambda message, attempt: fate if message["text"] == "poison" else "ok"
        before, poison, after = (alice.post("lobby", text) for text in ("before", "poison", "after"))
        await settled(before, after)
        problem = await refusal_of(poison)
        assert isinstance(problem, ChatUnansweredError)
        assert (problem.code, poison.attempts) == ("cut", ENDS)
        assert "Whether it was stored is unknown" in str(problem)
        assert stored(server) == (["before", "poison", "after"] if fate == "cut" else ["before", "after"])


async def test_the_innocent_of_other_rooms_are_not_given_up_with_it():
    rooms = [f"room {number}" for number in range(8)]
    async with in_the_lobby() as (server, alice):
        for room in rooms:
            await alice.join(room)
        server.fate = lambda message, attempt: "lost" if message["text"] == "poison" else "ok"
        poison = alice.post("lobby", "poison")
        others = [alice.post(room, f"{room} {number}") for room in rooms for number in range(5)]
        await settled(*others)
        assert (await refusal_of(poison)).code == "cut"
        for room in rooms:
            assert stored(server, room) == [f"{room} {number}" for number in range(5)]


async def test_a_message_over_which_the_server_fails_each_time_is_given_up():
    async with in_the_lobby() as (server, alice):
        server.fate = lambda message, attempt: "server_error" if message["text"] == "poison" else "ok"
        poison, after = alice.post("lobby", "poison"), alice.post("lobby", "after")
        await settled(after)
        assert (await refusal_of(poison)).code == "server_error"
        assert poison.attempts == FAILURES


async def test_it_goes_on_after_a_cut_at_each_message():
    async with in_the_lobby() as (server, alice):
        server.fate = lambda message, attempt: ["lost", "cut", "ok"][min(attempt, 3) - 1]
        posted = [alice.post("lobby", str(number)) for number in range(10)]
        await settled(*posted)
        assert stored(server) == [str(number) for number in range(10)]


async def test_nothing_is_sent_before_the_client_is_back_in_its_rooms():
    """A server would refuse it for good: not_a_member."""
    async with in_the_lobby() as (server, alice):
        members = 0

        def join_fate(asked):
            nonlocal members
            members = server.connected
            return "ok"

        def fate(message, attempt):
            return "ok" if members == server.connected else "not_a_member"

        await server.cut()
        server.join_fate, server.fate = join_fate, fate
        await settled(*(alice.post("lobby", str(number)) for number in range(3)))


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.lists(st.sampled_from(["lost", "cut", "unavailable", "nonsense", "gone"]), max_size=3), max_size=8))
async def test_whatever_happens_each_arrives_once_and_in_order(fates):
    async with in_the_lobby() as (server, alice):
        server.fate = lambda message, attempt: [*fates[int(message["text"])], *["ok"] * 9][attempt - 1]
        posted = [alice.post("lobby", str(number)) for number in range(len(fates))]
        sent = await settled(*posted)
        assert stored(server) == [str(number) for number in range(len(fates))]
        assert [each.offset for each in sent] == [each["offset"] for each in server.log]


async def test_a_full_outbox_says_what_to_do():
    async with in_the_lobby(ack_s=WAIT_S) as (server, alice):
        server.fate = lambda message, attempt: "silent"
        for _ in range(OUTBOX_MESSAGES):
            alice.post("lobby", "x" * 1_000)
        with pytest.raises(
            ChatError, match=r"it has 1,000 and 1,000,000.*Await one that was posted, or flush"
        ) as error:
            alice.post("lobby", "one more")
        assert error.value.code == "outbox_full"
        with pytest.raises(TimeoutError, match=r"Not acknowledged: 1000 \(1000 in lobby\)"):
            await alice.flush(within_s=0.01)


async def test_what_an_outbox_takes_at_most():
    """In four-byte characters; the limit of bytes holds with fewer and longer messages too."""
    never = asyncio.Event()

    async def wait(*_):
        await never.wait()
        raise AssertionError

    tracemalloc.start()
    try:
        box, before = PostOutbox(wait, wait), tracemalloc.get_traced_memory()[0]
        for number in range(OUTBOX_MESSAGES):
            box.add(f"room {number % 50}", "🎈" * 999 + chr(0x1F388 + number), "c")
        took = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert took < 2 * OUTBOX_BYTES
    for task in box.end(ChatError("gone", "")):
        await asyncio.wait([task])
    box = PostOutbox(wait, wait)
    box.add("lobby", "x" * (OUTBOX_BYTES - 1), "c")
    with pytest.raises(ChatError, match=r"this one has 2\."):
        box.add("lobby", "xx", "c")
    await asyncio.wait(box.end(ChatError("gone", "")))


async def test_to_cancel_the_waiting_does_not_take_it_back():
    async with in_the_lobby(ack_s=SHORT_S) as (server, alice):
        server.fate = lambda message, attempt: "ok" if attempt > 1 else "silent"
        posted = alice.post("lobby", "all the same")
        waiting = [asyncio.create_task(settled(posted)) for _ in range(2)]
        await until(lambda: server.came)
        waiting[0].cancel()
        await asyncio.wait(waiting)
        assert waiting[0].cancelled()
        assert waiting[1].result() == [posted.sent]
        assert stored(server) == ["all the same"]


async def test_close_says_what_is_left(caplog):
    async with in_the_lobby(ack_s=WAIT_S) as (server, alice):
        server.fate = lambda message, attempt: "silent"
        posted = [alice.post("lobby", text, client_id=f"c {text}") for text in ("one", "two")]
        await until(lambda: server.came)
        with caplog.at_level(logging.WARNING, "rtlab.chat.client"):
            await alice.close()
        assert "Not acknowledged: 2 (2 in lobby)" in caplog.text
        for each in posted:
            with pytest.raises(ChatError, match="it was closed here"):
                await each
        assert [(each.text, each.client_id, each.attempts) for each in alice.unsent] == [
            ("one", "c one", 1),
            ("two", "c two", 0),
        ]
        with pytest.raises(ChatError, match="The connection is over"):
            alice.post("lobby", "three")
        with pytest.raises(ChatError, match=r"it was closed here.*Not acknowledged: 2"):
            await alice.flush()
        assert all(task.done() for task in alice._outbox._tasks.values())
        server.fate = lambda message, attempt: "ok"
        async with connect(server.url, token="t", **FAST) as again:
            await again.join("lobby")
            await settled(*(again.post(each.room, each.text, client_id=each.client_id) for each in alice.unsent))
        assert stored(server) == ["one", "two"], "the second client's attempt at one has the same id"


async def test_the_end_of_the_connection_ends_the_waiting():
    async with in_the_lobby(reconnection=False) as (server, alice):
        server.fate = lambda message, attempt: "lost"
        posted, behind = alice.post("lobby", "one"), alice.post("lobby", "two")
        assert (await refusal_of(posted)).code == "gone"
        assert (await refusal_of(behind)).code == "gone"
        assert len(alice.unsent) == 2


async def test_a_wrong_use():
    async with in_the_lobby() as (_, alice):
        for arguments, said in (
            (("lobby", 5), r"post\(text=\): expected a string, got int"),
            ((None, "x"), r"post\(room=\): expected a string, got NoneType"),
            (("lobby", "x\ud83d"), r"post\(text=\): expected text that UTF-8 can carry"),
        ):
            with pytest.raises(UsageError, match=said):
                alice.post(*arguments)
        for wrong in (0, -1, float("inf"), True, "2"):
            with pytest.raises(UsageError, match=r"connect\(ack_s=\): expected a number of seconds above 0"):
                connect("http://127.0.0.1:9", token="t", ack_s=wrong)


async def test_whoever_posts_faster_than_allowed_is_slowed_down_and_not_thrown_out(monkeypatch):
    monkeypatch.setattr(pacing, "PAUSE_S", 0.3)
    limits = Limits(burst=5, events_per_s=50, breaches=3)
    async with rtlab.serve(create_app(secret=SECRET, limits=limits)) as server:
        async with connect(server.url, token=token("alice")) as alice:
            for room in ("one", "two"):
                await alice.join(room)
            posted = [alice.post(room, str(number)) for number in range(40) for room in ("one", "two")]
            await settled(*posted)
            assert [event.name for event in alice._arrivals._events if event.name == "disconnect"] == []


async def test_the_outbox_alone_keeps_the_order_of_a_room_and_not_of_several():
    gates = {"a": asyncio.Event(), "b": asyncio.Event()}
    began = []

    async def ready():
        pass

    async def send(posted):
        began.append(posted.text)
        await gates[posted.room].wait()
        return Sent(posted.text, "1-0")

    box = outbox.PostOutbox(ready, send)
    first, second, other = box.add("a", "a1", "1"), box.add("a", "a2", "2"), box.add("b", "b1", "3")
    await until(lambda: len(began) == 2)
    assert sorted(began) == ["a1", "b1"]
    gates["b"].set()
    assert (await other).id == "b1"
    assert not second.done
    gates["a"].set()
    await settled(first, second)
    assert began[-1] == "a2"
    assert box._queues == box._tasks == {}
