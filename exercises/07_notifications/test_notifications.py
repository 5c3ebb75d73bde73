"""The checks of exercise 07. `rtlab grade 07` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio
from socketio.exceptions import ConnectionRefusedError as Refusal

import rtlab
from rtlab.grading import check, expect
from rtlab.grading.harness import ConnectionEnd, unregistered
from rtlab.grading.kept import forgotten

DEMANDS = {
    "Two events come from clients, `subscribe` and `unsubscribe`.": "test_answers_with_topics",
    "Each event has one argument, a list of topics": ("test_answers_with_topics", "test_answers_bad_topics"),
    "with all the topics to which this client is subscribed now, sorted": "test_answers_with_topics",
    "An empty list, subscribing again, and leaving what one is not subscribed to are no errors.": (
        "test_answers_with_topics"
    ),
    "Topics are compared as they are: nothing is trimmed, and case counts.": "test_answers_with_topics",
    "for anything else than one list of texts of 1 to `MAX_LENGTH` characters": "test_answers_bad_topics",
    "for what would leave the client with more than `MAX_TOPICS`": "test_answers_bad_topics",
    "The message is a sentence of yours.": "test_answers_bad_topics",
    "An error changes nothing.": "test_answers_bad_topics",
    "A subscription ends with the client's connection to this namespace": "test_a_subscription_ends_with_the_visit",
    "the client may enter again over the same WebSocket": "test_a_subscription_ends_with_the_visit",
    "Nothing is kept of clients that have left, or of topics without subscribers.": (
        "test_a_subscription_ends_with_the_visit"
    ),
    "Two objects of this class, registered under two names, know nothing of each other.": (
        "test_publishes_to_subscribers"
    ),
    '`auth` is an object whose "username" is a text that is not empty': "test_has_a_door_of_its_own",
    "Everybody else is refused, whatever they sent instead.": "test_has_a_door_of_its_own",
    'They get the message "Authentication required" and the data': "test_has_a_door_of_its_own",
    "the name under which this object is registered": "test_has_a_door_of_its_own",
    "Other namespaces of the same client are neither asked nor touched.": "test_has_a_door_of_its_own",
    "to the clients that are subscribed to a topic: once to each, and to nobody else": (
        "test_publishes_to_subscribers",
        "test_publishes_while_clients_come_and_go",
        "test_an_id_is_no_topic",
    ),
    "It has one argument, the payload with the topic added": "test_publishes_to_subscribers",
    'A "topic" in the payload gives way to the real one.': "test_publishes_to_subscribers",
    "The payload itself stays as it was.": "test_publishes_to_subscribers",
    "Clients may subscribe, unsubscribe and leave meanwhile.": "test_publishes_while_clients_come_and_go",
    "If nobody is subscribed, nobody hears it.": "test_nobody_is_subscribed",
    "The program around the server calls this. A client cannot.": "test_only_the_server_publishes",
}
"""What README.md and notifications.py demand, and the check that looks at it."""

IN_TIME_S = 2
"""Seconds for one answer. On this machine's own network it takes a few thousandths of one."""
DOOR_S = 1
"""The same for the first answer, at the door."""
CHAT = "/chat"
NEWS = "/notifications"
ADA = {"username": "ada"}
HARD = (" a", "A", "a ", "goals:home", "topic:goals", "ü" * 64)
"""Topics that differ in little, and that nobody takes apart."""


class Chat(socketio.AsyncNamespace):
    """What runs beside the submission: everybody may enter, and one question is answered."""

    async def on_hello(self, sid: str) -> str:
        return "hello from the chat"


class Closed(socketio.AsyncNamespace):
    """The namespace / of the checks: it refuses everybody."""

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        raise Refusal("closed")


class Visitor:
    """A client, and everything that it has heard."""

    def __init__(self, name: str, namespaces: tuple[str, ...], sio: socketio.AsyncServer) -> None:
        self.name = name
        self.client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        self.heard: list[tuple[str, str, Any]] = []
        """(namespace, event, argument) of each event but the check's own marks."""
        self._marks: asyncio.Queue[int] = asyncio.Queue()
        self._doors: dict[str, asyncio.Future[Any]] = {}
        self._ending = ConnectionEnd()
        self._sio = sio
        loop = asyncio.get_running_loop()
        for namespace in namespaces:
            self._doors[namespace] = loop.create_future()
            self._listen(namespace)

    def _listen(self, namespace: str) -> None:
        def opened() -> None:
            self._doors[namespace].set_result("let in")

        def refused(data: Any) -> None:
            self._doors[namespace].set_result(data)

        def event(name: str, *arguments: Any) -> None:
            if name == "the mark of the check":
                self._marks.put_nowait(arguments[0])
            else:
                self.heard.append((namespace, name, arguments[0] if len(arguments) == 1 else arguments))

        self.client.on("connect", opened, namespace=namespace)
        self.client.on("disconnect", self._ending.note, namespace=namespace)
        self.client.on("connect_error", refused, namespace=namespace)
        self.client.on("*", event, namespace=namespace)

    async def at_the_door(self, namespace: str) -> Any:
        """What a namespace answers to the wish to enter: "let in", or the refusal."""
        door = asyncio.shield(self._doors[namespace])
        return await expect.arrives(f"an answer to {self.name} at the door of {namespace}", door, within_s=DOOR_S)

    async def ask(self, event: str, *arguments: Any, namespace: str = NEWS) -> Any:
        """The answer to an event with these arguments."""
        spelt = ", ".join(map(repr, arguments))
        return await expect.arrives(
            f"an ack for {event}({spelt if len(spelt) < 80 else spelt[:80] + '…'}) of {self.name}",
            self._ending.or_ends(self.client.call(event, arguments, namespace=namespace)),
            within_s=IN_TIME_S,
            why=lambda: unregistered(self._sio, event, namespace),
        )

    async def comes_back(self, namespace: str) -> None:
        """Leave a namespace and enter it again. The WebSocket stays, the socket's id does not."""
        await self.client.eio.send(f"1{namespace},")  # DISCONNECT
        await self.client.eio.send(f'0{namespace},{{"username":"{self.name}"}}')  # CONNECT

    async def marked(self, number: int) -> None:
        while await expect.arrives(f"{self.name} to be served", self._marks.get(), within_s=IN_TIME_S) != number:
            pass


class Hall:
    """A server with a chat, a closed `/`, and the submission's class under one or more names."""

    def __init__(self, submission: Any, *names: str) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp")
        self.sio.register_namespace(Closed("/"))
        self.sio.register_namespace(Chat(CHAT))
        self.made = [submission.Notifications(name) for name in names]
        for namespace in self.made:
            self.sio.register_namespace(namespace)
        self.url = ""
        self._mark = 0

    @asynccontextmanager
    async def visitor(self, name: str, *namespaces: str, auth: Any = None) -> AsyncIterator[Visitor]:
        """A client that knocks at these namespaces, over one connection."""
        visitor = Visitor(name, namespaces, self.sio)
        asked = visitor.client.connect(
            self.url, namespaces=list(namespaces), auth=auth, transports=["websocket"], wait=False
        )
        try:
            await expect.arrives(f"the connection of {name}", asked, within_s=IN_TIME_S)
            yield visitor
        finally:
            await visitor.client.disconnect()

    @asynccontextmanager
    async def guest(self, name: str, *namespaces: str, tag: str = "") -> AsyncIterator[Visitor]:
        """A client with a name tag, its own by default, that is let in at the chat and at these namespaces."""
        namespaces = (CHAT, *(namespaces or (NEWS,)))
        async with self.visitor(name, *namespaces, auth={"username": tag or name}) as visitor:
            for namespace in namespaces:
                expect(
                    f"what {name} hears at the door of {namespace}",
                    await visitor.at_the_door(namespace),
                    equals="let in",
                )
            yield visitor

    async def all_served(self, *visitors: Visitor) -> None:
        """Wait until each of them has heard whatever was sent so far."""
        self._mark += 1
        await self.sio.emit("the mark of the check", self._mark, namespace=CHAT)
        for visitor in visitors:
            await visitor.marked(self._mark)


@asynccontextmanager
async def hall(submission: Any, *names: str) -> AsyncIterator[Hall]:
    made = Hall(submission, *(names or (NEWS,)))
    async with rtlab.serve(made.sio) as server:
        made.url = server.url
        yield made


def subscribed(*topics: str) -> dict[str, Any]:
    """The ack that lists these topics."""
    return {"status": "ok", "topics": list(topics)}


def notification(topic: str, **payload: Any) -> tuple[str, str, Any]:
    return (NEWS, "notification", {"topic": topic, **payload})


def heard_exactly(visitor: Visitor, *wanted: tuple[str, str, Any]) -> None:
    for number, one in enumerate(wanted, 1):
        got: Any = visitor.heard[number - 1] if len(visitor.heard) >= number else "nothing"
        expect(f"what {visitor.name} hears as number {number} of {len(wanted)}", got, equals=one)
    more = visitor.heard[len(wanted) :]
    nothing = f"nothing after number {len(wanted)}" if wanted else "nothing"
    expect.that(f"{visitor.name} hears {nothing}", not more, but=f"then came {more[:1]}")
    visitor.heard.clear()


@check(
    points=2,
    hints=(
        "Each namespace has its own `on_connect`, and nobody asks one on behalf of another.",
        "Check the type of `auth` and of its username first. `ConnectionRefusedError` takes a message and data.",
    ),
)
async def test_has_a_door_of_its_own(submission: Any) -> None:
    """Eight strangers are refused at /notifications and served in /chat; three with a name tag are let in."""
    strangers: list[Any] = [None, {"username": ""}, {"username": 7}, {"username": ["ada"]}, {"username": True}]
    strangers += [{"name": "ada"}, "ada", ["username", "ada"]]
    refusal = {"message": "Authentication required", "data": {"namespace": NEWS}}
    async with hall(submission, NEWS, "/other") as made:
        for auth in strangers:
            async with made.visitor(f"a client with auth {auth!r}", NEWS, CHAT, auth=auth) as stranger:
                what = f"what {NEWS} answers to auth {auth!r}"
                expect(what, await stranger.at_the_door(NEWS), equals=refusal)
                await stranger.at_the_door(CHAT)
                what = f"what /chat answers to a client that {NEWS} has refused"
                expect(what, await stranger.ask("hello", namespace=CHAT), equals="hello from the chat")
                await made.sio.emit("notification", "to all who are inside", namespace=NEWS)
                await made.all_served(stranger)
                heard_exactly(stranger)
        async with made.visitor("a client without auth", "/other") as stranger:
            what = "what an object that is registered as /other answers to auth None"
            expect(what, await stranger.at_the_door("/other"), equals=refusal | {"data": {"namespace": "/other"}})
        for auth in ({"username": " ", "role": None}, {"username": "ü"}):
            async with made.visitor(f"a client with auth {auth!r}", NEWS, auth=auth) as guest:
                expect(f"what {NEWS} answers to auth {auth!r}", await guest.at_the_door(NEWS), equals="let in")
        async with made.visitor("ada", "/", NEWS, auth=ADA) as ada:
            expect("what ada hears at the door of /", await ada.at_the_door("/"), equals={"message": "closed"})
            what = f"what ada, whom / has refused, hears at the door of {NEWS}"
            expect(what, await ada.at_the_door(NEWS), equals="let in")


@check(
    points=2,
    hints=(
        "Which method of a class-based namespace answers the event `subscribe`? What it returns is the ack.",
        "A room per topic will do: the server knows the rooms of a client. Cut your prefix off once, at the front.",
    ),
)
async def test_answers_with_topics(submission: Any) -> None:
    """Two clients subscribe and unsubscribe, 13 requests in all; each ack lists the client's own topics, sorted."""
    async with hall(submission) as made, made.guest("bob") as bob, made.guest("cleo") as cleo:
        steps: list[tuple[Visitor, str, list[str], tuple[str, ...]]] = [
            (bob, "subscribe", ["storms", "jobs"], ("jobs", "storms")),
            (cleo, "subscribe", ["goals"], ("goals",)),
            (bob, "subscribe", ["jobs", "alarms", "alarms"], ("alarms", "jobs", "storms")),
            (bob, "subscribe", [], ("alarms", "jobs", "storms")),
            (bob, "unsubscribe", ["jobs", "goals"], ("alarms", "storms")),
            (cleo, "unsubscribe", [], ("goals",)),
            (bob, "unsubscribe", ["storms", "alarms"], ()),
            (cleo, "subscribe", ["x" * 64], ("goals", "x" * 64)),
            (bob, "unsubscribe", [f"topic {number}" for number in range(25)], ()),
            (bob, "subscribe", ["a", "A", " a", "a "], (" a", "A", "a", "a ")),
            (bob, "unsubscribe", ["a", " "], (" a", "A", "a ")),
            (bob, "subscribe", ["ü" * 64, "topic:goals", "goals:home"], HARD),
            (cleo, "subscribe", ["\ud83d", ":"], (":", "goals", "x" * 64, "\ud83d")),
        ]
        for visitor, event, topics, wanted in steps:
            what = f"the ack for {event}({topics!r}) of {visitor.name}"
            expect(what, await visitor.ask(event, topics), equals=subscribed(*wanted))


@check(
    points=3,
    hints=(
        "What does `emit` do when nobody tells it a namespace? `self.emit` and `self.server.emit` differ in that.",
        "The name of the namespace is in the object. So is what belongs to it: nothing is shared between two objects.",
    ),
)
async def test_publishes_to_subscribers(submission: Any) -> None:
    """Six notifications to four clients, two with one name tag: each hears its own, once, and only there."""
    async with (
        hall(submission, NEWS, "/other") as made,
        made.guest("bob") as bob,
        made.guest("cleo") as cleo,
        made.guest("dora", tag="bob") as dora,
        made.guest("emil", NEWS, "/other") as emil,
    ):
        news, other = made.made
        await bob.ask("subscribe", ["goals", "storms"])
        await cleo.ask("subscribe", ["storms"])
        await emil.ask("subscribe", ["goals"], namespace="/other")
        payload = {"level": 3, "topic": "fake"}
        await news.publish("storms", payload)
        expect("the payload after `publish`", payload, equals={"level": 3, "topic": "fake"})
        await news.publish("goals", {"by": None})
        await other.publish("goals", {"by": "emil"})
        await news.publish("chess", {})
        await cleo.ask("subscribe", ["chess"])
        await cleo.ask("unsubscribe", ["storms"])
        await news.publish("storms", {"level": 4})
        await news.publish("chess", {})
        await made.all_served(bob, cleo, dora, emil)
        heard_exactly(
            bob, notification("storms", level=3), notification("goals", by=None), notification("storms", level=4)
        )
        heard_exactly(cleo, notification("storms", level=3), notification("chess"))
        heard_exactly(dora)
        heard_exactly(emil, ("/other", "notification", {"topic": "goals", "by": "emil"}))


@check(
    points=2,
    hints=(
        "While `publish` waits, handlers run: they change what you walk through.",
        "Let the server do the walking: one `emit` to one room. If you keep ids yourself, walk through a copy.",
    ),
)
async def test_publishes_while_clients_come_and_go(submission: Any) -> None:
    """Forty notifications while two clients subscribe, unsubscribe and enter again: a third hears all, in order."""
    async with (
        hall(submission) as made,
        made.guest("bob") as bob,
        made.guest("cleo") as cleo,
        made.guest("dora") as dora,
    ):
        await bob.ask("subscribe", ["tides"])

        async def come_and_go(visitor: Visitor) -> None:
            for _ in range(5):
                for event in ("subscribe", "unsubscribe", "subscribe"):
                    await visitor.ask(event, ["tides", "trams"])
                await visitor.comes_back(NEWS)

        going = asyncio.gather(come_and_go(cleo), come_and_go(dora))
        try:
            number = 0
            while number < 40 or not going.done():
                await made.made[0].publish("tides", {"n": number})
                number += 1
                await asyncio.sleep(0)
            await going
        finally:
            going.cancel()
        await made.all_served(bob, cleo, dora)
        heard_exactly(bob, *(notification("tides", n=n) for n in range(number)))
        await made.made[0].publish("tides", {"n": "last"})
        for visitor in (cleo, dora):
            visitor.heard.clear()
        await made.all_served(bob, cleo, dora)
        heard_exactly(bob, notification("tides", n="last"))
        for visitor in (cleo, dora):
            heard_exactly(visitor)


@check(
    points=2,
    hints=(
        "A client can leave the namespace and stay on the WebSocket. It gets a new id when it enters again.",
        "The server forgets rooms by itself. From your own dict take the client in `on_disconnect`, and empty topics.",
    ),
)
async def test_a_subscription_ends_with_the_visit(submission: Any) -> None:
    """A client leaves and enters again over one WebSocket: neither subscription, old id nor 100 topics stay."""
    async with hall(submission) as made, made.guest("zoe") as zoe, made.guest("bob") as bob:
        news, sid = made.made[0], str(zoe.client.get_sid(NEWS))
        await zoe.ask("subscribe", ["tides", "trams"])
        await bob.ask("subscribe", ["trams"])
        await zoe.comes_back(NEWS)
        what = "the ack for subscribe([]) of zoe, who has left the namespace and entered it again"
        expect(what, await zoe.ask("subscribe", []), equals=subscribed())
        for topic in ("tides", "trams"):
            await news.publish(topic, {"n": 1})
        await made.all_served(zoe, bob)
        heard_exactly(zoe)
        heard_exactly(bob, notification("trams", n=1))
        await forgotten(submission, "the id of a client that has left", sid, news)

        for first in range(0, 100, 20):
            topics = [f"a topic that ends, {number}" for number in range(first, first + 20)]
            await zoe.ask("subscribe", topics)
            await news.publish(f"a topic that ends, and that nobody wanted, {first}", {})
            await zoe.ask("unsubscribe", topics)
        await forgotten(submission, "any of 100 topics without subscribers", "a topic that ends", news)


@check(
    points=2,
    hints=(
        "To whom does python-socketio send when the list of recipients is empty? Try `to=[]`.",
        "No topics is not all topics. And what is the address of a topic that nobody has ever subscribed to?",
    ),
)
async def test_nobody_is_subscribed(submission: Any) -> None:
    """Three topics without a subscriber are published to, one of them with an empty name: nobody hears anything."""
    async with hall(submission) as made, made.guest("bob") as bob, made.guest("cleo") as cleo:
        news = made.made[0]
        expect("the ack for subscribe([]) of bob", await bob.ask("subscribe", []), equals=subscribed())
        await cleo.ask("subscribe", ["tides", "trams"])
        await cleo.ask("unsubscribe", ["tides"])
        for topic in ("tides", "never mentioned", ""):
            await news.publish(topic, {"n": 1})
            await made.all_served(bob, cleo)
            for visitor in (bob, cleo):
                but = f"it heard {visitor.heard[:1]}"
                expect.that(f"{visitor.name} hears nothing of the topic {topic!r}", not visitor.heard, but=but)
        await news.publish("trams", {"n": 2})
        await made.all_served(bob, cleo)
        heard_exactly(bob)
        heard_exactly(cleo, notification("trams", n=2))


@check(
    points=2,
    hints=(
        "A handler that raises sends no ack. Which of your lines can raise, for some input?",
        "Take `*args`. Check all of it and count before you change anything, with no `await` that waits in between.",
    ),
)
async def test_answers_bad_topics(submission: Any) -> None:
    """Each of 20 bad requests and three that want too much gets an error, changes nothing, and harms nobody."""
    many = [f"topic {number:02}" for number in range(20)]
    bad: list[tuple[Any, ...]] = [(), (None,), ("tides",), (7,), ({"topics": ["tides"]},), (["tides"], ["trams"])]
    bad += [(["tides", 7],), ([["tides"]],), (["tides", ""],), (["x" * 65],), ([True],), (["trams", None],)]
    bad += [([""],), (["ü" * 65],), (["tides"], None), ([*many, "trams", 7],), ({},), ("",), (0,), (False,)]
    async with hall(submission) as made, made.guest("eve") as eve, made.guest("bob") as bob:
        await eve.ask("subscribe", ["tides"])
        for arguments in bad:
            for event in ("subscribe", "unsubscribe"):
                what = f"the ack for {event}{arguments!r}"
                error(what, await eve.ask(event, *arguments), "bad_topics")
                after = f"the ack for subscribe([]) after {event}{arguments!r}"
                expect(after, await eve.ask("subscribe", []), equals=subscribed("tides"))
        error("the ack for 20 topics on top of one", await eve.ask("subscribe", many), "too_many")
        after = "the ack for subscribe([]) after too many topics"
        expect(after, await eve.ask("subscribe", []), equals=subscribed("tides"))
        what = "the ack for 20 topics, one of them twice and one of them known"
        wanted = await eve.ask("subscribe", ["tides", *many[:19], many[0]])
        expect(what, wanted, equals=subscribed("tides", *many[:19]))
        error("the ack for one topic more than 20", await eve.ask("subscribe", ["one more"]), "too_many")
        await eve.ask("unsubscribe", many)
        twice = await asyncio.gather(*(bob.ask("subscribe", [f"{n} {topic}" for topic in many[:15]]) for n in range(2)))
        statuses = sorted(str(ack.get("status")) if isinstance(ack, dict) else repr(ack) for ack in twice)
        expect("the statuses of two requests for 15 topics each, sent at once", statuses, equals=["error", "ok"])
        all_15 = [f"0 {topic}" for topic in many[:15]]
        expect("the ack for what bob has after that", await bob.ask("subscribe", []), equals=subscribed(*all_15))
        await bob.ask("unsubscribe", all_15)
        expect("the ack for 20 topics of bob", await bob.ask("subscribe", many), equals=subscribed(*many))


def error(what: str, got: Any, code: str) -> None:
    """Observe an error ack."""
    answer = expect(what, got, is_a=dict)
    expect(f"the status in {what}", answer.get("status"), equals="error")
    expect(f"the code in {what}", answer.get("code"), equals=code)
    message = expect(f"the message in {what}", answer.get("message"), is_a=str)
    expect.that(f"the message in {what} is a sentence", len(message.split()) > 1, but=f"it is {message!r}")
    expect(f"the fields of {what}", sorted(answer), equals=["code", "message", "status"])


@check(
    points=1,
    hints=(
        "Every client is in a room named after its id, and a topic is a name that a client chooses.",
        "What if the rooms that you enter could never be spelt like any room that you did not make?",
    ),
)
async def test_an_id_is_no_topic(submission: Any) -> None:
    """A client subscribes to a topic spelt like another's id: it is a topic like any other, and gives away nothing."""
    async with hall(submission) as made, made.guest("bob") as bob, made.guest("eve") as eve:
        hers, his = eve.client.get_sid(NEWS), bob.client.get_sid(NEWS)
        what = "the ack for a topic that is spelt like an id"
        expect(what, await eve.ask("subscribe", [his]), equals=subscribed(his))
        expect("the ack for leaving one's own id", await eve.ask("unsubscribe", [hers]), equals=subscribed(his))
        await made.sio.emit("private", "for bob", to=his, namespace=NEWS)
        await made.sio.emit("private", "for eve", to=hers, namespace=NEWS)
        await made.made[0].publish(his, {"n": 1})
        await made.made[0].publish(hers, {"n": 2})
        await made.all_served(bob, eve)
        heard_exactly(bob, (NEWS, "private", "for bob"))
        heard_exactly(eve, (NEWS, "private", "for eve"), notification(his, n=1))


@check(
    points=1,
    hints=(
        "By which rule does a class-based namespace find the method for an event?",
        "A method whose name begins with `on_` can be called by every client that is inside.",
    ),
)
async def test_only_the_server_publishes(submission: Any) -> None:
    """A client sends `publish` and `notification` by itself; a subscriber hears only what the server does."""
    async with hall(submission) as made, made.guest("bob") as bob, made.guest("eve") as eve:
        await bob.ask("subscribe", ["jobs"])
        for event in ("publish", "notification", "notify"):
            for arguments in (("jobs", {"by": "eve"}), ({"topic": "jobs", "by": "eve"},)):
                await eve.client.emit(event, arguments, namespace=NEWS)
        await eve.ask("subscribe", ["jobs"])
        await made.made[0].publish("jobs", {"by": "the server"})
        await made.all_served(bob, eve)
        heard_exactly(bob, notification("jobs", by="the server"))
        heard_exactly(eve, notification("jobs", by="the server"))
