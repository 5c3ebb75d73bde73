"""Fails: test_lets_go_of_a_non_reader

The close frame stands in line behind all that the peer does not read, so the handshake never ends.
"""

import asyncio
import json
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast

MAX_UNSENT = 1_048_576
closing = set()


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
                    send_to_all(peers, json.dumps({"type": "broadcast", "from": me, "data": data}))
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


def send_to_all(peers, text):
    for peer in peers:
        if peer.transport.get_write_buffer_size() + len(text) > MAX_UNSENT:
            task = asyncio.create_task(peer.close(1013))
            closing.add(task)
            task.add_done_callback(closing.discard)
    broadcast(peers, text)
