"""What several chapters need beside their subject, so that their cells hold the subject: people, a door, a log.

What lives here: `Person` with `arrive` and `joined`, a client of python-socketio under a name, with an inbox; `heard`,
what people have received so far; `knock`, which namespaces let a client in; `crowd`, many clients that come through a
balancer; `raw`, a Socket.IO connection without a client library; `cut`, which cuts a
client's line; `KeptLog`, what was logged. It must not know any chapter, and no server but those that it is given.

Nothing here waits for a while to see whether something comes: `heard` sends each person a marker, and what has not
arrived before the marker was not sent before it.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING, Any, Self

import socketio

from rtlab.errors import UsageError
from rtlab.lesson_arguments import Listening, address_of, checked_namespaces
from rtlab.lesson_crowd import crowd

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection

__all__ = ["Event", "KeptLog", "Listening", "Person", "arrive", "crowd", "cut", "heard", "joined", "knock", "raw"]

IN_TIME_S = 5.0
"""Seconds for one answer or one event. On one machine it takes a thousandth of one."""
MARKER = "that is all"
"""The event that `heard` sends."""
NUMBERS = count(1)
PATH = "/socket.io/?EIO=4&transport=websocket"
"""Where a Socket.IO server listens (Engine.IO protocol 4, "HTTP long-polling" and "WebSocket")."""
Event = tuple[Any, ...]
"""An event as a person receives it: its name, then its arguments."""


class Person:
    """A Socket.IO client under a name, which keeps what it receives.

    Args:
        name: who it is; also what it says about itself when it connects, unless `auth` is given.
        auth: what it shows when it connects; ``{"username": name}`` if not given.
        namespaces: where it connects to; "/" if not given.
    """

    def __init__(self, name: str, *, auth: object = None, namespaces: Sequence[str] = ("/",)) -> None:
        self.name = name
        self.auth = {"username": name} if auth is None else auth
        self.namespaces = checked_namespaces(namespaces, "namespaces")
        self.client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        """The client of python-socketio, to use as its documentation says."""
        self.inbox: asyncio.Queue[Event] = asyncio.Queue()
        """What came and was not read yet: ``(event, *arguments)``, outside "/" ``(namespace, event, *arguments)``."""
        for namespace in self.namespaces:
            prefix = () if namespace == "/" else (namespace,)
            self.client.on(
                "*", lambda *event, prefix=prefix: self.inbox.put_nowait(prefix + event), namespace=namespace
            )

    def __repr__(self) -> str:
        state = "connected" if self.client.connected else "not connected"
        return f"Person({self.name!r}, {state}, {self.inbox.qsize()} events not read)"

    @property
    def sid(self) -> str:
        """The id of its socket in the first of its namespaces.

        Raises:
            UsageError: it is not connected.
        """
        sid = self.client.get_sid(self.namespaces[0])
        if sid is None:
            raise UsageError(
                f"{self.name} is not connected, and has no socket. Write: await {self.name}.connect(server)"
            )
        return str(sid)

    async def connect(self, server: Listening | str) -> Self:
        """Connect over WebSocket, without polling first.

        Args:
            server: a server, a tap or a URL.

        Raises:
            socketio.exceptions.ConnectionError: refused, or nobody listens there.
        """
        await self.client.connect(
            address_of(server), auth=self.auth, namespaces=list(self.namespaces), transports=["websocket"]
        )
        return self

    async def tell(self, event: str, *arguments: Any, namespace: str | None = None) -> None:
        """Send an event and ask for no acknowledgement."""
        await self.client.emit(event, arguments, namespace=namespace or self.namespaces[0])

    async def ask(self, event: str, *arguments: Any, namespace: str | None = None, within_s: float = IN_TIME_S) -> Any:
        """Send an event and give its acknowledgement: None, one value, or a tuple of several.

        Raises:
            socketio.exceptions.TimeoutError: none came within `within_s` seconds.
        """
        namespace = namespace or self.namespaces[0]
        try:
            return await self.client.call(event, arguments, namespace=namespace, timeout=within_s)
        except socketio.exceptions.TimeoutError:
            where = "" if namespace == "/" else f" in {namespace}"
            raise socketio.exceptions.TimeoutError(
                f"{event!r}{where} was not acknowledged within {within_s:g} s: its handler is missing, waits or raised"
            ) from None

    async def next(self, event: str | None = None) -> Event:
        """What came next; with the name of an event, the next of those, and what came before it is gone.

        Raises:
            TimeoutError: nothing came within 5 s.
        """
        passed_over = 0
        try:
            async with asyncio.timeout(IN_TIME_S):
                while True:
                    got = await self.inbox.get()
                    if event is None or event in got[:2]:
                        return got
                    passed_over += 1
        except TimeoutError:
            what = "nothing" if event is None else f"no {event!r}"
            before = f", after {passed_over} other events" if passed_over else ""
            raise TimeoutError(f"{what} came to {self.name} within {IN_TIME_S:g} s{before}") from None

    async def leave(self) -> None:
        """End the connection."""
        await self.client.disconnect()


async def arrive(
    server: Listening | str, name: str, *, auth: object = None, namespaces: Sequence[str] = ("/",)
) -> Person:
    """A `Person` who is connected. It stays until `Person.leave`.

    Raises:
        socketio.exceptions.ConnectionError: refused, or nobody listens there.
    """
    return await Person(name, auth=auth, namespaces=namespaces).connect(server)


@asynccontextmanager
async def joined(
    server: Listening | str, name: str, *, auth: object = None, namespaces: Sequence[str] = ("/",)
) -> AsyncIterator[Person]:
    """A `Person` who is connected for the length of an ``async with`` block.

    Raises:
        socketio.exceptions.ConnectionError: refused, or nobody listens there.
    """
    person = await arrive(server, name, auth=auth, namespaces=namespaces)
    try:
        yield person
    finally:
        await person.leave()


async def heard(sio: socketio.AsyncServer, *people: Person) -> dict[str, list[Event]]:
    """What each of them has received since the last time, in order, by name.

    Args:
        sio: the server that they are connected to. It sends each of them a marker, which ends their list.
        *people: who.

    Raises:
        UsageError: this is no server of python-socketio, or nobody, or not one `Person` for each name is given.
        TimeoutError: a marker did not arrive within 5 s: that person is connected to another server.
    """
    _refuse_wrong(sio, people)
    marker = (MARKER, next(NUMBERS))
    events: dict[str, list[Event]] = {}
    for person in people:
        namespace = person.namespaces[0]
        await sio.emit(*marker, to=person.sid, namespace=namespace)
        events[person.name] = []
        try:
            async with asyncio.timeout(IN_TIME_S):
                while (event := await person.inbox.get())[-2:] != marker:
                    if MARKER not in event:  # one that was meant for somebody else
                        events[person.name].append(event)
        except TimeoutError:
            raise TimeoutError(f"{person.name} did not hear the marker: is this the server of {person.name}?") from None
    return events


async def knock(server: Listening | str, *namespaces: str, auth: object = None) -> dict[str, str]:
    """Connect to each namespace over one connection, note the answers, and leave.

    Returns:
        By namespace: "let in", or the message of the refusal.

    Raises:
        UsageError: no namespace is named, or one is no name of a namespace.
        TimeoutError: one of them did not answer within 5 s.
        socketio.exceptions.ConnectionError: nobody listens there.
    """
    namespaces = tuple(dict.fromkeys(checked_namespaces(namespaces, "knock(server, …)")))
    answers: dict[str, str] = {}
    complete = asyncio.Event()

    def note(namespace: str, answer: str) -> None:
        answers[namespace] = answer
        if len(answers) == len(namespaces):
            complete.set()

    client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
    for name in namespaces:
        client.on("connect", lambda name=name: note(name, "let in"), namespace=name)
        client.on("connect_error", lambda data, name=name: note(name, _words(data)), namespace=name)
    await client.connect(
        address_of(server), namespaces=list(namespaces), auth=auth, transports=["websocket"], wait=False
    )
    try:
        async with asyncio.timeout(IN_TIME_S):
            await complete.wait()
    except TimeoutError:
        silent = ", ".join(name for name in namespaces if name not in answers)
        raise TimeoutError(f"no answer from {silent} within {IN_TIME_S:g} s") from None
    finally:
        await client.disconnect()
    return {name: answers[name] for name in namespaces}


@asynccontextmanager
async def raw(server: Listening | str, *, auth: object = None) -> AsyncIterator[ClientConnection]:
    """A WebSocket to a Socket.IO server, on which one reads and writes packets as they are.

    Engine.IO's opening packet is read already. With `auth`, the namespace "/" is connected to as well, and the answer
    to that read too.

    Raises:
        OSError: nobody listens there.
        websockets.exceptions.InvalidStatus: refused.
    """
    from websockets.asyncio.client import connect

    async with connect(address_of(server).replace("http", "ws", 1) + PATH) as ws:
        await ws.recv()
        if auth is not None:
            await ws.send(f"40{json.dumps(auth)}")
            await ws.recv()
        yield ws


def cut(sio: socketio.AsyncServer, sid: str) -> None:
    """Cut a client's line, as a tunnel does: the server aborts TCP, and neither end says goodbye.

    Args:
        sio: a server on aiohttp; the client is connected over WebSocket.
        sid: the client's id at the server, ``client.get_sid()`` for one of python-socketio.

    Raises:
        UsageError: the server has no such client.
    """
    environ = sio.get_environ(sid)
    if environ is None:
        raise UsageError(f"cut(sio, {sid!r}): expected the id of a client that is connected to this server.")
    environ["aiohttp.request"].transport.abort()


class KeptLog:
    """What was logged, a line for each record: its message's first line, and the exception if there is one.

    In two ways: ``with KeptLog() as log`` keeps what the whole program logs (warnings and worse, unless it is set
    otherwise); and ``AsyncServer(logger=log.logger, engineio_logger=log.logger)`` makes a library log here and nowhere
    else.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        """Oldest first."""
        self.logger = logging.Logger("kept")
        """A logger whose records come here and go nowhere else."""
        self._handler = _Keeping(self.lines)
        self.logger.addHandler(self._handler)
        self.logger.setLevel(logging.WARNING)

    def __enter__(self) -> Self:
        logging.getLogger().addHandler(self._handler)
        return self

    def __exit__(self, *_: object) -> None:
        gc.collect()  # asyncio reports a failed task when it is collected
        logging.getLogger().removeHandler(self._handler)

    def __repr__(self) -> str:
        return "\n".join(self.lines) or "nothing was logged"


class _Keeping(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self.lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        line, *_ = record.getMessage().splitlines() or [""]
        self.lines.append(f"{line}: {record.exc_info[1]!r}" if record.exc_info else line)


def _words(data: Any) -> str:
    """A refusal's message. python-socketio sends a bare text where a namespace does not exist."""
    return str(data["message"]) if isinstance(data, dict) else str(data)


def _refuse_wrong(sio: object, people: Sequence[object]) -> None:
    """Refuse a call of `heard` that could only wait in vain."""
    if not isinstance(sio, socketio.AsyncServer):
        raise UsageError(f"heard(sio, …): expected the AsyncServer that people are connected to, got {sio!r}.")
    if not people or not all(isinstance(each, Person) for each in people):
        raise UsageError("heard(sio, …): expected people, one by one, like heard(sio, alice, bob).")
    names = [each.name for each in people if isinstance(each, Person)]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"heard(sio, …): two of them are called {name!r}. Ask for one after the other.")
