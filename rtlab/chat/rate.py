"""How often somebody may do something: a token bucket.

What lives here: `Bucket`. It has no clock: whoever asks says what time it is.
"""

from __future__ import annotations

__all__ = ["Bucket"]


class Bucket:
    """Holds `burst` tokens and gets `per_s` new ones each second; what is done takes one away.

    Args:
        per_s: how often, on average.
        burst: how often at once.
        now: seconds, of any clock that only goes forward.
    """

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._filled_at = now
        self.breaches = 0
        """How often it was empty since it was last full."""

    def take(self, now: float) -> bool:
        """Whether it may be done now. If not, that is a breach."""
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled_at) * self._per_s)
        self._filled_at = max(now, self._filled_at)
        if self._tokens >= self._burst:
            self.breaches = 0
        if self._tokens < 1:
            self.breaches += 1
            return False
        self._tokens -= 1
        return True
