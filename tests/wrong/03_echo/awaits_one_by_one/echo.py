"""Fails: test_a_non_reader_delays_nobody

Each `send` waits until its peer has room; one that does not read holds up all that come after it.
"""

import json
from typing import Any

from websockets.asyncio.server import ServerConnection

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
                case {"type": "broadcast", "data": data}:
                    await send_to_all(peers, json.dumps({"type": "broadcast", "from": me, "data": data}))
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


async def send_to_all(peers, text):
    for peer in set(peers):
        await peer.send(text)
