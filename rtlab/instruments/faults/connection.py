"""One connection through a fault proxy: it can be disturbed alone, and says what has become of it.

What lives here: `FaultyConnection`, and `Condition`, what holds for a connection. It must not know the other ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from rtlab.errors import UsageError
from rtlab.instruments.direction import Direction
from rtlab.instruments.faults.faulty_relay import FaultyRelay
from rtlab.instruments.faults.sieve import UNREAD_BYTES, Sieve
from rtlab.instruments.relay import Relay

__all__ = ["MOST_DELAY_S", "Condition", "FaultyConnection", "expect_delay", "one_direction", "some_directions"]

MOST_DELAY_S = 60.0
"""The longest delay in seconds. Beyond it every client has given up: `stall` does that."""


@dataclass(frozen=True)
class Condition:
    """What disturbs a connection for as long as it lasts."""

    delays_s: Mapping[Direction, float] = field(default_factory=lambda: dict.fromkeys(Direction, 0.0))
    """Seconds that bytes are late, for each direction."""
    stalled: frozenset[Direction] = frozenset()
    """Where nothing goes on."""
    swallowing: bool = False
    """Whether acks go nowhere."""

    def delayed(self, directions: tuple[Direction, ...], seconds: float) -> Condition:
        """With another delay."""
        return replace(self, delays_s={**self.delays_s, **dict.fromkeys(directions, seconds)})

    def __str__(self) -> str:
        """In words; empty if nothing disturbs it."""
        said = [f"{direction} {seconds:g} s late" for direction, seconds in self.delays_s.items() if seconds]
        said += [f"stalled {direction}" for direction in Direction if direction in self.stalled]
        said += ["without acks"] if self.swallowing else []
        return ", ".join(said)


class FaultyConnection:
    """A connection between a client and the server. `FaultProxy.connections` has those that are open.

    After its end, all of its methods do nothing.

    Args:
        number: 1 for the proxy's first one.
        sieve: finds acks; None where they are not looked for.
        condition: what holds from the beginning.
        gone: is told of its end.
    """

    def __init__(
        self, number: int, sieve: Sieve | None, condition: Condition, gone: Callable[[FaultyConnection], None]
    ) -> None:
        self.number = number
        """1 for the proxy's first connection."""
        self.condition = condition
        """What disturbs it now."""
        self.passed = dict.fromkeys(Direction, 0)
        """Bytes that have been taken from waiting, in each direction."""
        self._sieve = sieve
        self._gone = gone
        self._relay: FaultyRelay | None = None

    def through(self, relay: FaultyRelay) -> None:
        """This is what copies its bytes."""
        self._relay = relay
        self._apply(self.condition)

    @property
    def open(self) -> bool:
        """Whether it has not ended."""
        return self._relay is not None

    @property
    def half_closed(self) -> bool:
        """Whether `half_close` has ended one of its directions."""
        return self._relay is not None and bool(self._relay.cut)

    @property
    def swallowed(self) -> int:
        """Acks that went nowhere."""
        return self._sieve.swallowed if self._sieve is not None else 0

    @property
    def waiting(self) -> dict[Direction, int]:
        """Bytes that the proxy holds back now, in each direction."""
        return {each: self._relay.waiting[each].size if self._relay is not None else 0 for each in Direction}

    @property
    def state(self) -> str:
        """In words: "healthy", "stalled to client", "half closed to server", "ended"."""
        if self._relay is None:
            return "ended"
        said = [str(self.condition)] if str(self.condition) else []
        said += [f"half closed {direction}" for direction in Direction if direction in self._relay.cut]
        return ", ".join(said) or ("healthy" if self._relay.connected else "connecting")

    def delay(self, seconds: float, direction: Direction | str | None = None) -> None:
        """Let bytes go on that much later; 0 ends it. See `FaultProxy.delay`."""
        self._apply(self.condition.delayed(some_directions("delay", direction), expect_delay(seconds)))

    def stall(self, direction: Direction | str | None = None) -> None:
        """Let nothing go on, until `resume`. See `FaultProxy.stall`."""
        stalled = self.condition.stalled | set(some_directions("stall", direction))
        self._apply(replace(self.condition, stalled=stalled))

    def resume(self, direction: Direction | str | None = None) -> None:
        """End `stall`: what has waited goes on first."""
        stalled = self.condition.stalled - set(some_directions("resume", direction))
        self._apply(replace(self.condition, stalled=stalled))

    def swallow_acks(self) -> None:
        """Let acks go nowhere, until `pass_acks`. See `FaultProxy.swallow_acks`."""
        self._apply(replace(self.condition, swallowing=True))

    def pass_acks(self) -> None:
        """End `swallow_acks`."""
        self._apply(replace(self.condition, swallowing=False))

    def half_close(self, direction: Direction | str) -> None:
        """End one direction (FIN). See `FaultProxy.half_close`."""
        end = one_direction("half_close", direction)
        if self._relay is not None:
            self._relay.half_close(end)

    def drop(self) -> None:
        """Reset it (RST), for both sides at once. What waits goes nowhere."""
        if self._relay is not None:
            self._relay.reset()

    def healthy(self) -> None:
        """Undo all. One that is half closed is reset: TCP has no way back from there."""
        self._apply(Condition())
        if self.half_closed:
            self.drop()

    def _apply(self, condition: Condition) -> None:
        self.condition = condition
        if self._sieve is not None:
            self._sieve.swallowing = condition.swallowing
        if self._relay is not None:
            for direction in Direction:
                self._relay.delay(direction, condition.delays_s[direction])
                self._relay.stall(direction, direction in condition.stalled)

    def __repr__(self) -> str:
        went = ", ".join(f"{count:,} bytes {direction}" for direction, count in self.passed.items())
        return f"<FaultyConnection {self.number}, {self.state}, {went}>"

    # What the relay tells

    def portion(self, direction: Direction) -> int:
        """How many bytes it takes at a time."""
        return UNREAD_BYTES if self._sieve is None else self._sieve.portion(direction)

    def receive(self, direction: Direction, data: bytes) -> bytes | None:
        """These bytes go on, or what is given in their place."""
        self.passed[direction] += len(data)
        return None if self._sieve is None else self._sieve.receive(direction, data)

    def end(self, direction: Direction, problem: str = "") -> bytes | None:
        """Nothing more comes."""
        return None if self._sieve is None else self._sieve.end(direction)

    def left_over(self, direction: Direction, data: bytes) -> None:
        """They go nowhere."""

    def refusal(self, problem: str) -> bytes | None:
        """There is no server. The relay resets the client, as the server would have refused it."""
        return b""

    def gone(self, relay: Relay) -> None:
        """It is over."""
        if self._relay is not None:
            self._relay.forget()
            self._relay = None
        self._gone(self)


def one_direction(verb: str, direction: object) -> Direction:
    """The direction that is meant.

    Raises:
        UsageError: it is none.
    """
    if isinstance(direction, str) and direction in set(Direction):
        return Direction(direction)
    known = " or ".join(repr(str(each)) for each in Direction)
    raise UsageError(f"{verb}(…): expected a direction, {known}, got {direction!r}.")


def some_directions(verb: str, direction: object) -> tuple[Direction, ...]:
    """The directions that are meant: None means both. Errors are those of `one_direction`."""
    return tuple(Direction) if direction is None else (one_direction(verb, direction),)


def expect_delay(seconds: object) -> float:
    """A delay in seconds.

    Raises:
        UsageError: it is none.
    """
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 <= seconds <= MOST_DELAY_S:
        return float(seconds)
    raise UsageError(
        f"delay(…): expected seconds from 0 to {MOST_DELAY_S:g}, got {seconds!r}. To let nothing go on: stall()."
    )
