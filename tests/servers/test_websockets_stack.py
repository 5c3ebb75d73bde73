"""The bounds that the library `websockets` lacks: what its server does for who does not read, and at its end."""

import asyncio
import socket
from contextlib import asynccontextmanager, suppress

import pytest
from deadlines import WAIT_S
from websockets.frames import Frame, Opcode

from rtlab.servers.apps import run_websockets

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PINGS = Frame(Opcode.PING, b"x" * 125).serialize(mask=True) * 500


@asynccontextmanager
async def one(**options):
    """A server, its end of one connection, and a peer that reads nothing."""
    made = asyncio.get_running_loop().create_future()

    async def handler(websocket):
        made.set_result(websocket)
        async for _ in websocket:
            pass

    listener = socket.create_server(("127.0.0.1", 0))
    stop = await run_websockets(handler, listener, **options)
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    writer.write(UPGRADE)
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()
    try:
        yield await made, reader, writer, stop
    finally:
        writer.transport.abort()
        await stop()


@pytest.mark.parametrize("flood", [False, True])
async def test_a_peer_that_does_not_close_does_not_hold_up_the_end(flood):
    async with one(close_timeout=10 * WAIT_S) as (_, _, writer, stop):
        if flood:
            writer.write(PINGS * 100)
            with suppress(TimeoutError):
                await asyncio.wait_for(writer.drain(), 0.2)
        async with asyncio.timeout(WAIT_S):
            await stop()


async def test_who_pings_and_does_not_read_is_not_read_from():
    """What the library answers, it keeps: a hundred megabytes of pings became as many of pongs."""
    async with one() as (connection, reader, writer, _):
        sent = 0
        while sent < 64 << 20:
            writer.write(PINGS)
            sent += len(PINGS)
            try:
                await asyncio.wait_for(writer.drain(), 0.5)
            except TimeoutError:
                break
        assert connection.transport.get_write_buffer_size() < 1 << 20
        writer.transport.resume_reading()
        writer.write(Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True))
        async with asyncio.timeout(WAIT_S):  # all of it is answered, now that somebody reads
            heard = len(await reader.read())
        assert heard > sent // len(PINGS) * 500 * 127
