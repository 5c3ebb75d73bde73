"""Calls of the server, each with its acknowledgement, on python-socketio's client.

What lives here: `Calls`, and `SocketIOClient`, the library's client with two defects mended. They do not know the chat.

The library's own ``call`` waits for its whole time-out even if the connection has ended, when no answer can come. This
one ends with the connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import socketio
from socketio.exceptions import BadNamespaceError, ConnectionError, DisconnectedError  # noqa: A004 - its own name

from rtlab.errors import ChatError, ChatUnansweredError

__all__ = ["ACK_S", "CONNECT_S", "Calls", "SocketIOClient"]

ACK_S = 10.0
"""Seconds that the server has to acknowledge, unless ``connect(ack_s=)`` says otherwise."""
CONNECT_S = 20.0
"""Seconds for one attempt to connect, the token function's time included."""


class SocketIOClient(socketio.AsyncClient):  # type: ignore[misc]
    """python-socketio's client, for which a server that accepts and says nothing is one that is not there, and which
    notices when a connection is cut before both namespaces are there.

    Args:
        prepare: is awaited before each attempt to connect. If it raises, the attempt has failed. (The library asks for
            ``auth`` when the connection is open, and does not close that if there is none to be had.)
        **options: the library's.
    """

    def __init__(self, prepare: Callable[[], Awaitable[None]], **options: Any) -> None:
        super().__init__(**options)
        self._prepare = prepare

    async def connect(self, *arguments: Any, **options: Any) -> None:
        """The library's own, within `CONNECT_S`."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._prepared()
                await super().connect(*arguments, **options)
        except TimeoutError as error:
            raise ConnectionError(f"no answer within {CONNECT_S:g} s") from error

    async def _prepared(self) -> None:
        try:
            await self._prepare()
        except Exception as error:
            raise ConnectionError(f"{type(error).__name__}: {error}") from error

    async def _handle_eio_disconnect(self, reason: str) -> None:
        if not self.connected:  # the library tells nobody, waits on, and may then take a dead connection for a good one
            began = "/" in self.namespaces
            self.namespaces.clear()
            self.failed_namespaces = list(self.connection_namespaces)
            self._connect_event.set()
            if began:
                await self._trigger_event("disconnect", "/", reason)
        await super()._handle_eio_disconnect(reason)


class Calls:
    """What was asked and is not answered yet.

    Args:
        sio: the client that emits.
        ack_s: seconds that the server has to acknowledge.
    """

    def __init__(self, sio: SocketIOClient, ack_s: float) -> None:
        self._sio = sio
        self._ack_s = ack_s
        self._waiting: set[asyncio.Future[tuple[Any, ...] | None]] = set()
        """For an acknowledgement; None means that it will not come."""

    async def call(self, event: str, payload: Any, namespace: str) -> dict[str, Any]:
        """Emit an event, at once; gives its acknowledgement.

        Raises:
            ChatUnansweredError: there is no connection, or it ended before the answer; the answer took too long, or it
                means nothing.
            ChatError: the server refuses.
        """
        answer: asyncio.Future[tuple[Any, ...] | None] = asyncio.get_running_loop().create_future()

        def answered(*arguments: Any) -> None:
            if not answer.done():
                answer.set_result(arguments)

        self._waiting.add(answer)
        try:
            await self._sio.emit(event, payload, namespace=namespace, callback=answered)
            async with asyncio.timeout(self._ack_s):
                arguments = await answer
        except TimeoutError:
            problem = f"{event}: no answer within {self._ack_s:g} s. Whether it was done is unknown."
            raise ChatUnansweredError("timeout", problem) from None
        except (BadNamespaceError, DisconnectedError):
            raise ChatUnansweredError("gone", f"{event}: not connected.") from None
        finally:
            self._waiting.discard(answer)
            self._forget(namespace, answered)
        if arguments is None:
            problem = f"{event}: the connection ended before the answer. Whether it was done is unknown."
            raise ChatUnansweredError("gone", problem)
        ack = arguments[0] if len(arguments) == 1 else None
        if not isinstance(ack, dict) or ack.get("status") not in {"ok", "error"}:
            raise ChatUnansweredError(
                "unknown", f"{event}: expected an acknowledgement with a status, got {arguments!r}"
            )
        if ack["status"] == "error":
            raise ChatError(str(ack.get("code", "unknown")), str(ack.get("message", ack)))
        return ack

    def no_answers_come(self) -> None:
        """The connection has ended."""
        for answer in self._waiting:
            if not answer.done():
                answer.set_result(None)

    def _forget(self, namespace: str, callback: Any) -> None:
        """The library would keep the callback of an answer that does not come for as long as the connection lasts."""
        callbacks = self._sio.callbacks.get(namespace, {})
        for number in [number for number, each in callbacks.items() if each is callback]:
            del callbacks[number]
