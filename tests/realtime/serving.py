"""A server of ours for one test, and a raw client that says exactly what it is told to, in either serializer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from deadlines import WAIT_S
from realtime.conformance.lab import Client, Lab
from realtime.conformance.servers import Configuration

import rtlab
from rtlab.realtime import Guards, Server
from rtlab.wire.socketio import PacketType

__all__ = ["ACK", "CONNECT", "DISCONNECT", "EVENT", "SERIALIZERS", "Journal", "lab_of", "serving"]

CONNECT, DISCONNECT, EVENT, ACK = PacketType.CONNECT, PacketType.DISCONNECT, PacketType.EVENT, PacketType.ACK
SERIALIZERS = ("default", "msgpack")


class Journal:
    """What handlers note, for a test to wait for."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._changed = asyncio.Condition()

    async def note(self, *entry: Any) -> None:
        """Write something down."""
        async with self._changed:
            self.entries.append(entry)
            self._changed.notify_all()

    async def until(self, *entry: Any) -> None:
        """Wait until this has been written."""
        async with asyncio.timeout(WAIT_S), self._changed:
            await self._changed.wait_for(lambda: entry in self.entries)


@asynccontextmanager
async def lab_of(server: rtlab.Server, serializer: str = "default") -> AsyncIterator[Lab]:
    """Raw clients of a server."""
    async with Lab(server.url, Configuration("socket.io", msgpack=serializer == "msgpack")) as lab:
        yield lab


@asynccontextmanager
async def serving(
    serializer: str = "default", guards: Guards | None = None, **options: Any
) -> AsyncIterator[tuple[Server, Lab, Journal]]:
    """A server whose `echo` acknowledges its arguments, raw clients, and the journal of who came and went."""
    sio = Server(serializer=serializer, guards=guards, **options)
    journal = Journal()

    @sio.event
    async def connect(sid: str, environ: Any, auth: Any) -> None:
        await journal.note("connect")

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        await journal.note("disconnect", reason)

    @sio.event
    async def echo(sid: str, *data: Any) -> Any:
        return data

    async with rtlab.serve(sio) as server, lab_of(server, serializer) as lab:
        yield sio, lab, journal


async def echoes(client: Client, namespace: str = "/") -> None:
    """Hold the server to serving this client still."""
    assert await client.request("echo", "still?", namespace=namespace) == ["still?"]
