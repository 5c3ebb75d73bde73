"""The chat with one of its safeguards undone, for a worker of a cluster: SOAK_WITHOUT names it. For tests alone.

Each is undone by replacing one method or one constant, so that the rest is the chat that everybody runs.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from rtlab.chat import Limits, create_app
from rtlab.chat.delivery import Delivery
from rtlab.chat.events import Events
from rtlab.chat.stores import redis_history
from rtlab.chat.stores.protocols import Page, spelled
from rtlab.chat.stores.redis_history import RedisHistory

__all__ = ["UNDONE", "create", "unsafe"]

WITHOUT = "SOAK_WITHOUT"
"""The environment variable with the safeguard's name; the chat is whole if it is not set."""


def without_duplicate_check() -> None:
    """A message that comes again is stored again."""
    redis_history._key = lambda user, client_id: ""


def without_storing_first() -> None:
    """A message is acknowledged, and stored when the next one comes: it is in the memory of one process until then."""
    append = RedisHistory.append
    held: list[tuple[str, Any, str]] = []

    async def later(self: RedisHistory, room: str, record: Any, user: str) -> Any:
        while held:
            await append(self, *held.pop(0))
        held.append((room, record, user))
        return {**record, "offset": spelled((int(time.time() * 1000), 0))}, True

    RedisHistory.append = later  # type: ignore[method-assign]


def without_gap_repair() -> None:
    """What Pub/Sub has lost is not read from the stream."""
    admit = Delivery.admit

    def over_gaps(self: Delivery, message: dict[str, Any]) -> bool:
        if message.get("prev") is not None:
            message["prev"] = "0-0"  # nothing lies between, whatever has come before
        return admit(self, message)

    async def nowhere(self: Delivery) -> None:
        """Look at nothing."""

    Delivery.admit = over_gaps  # type: ignore[method-assign]
    Delivery.look = nowhere  # type: ignore[method-assign]


def without_resume() -> None:
    """Whoever comes back and says after which offset, gets what comes from now on, as if nothing had been missed."""
    made = Events.__init__

    class Forgetful:
        """A history that remembers only for whoever asks for the last messages."""

        def __init__(self, history: Any) -> None:
            self._history = history

        def __getattr__(self, name: str) -> Any:
            return getattr(self._history, name)

        async def after(self, room: str, offset: str, count: int, *more: Any) -> Page:
            page = await self._history.last(room, count, *more)
            return Page([], 0, False, page.offset)

    def remade(self: Events, sio: Any, limits: Any, history: Any, *more: Any, **named: Any) -> None:
        made(self, sio, limits, Forgetful(history), *more, **named)

    Events.__init__ = remade  # type: ignore[method-assign]


def without_members_only() -> None:
    """Whoever has left a room is still told what is said there."""
    import rtlab.realtime

    leave = rtlab.realtime.Server.leave_room

    async def stay(self: Any, sid: str, room: str, *more: Any, **named: Any) -> None:
        if not room.startswith("chat:"):
            await leave(self, sid, room, *more, **named)

    rtlab.realtime.Server.leave_room = stay  # type: ignore[method-assign]


UNDONE = {
    "duplicate check": without_duplicate_check,
    "storing first": without_storing_first,
    "gap repair": without_gap_repair,
    "resume": without_resume,
    "members only": without_members_only,
}
"""By safeguard: what undoes it. The others are undone by how the cluster is started, or in the client."""


def unsafe(without: str) -> dict[str, str]:
    """The environment of a worker that runs it without this safeguard; with all of them, if it is empty."""
    return {"PYTHONPATH": str(Path(__file__).parents[1]), WITHOUT: without}


def create() -> web.Application:
    """The chat of a worker. It keeps its connections while a test stops it for a moment."""
    if name := os.environ.get(WITHOUT):
        UNDONE[name]()
    limits = Limits(history=500, events_per_s=1e6, burst=1_000_000, new_rooms_per_min=1e6)
    return create_app(limits=limits, ping_interval=60, ping_timeout=60)
