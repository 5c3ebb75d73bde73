"""What an app wants to do before it stops listening.

What lives here: `DRAIN`, the key under which an aiohttp app has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from aiohttp import web

__all__ = ["DRAIN"]

DRAIN: web.AppKey[Callable[[], Awaitable[None]]] = web.AppKey("rtlab.drain", Callable[[], Awaitable[None]])  # type: ignore[arg-type]
"""A coroutine function without arguments. `rtlab.serve` and `rtlab.start` await it before they close the app, while it
still listens: so a balancer can ask whether it is ready, and clients that poll can finish what they have begun. An
app's own ``on_shutdown``, which aiohttp calls once nobody can connect any more, comes after it."""
