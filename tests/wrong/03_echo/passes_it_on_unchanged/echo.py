"""Fails: test_broadcasts

The message goes to all as it came, so nobody learns whom it is from.
"""

import json
from collections.abc import Iterable
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast

MAX_UNSENT = 1_048_576


async def handle(ws: ServerConnection, peers: set[Any]) -> None:
    host, port = ws.remote_address[:2]
    me = f"{host}:{port}"
    await ws.send(json.dumps({"type": "welcome", "peer": me}))
    peers.add(ws)
    try:
        async for text in ws:
            match parse(text):
                case {"type": "echo", "data": data}:
                    await ws.send(json.dumps({"type": "echo", "data": data}))
                case {"type": "broadcast", "data": _}:
                    send_to_all(peers, text)
                case _:
                    await ws.send(json.dumps({"type": "error", "message": "expected an echo or a broadcast with data"}))
    finally:
        peers.discard(ws)


def parse(message: str | bytes) -> object:
    if isinstance(message, bytes):
        return None
    try:
        return json.loads(message)
    except (ValueError, RecursionError):
        return None


def send_to_all(peers: Iterable[ServerConnection], text: str) -> None:
    size = len(text.encode())
    for peer in peers:
        if peer.transport.get_write_buffer_size() + size > MAX_UNSENT:
            peer.transport.abort()
    broadcast(peers, text)
