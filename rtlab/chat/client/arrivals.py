"""What has come from the server and waits for the script that takes it.

What lives here: `Event`, the queue of them (`Arrivals`), and `Messages`, which gives the messages of a room one by one.
They must not know connections. The queue is bounded: a script that is too slow loses the oldest events, and can
see how many.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakSet

from rtlab.errors import ChatError

__all__ = ["EVENTS", "Arrivals", "Event", "Messages"]

EVENTS = 10_000
"""Events that wait for a script that does not ask for them. The oldest is dropped first. With messages of 1,000 English
letters they take 15 MB, in four-byte characters 50 MB."""


@dataclass(frozen=True)
class Event:
    """Something that the server has sent, or that has happened to the connection."""

    name: str
    """``chat:message``, ``chat:userJoined``, ``notification`` …; also ``connect`` and ``disconnect``."""
    data: Any
    """Its payload."""


class Arrivals:
    """Events in the order in which they came. Each is given once, to whoever asks for it first."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._news = asyncio.Event()
        self._over: ChatError | None = None
        self._readers: WeakSet[Messages] = WeakSet()
        self.dropped = 0
        """How many events were dropped because nobody took them."""

    def put(self, event: Event) -> None:
        """An event has come."""
        if len(self._events) >= EVENTS:
            oldest = self._events.popleft()
            self.dropped += 1
            for reader in self._readers:
                reader.lose(oldest)
        self._events.append(event)
        self._wake()

    def end(self, why: ChatError) -> None:
        """Nothing more will come. Those that ask for more get this."""
        self._over = why
        self._wake()

    async def next(self, name: str | None, wanted: dict[str, Any]) -> Event:
        """The next event of this name whose payload says what is wanted.

        Raises:
            ChatError: there is none, and nothing more will come.
        """
        while True:
            for index, event in enumerate(self._events):
                if (name is None or event.name == name) and _says(event.data, wanted):
                    del self._events[index]
                    return event
            if self._over is not None:
                raise ChatError(self._over.code, self._over.message)
            await self._news.wait()

    def messages(self, room: str | None) -> Messages:
        """The messages of a room, or of all."""
        reader = Messages(self, room)
        self._readers.add(reader)
        return reader

    def __str__(self) -> str:
        came = Counter(event.name for event in self._events)
        return ", ".join(f"{each} ({number})" for each, number in came.items()) or "nothing"

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()


class Messages(AsyncIterator[dict[str, Any]]):
    """The messages of a room, or of all rooms, as they come. `Client.messages` makes it.

    It ends when the connection is over and everything that came before was given. Each message is given once, to
    whoever asks first: two of these for one room share its messages.
    """

    def __init__(self, arrivals: Arrivals, room: str | None) -> None:
        self._arrivals = arrivals
        self._wanted = {} if room is None else {"room": room}
        self.dropped = 0
        """How many of its messages were dropped since it was made, because nobody took them in time: `EVENTS` may
        wait, of all kinds together. Compare it from time to time: more than before means a gap."""

    def lose(self, event: Event) -> None:
        """An event was dropped."""
        if event.name == "chat:message" and _says(event.data, self._wanted):
            self.dropped += 1

    async def __anext__(self) -> dict[str, Any]:
        try:
            message: dict[str, Any] = (await self._arrivals.next("chat:message", self._wanted)).data
        except ChatError:
            raise StopAsyncIteration from None
        return message

    def __repr__(self) -> str:
        room = self._wanted.get("room")
        return f"<messages of {'all rooms' if room is None else room}, {self.dropped} dropped>"


def _says(data: Any, wanted: dict[str, Any]) -> bool:
    return not wanted or (isinstance(data, dict) and all(data.get(name) == value for name, value in wanted.items()))
