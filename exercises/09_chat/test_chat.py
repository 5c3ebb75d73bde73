"""The checks of exercise 09. `rtlab grade 09` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import gc
import time
import tracemalloc
from collections import Counter
from contextlib import AbstractAsyncContextManager
from typing import Any

from rtlab.grading import check, expect
from rtlab.grading.harness import OK, Event, Guest, House, open_house, show
from rtlab.grading.kept import forgotten

DEMANDS = {
    "Two servers with a chat each share nothing.": "test_joins_with_the_last_messages",
    "A connection is a member of a room from the time it has joined it": "test_only_members",
    "A user is in a room while any connection of hers is a member of it.": "test_counts_people",
    "the room's last messages, `history` at most, oldest first, as they went to the members then": (
        "test_joins_with_the_last_messages"
    ),
    "After that comes the ack": "test_joins_with_the_last_messages",
    "the users in the room now, sorted, each once": "test_counts_people",
    "If the user was not yet in the room, the other members hear `chat:userJoined`": "test_counts_people",
    "A connection that is a member already may join again, and gets the same answers; the others hear nothing.": (
        "test_counts_people"
    ),
    "with a room's name ends the membership, if there is one": ("test_only_members", "test_counts_people"),
    "If the user is no longer in the room, those who still are hear `chat:userLeft`": "test_counts_people",
    "So they do, in each of its rooms, when a connection ends.": "test_leaves_every_room",
    "every member of the room, the sender included, hears `chat:message`": "test_says_it_to_the_room",
    "The id is a text, and no two messages have the same.": "test_says_it_to_the_room",
    "The timestamp is a whole number, the milliseconds since 1970.": "test_says_it_to_the_room",
    "What else the sender puts into it is ignored.": "test_says_it_to_the_room",
    "the members that are connections of other users hear `chat:typing`": "test_says_who_types",
    "but not if such a notice of this user and room went out less than `TYPING_S` ago": "test_says_who_types",
    "one counts also if nobody else was there to hear it": "test_says_who_types",
    "The time goes on when the user leaves the room and joins it again": "test_says_who_types",
    "gets every message once: in the history, or live after it": "test_joins_while_others_talk",
    "Texts and names are taken as they are: nothing is trimmed, and case counts.": "test_answers_whatever_comes",
    "Every event gets an ack if the client asks for one, whatever comes with it, or nothing.": (
        "test_answers_whatever_comes"
    ),
    "and nothing else happens": "test_answers_whatever_comes",
    "The message is a sentence for people; where a field of `chat:message` is bad, it names the field.": (
        "test_answers_whatever_comes"
    ),
    'The code is "bad_payload" for a bad name, a bad text, another shape, or anything but one argument': (
        "test_answers_whatever_comes"
    ),
    '"not_a_member" where only a member may': "test_only_members",
    "whatever they choose is a room of the chat and nothing else, the id of somebody's connection included": (
        "test_only_members"
    ),
    "Nothing is kept of connections that have ended, or of rooms that are gone.": "test_forgets_old_messages",
    "Older ones are forgotten: their memory is free.": "test_forgets_old_messages",
    "A room is there while somebody is in it, and after that while messages of it are kept.": (
        "test_keeps_so_many_rooms"
    ),
    "there are so many rooms at most": "test_keeps_so_many_rooms",
    "the room that has been empty for the longest time is forgotten, with its messages": "test_keeps_so_many_rooms",
    "If none is empty, the ack is": "test_keeps_so_many_rooms",
}
"""What README.md and chat.py demand, and the check that looks at it."""

FORBIDDEN = {"rtlab.chat": "The chapter takes a chat apart on python-socketio's server; put yours together from that."}

TYPING_S = 2
"""Seconds between two notices, as the stub says."""


class Person(Guest):
    """A guest who chats."""

    async def joins(self, room: str, *members: str) -> list[dict[str, Any]]:
        """Join, look at the ack, and give the history, which has to have come before it."""
        wanted = {"status": "ok", "room": room, "members": sorted(members)}
        answer: asyncio.Future[tuple[Event, int]] = asyncio.get_running_loop().create_future()

        def acknowledged(*ack: Any) -> None:
            if not answer.done():
                answer.set_result((ack, self.inbox.qsize()))

        await self.client.emit("chat:join", room, callback=acknowledged)
        what = f"the ack of chat:join {show((room,))} from {self.name}"
        ack, number = await self.gets(what, answer, event="chat:join")
        expect(what, ack[0] if len(ack) == 1 else ack, equals=wanted)
        before: list[Event] = [self.inbox.get_nowait() for _ in range(number)]
        after: list[Event] = [self.inbox.get_nowait() for _ in range(self.inbox.qsize())]
        histories = [event for event in before if event[0] == "chat:history"]
        what = f"how many `chat:history` {self.name} hears before the ack when joining {room!r}"
        expect(what, len(histories), equals=1)
        for event in before:
            if event[0] != "chat:history":
                self.inbox.put_nowait(event)
        for event in after:
            self.inbox.put_nowait(event)
        return expect(f"the history that {self.name} gets of {room!r}", argument(histories[0]), is_a=list)

    async def leaves(self, room: str) -> None:
        await self.is_answered(OK, "chat:leave", room)

    async def says(self, room: str, text: str) -> str:
        answer = expect(f"the ack when {self.name} says something", await self.say(room, text), is_a=dict)
        expect(f"the status when {self.name} says something", answer.get("status"), equals="ok")
        return expect(f"the id when {self.name} says something", answer.get("id"), is_a=str)

    async def say(self, room: str, text: str) -> Any:
        return await self.ask("chat:message", {"room": room, "text": text})

    async def is_refused(self, code: str, event: str, *data: Any) -> dict[str, Any]:
        """Send an event and observe that its ack is an error with this code, and says why."""
        answer = await super().is_refused(code, event, *data)
        what = f"the ack of {event} {show(data)} from {self.name}"
        message = expect(f"the message in {what}", answer.get("message"), is_a=str)
        expect.that(f"the message in {what} is a sentence", len(message.split()) > 1, but=f"it is {message!r}")
        expect(f"the fields of {what}", sorted(answer), equals=["code", "message", "status"])
        return answer


def house_of(submission: Any, **bounds: int) -> AbstractAsyncContextManager[House[Person]]:
    """A server with the submission's events on it (rtlab/grading/harness.py), and nobody in it yet."""
    return open_house(House(lambda sio: submission.register(sio, **bounds), Person))


def came(user: str, room: str) -> Event:
    return ("chat:userJoined", {"username": user, "room": room})


def left(user: str, room: str) -> Event:
    return ("chat:userLeft", {"username": user, "room": room})


def messages(events: list[Event]) -> list[Any]:
    """The messages among what somebody has heard."""
    return [argument(event) for event in events if event[0] == "chat:message"]


def argument(event: Event) -> Any:
    """The one argument of an event. If it has none, or several: those, as a tuple."""
    return event[1] if len(event) == 2 else event[1:]


def texts(said: list[Any]) -> list[Any]:
    return [each.get("text") if isinstance(each, dict) else each for each in said]


@check(
    points=2,
    hints=(
        "What forgets its oldest item by itself when a new one comes? Python's `collections` has it.",
        "The history goes to one connection. What is its address? And it goes out before the handler returns the ack.",
    ),
)
async def test_joins_with_the_last_messages(submission: Any) -> None:
    """A newcomer gets a room's last 50 of 53 messages, oldest first, as its members heard them; or 3, or none."""
    for bounds, number, kept in (({}, 53, 50), ({"history": 3}, 5, 3), ({"history": 3}, 2, 2), ({"history": 0}, 2, 0)):
        async with house_of(submission, **bounds) as house:
            rosa, otto, emil = await house.all_of("rosa", "otto", "emil")
            expect("the history of a room that is new", await rosa.joins("chess", "rosa"), equals=[])
            await emil.joins("go", "emil")
            await emil.says("go", "to nobody but me")
            for n in range(number):
                await rosa.says("chess", f"move {n}")
            live = messages((await house.heard())["rosa"])
            history = await otto.joins("chess", "otto", "rosa")
            what = f"what otto gets of {number} messages with {show_bounds(bounds)}"
            expect(f"the texts in {what}", texts(history), equals=[f"move {n}" for n in range(number - kept, number)])
            expect(what, history, equals=live[number - kept :])
            await house.hears("when otto has joined and got his history", rosa=[came("otto", "chess")])
            await otto.leaves("chess")
            await rosa.leaves("chess")
            again = await otto.joins("chess", "otto")
            expect("the history after everybody has left for a moment", again, equals=history)
            if not bounds:
                await house.heard()
                async with house_of(submission) as next_door:
                    nora = await next_door.guest("nora")
                    what = "the history of the same room on another server with a chat of its own"
                    expect(what, await nora.joins("chess", "nora"), equals=[])
                    await nora.says("chess", "hello?")
                await house.hears("when nora talks on the other server")


def show_bounds(bounds: dict[str, int]) -> str:
    return ", ".join(f"{name}={value}" for name, value in bounds.items()) or "history as it comes"


@check(
    points=2,
    hints=(
        "Which fields does a message have that its sender does not send? Only the server knows them.",
        "`time.time()` counts seconds, as a float. And is an id still the only one when there are two rooms?",
    ),
)
async def test_says_it_to_the_room(submission: Any) -> None:
    """Three people talk in two rooms: each message has an id of its own and the time, and comes once to each member."""
    async with house_of(submission) as house:
        rosa, otto, emil = await house.all_of("rosa", "otto", "emil")
        await rosa.joins("chess", "rosa")
        await otto.joins("chess", "otto", "rosa")
        await otto.joins("go", "otto")
        await emil.joins("go", "emil", "otto")
        await house.heard()
        ids: list[str] = []
        for guest, room, text in (
            (rosa, "chess", "e4"),
            (emil, "go", "d16"),
            (otto, "go", "q4"),
            (otto, "chess", "e5"),
        ):
            began = int(time.time() * 1000)
            ids.append(await guest.says(room, text))
            ended = int(time.time() * 1000)
            heard = await house.heard()
            for name in ("rosa", "otto") if room == "chess" else ("emil", "otto"):
                what = f"what {name} hears when {guest.name} says {text!r} in {room!r}"
                said = messages(heard.pop(name))
                expect(f"the number of messages in {what}", len(said), equals=1)
                message = expect(what, said[0], is_a=dict)
                expect(f"the timestamp in {what}", message.get("timestamp"), is_a=int)
                expect(f"the timestamp in {what}", message["timestamp"], within=(began, ended))
                wanted = {"id": ids[-1], "username": guest.user, "room": room, "text": text}
                expect(what, message, equals={**wanted, "timestamp": message["timestamp"]})
            for name, events in heard.items():
                expect(f"what {name} hears of a room in which {name} is not", events, equals=[])
        expect("how many different ids four messages have", len(set(ids)), equals=4)
        more = {"username": "otto", "id": "1", "timestamp": 0, "colour": "red"}
        ids = []
        ids.append(
            expect("the ack", await rosa.ask("chat:message", {**more, "room": "chess", "text": "d4"}), is_a=dict)["id"]
        )
        for name, events in (await house.heard()).items():
            for message in messages(events):
                what = f"what {name} hears when rosa sends more fields than room and text"
                expect(f"the fields of {what}", sorted(message), equals=["id", "room", "text", "timestamp", "username"])
                expect(f"the username in {what}", message["username"], equals="rosa")
                expect(f"the id in {what}", message["id"], equals=ids[-1])
                expect.that(f"the timestamp in {what} is the server's", message["timestamp"] >= began, but="it is hers")
        burst: list[Any] = []
        for n in range(300):
            await rosa.tell("chat:message", {"room": "chess", "text": f"{n}"})
            if n % 50 == 49:
                await rosa.leaves("a room where she is not")  # answered after what she told
                burst += messages((await house.heard())["otto"])
        expect(
            "how many different ids 300 messages in six bursts have", len({each["id"] for each in burst}), equals=300
        )
        await rosa.tell("chat:message", {"room": "chess", "text": "nf3"})
        await rosa.leaves("a room where she is not")
        heard = await house.heard()
        for name in ("rosa", "otto"):
            what = f"the texts that {name} hears when rosa asks for no ack"
            expect(what, texts(messages(heard[name])), equals=["nf3"])


@check(
    points=2,
    hints=(
        "Which connections of this user are in the room? Ask before one is added, and after one is taken away.",
        "A set of names forgets who has two connections. What would remember it?",
    ),
)
async def test_counts_people(submission: Any) -> None:
    """A user with two connections comes once and leaves once, and stands once among the members."""
    async with house_of(submission) as house:
        otto = await house.guest("otto")
        phone, laptop = await house.guest("rosa's phone", "rosa"), await house.guest("rosa's laptop", "rosa")
        await otto.joins("chess", "otto")
        await phone.joins("chess", "otto", "rosa")
        await laptop.joins("chess", "otto", "rosa")
        await phone.joins("chess", "otto", "rosa")
        await house.hears("when rosa joins with two connections, one of them twice", otto=[came("rosa", "chess")])
        await phone.leaves("chess")
        await phone.leaves("chess")
        await house.hears("when one of rosa's two connections leaves")
        await phone.joins("chess", "otto", "rosa")
        await house.hears("when that connection comes back")
        await house.goes(laptop)
        await house.hears("when one of rosa's two connections ends")
        await otto.joins("chess", "otto", "rosa")
        await phone.leaves("chess")
        await house.hears("when rosa's last connection leaves", otto=[left("rosa", "chess")])
        await otto.joins("chess", "otto")

        laptop = await house.guest("rosa's new laptop", "rosa")
        for _ in range(3):
            await asyncio.gather(*(each.ask("chat:join", "chess") for each in (phone, laptop)))
            heard = (await house.heard())["otto"]
            expect("what otto hears when rosa's two connections join at once", heard, equals=[came("rosa", "chess")])
            await asyncio.gather(*(each.leaves("chess") for each in (phone, laptop)))
            heard = (await house.heard())["otto"]
            expect("what otto hears when rosa's two connections leave at once", heard, equals=[left("rosa", "chess")])
        await asyncio.gather(*(each.ask("chat:join", "chess") for each in (phone, laptop)))
        await house.heard()
        await asyncio.gather(house.goes(phone), house.goes(laptop))
        await otto.joins("chess", "otto")
        heard = (await house.heard())["otto"]
        expect("what otto hears when rosa's two connections end at once", heard, equals=[left("rosa", "chess")])


@check(
    points=2,
    hints=(
        "A connection can end without a `chat:leave`. In how many rooms may it have been?",
        "Each of its rooms is asked the same: is this user still here with another connection?",
    ),
)
async def test_leaves_every_room(submission: Any) -> None:
    """Connections end: each room in which it was the user's last one hears that she has left, and no other does."""
    rooms = ("chess", "go", "poker")
    async with house_of(submission) as house:
        guests = await house.all_of("otto", "emil", "lena")
        phone, laptop = await house.guest("rosa's phone", "rosa"), await house.guest("rosa's laptop", "rosa")
        for guest, room in zip(guests, rooms, strict=True):
            await guest.joins(room, guest.user)
            await phone.joins(room, guest.user, "rosa")
        await laptop.joins("go", "emil", "rosa")
        await house.heard()
        await house.goes(phone)
        gone = {"otto": [left("rosa", "chess")], "lena": [left("rosa", "poker")]}
        await house.hears("when one of rosa's two connections ends", **gone)
        await house.goes(laptop)
        await house.hears("when rosa's last connection ends", emil=[left("rosa", "go")])
        for guest, room in zip(guests, rooms, strict=True):
            await guest.joins(room, guest.user)


@check(
    points=2,
    hints=(
        "What is it that may be told once in two seconds? A connection, a user, a user in a room?",
        "The time that counts is that of the last notice that went out. And who must not hear it? She has two screens.",
    ),
    deadline_s=10,
)
async def test_says_who_types(submission: Any) -> None:
    """Somebody types for two seconds, at two devices and in two rooms: the other users hear it once in each two."""
    async with house_of(submission) as house:
        otto, emil = await house.all_of("otto", "emil")
        phone, laptop = await house.guest("rosa's phone", "rosa"), await house.guest("rosa's laptop", "rosa")
        for guest in (otto, emil, phone, laptop):
            await guest.ask("chat:join", "chess")
        for guest in (otto, phone):
            await guest.ask("chat:join", "go")
        await phone.ask("chat:join", "attic")
        await house.heard()

        alone = time.monotonic()
        await phone.is_answered(OK, "chat:typing", "attic")
        await otto.joins("attic", "otto", "rosa")
        await house.heard()
        await phone.is_answered(OK, "chat:typing", "attic")
        more = notices(await house.heard())["otto"]
        if time.monotonic() - alone < TYPING_S:  # else this machine is too slow for the question
            what = f"how often otto hears that rosa types in 'attic' within {TYPING_S} s of when she did so alone there"
            expect(what, more[("rosa", "attic")], equals=0)

        began = time.monotonic()
        for guest, room in ((phone, "chess"), (laptop, "chess"), (phone, "chess"), (phone, "go"), (emil, "chess")):
            await guest.is_answered(OK, "chat:typing", room)
        heard = notices(await house.heard())
        for name, wanted in {
            "otto": {("rosa", "chess"), ("rosa", "go"), ("emil", "chess")},
            "emil": {("rosa", "chess")},
            "rosa's phone": {("emil", "chess")},
            "rosa's laptop": {("emil", "chess")},
        }.items():
            what = f"who types, as {name} hears it when rosa types in two rooms and emil in one"
            expect(what, set(heard[name]), equals=wanted)

        told = time.monotonic()

        async def only_once(when: str) -> None:
            in_time = time.monotonic() - began < TYPING_S  # else this machine is too slow for the question
            for name, events in (await house.heard()).items():
                more = notices({name: [event for event in events if event[0] == "chat:typing"]})
                heard[name] += more[name]
                if in_time and name in {"otto", "emil"}:
                    what = f"how often {name} hears within {TYPING_S} s that rosa types in 'chess', {when}"
                    expect(what, heard[name][("rosa", "chess")], equals=1)

        await phone.joins("chess", "emil", "otto", "rosa")
        for step in (0.5, 1.0, 1.4):
            await asyncio.sleep(max(0.0, began + step - time.monotonic()))
            await phone.says("chess", "as I said")
            await phone.is_answered(OK, "chat:typing", "chess")
        await only_once("while she types")
        for guest in (phone, laptop):
            await guest.leaves("chess")
        for guest in (phone, laptop):
            await guest.joins("chess", "emil", "otto", "rosa")
        await asyncio.sleep(max(0.0, began + TYPING_S - 0.1 - time.monotonic()))
        await phone.is_answered(OK, "chat:typing", "chess")
        await only_once("when she has left and joined it meanwhile")
        await asyncio.sleep(max(0.0, told + TYPING_S + 0.05 - time.monotonic()))
        await phone.is_answered(OK, "chat:typing", "chess")
        most = 1 + int((time.monotonic() - began) // TYPING_S)
        for name, more in notices(await house.heard()).items():
            what = f"how often {name} hears that rosa types in 'chess' while she does so for {TYPING_S} s"
            times = (heard[name] + more)[("rosa", "chess")]
            expect(what, times, within=(2, most) if name in {"otto", "emil"} else (0, 0))


def notices(heard: dict[str, list[Event]]) -> dict[str, Counter[Any]]:
    """Who heard of whom that they type, in which room, how often."""
    found: dict[str, Counter[Any]] = {}
    for name, events in heard.items():
        expect(f"the events that {name} hears when people type", {event[0] for event in events}, one_of=TYPING_ONLY)
        about = [expect(f"a notice that {name} hears", argument(event), is_a=dict) for event in events]
        for each in about:
            expect(f"the fields of a notice that {name} hears", sorted(each), equals=["room", "username"])
        found[name] = Counter((each["username"], each["room"]) for each in about)
    return found


TYPING_ONLY: tuple[set[str], ...] = (set(), {"chat:typing"})


@check(
    points=2,
    hints=(
        "`emit` asks nobody whether the sender is in the room. Who does?",
        "After `chat:leave` a connection is a stranger again. Which rooms of the server's are named by clients?",
    ),
)
async def test_only_members(submission: Any) -> None:
    """Somebody outside, or who has left, may neither talk nor type, and hears nothing; an id opens nothing."""
    async with house_of(submission) as house:
        rosa, otto, emil = await house.all_of("rosa", "otto", "emil")
        spare = await house.guest("rosa's other tab", "rosa")
        await otto.joins("chess", "otto")
        await rosa.joins("chess", "otto", "rosa")
        await house.heard()
        for guest in (emil, spare):
            await guest.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "I am not here"})
            await guest.is_refused("not_a_member", "chat:typing", "chess")
            await guest.is_refused("not_a_member", "chat:typing", "a room that never was")
            await guest.leaves("chess")
        await house.hears("when somebody who is not in the room talks, types and leaves")
        await rosa.leaves("chess")
        await house.hears("when rosa leaves", otto=[left("rosa", "chess")])
        await rosa.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "me again"})
        await rosa.is_refused("not_a_member", "chat:typing", "chess")
        await house.hears("when rosa, who has left, talks and types")
        await otto.says("chess", "alone at last")
        heard = await house.heard()
        expect("the texts that otto hears", texts(messages(heard.pop("otto"))), equals=["alone at last"])
        for name, events in heard.items():
            expect(f"what {name} hears of a room in which {name} is not", events, equals=[])

        expect("the history of a room named after rosa's id", await emil.joins(rosa.sid, "emil"), equals=[])
        await emil.says(rosa.sid, "from your bank")
        await house.sio.emit("for you", "alone", to=rosa.sid)
        heard = await house.heard()
        expect("what rosa hears", heard["rosa"], equals=[("for you", "alone")])
        what = "the events that emil hears, who is in a room named after rosa's id"
        expect(what, [event[0] for event in heard["emil"]], equals=["chat:message"])


@check(
    points=2,
    hints=(
        "While your handler waits, others go on. Between which two steps may nobody say anything?",
        "Entering a room and looking at its messages: what if there is no `await` between them that lets others run?",
    ),
)
async def test_joins_while_others_talk(submission: Any) -> None:
    """Six people join while 120 messages are said: each has every message once, in order, the history first."""
    newcomers, burst = 6, 20
    number = newcomers * burst
    async with house_of(submission, history=1000) as house:
        rosa, otto = await house.all_of("rosa", "otto")
        late = await house.all_of(*(f"newcomer {n}" for n in range(newcomers)))
        await rosa.joins("chess", "rosa")
        await otto.joins("chess", "otto", "rosa")
        for n in range(number):
            await rosa.tell("chat:message", {"room": "chess", "text": f"move {n}"})
            if n % burst == burst // 2:
                await late[n // burst].tell("chat:join", "chess")
                await asyncio.sleep(0)
            elif n % burst == burst - 1:
                await rosa.leaves("a room where she is not")  # so that nobody has to hear more than a burst at once
        await rosa.says("chess", "the end")
        wanted = [*(f"move {n}" for n in range(number)), "the end"]
        heard = await house.heard()
        expect("the messages that rosa has, who says them all", texts(messages(heard["rosa"])), equals=wanted)
        for guest in late:
            events = [event for event in heard[guest.name] if event[0] in {"chat:history", "chat:message"}]
            expect(f"the number of events that {guest.name} hears", len(events), within=(1, number + 2))
            expect(f"the first event that {guest.name} hears after joining", events[0][0], equals="chat:history")
            history = expect(f"the history that {guest.name} gets", argument(events[0]), is_a=list)
            has = texts([*history, *messages(events)])
            twice = [text for text, times in Counter(has).items() if times > 1]
            never = [text for text in wanted if text not in has]
            expect(f"the messages that {guest.name} gets twice", twice, equals=[])
            expect(f"the messages that {guest.name} never gets", never, equals=[])
            expect(f"the messages of {guest.name}, in order", has, equals=wanted)


@check(
    points=3,
    hints=(
        "A room ends when nobody is in it and nothing of it is kept. When else? And who must never lose anything?",
        "Which of the empty rooms has to go: how would the order of a dict tell you, if you saw to that order?",
    ),
)
async def test_keeps_so_many_rooms(submission: Any) -> None:
    """There is place for two rooms: the longest empty one is forgotten, an occupied one never, a third one refused."""
    async with house_of(submission, rooms=2) as house:
        rosa, otto, emil = await house.all_of("rosa", "otto", "emil")
        for room in ("go", "chess"):
            await rosa.joins(room, "rosa")
        for room in ("go", "chess"):
            await rosa.says(room, f"hello {room}")
            await rosa.leaves(room)
        for _ in range(4):
            await rosa.joins("go", "rosa")
            await rosa.leaves("go")  # and so "chess" has been empty for longer
        await house.heard()
        expect("the history of a third room", await otto.joins("poker", "otto"), equals=[])
        kept = texts(await emil.joins("go", "emil"))
        expect("the texts in the history of the room that was empty for a shorter time", kept, equals=["hello go"])
        await otto.says("poker", "all in")
        await house.heard()

        await rosa.is_refused("rooms_full", "chat:join", "chess")
        await rosa.is_refused("not_a_member", "chat:message", {"room": "chess", "text": "hello?"})
        await rosa.is_refused("not_a_member", "chat:typing", "chess")
        await house.hears("when rosa is refused, because every room is occupied")
        kept = texts(await rosa.joins("poker", "otto", "rosa"))
        expect("the texts in the history of an occupied room after that", kept, equals=["all in"])
        await otto.leaves("poker")
        await otto.is_refused("rooms_full", "chat:join", "chess")
        kept = texts(await otto.joins("go", "emil", "otto"))
        expect("the texts in the history of the other occupied room", kept, equals=["hello go"])
        await house.goes(rosa)
        gone = await otto.joins("chess", "otto")
        expect("the history of the room that was forgotten", gone, equals=[])
        await otto.leaves("chess")
        for n in range(5):
            await otto.joins(f"nothing is said in room {n}", "otto")
            await otto.leaves(f"nothing is said in room {n}")
        await emil.leaves("go")
        await otto.leaves("go")
        for n in range(5):
            await otto.joins(f"nothing is said in room {n}", "otto")
            await otto.leaves(f"nothing is said in room {n}")
        kept = texts(await emil.joins("go", "emil"))
        expect("the history of an empty room, after ten in which nothing was said", kept, equals=["hello go"])

    async with house_of(submission, rooms=4) as house:
        rosa, otto = await house.all_of("rosa", "otto")
        spare = await house.guest("rosa's other tab", "rosa")
        for room in ("a", "b", "c", "d"):
            await spare.joins(room, "rosa")
            await spare.says(room, f"hello {room}")
        await rosa.joins("c", "rosa")
        await spare.leaves("d")
        await spare.leaves("c")  # she is still there, with the other tab
        await spare.leaves("b")
        await house.goes(spare)
        await rosa.leaves("c")
        for room in ("1", "2"):  # "d" and "b" have been empty for the longest
            await otto.joins(room, "otto")
        for room in ("a", "c"):
            kept = texts(await rosa.joins(room, "rosa"))
            what = f"the history of {room!r}, after d, b, a and c have become empty in this order and two had to go"
            expect(what, kept, equals=[f"hello {room}"])

    async with house_of(submission) as house:
        rosa = await house.guest("rosa")
        for n in range(100):
            await rosa.is_answered({"status": "ok", "room": f"{n}", "members": ["rosa"]}, "chat:join", f"{n}")
        await rosa.is_refused("rooms_full", "chat:join", "one more than there are places as it comes")


@check(
    points=1,
    hints=(
        "What is not sent to newcomers any more, need not be kept.",
        "Where does your list get shorter? Look at what is kept, not at what is sent.",
    ),
)
async def test_forgets_old_messages(submission: Any) -> None:
    """Of 200 messages with 1,000 characters, 5 are kept: the memory of the others is free."""
    async with house_of(submission, history=5) as house:
        rosa = await house.guest("rosa")
        await rosa.joins("chess", "rosa")
        tracemalloc.start()
        try:
            await rosa.says("chess", "a first one")
            await house.heard()
            gc.collect()
            before, _ = tracemalloc.get_traced_memory()
            for n in range(200):
                await rosa.tell("chat:message", {"room": "chess", "text": f"{n:03}" + "x" * 997})
                if n % 20 == 19:
                    await house.heard()
            await rosa.says("chess", "a last one")
            await house.heard()
            gc.collect()
            after, _ = tracemalloc.get_traced_memory()
            expect("the kilobytes that 200 messages leave behind", max(0, after - before) // 1000, within=(0, 100))
        finally:
            tracemalloc.stop()
        otto = await house.guest("otto")
        wanted = [*(f"{n:03}" for n in range(196, 200)), "a l"]
        got = [text[:3] for text in texts(await otto.joins("chess", "otto", "rosa"))]
        expect("the beginnings of the texts that are kept", got, equals=wanted)
        sid = otto.sid
        await otto.ask("chat:typing", "chess")
        await house.goes(otto)
        handlers = dict(house.sio.handlers["/"])
        await forgotten(submission, "the id of a connection that has ended", sid, handlers)
        nora = await house.guest("nora")
        for event in ("chat:leave", "chat:join", "chat:typing", "chat:leave"):
            await nora.ask(event, "a room in which nothing was said")
        what = "the name of a room that is gone, because nothing was said in it"
        await forgotten(submission, what, "a room in which nothing was said", handlers)
        await house.goes(nora)
        what = "the name of a user who has gone, and so has the only room in which she was"
        await forgotten(submission, what, nora.user, handlers)


@check(
    points=2,
    hints=(
        "A handler that raises sends no ack. Which lines of yours raise for None, for a list, for no data at all?",
        "Data is an argument of your handler: it can be missing, or be two. A text has a type and two bounds.",
    ),
)
async def test_answers_whatever_comes(submission: Any) -> None:
    """Bad names, bad texts, too many arguments and none are answered with an error, and the others go on."""
    long = "x" * 65
    no_names: list[Any] = [None, 7, True, "", ["chess"], {"name": "chess"}, {}, long]
    async with house_of(submission) as house:
        rosa, otto = await house.all_of("rosa", "otto")
        await otto.joins("chess", "otto")
        await rosa.joins("chess", "otto", "rosa")
        await house.heard()
        for event in ("chat:join", "chat:leave", "chat:typing"):
            for name in no_names:
                await rosa.is_refused("bad_payload", event, name)
            await rosa.is_refused("bad_payload", event)
            await rosa.is_refused("bad_payload", event, "chess", "go")
        for data in (None, "chess", 7, [], ["chess", "e4"], {}, {"room": "chess"}, {"text": "e4"}):
            await rosa.is_refused("bad_payload", "chat:message", data)
        for text in (None, 7, 0, True, "", ["e4"], {}, "x" * 1001, "ü" * 1001):
            answer = await rosa.is_refused("bad_payload", "chat:message", {"room": "chess", "text": text})
            expect(f"the message of the ack for the text {show((text,))}", answer["message"].lower(), contains="text")
        for name in no_names:
            answer = await rosa.is_refused("bad_payload", "chat:message", {"room": name, "text": "e4"})
            expect(f"the message of the ack for the room {show((name,))}", answer["message"].lower(), contains="room")
        await rosa.is_refused("bad_payload", "chat:message")
        await rosa.is_refused("bad_payload", "chat:message", {"room": "chess", "text": "e4"}, "twice")
        for event in ("chat:join", "chat:leave", "chat:typing", "chat:message"):
            await rosa.tell(event, None)
        await rosa.leaves("a room where she is not")
        await house.hears("of all that")
        await rosa.joins(long[1:], "rosa")
        await rosa.says("chess", "x" * 1000)
        said = texts(messages((await house.heard())["otto"]))
        expect("how long the texts are that otto hears after that", [len(text) for text in said], equals=[1000])
        for room in ("ü" * 64, " ", "Chess", " chess", "chess ", "\ud83d", "che\x00ss", "che\u0301ss"):
            expect(f"the history of the room {room!r}", await rosa.joins(room, "rosa"), equals=[])
        whole = ["ü" * 1000, " ", "  E4 ", "\ud83d", "e4\n", "e\x004", "e\u03014"]
        for text in whole:
            await rosa.says("chess", text)
        expect("the texts that otto hears", texts(messages((await house.heard())["otto"])), equals=whole)
        await otto.joins("chess", "otto", "rosa")
