"""One round of a soak: a cluster is written into while it is disturbed, healed, and judged.

What lives here: `SoakRound`. It must not know how the checker judges, how a fault is done, or how it looks on a
terminal.

The order matters. Faults happen while messages are written. Then all is healed, and every message has to be answered,
and to come to everybody who should have it, by itself and in a named time: a chat that only delivers when it is asked
has not delivered. Only then each client takes its last look, which tells the checker how far it has followed.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from rtlab.chat import connect, issue_token
from rtlab.errors import ChatError
from rtlab.instruments.checking.checker import check
from rtlab.instruments.checking.recorder import HistoryRecorder
from rtlab.instruments.faults.proxy import fault_proxy
from rtlab.instruments.faults.runner import Faults
from rtlab.instruments.soaking.chat_app import BOUND
from rtlab.instruments.soaking.outcome import SoakOutcome
from rtlab.instruments.soaking.witness import Board, Witness, renamed
from rtlab.instruments.soaking.writer import Writer
from rtlab.scale.launching import cluster as run_cluster

if TYPE_CHECKING:
    from rtlab.instruments.faults.schedule import Step
    from rtlab.instruments.soaking.plan import SoakPlan

__all__ = ["QUIET_S", "SoakRound"]

QUIET_S = 60.0
"""Seconds after the last fault in which every message has to be answered, and then as many in which all that was
acknowledged has to have come by itself. It takes a few; the rest is for machines that do much else."""
STUCK_S = 90.0
"""Seconds without any acknowledgement after which a round is given up: many times the longest fault."""
MOST_S = 7.0
"""Seconds that a fault lasts at most: longer than it takes until a silent node counts as dead (`chat.node.GONE_S`)."""
ACK_S = 2.0
"""Seconds that a client waits for an answer. Its default is five times that: a person's patience, and a long round."""
LOOK_S = 0.05
"""Seconds between two looks whether something is still missing."""
TOKEN_S = 30.0
"""Seconds that a token lasts: short, so that clients refresh it during a round."""
NAME = "rtlab soak"
"""Under this name its parts are registered: a second soak in the same process replaces the first."""
SHOWN = 3
"""Messages that are named of those that are missing."""
RECONNECT_S = 0.2
MOST_RECONNECT_S = 1.0
"""Seconds before a client tries to come back, at first and at most."""


class SoakRound:
    """One round.

    Args:
        plan: what it does.
        step: is told after each message.
    """

    def __init__(self, plan: SoakPlan, step: Callable[[str], None] | None = None) -> None:
        self.plan = plan
        self._step = step or (lambda _: None)
        self._board = Board()
        self._recorder = HistoryRecorder(BOUND)
        self._writers: list[Writer] = []
        self.written = 0
        """Messages that have been written."""
        self._stopped = False
        self._next_at = 0.0
        self._problems: list[str] = []

    def stop(self) -> None:
        """Write no more: heal, and judge what there is."""
        self._stopped = True

    async def run(self) -> SoakOutcome:
        """Run it.

        Raises:
            MissingProgramError: there is no nginx or no Valkey on this machine.
            ChildError: a part of the cluster did not come up.
            ChatError: the clients could not connect, or not join their rooms.
        """
        plan = self.plan
        async with AsyncExitStack() as stack:
            cluster = await stack.enter_async_context(
                run_cluster(plan.app, plan.workers, durability=plan.durability, env=plan.env, name=NAME)
            )
            proxies = {}
            for name in plan.names:
                proxies[name] = await stack.enter_async_context(fault_proxy(cluster.url, name=f"{NAME}: {name}"))
                self._writers.append(await self._writer(name, proxies[name].url, cluster.secret))
                stack.push_async_callback(self._writers[-1].close)
            await self._enter()
            faults = await stack.enter_async_context(
                Faults(plan.schedule, cluster=cluster, proxies=proxies, on=self._recorder.fault, most_s=MOST_S)
            )
            began = time.monotonic()
            await self._write(faults)
            await self._settle()
            seconds = time.monotonic() - began
        return self._outcome(faults, seconds)

    async def _writer(self, name: str, url: str, secret: str) -> Writer:
        """A client that is connected."""
        user = self.plan.user_of(name)
        witness = Witness(name, user, self._recorder, self._board)
        client = await connect(
            url,
            token=lambda: issue_token(user, secret, expires_s=TOKEN_S),
            transports=["polling" if name == self.plan.names[-1] else "websocket"],
            ack_s=ACK_S,
            watching=witness,
            reconnection_delay=RECONNECT_S,
            reconnection_delay_max=MOST_RECONNECT_S,
        )
        return Writer(client, witness, self.plan.rooms_of(name), self.plan.seed)

    async def _enter(self) -> None:
        """Everybody joins. Nothing is disturbed yet, so that this takes a moment."""
        try:
            async with asyncio.timeout(QUIET_S):
                await asyncio.gather(*(each.enter() for each in self._writers))
        except TimeoutError:
            raise ChatError("timeout", f"The clients could not join their rooms within {QUIET_S:g} s.") from None

    async def _write(self, faults: Faults) -> None:
        """Write all messages while the faults come, heal, and wait until each message is answered."""

        async def take() -> int | None:
            return await self._take(faults)

        writing = [asyncio.create_task(each.write(take), name=f"{each.name} writes") for each in self._writers]
        try:
            while not self._stopped and not all(each.done() for each in writing):
                await asyncio.sleep(LOOK_S)
                if self._board.silent_s > STUCK_S:
                    self._problems.append(f"nothing was acknowledged for {STUCK_S:g} s; the round was ended there")
                    self.stop()
            await faults.heal()
            await self._within("a message that is not answered", self._answered(writing), self._unanswered)
        finally:
            for task in writing:
                task.cancel()
            await asyncio.wait(writing)
        for task in writing:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _take(self, faults: Faults) -> int | None:
        """Whose turn it is to write; None when there is nothing more to write."""
        now = time.monotonic()
        at = self._next_at = max(now, self._next_at)
        self._next_at += 1 / self.plan.rate
        await asyncio.sleep(at - now)
        if self._stopped or self.written >= self.plan.messages:
            return None
        self.written += 1
        self._board.counts["written"] += 1
        faults.reached(self.written)
        self._step(f"{len(faults.done)} faults, now: {', '.join(map(_short, faults.active)) or 'none'}")
        return self.written

    async def _answered(self, writing: list[asyncio.Task[None]]) -> None:
        await asyncio.wait(writing)
        for each in self._writers:
            await each.answered()

    async def _settle(self) -> None:
        """Wait until all is where it should be, and take the last look."""
        await self._within("an acknowledged message that did not come by itself", self._all_here(), self._missing)
        await self._within("a last look that got no answer", self._look(), lambda: "")
        for writer in self._writers:
            self._problems += writer.complaints(self._texts())

    async def _all_here(self) -> None:
        while any(each.witness.missing() for each in self._writers):
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        await asyncio.gather(*(each.look() for each in self._writers))

    async def _within(self, what: str, work: Coroutine[object, object, None], details: Callable[[], str]) -> None:
        """Do something in `QUIET_S`; note that it took longer, and go on."""
        try:
            async with asyncio.timeout(QUIET_S):
                await work
        except TimeoutError:
            self._problems.append(f"there is {what}, {QUIET_S:g} s after all was healed. {details()}".rstrip())

    def _unanswered(self) -> str:
        return _in_words({each.name: [posted.client_id for posted in each.client.unsent] for each in self._writers})

    def _missing(self) -> str:
        late = {each.name: each.witness.missing().values() for each in self._writers}
        return _in_words({name: list(itertools.chain.from_iterable(each)) for name, each in late.items()})

    def _texts(self) -> dict[str, str]:
        return {name: text for each in self._writers for name, text in each.texts.items()}

    def _outcome(self, faults: Faults, seconds: float) -> SoakOutcome:
        names = {name: said for each in self._writers for name, said in each.names().items()}
        history = renamed(self._recorder.history, names)
        done = Counter(str(each.step.kind) for each in faults.done)
        return SoakOutcome(
            plan=self.plan,
            schedule=self.plan.schedule,
            faults=dict(done.most_common()),
            history=history,
            verdict=check(history),
            problems=tuple(self._problems),
            notes=tuple(f"a fault went wrong: {each}" for each in faults.done if each.problem),
            counts=dict(sorted(self._board.counts.items())),
            seconds=seconds,
            pause=self._board.longest_s,
        )


def _short(step: Step) -> str:
    return f"{step.kind} {step.target}"


def _in_words(lists: dict[str, list[str]]) -> str:
    """Who lacks what: at most three of each."""
    return " ".join(
        f"{name}: {', '.join(each[:SHOWN])}{f' and {len(each) - SHOWN} more' if len(each) > SHOWN else ''}."
        for name, each in lists.items()
        if each
    )
