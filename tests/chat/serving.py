"""A chat for a test, and people in it: python-socketio's clients, who note all that they hear.

A chat that ends must have let go of everybody, and must not have logged an error.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext, suppress
from typing import Any

import socketio
from aiohttp import web
from deadlines import WAIT_S
from eventually import until
from redis.asyncio import Redis

import rtlab
from rtlab.chat import CHAT, Chat, Limits, create_app, issue_token

__all__ = [
    "BOTH", "GENEROUS", "NOTIFICATIONS", "NOWHERE", "SECRET", "WAYS", "Person", "Place", "chatting", "cut", "fresh",
    "left", "no_errors", "token", "until",
]  # fmt: skip

SECRET = "a secret of the tests, longer than 32 bytes"
NOTIFICATIONS = "/notifications"
NOWHERE = "/nowhere"
BOTH = ("/", NOTIFICATIONS)
GENEROUS = Limits(events_per_s=1e6, burst=1_000_000, new_rooms_per_min=1e8)
"""For tests that are not about the rate."""
WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "polling": {"transports": ["polling"]},
    "websocket": {"transports": ["websocket"]},
    "MessagePack": {"serializer": "msgpack"},
}
ON_REDIS = os.environ.get("RTLAB_TEST_CHAT_ON")
"""A Redis for chats that would be in memory, where `test_contract_on_redis` plays the contract to them."""
_numbers = itertools.count(1)


def fresh(name: str) -> str:
    """A name that no other test has."""
    return f"{name}-{next(_numbers)}"


def token(name: str, **options: Any) -> str:
    """A token for a user."""
    return issue_token(name, SECRET, **options)


def cut(client: socketio.AsyncClient) -> None:
    """End its WebSocket's TCP connection without a word."""
    client.eio.ws._response.connection.transport.abort()


def left(chat: Chat) -> dict[str, Any]:
    """What a chat still has of its clients."""
    sio, rooms = chat.sio, chat._events.rooms
    places = {
        "visitors": chat._connections._visitors, "ending": chat._connections._ending,
        "chat rooms": rooms.chat._rooms, "of sockets": rooms.chat._of, "sizes": rooms.chat._sizes,
        "of users": rooms.chat._of_user, "of plain users": rooms.plain._of_user,
        "plain rooms": rooms.plain._rooms, "of plain sockets": rooms.plain._of, "plain sizes": rooms.plain._sizes,
        "plain owners": rooms.plain._owners, "empty plain rooms": rooms.plain._empty, "locks": dict(rooms.locks),
        "users": {each.name for each in chat._connections.users._users.values() if each.visitors},
        "rooms": sio.manager.rooms, "pending_connect": sio.manager.pending_connect,
        "pending_disconnect": sio.manager.pending_disconnect, "environ": sio.environ, "clients": sio.gate.clients,
        "held": sio.gate.held, "sessions": sio.eio.sockets,
    }  # fmt: skip
    return {name: place for name, place in places.items() if place}


@contextmanager
def no_errors() -> Iterator[list[logging.LogRecord]]:
    """Hold whatever runs meanwhile to logging no error."""
    errors: list[logging.LogRecord] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            errors.append(record)

    handler = Handler(logging.ERROR)
    logging.getLogger().addHandler(handler)
    try:
        yield errors
    finally:
        logging.getLogger().removeHandler(handler)
    assert not errors, [(each.name, each.getMessage(), each.exc_info) for each in errors]


class Person:
    """Somebody with one connection."""

    def __init__(self, name: str, **options: Any) -> None:
        self.name = name
        self.sio = socketio.AsyncClient(handle_sigint=False, reconnection=False, **options)
        self.heard: list[tuple[str, str, Any]] = []
        """All that came: namespace, event, and its argument."""
        self._news = asyncio.Condition()
        for namespace in (*BOTH, NOWHERE):
            self.sio.on("*", self._listener(namespace), namespace=namespace)
            for event in ("connect_error", "disconnect"):
                self.sio.on(event, self._listener(namespace, event), namespace=namespace)

    def _listener(self, namespace: str, event: str = "") -> Callable[..., None]:
        def hear(*args: Any) -> None:
            name, *rest = (event, *args) if event else args
            self.heard.append((namespace, name, rest[0] if len(rest) == 1 else tuple(rest) or None))
            self._waking = asyncio.ensure_future(self._wake())

        return hear

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()

    async def ask(self, event: str, *arguments: Any, namespace: str = "/") -> Any:
        """Say something; gives the acknowledgement."""
        return await self.sio.call(event, arguments, namespace=namespace, timeout=WAIT_S)

    async def join(self, room: str, after: str | None = None) -> dict[str, Any]:
        """Enter a chat room; gives the acknowledgement, with the history in it."""
        ack = await self.ask("chat:join", room if after is None else {"room": room, "after": after})
        assert ack["status"] == "ok", ack
        return {**ack, "history": await self.next("chat:history")}

    async def say(self, room: str, text: str, **more: Any) -> dict[str, Any]:
        """Say something in a room; gives the acknowledgement."""
        return await self.ask("chat:message", {"room": room, "text": text, **more})

    async def next(self, event: str, namespace: str = "/") -> Any:
        """The argument of the next such event that was not asked for yet."""

        def find() -> tuple[str, str, Any] | None:
            return next((each for each in self.heard if each[:2] == (namespace, event)), None)

        try:
            async with asyncio.timeout(WAIT_S), self._news:
                await self._news.wait_for(find)
        except TimeoutError:
            raise AssertionError(f"{self.name} never heard {event} in {namespace}, but {self.heard}") from None
        found = find()
        assert found is not None
        self.heard.remove(found)
        return found[2]

    async def all(self, event: str, namespace: str = "/") -> list[Any]:
        """What has come of such events up to now: whatever was sent to this client before is here when this is."""
        if namespace in self.sio.namespaces:
            await self.ask("no such event", None, namespace=namespace)
        got = [each[2] for each in self.heard if each[:2] == (namespace, event)]
        self.heard = [each for each in self.heard if each[:2] != (namespace, event)]
        return got

    async def close(self) -> None:
        """Leave."""
        with suppress(Exception):  # it may be gone already, in any way
            await self.sio.disconnect()
        await self.sio.shutdown()


class Place:
    """A chat that runs, and the people in it."""

    def __init__(self, app: web.Application, server: rtlab.Server) -> None:
        self.chat = app[CHAT]
        self.server = server
        self.url = server.url
        self.people: list[Person] = []

    async def enter(
        self,
        name: str | None = None,
        *,
        namespaces: tuple[str, ...] = BOTH,
        auth: Any = ...,
        transports: list[str] | None = None,
        **options: Any,
    ) -> Person:
        """Somebody connects. Without a name it is somebody new."""
        name = name or fresh("somebody")
        person = Person(name, **options)
        self.people.append(person)
        await person.sio.connect(
            self.url,
            auth={"token": token(name)} if auth is ... else auth,
            namespaces=list(namespaces),
            transports=transports,
            wait_timeout=WAIT_S,
        )
        return person

    async def metrics(self) -> dict[str, float]:
        """What a monitor reads."""
        text = (await self.chat.metrics(None)).body.decode()  # type: ignore[arg-type]
        lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    async def dismiss_one(self, person: Person) -> None:
        """Somebody leaves."""
        self.people.remove(person)
        await person.close()

    async def dismiss(self) -> None:
        """Everybody leaves."""
        people, self.people = self.people, []
        await asyncio.gather(*(each.close() for each in people))


@asynccontextmanager
async def chatting(
    *, finish: Callable[[web.Application], None] | None = None, errors_expected: bool = False, **options: Any
) -> AsyncIterator[Place]:
    """A chat, its rate limit out of the way; at its end nothing may be left of anybody."""
    if ON_REDIS and not options.keys() & {"history", "sessions"}:
        async with Redis.from_url(ON_REDIS) as redis:
            await redis.flushall()
        options["redis"] = ON_REDIS
    app = create_app(**{"secret": SECRET, "limits": GENEROUS, "ping_interval": 1} | options)
    if finish is not None:
        finish(app)
    with nullcontext() if errors_expected else no_errors():
        async with rtlab.serve(app) as server:
            place = Place(app, server)
            try:
                yield place
            finally:
                await place.dismiss()
            await until(lambda: not left(place.chat), f"an empty chat, but there is {left(place.chat)}")
            assert (await place.metrics())["rtlab_chat_connections"] == 0
