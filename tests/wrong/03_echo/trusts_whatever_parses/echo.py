"""Fails: test_answers_bad_json

Text that is no JSON is answered. JSON that is no object is indexed all the same.
"""

import json

from websockets.asyncio.server import broadcast

MAX_UNSENT = 1_048_576


async def handle(ws, peers):
    me = f"{ws.remote_address[0]}:{ws.remote_address[1]}"
    await ws.send(json.dumps({"type": "welcome", "peer": me}))
    peers.add(ws)
    try:
        async for text in ws:
            try:
                message = json.loads(text)
            except ValueError:
                await ws.send(json.dumps({"type": "error", "message": "no JSON"}))
                continue
            if message["type"] == "echo":
                await ws.send(text)
            elif message["type"] == "broadcast":
                for peer in peers:
                    if peer.transport.get_write_buffer_size() + len(text) > MAX_UNSENT:
                        peer.transport.abort()
                broadcast(peers, json.dumps({"type": "broadcast", "from": me, "data": message["data"]}))
            else:
                await ws.send(json.dumps({"type": "error", "message": "unknown type"}))
    finally:
        peers.discard(ws)
