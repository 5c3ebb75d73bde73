"""What a WebSocket connection has received and its handler has not taken yet.

What lives here: `Inbox`, which counts it in bytes of memory, and the bound. It must not know the socket; `connection`
stops reading from it while the inbox is full.
"""

from __future__ import annotations

from collections import deque

from rtlab.wire.events import BinaryMessage, TextMessage, memory_of

__all__ = ["INBOX_BYTES", "Inbox"]

INBOX_BYTES = 1024 * 1024
"""Bytes of memory that received messages take before reading stops. Enough to keep a handler busy, few enough that a
slow one makes its peer wait instead of filling memory. The message that reaches it is the last; it may be as large as
messages may be."""


class Inbox:
    """Messages in their order, and what they cost."""

    def __init__(self) -> None:
        self.held = 0
        """Bytes of memory that the messages take."""
        self._messages: deque[str | bytes] = deque()

    def put(self, message: TextMessage | BinaryMessage) -> None:
        """Add one at the end."""
        self._messages.append(message.data)
        self.held += message.held

    def take(self) -> str | bytes:
        """The oldest.

        Raises:
            IndexError: there is none.
        """
        message = self._messages.popleft()
        self.held -= memory_of(message)
        return message

    def clear(self) -> None:
        """Nobody will take them any more."""
        self._messages.clear()
        self.held = 0

    @property
    def room(self) -> int:
        """Bytes until it is full; 0 or less if it is."""
        return INBOX_BYTES - self.held

    def __len__(self) -> int:
        return len(self._messages)
