"""Fails: test_a_non_reader_delays_nobody

An echo does not wait either: a client that asks and does not read fills the memory of the server.
"""

import json
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
                    broadcast([ws], json.dumps({"type": "echo", "data": data}))
                case {"type": "broadcast", "data": data} if len(json.dumps(data)) < MAX_UNSENT - 100:
                    send_to_all(peers, json.dumps({"type": "broadcast", "from": me, "data": data}))
                case _:
                    await ws.send(json.dumps({"type": "error", "message": "expected an echo or a broadcast with data"}))
    finally:
        peers.discard(ws)


def parse(message: str | bytes) -> object:
    try:
        value = json.loads(message) if isinstance(message, str) else None
        json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return None
    return value


def send_to_all(peers, text):
    for peer in peers:
        if peer.transport.get_write_buffer_size() + len(text) > MAX_UNSENT:
            peer.transport.abort()
    broadcast(peers, text)
