"""A client's connection to the chat: admitted, calling, receiving, cut and back again.

What lives here: `ReconnectingClient`, the connection below `rtlab.chat.Client`, on python-socketio's own client. It
must not know rooms, nor what an event means.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, Self

import aiohttp
from socketio.base_client import reconnecting_clients
from socketio.exceptions import ConnectionError  # noqa: A004 - its own name

from rtlab.chat.client.arrivals import Arrivals, Event
from rtlab.chat.client.calls import ACK_S, Calls, SocketIOClient
from rtlab.chat.client.options import (
    check_options,
    check_text,
    check_token,
    checked_seconds,
    checked_transports,
    checked_url,
)
from rtlab.chat.client.refreshing import Refresher, Token, TokenSource
from rtlab.chat.client.watching import NobodyWatching, Watching
from rtlab.errors import ChatError, ChatRefusedError, ChatUnansweredError, UsageError

__all__ = ["ReconnectingClient", "cancelled"]

LATER = {"draining", "rate_limited", "too_many_connections", "unavailable"}
"""Why a client is refused whose token is good: the same token may be let in later."""
LOOK_S = 0.05
"""Seconds until it is looked again whether a connection that is just being made is there."""
NAMESPACES = ("/", "/notifications")
"""Both, so that a script need not say which it wants."""


class ReconnectingClient:
    """A connection to a chat that comes back by itself, until its token is over or somebody closes it.

    Args:
        url: the server's.
        token: as in `rtlab.chat.connect`.
        transports: as there.
        ack_s: as there.
        watching: as there.
        **options: those of `socketio.AsyncClient`.
    """

    def __init__(
        self,
        url: str,
        token: Token,
        transports: Sequence[str] | None = None,
        *,
        ack_s: float = ACK_S,
        watching: Watching | None = None,
        **options: Any,
    ) -> None:
        check_token(token)
        check_options(options)
        self._url = checked_url(url)
        self._transports = checked_transports(transports)
        self._tokens = TokenSource(token)
        self._next_token = ""
        """What the next attempt to connect shows."""
        self._watching: Watching = watching or NobodyWatching()
        self._sio = SocketIOClient(self._get_token, handle_sigint=False, **options)
        self._calls = Calls(self._sio, checked_seconds("ack_s", ack_s))
        self._arrivals = Arrivals()
        self._refresher = Refresher(self._tokens, self._show_newer_token, self._arrivals.put)
        self._here = asyncio.Event()
        """Set while it is connected and in its rooms, and when it is over."""
        self._number = 0
        """How many connections have ended: what was begun on one of them ends there."""
        self._ended = False
        self._why = ""
        """Why it has ended, as the end of a sentence."""
        self._been_here = False
        self._reason = ""
        """Why it was last disconnected, in the word of the library."""
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

    @property
    def dropped(self) -> int:
        """How many events were dropped because nobody took them: `EVENTS` may wait."""
        return self._arrivals.dropped

    async def next(self, name: str | None = None, *, within_s: float | None = ACK_S, **wanted: Any) -> Event:
        """The next event that nobody has taken yet. Others that came before it stay for later calls.

        Args:
            name: of the event; any if not given.
            within_s: seconds to wait; None for as long as it takes.
            wanted: what its payload has to say, such as ``room="lobby"``.

        Raises:
            TimeoutError: none came in time. It says which others did, and whether the client is connected.
            ChatError: the connection is over, and none will come.
        """
        try:
            async with asyncio.timeout(within_s):
                return await self._arrivals.next(name, wanted)
        except TimeoutError:
            raise TimeoutError(self._nothing_came(name, wanted, within_s)) from None

    async def refresh(self) -> None:
        """Show the server a new token, so that the connection outlives the old one. Where the token is a function, the
        client does so by itself before the old one ends.

        Raises:
            UsageError: the token that was given is a string, and there is no other.
            ChatError: the server refuses, or does not answer.
            Exception: what the token function raises.
        """
        if not self._tokens.renewable:
            raise UsageError("There is one token only: give connect(…, token=) a function that gives a fresh one.")
        await self._show_newer_token()
        self._refresher.start()

    async def close(self) -> None:
        """End the connection, or the attempts to come back. A second call does nothing."""
        engine = self._sio.eio
        self._why = self._why or "it was closed here, with close() or at the end of `async with`"
        try:
            # Its own shutdown only asks the attempts to end: it may come too early to be heard, or wait for a server
            # that says nothing.
            reconnecting = self._sio._reconnect_task  # noqa: SLF001 - there is no other way to it
            await cancelled(reconnecting, self._returning, self._refresher.task)
            with contextlib.suppress(ValueError):  # it was cancelled before it could do so itself
                reconnecting_clients.remove(self._sio)
            if self._sio.connected:
                await self._sio.disconnect()
        finally:
            await cancelled(engine.read_loop_task, engine.write_loop_task)
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
            Exception: what the token function raises.
        """
        if not self._tokens.renewable:
            check_text("token", await self._tokens.get())
        # Ours, and not the client's own: python-engineio loses one that is opened while another is being closed.
        self._http = self._sio.eio.http = aiohttp.ClientSession()
        # A GET whose answer was lost must not be sent again, as aiohttp does by itself: the server has forgotten what
        # was in it. A poll that fails ends the connection, and the client comes back and asks for what it missed.
        self._http._retry_connection = False  # noqa: SLF001 - there is no public way
        self._sio.eio.external_http = True
        try:
            await self._sio.connect(
                self._url, auth=self._auth, namespaces=list(NAMESPACES), transports=self._transports, wait_timeout=ACK_S
            )
        except ConnectionError as error:
            await self.close()
            if self._tokens.problem is not None:
                raise self._tokens.problem from None
            if self._refusal is not None:
                raise self._refusal from None
            raise ChatError("unreachable", f"There is no chat at {self._url}: {error}.") from None
        except BaseException:
            await self.close()
            raise
        return self

    async def _get_token(self) -> None:
        try:
            self._next_token = await self._tokens.get()
            self._refresher.worked()
        except Exception as problem:
            if self._been_here:  # else whoever connects is told
                self._refresher.failed(problem)
            raise

    def _auth(self) -> dict[str, str]:
        self._tokens.shown(self._next_token)
        return {"token": self._next_token}

    async def _show_newer_token(self) -> None:
        token = await self._tokens.get()
        await self._ask("token:refresh", token)
        self._tokens.shown(token)

    async def _wait_until_here(self) -> None:
        """A connection that is cut comes back; nothing that was not sent is lost by waiting for that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ACK_S):
                await self._here.wait()
        if self._ended:
            raise self._over()

    async def _until_here(self) -> None:
        """The same, for as long as it takes. What is emitted next goes out on this connection."""
        while True:
            await self._here.wait()
            if self._ended:
                raise self._over()
            if "/" in self._sio.namespaces:
                return
            await asyncio.sleep(LOOK_S)

    async def _ask(self, event: str, payload: Any, namespace: str = "/") -> dict[str, Any]:
        await self._wait_until_here()
        return await self._call(event, payload, namespace)

    async def _call(self, event: str, payload: Any, namespace: str = "/") -> dict[str, Any]:
        check_text(event, payload)  # a server may end the connection over what is not UTF-8
        return await self._calls.call(event, payload, namespace)

    # What a client adds

    async def _hear(self, name: str, *arguments: Any) -> None:
        """An event of the server's has come."""
        self._arrivals.put(Event(name, arguments[0] if arguments else None))

    async def _return(self) -> None:
        """The line is back. Raises ChatUnansweredError if it is cut again meanwhile."""

    async def _come_back(self, before: asyncio.Task[Any] | None, number: int) -> None:
        await cancelled(before)  # it may still wait for an answer that was lost with its connection
        with contextlib.suppress(ChatUnansweredError):  # the connection is gone again; the next one does it
            await self._return()
            if number == self._number:
                self._here.set()

    async def _connected(self) -> None:
        self._refusal = None
        self._arrivals.put(Event("connect", None))
        self._refresher.start()
        if self._been_here:
            coming = self._come_back(self._returning, self._number)
            self._returning = asyncio.get_running_loop().create_task(coming)
        else:
            self._been_here = True
            self._here.set()

    async def _refused(self, said: Any = None, *_: Any) -> None:
        if not isinstance(said, dict) or "message" not in said:
            return  # no server, or none that answers
        details = said.get("data")
        code = details.get("code", "refused") if isinstance(details, dict) else "refused"
        self._refusal = ChatRefusedError(str(code), str(said["message"]))
        self._arrivals.put(Event("connect_error", said))
        if self._been_here and not self._tokens.renewable and str(code) not in LATER:  # it will be refused again
            self._sio.start_background_task(self._sio.shutdown)
            self._why = f"the server lets it in no more: {said['message']} ({code})"
            await self._end()

    async def _disconnected(self, reason: str) -> None:
        self._number += 1
        self._here.clear()
        self._reason = reason
        self._refresher.stop()
        self._watching.disconnected()
        self._calls.no_answers_come()
        self._arrivals.put(Event("disconnect", reason))

    async def _end(self, *_: Any) -> None:
        self._why = self._why or self._why_it_ended()
        self._ended = True
        self._here.set()
        self._refresher.stop()
        self._calls.no_answers_come()
        self._arrivals.end(self._over())

    # What it says of itself

    def _over(self) -> ChatError:
        return ChatError("gone", f"The connection is over: {self._why}.")

    def _why_it_ended(self) -> str:
        """As far as a client can know: a server that ends a connection gives no reason."""
        if self._reason == "server disconnect":
            if self._tokens.has_expired:
                return (
                    "its token has expired. Give connect(token=) a function that makes a new one, "
                    "and the client gets one before the old one ends"
                )
            return "the server ended it, for one that sends too much or whose token has expired. Its log says why"
        if not self._sio.reconnection:
            return f"it broke ({self._reason}), and reconnection=False"
        return f"it broke ({self._reason}), and every attempt to come back failed"

    def _nothing_came(self, name: str | None, wanted: dict[str, Any], within_s: float | None) -> str:
        which = f"{name or 'any event'}" + "".join(f", {key}={value!r}" for key, value in wanted.items())
        state = "connected" if self.connected else f"not connected ({self._reason}), it tries to come back"
        return (
            f"next({which}): nothing came within {within_s:g} s. "
            f"Waiting to be taken: {self._arrivals}. The client is {state}."
        )


async def cancelled(*tasks: asyncio.Task[Any] | None) -> None:
    """End tasks, and wait for that; but not for the one that asks (a token function may close its client)."""
    running = [task for task in tasks if task is not None and task is not asyncio.current_task()]
    for task in running:
        task.cancel()
    if running:
        await asyncio.wait(running)
