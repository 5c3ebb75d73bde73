"""Fails: test_answers_bad_orders

`reprlib` shows six of six of six of a list in lists: far more than a message may have.
"""

import asyncio
import reprlib


def register(sio, save):
    @sio.on("order:place")
    async def place(sid, *args):
        if len(args) != 1 or not isinstance(args[0], dict):
            return {"status": "error", "code": "invalid", "message": "expected one object"}
        item, qty = args[0].get("item"), args[0].get("qty")
        if not isinstance(item, str) or not item.strip() or len(item) > 40:
            return {"status": "error", "code": "invalid", "message": f"item: expected 1 to 40 characters, got {reprlib.repr(item)}"}
        if type(qty) is not int or not 1 <= qty <= 99:
            return {"status": "error", "code": "invalid", "message": f"qty: got {reprlib.repr(qty)}"}
        try:
            async with asyncio.timeout(0.5):
                return {"status": "ok", "id": await save(item, qty)}
        except TimeoutError:
            return {"status": "error", "code": "late", "message": "not stored in time"}
        except Exception:  # noqa: BLE001 - the store may raise anything
            return {"status": "error", "code": "failed", "message": "not stored"}
