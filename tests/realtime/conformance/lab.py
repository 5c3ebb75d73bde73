"""Where a behaviour is shown: `Lab` opens raw connections to one server, and closes them at the end."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import AsyncExitStack
from typing import Any, Self

import aiohttp
from deadlines import WAIT_S
from realtime.conformance.clients import CONNECT, Answer, Client, Pending, Polling, WebSocket, same
from realtime.conformance.servers import Configuration
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from rtlab.wire import engineio, socketio

__all__ = ["Lab"]

_tags = itertools.count(1)


class Lab:
    """Opens raw connections to one server, and closes them at the end."""

    def __init__(self, url: str, configuration: Configuration) -> None:
        self.configuration = configuration
        self.url = f"{url}/{configuration.path}/"
        self.tag = f"tag {next(_tags)}"
        """What this lab's clients are known by to the app."""
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def request(self, method: str = "GET", body: str | bytes | None = None, **query: str) -> Answer:
        """Send an HTTP request. A connection that ends without an answer is the answer 0."""
        try:
            async with self.http.request(method, self.url, params=query, data=body) as response:
                return Answer(response.status, await response.text(), response.headers.get("Content-Type", ""))
        except aiohttp.ClientConnectionError:
            return Answer(0, "")

    async def begin(self, method: str, body: bytes, length: int, **query: str) -> Pending:
        """Send an HTTP request by hand, and wait until the server has begun with it."""
        target = f"{self.url.partition('://')[2].partition('/')[2]}?{'&'.join(f'{k}={v}' for k, v in query.items())}"
        host = self.url.split("/")[2]
        name, _, port = host.partition(":")
        reader, writer = await asyncio.open_connection(name, int(port))
        pending = Pending(reader, writer)
        self._stack.push_async_callback(pending.abandon)
        head = f"{method} /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nExpect: 100-continue\r\n"
        fields = f"Content-Type: text/plain;charset=UTF-8\r\nContent-Length: {length}\r\n" if length else ""
        writer.write(f"{head}{fields}\r\n".encode())
        first = await reader.readuntil(b"\r\n\r\n")
        same("what the server says first", first[:12], b"HTTP/1.1 100")
        await pending.say(body)
        return pending

    async def polling(self) -> Polling:
        """Open a session by HTTP."""
        (packet,) = (await self.request(EIO="4", transport="polling")).packets
        return Polling(self, engineio.Handshake.decode(packet.data))

    async def websocket(self, **query: str) -> WebSocket:
        """Open a WebSocket. Without a query it is a session of its own, and the handshake has been read."""
        fields = query or {"EIO": "4", "transport": "websocket"}
        url = f"{self.url.replace('http', 'ws', 1)}?{'&'.join(f'{k}={v}' for k, v in fields.items())}"
        raw = await self._stack.enter_async_context(
            connect(url, compression=None, proxy=None, ping_interval=None, max_size=None, open_timeout=WAIT_S)
        )
        socket = WebSocket(raw)
        if not query:
            packet = await socket.receive()
            same("the first packet's type", packet.type.name, "OPEN")
            socket.handshake = engineio.Handshake.decode(packet.data)
        return socket

    async def upgrading(self, session: Polling) -> WebSocket:
        """Open a WebSocket for a session that polls."""
        return await self.websocket(EIO="4", transport="websocket", sid=session.handshake.sid)

    async def refuses_websocket(self, **query: str) -> None:
        """Hold the server to refusing a WebSocket, by its HTTP status or by closing it."""
        try:
            socket = await self.websocket(**query)
        except InvalidStatus:
            return
        await socket.ends()

    async def client(self, namespace: str = "/", **auth: Any) -> Client:
        """A WebSocket session that is connected to a namespace."""
        client = Client(self, await self.websocket())
        await client.connect(namespace, **auth)
        return client

    async def entries(self) -> list[list[str]]:
        """Which namespaces this lab's clients have entered and left, in order. Whoever asks is not among them."""
        asking = Client(self, await self.websocket())
        await asking.send(socketio.Packet(CONNECT, data={"tag": "somebody else"}))
        same("the answer to CONNECT", (await asking.receive()).type, CONNECT)
        (entries,) = await asking.request("entries", self.tag)
        return entries

    async def until_entry(self, *entry: str, within_s: float = WAIT_S) -> list[list[str]]:
        """Wait until such an entry is there; gives them all."""
        try:
            async with asyncio.timeout(within_s):
                while list(entry) not in (entries := await self.entries()):
                    await asyncio.sleep(0.01)  # the app says nothing by itself
                return entries
        except TimeoutError:
            raise AssertionError(f"what the app sees: expected {list(entry)} to be among it, and it is not") from None
