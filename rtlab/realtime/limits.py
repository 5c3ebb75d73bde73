"""The limits of the Socket.IO server: constants, each with its unit and its reason.

What lives here: numbers. Those that an application may change are the defaults of `guards.Guards`.
"""

from __future__ import annotations

__all__ = [
    "ATTACHMENTS_TIMEOUT_S",
    "CLOSE_S",
    "CONNECT_TIMEOUT_S",
    "INBOX_MESSAGES",
    "LONGEST_PING_S",
    "MAX_PACKETS_PER_PAYLOAD",
    "MAX_QUEUED_BYTES",
    "PACKETS_PER_GET",
    "SOCKET_ID_PREFIX",
    "UPGRADE_TIMEOUT_S",
]

CONNECT_TIMEOUT_S = 45.0
"""Seconds that a session may be without a namespace: the default of Node's connectTimeout."""
MAX_QUEUED_BYTES = 4 * 1024 * 1024
"""Bytes that may wait for one client: seconds of a slow line, and little enough that 1,000 stalled clients fit."""
MAX_PACKETS_PER_PAYLOAD = 10_000
"""Packets in the body of one POST. A JavaScript client sends all that it has at once, so this is far above a burst."""
PACKETS_PER_GET = 16
"""Packets that one GET takes away. The Python client gives its session up over more; the others fetch again."""
ATTACHMENTS_TIMEOUT_S = 20.0
"""Seconds that a packet may wait for its attachments."""
LONGEST_PING_S = 3600
"""Seconds. Nobody wants to learn of a dead peer an hour late, so whoever asks for more has milliseconds in mind."""
UPGRADE_TIMEOUT_S = 10.0
"""Seconds that a WebSocket has to take over from polling: Node's upgradeTimeout."""
CLOSE_S = 3.0
"""Seconds that a peer has to answer a closing handshake. Then TCP ends without it."""
INBOX_MESSAGES = 64
"""Messages of one client that wait for the handler before them. Then nothing more is read from it."""
SOCKET_ID_PREFIX = "sid:"
"""What every Socket.IO id begins with, here and on every other node of ours, and no room of the application may."""
