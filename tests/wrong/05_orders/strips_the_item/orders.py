"""Fails: test_takes_good_orders

The item is saved without the blanks around it, and not as it is.
"""

import asyncio
import logging
import reprlib
from collections.abc import Awaitable, Callable
from typing import Any

import socketio

Save = Callable[[str, int], Awaitable[int]]

ANSWER_WITHIN_S = 1.0
LONGEST_MESSAGE = 200


def register(sio: socketio.AsyncServer, save: Save) -> None:

    async def stored(item: str, qty: int) -> int:
        return await save(item, qty)  # in a coroutine, because `save` may raise when it is called as well

    @sio.on("order:place")
    async def place(_sid: str, *args: Any) -> dict[str, Any]:
        try:
            item, qty = parse(args)
        except ValueError as problem:
            return refusal("invalid", str(problem))
        saving = asyncio.create_task(stored(item, qty))
        try:
            done, _ = await asyncio.wait({saving}, timeout=0.6 * ANSWER_WITHIN_S)  # the rest is for the way
            if not done:
                return refusal("late", "the order is not stored yet; it may still be. Ask before you order again")
            return {"status": "ok", "id": saving.result()}
        except Exception:
            logging.exception("an order of %s x %r was not saved", qty, item)
            return refusal("failed", "the order could not be stored")
        finally:
            saving.cancel()


def parse(args: tuple[Any, ...]) -> tuple[str, int]:
    if len(args) != 1:
        raise ValueError(f"expected one argument, an object with item and qty; got {len(args)} arguments")
    order = args[0]
    if not isinstance(order, dict):
        raise ValueError(f"expected an object with item and qty; got {reprlib.repr(order)}")
    match order:
        case {"item": str(item)} if item.strip() and len(item) <= 40:
            pass
        case _:
            raise ValueError(f"item: expected a string of 1 to 40 characters, not all blank; got {show(order, 'item')}")
    match order:
        case {"qty": int(qty)} if not isinstance(qty, bool) and 1 <= qty <= 99:
            return item.strip(), qty
    raise ValueError(f"qty: expected a whole number from 1 to 99; got {show(order, 'qty')}")


def show(order: dict[str, Any], field: str) -> str:
    return reprlib.repr(order[field]) if field in order else "nothing"


def refusal(code: str, message: str) -> dict[str, Any]:
    return {"status": "error", "code": code, "message": message[:LONGEST_MESSAGE]}
