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

IN_TIME_S = 2
"""Seconds for one answer. On this machine's own network it takes a few thousandths of one."""
DOOR_S = 1
"""The same for the first answer, at the door."""
CHAT = "/chat"
NEWS = "/notifications"
ADA = {"username": "ada"}


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

    def __init__(self, name: str, namespaces: tuple[str, ...]) -> None:
        self.name = name
        self.client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        self.heard: list[tuple[str, str, Any]] = []
        """(namespace, event, argument) of each event but the check's own marks."""
        self._marks: asyncio.Queue[int] = asyncio.Queue()
        self._doors: dict[str, asyncio.Future[Any]] = {}
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
            self.client.call(event, arguments, namespace=namespace),
            within_s=IN_TIME_S,
        )

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
        visitor = Visitor(name, namespaces)
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
        "`auth` is whatever the client sent: None, a text, a list. A refusal is an exception of `socketio.exceptions`.",
    ),
)
async def test_has_a_door_of_its_own(submission: Any) -> None:
    """Eight strangers are refused at /notifications and served in /chat; one with a name tag is let in."""
    strangers: list[Any] = [None, {"username": ""}, {"username": 7}, {"username": ["ada"]}, {"username": True}]
    strangers += [{"name": "ada"}, "ada", ["username", "ada"]]
    refusal = {"message": "Authentication required", "data": {"namespace": NEWS}}
    async with hall(submission) as made:
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
        async with made.visitor("ada", "/", NEWS, auth=ADA) as ada:
            expect("what ada hears at the door of /", await ada.at_the_door("/"), equals={"message": "closed"})
            what = f"what ada, whom / has refused, hears at the door of {NEWS}"
            expect(what, await ada.at_the_door(NEWS), equals="let in")


@check(
    points=2,
    hints=(
        "Which method of a class-based namespace answers the event `subscribe`? What it returns is the ack.",
        "A server already keeps lists of clients with a name each. Ask it in which of them this client is.",
    ),
)
async def test_answers_with_topics(submission: Any) -> None:
    """Two clients subscribe and unsubscribe, eight requests in all; each ack lists the client's own topics, sorted."""
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
        "How many arguments a client sends is its own choice: `*args`. Look at all of it before you change anything.",
    ),
)
async def test_answers_bad_topics(submission: Any) -> None:
    """Each of eleven bad requests and two that want too much gets an error, changes nothing, and harms nobody."""
    bad: list[tuple[Any, ...]] = [(), (None,), ("tides",), (7,), ({"topics": ["tides"]},), (["tides"], ["trams"])]
    bad += [(["tides", 7],), ([["tides"]],), (["tides", ""],), (["x" * 65],), ([True],)]
    many = [f"topic {number:02}" for number in range(20)]
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
        expect("the ack for a request of bob", await bob.ask("subscribe", many), equals=subscribed(*many))


def error(what: str, got: Any, code: str) -> None:
    """Observe an error ack."""
    answer = expect(what, got, is_a=dict)
    expect(f"the status in {what}", answer.get("status"), equals="error")
    expect(f"the code in {what}", answer.get("code"), equals=code)
    expect(f"the message in {what}", answer.get("message"), is_a=str)


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
