"""The checks of exercise 13. `rtlab grade 13` runs them: each starts a Valkey, the chat, and a proxy that disturbs it.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import socketio
from redis.asyncio import Redis

import rtlab
from rtlab.chat.app import create_app
from rtlab.chat.auth import issue_token
from rtlab.chat.client.chat_client import Client, connect
from rtlab.chat.limits import Limits
from rtlab.chat.stores.redis_keys import PREFIX
from rtlab.grading import check, expect
from rtlab.grading.child.loading import Submission, load_module
from rtlab.grading.results import time_scale
from rtlab.scale.broker import Broker, open_broker

DEMANDS = {
    "Store a message in a room, once, and give the id that the server has given to it.": (
        "test_stores_messages",
        "test_asks_again",
    ),
    "It enters the room where this connection is not yet in it.": ("test_stores_messages", "test_comes_back"),
    "It asks again until there is an answer": "test_asks_again",
    "when the connection has ended and there is a new one": "test_comes_back",
    'after the codes "rate_limited" and "unavailable"': ("test_slows_down", "test_outlives_redis"),
    "It asks again within a second or so, and at most ten times a second.": (
        "test_comes_back",
        "test_slows_down",
        "test_outlives_redis",
    ),
    "All attempts to send a message have the same clientId": "test_asks_again",
    "no other message of this user has it": "test_shares_no_id",
    "Two outboxes share nothing.": ("test_asks_again", "test_resumes"),
    "Messages of one room are stored in the order in which send was called": (
        "test_stores_messages",
        "test_keeps_the_order",
    ),
    "One that is refused or cancelled does not stop those behind it.": ("test_is_refused", "test_is_cancelled"),
    "After a cancelled send, nothing is tried any more.": "test_is_cancelled",
    "When no call is running, nothing of an outbox is": "test_is_cancelled",
    "the server has answered with another error. That is not tried again.": "test_is_refused",
    "give what was said in them and not given yet: each message once": ("test_resumes", "test_resumes_beside_others"),
    "That begins with what was said after send had entered the room": "test_resumes",
    "Everybody's messages are given, one's own too": "test_resumes",
    "of each room the oldest first": "test_resumes",
    "They come in pages, and all pages are fetched.": "test_resumes",
    "A message counts as given when resume returns": "test_is_broken_off",
    "if it is cancelled or raises, the next one gives all of it": ("test_is_broken_off", "test_leaves_out_a_room"),
    "It may be called while send is running, or another resume.": "test_resumes_beside_others",
    "that is logged, as a warning that names the room, and those that are left are given": "test_says_what_is_lost",
    "the server does not let it into a room any more": "test_leaves_out_a_room",
    "That is none of its rooms from then on, until send enters it anew.": "test_leaves_out_a_room",
}
"""What README.md and outbox.py demand, and the check that looks at it."""
FORBIDDEN = {
    "rtlab.chat.client": "It has such an outbox. The client that yours gets is all that it takes.",
    "rtlab.instruments.soaking": "It uses such an outbox. The client that yours gets is all that it takes.",
}
BUDGET_S = 60

IN_TIME_S = 10
"""Seconds for what takes a few of your attempts. One takes a hundredth of a second, or `ANSWER_S` without an answer."""
LOOK_S = 0.005
"""Seconds between two looks at what has happened."""
LATER_S = 0.01
"""Seconds between an ack and whoever waits for it."""
AWAY_S = 0.7
"""Seconds without a server, or without Redis."""
MOST_A_SECOND = 10
"""How often one message may be tried."""
EXTRA = 2
"""Attempts that need no pause before them: the one after a room was entered."""
AT_ONCE = 6
"""Calls for each room that run at once."""
TOGETHER_S = 0.1
"""Seconds in which answers gather in the proxy, so that they come together."""
FLOOD = 5000
"""Attempts that end a check: a loop without a pause makes so many in a moment, and lets nothing else run."""
PAGE = 3
"""Messages in a page of history, where that matters."""
SECRET = "the secret of this check, of 32 bytes or more"  # noqa: S105 - it locks nothing
Message = dict[str, Any]
Value = TypeVar("Value")


@dataclass(eq=False)
class Attempt:
    """An event that an outbox has sent, or has tried to send."""

    event: str
    payload: Any
    at: float
    """Seconds of a clock that only goes forward."""
    answer: Message | None = None
    """The first argument of its ack, once that is here."""

    @property
    def room(self) -> Any:
        """The room that it is about."""
        return self.payload.get("room") if isinstance(self.payload, dict) else self.payload

    @property
    def text(self) -> Any:
        """What is said; None for a join."""
        return self.payload.get("text") if isinstance(self.payload, dict) else None

    @property
    def code(self) -> str | None:
        """The code of the error that it was answered with."""
        return self.answer.get("code") if isinstance(self.answer, dict) else None


class Line(socketio.AsyncClient):  # type: ignore[misc]
    """python-socketio's client, which notes what is sent and answered, and reconnects soon.

    Each packet is handled in a task of its own. Nothing says that whoever waits for an ack goes on before the next
    events are handled; here it never does, where they come at once.
    """

    def __init__(self) -> None:
        super().__init__(
            handle_sigint=False, reconnection_delay=0.1, reconnection_delay_max=0.1, randomization_factor=0
        )
        self.attempts: list[Attempt] = []
        self.about_to: Callable[[Attempt], None] = lambda attempt: None
        """Is called before an event is sent."""

    async def emit(self, event: str, data: Any = None, namespace: str | None = None, callback: Any = None) -> None:
        """The library's own; `call` comes here, too."""
        payload = data[0] if isinstance(data, tuple) and len(data) == 1 else data
        attempt = Attempt(event, json.loads(json.dumps(payload)), time.monotonic())
        self.attempts.append(attempt)
        if len(self.attempts) > FLOOD:
            expect.that(f"at most {MOST_A_SECOND} attempts a second are made", False, but=f"{FLOOD} were made")
        self.about_to(attempt)

        async def answered(*arguments: Any) -> None:
            attempt.answer = arguments[0] if arguments else None
            await asyncio.sleep(LATER_S)
            given = callback(*arguments)
            if inspect.isawaitable(given):
                await given

        await super().emit(event, data, namespace=namespace, callback=callback and answered)

    def joins(self) -> list[Attempt]:
        """The attempts to join a room."""
        return [each for each in self.attempts if each.event == "chat:join"]

    def sends(self, text: str) -> list[Attempt]:
        """The attempts to send this."""
        return [each for each in self.attempts if each.event == "chat:message" and each.text == text]


class Scene:
    """A chat with a Valkey, a proxy before it, and somebody who is connected directly.

    Args:
        submission: has the class.
        stack: ends what was begun.
        durable: whether Valkey keeps what it has on disk.
        limits: those of the chat that matter.
    """

    def __init__(self, submission: Any, stack: AsyncExitStack, durable: bool, limits: dict[str, Any]) -> None:
        self._submission = submission
        self._stack = stack
        self._durable = durable
        self._limits = limits
        self.closed: set[str] = {"closed"}
        """Rooms that nobody may enter."""
        self.entered = 0
        """How often the chat has begun to let somebody in."""
        self.valkey: Broker
        self.proxy: Any
        self.rosa: Client
        """Another user, who is connected directly."""
        self._with_rosa: set[str] = set()
        self._url = ""

    async def open(self) -> None:
        """Start everything."""
        os.environ.pop("REDIS_URL", None)
        self.valkey = await self._stack.enter_async_context(open_broker(durable=self._durable))
        limits = Limits(**{"events_per_s": 1000, "burst": 1000, "breaches": 1000, **self._limits})
        app = create_app(SECRET, redis=self.valkey.url, limits=limits, may_join=self._may_join)
        server = await self._stack.enter_async_context(rtlab.serve(app))
        self.proxy = await self._stack.enter_async_context(rtlab.fault_proxy(server))
        token = issue_token("rosa", SECRET)
        self.rosa = await self._stack.enter_async_context(connect(server.url, token=token, transports=["websocket"]))

    async def _may_join(self, _: str, room: str) -> bool:
        self.entered += 1
        return room not in self.closed

    async def outbox(self, *, anew: bool = False) -> tuple[Line, Any]:
        """An outbox of ann's, on a connection of its own through the proxy.

        Args:
            anew: whether it is that of a program that has just been started: your file is run again.
        """
        line = Line()
        token = issue_token("ann", SECRET)
        await line.connect(self.proxy.url, auth={"token": token}, transports=["websocket"])
        self._stack.push_async_callback(line.shutdown)
        return line, (self._started_anew() if anew else self._submission).Outbox(line)

    def _started_anew(self) -> Submission:
        path = Path(self._submission.__file__)
        return Submission(load_module(path, path.read_bytes()), path.name)

    async def stored(self, room: str) -> list[Message]:
        """What Valkey holds of a room, oldest first, as the chat gives it to its clients."""
        async with Redis.from_url(self.valkey.url, decode_responses=True) as redis:
            entries = await redis.xrange(f"{PREFIX}history:room:{room}")
        return [{**json.loads(fields["record"]), "offset": offset} for offset, fields in entries]

    async def texts(self, room: str) -> list[str]:
        """What these messages say."""
        return [message["text"] for message in await self.stored(room)]

    async def holds(self, what: str, room: str, texts: list[str]) -> None:
        """Observe which messages are stored in a room."""
        expect(f"what is stored in {room!r} {what}", await self.texts(room), equals=texts)

    async def says(self, room: str, *texts: str) -> None:
        """Rosa says this."""
        if room not in self._with_rosa:
            self._with_rosa.add(room)
            await self.rosa.join(room)
        for text in texts:
            await self.rosa.send(room, text)

    def loses_the_ack(self, line: Line, text: str) -> None:
        """No ack reaches anybody from the first attempt to send this on."""

        def about_to(attempt: Attempt) -> None:
            if attempt.text == text:
                self.proxy.swallow_acks()
                line.about_to = lambda _: None

        line.about_to = about_to

    def passes_acks(self, line: Line, number: int) -> None:
        """Acks come again from this attempt on, whatever it is, counted from the next one."""
        first = len(line.attempts)

        def about_to(_: Attempt) -> None:
            if len(line.attempts) - first == number:
                self.proxy.pass_acks()
                line.about_to = lambda _: None

        line.about_to = about_to

    async def cut(self, line: Line) -> None:
        """Its connection is cut, with what waits in the proxy. It is back when this returns."""
        before = self.proxy.accepted
        self.proxy.drop()
        self.proxy.resume()
        await happens("the client to be connected again", lambda: self.proxy.accepted > before and line.connected)


@asynccontextmanager
async def scene(submission: Any, *, durable: bool = False, **limits: Any) -> AsyncIterator[Scene]:
    """All of it, for the length of a block."""
    async with AsyncExitStack() as stack:
        made = Scene(submission, stack, durable, limits)
        await made.open()
        yield made


async def happens(what: str, condition: Callable[[], bool], *, beside: asyncio.Future[Any] | None = None) -> None:
    """Wait for something that the check needs; what runs beside it may end with an exception, which is raised."""

    async def wait() -> None:
        while not condition():
            if beside is not None and beside.done():
                beside.result()
            await asyncio.sleep(LOOK_S)

    await expect.arrives(what, wait(), within_s=IN_TIME_S)


async def tries(line: Line, calling: asyncio.Future[Any]) -> None:
    """Wait until one attempt more is made, to join or to send; a call that ends meanwhile may raise why."""
    before = len(line.attempts)
    await happens("an attempt", lambda: len(line.attempts) > before, beside=calling)


async def gets_through(what: str, sending: Awaitable[Value]) -> Value:
    """Observe that a call ends."""
    return await expect.arrives(what, sending, within_s=IN_TIME_S)


async def ends(call: Awaitable[object]) -> None:
    """Wait for a call that has to raise; one that hangs ends in TimeoutError."""
    async with asyncio.timeout(IN_TIME_S * time_scale()):
        await call


@contextmanager
def running(*calls: asyncio.Task[Any]) -> Iterator[None]:
    """Calls that run during a block, and that are cancelled after it if they still do."""
    try:
        yield
    finally:
        for each in calls:
            each.cancel()


def begun(call: Awaitable[Value]) -> asyncio.Task[Value]:
    """A call that runs."""
    return asyncio.ensure_future(call)  # type: ignore[return-value]


def paces_itself(line: Line) -> None:
    """Observe that nothing was tried too often.

    Between two attempts without a pause there is none that is too early on a slow machine: a pause never ends early.
    """
    asked: dict[str, list[float]] = {}
    for each in line.attempts:
        if each.event == "chat:message":
            asked.setdefault(f"the message {each.text!r} is sent", []).append(each.at)
        elif each.event == "chat:join":
            asked.setdefault(f"the room {each.room!r} is joined", []).append(each.at)
    most = MOST_A_SECOND + EXTRA
    for what, times in asked.items():
        within = [late - early for early, late in zip(times, times[most:], strict=False)]
        but = f"{most + 1} attempts were made within {min(within, default=1):.2f} s"
        expect.that(f"{what} at most {MOST_A_SECOND} times a second", all(each > 0.9 for each in within), but=but)


def of(room: str, messages: list[Message]) -> list[Message]:
    """Those of a room, in their order."""
    return [message for message in messages if message["room"] == room]


async def resumed(what: str, outbox: Any) -> list[Message]:
    """What a resume gives: messages, as far as one can see."""
    given = await gets_through(f"resume {what} to return", outbox.resume())
    expect(f"what resume gives {what}", given, is_a=list)
    for message in given:
        whole = isinstance(message, dict) and {"id", "room", "text"} <= message.keys()
        expect.that(f"resume gives messages {what}", whole, but=f"one of them is {message!r:.100}")
    return list(given)


def is_given(what: str, given: list[Message], wanted: dict[str, list[Message]]) -> None:
    """Observe what was given of each room: what the messages say, and then all that is in them."""
    for room, messages in wanted.items():
        texts = [message["text"] for message in messages]
        expect(f"what resume gives of {room!r} {what}", [each["text"] for each in of(room, given)], equals=texts)
        expect(f"the messages that resume gives of {room!r} {what}", of(room, given), equals=messages)
    others = [message["text"] for message in given if message["room"] not in wanted]
    expect(f"what else resume gives {what}", others, equals=[])


async def resumes(what: str, outbox: Any, wanted: dict[str, list[Message]]) -> None:
    """Observe what a resume gives of each room, and that there is nothing else."""
    is_given(what, await resumed(what, outbox), wanted)


@check(
    points=2,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "A connection is in no room at first, and only a room's members may send to it.",
        "`chat:join` first, then `chat:message`. The ack of the latter has the id. What has the same text twice?",
    ),
)
async def test_stores_messages(submission: Any) -> None:
    """With a connection that works: texts of all kinds in two rooms, one after the other and many at once."""
    async with scene(submission) as chat:
        _, outbox = await chat.outbox()
        texts = ["hello", "Grüße 👋", "hello", " x ", "0", "x" * 1000]
        for room in ("lobby", "kitchen"):
            ids = [
                await gets_through(f"send({room!r}, {text[:9]!r}) to return", outbox.send(room, text)) for text in texts
            ]
            await chat.holds("after one send for each", room, texts)
            expect(f"the ids that send gives in {room!r}", ids, equals=[each["id"] for each in await chat.stored(room)])
        more = [f"message {number}" for number in range(AT_ONCE)]
        sending = [begun(outbox.send(room, text)) for text in more for room in ("lobby", "kitchen", "garden")]
        with running(*sending):
            ids = await gets_through(f"{len(sending)} calls of send at once to return", asyncio.gather(*sending))
        for number, room in enumerate(("lobby", "kitchen", "garden")):
            await chat.holds("after many at once", room, [*texts * (room != "garden"), *more])
            stored = (await chat.stored(room))[-AT_ONCE:]
            expect(f"the ids that these give in {room!r}", ids[number::3], equals=[each["id"] for each in stored])


@check(
    points=2,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "The server takes a message with a `clientId` that this user has used before for the same message.",
        "Another outbox knows nothing of yours. What can yours take for a `clientId` that no other ever will?",
    ),
)
async def test_shares_no_id(submission: Any) -> None:
    """Two devices of one user, and a program that was started anew, say the same in one room: all of it is stored."""
    async with scene(submission) as chat:
        outboxes = [(await chat.outbox(anew=anew))[1] for anew in (False, False, True)]
        said: list[str] = []
        ids: list[str] = []
        for number in range(3):
            for outbox in outboxes:
                said.append("yes" if number else "hello")
                ids.append(await gets_through("send to return", outbox.send("lobby", said[-1])))
        await chat.holds("after three outboxes of one user have said the same", "lobby", said)
        expect("the ids that send gives", ids, equals=[each["id"] for each in await chat.stored("lobby")])


@check(
    points=3,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "No answer in time: was it done or not? What does a second attempt need so that both cases end well?",
        "`call` has a time-out of 60 s and raises then. Ask again, with the same `clientId`, however often it takes.",
    ),
)
async def test_asks_again(submission: Any) -> None:
    """Acks get lost: of a join, of a message whose effect is there, and of several in a row."""
    async with scene(submission) as chat:
        said = ["from another outbox", "first", "second", "third"]
        line, outbox = await chat.outbox()
        _, other = await chat.outbox()
        chat.proxy.connections[0].swallow_acks()
        sending = begun(outbox.send("lobby", "first"))
        with running(sending):
            await tries(line, sending)
            what = "send of another outbox, whose connection works, to return"
            await gets_through(what, other.send("lobby", "from another outbox"))
            chat.passes_acks(line, 1)
            ids = [await gets_through("send to return when acks come again", sending)]
        chat.loses_the_ack(line, "second")
        sending = begun(outbox.send("lobby", "second"))
        with running(sending):
            await happens("an attempt", lambda: bool(line.sends("second")), beside=sending)
            chat.passes_acks(line, 2)
            what = "send to return when acks come again, after two attempts without an answer"
            ids.append(await gets_through(what, sending))
        ids.append(await gets_through("the next send to return", outbox.send("lobby", "third")))
        await chat.holds("after acks were lost", "lobby", said)
        expect("the ids that send gives", ids, equals=[each["id"] for each in (await chat.stored("lobby"))[1:]])
        attempts = [each.payload for each in line.sends("second")]
        expect("all attempts to send the same message", attempts, equals=[attempts[0]] * len(attempts))


@check(
    points=3,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "The connection is a new one. In which rooms is it? And what do `emit` and `call` do while there is none?",
        'BadNamespaceError: wait a little. "not_a_member": enter the room, then send the same message once more.',
    ),
)
async def test_comes_back(submission: Any) -> None:
    """The ack is lost, the connection is cut, and there is no server for a while; then messages go on being stored."""
    async with scene(submission) as chat:
        line, outbox = await chat.outbox()
        said = ["before"]
        ids = [await gets_through("send to return", outbox.send("lobby", "before"))]
        chat.loses_the_ack(line, "cut")
        sending = begun(outbox.send("lobby", "cut"))
        behind = begun(outbox.send("lobby", "behind it"))
        with running(sending, behind):
            await happens("the message to be stored", lambda: chat.proxy.swallowed > 0, beside=sending)
            chat.proxy.refuse()
            chat.proxy.drop()
            chat.proxy.pass_acks()
            await asyncio.sleep(AWAY_S)
            late = begun(outbox.send("lobby", "said without a connection"))
            with running(late):
                await asyncio.sleep(AWAY_S / 2)
                chat.proxy.accept()
                what = "the calls of send to return when the client is connected again"
                ids += await gets_through(what, asyncio.gather(sending, behind, late))
        said += ["cut", "behind it", "said without a connection"]
        await chat.holds("after the connection was cut", "lobby", said)
        await chat.cut(line)
        ids.append(await gets_through("send to return after another cut", outbox.send("lobby", "after")))
        await chat.holds("after another cut", "lobby", [*said, "after"])
        expect("the ids that send gives", ids, equals=[each["id"] for each in await chat.stored("lobby")])
        paces_itself(line)


@check(
    points=2,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "A message gets lost on its way, and is tried again a moment later. Who can be faster meanwhile?",
        "One message of a room at a time. `asyncio.Lock` lets those that wait in by the order in which they came.",
    ),
)
async def test_keeps_the_order(submission: Any) -> None:
    """A message never reaches the server; what is sent after it, as soon as there is a connection, stays behind it."""
    async with scene(submission) as chat:
        line, outbox = await chat.outbox()
        said: list[str] = []
        for number in range(2):
            ready, lost, following = f"ready {number}", f"lost at first {number}", f"next {number}"
            said += [ready, lost, following]
            await gets_through("send to return", outbox.send("lobby", ready))
            chat.proxy.stall("to server")
            sending = begun(outbox.send("lobby", lost))
            with running(sending):
                await tries(line, sending)
                await chat.cut(line)
                await gets_through("the next call of send to return", outbox.send("lobby", following))
                await gets_through("the first call of send to return", sending)
        await chat.holds("after messages were lost on their way", "lobby", said)


@check(
    points=2,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "Some answers say that it will never work. Which codes say that it will, a moment later?",
        "All codes but those two, and the one that says that you are in no such room, end in RefusedError, at once.",
    ),
)
async def test_is_refused(submission: Any) -> None:
    """Bad texts, bad rooms and a closed room: `send` raises and asks no more; what comes behind is stored."""
    async with scene(submission) as chat:
        line, outbox = await chat.outbox()
        for room, text, code in (
            ("closed", "let me in", "forbidden"),
            ("lobby", " ", "bad_payload"),
            (" ", "where?", "bad_payload"),
            ("lobby", "x" * 1001, "bad_payload"),
        ):
            what = f"send({room!r}, {text[:9]!r})"
            with expect.raises(what, submission.RefusedError, code=code) as raised:
                await ends(outbox.send(room, text))
            said = [each.answer or {} for each in line.attempts if each.room == room and each.code == code]
            wanted = said[-1]["message"]
            expect(f"the message of the error that {what} raises", raised.error.message, equals=wanted)
            expect(f"the text of the error that {what} raises", str(raised.error), equals=f"{code}: {wanted}")
        sending = [begun(outbox.send("lobby", text)) for text in ("one", "", "two", " ", "three")]
        with running(*sending):
            results = await gets_through(
                "five calls of send at once to return", asyncio.gather(*sending, return_exceptions=True)
            )
        names = [type(each).__name__ if isinstance(each, BaseException) else "an id" for each in results]
        expect(
            "what five calls of send give", names, equals=["an id", "RefusedError", "an id", "RefusedError", "an id"]
        )
        await chat.holds("when two of five are refused", "lobby", ["one", "two", "three"])
        for each in line.attempts:
            if each.event == "chat:message" and each.code == "bad_payload":
                later = [other for other in line.attempts if other.payload == each.payload and other.at > each.at]
                expect(f"how often {each.text[:9]!r} is sent again once it is refused", len(later), equals=0)


@check(
    points=2,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "Without Redis the chat acknowledges nothing. It answers with a code that says: not now.",
        "That code says nothing about whether it was done. Ask again as after no answer, with the same `clientId`.",
    ),
)
async def test_outlives_redis(submission: Any) -> None:
    """Valkey is killed after it has stored a message, and started again: what was told to be stored is, and once."""
    async with scene(submission, durable=True) as chat:
        line, outbox = await chat.outbox()
        said = ["before", "stored", "behind it", "while it is away"]
        ids = [await gets_through("send to return", outbox.send("lobby", said[0]))]
        chat.loses_the_ack(line, said[1])
        sending = [begun(outbox.send("lobby", text)) for text in said[1:3]]
        with running(*sending):
            await happens("the message to be stored", lambda: chat.proxy.swallowed > 0, beside=sending[0])
            await chat.valkey.kill()
            chat.proxy.pass_acks()
            sending.append(begun(outbox.send("lobby", said[3])))
            with running(*sending):
                await happens(
                    'the answer "unavailable"',
                    lambda: any(each.code == "unavailable" for each in line.attempts),
                    beside=sending[0],
                )
                await asyncio.sleep(AWAY_S)
                await chat.valkey.restart()
                ids += await gets_through("the calls of send to return when Valkey is back", asyncio.gather(*sending))
        await chat.holds("after Valkey was killed and started again", "lobby", said)
        expect("the ids that send gives", ids, equals=[each["id"] for each in await chat.stored("lobby")])
        await resumes("after that", outbox, {"lobby": await chat.stored("lobby")})
        paces_itself(line)


@check(
    points=1,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "Who asks too often is told so. What happens to it if it goes on as before?",
        'After "rate_limited" nothing was done. Wait a moment, then ask again.',
    ),
)
async def test_slows_down(submission: Any) -> None:
    """The chat takes ten events a second of each user, and three at once: eight messages come through, in order."""
    async with scene(submission, events_per_s=10, burst=3) as chat:
        line, outbox = await chat.outbox()
        said = [f"message {number}" for number in range(8)]
        sending = [begun(outbox.send("lobby", text)) for text in said]
        with running(*sending):
            await gets_through("eight calls of send to return", asyncio.gather(*sending))
        await chat.holds("where the chat takes ten events a second", "lobby", said)
        paces_itself(line)


@check(
    points=1,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "`async with asyncio.timeout(…)` around a `send` cancels it. What of yours still runs then?",
        "Cancel ends the `await` where a call waits. Whatever it holds has to be let go of, and a task ended.",
    ),
)
async def test_is_cancelled(submission: Any) -> None:
    """Two of four calls are cancelled, one while it waits for its ack and one behind it: the others are stored."""
    async with scene(submission) as chat:
        line, outbox = await chat.outbox()
        await gets_through("send to return", outbox.send("lobby", "before"))
        chat.loses_the_ack(line, "cancelled")
        texts = ["cancelled", "never sent", "behind", "last"]
        sending = [begun(outbox.send("lobby", text)) for text in texts]
        with running(*sending):
            await happens("the message to be stored", lambda: chat.proxy.swallowed > 0, beside=sending[0])
            for each in sending[:2]:
                each.cancel()
            await asyncio.wait(sending[:2])
            made = len(line.sends("cancelled"))
            for each in sending[:2]:
                expect.that("a cancelled send ends with CancelledError", each.cancelled(), but="it did not")
            chat.passes_acks(line, 1)
            await gets_through("the calls of send behind it to return", asyncio.gather(*sending[2:]))
        await gets_through("one more send to return", outbox.send("lobby", "after"))
        expect("how often it is sent after it was cancelled", len(line.sends("cancelled")) - made, equals=0)
        await chat.holds("when two of four are cancelled", "lobby", ["before", "cancelled", "behind", "last", "after"])


@check(
    points=3,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "For each room: up to which offset has `resume` given its messages? The ack of `send` says something else.",
        "`missed` is more than the page holds: join again, with `after` the offset where the page has ended.",
    ),
)
async def test_resumes(submission: Any) -> None:
    """Two rooms, in which others speak too, over several pages and a cut: everything is given, once and in order."""
    async with scene(submission, history_on_join=PAGE) as chat:
        line, outbox = await chat.outbox()
        await resumes("before any send", outbox, {})
        await chat.says("lobby", "before you came", "and this too")
        await gets_through("send to return", outbox.send("lobby", "mine"))
        await chat.says("lobby", *(f"hers {number}" for number in range(9)))
        await gets_through("send to return", outbox.send("kitchen", "mine in the kitchen"))
        await gets_through("send to return", outbox.send("lobby", "mine, after hers"))
        await chat.says("kitchen", "hers in the kitchen")
        wanted = {"lobby": (await chat.stored("lobby"))[2:], "kitchen": await chat.stored("kitchen")}
        await resumes("the first time", outbox, wanted)
        await resumes("when nothing was said since", outbox, {})
        _, other = await chat.outbox()
        await gets_through("send to return", outbox.send("kitchen", "mine again"))
        await gets_through("another outbox's send to return", other.send("lobby", "from another place"))
        await gets_through("send to return", outbox.send("garden", "mine in the garden"))
        await chat.says("lobby", *(f"hers, later {number}" for number in range(2 * PAGE)))
        await chat.cut(line)
        await chat.says("kitchen", "said during the cut")
        await gets_through("send to return after a cut", outbox.send("kitchen", "mine after the cut"))
        news = {
            "lobby": (await chat.stored("lobby"))[2 + len(wanted["lobby"]) :],
            "kitchen": (await chat.stored("kitchen"))[2:],
            "garden": await chat.stored("garden"),
        }
        await resumes("after a cut", outbox, news)
        await resumes("of another outbox", other, {"lobby": news["lobby"]})
        await many_in_one_millisecond(chat)
        await chat.says("lobby", *(f"hers, at once {number}" for number in range(11)))
        await resumes("when offsets have one digit more", outbox, {"lobby": (await chat.stored("lobby"))[-11:]})
        await chat.says("lobby", "the last one")
        await resumes("after that", outbox, {"lobby": (await chat.stored("lobby"))[-1:]})


async def many_in_one_millisecond(chat: Scene) -> None:
    """The offsets that come now are those of one millisecond, half a minute ahead: …-1, …-2, and so on to …-12."""
    async with Redis.from_url(chat.valkey.url) as redis:
        seconds, _ = await redis.time()
        await redis.hset(f"{PREFIX}history:state", "last", f"{(seconds + 30) * 1000}-0")


@check(
    points=3,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "Two pages of three have come, and then somebody cancels. What does the next call ask for?",
        "Collect, and move no mark until there is nothing left to wait for. And a page may come twice.",
    ),
)
async def test_is_broken_off(submission: Any) -> None:
    """`resume` between two pages: it is cancelled, the connection is cut, and a page comes late. Nothing is lost."""
    async with scene(submission, history_on_join=PAGE) as chat:
        line, outbox = await chat.outbox()
        for room in ("kitchen", "lobby"):
            await gets_through("send to return", outbox.send(room, "mine"))
            await chat.says(room, *(f"hers {number}" for number in range(2 * PAGE)))
        rooms = {room: await chat.stored(room) for room in ("kitchen", "lobby")}

        def at_join(number: int, act: Callable[[], None]) -> None:
            before = len(line.joins())

            def about_to(attempt: Attempt) -> None:
                if attempt.event == "chat:join" and len(line.joins()) - before == number:
                    act()

            line.about_to = about_to

        at_join(5, chat.proxy.swallow_acks)
        made = len(line.joins())
        resuming = begun(outbox.resume())
        with running(resuming):
            await happens("five pages to be asked for", lambda: len(line.joins()) - made > 4, beside=resuming)
            resuming.cancel()
            await asyncio.wait({resuming})
            chat.proxy.pass_acks()
        await resumes("after one that was cancelled at its fifth page", outbox, rooms)
        await resumes("after that", outbox, {})

        for room in rooms:
            await chat.says(room, *(f"more of hers {number}" for number in range(2 * PAGE)))
        at_join(2, chat.proxy.drop)
        news = {room: (await chat.stored(room))[len(told) :] for room, told in rooms.items()}
        await resumes("over a cut between two pages", outbox, news)

        for room in rooms:
            await chat.says(room, *(f"even more {number}" for number in range(2 * PAGE)))
        news = {room: (await chat.stored(room))[-2 * PAGE :] for room in rooms}
        at_join(2, lambda: chat.proxy.stall("to client"))
        made = len(line.joins())
        resuming = begun(outbox.resume())
        with running(resuming):
            await happens("a page to be asked for again", lambda: len(line.joins()) - made > 2, beside=resuming)
            chat.proxy.resume("to client")
            given = await gets_through("resume to return when late pages have come", resuming)
        is_given("when a page has come late", given, news)
        await resumes("after that", outbox, {})


@check(
    points=2,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "`chat:history` does not say which join it belongs to, and `send` joins, too.",
        "One join at a time: the last page before its ack is its own. And one `resume` at a time.",
    ),
)
async def test_resumes_beside_others(submission: Any) -> None:
    """Two calls of `resume` and many of `send` at once, right after a cut: each message is given once, in order."""
    async with scene(submission, history_on_join=PAGE) as chat:
        line, outbox = await chat.outbox()
        rooms = ["lobby", "kitchen", "garden"]
        for room in rooms:
            await gets_through("send to return", outbox.send(room, "mine"))
        given: list[Message] = []
        for turn in range(2):
            for room in rooms[:3]:
                await chat.says(room, *(f"hers {turn}, {number}" for number in range(PAGE + 1)))
            if turn:
                await chat.cut(line)
            new = [f"new {turn}", f"newer {turn}"]
            chat.proxy.stall("to client")
            resuming = [begun(outbox.resume()) for _ in range(2)]
            sending = [begun(outbox.send(room, f"mine {turn}")) for room in (*new, *rooms)]
            rooms += new
            with running(*sending, *resuming):
                what = "the chat to be asked to join a room"
                await happens(what, lambda before=chat.entered: chat.entered > before, beside=resuming[0])
                await asyncio.sleep(TOGETHER_S)
                chat.proxy.resume("to client")
                for each in await gets_through("two calls of resume to return", asyncio.gather(*resuming)):
                    given += each
                await gets_through("the calls of send beside them to return", asyncio.gather(*sending))
        given += await resumed("after all that", outbox)
        is_given("in all of these calls", given, {room: await chat.stored(room) for room in rooms})


@check(
    points=1,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "A server keeps so many messages of a room. Which field of the ack says that there were more?",
        "`lost`: a warning with the room's name, by `logging`. `complete` alone would say it, too, and more often.",
    ),
)
async def test_says_what_is_lost(submission: Any) -> None:
    """More is said than the chat keeps: what is left is given, and a warning names the room, and no other."""
    async with scene(submission, history=5) as chat, warnings() as warned:
        _, outbox = await chat.outbox()
        for room in ("kitchen", "lobby"):
            await gets_through("send to return", outbox.send(room, "mine"))
        await resumes("at first", outbox, {room: await chat.stored(room) for room in ("kitchen", "lobby")})
        await chat.says("kitchen", "hers")
        await chat.says("lobby", *(f"hers {number}" for number in range(8)))
        wanted = {"lobby": await chat.stored("lobby"), "kitchen": (await chat.stored("kitchen"))[1:]}
        await resumes("when more was said than the chat keeps", outbox, wanted)
        lines = " / ".join(warned)
        expect.that("a warning names 'lobby', where messages are lost", "lobby" in lines, but=f"got: {lines or 'none'}")
        expect.that("no warning names 'kitchen', where none are", "kitchen" not in lines, but=f"got: {lines}")
        warned.clear()
        await chat.says("lobby", "one more")
        await resumes("after that", outbox, {"lobby": (await chat.stored("lobby"))[-1:]})
        expect("the warnings when nothing more is lost", [each for each in warned if "lobby" in each], equals=[])


@asynccontextmanager
async def warnings() -> AsyncIterator[list[str]]:
    """What is logged as a warning, or worse, during a block."""
    lines: list[str] = []

    class Noting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler = Noting(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        yield lines
    finally:
        logging.getLogger().removeHandler(handler)


@check(
    points=1,
    deadline_s=30,
    memory_mib=1024,
    hints=(
        "One of three rooms is closed to you. What of the messages of the other two?",
        "Forget that room, and raise. The marks of the others must not have moved.",
    ),
)
async def test_leaves_out_a_room(submission: Any) -> None:
    """One of three rooms is closed after a cut: `resume` raises, then gives the others; later it is open again."""
    async with scene(submission) as chat:
        line, outbox = await chat.outbox()
        rooms = ["lobby", "kitchen", "garden"]
        for room in rooms:
            await gets_through("send to return", outbox.send(room, "mine"))
            await chat.says(room, "hers")
        await chat.cut(line)
        chat.closed.add("kitchen")
        with expect.raises("resume when a room is closed", submission.RefusedError, code="forbidden"):
            await ends(outbox.resume())
        others = {room: await chat.stored(room) for room in ("lobby", "garden")}
        await resumes("after it has raised", outbox, others)
        with expect.raises("send to that room", submission.RefusedError, code="forbidden"):
            await ends(outbox.send("kitchen", "let me in"))
        chat.closed.clear()
        await chat.says("kitchen", "without you")
        await resumes("when the room is open again, and no send has entered it", outbox, {})
        await gets_through("send to return", outbox.send("kitchen", "mine again"))
        await resumes("when send has entered it anew", outbox, {"kitchen": (await chat.stored("kitchen"))[-1:]})
        chat.closed.add("kitchen")
        with expect.raises("resume when a room is closed again", submission.RefusedError, code="forbidden"):
            await ends(outbox.resume())
        chat.closed.clear()
        await gets_through("send to return", outbox.send("kitchen", "mine once more"))
        await resumes("when send has entered it anew", outbox, {"kitchen": (await chat.stored("kitchen"))[-1:]})
