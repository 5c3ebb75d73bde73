"""A schedule of faults, applied to a cluster and to the proxies in front of it, and undone.

What lives here: `Faults`, which begins and ends each step when its time has come. What a fault does, and how it is
undone, stands in `making`. It must not know who sends the messages that it is told of.

Each fault that has begun is undone, whatever happens: when its messages have been sent, when it has lasted `MOST_S`, at
the end of the block, and when whoever waits is cancelled. What cannot be undone because this process dies ends with it:
all processes of ours do.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from rtlab.errors import RtlabError
from rtlab.instruments.faults.making import Targets
from rtlab.instruments.faults.proxy import FaultProxy
from rtlab.instruments.faults.schedule import Schedule, Step
from rtlab.scale.cluster import Cluster

__all__ = ["MOST_S", "AppliedFault", "Faults"]

logger = logging.getLogger(__name__)

MOST_S = 5.0
"""Seconds that a fault lasts at most. While nothing gets through, nobody sends, and so its messages may never come."""
RECOVERY_S = 60.0
"""Seconds that a target has to work again: a worker has 30 to start, a group of Redis servers 15 to agree."""

READY_S = 10.0
"""Seconds that a target has until it can be hit. A group of Redis servers agrees on a primary in less."""
NOT_BEGUN = "not begun: the schedule was ended before"


@dataclass(frozen=True)
class AppliedFault:
    """A step that has been applied, or was tried."""

    step: Step
    """Of the schedule."""
    began: int
    """How many messages had been sent when it began."""
    ended: int | None = None
    """How many had been when it was undone; None while it lasts."""
    problem: str = ""
    """What went wrong with it, in words: the worker was dead already, say. Empty if nothing did."""

    def __str__(self) -> str:
        lasted = "lasts" if self.ended is None else f"undone at {self.ended}"
        return f"{self.step}: {lasted}" + (f" ({self.problem})" if self.problem else "")


class Faults:
    """Applies a schedule for the length of an ``async with`` block.

        async with Faults(schedule, cluster=cluster, proxies={"alice": proxy}, on=recorder.fault) as faults:
            for number in range(schedule.messages):
                faults.reached(number)
                …

    Args:
        schedule: what goes wrong.
        cluster: its workers and its Redis are hit.
        proxies: a fault proxy for each client, by the client's name.
        on: called with what happens ("killed"), to whom ("worker-2") and the phase: "begin" just before it happens,
            "end" once it is undone, and "" for what has no length.
        most_s: seconds that a fault lasts at most.

    Raises:
        UsageError: the schedule hits something that is not there.
    """

    def __init__(
        self,
        schedule: Schedule,
        *,
        cluster: Cluster | None = None,
        proxies: Mapping[str, FaultProxy] | None = None,
        on: Callable[[str, str, str], object] | None = None,
        most_s: float = MOST_S,
    ) -> None:
        self.schedule = schedule
        self._targets = Targets(cluster, dict(proxies or {}))
        for step in schedule.steps:
            self._targets.expect(step)
        self._on = on
        self._most_s = most_s
        self._waiting = list(reversed(schedule.steps))
        self._sent = 0
        self._done: list[AppliedFault] = []
        self._tasks: dict[asyncio.Task[None], _Lasting] = {}
        self._healed = False
        self._hit = {step.target: asyncio.Lock() for step in schedule.steps}  # held while a fault has the target

    @property
    def done(self) -> tuple[AppliedFault, ...]:
        """What has been applied so far, in the order in which it began."""
        return tuple(self._done)

    @property
    def active(self) -> tuple[Step, ...]:
        """What lasts now."""
        return tuple(lasting.step for lasting in self._tasks.values())

    def reached(self, messages: int) -> None:
        """So many messages have been sent: begin and end what is due. Comes back at once.

        A number smaller than the last one changes nothing.
        """
        self._sent = max(self._sent, messages)
        while self._waiting and self._waiting[-1].at_message <= self._sent and not self._healed:
            self._begin(self._waiting.pop())
        for lasting in self._tasks.values():
            lasting.reached(self._sent)

    async def heal(self) -> None:
        """End the schedule: nothing more begins, and all that lasts is undone. A second call only waits.

        Whoever is cancelled meanwhile waits no longer; it is undone all the same.
        """
        self._healed = True
        for lasting in self._tasks.values():
            lasting.over.set()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.heal()

    def _begin(self, step: Step) -> None:
        lasting = _Lasting(step, len(self._done))
        self._done.append(AppliedFault(step, self._sent))
        task = asyncio.get_running_loop().create_task(self._apply(lasting), name=f"rtlab fault: {step}")
        self._tasks[task] = lasting
        task.add_done_callback(lambda task: self._tasks.pop(task))

    async def _apply(self, lasting: _Lasting) -> None:
        step = lasting.step
        async with self._hit[step.target]:  # what suffers works again before the next fault hits it
            if self._healed:
                self._end(lasting, NOT_BEGUN)
            else:
                await self._make(lasting, step)

    async def _make(self, lasting: _Lasting, step: Step) -> None:
        fault = self._targets.fault(step)
        with contextlib.suppress(Exception):  # then `begin` says what is wrong
            async with asyncio.timeout(READY_S):
                await fault.ready()
        if self._healed:
            self._end(lasting, NOT_BEGUN)
            return
        self._done[lasting.place] = replace(self._done[lasting.place], began=self._sent)
        lasting.began = self._sent
        lasting.reached(self._sent)
        self._tell(lasting, fault.words, "" if step.kind.is_cut else "begin")
        try:
            with lasting.noting():
                async with asyncio.timeout(RECOVERY_S):
                    await fault.begin()
                if step.kind.lasts:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(self._most_s):
                            await lasting.over.wait()
        finally:
            with lasting.noting():
                fault.release()
                async with asyncio.timeout(RECOVERY_S):
                    await fault.recover()
            if not step.kind.is_cut:
                self._tell(lasting, fault.words, "end")
            self._end(lasting, *lasting.problems)

    def _end(self, lasting: _Lasting, *problems: str) -> None:
        applied = self._done[lasting.place]
        self._done[lasting.place] = replace(applied, ended=self._sent, problem="; ".join(problems))

    def _tell(self, lasting: _Lasting, what: str, phase: str) -> None:
        if self._on is not None:
            with lasting.noting():
                self._on(what, lasting.step.target, phase)


class _Lasting:
    """A fault that has begun.

    Args:
        step: of the schedule.
        place: its place among those that were applied.
    """

    def __init__(self, step: Step, place: int) -> None:
        self.step = step
        self.place = place
        self.over = asyncio.Event()
        """Set when it is to be undone."""
        self.began: int | None = None
        """How many messages had been sent when it began; None while it waits for its target."""
        self.problems: list[str] = []

    def reached(self, messages: int) -> None:
        """So many have been sent. One that has begun late lasts as long as any other."""
        if self.began is not None and messages >= self.began + self.step.lasts:
            self.over.set()

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """What goes wrong with a fault is noted, and ends neither the schedule nor its undoing."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the fault has to be undone
            said = f"{type(error).__name__}: {error}"
            if isinstance(error, RtlabError):
                said = str(error).partition("\n")[0]
            elif isinstance(error, TimeoutError):
                said = f"it took longer than {RECOVERY_S:g} s"
            self.problems.append(said)
            logger.warning("%s: %s", self.step, said)
