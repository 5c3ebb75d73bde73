"""How much somebody may do in a time: token buckets, for `rtlab.realtime` and for applications above it.

What lives here: `Bucket`, which answers two questions: may this be done now, and how long has whoever did it to wait;
and `PacketBudget`, what one connection may send. They have no clock: whoever asks says what time it is. They must not
know sockets.
"""

from __future__ import annotations

__all__ = ["Bucket", "PacketBudget"]


class Bucket:
    """Holds `burst` tokens and gets `per_s` new ones each second; what is done takes some away.

    Args:
        per_s: how much, on average.
        burst: how much at once.
        now: seconds, of any clock that only goes forward.
    """

    __slots__ = ("_burst", "_filled_at", "_per_s", "_tokens", "breaches")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._tokens = burst
        self._filled_at = now
        self.breaches = 0
        """How often there was too little in it since it was last full."""

    def take(self, now: float, cost: float = 1) -> bool:
        """Whether something of this cost may be done now. If not, nothing is taken, and that is a breach.

        What costs more than the whole burst may be done when the bucket is full.
        """
        self._fill(now)
        if self._tokens < min(cost, self._burst):
            self.breaches += 1
            return False
        self._tokens -= cost
        return True

    def debt(self, now: float, cost: float = 1) -> float:
        """Take it in any case; gives the seconds that whoever did it has to wait before the next, 0 for none."""
        self._fill(now)
        self._tokens -= cost
        return max(0.0, -self._tokens) / self._per_s

    def is_full(self, now: float) -> bool:
        """Whether nothing was done for so long that the bucket need not be kept."""
        self._fill(now)
        return self._tokens >= self._burst

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled_at) * self._per_s)
        self._filled_at = max(now, self._filled_at)
        if self._tokens >= self._burst:
            self.breaches = 0


class PacketBudget:
    """What one connection may send in a time: packets, and bytes.

    Args:
        packets_per_s: how many on average; None for any number.
        bytes_per_s: the same for bytes.
        burst_s: seconds of that which may come at once.
        now: seconds, of any clock that only goes forward.
    """

    __slots__ = ("_bytes", "_packets")

    def __init__(self, packets_per_s: float | None, bytes_per_s: float | None, burst_s: float, now: float) -> None:
        self._packets = packets_per_s and Bucket(packets_per_s, packets_per_s * burst_s, now)
        self._bytes = bytes_per_s and Bucket(bytes_per_s, bytes_per_s * burst_s, now)

    def take(self, now: float, packets: int, size: int) -> float:
        """So many packets of so many bytes in all have come; gives the seconds until more may be read, 0 for none."""
        waits = 0.0
        if self._packets:
            waits = self._packets.debt(now, packets)
        if self._bytes:
            waits = max(waits, self._bytes.debt(now, size))
        return waits
