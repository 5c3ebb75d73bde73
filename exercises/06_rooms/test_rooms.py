"""The checks of exercise 06. `rtlab grade 06` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from socketio.async_pubsub_manager import AsyncPubSubManager

from rtlab.grading import check, expect
from rtlab.grading.harness import IN_TIME_S, OK, Guest, House, open_house

FORBIDDEN = {"rtlab.realtime": "Use python-socketio's server; the chapter has built what this one guards against."}


async def anybody(username: str, room: str) -> bool:
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
        await phone.ask("chat:leave", "chess")
        await house.hears("when one of rosa's two connections leaves")
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
            wanted = {"status": "ok", "members": [guest.user]}
            expect(f"the ack of chat:who {room!r} after rosa has gone", who, equals=wanted)


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
        answer = await rosa.ask("chat:message", {"room": "chess", "text": "e4", "username": "otto"})
        expect("the ack when rosa, a member, says something", answer, equals=OK)
        said_it = [said("rosa", "chess", "e4")]
        await house.hears("when rosa says something in a room with otto", rosa=said_it, otto=said_it)
        await emil.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "I am not here"})
        await emil.is_refused("not_a_member", "chat:who", "chess")
        await house.hears("when emil, who is not in the room, says something in it")
        await rosa.ask("chat:leave", "chess")
        await house.heard()
        await rosa.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "me again"})
        await rosa.is_refused("not_a_member", "chat:who", "chess")
        await emil.is_refused("not_a_member", "chat:message", {"room": "poker", "text": "nobody was ever here"})
        await house.hears("when rosa, who has left, says something in the room")


@check(
    points=2,
    hints=(
        "`may_join` is a coroutine function. After each `await` the world may be another one: what can have changed?",
        "Ask first, and enter afterwards. If `disconnect` has run meanwhile, what takes that connection out again?",
    ),
)
async def test_asks_who_may_join(submission: Any) -> None:
    """Whom `may_join` refuses is told so and hears nothing; whoever has left before it answers becomes no member."""
    asked: list[tuple[str, str]] = []
    is_asked, decides = asyncio.Event(), asyncio.Event()

    async def may_join(username: str, room: str) -> bool:
        asked.append((username, room))
        if username == "otto":
            is_asked.set()
            await decides.wait()
        return (username, room) != ("emil", "board")

    async with house_of(submission, may_join) as house:
        rosa, emil, otto = [await house.guest(name) for name in ("rosa", "emil", "otto")]
        await rosa.joins("board", "rosa")
        await emil.is_refused("forbidden", "chat:join", "board")
        expect("what `may_join` was asked", asked, equals=[("rosa", "board"), ("emil", "board")])
        await house.hears("when emil is refused")
        await rosa.ask("chat:message", {"room": "board", "text": "is he gone?"})
        await house.hears("when a room talks that has refused emil", rosa=[said("rosa", "board", "is he gone?")])
        await emil.is_refused("not_a_member", "chat:who", "board")

        await otto.client.emit("chat:join", "board")
        await expect.arrives("`may_join` to be asked about otto", is_asked.wait(), within_s=IN_TIME_S)
        await house.goes(otto)
        decides.set()
        await house.hears("when otto's connection has ended before `may_join` allowed him in")
        who = await rosa.ask("chat:who", "board")
        expect("the ack of chat:who 'board' after otto has gone", who, equals={"status": "ok", "members": ["rosa"]})


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


@check(
    points=3,
    hints=(
        "An audience of several rooms is a union: one `emit`. What does `emit` take for `to`, and what for `skip_sid`?",
        "Two things are to be translated: names into rooms, and any collection into the one kind that `emit` takes.",
    ),
)
async def test_sends_to_those_who_are_meant(submission: Any) -> None:
    """Four people in overlapping rooms: each hears each of seven events once or not at all, as it is meant."""
    async with house_of(submission) as house:
        rosa, otto, emil, lena = [await house.guest(name) for name in ("rosa", "otto", "emil", "lena")]
        for guest, rooms in ((rosa, ("chess",)), (otto, ("chess", "go")), (emil, ("go", "poker")), (lena, ())):
            for room in rooms:
                await guest.ask("chat:join", room)
        sends: list[tuple[str, str | None, Any, Any, list[str]]] = [
            ("to a list of one room", None, ["chess"], 1, ["rosa", "otto"]),
            ("to a list of three rooms that overlap", None, ["chess", "go", "poker"], [2, 3], ["rosa", "otto", "emil"]),
            ("to a tuple of two rooms, otto being the sender", otto.sid, ("chess", "go"), {"n": 4}, ["rosa", "emil"]),
            ("to a set of one room, lena being the sender", lena.sid, {"poker"}, "5", ["emil"]),
            ("to a generator of two rooms", None, (room for room in ("poker", "go")), True, ["otto", "emil"]),
            ("to everyone", None, submission.EVERYONE, 0, ["rosa", "otto", "emil", "lena"]),
            ("to everyone, lena being the sender", lena.sid, submission.EVERYONE, "", ["rosa", "otto", "emil"]),
        ]
        for what, sender, audience, data, meant in sends:
            await house.heard()
            await submission.send(house.sio, sender, audience, "news", data)
            wanted = {name: [("news", data)] for name in meant}
            await house.hears(f"when `send` sends {data!r} {what}", **wanted)


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
    long = "x" * (submission.LONGEST_NAME + 1)
    async with house_of(submission) as house:
        rosa = await house.guest("rosa")
        await rosa.joins("chess", "rosa")
        for event in ("chat:join", "chat:leave", "chat:who"):
            for name in (None, 7, True, "", ["chess"], {"room": "chess"}, long):
                await rosa.is_refused("bad_request", event, name)
            await rosa.is_refused("bad_request", event)
        for data in (None, "chess", [], {}, {"room": "chess"}, {"room": "chess", "text": 7}, {"text": "e4"}):
            await rosa.is_refused("bad_request", "chat:message", data)
        for name in (None, "", ["chess"], long):
            await rosa.is_refused("bad_request", "chat:message", {"room": name, "text": "e4"})
        await rosa.is_refused("bad_request", "chat:message")
        await rosa.joins(long[1:], "rosa")
        await house.hears("of all that")
        await rosa.ask("chat:message", {"room": "chess", "text": ""})
        await house.hears("when she says something after that", rosa=[said("rosa", "chess", "")])
