"""A history that makes coming back as hard as it can be, for tests of the clients: in Python and in the page.

At the first join with ``after``, 60 messages have been said meanwhile, and one more is said before the page of history
is sent: that live message arrives first. At the second, the connection is cut between two pages.
"""

from __future__ import annotations

import asyncio

from rtlab.chat import MemoryHistory
from rtlab.chat.rooms import EventRefused, chat_room
from rtlab.chat.stores.memory import Page
from rtlab.realtime import Server

__all__ = ["EXPECTED", "Restless"]

MISSED = [f"m{number}" for number in range(1, 61)]
EXPECTED = [*MISSED, "live"]
"""What a client that was away has to show, each once and in this order."""


class Restless(MemoryHistory):
    """As the module says. `sio` has to be set."""

    sio: Server

    def __init__(self) -> None:
        super().__init__(100)
        self.asked: list[str] = []
        """Each ``after`` that came."""

    async def after(self, room: str, offset: str, count: int) -> Page:
        self.asked.append(offset)
        if len(self.asked) == 1:
            for text in MISSED:
                await self.append(room, self._record(room, text), "carol")
            page = await super().after(room, offset, count)
            kept, _ = await self.append(room, self._record(room, "live"), "carol")
            await self.sio.emit("chat:message", kept, to=chat_room(room))
            return page
        if len(self.asked) == 2:
            self._ending = asyncio.create_task(self.cut_all())
            raise EventRefused("gone", "expected a client that is still here")
        return await super().after(room, offset, count)

    async def cut_all(self) -> None:
        """End every connection, so that clients come back by themselves."""
        for session in list(self.sio.eio.sockets):
            await self.sio.eio.disconnect(session)

    @staticmethod
    def _record(room: str, text: str) -> dict[str, object]:
        return {"id": text, "username": "carol", "text": text, "room": room, "timestamp": 1_764_000_000_000}
