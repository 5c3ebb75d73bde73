"""Fails: test_answers_when_save_does_not_return

One lock for everybody: an order waits first for those before it, and only then does its own time begin.
"""

import asyncio


def register(sio, save):
    lock = asyncio.Lock()

    @sio.on("order:place")
    async def place(sid, *args):
        if len(args) != 1 or not isinstance(args[0], dict):
            return {"status": "error", "code": "invalid", "message": "expected one object"}
        item, qty = args[0].get("item"), args[0].get("qty")
        if not isinstance(item, str) or not item.strip() or len(item) > 40:
            return {"status": "error", "code": "invalid", "message": f"item: {item!r:.50}"}
        if type(qty) is not int or not 1 <= qty <= 99:
            return {"status": "error", "code": "invalid", "message": f"qty: {qty!r:.50}"}
        async with lock:
            try:
                return {"status": "ok", "id": await asyncio.wait_for(save(item, qty), 0.8)}
            except TimeoutError:
                return {"status": "error", "code": "late", "message": "nobody knows yet"}
            except Exception:  # noqa: BLE001 - the store may raise anything
                return {"status": "error", "code": "failed", "message": "not stored"}
