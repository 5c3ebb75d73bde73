"""A client's connection to the chat: admitted, calling, receiving, cut and back again.

What lives here: `ReconnectingClient`, the connection below `rtlab.chat.client.Client`, on python-socketio's own
client. It must not know rooms, nor what an event means.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import socketio
from socketio.base_client import reconnecting_clients
from socketio.exceptions import BadNamespaceError, ConnectionError, DisconnectedError  # noqa: A004 - its own name
from socketio.exceptions import TimeoutError as NoAck

from rtlab.errors import ChatError, ChatRefusedError, UsageError

__all__ = ["ACK_S", "EVENTS", "Event", "ReconnectingClient", "Token"]

ACK_S = 10.0
"""Seconds that the server has to acknowledge."""
CONNECT_S = 20.0
"""Seconds for one attempt to connect, the token function's time included."""
EVENTS = 10_000
"""Events that wait for a script that does not ask for them. The oldest is dropped first."""
LATER = {"draining", "rate_limited", "too_many_connections"}
"""Why a client is refused whose token is good: the same token may be let in later."""
NAMESPACES = ("/", "/notifications")
"""Both, so that a script need not say which it wants."""
Token = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""A token, or what gives one. It is asked before every attempt to connect, so a function can give a fresh one."""


@dataclass(frozen=True)
class Event:
    """Something that the server has said."""

    name: str
    """``chat:message``, ``chat:userJoined``, ``notification`` …; also ``connect`` and ``disconnect``."""
    data: Any
    """Its payload."""


class _Client(socketio.AsyncClient):  # type: ignore[misc]
    """python-socketio's client, for which a server that accepts and says nothing is one that is not there."""

    async def connect(self, *arguments: Any, **options: Any) -> None:
        try:
            async with asyncio.timeout(CONNECT_S):
                await super().connect(*arguments, **options)
        except TimeoutError as error:
            raise ConnectionError(f"no answer within {CONNECT_S:g} s") from error


class ReconnectingClient:
    """A connection to a chat that comes back by itself, until its token is over or somebody closes it.

    Args:
        url: the server's.
        token: as in `rtlab.chat.connect`.
        transports: as there.
        **options: those of `socketio.AsyncClient`.
    """

    def __init__(self, url: str, token: Token, transports: Sequence[str] | None = None, **options: Any) -> None:
        self._url = url
        self._token = token
        self._transports = list(transports) if transports is not None else None
        self._sio = _Client(handle_sigint=False, **options)
        self._events: deque[Event] = deque(maxlen=EVENTS)
        self._news = asyncio.Condition()
        self._here = asyncio.Event()
        """Set while it is connected and in its rooms, and when it is over."""
        self._ended = False
        self._been_here = False
        self._returning: asyncio.Task[Any] | None = None
        """What joins its rooms again, or did so last."""
        self._refusal: ChatRefusedError | None = None
        self._http: aiohttp.ClientSession | None = None
        for namespace in NAMESPACES:
            self._sio.on("*", self._hear, namespace=namespace)
        self._sio.on("connect", self._connected)
        self._sio.on("connect_error", self._refused)
        self._sio.on("disconnect", self._disconnected)
        self._sio.on("__disconnect_final", self._end)  # python-socketio: no attempt to come back follows, or none more

    @property
    def connected(self) -> bool:
        """Whether it is connected now."""
        return bool(self._sio.connected) and "/" in self._sio.namespaces

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

    async def close(self) -> None:
        """End the connection, or the attempts to come back. A second call does nothing."""
        engine = self._sio.eio
        try:
            # Its own shutdown only asks the attempts to end: it may come too early to be heard, or wait for a server
            # that says nothing.
            await _cancelled(self._sio._reconnect_task, self._returning)  # noqa: SLF001 - there is no other way to it
            with contextlib.suppress(ValueError):  # it was cancelled before it could do so itself
                reconnecting_clients.remove(self._sio)
            if self._sio.connected:
                await self._sio.disconnect()
        finally:
            await _cancelled(engine.read_loop_task, engine.write_loop_task)
            for http in (self._http, engine.http):
                if http is not None and not http.closed:
                    await http.close()
            await self._end()

    async def open(self) -> Self:
        """Connect. `rtlab.chat.connect` calls it.

        Raises:
            UsageError: the token is no text that can be sent.
            ChatRefusedError: the server does not let it in.
            ChatError: there is no server, or it does not answer.
        """
        if isinstance(self._token, str):
            _check_text("token", self._token)
        # Ours, and not the client's own: python-engineio loses one that is opened while another is being closed.
        self._http = self._sio.eio.http = aiohttp.ClientSession()
        self._sio.eio.external_http = True
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
        _check_text(event, payload)  # a server may end the connection over what is not UTF-8
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

    # What a client adds

    async def _hear(self, name: str, *arguments: Any) -> None:
        """An event of the server's has come."""
        await self._record(Event(name, arguments[0] if arguments else None))

    async def _return(self) -> None:
        """The line is back. Raises ChatError if it is cut again meanwhile."""

    async def _come_back(self, before: asyncio.Task[Any] | None) -> None:
        await _cancelled(before)  # it may still wait for an answer that was lost with its connection
        with contextlib.suppress(ChatError):  # the connection is gone again; the next one does it
            await self._return()
            self._here.set()

    async def _connected(self) -> None:
        self._refusal = None
        await self._record(Event("connect", None))
        if self._been_here:
            self._returning = self._sio.start_background_task(self._come_back, self._returning)
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
        if self._been_here and isinstance(self._token, str) and str(code) not in LATER:  # it will be refused again
            self._sio.start_background_task(self._sio.shutdown)
            await self._end()

    async def _disconnected(self, reason: str) -> None:
        self._here.clear()
        await self._record(Event("disconnect", reason))

    async def _end(self, *_: Any) -> None:
        self._ended = True
        self._here.set()
        await self._wake()

    async def _record(self, event: Event) -> None:
        self._events.append(event)
        await self._wake()

    async def _wake(self) -> None:
        async with self._news:
            self._news.notify_all()


async def _cancelled(*tasks: asyncio.Task[Any] | None) -> None:
    """End tasks, and wait for that; but not for the one that asks (a token function may close its client)."""
    running = [task for task in tasks if task is not None and task is not asyncio.current_task()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)


def _check_text(what: str, value: Any) -> None:
    """Raises UsageError if there is a string anywhere that UTF-8 cannot carry: it holds half of a surrogate pair."""
    if isinstance(value, dict):
        for name, each in value.items():
            _check_text(f"{what}: {name}", each)
    elif isinstance(value, list):
        for each in value:
            _check_text(what, each)
    elif isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = f"U+{ord(value[error.start]):04X}"
            raise UsageError(
                f"{what}: expected text that UTF-8 can carry, got {half}, half of a surrogate pair"
            ) from None


def _says(data: Any, wanted: dict[str, Any]) -> bool:
    return not wanted or (isinstance(data, dict) and all(data.get(name) == value for name, value in wanted.items()))
