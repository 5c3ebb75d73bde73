"""A Socket.IO server with a submission's events on it, and people who use it: what graders of such exercises share.

What lives here: `Guest`, `House` and `open_house`. A grader imports them, gives guests what its exercise needs, and
observes through `expect` as always. `ConnectionEnd` and `unregistered` are for graders with clients of their own: why
nothing came. It must not know any exercise. Imported by graders only: it loads python-socketio.

Nothing here sleeps to be sure that nothing comes: `House.heard` sends a marker to everyone, and what somebody has not
heard before the marker is not on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Generic, TypeVar

import socketio

from rtlab.grading.child.endings import ConnectionEndedError
from rtlab.grading.child.expectations import expect
from rtlab.grading.results import time_scale
from rtlab.servers.hosting import serve

__all__ = ["IN_TIME_S", "OK", "ConnectionEnd", "Event", "Guest", "House", "open_house", "show", "unregistered", "up_to"]

MARKER = "that is all"
"""The event that goes to everyone."""
NUMBERS = count(1)
IN_TIME_S = 2
"""Seconds for one answer. On this machine's own network it takes a thousandth of one."""
SHOWN = 60
"""Characters of an event's data that a sentence shows."""
NAMED = 8
"""Registered events that a sentence names."""
RESERVED = ("connect", "disconnect")
"""Events that come by themselves: nobody emits them."""
OK = {"status": "ok"}
"""The ack of what was done."""
Event = tuple[Any, ...]
"""What somebody hears: a name, and its arguments."""
Value = TypeVar("Value")


class ConnectionEnd:
    """The end of a client's connection, to be waited for beside what is awaited on it.

    Register `note` as the client's "disconnect" handler: ``client.on("disconnect", ending.note)``.
    """

    def __init__(self) -> None:
        self._noted = asyncio.Event()
        self.reason = ""
        """What the library calls it: "server disconnect". Empty as long as the connection lasts."""

    def note(self, reason: str = "") -> None:
        """The handler of "disconnect"."""
        self.reason = {
            "server disconnect": "the server disconnected the client",
            "client disconnect": "the client disconnected",
            "transport close": "the WebSocket was closed",
            "transport error": "the WebSocket broke",
            "ping timeout": "the server did not send its pings any more",
        }.get(reason, str(reason))
        self._noted.set()

    async def or_ends(self, awaitable: Awaitable[Value]) -> Value:
        """Await something that comes over this connection: ``expect.arrives(what, ending.or_ends(answer), …)``.

        Raises:
            ConnectionEndedError: the connection ended first. `expect.arrives` says so, with the reason.
        """
        waiting = asyncio.ensure_future(awaitable)
        end = asyncio.ensure_future(self._noted.wait())
        try:
            await asyncio.wait({waiting, end}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                return waiting.result()
            raise ConnectionEndedError(self.reason)
        finally:
            waiting.cancel()
            end.cancel()


def unregistered(sio: socketio.AsyncServer, event: str, namespace: str = "/") -> str:
    """Why an event may stay without an answer: "your code has registered 'order_place', not 'order:place'".

    Events of class-based namespaces count. Empty if somebody handles this event.
    """
    found: dict[str, list[str]] = {name: list(handlers) for name, handlers in sio.handlers.items()}
    for name, handler in sio.namespace_handlers.items():
        found.setdefault(name, []).extend(each[3:] for each in dir(handler) if each.startswith("on_"))
    named = {name: [each for each in events if each not in RESERVED] for name, events in found.items()}
    if any({event, "*"} & set(named.get(name, ())) for name in (namespace, "*")):
        return ""
    here = named.get(namespace, [])
    others = [f"{event!r} in the namespace {name!r}" for name, events in named.items() if event in events]
    shown = [repr(each) for each in here[:NAMED]] + ["more"] * (len(here) > NAMED) or others
    if not shown:
        return "your code has registered no event" + (f" in the namespace {namespace!r}" if namespace != "/" else "")
    return f"your code has registered {', '.join(shown)}, not {event!r}" + (f" in {namespace!r}" if others else "")


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
        self.ending = ConnectionEnd()
        """The end of its connection."""
        self.client.on("disconnect", self.ending.note)
        self.server: socketio.AsyncServer | None = None
        """The one that it is connected to, if a `House` made it: to say which events are registered there."""

    @property
    def sid(self) -> str:
        """Its socket's id."""
        return str(self.client.get_sid())

    async def tell(self, event: str, *data: Any) -> None:
        """Send an event without asking for an ack."""
        await self._sent(event, self.client.emit(event, data))

    async def ask(self, event: str, *data: Any) -> Any:
        """Send an event and give the first argument of its ack; those, as a tuple, if there are several or none."""
        answer: asyncio.Future[Event] = asyncio.get_running_loop().create_future()

        def acknowledged(*ack: Any) -> None:
            if not answer.done():
                answer.set_result(ack)

        await self._sent(event, self.client.emit(event, data, callback=acknowledged))
        ack: Event = await self.gets(self._ack_of(event, data), answer, event=event)
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

    async def gets(self, what: str, awaitable: Awaitable[Value], *, event: str = "") -> Value:
        """Observe that something comes over its connection; gives it.

        Args:
            what: what has to come, in words that follow "expected".
            awaitable: what to await.
            event: what it answers. If nothing comes and nobody has registered that, the sentence says so.
        """
        return await expect.arrives(
            what,
            self.ending.or_ends(awaitable),
            within_s=IN_TIME_S,
            why=lambda: unregistered(self.server, event) if self.server is not None and event else "",
        )

    async def _sent(self, event: str, sending: Awaitable[None]) -> None:
        try:
            await _in_time(f"{self.name} can send {event}", sending)
        except socketio.exceptions.BadNamespaceError:  # the connection has ended meanwhile
            expect.that(f"{self.name} is connected and can send {event}", False, but=self._without_connection())

    def _without_connection(self) -> str:
        return "the connection has ended" + (f": {self.ending.reason}" if self.ending.reason else "")

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
        guest.server = self.sio
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
        await _in_time(f"{guest.name} can leave", guest.client.disconnect())
        what = f"the server to be done with {guest.name}'s connection"
        await expect.arrives(what, self._without(sid), within_s=IN_TIME_S)

    async def _without(self, sid: str) -> None:
        while any(sid == other for other, _ in self.sio.manager.get_participants("/", None)):
            await asyncio.sleep(0.005)

    async def heard(self) -> dict[str, list[Event]]:
        """What each guest who is still connected has heard since the last time."""
        marker = (MARKER, next(NUMBERS))
        await _in_time("the server can send an event to everyone", self.sio.emit(*marker))
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
                await _in_time(f"{guest.name} can leave", guest.client.disconnect())


async def _in_time(what: str, awaitable: Awaitable[Value]) -> Value:
    """Await what is no observation but may hang.

    Args:
        what: what has to get done, in words that follow "expected that".
        awaitable: what to await.

    Raises:
        UnmetError: it hangs; the sentence says what does.
    """
    limit = asyncio.timeout(IN_TIME_S * time_scale())
    try:
        async with limit:
            return await awaitable
    except TimeoutError:
        expect.that(what, not limit.expired(), but=f"that was not done within {IN_TIME_S:g} s")
        raise


async def up_to(marker: Event, guest: Guest) -> list[Event]:
    """What a guest hears before an event that goes to everyone."""
    events: list[Event] = []
    while True:
        what = f"{guest.name} to hear what is sent to everyone"
        event = await guest.gets(what, guest.inbox.get())
        if event == marker:
            return events
        if event[0] != MARKER:
            events.append(event)


def show(data: Event) -> str:
    """An event's data as a sentence shows it."""
    text = ", ".join(map(repr, data)) or "without data"
    return text if len(text) <= SHOWN else f"{text[:50]} … ({len(text)} characters)"
