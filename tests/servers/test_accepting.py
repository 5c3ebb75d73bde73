"""A server that stops while clients connect: whatever it has accepted is closed, not left to the collector."""

import asyncio
import gc
import socket

import pytest
import socketio
from aiohttp import web

import rtlab
from rtlab.servers import websocket


async def ours(ws):
    await ws.wait_closed()


APPS = {
    "aiohttp": web.Application,
    "ours": lambda: websocket.Endpoint(ours),
    "Socket.IO": lambda: socketio.AsyncServer(async_mode="aiohttp"),
}


def connect(port: int) -> socket.socket:
    """A connection that the server's kernel has accepted, and its event loop has not yet seen."""
    return socket.create_connection(("127.0.0.1", port))


async def stopped_while_clients_connect(server) -> None:
    clients = []
    for turns in range(4):
        clients += [connect(server.port) for _ in range(3)]
        for _ in range(turns):
            await asyncio.sleep(0)
    await server.stop()
    for client in clients:
        client.close()
    gc.collect()  # a transport that nobody has closed warns here, and a warning is an error


@pytest.mark.parametrize("kind", APPS)
async def test_a_server_leaves_no_connection_half_made(kind):
    await stopped_while_clients_connect(await rtlab.start(APPS[kind]()))


async def test_neither_does_a_tap():
    async with rtlab.serve(web.Application()) as server:
        for _ in range(5):
            await stopped_while_clients_connect(await rtlab.start_tap(server))


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="from Python 3.12 on")
async def test_a_handler_may_send_at_once_where_tasks_are_eager():
    async def greet(ws):
        await ws.send("hello")

    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
    async with websocket.serve(greet) as server, websocket.connect(server.url) as client:
        assert await client.recv() == "hello"
