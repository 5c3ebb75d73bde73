"""The app that the official clients talk to, on our server and on Node's.

In both namespaces: `echo` is acknowledged with its arguments, `nothing` with none, `whoami` with the auth; `send-back`
comes back as an event `sent-back`. `ask` passes a question on to the client and acknowledges with the answer,
`ask-in-vain` asks something that nobody answers. `join` and `shout` are a room. `let-go` disconnects the client from
the namespace, `drop` ends its connection; `when-left` is acknowledged when the client with a certain tag has gone. An
auth with ``refuse`` in it is refused.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import socketio
from aiohttp import web

import rtlab
from rtlab.realtime import Server

__all__ = ["KINDS", "serve"]

KINDS = ("ours", "node")
PING_INTERVAL_S = 2
"""Seconds. python-engineio's client, when it polls and is refused, now and then waits for a ping before it gives up."""


@asynccontextmanager
async def serve(kind: str) -> AsyncIterator[str]:
    """A server of this kind below ``/json/``, and one that speaks MessagePack below ``/msgpack/``; gives their URL."""
    if kind == "node":
        script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
        async with rtlab.node_server(script, interval=PING_INTERVAL_S) as server:
            yield server.url
        return
    app = web.Application()
    for path, serializer in (("json", "default"), ("msgpack", "msgpack")):
        sio = Server(serializer=serializer, ping_interval=PING_INTERVAL_S)
        left: dict[Any, asyncio.Event] = defaultdict(asyncio.Event)
        for namespace in ("/", "/custom"):
            sio.register_namespace(App(namespace, left))
        sio.attach(app, socketio_path=path)
    async with rtlab.serve(app) as server:
        yield server.url


class App(socketio.AsyncNamespace):  # type: ignore[misc]
    """The app in one namespace."""

    def __init__(self, namespace: str, left: dict[Any, asyncio.Event]) -> None:
        super().__init__(namespace)
        self.left = left

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> None:
        auth = auth or {}
        if "refuse" in auth:
            raise socketio.exceptions.ConnectionRefusedError("no entry", {"code": 7})
        await self.save_session(sid, auth)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.left[(await self.get_session(sid)).get("tag")].set()

    async def trigger_event(self, event: str, *args: Any) -> Any:
        """Events have hyphens here, as JavaScript likes them. One that nobody listens to is not acknowledged."""
        name = event.replace("-", "_")
        return await super().trigger_event(name, *args) if hasattr(self, f"on_{name}") else self.server.not_handled

    async def on_echo(self, sid: str, *args: Any) -> Any:
        return args

    async def on_send_back(self, sid: str, *args: Any) -> None:
        await self.emit("sent-back", args, to=sid)

    async def on_whoami(self, sid: str) -> Any:
        return await self.get_session(sid)

    async def on_nothing(self, sid: str) -> Any:
        return None

    async def on_ask(self, sid: str, *args: Any) -> Any:
        return await self.call("question", args, to=sid)

    async def on_ask_in_vain(self, sid: str) -> str:
        try:
            await self.call("nobody answers", to=sid, timeout=0.2)
        except socketio.exceptions.TimeoutError:
            return "timed out"
        return "answered"

    async def on_join(self, sid: str, room: str) -> Any:
        await self.enter_room(sid, room)

    async def on_shout(self, sid: str, room: str, *args: Any) -> None:
        await self.emit("shouted", args, room=room, skip_sid=sid)

    async def on_let_go(self, sid: str) -> None:
        await self.disconnect(sid)

    async def on_drop(self, sid: str) -> None:
        await self.server.eio.disconnect(self.server.manager.eio_sid_from_sid(sid, self.namespace))

    async def on_when_left(self, sid: str, tag: Any) -> bool:
        return await self.left[tag].wait()
