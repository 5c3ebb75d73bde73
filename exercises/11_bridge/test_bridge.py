"""The checks of exercise 11. `rtlab grade 11` runs them: each starts a Valkey, and a second process with your bridge.

A grader may be read. It looks at what your code does between two processes and a real Valkey, never at how it
is written.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rtlab.grading import check, expect
from rtlab.grading.results import time_scale
from rtlab.servers import programs
from rtlab.servers.ports import free_port
from rtlab.servers.supervisor import Child

DEMANDS = {
    "a process with two bridges is no different from two processes": "test_delivers_once_in_each_process",
    "with the password if there is one": "test_delivers_once_in_each_process",
    "call `deliver(room, event, data)` for each event that any process publishes from then on": (
        "test_delivers_once_in_each_process",
        "test_publishes_while_it_listens",
    ),
    "It returns when Redis has confirmed the subscription.": "test_start_waits_for_redis",
    "Each event is delivered once on each bridge, also on the one that publishes it.": (
        "test_delivers_once_in_each_process",
        "test_publishes_while_it_listens",
        "test_comes_back",
    ),
    "Events that one process publishes one after the other are delivered in that order": (
        "test_delivers_once_in_each_process",
        "test_publishes_while_it_listens",
    ),
    "`deliver` has ended with one before it is called for the next": "test_publishes_while_it_listens",
    "`deliver` may raise: the exception is logged": "test_goes_on_after_an_exception",
    "Whatever else comes over the channel is skipped": "test_skips_nonsense",
    "If Redis goes away, that is logged, as a warning or worse": "test_says_that_redis_is_away",
    "the bridge tries again until it is stopped: at most ten times a second": "test_comes_back",
    "It is subscribed again within 2 seconds after Redis is back, however long that took.": "test_comes_back",
    "there is no Redis, or none that answers within `ANSWER_S`. Nothing is left behind then.": (
        "test_start_waits_for_redis"
    ),
    "`data` is whatever JSON can hold": "test_delivers_once_in_each_process",
    "It works without `start`, too.": "test_delivers_once_in_each_process",
    "With Redis away an event reaches nobody, on no process, then or later.": "test_says_that_redis_is_away",
    "Redis has not taken it, within `ANSWER_S`.": ("test_says_that_redis_is_away", "test_says_that_redis_hangs"),
    "One that hangs may deliver it later all the same, at most once.": "test_says_that_redis_hangs",
    "JSON cannot hold the data": "test_delivers_once_in_each_process",
    "End the connections to Redis and whatever runs.": "test_stops",
    "It works with Redis away, too, and without `start`.": "test_stops",
    "no `deliver` is running: each has ended or was cancelled": "test_stops",
}
"""What README.md and bridge.py demand, and the check that looks at it."""
FORBIDDEN = {
    "socketio": "It has such a bridge. redis.asyncio is all that this one takes.",
    "rtlab.realtime": "It has such a bridge. redis.asyncio is all that this one takes.",
    "rtlab.chat": "redis.asyncio is all that a bridge takes.",
    "rtlab.scale": "redis.asyncio is all that a bridge takes.",
}
BUDGET_S = 45

IN_TIME_S = 2
"""Seconds for one answer or one event. On one machine it takes a thousandth of one."""
STARTS_S = 10
"""Seconds in which the second process starts and imports your file. It takes one; on a busy machine it was five."""
GIVES_UP_S = 2.5
"""Seconds in which `start` and `publish` have to give up: `ANSWER_S`, and what a busy machine takes."""
BACK_S = 2.5
"""Seconds within which both have to be subscribed again: those 2, and what a busy machine takes."""
AWAY_S = 3.3
"""Seconds that Redis is away. Whoever waits 1, 2, 4 … seconds sleeps through its return."""
ATTEMPTS = 5
"""How often an event is published after Redis was away, until it is taken: so many old connections a pool may have."""
MOST_A_SECOND = 10
"""How often a bridge may try again."""
VISITS = 10
"""How many connections the check opens and closes, to let others pass. One takes as long as one of theirs."""
TAKES_S = 0.1
"""Seconds that `deliver` takes with one event. Meanwhile the next ones come."""
LOOK_S = 0.02
"""Seconds between two looks at Valkey."""
CHANNEL = "bridge"
LINE_BYTES = 1 << 22
"""The longest line that the two processes exchange."""
MARK = "the mark of the check"
NUMBERS = count(1)
Event = tuple[str, str, Any]
REFUSALS = ("RedisError", "OSError")
"""What `start` and `publish` may raise, by the names of its classes."""

OTHER = """
import asyncio, importlib.util, json, os, socket, sys

path, descriptor, limit = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.path.append(os.path.dirname(path))
spec = importlib.util.spec_from_file_location("bridge", path)
module = sys.modules["bridge"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)

async def main():
    reader, writer = await asyncio.open_connection(sock=socket.socket(fileno=descriptor), limit=limit)
    tasks, bridge = set(), None

    def tell(*what):
        writer.write(json.dumps(what).encode() + b"\\n")

    tell("ready")

    async def deliver(room, event, data):
        tell("heard", [room, event, data])

    async def carry_out(number, order, arguments):
        nonlocal bridge
        try:
            if order == "make":
                bridge = module.Bridge(*arguments)
            else:
                await getattr(bridge, order)(*arguments, *[deliver] * (order == "start"))
            tell("done", number, None)
        except BaseException as error:
            tell("done", number, [[each.__name__ for each in type(error).__mro__], repr(error)])

    while line := await reader.readline():
        task = asyncio.ensure_future(carry_out(*json.loads(line)))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

asyncio.run(main())
"""
"""The second process: it says that it is ready, carries out what the check orders, and tells what its bridge
delivers."""


class Valkey:
    """A Valkey of the check's own, on one port and with one password for all of its lives."""

    def __init__(self) -> None:
        tempfile.tempdir = os.fspath(
            Path.cwd()
        )  # the check's folder, which goes in the end, even if the check is killed
        self._port = free_port()
        self._password = secrets.token_hex(8)
        self.url = f"redis://:{self._password}@127.0.0.1:{self._port}"
        self.child: Child | None = None
        self.redis = Redis.from_url(self.url, client_name="the-check")

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--requirepass", self._password]
        self.child = Child([*programs.valkey().command, *options], name="Valkey")
        async with asyncio.timeout(10 * time_scale()):
            while True:
                try:
                    await self.redis.ping()
                    return
                except (RedisError, OSError):
                    await asyncio.sleep(LOOK_S)

    async def end(self) -> None:
        """Kill it."""
        if self.child is not None:
            self.child.kill()
            await self.child.aclose()

    @asynccontextmanager
    async def frozen(self) -> AsyncIterator[None]:
        """For the length of a block it takes no turn, and its connections stay."""
        assert self.child is not None
        self.child.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.child.send_signal(signal.SIGCONT)

    @asynccontextmanager
    async def counted(self) -> AsyncIterator[list[None]]:
        """While it is away: somebody who closes each connection to its port, and notes it."""
        calls: list[None] = []

        async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            calls.append(None)
            writer.close()

        server = await asyncio.start_server(hang_up, "127.0.0.1", self._port)
        try:
            yield calls
        finally:
            server.close()
            await server.wait_closed()

    async def subscribed(self, wanted: int) -> None:
        """Wait until so many connections are subscribed to the channel."""
        while dict(await self.redis.pubsub_numsub(CHANNEL))[CHANNEL.encode()] != wanted:
            await asyncio.sleep(LOOK_S)

    async def passed_by(self) -> None:
        """Give way: whoever has begun a connection and sends one command over it is served when this returns."""
        for _ in range(VISITS):
            async with Redis.from_url(self.url, client_name="the-check") as visitor:
                await visitor.ping()

    async def others(self, wanted: int) -> None:
        """Wait until it has so many connections beside the check's."""
        while len(await self.connections()) != wanted:
            await asyncio.sleep(LOOK_S)

    async def connections(self) -> list[str]:
        """The last command of each connection that is not the check's."""
        return [each["cmd"] for each in await self.redis.client_list() if each["name"] != "the-check"]


class Side:
    """A bridge, here or in the other process, and what it delivers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.came: asyncio.Queue[Event] = asyncio.Queue()

    async def order(self, order: str, *arguments: Any) -> tuple[list[str], str] | None:
        """Have the bridge do something. None if it did, else the names of the exception's classes, and it in words."""
        raise NotImplementedError

    def why(self) -> str:
        """Why it may not answer, if there is something to say."""
        return ""

    async def does(self, order: str, *arguments: Any) -> None:
        """Observe that the bridge does something, in time and without an exception."""
        what = f"{order} of {self.name} to return"
        failed = await expect.arrives(what, self.order(order, *arguments), within_s=IN_TIME_S, why=self.why)
        expect.that(f"{order} of {self.name} raises nothing", failed is None, but=f"it raised {failed and failed[1]}")

    async def gets_through(self, heard: Event) -> None:
        """Have it publish an event, again while it says that Redis has not taken it: a connection may be an old one."""
        for _ in range(ATTEMPTS - 1):
            what = f"publish of {self.name} to return"
            failed = await expect.arrives(what, self.order("publish", *heard), within_s=GIVES_UP_S)
            if failed is None:
                return
        await self.does("publish", *heard)

    async def is_refused(self, when: str, order: str, *arguments: Any) -> None:
        """Observe that the bridge gives up in time, with an exception that says so."""
        what = f"{order} of {self.name} to give up {when}"
        failed = await expect.arrives(what, self.order(order, *arguments), within_s=GIVES_UP_S)
        claim = f"{order} of {self.name} raises a RedisError or an OSError {when}"
        expect.that(claim, failed is not None, but="it raised nothing")
        names, words = failed or ([], "")
        expect.that(claim, any(name in names for name in REFUSALS), but=f"it raised {words}")

    async def delivers(self, what: str, wanted: list[Event], mark: Event, last: Event) -> None:
        """Observe all that comes before two marks: events of one publisher are delivered in order."""
        got, seen = [], []
        while last not in seen or mark not in seen:
            waiting = self.came.get()
            event = await expect.arrives(
                f"{self.name} to deliver what is published {what}", waiting, within_s=IN_TIME_S
            )
            (seen if event[1] == MARK else got).append(event)
        expect(f"the number of times that {self.name} delivers the last two events", len(seen), equals=2)
        expect(f"what {self.name} delivers {what}", sorted(got, key=_publisher), equals=sorted(wanted, key=_publisher))


@contextmanager
def kept_log() -> Iterator[list[logging.LogRecord]]:
    """What is logged in this process."""
    records: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = records.append  # type: ignore[method-assign]
    logging.getLogger().addHandler(handler)
    try:
        yield records
    finally:
        logging.getLogger().removeHandler(handler)


def _publisher(heard: Event) -> str:
    """Whose event it is: only those of one publisher have an order. (Sorting keeps that.) It may not be a text."""
    return str(heard[0])


class Here(Side):
    """A bridge in the process of the check."""

    def __init__(self, name: str, submission: Any, deliver: Callable[[Event], Awaitable[None]] | None = None) -> None:
        super().__init__(name)
        self._submission = submission
        self._deliver = deliver
        self.bridge: Any = None

    async def deliver(self, room: str, event: str, data: Any) -> None:
        """What the bridge calls."""
        self.came.put_nowait((room, event, data))
        if self._deliver is not None:
            await self._deliver((room, event, data))

    async def order(self, order: str, *arguments: Any) -> tuple[list[str], str] | None:
        try:
            if order == "make":
                self.bridge = self._submission.Bridge(*arguments)
            else:
                await getattr(self.bridge, order)(*arguments, *[self.deliver] * (order == "start"))
        except (RedisError, OSError, TypeError, ValueError) as error:
            return [each.__name__ for each in type(error).__mro__], repr(error)
        return None


class There(Side):
    """A bridge in the other process."""

    def __init__(self, name: str, writer: asyncio.StreamWriter, child: Child) -> None:
        super().__init__(name)
        self._child = child
        self._writer = writer
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.ready = asyncio.Event()

    async def order(self, order: str, *arguments: Any) -> tuple[list[str], str] | None:
        number = next(NUMBERS)
        self._answers[number] = asyncio.get_running_loop().create_future()
        self._writer.write(json.dumps([number, order, arguments]).encode() + b"\n")
        failed = await self._answers[number]
        return failed and (failed[0], failed[1])

    def why(self) -> str:
        last = self._child.log.tail(1)
        return f"its state: {self._child.state}; the last line that it printed: {last[0]}" if last else ""

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Take what the other process tells."""
        while line := await reader.readline():
            match json.loads(line):
                case ["ready"]:
                    self.ready.set()
                case ["heard", [room, event, data]]:
                    self.came.put_nowait((room, event, data))
                case ["done", number, failed]:
                    self._answers.pop(number).set_result(failed)


@asynccontextmanager
async def other_process(submission: Any) -> AsyncIterator[There]:
    """A second process with the same file, whose output is not looked at."""
    ours, theirs = socket.socketpair()
    with theirs:
        path = os.fspath(submission.__file__)
        command = [sys.executable, "-B", "-c", OTHER, path, str(theirs.fileno()), str(LINE_BYTES)]
        child = Child(command, name="the other process", pass_fds=[theirs.fileno()], grace_s=0.1)
    reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
    there = There("the other process", writer, child)
    reading = asyncio.ensure_future(there.read(reader))
    try:
        what = f"{there.name} to import your file"
        await expect.arrives(what, there.ready.wait(), within_s=STARTS_S, why=there.why)
        yield there
    finally:
        reading.cancel()
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        await child.aclose()


@asynccontextmanager
async def redis() -> AsyncIterator[Valkey]:
    """A Valkey that runs."""
    valkey = Valkey()
    try:
        await valkey.start()
        yield valkey
    finally:
        await valkey.redis.aclose()
        await valkey.end()


@asynccontextmanager
async def made(valkey: Valkey, *sides: Side) -> AsyncIterator[None]:
    """Bridges that are not started. They are stopped in the end."""
    for side in sides:
        await side.does("make", valkey.url)
    try:
        yield
    finally:
        for side in sides:
            with suppress(Exception):
                async with asyncio.timeout(IN_TIME_S * time_scale()):
                    await side.order("stop")


@asynccontextmanager
async def two(
    submission: Any, deliver: Callable[[Event], Awaitable[None]] | None = None
) -> AsyncIterator[tuple[Valkey, Here, There]]:
    """A Valkey and two processes with a bridge each, which listen."""
    here = Here("this process", submission, deliver)
    async with AsyncExitStack() as stack:
        valkey = await stack.enter_async_context(redis())
        await stack.enter_async_context(made(valkey, here))
        await here.does("start")
        there = await stack.enter_async_context(other_process(submission))
        await stack.enter_async_context(made(valkey, there))
        await there.does("start")
        yield valkey, here, there


async def all_deliver(what: str, wanted: list[Event], *sides: Side) -> None:
    """Observe what each has delivered up to now: each publishes a mark, and what did not come before it does not come.

    A bridge delivers its own mark whenever it likes, but that of another only after all that Redis had taken before.
    """
    first, second = sides[:2]
    marks: list[Event] = [("mark", MARK, next(NUMBERS)) for _ in range(2)]
    for side, mark in zip((first, second), marks, strict=True):
        await side.gets_through(mark)
    for side in sides:
        await side.delivers(what, wanted, *marks)


@check(
    points=3,
    deadline_s=15,
    memory_mib=1024,
    hints=(
        "A bridge delivers its own events, too. Count the ways by which one may come to its own `deliver`.",
        "Either it is delivered at once, and what comes back is known as one's own; or only when it comes back.",
    ),
)
async def test_delivers_once_in_each_process(submission: Any) -> None:
    """Two processes and three bridges publish events: each bridge delivers each event once, and in order."""
    async with two(submission) as (valkey, here, there):
        third, mute = Here("a second bridge in this process", submission), Here("a bridge without start", submission)
        async with made(valkey, third, mute):
            await third.does("start")
            wanted: list[Event] = []
            values = ["hello", "Grüße 👋", None, True, 0, 1.5, "", [], {}, {"a": [1, {"b": None}]}, "x" * 100_000]
            for side in (here, there, third, mute):
                for number, value in enumerate(values):
                    event: Event = (side.name, f"event {number}", value)
                    await side.does("publish", *event)
                    wanted.append(event)
            await all_deliver("with three bridges", wanted, here, there, third)
            failed = await expect.arrives(
                "publish to return", mute.order("publish", "room", "event", {1, 2}), within_s=IN_TIME_S
            )
            what = "what publish raises for a set, which JSON cannot hold"
            expect(what, failed[0] if failed else "nothing", contains="TypeError")
            await all_deliver("when JSON cannot hold the data", [], here, there, third)


@check(
    points=2,
    deadline_s=15,
    memory_mib=1024,
    hints=(
        "What does a connection that has subscribed read next, if one sends another command over it?",
        "redis.asyncio has a pool: pubsub takes one connection, a command another. And each `deliver` is awaited.",
    ),
)
async def test_publishes_while_it_listens(submission: Any) -> None:
    """Both processes publish 100 events at a time, then 200 one after the other, while they deliver."""

    ended: list[Event] = []

    async def takes_its_time(heard: Event) -> None:
        await asyncio.sleep(TAKES_S if heard[1] == "event 7" else 0)
        ended.append(heard)

    async with two(submission, takes_its_time) as (_, here, there):

        async def publish(side: Side, numbers: range) -> None:
            for number in numbers:
                await side.does("publish", side.name, f"event {number}", number)

        async with asyncio.TaskGroup() as group:
            for side in (here, there):
                for number in range(50):
                    group.create_task(side.does("publish", f"{side.name}, {number}", "at once", number))
        at_once: list[Event] = [
            (f"{side.name}, {number}", "at once", number) for side in (here, there) for number in range(50)
        ]
        await all_deliver("while both publish", at_once, here, there)
        async with asyncio.TaskGroup() as group:
            for side in (here, there):
                group.create_task(publish(side, range(100)))
        in_order: list[Event] = [
            (side.name, f"event {number}", number) for side in (here, there) for number in range(100)
        ]
        await all_deliver("while both publish one after the other", in_order, here, there)
        for side in (here, there):
            got = [heard for heard in ended if heard[0] == side.name]
            what = f"the events of {side.name} in the order in which deliver has ended with them in this process"
            expect(what, got, equals=[heard for heard in in_order if heard[0] == side.name])


@check(
    points=1,
    deadline_s=15,
    memory_mib=1024,
    hints=(
        "What does the task that listens do after an exception?",
        "An exception of `deliver` belongs in the log, right where `deliver` is called.",
    ),
)
async def test_goes_on_after_an_exception(submission: Any) -> None:
    """`deliver` raises: the exception is in the log, `publish` does not raise it, and the next events come."""

    async def raises(heard: Event) -> None:
        if heard[1] in errors:
            raise errors[heard[1]]

    errors: dict[str, Exception] = {
        "one": LookupError("no such room"),
        "two": ConnectionError("a member is gone"),
        "three": RedisError("an error of somebody else's"),
    }
    with kept_log() as records:
        async with two(submission, raises) as (_, here, there):
            events: list[Event] = [("room", name, 1) for name in (*errors, "four")]
            for event in events:
                await here.does("publish", *event)
            await all_deliver("although deliver raises in this process", events, here, there)
    logged = [record.exc_info[1] for record in records if record.exc_info]
    for error in errors.values():
        expect.that(f"{error!r} of deliver is logged with its traceback", error in logged, but="it is not")


@check(
    points=1,
    deadline_s=15,
    memory_mib=1024,
    hints=(
        "What comes over the channel was written by whoever reaches Redis. Which of your lines believe it?",
        "Not all bytes are text, not all text is JSON, nor all JSON yours. Nested too deeply, it raises no ValueError.",
    ),
)
async def test_skips_nonsense(submission: Any) -> None:
    """Somebody else publishes nonsense on the channel: nothing of it is delivered, and the next events are."""
    async with two(submission) as (valkey, here, there):
        nested = "[" * 100_000
        nonsense = [b"\xff\xfe", "", "hello", "7", "null", "true", '"text"', "{}", "[]", "[[]]", "[1,2]", '{"room":1}']
        nonsense += ["[1,2,3]", "[null,null,null]", '["room",5,"x"]', '[5,"event","x"]', "[1,2,3,4,5]", "{", nested]
        for text in nonsense:
            taken = await valkey.redis.publish(CHANNEL, text)
            expect(f"how many connections listen on the channel {CHANNEL!r}", taken, equals=2)
        event: Event = ("room", "event", "after the nonsense")
        await there.does("publish", *event)
        await all_deliver("after nonsense on the channel", [event], here, there)


@check(
    points=2,
    deadline_s=15,
    memory_mib=1024,
    hints=(
        "`await redis.publish(…)` tells you whether Redis has taken it. Who tells the one that calls your publish?",
        "Redis first, and deliver only what it has taken. What was refused is not kept: the caller knows of it.",
    ),
)
async def test_says_that_redis_is_away(submission: Any) -> None:
    """Redis is killed: both publish and are told; when it is back, nothing of that comes, anywhere."""
    async with two(submission) as (valkey, here, there):
        with kept_log() as records:
            await valkey.end()
            for side in (here, there):
                await side.is_refused("while Redis is away", "publish", "room", "lost", side.name)
            what = "a warning in the log of this process that Redis has gone away"
            await expect.arrives(what, _warned(records), within_s=IN_TIME_S)
        expect("what this process delivers while Redis is away", here.came.qsize(), equals=0)
        await valkey.start()
        await expect.arrives("both processes to be subscribed again", valkey.subscribed(2), within_s=BACK_S)
        await all_deliver("after Redis was away", [], here, there)


@check(
    points=2,
    deadline_s=15,
    memory_mib=1024,
    hints=(
        "A connection to a Redis that hangs is whole. How long does redis.asyncio wait if you say nothing?",
        "`socket_timeout` bounds the wait. And look at who tries again: an event that was sent twice comes twice.",
    ),
)
async def test_says_that_redis_hangs(submission: Any) -> None:
    """Redis is frozen: publish gives up in time; when Redis goes on, that event comes once at most, and the next do."""
    async with two(submission) as (valkey, here, there):
        first: Event = ("room", "event", "before")
        await here.does("publish", *first)
        await all_deliver("before Redis is frozen", [first], here, there)
        async with valkey.frozen():
            await here.is_refused("while Redis is frozen", "publish", "room", "frozen", 1)
        event: Event = ("room", "event", "after it was frozen")
        await there.does("publish", *event)
        await expect.arrives("both processes to be subscribed", valkey.subscribed(2), within_s=BACK_S)
        await valkey.passed_by()  # a bridge that secretly publishes again does so before the mark
        mark: Event = ("room", "event", "the end")
        await there.does("publish", *mark)
        for side in (here, there):
            got: list[Event] = []
            while mark not in got:
                got.append(await expect.arrives(f"{side.name} to deliver again", side.came.get(), within_s=IN_TIME_S))
            times = sum(heard[1] == "frozen" for heard in got)
            expect(f"how often {side.name} delivers what it was told had failed", times, within=(0, 1))
            expect(
                f"what else {side.name} delivers", [each for each in got if each[1] != "frozen"], equals=[event, mark]
            )


@check(
    points=3,
    deadline_s=20,
    memory_mib=1024,
    hints=(
        "The task that listens gets an exception when Redis goes away. What does it do then, and the tenth time?",
        "Subscribe again in a loop, with a pause that stays short: one that doubles sleeps through Redis's return.",
    ),
)
async def test_comes_back(submission: Any) -> None:
    """Redis is killed and started again, twice, and stays away for a while the first time."""
    async with two(submission) as (valkey, here, there):
        for number, away_s in enumerate((AWAY_S, 0)):
            await valkey.end()
            async with valkey.counted() as calls:
                await asyncio.sleep(away_s * time_scale())
            most = round(2 * MOST_A_SECOND * away_s * time_scale()) + 2
            expect("how often both processes have tried again meanwhile", len(calls), within=(0, most))
            await valkey.start()
            when = f"after restart {number + 1} of Redis"
            await expect.arrives(f"both processes to be subscribed {when}", valkey.subscribed(2), within_s=BACK_S)
            events: list[Event] = [(side.name, "event", number) for side in (here, there)]
            for side, event in zip((here, there), events, strict=True):
                await side.gets_through(event)
            await all_deliver(when, events, here, there)


@check(
    points=1,
    deadline_s=10,
    memory_mib=1024,
    hints=(
        "redis.asyncio's `subscribe` sends the command. When does Redis's answer come, and where?",
        "It comes as a message of the type 'subscribe'. Wait for it, with a limit, and tidy up when that is over.",
    ),
)
async def test_start_waits_for_redis(submission: Any) -> None:
    """A start while Redis hangs lasts until it answers; if it never does, or is away, it raises and leaves nothing."""
    async with redis() as valkey:
        late, other = Here("a bridge", submission), Here("another one", submission)
        async with made(valkey, late, other):
            await late.does("publish", "room", "event", 0)  # a connection is open now
            async with valkey.frozen():
                starting = asyncio.ensure_future(late.order("start"))
                await asyncio.wait({starting}, timeout=0.3 * time_scale())
                expect.that("start waits while Redis is frozen", not starting.done(), but="it has returned")
            failed = await expect.arrives("start to return when Redis goes on", starting, within_s=IN_TIME_S)
            expect.that("start raises nothing then", failed is None, but=f"it raised {failed and failed[1]}")
            await other.does("start")
            await all_deliver("after a start that took a while", [], late, other)
        before = asyncio.all_tasks()
        hung = Here("a bridge with a Redis that hangs", submission)
        await hung.does("make", valkey.url)
        async with valkey.frozen():
            await hung.is_refused("while Redis is frozen", "start")
        await _nothing_runs("after a start that has given up", before)
        await expect.arrives("no connection to be left by it", valkey.others(0), within_s=IN_TIME_S)
        await valkey.end()
        early = Here("a bridge without Redis", submission)
        await early.does("make", valkey.url)
        await early.is_refused("without Redis", "start")
        await _nothing_runs("after a start that has failed", before)
        await valkey.start()
        await expect.arrives("no connection to be left by it", valkey.others(0), within_s=IN_TIME_S)


@check(
    points=1,
    deadline_s=10,
    memory_mib=1024,
    hints=(
        "Whatever `start` has begun, and whatever `publish` has opened: who ends it?",
        "A task is cancelled, and awaited. A client of redis.asyncio has `aclose`, and so has its pubsub.",
    ),
)
async def test_stops(submission: Any) -> None:
    """After stop no connection, task or call of deliver is left: with Redis, with Redis away, and without a start."""
    async with redis() as valkey:
        before = asyncio.all_tasks()
        for when in ("with Redis", "without start", "with Redis away"):
            side, other = Here("the bridge", submission), Here("another one", submission)
            await side.does("make", valkey.url)
            await other.does("make", valkey.url)
            if when != "without start":
                await side.does("start")
            await side.does("publish", "room", "event", 1)
            if when == "with Redis away":
                await valkey.end()
            await side.does("stop")
            await _nothing_runs(f"after stop {when}", before)
            if when != "with Redis away":
                what = f"the connections to Redis to be closed after stop {when}"
                await expect.arrives(what, valkey.others(0), within_s=IN_TIME_S)
                heard = side.came.qsize()
                await other.does("publish", "room", "event", 2)
                expect(f"what is delivered after stop {when}", side.came.qsize() - heard, equals=0)
            await other.does("stop")
        await valkey.start()
        running: list[str] = []

        async def takes_its_time(_: Event) -> None:
            running.append("deliver")
            try:
                await asyncio.sleep(0.3)
            finally:
                await asyncio.sleep(0.1)
                running.clear()

        slow = Here("a bridge whose deliver takes a while", submission, takes_its_time)
        other = Here("another one", submission)
        async with made(valkey, slow, other):
            await slow.does("start")
            await other.does("publish", "room", "event", 3)
            await expect.arrives("a call of deliver", slow.came.get(), within_s=IN_TIME_S)
            await slow.does("stop")
            expect("what runs when stop has returned", running, equals=[])


async def _warned(records: list[logging.LogRecord]) -> None:
    """Wait until there is a warning, or worse."""
    while not any(record.levelno >= logging.WARNING for record in records):
        await asyncio.sleep(LOOK_S)


async def _nothing_runs(when: str, before: set[asyncio.Task[Any]]) -> None:
    """Observe that no task is left that was not there before."""
    for _ in range(20):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    expect.that(f"no task runs {when}", not left, but=f"{len(left)} do")
