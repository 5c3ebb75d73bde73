"""Three servers with the same app, each in three configurations: ours, Node's and plain python-socketio.

What lives here: how they are started, and what the app does. It must not know what is expected of it.

The app, in each of `NAMESPACES`: `message` is answered by an event `message-back`, `message-with-ack` by an
acknowledgement, both with the same arguments; `auth` is acknowledged with the data of the CONNECT packet; `call-me`
makes the server send an event `call`, and what that is acknowledged with comes back as an event `called`; `let-go` ends
the connection to the namespace, `hang-up` ends it all; `entries` tells which namespaces whoever connected with a
certain ``tag`` has entered and left. The namespace `/closed` lets nobody in.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import socketio
from aiohttp import web
from deadlines import SCALE

import rtlab

__all__ = ["CALM", "CONFIGURATIONS", "KINDS", "MSGPACK", "QUICK", "Configuration", "serve"]

KINDS = ("plain", "node", "ours")
"""python-socketio as it comes, socket.io in Node, and ours."""
NAMESPACES = ("/", "/custom")
MAX_BYTES = 100_000
"""What one message may have. Less than the default of a million, so that too much is quickly said."""


@dataclass(frozen=True)
class Configuration:
    """What differs between the three servers of one kind."""

    path: str
    """Below which path it answers."""
    ping_interval_s: float = 25.0
    ping_timeout_s: float = 20.0
    connect_timeout_s: float = 45.0
    """How long a client may be in no namespace (plain python-socketio has no such thing)."""
    msgpack: bool = False
    """Whether packets are MessagePack instead of JSON and attachments."""


CALM = Configuration("calm")
QUICK = Configuration("quick", 0.3 * SCALE, 5.0 * SCALE, 5.0 * SCALE)
"""A fraction of a second between two PINGs, so that ours needs its guard against it off. A client that answers, or
connects, has longer: it may wait for the processor."""
MSGPACK = Configuration("msgpack", msgpack=True)
CONFIGURATIONS = (CALM, QUICK, MSGPACK)


@asynccontextmanager
async def serve(kind: str) -> AsyncIterator[str]:
    """One of the `KINDS` in all its configurations; gives its URL."""
    server = _node() if kind == "node" else _python(kind)
    async with server as running:
        yield running.url


def _node() -> Any:
    configurations = {
        each.path: {
            "pingInterval": round(1000 * each.ping_interval_s),
            "pingTimeout": round(1000 * each.ping_timeout_s),
            "connectTimeout": round(1000 * each.connect_timeout_s),
            "maxHttpBufferSize": MAX_BYTES,
            "msgpack": each.msgpack,
        }
        for each in CONFIGURATIONS
    }
    script = Path(__file__).with_name("app.js").read_text(encoding="utf-8")
    return rtlab.node_server(script, configurations=configurations, namespaces=NAMESPACES)


@asynccontextmanager
async def _python(kind: str) -> AsyncIterator[rtlab.Server]:
    app = web.Application()
    servers = [_socketio(kind, each) for each in CONFIGURATIONS]
    for each, server in zip(CONFIGURATIONS, servers, strict=True):
        server.attach(app, socketio_path=each.path)
    async with rtlab.serve(app) as running:
        yield running
        for server in servers:
            await server.shutdown()


def _socketio(kind: str, configuration: Configuration) -> Any:
    """A server with the app, whose handlers are the same for ours and for python-socketio's."""
    options: dict[str, Any] = {
        "async_mode": "aiohttp",
        "ping_interval": configuration.ping_interval_s,
        "ping_timeout": configuration.ping_timeout_s,
        "max_http_buffer_size": MAX_BYTES,
        "serializer": "msgpack" if configuration.msgpack else "default",
    }
    if kind == "plain":
        server = socketio.AsyncServer(**options)
    else:
        realtime = importlib.import_module("rtlab.realtime")
        guards = realtime.Guards(
            connect_timeout_s=configuration.connect_timeout_s, whole_ping_interval=configuration is not QUICK
        )
        server = realtime.Server(**options, guards=guards)
    entries: dict[Any, list[list[str]]] = defaultdict(list)
    for namespace in NAMESPACES:
        _answer(server, namespace, entries)

    @server.on("connect", namespace="/closed")
    async def refuse(sid: str, environ: Any, auth: Any) -> None:
        raise socketio.exceptions.ConnectionRefusedError("no entry", {"code": 7})

    return server


def _answer(server: Any, namespace: str, entries: dict[Any, list[list[str]]]) -> None:
    """The handlers of one namespace."""
    auths: dict[str, dict[str, Any]] = {}

    @server.on("connect", namespace=namespace)
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        auths[sid] = auth or {}
        entries[auths[sid].get("tag")].append(["connect", namespace])

    @server.on("disconnect", namespace=namespace)
    async def disconnect(sid: str, reason: str) -> None:
        entries[auths.pop(sid, {}).get("tag")].append(["disconnect", namespace])

    @server.on("message", namespace=namespace)
    async def message(sid: str, *args: Any) -> None:
        await server.emit("message-back", args, to=sid, namespace=namespace)

    @server.on("message-with-ack", namespace=namespace)
    async def message_with_ack(sid: str, *args: Any) -> Any:
        return args

    @server.on("auth", namespace=namespace)
    async def auth(sid: str) -> Any:
        return auths[sid]

    @server.on("call-me", namespace=namespace)
    async def call_me(sid: str, *args: Any) -> None:
        answered = await server.call("call", args, to=sid, namespace=namespace)
        several = answered if isinstance(answered, tuple) else () if answered is None else (answered,)
        await server.emit("called", several, to=sid, namespace=namespace)

    @server.on("let-go", namespace=namespace)
    async def let_go(sid: str) -> None:
        await server.disconnect(sid, namespace=namespace)

    @server.on("hang-up", namespace=namespace)
    async def hang_up(sid: str) -> None:
        await server.eio.disconnect(server.manager.eio_sid_from_sid(sid, namespace))

    @server.on("entries", namespace=namespace)
    async def told(sid: str, wanted: Any) -> Any:
        return entries[wanted]
