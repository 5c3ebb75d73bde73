"""Echo servers on three stacks, alike to the byte: by hand on our own wire core, on `websockets`, on aiohttp.

What lives here: `create_app`, and the JSON behaviour of chapter 03 as a pure function, `answer`, that all three share.

On ``/`` messages come back unchanged. On ``/json`` the server speaks first, ``{"type": "welcome", "peer": …}``, and
then answers each message:

- ``{"type": "echo", "data": …}`` comes back as it is;
- ``{"type": "close", "code": 4000, "reason": …}`` closes the connection with that code;
- anything else, text that is no JSON included, gets ``{"type": "error", "message": …}``, and the connection lives on.
"""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from rtlab.errors import UsageError
from rtlab.servers.apps import Close, Hostable, run_websockets
from rtlab.servers.websocket import Endpoint, Options, WebSocket
from rtlab.wire.protocol import MAX_FRAGMENTS, MAX_MESSAGE_SIZE

if TYPE_CHECKING:
    from aiohttp.web import Application
    from websockets.asyncio.server import ServerConnection

__all__ = ["STACKS", "Answer", "answer", "by_hand", "create_app", "on_aiohttp", "on_websockets", "welcome"]

Stack = Literal["hand", "websockets", "aiohttp"]
STACKS: tuple[Stack, ...] = ("hand", "websockets", "aiohttp")
REASON_BYTES = 123
"""Bytes that a close frame has for its reason (RFC 6455 §5.5)."""


@dataclass(frozen=True)
class Answer:
    """What the JSON server does about one message."""

    text: str | None = None
    """To send back; None to close instead."""
    code: int = 1000
    """To close with."""
    reason: str = ""


def welcome(peer: str) -> str:
    """What the JSON server says first: who it thinks the client is."""
    return json.dumps({"type": "welcome", "peer": peer})


def answer(message: str | bytes) -> Answer:
    """What the JSON server does about one message. Never raises."""
    if isinstance(message, bytes):
        return _error("expected text, got a binary message")
    try:
        data: Any = json.loads(message)
        json.dumps(data, allow_nan=False)  # Python reads NaN, and 1e999 as Infinity; neither is JSON (RFC 8259 §6)
    except (ValueError, RecursionError):
        return _error("expected JSON, got something else")
    if not isinstance(data, dict):
        return _error(f"expected a JSON object, got {type(data).__name__}")
    match data:
        case {"type": "echo", "data": value}:
            return Answer(json.dumps({"type": "echo", "data": value}))
        case {"type": "close", "code": int(code)} if 3000 <= code <= 4999 or code == 1000:
            reason = data.get("reason", "")
            if _may_be_a_reason(reason):
                return Answer(None, code, reason)
            return _error(f"expected a reason of at most {REASON_BYTES} bytes of UTF-8")
        case {"type": "close"}:
            return _error("expected a code of 1000 or from 3000 to 4999")
        case {"type": "echo"}:
            return _error("expected the field 'data'")
    return _error("expected the type 'echo' or 'close'")


def _may_be_a_reason(value: object) -> bool:
    """Whether a close frame can carry it. JSON can spell half a surrogate pair, which UTF-8 cannot."""
    try:
        return isinstance(value, str) and len(value.encode()) <= REASON_BYTES
    except UnicodeEncodeError:
        return False


def _error(message: str) -> Answer:
    return Answer(json.dumps({"type": "error", "message": message}))


def create_app(
    stack: Stack = "hand", *, max_message_size: int = MAX_MESSAGE_SIZE, max_fragments: int = MAX_FRAGMENTS
) -> object:
    """An echo server, to be given to `rtlab.serve`.

    Args:
        stack: "hand", "websockets" or "aiohttp".
        max_message_size: bytes; a longer message closes the connection with 1009.
        max_fragments: frames of one message; only the server by hand limits them (1008).

    Raises:
        UsageError: there is no such stack.
    """
    match stack:
        case "hand":
            return by_hand(max_message_size, max_fragments)
        case "websockets":
            return on_websockets(max_message_size)
        case "aiohttp":
            return on_aiohttp(max_message_size)
    raise UsageError(f"Expected the stack to be one of {', '.join(STACKS)}; got {stack!r}.")


def by_hand(max_message_size: int = MAX_MESSAGE_SIZE, max_fragments: int = MAX_FRAGMENTS) -> Endpoint:
    """The echo server on our own wire core."""

    async def echo(websocket: WebSocket) -> None:
        assert websocket.request is not None
        if websocket.request.path != "/json":
            async for message in websocket:
                await websocket.send(message)
            return
        host, port = websocket.remote_address
        await websocket.send(welcome(f"{host}:{port}"))
        async for message in websocket:
            reply = answer(message)
            if reply.text is None:
                await websocket.close(reply.code, reply.reason)
            else:
                await websocket.send(reply.text)

    return Endpoint(echo, Options(max_message_size=max_message_size, max_fragments=max_fragments))


def on_websockets(max_message_size: int = MAX_MESSAGE_SIZE) -> Hostable:
    """The same on the library `websockets`."""
    return _OnWebsockets(max_message_size)


@dataclass(frozen=True)
class _OnWebsockets:
    max_message_size: int

    def __str__(self) -> str:
        return "websockets handler echo"

    async def host(self, listener: socket.socket) -> Close:
        async def handler(websocket: ServerConnection) -> None:
            assert websocket.request is not None
            if websocket.request.path.partition("?")[0] != "/json":
                async for message in websocket:
                    await websocket.send(message)
                return None
            host, port, *_ = websocket.remote_address
            await websocket.send(welcome(f"{host}:{port}"))
            async for message in websocket:
                reply = answer(message)
                if reply.text is None:
                    return await websocket.close(reply.code, reply.reason)
                await websocket.send(reply.text)
            return None

        return await run_websockets(handler, listener, max_size=self.max_message_size)


def on_aiohttp(max_message_size: int = MAX_MESSAGE_SIZE) -> Application:
    """The same on aiohttp."""
    from aiohttp import WSMsgType, web

    async def echo(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(max_msg_size=max_message_size)
        await websocket.prepare(request)
        async for message in websocket:
            if message.type is WSMsgType.TEXT:
                await websocket.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await websocket.send_bytes(message.data)
        return websocket

    async def echo_json(request: web.Request) -> web.WebSocketResponse:
        websocket = web.WebSocketResponse(max_msg_size=max_message_size)
        await websocket.prepare(request)
        assert request.transport is not None
        host, port, *_ = request.transport.get_extra_info("peername")
        await websocket.send_str(welcome(f"{host}:{port}"))
        async for message in websocket:
            if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                continue
            reply = answer(message.data)
            if reply.text is None:
                await websocket.close(code=reply.code, message=reply.reason.encode())
            else:
                await websocket.send_str(reply.text)
        return websocket

    app = web.Application()
    app.router.add_get("/", echo)
    app.router.add_get("/json", echo_json)
    return app
