"""Who is here and has not been let in yet: counted, in all and by address.

What lives here: `Admission`. A client is admitted while it is in a namespace; before that nobody knows who it is, and
everybody who costs something is counted by the address that it comes from. It must not know sessions or requests.

Where all places are taken, a newcomer may get somebody else's. Otherwise a few addresses, which open sessions and let
them wait, would keep everybody out at the price of some handshakes a second.
"""

from __future__ import annotations

from collections.abc import Callable

from rtlab.realtime.limits import UNADMITTED_GRACE_S
from rtlab.servers.door.limits import subscriber

__all__ = ["Admission"]


class Admission:
    """The sessions that are in no namespace.

    Args:
        limit: how many there may be; None for any number.
        per_address: how many of one address; None for any number.
        now: gives seconds of a clock that only goes forward.
    """

    def __init__(self, limit: int | None, per_address: int | None, now: Callable[[], float]) -> None:
        self._limit = limit
        self._per_address = per_address
        self._now = now
        self._waiting: dict[str, tuple[str, float]] = {}
        """The address of each, and since when it is here; the longest first."""
        self._by_address: dict[str, dict[str, None]] = {}
        """The same by address."""

    def __len__(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def refusal(self, address: str) -> str | None:
        """Why nobody else may come from this address now; None if somebody may."""
        if self._limit is not None and len(self._waiting) >= self._limit:
            return f"{self._limit} clients are waiting (Guards.max_unadmitted)"
        if self._per_address is not None and self._of(address) >= self._per_address:
            return f"{self._per_address} clients of one address are waiting (Guards.max_unadmitted_per_address)"
        return None

    def replaceable(self, address: str) -> str | None:
        """Who has to go so that somebody can come from this address, where there is a `refusal`; None if nobody has to.

        That is the one that is here longest: of the same address if that has its number; else of the address that has
        most, if that is more than this one would have; else of all. But for the second case it has had
        `UNADMITTED_GRACE_S`: where many come at the same time, they do not push each other out.
        """
        own = self._of(address)
        if self._per_address is not None and own >= self._per_address:
            return self._late(next(iter(self._by_address[subscriber(address)])))
        most = max(self._by_address.values(), key=len)  # 4,096 at most, and only where it is full: some 0.1 ms
        return next(iter(most)) if len(most) > own + 1 else self._late(next(iter(self._waiting)))

    def wait(self, sid: str, address: str) -> None:
        """A session is in no namespace: it is new, or has left its last one."""
        if sid not in self._waiting:
            group = subscriber(address)
            self._waiting[sid] = group, self._now()
            self._by_address.setdefault(group, {})[sid] = None

    def leave(self, sid: str) -> None:
        """A session has been let in, or has ended."""
        group, _ = self._waiting.pop(sid, (None, 0))
        if group is not None:
            del self._by_address[group][sid]
            if not self._by_address[group]:
                del self._by_address[group]

    def _of(self, address: str) -> int:
        return len(self._by_address.get(subscriber(address), ()))

    def _late(self, sid: str) -> str | None:
        return sid if self._now() - self._waiting[sid][1] > UNADMITTED_GRACE_S else None
