"""How fast a client may send, and how long it waits before it tries again.

What lives here: `Pace`, which finds out how fast a server lets this client send, and `Backoff`, the growing waits
between attempts. They have no clock: whoever asks says what time it is. They must not know messages.

A server counts what it refuses, and ends a connection that goes on all the same (``Limits.breaches``). So a refusal
changes two things: the client pauses for long enough to have its full budget again, and then sends more slowly. Each
message that is accepted makes it a little faster. With the chat's default limits that comes to 18 messages a second of
the 20 allowed, for one client or several of one user, and no connection ever has more than 2 breaches in a row.
"""

from __future__ import annotations

import random

__all__ = ["RETRY_MAX_S", "RETRY_S", "Backoff", "Pace"]

RETRY_S = 0.25
"""Seconds before the second attempt; each further one waits twice as long."""
RETRY_MAX_S = 5.0
"""The longest wait between two attempts, in seconds: a store that is back is found within this time."""
PAUSE_S = 2.5
"""Seconds without sending after a refusal. A budget of the chat's default (40 events, 20 a second) is full after 2."""
PAUSE_MAX_S = 20.0
"""The longest such pause, where a pause did not help."""
FEW = 10
"""A pause after which fewer messages than this were accepted did not help: the next one is twice as long."""
GAP_S = 0.05
"""Seconds between two messages after the first refusal: 20 a second, the chat's default."""
GAP_MAX_S = 2.0
"""The most seconds between two messages."""
SLOWER, FASTER = 1.5, 0.99
"""What a refusal and an accepted message multiply that gap by."""


class Backoff:
    """Waits that grow from `RETRY_S` to `RETRY_MAX_S`, each shortened at random by up to a half.

    Without the random part all clients that lost the same server would come back to it at the same time.
    """

    def __init__(self) -> None:
        self._next_s = RETRY_S

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        wait = self._next_s
        self._next_s = min(2 * wait, RETRY_MAX_S)
        return wait * random.uniform(0.5, 1.0)  # noqa: S311 - to spread, not to hide


class Pace:
    """When the next message may be sent, by one client in all its rooms together."""

    def __init__(self) -> None:
        self._gap_s = 0.0
        self._pause_s = PAUSE_S
        self._next_at = 0.0
        self._paused_until = 0.0
        self._accepted = FEW

    def take(self, now: float) -> float:
        """Seconds until the next message may be sent: ask again then. 0 if that is now, and then it counts as sent."""
        if now < self._next_at:
            return self._next_at - now
        self._next_at = now + self._gap_s
        return 0.0

    def accepted(self) -> None:
        """A message was not too much."""
        self._accepted += 1
        self._gap_s *= FASTER

    def refused(self, now: float) -> None:
        """A message was too much. Those that were on their way at the same time are part of the same refusal."""
        if now < self._paused_until:
            return
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S) if self._accepted < FEW else PAUSE_S
        self._accepted = 0
        self._gap_s = min(max(self._gap_s * SLOWER, GAP_S), GAP_MAX_S)
        self._paused_until = now + self._pause_s
        self._next_at = max(self._next_at, self._paused_until)
