"""A client of the chat for scripts: it joins, says, hears, and comes back by itself.

What lives here: `connect`, and `Client`, what it gives. The connection below is a `ReconnectingClient`. It must
not know how the server works, only the contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Generator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from rtlab.chat.reconnecting_client import Event, ReconnectingClient, Token
from rtlab.chat.stores.protocols import position
from rtlab.errors import ChatError, UsageError

__all__ = ["Client", "Connecting", "Joined", "Sent", "connect"]

SLOWER_S = 1.0
"""Seconds to wait before a room is joined again where the server says ``rate_limited``: 20 tokens, by default."""


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


class Client(ReconnectingClient):
    """A connection to a chat, with notifications. `connect` makes it.

    It reconnects by itself, joins its rooms again, and has the server give what was missed: those messages come as
    ``chat:message`` events like any other, each once. A token that is over ends it; give a function as token, and it
    can `refresh` before that.
    """

    def __init__(self, url: str, token: Token, transports: Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(url, token, transports, **options)
        self._rooms: dict[str, str | None] = {}
        """Those that it is in, with the offset of the last message."""
        self._held: dict[str, list[dict[str, Any]]] = {}
        """Messages of rooms that it is just joining: what came before them is still to come."""
        self._history: list[dict[str, Any]] = []
        self._joins = asyncio.Lock()
        self.session: str | None = None
        """Under this id the server keeps this connection's rooms."""

    async def join(self, room: str, after: str | None = None) -> Joined:
        """Enter a room.

        Args:
            room: its name.
            after: the offset of the last message that you have; without it, the last 50 come.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        await self._wait_until_here()
        async with self._holding(room):
            joined = await self._enter(room, after)
            for record in joined.history:
                self._is_new(record)
        return joined

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
            UsageError: the text holds half of a surrogate pair, which UTF-8 cannot carry. So it is with every string
                that a method sends.
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

    async def events(self, name: str | None = None, **wanted: Any) -> AsyncIterator[Event]:
        """Events as they come, until the connection is over. Arguments are those of `next`."""
        with contextlib.suppress(ChatError):
            while True:
                yield await self.next(name, within_s=None, **wanted)

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

    async def _hear(self, name: str, *arguments: Any) -> None:
        data: Any = arguments[0] if arguments else None
        if name == "chat:history":
            self._history = list(data)
        elif name == "session":
            self.session = data["id"]
        elif name == "chat:message":
            await self._message(data)
        else:
            await super()._hear(name, data)

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

    @contextlib.asynccontextmanager
    async def _holding(self, room: str) -> AsyncIterator[None]:
        """Inside, what is said in a room waits until its history is there, and so comes after it, and once."""
        held = self._held[room] = []
        try:
            yield
        finally:
            del self._held[room]
            for record in held:
                await self._message(record)

    async def _enter(self, room: str, after: str | None) -> Joined:
        async with self._joins:  # a history does not say which join it belongs to
            self._history = []
            ack = await self._call("chat:join", room if after is None else {"room": room, "after": after})
            history = self._history
        self._rooms.setdefault(room, None)
        return Joined(room, ack["members"], history, ack["missed"], ack["complete"])

    async def _return(self) -> None:
        """Join again what had been joined, and hear what was said meanwhile, page by page."""
        for room in list(self._rooms):
            async with self._holding(room):
                while True:
                    last = self._rooms[room]
                    try:
                        joined = await self._enter(room, last)
                    except ChatError as problem:
                        if problem.code != "rate_limited":
                            raise
                        await asyncio.sleep(SLOWER_S)  # all of a user's connections come back at the same time
                        continue
                    for record in joined.history:
                        if self._is_new(record):
                            await self._record(Event("chat:message", record))
                    if last is None or len(joined.history) in {0, joined.missed}:
                        break


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

    Over WebSocket, python-socketio's client reads messages of up to 4 MiB. A longer one, from a server of your own,
    ends the connection, and the server's `call` ends in a time-out. Over long-polling there is no such limit.

    Args:
        url: the server's, or a tap's in front of it: ``http://127.0.0.1:8000``.
        token: from `issue_token`, or a function (async or not) that gives one and is asked before every attempt.
        transports: ``["websocket"]`` or ``["polling"]`` for one only.
        **options: those of `socketio.AsyncClient`.

    Returns:
        To be awaited, or used with ``async with``; both give a `Client`.

    Raises:
        UsageError: the token is no text that UTF-8 can carry.
        ChatRefusedError: the server does not let it in.
        ChatError: there is no server, or it does not answer.
    """
    return Connecting(Client(url, token, transports, **options))
