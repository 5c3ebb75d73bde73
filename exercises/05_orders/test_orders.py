"""The checks of exercise 05. `rtlab grade 05` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import socketio
from websockets.asyncio.client import ClientConnection, connect

import rtlab
from rtlab.grading import check, expect
from rtlab.grading.harness import unregistered

FORBIDDEN = {"rtlab.chat": "It validates its payloads; this exercise is about how that is done."}

DEMANDS = {
    "Yours is the handler that always says so.": ("test_answers_bad_orders", "test_takes_any_number_of_arguments"),
    "clients send `order:place` with": "test_takes_good_orders",
    "a string of 1 to 40 characters, not all of them blanks": ("test_takes_good_orders", "test_answers_bad_orders"),
    "a whole number from 1 to 99, an int.": ("test_takes_good_orders", "test_answers_bad_orders"),
    "True is no number, and 4.0 is no int.": ("test_true_is_no_number", "test_answers_bad_orders"),
    "Other fields are ignored.": "test_takes_good_orders",
    "A good order is saved once, as it is, and acknowledged with": "test_takes_good_orders",
    "where the id is what `save` gave.": "test_takes_good_orders",
    "Two orders that are alike are two orders.": "test_takes_good_orders",
    "Whatever else comes is not saved": ("test_answers_bad_orders", "test_takes_any_number_of_arguments"),
    'acknowledged with {"status": "error", "code": …, "message": …}': "test_answers_bad_orders",
    "of at most `LONGEST_MESSAGE` characters": "test_answers_bad_orders",
    'The message names the field ("item", "qty") and shows what came instead': "test_answers_bad_orders",
    'so that the number 5 and the text "5" look different': "test_answers_bad_orders",
    "Where there is not one argument, or it is no dictionary, it says so.": "test_takes_any_number_of_arguments",
    "What that says is our business, and not the client's": "test_answers_when_save_raises",
    "it goes to the log, by way of Python's `logging`": "test_answers_when_save_raises",
    "It gets at least half of `ANSWER_WITHIN_S`.": "test_answers_when_save_does_not_return",
    "Then its call is cancelled, so that hanging calls do not pile up.": "test_answers_when_save_does_not_return",
    "gets it within `ANSWER_WITHIN_S`, and the connection lives on": "test_answers_when_save_does_not_return",
    "That holds for each of several orders that a client sends at the same time.": (
        "test_takes_good_orders",
        "test_answers_when_save_does_not_return",
    ),
    "One that asks for none is treated alike, only that nothing is sent back.": (
        "test_takes_good_orders",
        "test_answers_bad_orders",
        "test_answers_when_save_does_not_return",
    ),
    "There may be several, each with a `save` of its own.": "test_takes_good_orders",
    "It may raise any `Exception`, a TimeoutError too, and it may take very long.": "test_answers_when_save_raises",
}
"""What README.md and orders.py demand, and the checks that look at it."""

WITHIN_S = 1
"""Seconds that an acknowledgement may take, as `ANSWER_WITHIN_S` says."""
LONGEST_MESSAGE = 200
"""Characters of an error's message, as the stub says."""
HANGING = 30
"""Orders of one client for which `save` does not return: more than anybody would let wait for a place."""
SAVE_GETS_S = 0.48
"""Seconds that `save` gets at least: half of `WITHIN_S`, less what a clock may be off."""


class Log(logging.Handler):
    """What Python's logging shows by default."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


class Shop:
    """A server on which the submission takes orders, and the store behind it."""

    def __init__(self, submission: Any, first_id: int = 701) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp")
        self.first_id = first_id
        self.saved: list[tuple[Any, Any]] = []
        self.begun = 0
        self.running = 0
        """Calls of `save` that have not come to an end."""
        self.is_idle = asyncio.Event()
        self.trouble: Exception | None = None
        """What `save` raises."""
        self.trouble_at_once = False
        """Whether it raises when it is called, and not when it is awaited."""
        self.closed: set[str] = set()
        """The items for which `save` does not return before the end of the check."""
        self.end = asyncio.Event()
        submission.register(self.sio, self.save)

    def save(self, item: str, qty: int, /) -> Awaitable[int]:
        self.begun += 1
        if self.trouble is not None and self.trouble_at_once:
            raise self.trouble
        return self._save(item, qty)

    async def _save(self, item: str, qty: int) -> int:
        self.running += 1
        try:
            await asyncio.sleep(0)
            if item in self.closed:
                await self.end.wait()
            if self.trouble is not None:
                raise self.trouble
            self.saved.append((item, qty))
            return self.first_id - 1 + len(self.saved)
        finally:
            self.running -= 1
            if not self.running:
                self.is_idle.set()


@asynccontextmanager
async def shop_of(submission: Any, first_id: int = 701) -> AsyncIterator[tuple[Shop, rtlab.Server]]:
    shop = Shop(submission, first_id)
    async with rtlab.serve(shop.sio) as server:
        try:
            yield shop, server
        finally:
            shop.end.set()


class Client:
    """Socket.IO on a plain WebSocket: it sends any number of arguments, with an ack id or without."""

    def __init__(self, ws: ClientConnection, shop: Shop) -> None:
        self.ws = ws
        self.shop = shop
        self.ids = 0

    async def send(self, *args: object, wants_ack: bool = True) -> None:
        self.ids += wants_ack
        await self.ws.send(f"42{self.ids if wants_ack else ''}{json.dumps(['order:place', *args])}")

    async def send_with_bytes(self, arg: object, attachment: bytes) -> None:
        """Order something with a placeholder in it, and its attachment."""
        self.ids += 1
        await self.ws.send(f"451-{self.ids}{json.dumps(['order:place', arg])}")
        await self.ws.send(attachment)

    async def frame(self) -> str:
        """The next frame that is no heartbeat."""
        while (frame := str(await self.ws.recv())) == "2":
            await self.ws.send("3")
        return frame

    async def arrives(self, what: str, awaitable: Awaitable[Any]) -> Any:
        """Observe that something arrives in time."""
        why = lambda: unregistered(self.shop.sio, "order:place")  # noqa: E731
        return await expect.arrives(what, awaitable, within_s=WITHIN_S, why=why)

    async def ack(self, what: str) -> Any:
        """What the last event that asked for an ack gets; one ack argument."""
        frame = await self.arrives(f"an acknowledgement of {what}", self.frame())
        return self.read(what, frame, self.ids)

    async def acks(self, what: str, *ids: int) -> dict[int, Any]:
        """The acks of several events, within the time of one, in the order in which they come."""

        async def all_frames() -> list[str]:
            return [await self.frame() for _ in ids]

        frames = await self.arrives(f"an acknowledgement of each of {what}", all_frames())
        found = {number: frame for frame in frames for number in ids if frame.startswith(f"43{number}[")}
        expect(f"the ack ids of {what}", sorted(found), equals=sorted(ids))
        return {number: self.read(what, frame, number) for number, frame in found.items()}

    def read(self, what: str, frame: str, number: int) -> Any:
        head = f"43{number}["
        expect.that(f"{what} is acknowledged next", frame.startswith(head), but=f"there came {frame[:80]!r}")
        acks = json.loads(frame[len(head) - 1 :])
        expect(f"the number of ack arguments for {what}", len(acks), equals=1)
        return expect(f"the acknowledgement of {what}", acks[0], is_a=dict)

    async def order(self, *args: object) -> Any:
        await self.send(*args)
        return await self.ack(called(args))

    async def is_refused(self, *args: object, code: str = "invalid", when: str = "") -> str:
        """Order something bad, or `when` that is bad; gives the message of the error."""
        return refused(called(args) + when, await self.order(*args), code)

    async def is_taken(self, shop: Shop, item: str, qty: int, when: str) -> None:
        """Order something good, and see that it is saved."""
        answer = await self.order({"item": item, "qty": qty})
        wanted = {"status": "ok", "id": shop.first_id - 1 + len(shop.saved)}
        expect(f"the acknowledgement of a good order {when}", answer, equals=wanted)
        expect(f"what was saved last, {when}", shop.saved[-1:], equals=[(item, qty)])


def refused(what: str, answer: Any, code: str) -> str:
    """Observe that an ack is an error with this code; gives its message."""
    expect(f"the status of {what}", answer.get("status"), equals="error")
    expect(f"the code of {what}", answer.get("code"), equals=code)
    expect(f"the fields of the acknowledgement of {what}", set(answer), equals={"status", "code", "message"})
    message: str = expect(f"the message for {what}", answer["message"], is_a=str)
    expect(f"the length of the message for {what}", len(message), within=(1, LONGEST_MESSAGE))
    return message


def called(args: tuple[object, ...]) -> str:
    text = ", ".join(map(json.dumps, args)) or "no argument"
    return f"an order with {text if len(text) <= 80 else text[:80] + '…'}"


@asynccontextmanager
async def client_of(shop: Shop, server: rtlab.Server) -> AsyncIterator[Client]:
    async with connect(f"{server.ws_url}/socket.io/?EIO=4&transport=websocket", close_timeout=1) as ws:
        await ws.recv()
        await ws.send("40")
        await ws.recv()
        yield Client(ws, shop)


@check(
    points=3,
    hints=(
        "What the handler returns is the acknowledgement. What does `await save(item, qty)` give?",
        "A handler gets the socket's id first, then what the client sent. `@sio.on(…)` above it says the exact name.",
    ),
)
async def test_takes_good_orders(submission: Any) -> None:
    """Good orders are saved as they are, and each gets its number; one that asks for no ack is saved silently."""
    good: list[dict[str, Any]] = [
        {"item": "green tea", "qty": 2},
        {"item": "ü", "qty": 1},
        {"qty": 99, "item": "sugar"},
        {"item": " ş" * 20, "qty": 12},
        {"item": "e\u0301clair\twith\ncream ", "qty": 3},
        {"item": "\N{TEACUP WITHOUT HANDLE}\N{COOKIE}" * 20, "qty": 98},
        {"item": "cups", "qty": 6, "gift": True, "id": 5},
        {"item": "cups", "qty": 6, "gift": True, "id": 5},
    ]
    async with shop_of(submission, 0) as (shop, server), shop_of(submission) as (next_shop, next_server):
        async with client_of(shop, server) as client:
            for number, order in enumerate(good):
                answer = await client.order(order)
                expect(f"the acknowledgement of {order}", answer, equals={"status": "ok", "id": number})
            expect("what was saved", shop.saved, equals=[(order["item"], order["qty"]) for order in good])
        async with client_of(next_shop, next_server) as other:
            await other.send({"item": "jam", "qty": 3}, wants_ack=False)
            await other.is_taken(next_shop, "honey", 4, "right after one that asks for no acknowledgement")
            for _ in range(2):
                await other.send({"item": "figs", "qty": 7})
            answers = await other.acks("two orders that are alike, sent at once", 2, 3)
            wanted = [{"status": "ok", "id": number} for number in (703, 704)]
            expect("the acknowledgements of these two", sorted(answers.values(), key=str), equals=wanted)
        wanted_all = [("figs", 7), ("figs", 7), ("honey", 4), ("jam", 3)]
        expect("what was saved in the second of two shops", sorted(next_shop.saved), equals=wanted_all)
        expect("the number of orders saved in the first of them", len(shop.saved), equals=len(good))


@check(
    points=3,
    hints=(
        "Which lines of yours can raise for some payload? null, a list and a number are payloads as well.",
        "Ask for the field, its type, its bounds. Name it in the message, with what came as `reprlib.repr` shows it.",
    ),
)
async def test_answers_bad_orders(submission: Any) -> None:
    """Bad payloads get an error that names the field and is short; nothing is saved, and a good order is taken then."""
    item: list[object] = [
        "",
        "   ",
        "\t \N{NO-BREAK SPACE}\n",
        "x" * 41,
        "\ud83d" * 41,
        7,
        None,
        ["rice"],
        {"name": "rice"},
    ]
    qty: list[object] = [0, 100, -3, 2.5, 4.0, 1e300, "4", None, [5], float("nan"), 10**99, "\ud83d"]
    nested: list[Any] = []
    for _ in range(300):
        nested = [nested]
    huge = "y" * 100_000
    bad = [("item", {"item": value, "qty": 4}) for value in [*item, nested]] + [("item", {"qty": 4})]
    bad += [("qty", {"item": "rice", "qty": value}) for value in [*qty, nested]] + [("qty", {"item": "rice"})]
    async with shop_of(submission) as (shop, server), client_of(shop, server) as client:
        for payload in (None, [], ["rice", 4], "rice", 4, False, nested):
            await client.is_refused(payload)
        for field, order in bad:
            message = await client.is_refused(order)
            expect(f"the message for {called((order,))}", message, contains=field)
        await client.is_refused({"item": 7, "qty": 0})
        for shown, order in (("150", {"item": "rice", "qty": 150}), ("7734", {"item": 7734, "qty": 4})):
            expect(f"the message for {called((order,))}", await client.is_refused(order), contains=shown)
        for value in (None, 2.5, [5]):
            messages = [await client.is_refused({"item": "rice", "qty": each}) for each in (value, str(value))]
            claim = (
                f"the messages for a quantity of {json.dumps(value)} and of the text {json.dumps(str(value))} differ"
            )
            expect.that(claim, messages[0] != messages[1], but=f"both are {messages[0]!r}")
        for arg in (
            {"item": huge, "qty": 2},
            {"item": "rye", "qty": huge},
            {"item": [[huge[:1000]] * 9] * 9, "qty": 2},
            huge,
            list(huge[:20_000]),
            [[huge[:1000]] * 9] * 9,
        ):
            await client.is_refused(arg)
        await client.send_with_bytes({"item": {"_placeholder": True, "num": 0}, "qty": 2}, b"rice")
        refused("an order with an item in bytes", await client.ack("an order with an item in bytes"), "invalid")
        await client.send({"item": "rice", "qty": 300}, wants_ack=False)
        await client.is_refused("rice")
        expect("what was saved of all these", shop.saved, equals=[])
        expect("how often `save` was called for all these", shop.begun, equals=0)
        await client.is_taken(shop, "rice", 4, "after the bad ones")


@check(
    points=1,
    hints=(
        "Try `isinstance(True, int)` and `True == 1` in a Python prompt.",
        "In Python bool is a kind of int. Where you ask whether it is an int, ask also whether it is a bool.",
    ),
)
async def test_true_is_no_number(submission: Any) -> None:
    """A quantity of true, and one of false, is refused and not saved."""
    async with shop_of(submission) as (shop, server), client_of(shop, server) as client:
        for value in (True, False):
            message = await client.is_refused({"item": "rice", "qty": value})
            expect(f"the message for a quantity of {json.dumps(value)}", message, contains="qty")
        expect("what was saved", shop.saved, equals=[])
        await client.is_taken(shop, "rice", 1, "after these")


@check(
    points=2,
    hints=(
        "A client chooses how many arguments your handler gets. What does Python do when they are too few?",
        "A function can be written so that it takes any number of arguments. Then count them yourself.",
    ),
)
async def test_takes_any_number_of_arguments(submission: Any) -> None:
    """Orders with no argument, two and three are answered and not saved; so is one without an argument and ack id."""
    good = {"item": "oil", "qty": 2}
    async with shop_of(submission) as (shop, server), client_of(shop, server) as client:
        of_the_field = await client.is_refused({"qty": 2})
        for args in ((), (good, good), ("oil", 2), (1, 2, 3), (good, None), ("oil",), ([good],)):
            message = await client.is_refused(*args)
            claim = f"the message for {called(args)} is another one than that for a missing item"
            expect.that(claim, message != of_the_field, but=f"both are {message!r}")
        await client.send(wants_ack=False)
        expect("what was saved of all these", shop.saved, equals=[])
        await client.is_taken(shop, "oil", 2, "after these")


@check(
    points=2,
    hints=(
        "A handler that raises sends no acknowledgement. Who has to catch it, if it is a TimeoutError, too?",
        (
            "Log it with `logging.exception`; tell the client something else. Only your own time-out means 'late'. "
            "`save` is a function and may raise as soon as you call it: where does the call stand?"
        ),
    ),
)
async def test_answers_when_save_raises(submission: Any) -> None:
    """Six kinds of exception in `save` give "failed" and none of their text, which is logged; then all is well."""
    troubles = [OSError("no route to 10.9.8.7"), KeyError("s3cret"), ValueError("password=hunter2")]
    troubles += [
        TimeoutError("db-7 is slow"),
        asyncio.QueueFull("90 of 90"),
        type("StoreError", (Exception,), {})("table 12"),
    ]
    log = Log()
    logging.getLogger().addHandler(log)
    async with shop_of(submission) as (shop, server), client_of(shop, server) as client:
        for at_once in (False, True):
            shop.trouble_at_once = at_once
            for trouble in troubles:
                shop.trouble = trouble
                log.texts.clear()
                how = "as soon as it is called" if at_once else "when it is awaited"
                raised = f" while `save` raises {type(trouble).__name__} {how}"
                message = await client.is_refused({"item": "salt", "qty": 8}, code="failed", when=raised)
                said = str(trouble.args[0])
                expect.that(
                    "what the exception says stays here", said not in message, but=f"the message is {message!r}"
                )
                claim = f"the log has the {type(trouble).__name__} that `save` raised, with its text {said!r}"
                logged = [text.splitlines()[0] for text in log.texts]
                expect.that(claim, any(said in text for text in log.texts), but=f"it has {logged or 'nothing'}")
        shop.trouble = None
        await client.is_taken(shop, "salt", 8, "when the store works again")


@check(
    points=2,
    hints=(
        "The client's time-out is the client's. Which waiting of yours has no end, and what ends a wait in asyncio?",
        "Give each call 0.5 to 0.9 s, without a lock, and cancel it then: `asyncio.wait` has a timeout.",
    ),
)
async def test_answers_when_save_does_not_return(submission: Any) -> None:
    """While `save` hangs for 31 orders of two clients, others are served; the 31 hear "late" within a second."""
    async with (
        shop_of(submission) as (shop, server),
        client_of(shop, server) as slow,
        client_of(shop, server) as as_slow,
        client_of(shop, server) as other,
    ):
        shop.closed.add("caviar")
        caviar = {"item": "caviar", "qty": 1}
        started = asyncio.get_running_loop().time()
        for _ in range(HANGING):
            await slow.send(caviar)
        await slow.send(caviar, wants_ack=False)
        await slow.send({"item": "tea", "qty": 2})
        await as_slow.send(caviar)
        several, (one, took), bread = await asyncio.gather(
            slow.acks(
                f"{HANGING} orders for which `save` does not return, and a good one behind", *range(1, HANGING + 2)
            ),
            timed(as_slow.ack("an order of a second client for which `save` does not return"), started),
            other.order({"item": "bread", "qty": 3}),
        )
        expect("what was saved while others hang", sorted(shop.saved), equals=[("bread", 3), ("tea", 2)])
        wanted = {"status": "ok", "id": shop.first_id + shop.saved.index(("bread", 3))}
        expect("the acknowledgement of a good order while others hang", bread, equals=wanted)
        refused("the order of the second client", one, "late")
        claim = "`save` gets at least half a second before the answer is 'late'"
        expect.that(claim, took >= SAVE_GETS_S, but=f"that came after {took:.2f} s")
        first = next(iter(several))
        claim = "a good order that a client sends behind hanging ones is answered before they are late"
        expect.that(claim, first == HANGING + 1, but=f"order {first}, one that hangs, was answered first")
        good = several.pop(HANGING + 1)
        expect("the status of a good order that a client sends behind hanging ones", good.get("status"), equals="ok")
        for number, answer in several.items():
            refused(f"order {number} of {HANGING} that hang", answer, "late")
        expect("how often `save` was called for all these orders", shop.begun, equals=HANGING + 4)
        if shop.running:
            shop.is_idle.clear()
            await other.arrives("the end of each call of `save` that is late", shop.is_idle.wait())
        await slow.is_taken(shop, "butter", 5, "after those that were late")


async def timed(awaitable: Awaitable[Any], started: float) -> tuple[Any, float]:
    """What it gives, and how many seconds after `started`."""
    return await awaitable, asyncio.get_running_loop().time() - started
