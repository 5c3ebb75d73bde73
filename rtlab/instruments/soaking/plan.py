"""What one round of a soak does.

What lives here: `SoakPlan`, a pure value: the same plan writes the same messages and asks for the same faults. It must
not know how anything is started.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from rtlab.errors import UsageError
from rtlab.instruments.faults.schedule import FaultKind, Schedule
from rtlab.scale.arguments import Durability, check_durability

__all__ = ["APP", "FULL_KINDS", "KINDS", "SoakPlan"]

APP = "rtlab.instruments.soaking.chat_app:create"
"""The import string of the chat that is disturbed."""
KINDS = tuple(str(each) for each in FaultKind)
"""What can go wrong."""
FULL_KINDS = {
    "memory": tuple(each for each in KINDS if each not in {"redis_killed", "failover"}),
    "disk": tuple(each for each in KINDS if each != "failover"),
    "replica": KINDS,
}
"""The kinds of faults that a durability promises to survive. Memory does not outlive its process."""
MESSAGES_PER_FAULT = 80
"""Messages for each fault: at the usual rate each has most of a second, and faults of different groups overlap."""
NAMES = ("ann", "ben", "cleo", "dan", "emil", "fay", "gus", "hana")
ROOMS = ("harbour", "garden", "attic", "cellar")
MOST_CLIENTS = 50
"""Each is a client, a proxy and two connections in one process: beyond this the driver is the slowest part."""
MOST_MESSAGES = 100_000
"""Of one round: its history is in memory, about 2 kB for each message and client."""
MOST_WORKERS = 16
RATE = 100.0
"""Messages per second of all writers together: what two cores carry beside three workers, nginx and the driver."""


@dataclass(frozen=True, kw_only=True)
class SoakPlan:
    """One round.

    Raises:
        UsageError: a field is not as said.
    """

    messages: int = 2_000
    """How many are written, by all clients together."""
    seed: int = 1
    """Decides who writes what where, and which faults come when."""
    workers: int = 3
    """Processes of the chat."""
    clients: int = 5
    """Clients, each behind a proxy of its own. The last is a second client of the first one's user, if there are three
    or more."""
    rooms: int = 2
    """Rooms. The last client is in the first one only, if there are three clients or more, and should hear no other."""
    durability: Durability = "replica"
    """"memory", "disk" or "replica", as `rtlab.cluster` takes it."""
    kinds: tuple[str, ...] | None = None
    """Kinds of faults; None means all that the durability promises to survive, and an empty tuple none."""
    rate: float = RATE
    """Messages per second, at most."""
    app: str = APP
    """The import string of the chat."""
    env: Mapping[str, str] = field(default_factory=dict)
    """More environment variables for the workers."""

    def __post_init__(self) -> None:
        _whole("messages", self.messages, 1, MOST_MESSAGES)
        _whole("seed", self.seed, 0, 2**63)
        _whole("workers", self.workers, 1, MOST_WORKERS)
        _whole("clients", self.clients, 2, MOST_CLIENTS)
        _whole("rooms", self.rooms, 1, len(ROOMS))
        check_durability(self.durability, redis=True)
        if not 0 < self.rate < math.inf:
            raise UsageError(f"rate={self.rate!r}: expected a positive number of messages per second.")
        for kind in self.kinds or ():
            if kind not in KINDS:
                raise UsageError(f"kinds: there is no fault {kind!r}. There are: {', '.join(KINDS)}.")
            if kind not in FULL_KINDS[self.durability]:
                raise UsageError(
                    f"kinds: {kind} loses messages where durability is {self.durability!r}, so that its verdict says "
                    f"nothing. Choose durability {'disk or replica' if kind != 'failover' else 'replica'}."
                )
        if self.messages < 2 * len(self.faults):
            raise UsageError(
                f"messages={self.messages}: {len(self.faults)} faults need {2 * len(self.faults)} messages at least. "
                "Write more, or name fewer kinds."
            )

    @property
    def faults(self) -> tuple[str, ...]:
        """The kinds of faults that come."""
        return FULL_KINDS[self.durability] if self.kinds is None else self.kinds

    @property
    def schedule(self) -> Schedule:
        """Which faults come when: each kind once at least."""
        if not self.faults:
            return Schedule((), self.seed, self.messages)
        return Schedule.seeded(
            self.seed,
            self.faults,
            messages=self.messages,
            steps=max(len(self.faults), self.messages // MESSAGES_PER_FAULT),
            workers=self.workers,
            clients=self.names,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the clients."""
        own = [NAMES[each] if each < len(NAMES) else f"guest-{each + 1}" for each in range(self.clients)]
        if self.clients >= 3:
            own[-1] = f"{own[0]}-2"
        return tuple(own)

    def user_of(self, name: str) -> str:
        """Whose client it is."""
        return self.names[0] if self.clients >= 3 and name == self.names[-1] else name

    def rooms_of(self, name: str) -> tuple[str, ...]:
        """The rooms that a client writes in."""
        return ROOMS[:1] if self.clients > 2 and name == self.names[-1] else ROOMS[: self.rooms]


def _whole(name: str, value: object, least: int, most: int) -> None:
    """Raises UsageError if it is no whole number in these bounds."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise UsageError(f"{name}={value!r}: expected a whole number from {least} to {most}.")
