"""Fails: test_forgets_who_was_cut_off

A dictionary of names that nobody empties holds every connection for ever.
"""

import json
from collections.abc import Iterable
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast

MAX_UNSENT = 1_048_576
"""Bytes that may wait for one peer (1 MiB). When more wait, the peer is cut off."""

NAMES: dict[Any, str] = {}


async def handle(ws: ServerConnection, peers: set[Any]) -> None:
    """Talk to one client in JSON: welcome it, then echo, broadcast or answer with an error."""
    me = NAMES[ws] = "{}:{}".format(*ws.remote_address)
    await ws.send(json.dumps({"type": "welcome", "peer": me}))
    peers.add(ws)
    try:
        async for message in ws:
            for_everybody, text = answer(message, me)
            if for_everybody:
                send_to_all(peers, text)
            else:
                await ws.send(text)
    finally:
        peers.discard(ws)


def answer(message: str | bytes, me: str) -> tuple[bool, str]:
    """What is sent for a message: whether it goes to every peer, and its text."""
    try:
        match parse(message):
            case {"type": "echo", "data": data}:
                return False, json.dumps({"type": "echo", "data": data}, allow_nan=False)
            case {"type": "broadcast", "data": data}:
                text = json.dumps({"type": "broadcast", "from": me, "data": data}, allow_nan=False)
                if len(text) <= MAX_UNSENT:
                    return True, text
    except (ValueError, RecursionError):  # no JSON, a number that JSON cannot spell, or nested too deeply
        pass
    return False, json.dumps({"type": "error", "message": "expected an echo or a broadcast with data, not too large"})


def parse(message: str | bytes) -> object:
    """The JSON value of a text message; None for a binary one."""
    return json.loads(message) if isinstance(message, str) else None


def send_to_all(peers: Iterable[ServerConnection], text: str) -> None:
    """Write to everybody without waiting for anybody, and cut off those who have left too much unread.

    `json.dumps` writes ASCII, so a character of the text is a byte.
    """
    for peer in peers:
        if peer.transport.get_write_buffer_size() + len(text) > MAX_UNSENT:
            peer.transport.abort()
    broadcast(peers, text)
