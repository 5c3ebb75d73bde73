"""The checks of exercise 05. `rtlab grade 05` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import socketio
from websockets.asyncio.client import ClientConnection, connect

import rtlab
from rtlab.grading import check, expect

FORBIDDEN = {"rtlab.chat": "It validates its payloads; this exercise is about how that is done."}

WITHIN_S = 1
"""Seconds that an acknowledgement may take, as `ANSWER_WITHIN_S` says."""
LONGEST_MESSAGE = 200
"""Characters of an error's message, as the stub says."""


class Shop:
    """A server on which the submission takes orders, and the store behind it."""

    def __init__(self, submission: Any) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp")
        self.saved: list[tuple[Any, Any]] = []
        self.begun = 0
        self.trouble: Exception | None = None
        """What `save` raises."""
        self.closed: set[str] = set()
        """The items for which `save` does not return before the end of the check."""
        self.end = asyncio.Event()
        submission.register(self.sio, self.save)

    async def save(self, item: str, qty: int) -> int:
        self.begun += 1
        if item in self.closed:
            await self.end.wait()
        if self.trouble is not None:
            raise self.trouble
        self.saved.append((item, qty))
        return 700 + len(self.saved)


@asynccontextmanager
async def shop_of(submission: Any) -> AsyncIterator[tuple[Shop, rtlab.Server]]:
    shop = Shop(submission)
    async with rtlab.serve(shop.sio) as server:
        try:
            yield shop, server
        finally:
            shop.end.set()


class Client:
    """Socket.IO on a plain WebSocket: it sends any number of arguments, with an ack id or without."""

    def __init__(self, ws: ClientConnection) -> None:
        self.ws = ws
        self.ids = 0

    async def send(self, *args: object, wants_ack: bool = True) -> None:
        self.ids += wants_ack
        await self.ws.send(f"42{self.ids if wants_ack else ''}{json.dumps(['order:place', *args])}")

    async def frame(self) -> str:
        """The next frame that is no heartbeat."""
        while (frame := str(await self.ws.recv())) == "2":
            await self.ws.send("3")
        return frame

    async def ack(self, what: str) -> Any:
        """What the last event that asked for an ack gets; one ack argument."""
        frame = await expect.arrives(f"an acknowledgement of {what}", self.frame(), within_s=WITHIN_S)
        head = f"43{self.ids}["
        expect.that(f"{what} is acknowledged next", frame.startswith(head), but=f"there came {frame[:80]!r}")
        acks = json.loads(frame[len(head) - 1 :])
        expect(f"the number of ack arguments for {what}", len(acks), equals=1)
        return expect(f"the acknowledgement of {what}", acks[0], is_a=dict)

    async def order(self, *args: object) -> Any:
        await self.send(*args)
        return await self.ack(called(args))

    async def is_refused(self, *args: object, code: str = "invalid") -> str:
        """Order something bad; gives the message of the error."""
        answer = await self.order(*args)
        what = called(args)
        expect(f"the status of {what}", answer.get("status"), equals="error")
        expect(f"the code of {what}", answer.get("code"), equals=code)
        return expect(f"the message for {what}", answer.get("message"), is_a=str)

    async def is_taken(self, shop: Shop, item: str, qty: int, when: str) -> None:
        """Order something good, and see that it is saved."""
        answer = await self.order({"item": item, "qty": qty})
        wanted = {"status": "ok", "id": 700 + len(shop.saved)}
        expect(f"the acknowledgement of a good order {when}", answer, equals=wanted)
        expect(f"what was saved last, {when}", shop.saved[-1:], equals=[(item, qty)])


def called(args: tuple[object, ...]) -> str:
    text = ", ".join(map(json.dumps, args)) or "no argument"
    return f"an order with {text if len(text) <= 80 else text[:80] + '…'}"


@asynccontextmanager
async def client_of(server: rtlab.Server) -> AsyncIterator[Client]:
    async with connect(f"{server.ws_url}/socket.io/?EIO=4&transport=websocket", close_timeout=1) as ws:
        await ws.recv()
        await ws.send("40")
        await ws.recv()
        yield Client(ws)


@check(
    points=3,
    hints=(
        "What the handler returns is the acknowledgement. What does `await save(item, qty)` give?",
        "A handler gets the socket's id first, then what the client sent. `@sio.on(…)` above it says the exact name.",
    ),
)
async def test_takes_good_orders(submission: Any) -> None:
    """Five good orders are saved as they are, and each gets its number; one that asks for no ack is saved silently."""
    good: list[dict[str, Any]] = [
        {"item": "green tea", "qty": 2},
        {"item": "milk", "qty": 1},
        {"qty": 99, "item": "sugar"},
        {"item": " ş" * 20, "qty": 12},
        {"item": "cups", "qty": 6, "gift": True, "id": 5},
    ]
    async with shop_of(submission) as (shop, server):
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        await client.connect(server.url, transports=["websocket"])
        try:
            for number, order in enumerate(good, 701):
                acks: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
                await client.emit("order:place", order, callback=lambda *args, acks=acks: acks.put_nowait(args))
                what = f"an acknowledgement of {order}"
                answer = await expect.arrives(what, acks.get(), within_s=WITHIN_S)
                expect(f"the number of ack arguments for {order}", len(answer), equals=1)
                expect(f"the acknowledgement of {order}", answer[0], equals={"status": "ok", "id": number})
            expect("what was saved", shop.saved, equals=[(order["item"], order["qty"]) for order in good])
        finally:
            await client.disconnect()
        async with client_of(server) as other:
            await other.send({"item": "jam", "qty": 3}, wants_ack=False)
            await other.is_taken(shop, "honey", 4, "right after one that asks for no acknowledgement")
        expect("what was saved of these two", sorted(shop.saved[5:]), equals=[("honey", 4), ("jam", 3)])


@check(
    points=3,
    hints=(
        "Which lines of yours can raise for some payload? null, a list and a number are payloads as well.",
        "Ask for the field, then its type, then its bounds. Name it in the message, and cut what came: it may be huge.",
    ),
)
async def test_answers_bad_orders(submission: Any) -> None:
    """Bad payloads get an error that names the field and is short; nothing is saved, and a good order is taken then."""
    item: list[object] = ["", "   ", "x" * 41, 7, None, ["rice"], {"name": "rice"}]
    qty: list[object] = [0, 100, -3, 2.5, "4", None, [5], float("nan")]
    huge = "y" * 100_000
    bad = [("item", {"item": value, "qty": 4}) for value in item] + [("item", {"qty": 4})]
    bad += [("qty", {"item": "rice", "qty": value}) for value in qty] + [("qty", {"item": "rice"})]
    async with shop_of(submission) as (shop, server), client_of(server) as client:
        for payload in (None, [], ["rice", 4], "rice", 4, False):
            await client.is_refused(payload)
        for field, order in bad:
            message = await client.is_refused(order)
            expect(f"the message for {called((order,))}", message, contains=field)
        message = await client.is_refused({"item": "rice", "qty": 150})
        expect("the message for a quantity of 150", message, contains="150")
        for args in (({"item": huge, "qty": 2},), ({"item": "rye", "qty": huge},), (huge,), (list(huge[:20_000]),)):
            message = await client.is_refused(*args)
            expect(f"the length of the message for {called(args)}", len(message), within=(1, LONGEST_MESSAGE))
        await client.send({"item": "rice", "qty": 300}, wants_ack=False)
        await client.is_refused("rice")
        expect("what was saved of all these", shop.saved, equals=[])
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
    async with shop_of(submission) as (shop, server), client_of(server) as client:
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
    async with shop_of(submission) as (shop, server), client_of(server) as client:
        for args in ((), (good, good), ("oil", 2), (1, 2, 3), (good, None)):
            await client.is_refused(*args)
        await client.send(wants_ack=False)
        expect("what was saved of all these", shop.saved, equals=[])
        await client.is_taken(shop, "oil", 2, "after these")


@check(
    points=2,
    hints=(
        "An exception in a handler is logged somewhere, and no acknowledgement is sent. Who has to catch it?",
        "The text of an exception may hold addresses, names and passwords. Log it; tell the client something else.",
    ),
)
async def test_answers_when_save_raises(submission: Any) -> None:
    """Three kinds of exception in `save` give "failed" and none of their text; then the store works again."""
    async with shop_of(submission) as (shop, server), client_of(server) as client:
        for trouble in (OSError("no route to 10.9.8.7"), KeyError("s3cret"), ValueError("password=hunter2")):
            shop.trouble = trouble
            message = await client.is_refused({"item": "salt", "qty": 8}, code="failed")
            said = str(trouble.args[0])
            expect.that("what the exception says stays here", said not in message, but=f"the message is {message!r}")
        shop.trouble = None
        await client.is_taken(shop, "salt", 8, "when the store works again")


@check(
    points=2,
    hints=(
        "The client's time-out is the client's. Which waiting of yours has no end, and what ends a wait in asyncio?",
        "Give `save` less time than a second, so that the answer still comes within one.",
    ),
)
async def test_answers_when_save_does_not_return(submission: Any) -> None:
    """While `save` hangs for two clients, a third one is served; the two that wait hear "late" within a second."""
    async with (
        shop_of(submission) as (shop, server),
        client_of(server) as slow,
        client_of(server) as as_slow,
        client_of(server) as other,
    ):
        shop.closed.add("caviar")
        hang = {"first": slow, "second": as_slow}
        for client in hang.values():
            await client.send({"item": "caviar", "qty": 1})
        acks = [
            client.ack(f"the {which} of two orders for which `save` does not return") for which, client in hang.items()
        ]
        *answers, _ = await asyncio.gather(*acks, other.is_taken(shop, "bread", 3, "while two others hang"))
        for which, answer in zip(hang, answers, strict=True):
            expect(f"the status of the {which} of the two", answer.get("status"), equals="error")
            expect(f"the code of the {which} of the two", answer.get("code"), equals="late")
            expect(f"the message for the {which} of the two", answer.get("message"), is_a=str)
        expect("how often `save` was called for the three", shop.begun, equals=3)
        await slow.is_taken(shop, "butter", 5, "after one that was late")
