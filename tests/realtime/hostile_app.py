"""The server that the hostile clients talk to, in a process of its own: two honest clients say numbers to all."""

from __future__ import annotations

import logging
from typing import Any

from rtlab.realtime import Guards, Server

__all__ = ["in_json", "in_messagepack", "with_any_namespace"]

LIMIT = 500_000
"""Bytes that may wait for one client."""


def _server(serializer: str, namespaces: str | None = None) -> Server:
    guards = Guards(connect_timeout_s=2, attachments_timeout_s=2, max_queued_bytes=LIMIT, compress_over=1000)
    log = logging.getLogger("hostile")
    sio = Server(
        serializer=serializer,
        namespaces=namespaces,
        guards=guards,
        max_http_buffer_size=100_000,
        ping_interval=2,
        engineio_logger=log,
    )

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth == {"name": "honest"}:
            await sio.enter_room(sid, "honest")

    @sio.event
    async def say(sid: str, who: str, number: int) -> str:
        await sio.emit("said", [who, number], to="honest")
        return "ok"

    @sio.event
    async def flood(sid: str, size: int) -> int:
        """Everybody gets that much; the rooms of the honest are spared."""
        await sio.emit("blah", "x" * size, skip_sid=[each for each, _ in sio.manager.get_participants("/", "honest")])
        return len(sio.eio.sockets)

    @sio.event
    async def take(sid: str, number: int, data: Any = None) -> int:
        """Numbers that a client sends; the answer is how many came in order."""
        async with sio.session(sid) as session:
            session["next"] = session.get("next", 0) + (number == session.get("next", 0))
            return int(session["next"])

    @sio.event
    async def sessions(sid: str) -> int:
        return len(sio.eio.sockets)

    return sio


def in_json() -> Server:
    """With JSON packets."""
    return _server("default")


def in_messagepack() -> Server:
    """With MessagePack."""
    return _server("msgpack")


def with_any_namespace() -> Server:
    """With JSON packets, and every namespace that anybody asks for."""
    return _server("default", namespaces="*")
