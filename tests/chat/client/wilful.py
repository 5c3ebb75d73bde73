"""A server that keeps the chat's contract as badly as a test wants: Socket.IO over WebSocket, packet by packet.

The chat itself acknowledges each message once, in order. A client has to live with less: so this one stores messages,
and then does what `fate` says. ``"ok"``; ``"silent"``: no acknowledgement; ``"twice"``; ``"nonsense"``: one that means
nothing; ``"cut"``: the connection ends before it; ``"lost"``: the connection ends and nothing is stored; any other word
is the code of a refusal, and nothing is stored either.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiohttp import WSMsgType, web

import rtlab

__all__ = ["Wilful", "wilful"]

PAGE = 50


class Wilful:
    """What it has, and what has come."""

    def __init__(self) -> None:
        self.url = ""
        self.fate: Callable[[dict[str, Any], int], str] = lambda message, attempt: "ok"
        """What becomes of a message; the second argument counts its attempts."""
        self.join_fate: Callable[[dict[str, Any]], str] = lambda asked: "ok"
        """The same for a join: ``"ok"``, ``"silent"``, ``"nonsense"``, ``"lost"``, ``"cut"`` or a code."""
        self.refresh_fate: Callable[[str], str] = lambda token: "ok"
        """The same for a newer token."""
        self.log: list[dict[str, Any]] = []
        """All messages that are stored."""
        self.came: list[tuple[str, str]] = []
        """Text and clientId of each attempt."""
        self.asked: list[str | None] = []
        """The ``after`` of each join."""
        self.tokens: list[str] = []
        """Those that were shown, to connect or later."""
        self.forgotten: str | None = None
        """Messages up to this offset are gone."""
        self.notifications = True
        """Whether the second namespace is let in."""
        self.tells = False
        """Whether a message that a client sends is told to the members of its room, before it is acknowledged."""
        self.connected = 0
        """How many connections there were."""
        self._numbers = itertools.count(1)
        self._sockets: dict[web.WebSocketResponse, set[str]] = {}

    def say(self, room: str, text: str, client_id: str | None = None) -> str:
        """Store a message. Gives its offset."""
        known = {each.get("clientId"): each for each in self.log if "clientId" in each}
        if client_id in known:
            return str(known[client_id]["offset"])
        offset = f"{next(self._numbers)}-0"
        record = {
            "id": f"id {offset}",
            "username": "somebody",
            "text": text,
            "room": room,
            "timestamp": 0,
            "offset": offset,
        }
        self.log.append(record | ({} if client_id is None else {"clientId": client_id}))
        return offset

    async def tell(self, offset: str) -> None:
        """Send a message that is stored to everybody in its room."""
        record = next(each for each in self.log if each["offset"] == offset)
        for socket, rooms in list(self._sockets.items()):
            if record["room"] in rooms:
                await self._emit(socket, "chat:message", record)

    async def lose(self, room: str, after: str, offset: str) -> None:
        """Tell everybody in a room that messages up to this offset are gone."""
        for socket, rooms in list(self._sockets.items()):
            if room in rooms:
                await self._emit(socket, "chat:lost", {"room": room, "after": after, "offset": offset})

    async def cut(self) -> None:
        """End every connection without a word."""
        for socket in list(self._sockets):
            self._abort(socket)

    @staticmethod
    async def _emit(socket: web.WebSocketResponse, *arguments: Any) -> None:
        with suppress(ConnectionError):
            await socket.send_str("42" + json.dumps(arguments))

    @staticmethod
    def _abort(socket: web.WebSocketResponse) -> None:
        if (transport := socket._req.transport) is not None:
            transport.abort()

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.connected += 1
        self._sockets[socket] = set()
        opened = {"sid": f"eio {self.connected}", "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000}
        try:
            await socket.send_str("0" + json.dumps(opened))
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await self._packet(socket, message.data)
        except ConnectionError:
            pass
        finally:
            del self._sockets[socket]
        return socket

    async def _packet(self, socket: web.WebSocketResponse, text: str) -> None:
        if text.startswith("40/notifications"):
            if self.notifications:
                await socket.send_str('40/notifications,{"sid":"n"}')
            else:
                self._abort(socket)
        elif text.startswith("40"):
            self.tokens.append(json.loads(text[2:])["token"])
            await socket.send_str('40{"sid":"s"}')
        elif text.startswith("42"):
            digits = "".join(itertools.takewhile(str.isdigit, text[2:]))
            event, payload = json.loads(text[2 + len(digits) :])
            await self._event(socket, digits, event, payload)

    async def _event(self, socket: web.WebSocketResponse, number: str, event: str, payload: Any) -> None:
        ack: dict[str, Any] = {"status": "ok"}
        if event == "chat:message":
            self.came.append((payload["text"], payload["clientId"]))
            fate = self.fate(payload, sum(1 for _, each in self.came if each == payload["clientId"]))
            if fate in {"ok", "silent", "twice", "nonsense", "cut"}:
                stored = len(self.log)
                offset = self.say(payload["room"], payload["text"], payload["clientId"])
                if self.tells and len(self.log) > stored:
                    await self.tell(offset)
                ack |= {"id": f"id {offset}", "offset": offset}
        elif event == "chat:join":
            asked = payload if isinstance(payload, dict) else {"room": payload}
            fate = self.join_fate(asked)
            self.asked.append(asked.get("after"))
            if fate in {"ok", "silent"}:
                self._sockets[socket].add(asked["room"])
                ack |= await self._page(socket, asked["room"], asked.get("after"))
        elif event == "token:refresh":
            fate = self.refresh_fate(payload)
            self.tokens.append(payload)
        else:
            fate = "ok"
        if fate in {"cut", "lost"}:
            self._abort(socket)
        elif fate == "nonsense":
            await socket.send_str(f'43{number}["what?"]')
        elif fate != "silent":
            if fate not in {"ok", "twice"}:
                ack = {"status": "error", "code": fate, "message": "no"}
            for _ in range(2 if fate == "twice" else 1):
                await socket.send_str(f"43{number}{json.dumps([ack])}")

    async def _page(self, socket: web.WebSocketResponse, room: str, after: str | None) -> dict[str, Any]:
        def position(offset: str | None) -> int:
            return int((offset or "0").partition("-")[0])

        there = [
            each for each in self.log if each["room"] == room and position(each["offset"]) > position(self.forgotten)
        ]
        if after is None:
            page, missed, lost = there[-PAGE:], 0, False
        else:
            later = [each for each in there if position(each["offset"]) > position(after)]
            page, missed, lost = later[:PAGE], len(later), position(self.forgotten) > position(after)
        await self._emit(socket, "chat:history", page)
        offset = page[-1]["offset"] if page else after or "0-0"
        return {
            "room": room, "members": ["somebody"], "missed": missed, "lost": lost, "offset": offset,
            "complete": not lost and (after is None or missed <= PAGE),
        }  # fmt: skip


@asynccontextmanager
async def wilful() -> AsyncIterator[Wilful]:
    """One that runs."""
    server = Wilful()
    app = web.Application()
    app.router.add_get("/socket.io/", server.serve)
    async with rtlab.serve(app) as running:
        server.url = running.url
        yield server
        await server.cut()
        await asyncio.sleep(0)
