"""Workers for a balancer: small Socket.IO servers in this process, each of which knows its number.

What lives here: the servers, and clients of each kind. The tests decide what stands in between.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence

import aiohttp
import socketio
from aiohttp import web
from eventually import until

from rtlab.servers.hosting import serve

__all__ = ["KINDS", "Worker", "connect_all", "new_client", "three_workers"]

KINDS = {"polling": ["polling"], "default": None, "websocket": ["websocket"]}
"""The transports of a client of each kind."""


class Worker:
    """A Socket.IO server with some plain pages.

    Args:
        number: what it answers to the event "which", and at /which.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.server = None
        self.seen: list[web.Request] = []
        """The plain requests that have reached it."""
        self.environs: list[dict] = []
        """What Socket.IO has told about each client that connected."""
        self.app = web.Application(client_max_size=2**30)
        self.sio = socketio.AsyncServer(async_mode="aiohttp")
        self.sio.attach(self.app)
        self.sio.on("which", lambda sid: number)
        self.sio.on("echo", lambda sid, value: value)
        self.sio.on("connect", lambda sid, environ: self.environs.append(environ))
        self.app.router.add_route("*", r"/{path:(?!socket\.io/).*}", self._page)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return "127.0.0.1", self.server.port

    async def _page(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        await request.read()
        return web.json_response({"worker": self.number, "path": request.path, "headers": dict(request.headers)})


@contextlib.asynccontextmanager
async def three_workers(count: int = 3) -> AsyncIterator[list[Worker]]:
    """Three of them, or another number."""
    async with contextlib.AsyncExitStack() as stack:
        workers = [Worker(number) for number in range(count)]
        for worker in workers:
            worker.server = await stack.enter_async_context(serve(worker.app))
        yield workers


@contextlib.asynccontextmanager
async def new_client(
    url: str, transports: Sequence[str] | None = None, *, address: str | None = None, ssl_context=None
) -> AsyncIterator[socketio.AsyncClient | None]:
    """A client that is connected, or None where it could not. It keeps cookies, also of an IP address.

    Args:
        url: of the balancer.
        transports: as python-socketio has them.
        address: that it comes from; Linux has all of 127.0.0.0/8, others only 127.0.0.1.
        ssl_context: of a client that verifies.
    """
    local = (address, 0) if address and sys.platform == "linux" else None
    connector = aiohttp.TCPConnector(local_addr=local, ssl=ssl_context if ssl_context else True)
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar) as session:
        client = socketio.AsyncClient(http_session=session, reconnection=False)
        connected = None
        with contextlib.suppress(socketio.exceptions.ConnectionError):
            await client.connect(url, transports=transports, wait=False)
            # The worker that knows it may hold a poll for 25 s; it has failed when it can no longer write.
            await until(lambda: client.namespaces or _silent(client.eio.write_loop_task))
            if client.namespaces:
                connected = client
        try:
            yield connected
        finally:
            # Not client.disconnect(): with polling it waits until the server answers the poll that is open, some 25 s.
            await client.eio.disconnect(abort=True)
            await session.close()
            for task in (client.eio.read_loop_task, client.eio.write_loop_task):
                if task is not None:
                    task.cancel()
                    await asyncio.wait([task])


def _silent(writing: asyncio.Task | None) -> bool:
    return writing is None or writing.done()


async def connect_all(url: str, kind: str, count: int = 9, addresses: Sequence[str] = ()) -> Counter[int]:
    """How many of so many clients of one kind each worker has, all connected at once.

    Args:
        url: of the balancer.
        kind: of `KINDS`.
        count: of clients.
        addresses: that they come from, one after the other.
    """
    async with contextlib.AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(
                new_client(url, KINDS[kind], address=addresses[number % len(addresses)] if addresses else None)
            )
            for number in range(count)
        ]
        return Counter([await client.call("which") for client in clients if client is not None])
