"""The rooms of a client: every page of what it missed, gaps that are told, and what an observer sees of it."""

import asyncio

import pytest
from chat.client.wilful import wilful
from chat.serving import GENEROUS, SECRET, token
from deadlines import SCALE, WAIT_S
from eventually import until

import rtlab
from rtlab.chat import ChatError, ChatUnansweredError, connect, create_app
from rtlab.chat.client import following, reconnecting

FAST = {"transports": ["websocket"], "reconnection_delay": 0.01, "randomization_factor": 0}
SHORT_S = 0.3 * SCALE


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(following, "SLOWER_S", 0.01)


class Notes:
    """An observer that writes everything down."""

    def __init__(self):
        self.seen = []

    def __getattr__(self, name):
        return lambda *about: self.seen.append((name, *about))

    def of(self, *names):
        return [each for each in self.seen if each[0] in names]


async def texts_until(client, last):
    texts = []
    while texts[-1:] != [last]:
        texts.append((await client.next("chat:message", within_s=WAIT_S)).data["text"])
    return texts


async def test_what_an_observer_sees():
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, **FAST) as alice:
        server.say("lobby", "before", "c-0")
        await alice.join("lobby")
        server.fate = lambda message, attempt: {"no": "bad_payload", "again": ["lost", "ok"][min(attempt, 2) - 1]}[
            message["text"]
        ]
        with pytest.raises(ChatError):
            await alice.send("lobby", "no", client_id="c-1")
        await alice.post("lobby", "again", client_id="c-2")
        await server.tell("2-0")
        await alice.next("chat:message", text="again", within_s=WAIT_S)
        await alice.leave("lobby")
    assert notes.seen == [
        ("joining", "lobby"),
        ("received", "lobby", "c-0", "1-0", False),
        ("joined", "lobby", None, "1-0", True, False),
        ("sent", "lobby", "c-1"),
        ("refused", "lobby", "c-1", "bad_payload"),
        ("sent", "lobby", "c-2"),
        ("disconnected",),
        ("unanswered", "lobby", "c-2"),
        ("joining", "lobby"),
        ("joined", "lobby", "1-0", "1-0", True, False),
        ("sent", "lobby", "c-2"),
        ("acknowledged", "lobby", "c-2", "2-0"),
        ("received", "lobby", "c-2", "2-0", True),
        ("left", "lobby"),
        ("disconnected",),
    ]


async def test_an_attempt_that_is_cancelled_is_unanswered():
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, **FAST) as alice:
        await alice.join("lobby")
        server.fate = lambda message, attempt: "silent"
        sending = asyncio.create_task(alice.send("lobby", "x", client_id="c"))
        await until(lambda: server.came)
        sending.cancel()
        await asyncio.wait([sending])
        assert notes.of("sent", "unanswered") == [("sent", "lobby", "c"), ("unanswered", "lobby", "c")]


async def test_pages_are_one_join_and_cuts_between_them_too():
    """120 missed: three pages, and the connection ends before the second and the third."""
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, **FAST) as alice:
        await alice.join("lobby")
        fates = iter(["ok", "lost", "ok", "unavailable", "silent", "cut"])
        server.join_fate = lambda asked: next(fates, "ok")
        alice._calls._ack_s = SHORT_S
        for number in range(120):
            server.say("lobby", f"m{number}")
        await server.cut()
        assert await texts_until(alice, "m119") == [f"m{number}" for number in range(120)]
        await until(lambda: len(notes.of("joined")) == 2)
        assert notes.of("joined")[1] == ("joined", "lobby", "0-0", "120-0", True, False)
        assert [each[3] for each in notes.of("received")] == [f"{number}-0" for number in range(1, 121)]
        assert notes.seen[-1][0] == "joined", "what the pages bring is received before"
        assert server.asked[:3] == [None, "0-0", "50-0"]


async def test_a_told_gap_is_an_event_before_what_comes_after_it():
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, **FAST) as alice:
        await alice.join("lobby")
        for number in range(60):
            server.say("lobby", f"m{number}")
        server.forgotten = "3-0"
        fates = iter(["ok", "lost", "ok"])
        server.join_fate = lambda asked: next(fates, "ok")
        await server.cut()
        names = []
        while (event := await alice.next(within_s=WAIT_S)).data is None or "m59" not in str(event.data):
            names.append(event)
        told = [each for each in names if each.name == "history_lost"]
        assert [each.data for each in told] == [{"room": "lobby", "after": "0-0", "offset": "4-0"}]
        after = names[names.index(told[0]) + 1]
        assert after.data["offset"] == "4-0"
        await until(lambda: len(notes.of("joined")) == 2)
        assert notes.of("joined")[1] == ("joined", "lobby", "0-0", "60-0", False, True), (
            "also after the cut between the pages"
        )


async def test_a_gap_of_which_nothing_is_left():
    async with wilful() as server, connect(server.url, token="t", **FAST) as alice:
        await alice.join("lobby")
        server.say("lobby", "gone")
        server.forgotten = "1-0"
        await server.cut()
        told = await alice.next("history_lost", within_s=WAIT_S)
        assert told.data == {"room": "lobby", "after": "0-0", "offset": "0-0"}


async def test_what_the_server_has_lost_is_told_where_it_is_missing():
    """``chat:lost`` stands between the messages; a client that comes back asks for what came after it."""
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, **FAST) as alice:
        await alice.join("lobby")
        await server.tell(server.say("lobby", "before"))
        for number in range(3):
            server.say("lobby", f"m{number}")
        await server.lose("lobby", "0-0", "4-0")
        await server.tell(server.say("lobby", "after"))
        await server.lose("elsewhere", "0-0", "4-0")
        events = [await alice.next(within_s=WAIT_S) for _ in range(4)][1:]
        assert [each.name for each in events] == ["chat:message", "history_lost", "chat:message"]
        assert events[1].data == {"room": "lobby", "after": "1-0", "offset": "4-0"}
        assert notes.of("joined")[1:] == [("joined", "lobby", "1-0", "4-0", False, True)]
        await server.cut()
        await until(lambda: len(server.asked) == 2)
        assert server.asked[1] == "5-0"


async def test_a_join_that_is_cut_between_two_pages_loses_nothing():
    """It raises, the client is in the room all the same, and everything comes as events."""
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, **FAST) as alice:
        for number in range(120):
            server.say("lobby", f"m{number}")
        server.forgotten = "5-0"
        fates = iter(["ok", "lost"])
        server.join_fate = lambda asked: next(fates, "ok")
        with pytest.raises(ChatUnansweredError):
            await alice.join("lobby", after="2-0")
        assert (await alice.next("history_lost")).data == {"room": "lobby", "after": "2-0", "offset": "6-0"}
        assert await texts_until(alice, "m119") == [f"m{number}" for number in range(5, 120)]
        await until(lambda: notes.of("joined"))
        assert notes.of("joined") == [("joined", "lobby", "2-0", "120-0", False, True)]
        assert [each[3] for each in notes.of("received")] == [f"{number}-0" for number in range(6, 121)]


async def test_a_join_waits_between_two_pages_for_what_passes():
    async with wilful() as server, connect(server.url, token="t", **FAST) as alice:
        for number in range(60):
            server.say("lobby", f"m{number}")
        fates = iter(["ok", "rate_limited", "unavailable"])
        server.join_fate = lambda asked: next(fates, "ok")
        assert (await alice.join("lobby", after="0-0")).missed == 60


@pytest.mark.parametrize("ends", ["in time", "cancelled"])
async def test_a_join_without_an_answer_is_none(ends):
    """The server has let it in. The script does not know, and gets nothing from the room until a join is answered."""
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, ack_s=SHORT_S, **FAST) as alice:
        server.join_fate = lambda asked: "silent"
        joining = asyncio.create_task(alice.join("lobby"))
        await until(lambda: server.asked)
        await server.tell(server.say("lobby", "early"))
        if ends == "cancelled":
            joining.cancel()
        await asyncio.wait([joining])
        assert joining.cancelled() or joining.exception().code == "timeout"
        await server.tell(server.say("lobby", "unheard"))
        server.join_fate = lambda asked: "ok"
        await alice.join("garden")
        await server.tell(server.say("garden", "heard"))
        assert (await alice.next("chat:message", within_s=WAIT_S)).data["text"] == "heard"
        assert notes.of("received") == [("received", "garden", None, "3-0", True)]
        assert [each["text"] for each in (await alice.join("lobby")).history] == ["early", "unheard"]
        await server.tell(server.say("lobby", "live"))
        assert (await alice.next("chat:message", within_s=WAIT_S)).data["text"] == "live"


async def test_two_joins_at_once():
    async with wilful() as server, connect(server.url, token="t", **FAST) as alice:
        server.say("lobby", "one")
        server.say("garden", "two")
        joined = await asyncio.gather(*(alice.join(room) for room in ("lobby", "garden", "lobby")))
        assert [[each["text"] for each in one.history] for one in joined] == [["one"], ["two"], ["one"]]


async def test_nonsense_for_an_answer():
    async with wilful() as server, connect(server.url, token="t", **FAST) as alice:
        server.join_fate = lambda asked: "nonsense"
        with pytest.raises(ChatUnansweredError, match=r"expected an acknowledgement with a status, got \('what\?',\)"):
            await alice.join("lobby")


async def test_a_room_that_is_refused_at_the_return_is_left():
    notes = Notes()
    async with wilful() as server, connect(server.url, token="t", watching=notes, **FAST) as alice:
        await alice.join("lobby")
        server.join_fate = lambda asked: "forbidden"
        await server.cut()
        assert (await alice.next("rejoin_refused", within_s=WAIT_S)).data["code"] == "forbidden"
        assert notes.seen[-3:] == [("disconnected",), ("joining", "lobby"), ("left", "lobby")]


async def test_a_leave_without_an_answer_is_none():
    notes = Notes()
    async with rtlab.serve(create_app(secret=SECRET, limits=GENEROUS)) as server:
        async with connect(server.url, token=token("alice"), watching=notes) as alice:
            await alice.join("lobby")
            alice._calls._ack_s = 1e-9
            with pytest.raises(ChatUnansweredError):
                await alice.leave("lobby")
            assert notes.of("left") == []
            alice._calls._ack_s = WAIT_S
            await alice.leave("lobby")
            assert notes.of("left") == [("left", "lobby")]


async def test_what_is_sent_before_the_client_is_back_in_its_rooms_is_not_refused_for_good(monkeypatch):
    monkeypatch.setattr(reconnecting, "ACK_S", 0.1)
    async with wilful() as server, connect(server.url, token="t", **FAST) as alice:
        await alice.join("lobby")
        server.join_fate = lambda asked: "unavailable"
        await server.cut()
        await until(lambda: alice.connected and server.connected == 2)
        with pytest.raises(ChatUnansweredError, match=r"not back in its rooms yet\. It was not sent"):
            await alice.send("lobby", "early")
        assert server.came == []
        server.join_fate = lambda asked: "ok"
        assert await alice.post("lobby", "later")


async def test_a_return_that_ends_after_its_connection_opens_nothing_on_the_next_one(monkeypatch):
    """The last page has come, and the connection ends before the client has seen it: it is in no room any more."""
    monkeypatch.setattr(reconnecting, "LOOK_S", 0.01)
    may_connect = asyncio.Event()

    async def fresh():
        await may_connect.wait()
        return "t"

    may_connect.set()
    async with wilful() as server, connect(server.url, token=fresh, **FAST) as alice:
        await alice.join("lobby")
        return_to_rooms, returned = alice._following.return_to_rooms, asyncio.Event()

        async def return_late():
            await return_to_rooms()
            if not returned.is_set():
                may_connect.clear()
                server.join_fate = lambda asked: "unavailable"
                await server.cut()
                await until(lambda: not alice.connected)
                returned.set()

        alice._following.return_to_rooms = return_late
        await server.cut()
        await returned.wait()
        await alice._returning
        posted = alice.post("lobby", "x")
        asked = len(server.asked)
        may_connect.set()
        await until(lambda: len(server.asked) > asked + 5)
        assert server.came == [], "the server would refuse it for good: not_a_member"
        server.join_fate = lambda asked: "ok"
        await posted
