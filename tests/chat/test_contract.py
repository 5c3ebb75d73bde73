"""The chat's contract, row by row, with python-socketio's client in each way that it can be set up."""

import asyncio
import dataclasses
import json
import time

import msgpack
import pytest
import pytest_asyncio
import socketio
from chat.serving import GENEROUS, NOTIFICATIONS, NOWHERE, SECRET, WAYS, chatting, fresh, token
from deadlines import SCALE, WAIT_S

from rtlab.chat import issue_token, verify
from rtlab.chat.clock import Clock
from rtlab.chat.stores.protocols import position

pytestmark = pytest.mark.asyncio(loop_scope="module")


SHORT_S = 3 * SCALE
"""Seconds that a token lasts whose end a test waits for."""


class Moved:
    """Seconds that a test moves."""

    ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


CLOCK = Moved()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def places():
    """The chat with each serializer."""
    clock = Clock(steady=CLOCK)
    async with chatting(clock=clock) as text, chatting(clock=clock, serializer="msgpack") as packed:
        yield {"default": text, "msgpack": packed}


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


@pytest.fixture
def place(places, way):
    return places[way.get("serializer", "default")]


@pytest_asyncio.fixture(loop_scope="module")
async def enter(place, way):
    """Connects people in one way."""

    async def connect(name=None, **options):
        return await place.enter(name, **way, **options)

    yield connect
    await place.dismiss()


@pytest.fixture
def room():
    return fresh("room")


# session


async def test_everybody_is_told_a_session_of_its_own(enter):
    alice, bob = await enter(), await enter()
    (one, other) = (await alice.next("session"), await bob.next("session"))
    assert list(one) == ["id"]
    assert isinstance(one["id"], str)
    assert one != other
    assert await alice.all("session") == []
    assert await alice.all("session", NOTIFICATIONS) == []


# chat:join


async def test_join_by_name_and_by_object(enter, room):
    alice, bob = await enter(), await enter()
    ack = await alice.ask("chat:join", room)
    offset = ack.pop("offset")
    assert ack == {
        "status": "ok", "room": room, "members": [alice.name], "missed": 0, "complete": True, "lost": False,
    }  # fmt: skip
    assert (await alice.ask("chat:join", {"room": room, "after": offset}))["offset"] == offset, "nothing came since"
    assert ("/", "chat:history", []) in alice.heard, "before the acknowledgement"
    joined = await bob.join(room)
    assert joined["members"] == sorted([alice.name, bob.name])
    again = await bob.ask("chat:join", {"room": room, "after": joined["offset"]})
    assert again == {name: value for name, value in joined.items() if name != "history"}
    assert await alice.all("chat:userJoined") == [{"username": bob.name, "room": room}], "once, and not of herself"
    assert await bob.all("chat:userJoined") == []


async def test_the_last_50_oldest_first(enter, room):
    alice, bob = await enter(), await enter()
    await alice.join(room)
    for number in range(60):
        await alice.say(room, str(number))
    joined = await bob.join(room)
    assert [each["text"] for each in joined["history"]] == [str(number) for number in range(10, 60)]
    assert (joined["missed"], joined["complete"]) == (0, True)
    assert joined["history"] == (await alice.all("chat:message"))[10:], "as they were heard"


async def test_what_came_after_an_offset(enter, room):
    alice, bob = await enter(), await enter()
    await alice.join(room)
    offsets = [(await alice.say(room, str(number)))["offset"] for number in range(120)]

    async def after(offset):
        joined = await bob.join(room, offset)
        numbers = [int(each["text"]) for each in joined["history"]]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))) if numbers else True
        return numbers[:1], len(numbers), joined["missed"], joined["complete"]

    assert await after(offsets[-1]) == ([], 0, 0, True)
    assert await after(offsets[109]) == ([110], 10, 10, True)
    assert await after(offsets[69]) == ([70], 50, 50, True)
    assert await after(offsets[68]) == ([69], 50, 51, False), "the first page of more than 50"
    assert await after(offsets[118]) == ([119], 1, 1, True), "and the next one"
    assert await after(offsets[19]) == ([20], 50, 100, False)
    assert await after(offsets[18]) == ([20], 50, 100, False), "older than what is kept"
    assert await after("1-0") == ([20], 50, 100, False), "from before a restart"


async def test_all_that_was_missed_comes_page_by_page(enter, room):
    alice, bob = await enter(), await enter()
    await alice.join(room)
    last = (await alice.say(room, "the last one that bob has"))["offset"]
    said = [(await alice.say(room, str(number)))["offset"] for number in range(99)]
    got, complete = [], False
    while not complete:
        joined = await bob.join(room, last)
        got += [each["offset"] for each in joined["history"]]
        last, complete = got[-1], joined["complete"]
    assert got == said


async def test_a_room_that_nobody_knows_is_not_complete(enter, room):
    joined = await (await enter()).join(room, "12-0")
    assert (joined["history"], joined["missed"], joined["complete"]) == ([], 0, False)


async def test_what_is_said_while_one_joins_is_never_missed(enter, room):
    alice, bob = await enter(), await enter()
    await alice.join(room)
    over = False

    async def talk():
        number = 0
        while not over:
            await alice.say(room, str(number))
            number += 1
        return number

    talking = asyncio.create_task(talk())
    last, got = None, {}
    for _ in range(10):
        joined = await bob.join(room, last)
        records = [*joined["history"], *(await bob.all("chat:message"))]
        await bob.ask("chat:leave", room)
        records += await bob.all("chat:message")
        got |= {each["offset"]: int(each["text"]) for each in records}
        last = max(got, key=position) if got else None
        if not joined["complete"] and last is not None:
            last = max((each["offset"] for each in joined["history"]), key=position)
    over = True
    said = await talking
    joined = await bob.join(room, last)
    got |= {each["offset"]: int(each["text"]) for each in joined["history"]}
    numbers = [got[offset] for offset in sorted(got, key=position)]
    assert numbers == list(range(numbers[0], said))


async def test_a_history_that_is_large_comes_in_pages_that_are_not():
    limits = dataclasses.replace(GENEROUS, page_bytes=30_000)
    async with chatting(limits=limits) as place:
        alice, bob = await place.enter(), await place.enter()
        await alice.join("hall")
        first = await alice.say("hall", "first")
        offsets = [(await alice.say("hall", "🎈" * 500))["offset"] for _ in range(10)]

        def size(joined):
            return len(json.dumps(joined["history"]))

        joined = await bob.join("hall")
        assert [each["offset"] for each in joined["history"]] == offsets[-4:], "the newest"
        assert (joined["complete"], joined["missed"]) == (True, 0)
        assert size(joined) < 30_000 + 1000
        got, last, complete = [], first["offset"], False
        while not complete:
            joined = await bob.join("hall", last)
            assert joined["missed"] == len(offsets) - len(got)
            assert size(joined) < 30_000 + 1000
            got += [each["offset"] for each in joined["history"]]
            last, complete = got[-1], joined["complete"]
            assert joined["offset"] == last, "where this page ends, not where it would end if it were larger"
        assert got == offsets
        await alice.say("hall", "🎈" * 1000)
        assert len((await bob.join("hall", last))["history"]) == 1


# Who is there: users, not connections


async def test_a_user_with_two_tabs_comes_once_and_goes_once(enter, room):
    alice, one = await enter(), await enter()
    two = await enter(one.name)
    await alice.join(room)
    await one.join(room)
    assert (await two.join(room))["members"] == sorted([alice.name, one.name])
    assert await alice.all("chat:userJoined") == [{"username": one.name, "room": room}]
    assert await one.all("chat:userJoined") == [], "nobody else has come"
    await one.ask("chat:leave", room)
    assert await alice.all("chat:userLeft") == []
    await two.sio.disconnect()
    assert await alice.next("chat:userLeft") == {"username": one.name, "room": room}
    assert await alice.all("chat:userLeft") == []
    assert (await alice.join(room))["members"] == [alice.name]


async def test_leave_is_idempotent(enter, room):
    alice, bob = await enter(), await enter()
    await alice.join(room)
    assert await bob.ask("chat:leave", room) == {"status": "ok"}, "was never there"
    await bob.join(room)
    assert await bob.ask("chat:leave", room) == {"status": "ok"}
    assert await bob.ask("chat:leave", room) == {"status": "ok"}
    assert await alice.all("chat:userLeft") == [{"username": bob.name, "room": room}]
    await alice.say(room, "he is gone")
    assert await bob.all("chat:message") == []
    assert await bob.all("chat:userLeft") == []


async def test_whoever_disconnects_leaves_every_room(enter):
    alice, bob = await enter(), await enter()
    rooms = sorted(fresh("room") for _ in range(3))
    for each in rooms:
        for person in (alice, bob):
            await person.join(each)
            await person.ask("room:join", each)
    await bob.sio.disconnect()
    heard = [await alice.next("chat:userLeft") for _ in rooms]
    assert sorted(each["room"] for each in heard) == rooms
    assert {each["username"] for each in heard} == {bob.name}
    plain = [await alice.next("room:userLeft") for _ in rooms]
    assert sorted(each["room"] for each in plain) == rooms
    assert {each["user"] for each in plain} == {bob.name}


# chat:message


async def test_a_message(enter, room):
    alice, bob, carol = await enter(), await enter(), await enter()
    for person in (alice, bob):
        await person.join(room)
    before = int(time.time() * 1000)
    ack = await alice.say(room, " été 🎈\n")
    after = int(time.time() * 1000)
    assert set(ack) == {"status", "id", "offset"}
    for person in (alice, bob):
        (heard,) = await person.all("chat:message")
        assert before <= heard.pop("timestamp") <= after
        assert heard == {
            "id": ack["id"], "username": alice.name, "text": " été 🎈\n", "room": room, "offset": ack["offset"],
        }  # fmt: skip
    assert await carol.all("chat:message") == []


async def test_offsets_grow_and_ids_differ(enter, room):
    alice, bob = await enter(), await enter()
    for person in (alice, bob):
        await person.join(room)
    acks = await asyncio.gather(*(person.say(room, str(n)) for n in range(20) for person in (alice, bob)))
    heard = await alice.all("chat:message")
    assert heard == await bob.all("chat:message")
    places = [position(each["offset"]) for each in heard]
    assert places == sorted(set(places))
    assert {each["id"] for each in heard} == {each["id"] for each in acks}
    assert len({each["id"] for each in acks}) == 40
    for person in (alice, bob):
        own = [each["text"] for each in heard if each["username"] == person.name]
        assert own == [str(n) for n in range(20)], "in the order in which they were sent"


async def test_a_client_id_has_one_effect(enter, room):
    alice, bob = await enter(), await enter()
    tab = await enter(alice.name)
    other = fresh("room")
    for person in (alice, tab, bob):
        await person.join(room)
        await person.join(other)
    first = await alice.say(room, "once", clientId="c1")
    assert (await bob.next("chat:message"))["clientId"] == "c1"
    assert await alice.say(room, "once", clientId="c1") == first
    assert await tab.say(room, "or on another connection", clientId="c1") == first
    assert await bob.all("chat:message") == []
    acks = [
        await bob.say(room, "somebody else's", clientId="c1"),
        await alice.say(other, "another room", clientId="c1"),
        await alice.say(room, "none"),
        await alice.say(room, "none", clientId=None),
    ]
    assert len({first["id"], *(each["id"] for each in acks)}) == 5
    assert ["clientId" in each for each in await bob.all("chat:message")] == [True, True, False, False]


async def test_only_members_talk_and_hear(enter, room):
    alice, bob = await enter(), await enter()
    await alice.join(room)
    for event, payload in (("chat:message", {"room": room, "text": "x"}), ("chat:typing", room)):
        ack = await bob.ask(event, payload)
        assert (ack["status"], ack["code"]) == ("error", "not_a_member")
    await alice.say(room, "among us")
    await alice.ask("chat:typing", room)
    await bob.join(room)
    await bob.ask("chat:leave", room)
    await alice.say(room, "still")
    assert (await bob.say(room, "x"))["code"] == "not_a_member"
    assert await bob.all("chat:message") == []
    assert await bob.all("chat:typing") == []
    assert [each["text"] for each in await alice.all("chat:message")] == ["among us", "still"]


# chat:typing


async def test_typing(enter, room):
    alice, bob = await enter(), await enter()
    tab = await enter(alice.name)
    elsewhere = fresh("room")
    for person in (alice, bob, tab):
        await person.join(room)
    for person in (alice, bob):
        await person.join(elsewhere)
    for _ in range(3):
        assert await alice.ask("chat:typing", room) == {"status": "ok"}
        assert await tab.ask("chat:typing", room) == {"status": "ok"}
    notice = {"username": alice.name, "room": room}
    assert await bob.all("chat:typing") == [notice], "once in 2 s, whichever of her tabs it is"
    await alice.ask("chat:typing", elsewhere)
    await bob.ask("chat:typing", room)
    assert await bob.all("chat:typing") == [notice | {"room": elsewhere}], "another room is another matter"
    assert await alice.all("chat:typing") == [{"username": bob.name, "room": room}]
    CLOCK.ahead += 2.001
    await alice.ask("chat:typing", room)
    assert await bob.all("chat:typing") == [notice]
    assert await tab.all("chat:typing") == [{"username": bob.name, "room": room}], "never one's own"


# Plain rooms


async def test_plain_rooms(enter, room):
    alice, bob = await enter(), await enter()
    tab = await enter(bob.name)
    for person in (alice, bob, tab, tab):
        assert await person.ask("room:join", room) == {"status": "ok"}
    assert await alice.all("room:userJoined") == [{"user": bob.name, "room": room}]
    assert await bob.all("room:userJoined") == []
    assert await tab.ask("room:leave", room) == {"status": "ok"}
    assert await alice.all("room:userLeft") == []
    for _ in range(2):
        assert await bob.ask("room:leave", room) == {"status": "ok"}
    assert await alice.all("room:userLeft") == [{"user": bob.name, "room": room}]


async def test_plain_rooms_are_a_space_of_their_own(enter, room):
    alice, bob = await enter(), await enter()
    await alice.join(room)
    await bob.ask("room:join", room)
    assert (await bob.say(room, "x"))["code"] == "not_a_member"
    await alice.say(room, "in the chat")
    await alice.ask("room:join", room)
    await alice.ask("chat:leave", room)
    assert [event for _, event, _ in bob.heard] == ["session", "room:userJoined"]
    assert await alice.all("room:userJoined") == []
    for event in ("chat:userJoined", "chat:userLeft", "room:userLeft"):
        assert await bob.all(event) == await alice.all(event) == []


# session:restore


async def test_one_comes_back_into_ones_rooms(enter):
    alice, bob = await enter(), await enter()
    rooms = sorted(fresh("room") for _ in range(2))
    plain = fresh("desk")
    for person in (alice, bob):
        for each in rooms:
            await person.join(each)
        await person.ask("room:join", plain)
    session = (await alice.next("session"))["id"]
    await alice.sio.disconnect()
    for _ in rooms:
        await bob.next("chat:userLeft")
    await bob.all("chat:userJoined")
    back = await enter(alice.name)
    ack = await back.ask("session:restore", session)
    assert ack == {"status": "ok", "rooms": sorted([*rooms, plain])}
    assert ("/", "session:restored", {"rooms": ack["rooms"]}) in back.heard, "before the acknowledgement"
    assert sorted(each["room"] for each in await bob.all("chat:userJoined")) == rooms
    assert len(await bob.all("room:userJoined")) == 1
    await bob.say(rooms[0], "welcome back")
    assert (await back.next("chat:message"))["text"] == "welcome back"


async def test_nobody_elses_session_is_restored(enter, room):
    alice, mallory = await enter(), await enter()
    await alice.join(room)
    session = (await alice.next("session"))["id"]
    for each in (session, "no-such-session"):
        ack = await mallory.ask("session:restore", each)
        assert (ack["status"], ack["code"]) == ("error", "unknown_session")
    await alice.sio.disconnect()
    assert (await mallory.ask("session:restore", session))["code"] == "unknown_session"
    await (await enter()).join(room)
    assert await mallory.all("chat:userJoined") == await mallory.all("session:restored") == []


async def test_a_session_is_over_after_five_minutes(enter, room):
    alice = await enter()
    await alice.join(room)
    session = (await alice.next("session"))["id"]
    await alice.sio.disconnect()
    CLOCK.ahead += 301
    ack = await (await enter(alice.name)).ask("session:restore", session)
    assert (ack["status"], ack["code"]) == ("error", "unknown_session")


async def test_a_room_that_was_left_is_not_restored(enter, room):
    alice = await enter()
    other = fresh("room")
    await alice.join(room)
    await alice.join(other)
    await alice.ask("chat:leave", room)
    session = (await alice.next("session"))["id"]
    await alice.sio.disconnect()
    assert (await (await enter(alice.name)).ask("session:restore", session))["rooms"] == [other]


# Notifications


async def test_notifications(enter, place):
    alice, bob = await enter(), await enter(namespaces=(NOTIFICATIONS,))
    news, sport = fresh("news"), fresh("sport")

    async def ask(person, event, topics):
        return await person.ask(event, topics, namespace=NOTIFICATIONS)

    assert await ask(alice, "subscribe", [news]) == {"status": "ok", "topics": [news]}
    assert await ask(bob, "subscribe", [sport, news, news]) == {"status": "ok", "topics": sorted([news, sport])}
    await place.chat.notify(news, {"headline": "x", "topic": "forged"})
    await place.chat.notify(sport, {"score": [1, 0]})
    assert await alice.all("notification", NOTIFICATIONS) == [{"topic": news, "headline": "x"}]
    assert await bob.all("notification", NOTIFICATIONS) == [
        {"topic": news, "headline": "x"},
        {"topic": sport, "score": [1, 0]},
    ]
    assert await alice.all("notification") == []
    assert await ask(bob, "unsubscribe", [news, "never-subscribed"]) == {"status": "ok", "topics": [sport]}
    assert await ask(bob, "unsubscribe", []) == {"status": "ok", "topics": [sport]}
    assert await ask(bob, "subscribe", []) == {"status": "ok", "topics": [sport]}, "no topics are not all topics"
    await place.chat.notify(news, {})
    await place.chat.notify("another", {})
    assert await bob.all("notification", NOTIFICATIONS) == []


async def test_each_event_belongs_to_one_namespace(enter, room):
    alice = await enter()
    for event, payload, namespace in (
        ("subscribe", ["news"], "/"), ("chat:join", room, NOTIFICATIONS), ("session:restore", "x", NOTIFICATIONS),
    ):  # fmt: skip
        assert (await alice.ask(event, payload, namespace=namespace))["code"] == "unknown_event"


# Doors


async def test_an_unknown_namespace(enter, place):
    with pytest.raises(socketio.exceptions.ConnectionError):
        await enter(namespaces=(NOWHERE,))
    assert await place.people[-1].next("connect_error", NOWHERE) == {"message": "Invalid namespace"}


@pytest.mark.parametrize("namespace", ["/", NOTIFICATIONS])
async def test_refusals(enter, place, namespace):
    async def refused(auth):
        with pytest.raises(socketio.exceptions.ConnectionError):
            await enter(namespaces=(namespace,), auth=auth)
        return await place.people[-1].next("connect_error", namespace)

    missing = {"message": "Authentication required", "data": {"code": "token_missing"}}
    assert await refused(None) == missing
    assert await refused({"username": "alice"}) == missing
    assert await refused({"token": "x.y.z"}) == {"message": "Invalid token", "data": {"code": "token_invalid"}}
    over = token("alice", expires_s=1, now=time.time() - 2)
    assert await refused({"token": over}) == {"message": "Invalid token", "data": {"code": "token_expired"}}


async def test_the_stay_ends_with_the_token(enter, room):
    other = await enter()
    await other.join(room)
    names = {namespace: fresh("short") for namespace in ("/", NOTIFICATIONS)}
    people = {
        namespace: await enter(name, namespaces=(namespace,), auth={"token": token(name, expires_s=SHORT_S)})
        for namespace, name in names.items()
    }
    await people["/"].join(room)
    for namespace, person in people.items():
        await person.next("disconnect", namespace)
    assert await other.next("chat:userLeft") == {"username": names["/"], "room": room}


async def test_a_newer_token_lets_one_stay(enter):
    people, long_of = {}, {}
    for namespace in ("/", NOTIFICATIONS):  # where it is shown; it holds for both
        name = fresh("stays")
        short, long = token(name, expires_s=SHORT_S), token(name, expires_s=600)
        alice = await enter(name, auth={"token": short})
        ack = await alice.ask("token:refresh", long, namespace=namespace)
        assert ack == {"status": "ok", "exp": verify(long, SECRET).expires}
        for forged in (token(fresh("else")), "x.y.z", issue_token(name, SECRET[::-1])):
            ack = await alice.ask("token:refresh", forged, namespace=namespace)
            assert (ack["status"], ack["code"]) == ("error", "token_invalid")
        people[name], long_of[name] = alice, long
    for alice in people.values():
        for no_newer in (token(alice.name, expires_s=300), long_of[alice.name]):
            ack = await alice.ask("token:refresh", no_newer)
            assert (ack["status"], ack["code"]) == ("error", "token_invalid"), "it would end her stay earlier"
    late = fresh("short")  # whose token ends after the others' first ones
    await (await enter(late, auth={"token": token(late, expires_s=SHORT_S)})).next("disconnect")
    for alice in people.values():
        assert (await alice.ask("chat:join", fresh("room")))["status"] == "ok"
        assert (await alice.ask("subscribe", ["x"], namespace=NOTIFICATIONS))["status"] == "ok"


# What is wrong


@pytest.mark.parametrize(
    ("event", "payload", "field"),
    [
        ("chat:join", 7, "payload"),
        ("chat:join", {"room": "a", "after": 7}, "after"),
        ("chat:leave", None, "room"),
        ("chat:message", {"room": "a", "text": ""}, "text"),
        ("chat:message", {"room": "a"}, "text"),
        ("chat:message", "text", "payload"),
        ("chat:typing", [], "room"),
        ("room:join", "", "room"),
        ("room:leave", {"room": "a"}, "room"),
        ("session:restore", {}, "session"),
        ("token:refresh", None, "token"),
        ("subscribe", "news", "topics"),
        ("unsubscribe", [1], "topics[0]"),
    ],
)
async def test_a_bad_payload_is_an_error_and_ends_nothing(enter, event, payload, field):
    alice = await enter()
    namespace = NOTIFICATIONS if event.endswith("subscribe") else "/"
    ack = await alice.ask(event, payload, namespace=namespace)
    assert set(ack) == {"status", "code", "message"}
    assert (ack["status"], ack["code"]) == ("error", "bad_payload")
    assert ack["message"].startswith(f"{field}: expected ")
    assert ", got " in ack["message"]
    assert (await alice.ask("chat:leave", "anywhere"))["status"] == "ok"


async def test_an_unknown_event_is_an_error(enter):
    ack = await (await enter()).ask("no such event", 1)
    assert (ack["status"], ack["code"]) == ("error", "unknown_event")


async def test_nobody_has_to_ask_for_an_acknowledgement(enter, room):
    alice, bob = await enter(), await enter()
    await bob.join(room)
    for event, payload in (
        ("chat:join", room), ("chat:message", {"room": room, "text": "x"}), ("chat:typing", room),
        ("no such event", 1), ("chat:message", None), ("chat:leave", room),
    ):  # fmt: skip
        await alice.sio.emit(event, payload)
    assert (await bob.next("chat:userLeft"))["username"] == alice.name
    assert [event for _, event, _ in bob.heard] == [
        "session", "chat:userJoined", "chat:message", "chat:typing",
    ]  # fmt: skip
    assert (await alice.ask("chat:leave", room))["status"] == "ok"


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error", "disconnecting", "newListener"])
async def test_a_reserved_name_ends_the_connection(enter, way, room, name):
    alice, mallory = await enter(), await enter()
    for person in (alice, mallory):
        await person.join(room)
    if "serializer" in way:
        await mallory.sio.eio.send(msgpack.packb({"type": 2, "nsp": "/", "data": [name, "x"]}))
    else:
        await mallory.sio.eio.send(f'2["{name}","x"]')
    await mallory.next("disconnect")
    await mallory.next("disconnect", NOTIFICATIONS)
    assert await alice.next("chat:userLeft") == {"username": mallory.name, "room": room}
    assert await alice.all("chat:userLeft") == []


async def test_a_user_has_so_many_topics_on_all_connections(enter):
    name = fresh("reader")
    tabs = [await enter(name) for _ in range(4)]
    for number, tab in enumerate(tabs[:2]):
        topics = [f"{number}-{n}" for n in range(50)]
        assert (await tab.ask("subscribe", topics, namespace=NOTIFICATIONS))["status"] == "ok"
    ack = await tabs[2].ask("subscribe", ["0-0", "one more"], namespace=NOTIFICATIONS)
    assert (ack["status"], ack["code"]) == ("error", "bad_payload")
    assert ack["message"] == "topics: expected at most 100 of one user, got 101"
    ack = await tabs[2].ask("subscribe", ["0-0", "1-0"], namespace=NOTIFICATIONS)
    assert ack == {"status": "ok", "topics": ["0-0", "1-0"]}, "those that it has"
    await tabs[0].ask("unsubscribe", ["0-1"], namespace=NOTIFICATIONS)
    assert (await tabs[3].ask("subscribe", ["one more"], namespace=NOTIFICATIONS))["status"] == "ok"


# The end


async def test_nobody_comes_in_while_a_server_goes_on_a_connection_from_before_either(way):
    options = {"serializer": way["serializer"]} if "serializer" in way else {}
    async with chatting(**options) as place:
        alice = await place.enter(**way, namespaces=(NOTIFICATIONS,))
        draining = asyncio.create_task(place.chat.drain(60))
        await alice.next("server:draining", NOTIFICATIONS)
        await alice.sio._send_packet(alice.sio.packet_class(0, data={"token": token(alice.name)}, namespace="/"))
        refusal = {"message": "This server is going away", "data": {"code": "draining"}}
        assert await alice.next("connect_error") == refusal
        place.chat.hurry()
        await draining


async def test_a_server_that_goes_says_so(way):
    options = {"serializer": way["serializer"]} if "serializer" in way else {}
    async with chatting(**options) as place:
        alice = await place.enter(**way)
        draining = asyncio.create_task(place.chat.drain(60))
        assert await alice.next("server:draining") == {}
        assert await alice.next("server:draining", NOTIFICATIONS) == {}
        with pytest.raises(socketio.exceptions.ConnectionError):
            await place.enter(**way)
        assert (await alice.join("lobby"))["members"] == [alice.name], "those who are here finish their sentence"
        socket = alice.sio.eio.ws  # None where it polls
        draining.cancel()
        await place.server.stop()
        await alice.next("disconnect")
        assert socket is None or socket.close_code == 1001
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(draining, return_exceptions=True)
