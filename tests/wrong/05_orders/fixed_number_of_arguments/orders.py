"""Fails: test_takes_any_number_of_arguments

The handler takes one argument; with none, or with two, the call of it raises, and nobody is answered.
"""

import asyncio


def register(sio, save):
    @sio.on("order:place")
    async def place(sid, data):
        if not isinstance(data, dict):
            return {"status": "error", "code": "invalid", "message": "expected one object"}
        item, qty = data.get("item"), data.get("qty")
        if not isinstance(item, str) or not item.strip() or len(item) > 40:
            return {"status": "error", "code": "invalid", "message": f"item: {item!r:.50}"}
        if type(qty) is not int or not 1 <= qty <= 99:
            return {"status": "error", "code": "invalid", "message": f"qty: {qty!r:.50}"}
        try:
            async with asyncio.timeout(0.5):
                return {"status": "ok", "id": await save(item, qty)}
        except TimeoutError:
            return {"status": "error", "code": "late", "message": "not stored in time"}
        except Exception:  # noqa: BLE001 - the store may raise anything
            return {"status": "error", "code": "failed", "message": "not stored"}
