"""The checks of exercise 06. `rtlab grade 06` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import socketio
from socketio.async_pubsub_manager import AsyncPubSubManager

from rtlab.grading import check, expect
from rtlab.grading.harness import IN_TIME_S, OK, Guest, House, open_house
from rtlab.grading.kept import forgotten

FORBIDDEN = {"rtlab.realtime": "Use python-socketio's server; the chapter has built what this one guards against."}

DEMANDS = {
    "One that is longer, or empty, or no text, is no name.": "test_answers_whatever_comes",
    "Put the chat's four events, and `disconnect`, on a server.": ("test_joins_and_leaves", "test_counts_people"),
    "if `may_join` allows it, this connection becomes a member": ("test_joins_and_leaves", "test_asks_who_may_join"),
    "the users in the room now, sorted, each once": ("test_joins_and_leaves", "test_counts_people"),
    "If the user was not yet in the room, the other members hear `chat:userJoined`": (
        "test_joins_and_leaves",
        "test_counts_people",
    ),
    "with a room's name ends the membership, if there is one": ("test_joins_and_leaves", "test_only_members_send"),
    "If the user is no longer in the room, those who still are hear `chat:userLeft`": "test_joins_and_leaves",
    "So they do, in each of its rooms, when a connection ends.": "test_counts_people",
    "every member of the room, the sender included, hears `chat:message`": "test_only_members_send",
    "from a member: every member of the room": "test_only_members_send",
    "`chat:who` with a room's name, from a member": ("test_joins_and_leaves", "test_only_members_send"),
    "Every event gets an ack, whatever comes with it, or nothing.": "test_answers_whatever_comes",
    'and "bad_request" for a bad name, a bad text (not a str), or another shape': "test_answers_whatever_comes",
    'The code is "forbidden" where `may_join` says no': "test_asks_who_may_join",
    '"not_a_member" where only a member may': "test_only_members_send",
    "Who hears of a change can rely on it: it has been made before anybody is told.": "test_tells_afterwards",
    "Nothing is kept of a connection that has ended, nor of a room's name without a member.": "test_keeps_nothing",
    "Clients choose names freely, and whatever they choose is a room of the chat and nothing else.": (
        "test_answers_whatever_comes",
        "test_an_id_is_no_room",
    ),
    "An id of a socket, on this server or on another, is a name like any other": "test_an_id_is_no_room",
    "It is asked at each `chat:join`, and that may take a while.": "test_asks_who_may_join",
    "Until it has said yes, the connection is no member.": "test_asks_who_may_join",
    "If the connection has ended meanwhile, it becomes no member, and nobody hears of it.": "test_leaves_while_asked",
    "A member that joins again and is refused stays one.": "test_asks_who_may_join",
    "Send an event to those who are meant, once each, and to nobody else.": (
        "test_sends_to_those_who_are_meant",
        "test_nobody_is_not_everybody",
    ),
    "the id of a connection that shall not hear it": "test_sends_to_those_who_are_meant",
    "in any collection: a list, a tuple, a set, a generator": "test_sends_to_those_who_are_meant",
    "It can be empty, and it can hold what is no room's name: that reaches nobody.": "test_nobody_is_not_everybody",
    "An audience: whoever is connected. Compare with `is`.": "test_sends_to_those_who_are_meant",
    "as one argument, whatever it is: None and a tuple, too": "test_sends_to_those_who_are_meant",
}
"""What README.md and rooms.py demand, and the checks that look at it."""

LONGEST_NAME = 50
"""Characters of a room's name, as the stub says."""


async def anybody(username: str, room: str, /) -> bool:
    return True


class Person(Guest):
    """A guest who chats."""

    async def joins(self, room: str, *members: str) -> None:
        """Join, and look at the ack."""
        answer = await self.ask("chat:join", room)
        wanted = {"status": "ok", "room": room, "members": sorted(members)}
        expect(f"the ack when {self.name} joins {room!r}", answer, equals=wanted)


def house_of(
    submission: Any, may_join: Callable[[str, str], Awaitable[bool]] = anybody, **options: Any
) -> AbstractAsyncContextManager[House[Person]]:
    """A server with the submission's events on it (rtlab/grading/harness.py), and nobody in it yet."""
    return open_house(House(lambda sio: submission.register(sio, may_join), Person, **options))


class Street(AsyncPubSubManager):
    """Connects servers, as Redis does in chapter 11: each hears what the others publish."""

    def __init__(self, servers: list[Street]) -> None:
        super().__init__()
        self.servers = servers
        self.published: asyncio.Queue[Any] = asyncio.Queue()
        servers.append(self)

    async def _publish(self, data: Any) -> None:
        for server in self.servers:
            server.published.put_nowait(data)

    async def _listen(self) -> AsyncIterator[Any]:
        while True:
            yield await self.published.get()


class Held(socketio.AsyncManager):
    """Delivers at once; whoever has told something of a room goes on when `goes_on` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def emit(self, event: str, *args: Any, **options: Any) -> None:
        await super().emit(event, *args, **options)
        if event in ("chat:userJoined", "chat:userLeft"):
            await self.goes_on.wait()


def roots(sio: socketio.AsyncServer) -> list[Any]:
    """Where a submission's state may begin besides its module: its handlers, and what it has put on the server."""
    ours = vars(socketio.AsyncServer(async_mode="aiohttp"))
    handlers = [dict(events) for events in sio.handlers.values()]
    return [*handlers, dict(sio.namespace_handlers), [each for name, each in vars(sio).items() if name not in ours]]


def said(user: str, room: str, text: str) -> tuple[str, dict[str, str]]:
    return ("chat:message", {"username": user, "room": room, "text": text})


@check(
    points=2,
    hints=(
        "`to=room` with `skip_sid=sid` is everybody in a room but one. And who is in it when somebody has just left?",
        "The members in the ack are names, sorted, and the one who asks is among them.",
    ),
)
async def test_joins_and_leaves(submission: Any) -> None:
    """Three people join and leave: their acks name the members, and the others in the room hear of it."""
    async with house_of(submission) as house:
        rosa, otto, emil = [await house.guest(name) for name in ("rosa", "otto", "emil")]
        await otto.joins("chess", "otto")
        await house.hears("when otto joins an empty room")
        await rosa.joins("chess", "otto", "rosa")
        await house.hears("when rosa joins otto", otto=[("chat:userJoined", {"username": "rosa"})])
        await rosa.joins("chess", "otto", "rosa")
        await house.hears("when rosa joins a second time")
        expect("the ack when rosa leaves", await rosa.ask("chat:leave", "chess"), equals=OK)
        await house.hears("when rosa leaves otto", otto=[("chat:userLeft", {"username": "rosa"})])
        expect("the ack when emil leaves a room he is not in", await emil.ask("chat:leave", "chess"), equals=OK)
        await house.hears("when emil leaves a room in which he never was")
        await rosa.joins("chess", "otto", "rosa")
        await house.hears("when rosa comes again", otto=[("chat:userJoined", {"username": "rosa"})])
        await emil.joins("chess", "emil", "otto", "rosa")
        joined = [("chat:userJoined", {"username": "emil"})]
        await house.hears("when emil joins the two", otto=joined, rosa=joined)
        await rosa.is_answered({"status": "ok", "members": ["emil", "otto", "rosa"]}, "chat:who", "chess")
        async with house_of(submission) as next_door:
            lena = await next_door.guest("lena")
            await lena.joins("chess", "lena")
            await lena.ask("chat:leave", "chess")
        await house.hears("when lena comes and goes on another server")
        for guest in (emil, rosa):
            await guest.ask("chat:leave", "chess")
        await house.heard()
        who = await otto.ask("chat:who", "chess")
        expect("the ack when otto asks who is there", who, equals={"status": "ok", "members": ["otto"]})


@check(
    points=2,
    hints=(
        "Which connections of this user are in the room? Ask before one is added, and after one is taken away.",
        "A connection can end without a `chat:leave`. In how many rooms may it have been?",
    ),
)
async def test_counts_people(submission: Any) -> None:
    """A user with two connections comes once and leaves once: by leaving, and by ending both connections."""
    joined = ("chat:userJoined", {"username": "rosa"})
    left = ("chat:userLeft", {"username": "rosa"})
    async with house_of(submission) as house:
        otto, emil = await house.guest("otto"), await house.guest("emil")
        phone, laptop = [await house.guest(f"rosa's {device}", "rosa") for device in ("phone", "laptop")]
        await otto.joins("chess", "otto")
        await phone.joins("chess", "otto", "rosa")
        await laptop.joins("chess", "otto", "rosa")
        await house.hears("when rosa joins with two connections", otto=[joined])
        await phone.ask("chat:message", {"room": "chess", "text": "from both"})
        heard = [said("rosa", "chess", "from both")]
        wanted = {"otto": heard, phone.name: heard, laptop.name: heard}
        await house.hears("when one of rosa's two connections says something", **wanted)
        await phone.ask("chat:leave", "chess")
        await house.hears("when one of rosa's two connections leaves")
        await laptop.ask("chat:message", {"room": "chess", "text": "from here"})
        heard = [said("rosa", "chess", "from here")]
        wanted = {"otto": heard, laptop.name: heard}
        await house.hears("when the other one says something", **wanted)
        await laptop.ask("chat:leave", "chess")
        await house.hears("when her last connection leaves", otto=[left])
        await emil.joins("go", "emil")
        for device in (phone, laptop):
            for room, other in (("chess", "otto"), ("go", "emil")):
                await device.joins(room, other, "rosa")
        await house.hears("when rosa joins two rooms, with two connections", otto=[joined], emil=[joined])
        await house.goes(laptop)
        await house.hears("when one of rosa's two connections ends")
        await house.goes(phone)
        await house.hears("when her last connection ends", otto=[left], emil=[left])
        for guest, room in ((otto, "chess"), (emil, "go")):
            who = await guest.ask("chat:who", room)
            members = {"status": "ok", "members": [guest.user]}
            expect(f"the ack of chat:who {room!r} after rosa has gone", who, equals=members)
        two = [await house.guest(f"rosa's new {device}", "rosa") for device in ("phone", "laptop")]
        for device in two:
            await device.joins("chess", "otto", "rosa")
        await house.heard()
        await asyncio.gather(*map(house.goes, two))
        await house.hears("when both of rosa's new connections end at the same moment", otto=[left])


@check(
    points=2,
    hints=(
        "`emit` asks nobody whether the sender is in the room. Who does?",
        "After `chat:leave` a connection is a stranger again, and what it may do is asked each time.",
    ),
)
async def test_only_members_send(submission: Any) -> None:
    """Members talk in a room and ask who is there. Somebody outside, and somebody who has left, gets an error."""
    async with house_of(submission) as house:
        rosa, otto, emil = [await house.guest(name) for name in ("rosa", "otto", "emil")]
        await otto.joins("chess", "otto")
        await rosa.joins("chess", "otto", "rosa")
        await emil.joins("go", "emil")
        await house.heard()
        answer = await rosa.ask("chat:message", {"room": "chess", "text": " e4\n", "username": "otto", "room ": "go"})
        expect("the ack when rosa, a member, says something", answer, equals=OK)
        said_it = [said("rosa", "chess", " e4\n")]
        await house.hears("when rosa says something in a room with otto", rosa=said_it, otto=said_it)
        await emil.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "I am not here"})
        await emil.is_refused("not_a_member", "chat:who", "chess")
        await house.hears("when emil, who is not in the room, says something in it")
        phone = await house.guest("otto's phone", "otto")
        await phone.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "my other connection is here"})
        await phone.is_refused("not_a_member", "chat:who", "chess")
        await house.hears("when otto's other connection, which is not in the room, says something in it")
        await rosa.ask("chat:leave", "chess")
        await house.heard()
        await rosa.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "me again"})
        await rosa.is_refused("not_a_member", "chat:who", "chess")
        await emil.is_refused("not_a_member", "chat:message", {"room": "poker", "text": "nobody was ever here"})
        await house.hears("when rosa, who has left, says something in the room")


class Doorkeeper:
    """A `may_join` that can be made to wait, and to refuse."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.refuses: set[tuple[str, str]] = set()
        self.waits_for: set[str] = set()
        self.waiting: asyncio.Queue[str] = asyncio.Queue()
        self.decides = asyncio.Event()

    async def may_join(self, username: str, room: str, /) -> bool:
        self.asked.append((username, room))
        if username in self.waits_for:
            self.waiting.put_nowait(username)
            await self.decides.wait()
        return (username, room) not in self.refuses

    async def is_asked_by(self, guest: Person, room: str) -> asyncio.Task[Any]:
        """Somebody asks to join, and waits; gives the task that has the ack."""
        joining = asyncio.create_task(guest.ask("chat:join", room))
        await expect.arrives(f"`may_join` to be asked about {guest.name}", self.waiting.get(), within_s=IN_TIME_S)
        return joining


@check(
    points=2,
    hints=(
        "`may_join` is a coroutine function. What may a connection do before the answer is there?",
        "Await the answer at each `chat:join`, before anything else is done. Where it is no, change nothing.",
    ),
)
async def test_asks_who_may_join(submission: Any) -> None:
    """Whom `may_join` refuses gets "forbidden" and hears nothing, not even while it is asked; a member stays one."""
    door = Doorkeeper()
    async with house_of(submission, door.may_join) as house:
        rosa, emil, otto = [await house.guest(name) for name in ("rosa", "emil", "otto")]
        door.refuses |= {("emil", "board"), ("otto", "board")}
        await rosa.joins("board", "rosa")
        await emil.is_refused("forbidden", "chat:join", "board")
        expect("what `may_join` was asked", door.asked, equals=[("rosa", "board"), ("emil", "board")])
        await house.hears("when emil is refused")
        await rosa.ask("chat:message", {"room": "board", "text": "is he gone?"})
        await house.hears("when a room talks that has refused emil", rosa=[said("rosa", "board", "is he gone?")])
        await emil.is_refused("not_a_member", "chat:who", "board")

        door.waits_for.add("otto")
        joining = await door.is_asked_by(otto, "board")
        await rosa.ask("chat:message", {"room": "board", "text": "shall he?"})
        await house.hears("while `may_join` is asked about otto", rosa=[said("rosa", "board", "shall he?")])
        await otto.is_refused("not_a_member", "chat:message", {"room": "board", "text": "let me in"})
        await rosa.is_answered({"status": "ok", "members": ["rosa"]}, "chat:who", "board")
        door.decides.set()
        wanted = {"status": "error", "code": "forbidden"}
        expect("the ack when otto is refused after a while", await joining, equals=wanted)
        await house.hears("when otto is refused after a while")

        door.refuses.add(("rosa", "board"))
        await rosa.is_refused("forbidden", "chat:join", "board")
        await rosa.is_answered({"status": "ok", "members": ["rosa"]}, "chat:who", "board")
        await rosa.ask("chat:leave", "board")
        await rosa.is_refused("forbidden", "chat:join", "board")
        await rosa.is_refused("not_a_member", "chat:who", "board")
        await rosa.joins("lawn", "rosa")


@check(
    points=2,
    hints=(
        "After each `await` the world may be another one. What can have changed while `may_join` was asked?",
        "Only afterwards look whether the user is in the room, and whether the connection still is on the server.",
    ),
)
async def test_leaves_while_asked(submission: Any) -> None:
    """Whoever has gone before `may_join` answers becomes no member; two connections that wait come as one user."""
    door = Doorkeeper()
    async with house_of(submission, door.may_join) as house:
        rosa, otto = [await house.guest(name) for name in ("rosa", "otto")]
        await rosa.joins("board", "rosa")
        door.waits_for |= {"otto", "emil"}
        for room in ("board", "attic"):
            await otto.tell("chat:join", room)
            await expect.arrives("`may_join` to be asked about otto", door.waiting.get(), within_s=IN_TIME_S)
        await house.goes(otto)
        emils = [await house.guest(f"emil's {device}", "emil") for device in ("phone", "laptop")]
        joining = [await door.is_asked_by(each, "board") for each in emils]
        door.decides.set()
        acks = await asyncio.gather(*joining)
        wanted = {"status": "ok", "room": "board", "members": ["emil", "rosa"]}
        for ack in acks:
            expect("the ack when emil's two connections join at the same moment", ack, equals=wanted)
        joined = [("chat:userJoined", {"username": "emil"})]
        heard = (await house.heard())["rosa"]
        what = "what rosa hears when otto's connection ended before the answer and emil joined with two"
        expect(what, heard, equals=joined)
        who = await rosa.ask("chat:who", "board")
        wanted = {"status": "ok", "members": ["emil", "rosa"]}
        expect("the ack of chat:who 'board' after otto has gone", who, equals=wanted)
        empty = [room for room, members in house.sio.manager.rooms["/"].items() if not members]
        expect("the rooms that the server keeps with nobody in them, after otto has gone", empty, equals=[])


@check(
    points=1,
    hints=(
        "At which line of yours does a member hear of a change? What is still to be done there?",
        "First all that changes, in all rooms of a connection that ends; then each `emit` that tells of it.",
    ),
)
async def test_tells_afterwards(submission: Any) -> None:
    """Whoever hears that rosa has come or gone asks at once who is there, and talks: the change has been made."""
    manager = Held()
    async with house_of(submission, client_manager=manager) as house:
        rosa, otto, emil = [await house.guest(name) for name in ("rosa", "otto", "emil")]
        await otto.joins("chess", "otto")
        await emil.joins("go", "emil")
        await rosa.joins("go", "emil", "rosa")
        await house.heard()

        async def change(what: str, doing: Awaitable[Any], event: str, *members: str) -> None:
            manager.goes_on.clear()
            task = asyncio.ensure_future(doing)
            heard = await otto.gets(f"otto to hear that {what}", otto.inbox.get())
            expect(f"what otto hears when {what}", heard, equals=(event, {"username": "rosa"}))
            who = await otto.ask("chat:who", "chess")
            wanted = {"status": "ok", "members": sorted(members)}
            expect(f"the ack of chat:who when otto has just heard that {what}", who, equals=wanted)
            await otto.ask("chat:message", {"room": "chess", "text": what})
            heard_by = {name: [said("otto", "chess", what)] for name in members}
            await house.hears(f"when otto, who has just heard that {what}, says so", **heard_by)
            manager.goes_on.set()
            await task

        await change("rosa has come", rosa.ask("chat:join", "chess"), "chat:userJoined", "otto", "rosa")
        await change("rosa has left", rosa.ask("chat:leave", "chess"), "chat:userLeft", "otto")
        await rosa.joins("chess", "otto", "rosa")
        await house.heard()
        manager.goes_on.clear()
        leaving = asyncio.ensure_future(rosa.client.disconnect())  # it waits for the server on Python 3.12 and newer
        hears = [asyncio.ensure_future(each.inbox.get()) for each in (otto, emil)]
        waiting = asyncio.wait(hears, return_when=asyncio.FIRST_COMPLETED)
        await expect.arrives("otto or emil to hear that rosa's connection has ended", waiting, within_s=IN_TIME_S)
        for guest, room in ((otto, "chess"), (emil, "go")):
            what = f"the ack of chat:who {room!r} when one of two rooms has heard that rosa's connection has ended"
            expect(what, await guest.ask("chat:who", room), equals={"status": "ok", "members": [guest.user]})
        manager.goes_on.set()
        for guest, hearing in zip((otto, emil), hears, strict=True):
            heard = await guest.gets(f"{guest.name} to hear that rosa's connection has ended", hearing)
            expect(f"what {guest.name} hears then", heard, equals=("chat:userLeft", {"username": "rosa"}))
        await leaving


@check(
    points=1,
    hints=(
        "Which containers of yours have a room's name, or a socket's id, in them when nobody is there any more?",
        "Remove a room with its last member. Reading a `defaultdict`, and `setdefault`, make an entry: use `get`.",
    ),
)
async def test_keeps_nothing(submission: Any) -> None:
    """People join, leave, ask, are refused and go; then no room's name and no id is found in what your code holds."""
    door = Doorkeeper()
    async with house_of(submission, door.may_join) as house:
        rosa, otto = [await house.guest(name) for name in ("rosa", "otto")]
        names = [f"room-{number}" for number in range(9)]
        door.refuses.add(("rosa", "room-8"))
        for name in names[:6]:
            await rosa.ask("chat:join", name)
            await otto.ask("chat:join", name)
        for name in names[:3]:
            for guest in (rosa, otto):
                await guest.ask("chat:leave", name)
        await rosa.ask("chat:message", {"room": "room-6", "text": "is anybody here?"})
        await rosa.ask("chat:who", "room-7")
        await rosa.ask("chat:leave", "room-7")
        await rosa.is_refused("forbidden", "chat:join", "room-8")
        await submission.send(house.sio, None, ["room-6"], "news", 1)
        for name in (*names[:3], *names[6:]):
            await forgotten(submission, f"the name {name!r} of a room without a member", name, *roots(house.sio))
        sids = {guest.sid: guest.name for guest in (rosa, otto)}
        for guest in (rosa, otto):
            await house.goes(guest)
        for name in names:
            await forgotten(submission, f"the name {name!r} when everybody has gone", name, *roots(house.sio))
        for sid, name in sids.items():
            await forgotten(submission, f"the id of {name}'s connection, which has ended", sid, *roots(house.sio))


@check(
    points=2,
    hints=(
        "Every socket is in a room named after its id. What is left of that room when a client may `chat:leave` it?",
        "A server knows the ids of its own sockets only. What if no name of a client's could ever look like an id?",
    ),
)
async def test_an_id_is_no_room(submission: Any) -> None:
    """Somebody uses ids for room names, on the same server and on another: what goes to one socket stays there."""
    servers: list[Street] = []
    async with (
        house_of(submission, client_manager=Street(servers)) as house,
        house_of(submission, client_manager=Street(servers)) as next_door,
    ):
        rosa, emil = await house.guest("rosa"), await house.guest("emil")
        spy = await next_door.guest("a spy on another server")
        house.guests.append(spy)  # who hears this server's markers, too, by the same way as all else
        for guest in (spy, emil):
            await guest.ask("chat:join", rosa.sid)
        await house.heard()
        await emil.ask("chat:leave", emil.sid)
        await house.sio.emit("for you", "alone", to=emil.sid)
        await house.hears("after emil has left a room named after his id", emil=[("for you", "alone")])
        await house.sio.emit("for you", "alone", to=rosa.sid)
        await house.hears("when something is sent to rosa alone", rosa=[("for you", "alone")])
        for guest in (spy, emil):
            await guest.ask("chat:message", {"room": rosa.sid, "text": "from your bank"})
        heard_by_rosa = (await house.heard())["rosa"]
        expect("what rosa hears when others say something in a room named after her id", heard_by_rosa, equals=[])
    for server in servers:
        server.thread.cancel()


class EqualsAll(list[str]):
    """Rooms that say that they equal everything, `EVERYONE` too."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


@check(
    points=3,
    hints=(
        "An audience of several rooms is a union: one `emit`. What does `emit` take for `to`, and what for `skip_sid`?",
        "Translate names into rooms, any collection into a list. `emit` takes None for no argument, a tuple for many.",
    ),
)
async def test_sends_to_those_who_are_meant(submission: Any) -> None:
    """Five connections in overlapping rooms: each hears each of 13 events once or not at all, as it is meant."""
    async with house_of(submission) as house:
        rosa, otto, emil, lena = [await house.guest(name) for name in ("rosa", "otto", "emil", "lena")]
        phone = await house.guest("rosas_phone", "rosa")
        await phone.ask("chat:join", "poker")
        for guest, rooms in ((rosa, ("chess",)), (otto, ("chess", "go")), (emil, ("go", "poker")), (lena, ())):
            for room in rooms:
                await guest.ask("chat:join", room)
        everybody = ["rosa", "otto", "emil", "lena"]
        sends: list[tuple[str, str | None, Any, Any, list[str]]] = [
            ("to a list of one room", None, ["chess"], 1, ["rosa", "otto"]),
            (
                "to a list of three overlapping rooms",
                None,
                ["chess", "go", "poker"],
                [2, 3],
                [*everybody[:3], phone.name],
            ),
            ("to a tuple of two rooms, from otto", otto.sid, ("chess", "go"), {"n": 4}, ["rosa", "emil"]),
            ("to a set of one room, from lena", lena.sid, {"poker"}, "5", ["emil", phone.name]),
            ("to a generator of two rooms", None, (room for room in ("chess", "go")), True, ["rosa", "otto", "emil"]),
            ("to the keys of a dict", None, {"go": 1, "poker": 2}.keys(), "6", ["otto", "emil", phone.name]),
            ("to a frozen set, from somebody who has gone", "gone", frozenset(["chess"]), 7, ["rosa", "otto"]),
            ("to a room, from rosa's phone", phone.sid, ["chess", "poker"], None, everybody[:3]),
            ("to a collection that equals everything", None, EqualsAll(["chess"]), (6, 7), ["rosa", "otto"]),
            ("to rooms between what are no names", None, [None, "go", 7, lena.sid, "chess"], 8, everybody[:3]),
            ("to everyone", None, submission.EVERYONE, 0, [*everybody, phone.name]),
            ("to everyone, a tuple", None, submission.EVERYONE, (), [*everybody, phone.name]),
            ("to everyone, from lena", lena.sid, submission.EVERYONE, None, [*everybody[:3], phone.name]),
        ]
        for number, (what, sender, audience, data, meant) in enumerate(sends):
            await house.heard()
            event = ("news", "chat:message")[number % 2]
            await submission.send(house.sio, sender, audience, event, data)
            came = list(data) if isinstance(data, tuple) else data  # JSON has lists only
            wanted = {name: [(event, came)] for name in meant}
            await house.hears(f"when `send` sends {event!r} with {data!r} {what}", **wanted)


@check(
    points=2,
    hints=(
        "What does `emit` do with `to=[]`? The chapter's Deeper part has a table.",
        "A generator is true even if nothing comes out of it. When do you know that an audience is empty?",
    ),
)
async def test_nobody_is_not_everybody(submission: Any) -> None:
    """An audience without a room in it reaches nobody: empty collections, no names, an id, a room without members."""
    async with house_of(submission) as house:
        rosa, otto = await house.guest("rosa"), await house.guest("otto")
        await rosa.joins("chess", "rosa")
        await otto.joins("chess", "otto", "rosa")
        for name in ("7", "None", "['chess']", "b'chess'"):
            await otto.joins(name, "otto")
        await house.heard()
        empty: list[tuple[str, Any]] = [
            ("[]", []),
            ("()", ()),
            ("set()", set()),
            ("a generator without items", (room for room in ())),
            ("['']", [""]),
            ("[None]", [None]),
            ("[otto's id]", [otto.sid]),
            ("['a room where nobody is']", ["a room where nobody is"]),
            ("[7]", [7]),
            ("[EVERYONE]", [submission.EVERYONE]),
            ("[['chess']]", [["chess"]]),
            ("[b'chess']", [b"chess"]),
            ("a name that is too long", ["x" * (LONGEST_NAME + 1)]),
        ]
        for what, audience in empty:
            await submission.send(house.sio, None, audience, "news", what)
            await house.hears(f"when the audience is {what}")


@check(
    points=1,
    hints=(
        "A handler that raises sends no ack. Which lines of yours raise for None, for a list, for no data at all?",
        "Data is an argument of your handler, and it can be missing. A name has a type and two bounds.",
    ),
)
async def test_answers_whatever_comes(submission: Any) -> None:
    """Bad names, bad texts and missing data get "bad_request", and afterwards the room is as it was."""
    long = "x" * (LONGEST_NAME + 1)
    async with house_of(submission) as house:
        rosa = await house.guest("rosa")
        await rosa.joins("chess", "rosa")
        for event in ("chat:join", "chat:leave", "chat:who"):
            for name in (None, 7, True, "", ["chess"], {"room": "chess"}, long):
                await rosa.is_refused("bad_request", event, name)
            await rosa.is_refused("bad_request", event)
            await rosa.is_refused("bad_request", event, "chess", "go")
        message = {"room": "chess", "text": "e4"}
        await rosa.is_refused("bad_request", "chat:message", message, message)
        for data in (None, "chess", [], {}, {"room": "chess"}, {"room": "chess", "text": 7}, {"text": "e4"}):
            await rosa.is_refused("bad_request", "chat:message", data)
        for name in (None, "", ["chess"], long):
            await rosa.is_refused("bad_request", "chat:message", {"room": name, "text": "e4"})
        await rosa.is_refused("bad_request", "chat:message")
        await rosa.is_answered({"status": "ok", "members": ["rosa"]}, "chat:who", "chess")
        await rosa.is_refused("not_a_member", "chat:who", "go")
        for name in (long[1:], "ü" * LONGEST_NAME, " ", "Chess", "chess ", "\ud83d", "__proto__", "0"):
            await rosa.joins(name, "rosa")
        await house.hears("of all that")
        otto = await house.guest("otto")
        for name in ("CHESS", " chess"):
            await otto.joins(name, "otto")
        await house.hears("when otto joins rooms whose names differ in capitals or blanks")
        await rosa.ask("chat:message", {"room": "chess", "text": ""})
        await house.hears("when she says something after that", rosa=[said("rosa", "chess", "")])
