"""A client of the chat for scripts: it joins, says, hears, and comes back by itself.

What lives here: `connect`, and `Client`, what it gives. Below is python-socketio's own client. It must not know how the
server works, only the contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import uuid
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import socketio
from socketio.exceptions import BadNamespaceError, ConnectionError, DisconnectedError  # noqa: A004 - its own name
from socketio.exceptions import TimeoutError as NoAck

from rtlab.chat.history import position
from rtlab.errors import ChatError, ChatRefusedError, UsageError

__all__ = ["ACK_S", "EVENTS", "Client", "Connecting", "Event", "Joined", "Sent", "Token", "connect"]

ACK_S = 10.0
"""Seconds that the server has to acknowledge."""
EVENTS = 10_000
"""Events that wait for a script that does not ask for them. The oldest is dropped first."""
NAMESPACES = ("/", "/notifications")
Token = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""A token, or what gives one. It is asked before every attempt to connect, so a function can give a fresh one."""


@dataclass(frozen=True)
class Event:
    """Something that the server has said."""

    name: str
    """``chat:message``, ``chat:userJoined``, ``notification`` …; also ``connect`` and ``disconnect``."""
    data: Any
    """Its payload."""


@dataclass(frozen=True)
class Joined:
    """What a join was answered."""

    room: str
    members: list[str]
    """Names of who is there, sorted."""
    history: list[dict[str, Any]]
    """Messages, oldest first."""
    missed: int
    """How many are known that came after the offset that was asked for."""
    complete: bool
    """Whether `history` is all that came after it."""


@dataclass(frozen=True)
class Sent:
    """What a message was answered."""

    id: str
    offset: str


class Client:
    """A connection to a chat, with notifications. `connect` makes it.

    It reconnects by itself, joins its rooms again, and has the server give what was missed: those messages come as
    ``chat:message`` events like any other, each once. A token that is over ends it; give a function as token, and it
    can `refresh` before that.
    """

    def __init__(self, url: str, token: Token, transports: Sequence[str] | None = None, **options: Any) -> None:
        self._url = url
        self._token = token
        self._transports = list(transports) if transports is not None else None
        self._sio = socketio.AsyncClient(handle_sigint=False, **options)
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._news = asyncio.Condition()
        self._rooms: dict[str, str | None] = {}
        """Those that it is in, with the offset of the last message."""
        self._held: dict[str, list[dict[str, Any]]] = {}
        """Messages of rooms that it is just joining: what came before them is still to come."""
        self._history: list[dict[str, Any]] = []
        self._joins = asyncio.Lock()
        self._here = asyncio.Event()
        """Set while it is connected and in its rooms."""
        self._ended = False
        self._been_here = False
        self._refusal: ChatRefusedError | None = None
        self.session: str | None = None
        """Under this id the server keeps this connection's rooms."""
        for namespace in NAMESPACES:
            self._sio.on("*", self._hear, namespace=namespace)
        self._sio.on("connect", self._connected)
        self._sio.on("connect_error", self._refused)
        self._sio.on("disconnect", self._disconnected)

    @property
    def connected(self) -> bool:
        """Whether it is connected now."""
        return bool(self._sio.connected) and "/" in self._sio.namespaces

    # What a script calls

    async def join(self, room: str, after: str | None = None) -> Joined:
        """Enter a room.

        Args:
            room: its name.
            after: the offset of the last message that you have; without it, the last 50 come.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        await self._wait_until_here()
        return await self._enter(room, after)

    async def leave(self, room: str) -> None:
        """Leave a room.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        await self._ask("chat:leave", room)
        self._rooms.pop(room, None)

    async def send(self, room: str, text: str, *, client_id: str | None = None) -> Sent:
        """Say something in a room that you have joined.

        Args:
            room: its name.
            text: 1 to 1,000 characters.
            client_id: the same in every attempt to send this message, so that it has one effect; made up if not given.

        Raises:
            ChatError: the server refuses, or does not answer. Whether the message is there is then unknown: send it
                again with the same `client_id`.
        """
        payload = {"room": room, "text": text, "clientId": client_id or uuid.uuid4().hex}
        ack = await self._ask("chat:message", payload)
        return Sent(ack["id"], ack["offset"])

    async def typing(self, room: str) -> None:
        """Tell the others in a room that you type.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        await self._ask("chat:typing", room)

    async def subscribe(self, *topics: str) -> list[str]:
        """Get the notifications of these topics too. Gives all that you are subscribed to.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        return list((await self._ask("subscribe", list(topics), namespace="/notifications"))["topics"])

    async def unsubscribe(self, *topics: str) -> list[str]:
        """Get the notifications of these topics no longer. Gives those that are left.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        return list((await self._ask("unsubscribe", list(topics), namespace="/notifications"))["topics"])

    async def refresh(self) -> None:
        """Show the server a new token, so that the connection outlives the old one.

        Raises:
            UsageError: the token that was given is a string, and there is no other.
            ChatError: the server refuses, or does not answer.
        """
        if isinstance(self._token, str):
            raise UsageError("There is one token only: give connect(…, token=) a function that gives a fresh one.")
        await self._ask("token:refresh", (await self._auth())["token"])

    async def restore(self, session: str) -> list[str]:
        """Enter the rooms of an earlier connection of yours, by its `session`.

        Raises:
            ChatError: it is not yours, or is over.
        """
        return list((await self._ask("session:restore", session))["rooms"])

    async def next(self, name: str | None = None, *, within_s: float | None = ACK_S, **wanted: Any) -> Event:
        """The next event that nobody has taken yet. Others that came before it stay for later calls.

        Args:
            name: of the event; any if not given.
            within_s: seconds to wait; None for as long as it takes.
            wanted: what its payload has to say, such as ``room="lobby"``.

        Raises:
            TimeoutError: none came in time.
            ChatError: the connection is over, and none will come.
        """
        async with asyncio.timeout(within_s), self._news:
            while True:
                for event in self._events:
                    if (name is None or event.name == name) and _says(event.data, wanted):
                        self._events.remove(event)
                        return event
                if self._ended:
                    raise ChatError("gone", "The connection is over.")
                await self._news.wait()

    async def events(self, name: str | None = None, **wanted: Any) -> AsyncIterator[Event]:
        """Events as they come, until the connection is over. Arguments are those of `next`."""
        with contextlib.suppress(ChatError):
            while True:
                yield await self.next(name, within_s=None, **wanted)

    async def close(self) -> None:
        """End the connection, or the attempts to come back. A second call does nothing."""
        await asyncio.sleep(0)  # python-socketio's shutdown fails if its attempts to come back have not quite begun
        await self._sio.shutdown()
        await self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._ended else "connected" if self.connected else "not connected"
        return f"<chat client of {self._url}, {state}, in {', '.join(sorted(self._rooms)) or 'no room'}>"

    # What happens below

    async def open(self) -> Self:
        """Connect. `connect` calls it.

        Raises:
            ChatRefusedError: the server does not let it in.
            ChatError: there is no server, or it does not answer.
        """
        try:
            await self._sio.connect(
                self._url, auth=self._auth, namespaces=list(NAMESPACES), transports=self._transports, wait_timeout=ACK_S
            )
        except ConnectionError as error:
            await self.close()
            if self._refusal is not None:
                raise self._refusal from None
            raise ChatError("unreachable", f"There is no chat at {self._url}: {error}.") from None
        except BaseException:
            await self.close()
            raise
        return self

    async def _auth(self) -> dict[str, str]:
        token = self._token if isinstance(self._token, str) else self._token()
        if inspect.isawaitable(token):
            token = await token
        return {"token": token}

    async def _wait_until_here(self) -> None:
        """A connection that is cut comes back; nothing that was not sent is lost by waiting for that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACK_S):
                await self._here.wait()
        if self._ended:
            raise ChatError("gone", "The connection is over.")

    async def _ask(self, event: str, payload: Any, namespace: str = "/") -> dict[str, Any]:
        await self._wait_until_here()
        return await self._call(event, payload, namespace)

    async def _call(self, event: str, payload: Any, namespace: str = "/") -> dict[str, Any]:
        try:
            ack = await self._sio.call(event, payload, namespace=namespace, timeout=ACK_S)
        except NoAck:
            raise ChatError(
                "timeout", f"{event}: no answer within {ACK_S:g} s. Whether it was done is unknown."
            ) from None
        except (BadNamespaceError, DisconnectedError):
            raise ChatError("gone", f"{event}: not connected.") from None
        if not isinstance(ack, dict) or ack.get("status") != "ok":
            said = ack if isinstance(ack, dict) else {}
            raise ChatError(str(said.get("code", "unknown")), str(said.get("message", ack)))
        return ack

    async def _hear(self, name: str, *arguments: Any) -> None:
        data: Any = arguments[0] if arguments else None
        if name == "chat:history":
            self._history = list(data)
            return
        if name == "session":
            self.session = data["id"]
            return
        if name == "chat:message":
            await self._message(data)
        else:
            await self._record(Event(name, data))

    async def _message(self, record: dict[str, Any]) -> None:
        held = self._held.get(record["room"])
        if held is not None:
            held.append(record)
        elif self._is_new(record):
            await self._record(Event("chat:message", record))

    def _is_new(self, record: dict[str, Any]) -> bool:
        """Whether a message of a room was not seen yet. From then on it was."""
        room, offset = record["room"], record["offset"]
        last = self._rooms.get(room)
        if last is not None and position(offset) <= position(last):
            return False
        if room in self._rooms:
            self._rooms[room] = offset
        return True

    async def _enter(self, room: str, after: str | None) -> Joined:
        """Join a room. What is said in it meanwhile comes after its history, and once."""
        held = self._held[room] = []
        try:
            async with self._joins:  # a history does not say which join it belongs to
                self._history = []
                ack = await self._call("chat:join", room if after is None else {"room": room, "after": after})
                history = self._history
            self._rooms.setdefault(room, None)
            for record in history:
                self._is_new(record)
        finally:
            del self._held[room]
            for record in held:
                await self._message(record)
        return Joined(room, ack["members"], history, ack["missed"], ack["complete"])

    async def _come_back(self) -> None:
        """Join again what had been joined, and hear what was missed."""
        with contextlib.suppress(ChatError):  # the connection is gone again; the next one does it
            for room in list(self._rooms):
                await self._catch_up(room)
            self._here.set()

    async def _catch_up(self, room: str) -> None:
        """Get what was said in a room meanwhile, page by page, before what is said now."""
        while True:
            last = self._rooms[room]
            joined = await self._enter(room, last)
            for record in joined.history:
                if last is None or position(record["offset"]) > position(last):
                    await self._record(Event("chat:message", record))
            if last is None or len(joined.history) in {0, joined.missed}:
                return

    async def _connected(self) -> None:
        self._refusal = None
        await self._record(Event("connect", None))
        if self._been_here:
            self._sio.start_background_task(self._come_back)
        else:
            self._been_here = True
            self._here.set()

    async def _refused(self, said: Any = None, *_: Any) -> None:
        if not isinstance(said, dict) or "message" not in said:
            return  # no server, or none that answers
        details = said.get("data")
        code = details.get("code", "refused") if isinstance(details, dict) else "refused"
        self._refusal = ChatRefusedError(str(code), str(said["message"]))
        await self._record(Event("connect_error", said))
        if self._been_here and isinstance(self._token, str):  # the same token will be refused again
            self._sio.start_background_task(self._sio.shutdown)
            await self._end()

    async def _disconnected(self, reason: str) -> None:
        self._here.clear()
        await self._record(Event("disconnect", reason))
        if reason in {"server disconnect", "client disconnect"}:
            await self._end()  # python-socketio's client does not come back from these

    async def _end(self) -> None:
        self._ended = True
        self._here.set()
        await self._wake()

    async def _record(self, event: Event) -> None:
        self._events.append(event)
        await self._wake()

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()


class Connecting:
    """What `connect` gives: ``await`` it, or use it with ``async with``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __await__(self) -> Generator[Any, None, Client]:
        return self._client.open().__await__()

    async def __aenter__(self) -> Client:
        return await self._client.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()


def connect(url: str, *, token: Token, transports: Sequence[str] | None = None, **options: Any) -> Connecting:
    """Connect to a chat.

    Args:
        url: the server's, or a tap's in front of it: ``http://127.0.0.1:8000``.
        token: from `issue_token`, or a function (async or not) that gives one and is asked before every attempt.
        transports: ``["websocket"]`` or ``["polling"]`` for one only.
        **options: those of `socketio.AsyncClient`.

    Returns:
        To be awaited, or used with ``async with``; both give a `Client`.

    Raises:
        ChatRefusedError: the server does not let it in.
        ChatError: there is no server, or it does not answer.
    """
    return Connecting(Client(url, token, transports, **options))


def _says(data: Any, wanted: dict[str, Any]) -> bool:
    return not wanted or (isinstance(data, dict) and all(data.get(name) == value for name, value in wanted.items()))
