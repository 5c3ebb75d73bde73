"""What things cost, in tokens of a user's budget: by what they make us send, and to how many.

What lives here: pure functions and the prices. A token is one small event, and it pays for 32 KiB that the event makes
us send as well: an ordinary user never notices that anything else is counted. It must not know who pays.
"""

from __future__ import annotations

import json

__all__ = ["BYTES_PER_TOKEN", "LISTENER_BYTES", "NOTICE", "ROOM", "beyond_one_token", "notice", "wire_bytes"]

BYTES_PER_TOKEN = 32 * 1024
"""Bytes to send that cost as much as an event: with 20 tokens a second, 640 KiB/s for a user, whatever it asks for."""
LISTENER_BYTES = 256
"""What one more listener costs us beside the bytes of the message, as bytes: a place in a queue, a frame, a write."""
NOTICE = 0.25
"""Tokens that telling others of a coming or going costs at least: 80 notices a second for a user at the most."""
ROOM = 0.25
"""Tokens for each room that is entered with ``session:restore``, which enters many with one event."""


def beyond_one_token(size: float, listeners: int = 1) -> float:
    """What an event costs in addition to the token that is taken for it.

    Args:
        size: bytes that each listener is sent.
        listeners: how many sockets get them.
    """
    return max(0.0, _sending(size, listeners) - 1)


def notice(size: float, listeners: int) -> float:
    """What it costs to tell others of a coming or going. Nothing if nobody hears it."""
    return max(NOTICE, _sending(size, listeners)) if listeners else 0.0


def wire_bytes(value: object) -> int:
    """Bytes that a value takes as JSON, as Socket.IO sends it: an emoji takes twelve."""
    return len(json.dumps(value))


def _sending(size: float, listeners: int) -> float:
    return listeners * (size + LISTENER_BYTES) / BYTES_PER_TOKEN
