"""Bytes on their way in one direction, and when they are due.

What lives here: `Waiting`, a queue for bytes that are late or stopped. It must not know sockets; the time arrives as
an argument. What waits keeps its order, whatever the delay becomes meanwhile.
"""

from __future__ import annotations

from collections import deque

__all__ = ["GRAIN_S", "WAITING_BYTES", "Waiting"]

WAITING_BYTES = 128 * 1024
"""Bytes that wait, from which on the sender has to wait too. What a single read has brought comes on top of that, which
is 256 KiB in asyncio. With a delay, this is what a connection can carry in that time."""
PART_BYTES = 200
"""What each part of it counts beside its bytes: about what Python needs to keep it."""
GRAIN_S = 0.001
"""Seconds within which bytes that have come become one part."""


class Waiting:
    """A queue of bytes. An end of the stream waits in it as an empty part."""

    def __init__(self) -> None:
        self.delay_s = 0.0
        """Seconds between coming and going on. A change holds for what waits already."""
        self.stalled = False
        """Whether nothing is due at all."""
        self.size = 0
        """Bytes that wait."""
        self._parts: deque[tuple[float, bytearray]] = deque()

    @property
    def passes(self) -> bool:
        """Whether bytes can go on at once, past the queue."""
        return not (self._parts or self.stalled or self.delay_s)

    @property
    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self._parts

    @property
    def full(self) -> bool:
        """Whether no more should be put in."""
        return self.size + PART_BYTES * len(self._parts) >= WAITING_BYTES

    @property
    def due(self) -> float | None:
        """When the first part may go on; None if nothing will."""
        return None if self.stalled or not self._parts else self._parts[0][0] + self.delay_s

    def put(self, data: bytes, now: float) -> None:
        """Bytes have come; none at all are the end."""
        self.size += len(data)
        if data and self._parts and self._parts[-1][1] and now - self._parts[-1][0] < GRAIN_S:
            self._parts[-1][1].extend(data)
        else:
            self._parts.append((now, bytearray(data)))

    def take(self, now: float) -> bytes | None:
        """The first part that is due; None if none is."""
        due = self.due
        if due is None or due > now:
            return None
        data = bytes(self._parts.popleft()[1])
        self.size -= len(data)
        return data

    def clear(self) -> None:
        """They go nowhere."""
        self._parts.clear()
        self.size = 0
