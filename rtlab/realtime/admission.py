"""Who is here and has not been let in yet: counted, in all and by address.

What lives here: `Admission`. A client is admitted while it is in a namespace; before that nobody knows who it is, and
everybody who costs something is counted by the address that it comes from. It must not know sessions or requests.
"""

from __future__ import annotations

from collections import Counter

from rtlab.servers.door.limits import subscriber

__all__ = ["Admission"]


class Admission:
    """The sessions that are in no namespace.

    Args:
        limit: how many there may be; None for any number.
        per_address: how many of one address; None for any number.
    """

    def __init__(self, limit: int | None, per_address: int | None) -> None:
        self._limit = limit
        self._per_address = per_address
        self._waiting: dict[str, str] = {}
        self._by_address: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many there are."""
        return len(self._waiting)

    def refusal(self, address: str) -> str | None:
        """Why nobody else may come from this address now; None if somebody may."""
        if self._limit is not None and len(self._waiting) >= self._limit:
            return f"{self._limit} clients are waiting to be let in"
        if self._per_address is not None and self._by_address[subscriber(address)] >= self._per_address:
            return f"{self._per_address} clients of one address are waiting to be let in"
        return None

    def wait(self, sid: str, address: str) -> None:
        """A session is in no namespace: it is new, or has left its last one."""
        if sid not in self._waiting:
            self._waiting[sid] = group = subscriber(address)
            self._by_address[group] += 1

    def leave(self, sid: str) -> None:
        """A session has been let in, or has ended."""
        group = self._waiting.pop(sid, None)
        if group is not None:
            self._by_address[group] -= 1
            if not self._by_address[group]:
                del self._by_address[group]
