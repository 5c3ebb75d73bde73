"""A Socket.IO server with a submission's events on it, and people who use it: what graders of such exercises share.

What lives here: `Guest`, `House` and `open_house`. A grader imports them, gives guests what its exercise needs, and
observes through `expect` as always. It must not know any exercise. Imported by graders only: it loads python-socketio.

Nothing here sleeps to be sure that nothing comes: `House.heard` sends a marker to everyone, and what somebody has not
heard before the marker is not on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Generic, TypeVar

import socketio

from rtlab.grading.child.expectations import expect
from rtlab.servers.hosting import serve

__all__ = ["IN_TIME_S", "OK", "Event", "Guest", "House", "open_house", "show", "up_to"]

MARKER = "that is all"
"""The event that goes to everyone."""
NUMBERS = count(1)
IN_TIME_S = 2
"""Seconds for one answer. On this machine's own network it takes a thousandth of one."""
SHOWN = 60
"""Characters of an event's data that a sentence shows."""
OK = {"status": "ok"}
"""The ack of what was done."""
Event = tuple[Any, ...]
"""What somebody hears: a name, and its arguments."""


class Guest:
    """One connection. It keeps what it hears, in order.

    Args:
        name: what sentences call it: "rosa's phone".
        user: who it says that it is.
    """

    def __init__(self, name: str, user: str) -> None:
        self.name = name
        self.user = user
        self.inbox: asyncio.Queue[Event] = asyncio.Queue()
        self.client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        self.client.on("*", lambda *event: self.inbox.put_nowait(event))

    @property
    def sid(self) -> str:
        """Its socket's id."""
        return str(self.client.get_sid())

    async def tell(self, event: str, *data: Any) -> None:
        """Send an event without asking for an ack."""
        await self.client.emit(event, data)

    async def ask(self, event: str, *data: Any) -> Any:
        """Send an event and give the first argument of its ack; those, as a tuple, if there are several or none."""
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def acknowledged(*ack: Any) -> None:
            if not answer.done():
                answer.set_result(ack)

        await self.client.emit(event, data, callback=acknowledged)
        ack = await expect.arrives(self._ack_of(event, data), answer, within_s=IN_TIME_S)
        return ack[0] if len(ack) == 1 else ack

    async def is_answered(self, wanted: dict[str, Any], event: str, *data: Any) -> None:
        """Send an event and observe its ack."""
        expect(self._ack_of(event, data), await self.ask(event, *data), equals=wanted)

    async def is_refused(self, code: str, event: str, *data: Any) -> dict[str, Any]:
        """Send an event and observe that its ack is an error with this code; gives the ack."""
        what = self._ack_of(event, data)
        answer: dict[str, Any] = expect(what, await self.ask(event, *data), is_a=dict)
        expect(f"the status in {what}", answer.get("status"), equals="error")
        expect(f"the code in {what}", answer.get("code"), equals=code)
        return answer

    def _ack_of(self, event: str, data: Event) -> str:
        return f"the ack of {event} {show(data)} from {self.name}"


G = TypeVar("G", bound=Guest)


class House(Generic[G]):
    """A server with the submission's events on it, and its guests.

    Args:
        register: puts the submission's events on the server.
        kind: makes a guest of a name and a user.
        **options: those of `socketio.AsyncServer`.
    """

    def __init__(
        self, register: Callable[[socketio.AsyncServer], object], kind: Callable[[str, str], G], **options: Any
    ) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp", **options)
        self.sio.on("connect", self.let_in)
        register(self.sio)
        self.url = ""
        self.guests: list[G] = []
        self._kind = kind

    async def let_in(self, sid: str, environ: object, auth: dict[str, str]) -> None:
        """The connect handler: everybody comes in under the name that they give."""
        await self.sio.save_session(sid, {"username": auth["username"]})

    async def guest(self, name: str, user: str | None = None) -> G:
        """Somebody connects.

        Args:
            name: what sentences call the connection.
            user: who it is; the name if not given.
        """
        guest = self._kind(name, user or name)
        coming = guest.client.connect(self.url, auth={"username": guest.user}, transports=["websocket"])
        await expect.arrives(f"{name} to connect", coming, within_s=IN_TIME_S)
        self.guests.append(guest)
        return guest

    async def all_of(self, *names: str) -> list[G]:
        """Several people connect, one after the other."""
        return [await self.guest(name) for name in names]

    async def goes(self, guest: G) -> None:
        """End a connection, and wait until the server is done with it."""
        sid = guest.sid
        await guest.client.disconnect()
        what = f"the server to be done with {guest.name}'s connection"
        await expect.arrives(what, self._without(sid), within_s=IN_TIME_S)

    async def _without(self, sid: str) -> None:
        while any(sid == other for other, _ in self.sio.manager.get_participants("/", None)):
            await asyncio.sleep(0.005)

    async def heard(self) -> dict[str, list[Event]]:
        """What each guest who is still connected has heard since the last time."""
        marker = (MARKER, next(NUMBERS))
        await self.sio.emit(*marker)
        return {guest.name: await up_to(marker, guest) for guest in self.guests if guest.client.connected}

    async def hears(self, what: str, **wanted: list[Event]) -> None:
        """Observe what each guest hears; guests that are not named hear nothing."""
        for name, events in (await self.heard()).items():
            expect(f"what {name} hears {what}", events, equals=wanted.get(name, []))


@asynccontextmanager
async def open_house(house: House[G]) -> AsyncIterator[House[G]]:
    """Serve it for the length of an ``async with`` block; at its end the guests leave."""
    async with serve(house.sio) as server:
        house.url = server.url
        try:
            yield house
        finally:
            for guest in house.guests:
                await guest.client.disconnect()


async def up_to(marker: Event, guest: Guest) -> list[Event]:
    """What a guest hears before an event that goes to everyone."""
    events: list[Event] = []
    while True:
        what = f"{guest.name} to hear what is sent to everyone"
        event = await expect.arrives(what, guest.inbox.get(), within_s=IN_TIME_S)
        if event == marker:
            return events
        if event[0] != MARKER:
            events.append(event)


def show(data: Event) -> str:
    """An event's data as a sentence shows it."""
    text = ", ".join(map(repr, data)) or "without data"
    return text if len(text) <= SHOWN else f"{text[:50]} … ({len(text)} characters)"
