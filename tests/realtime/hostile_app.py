"""The server that the hostile clients talk to, in a process of its own: two honest clients say numbers to all."""

from __future__ import annotations

from typing import Any

from rtlab.realtime import Guards, Server

__all__ = ["in_json", "in_messagepack"]


def _server(serializer: str) -> Server:
    guards = Guards(connect_timeout_s=2, attachments_timeout_s=2, max_queued_bytes=500_000, compress_over=1000)
    sio = Server(serializer=serializer, max_http_buffer_size=100_000, guards=guards)

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
    async def sessions(sid: str) -> int:
        return len(sio.eio.sockets)

    return sio


def in_json() -> Server:
    """With JSON packets."""
    return _server("default")


def in_messagepack() -> Server:
    """With MessagePack."""
    return _server("msgpack")
