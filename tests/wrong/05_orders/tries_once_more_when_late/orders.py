"""Fails: test_answers_when_save_does_not_return

A store that is late may have stored the order already; the second attempt stores it twice.
"""

import asyncio
from contextlib import suppress


def register(sio, save):
    @sio.on("order:place")
    async def place(sid, *args):
        if len(args) != 1 or not isinstance(args[0], dict):
            return {"status": "error", "code": "invalid", "message": "expected one object"}
        item, qty = args[0].get("item"), args[0].get("qty")
        if not isinstance(item, str) or not item.strip() or len(item) > 40:
            return {"status": "error", "code": "invalid", "message": f"item: {item!r:.50}"}
        if type(qty) is not int or not 1 <= qty <= 99:
            return {"status": "error", "code": "invalid", "message": f"qty: {qty!r:.50}"}
        try:
            for _ in range(2):
                with suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        return {"status": "ok", "id": await save(item, qty)}
        except Exception:  # noqa: BLE001 - the store may raise anything
            return {"status": "error", "code": "failed", "message": "not stored"}
        return {"status": "error", "code": "late", "message": "not stored in time"}
