"""Which fault comes when: a list that a seed makes, that can be printed, and that is read back from the same text.

What lives here: `Schedule`, `Step` and `FaultKind`. It must not know how a fault is made; `runner` does. No I/O, no
clock: a step comes when so many messages have been sent, and lasts for so many. So the same schedule means the same on
a slow machine.

    seed 42, 1000 messages
    at 120: worker_killed worker-2 for 40
    at 300: stalled alice to client for 25
    at 310: redis_frozen redis for 30
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from rtlab.errors import UsageError
from rtlab.instruments.direction import Direction

__all__ = ["ALL", "MOST_MESSAGES", "MOST_STEPS", "REDIS", "FaultKind", "Schedule", "Step"]

ALL = "*"
"""The target of a fault that hits the connections of all clients."""
REDIS = "redis"
"""The target of a fault that hits the Redis behind a cluster."""
MOST_STEPS = 10_000
"""Steps that a schedule may have. A fault takes a second or so, and nobody waits three hours."""
MOST_MESSAGES = 10**9
"""Messages that a schedule may be made for."""
MOST_SEED = 10**18 - 1
"""A seed that a person may still copy."""
LONGEST = 0.6
"""How long a fault lasts at most, as a part of the messages that it has for itself. What follows is quiet, and what
suffered can recover before the next one of its group."""
SHORTEST = 0.1
"""How long it lasts at least."""


class FaultKind(StrEnum):
    """What goes wrong."""

    WORKER_KILLED = "worker_killed"
    """SIGKILL to a worker, which is started again at the end of the fault."""
    WORKER_FROZEN = "worker_frozen"
    """SIGSTOP to a worker."""
    WORKER_DRAINED = "worker_drained"
    """A worker drains, and is started again at once: a deployment."""
    REDIS_KILLED = "redis_killed"
    """SIGKILL to the Redis, which is started again at the end of the fault."""
    REDIS_FROZEN = "redis_frozen"
    """SIGSTOP to the Redis."""
    FAILOVER = "failover"
    """The primary is killed, and a replica takes its place. Only a group of Redis servers can do that."""
    SUBSCRIPTION_CUT = "subscription_cut"
    """The Redis closes all connections that have subscribed to something."""
    CONNECTIONS_CUT = "connections_cut"
    """A client's connections are reset."""
    ACKS_SWALLOWED = "acks_swallowed"
    """What a client sends is done, and it gets no answer."""
    STALLED = "stalled"
    """Nothing goes on in one direction."""
    HALF_CLOSED = "half_closed"
    """One direction is ended (FIN)."""
    DELAYED = "delayed"
    """All goes on later."""

    @property
    def group(self) -> str:
        """What it hits: "worker", "redis" or "connection". Two faults of one group do not come at the same time."""
        first = self.value.partition("_")[0]
        if first in {"worker", "redis"}:
            return first
        return "redis" if self in {FaultKind.FAILOVER, FaultKind.SUBSCRIPTION_CUT} else "connection"

    @property
    def has_direction(self) -> bool:
        """Whether it needs one."""
        return self in {FaultKind.STALLED, FaultKind.HALF_CLOSED}

    @property
    def lasts(self) -> bool:
        """Whether it lasts for as many messages as its step says. A cut is over at once, a draining worker and a
        failover when they are."""
        kinds = {FaultKind.CONNECTIONS_CUT, FaultKind.SUBSCRIPTION_CUT, FaultKind.WORKER_DRAINED, FaultKind.FAILOVER}
        return self not in kinds

    @property
    def is_cut(self) -> bool:
        """Whether it is over as soon as it has come."""
        return self in {FaultKind.CONNECTIONS_CUT, FaultKind.SUBSCRIPTION_CUT}


_STEP = re.compile(
    r"at (?P<at>\d{1,12}): (?P<kind>\w+) (?P<target>\S+)"
    r"(?: (?P<direction>to server|to client))?(?: for (?P<for>\d{1,12}))?",
    re.ASCII,
)
_HEAD = re.compile(r"seed (?P<seed>-?\d{1,18}), (?P<messages>\d{1,12}) messages", re.ASCII)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_TARGET = re.compile(r"[^\s#]\S{0,99}")


@dataclass(frozen=True)
class Step:
    """One fault."""

    at_message: int
    """It begins when so many messages have been sent."""
    kind: FaultKind
    """What goes wrong."""
    target: str
    """What it hits: "worker-2", "redis", a client's name, or * for all clients."""
    lasts: int = 0
    """It ends when so many more have been sent. (Where a fault begins late, because its target has not recovered from
    the one before, it lasts for as many.)"""
    direction: Direction | None = None
    """Of a stall and of a half-closed connection."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", _kind(self.kind))
        if not _TARGET.fullmatch(self.target):
            raise UsageError(f"A step's target is a name of up to 100 characters without blanks, got {self.target!r}.")
        for what, count in (("at_message", self.at_message), ("lasts", self.lasts)):
            if type(count) is not int or not 0 <= count <= MOST_MESSAGES:
                raise UsageError(f"A step's {what} is a number of messages from 0 to {MOST_MESSAGES:,}, got {count!r}.")
        if self.lasts and not self.kind.lasts:
            raise UsageError(f"{self.kind} ends by itself: it lasts for 0 messages, got {self.lasts}.")
        if (self.direction is not None) is not self.kind.has_direction:
            needs = "needs a direction, 'to server' or 'to client'" if self.kind.has_direction else "has no direction"
            raise UsageError(f"{self.kind} {needs}; got {self.direction!r}.")

    @property
    def ends_at(self) -> int:
        """How many messages have been sent when it ends, if it begins in time."""
        return self.at_message + self.lasts

    def __str__(self) -> str:
        way = f" {self.direction}" if self.direction else ""
        lasts = f" for {self.lasts}" if self.lasts else ""
        return f"at {self.at_message}: {self.kind} {self.target}{way}{lasts}"


@dataclass(frozen=True)
class Schedule:
    """Faults in the order in which they begin."""

    steps: tuple[Step, ...]
    """What goes wrong, by `Step.at_message`."""
    seed: int = 0
    """What it was made from; 0 for one that was written by hand."""
    messages: int = 0
    """How many messages it was made for."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "steps", tuple(self.steps))
        _expect_seed(self.seed)
        if len(self.steps) > MOST_STEPS:
            raise UsageError(f"A schedule has at most {MOST_STEPS:,} steps, got {len(self.steps):,}.")
        for before, after in pairwise(self.steps):
            if after.at_message < before.at_message:
                raise UsageError(
                    f"Expected the steps in the order in which they begin; {after} stands behind {before}."
                )

    @classmethod
    def seeded(
        cls,
        seed: int,
        kinds: Iterable[FaultKind | str] = FaultKind,
        *,
        messages: int = 1000,
        steps: int | None = None,
        workers: int = 3,
        clients: Sequence[str] = (ALL,),
    ) -> Schedule:
        """A schedule that the seed decides, on every Python and machine.

        Each kind comes once before any comes twice. The faults of a group (workers, Redis, connections) follow one
        another, with a quiet time between them; those of different groups overlap.

        Args:
            seed: any whole number.
            kinds: what may go wrong; all by default, `FAILOVER` too, which needs a group of Redis servers.
            messages: how many will be sent. All faults have ended by then.
            steps: how many faults; by default as many as there are kinds.
            workers: how many there are; they are called worker-1 and so on.
            clients: whose connections may be hit.

        Raises:
            UsageError: there is no such kind, no list of them, no kind at all, no worker or client to hit, or more
                faults of one group than messages for them.
        """
        if isinstance(kinds, str) or not isinstance(kinds, Iterable):
            raise UsageError(f"Expected a list of kinds of faults, such as ['worker_killed'], got {kinds!r}.")
        chosen = [_kind(each) for each in dict.fromkeys(kinds)]
        count = len(chosen) if steps is None else steps
        _expect_seed(seed)
        _expect(chosen, count, messages, workers, clients)
        dice = _Dice(seed)
        kinds_drawn: list[FaultKind] = []
        while len(kinds_drawn) < count:
            kinds_drawn += dice.shuffled(chosen)
        made: list[Step] = []
        for group in ("worker", "redis", "connection"):
            own = [kind for kind in kinds_drawn[:count] if kind.group == group]
            room = messages // (len(own) or 1)
            if own and room < 2:
                raise UsageError(
                    f"{len(own)} faults of the group {group} need {2 * len(own)} messages, got {messages}."
                )
            for place, kind in enumerate(own):
                made.append(_step(dice, kind, place * room, room, workers, clients))
        return cls(tuple(sorted(made, key=lambda step: step.at_message)), seed, messages)

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """Read what `str` has printed, or what somebody has written in that form. Empty lines and # do not matter.

        Raises:
            UsageError: a line is none of a schedule, and the message names it; or this is no text.
        """
        if not isinstance(text, str):
            raise UsageError(f"Expected the text of a schedule, as str(schedule) gives it, got {text!r:.80}.")
        seed = messages = 0
        steps: list[Step] = []
        for number, raw in enumerate(text.splitlines(), 1):
            line = _COMMENT.sub("", raw).strip()
            if (head := _HEAD.fullmatch(line)) and not steps:
                seed, messages = int(head["seed"]), int(head["messages"])
            elif found := _STEP.fullmatch(line):
                way = Direction(found["direction"]) if found["direction"] else None
                try:
                    step = Step(int(found["at"]), _kind(found["kind"]), found["target"], int(found["for"] or 0), way)
                except UsageError as error:
                    raise UsageError(f"line {number} of the schedule: {error}") from None
                steps.append(step)
            elif line:
                raise UsageError(
                    f"line {number} of the schedule: expected a step such as 'at 120: worker_killed worker-2 for 40', "
                    f"got {line[:80]!r}."
                )
            if len(steps) > MOST_STEPS:
                raise UsageError(f"A schedule has at most {MOST_STEPS:,} steps; line {number} is one more.")
        return cls(tuple(steps), seed, messages)

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}, {self.messages} messages", *map(str, self.steps)])


class _Dice:
    """Random numbers that are the same on every Python: only `random()` promises that."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - to be repeated, not to be unpredictable

    def below(self, count: int) -> int:
        """A whole number from 0 on."""
        return int(self._random.random() * count)

    def shuffled(self, things: Sequence[FaultKind]) -> list[FaultKind]:
        """In another order."""
        rest = list(things)
        return [rest.pop(self.below(len(rest))) for _ in things]


def _step(dice: _Dice, kind: FaultKind, start: int, room: int, workers: int, clients: Sequence[str]) -> Step:
    """A fault of this kind within its room."""
    longest, shortest = max(1, int(room * LONGEST)), max(1, int(room * SHORTEST))
    lasts = shortest + dice.below(longest - shortest + 1) if kind.lasts else 0
    at = start + dice.below(max(1, room - lasts))
    way = list(Direction)[dice.below(2)] if kind.has_direction else None
    if kind.group == "worker":
        target = f"worker-{1 + dice.below(workers)}"
    else:
        target = REDIS if kind.group == "redis" else clients[dice.below(len(clients))]
    return Step(at, kind, target, lasts, way)


def _kind(given: object) -> FaultKind:
    if isinstance(given, str) and given in set(FaultKind):
        return FaultKind(given)
    raise UsageError(f"There is no fault {given!r}. There are: {', '.join(FaultKind)}.")


def _expect_seed(seed: object) -> None:
    if type(seed) is not int or abs(seed) > MOST_SEED:
        raise UsageError(f"A seed is a whole number of at most 18 digits, got {seed!r}.")


def _expect(kinds: Sequence[FaultKind], steps: int, messages: int, workers: int, clients: Sequence[str]) -> None:
    if not kinds:
        raise UsageError(f"Expected one kind of fault at least. There are: {', '.join(FaultKind)}.")
    if type(steps) is not int or not 0 <= steps <= MOST_STEPS:
        raise UsageError(f"Expected from 0 to {MOST_STEPS:,} steps, got {steps!r}.")
    if type(messages) is not int or not 0 < messages <= MOST_MESSAGES:
        raise UsageError(f"Expected from 1 to {MOST_MESSAGES:,} messages, got {messages!r}.")
    groups = {kind.group for kind in kinds}
    if "worker" in groups and (type(workers) is not int or workers < 1):
        raise UsageError(f"Faults of workers need one worker at least, got workers={workers!r}.")
    if "connection" in groups and (isinstance(clients, str) or not clients):
        raise UsageError(f"Faults of connections need a list of clients' names, got clients={clients!r}.")
