"""The workers of a cluster as a whole: started together, started again when one dies, replaced one after the other.

What lives here: `Crew`, and `ClusterEvent`, a line about what has happened to one of them. It must not know what stands
in front of the workers or behind them.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import deque
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

from rtlab.errors import ChildError, UsageError
from rtlab.scale.arguments import near
from rtlab.scale.logs import ClusterLog
from rtlab.scale.readiness import Crossing, answers
from rtlab.scale.together import together
from rtlab.scale.workers import Worker

__all__ = ["FIRST_DELAY_S", "MOST_DELAY_S", "STABLE_S", "ClusterEvent", "Crew"]

logger = logging.getLogger(__name__)

FIRST_DELAY_S = 0.1
"""Seconds until a worker that has died is started again. The delay doubles with each death that follows soon."""
MOST_DELAY_S = 10.0
"""The longest delay: a worker that dies at once costs a hundredth of a core or two, and comes back soon once it can."""
STABLE_S = 10.0
"""Seconds that a worker has to be ready for its next death to count as the first."""
KEPT_EVENTS = 500
"""Events that are remembered."""


@dataclass(frozen=True)
class ClusterEvent:
    """Something that has happened in a cluster."""

    at: float
    """When: seconds since 1970, as `time.time` has it."""
    name: str
    """To whom: "worker-1", "nginx", "valkey", "cluster"."""
    text: str
    """What, in words."""

    def __str__(self) -> str:
        return f"{time.strftime('%H:%M:%S', time.localtime(self.at))} {self.name} {self.text}"


@dataclass
class _Post:
    """What is known of one worker's place, beside the worker itself."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever starts or ends its process."""
    wanted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set unless it was killed for good."""
    up: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while it is ready."""
    ready_since: float = math.inf
    """By the clock of the event loop; infinite while it is not ready."""
    delay_s: float = FIRST_DELAY_S
    """Before it is started the next time."""


class Crew:
    """The workers of one cluster.

    Args:
        workers: none of which has been started.
        log: also gets what happens here.
        crossing: asks whether messages cross; None asks nothing.
    """

    def __init__(self, workers: Sequence[Worker], log: ClusterLog, crossing: Crossing | None) -> None:
        self.workers = tuple(workers)
        self.events: deque[ClusterEvent] = deque(maxlen=KEPT_EVENTS)
        self._log = log
        self._crossing = crossing
        self._posts = {worker.name: _Post() for worker in workers}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._rolling = asyncio.Lock()

    def spawn(self) -> None:
        """Start all processes. `start` waits for them."""
        for worker in self.workers:
            worker.spawn()

    async def start(self) -> None:
        """Wait until all are ready, and from then on start each again that dies.

        Raises:
            ChildError: one of them cannot be started; the others are not waited for.
        """
        await together(self._comes_up(worker) for worker in self.workers)
        if self._crossing is not None:
            await self._crossing.check(self.workers)
        for worker in self.workers:
            self._is_up(worker)
            self._task(self._keep(worker), f"rtlab keeps {worker.name}")

    def named(self, given: object) -> Worker:
        """The worker that is meant.

        Raises:
            UsageError: there is none of that name.
        """
        for worker in self.workers:
            if given is worker or given == worker.name:
                return worker
        raise UsageError(f"There is no worker {given!r}. {near(given, self._posts)}")

    def say(self, name: str, text: str, level: int = logging.INFO) -> None:
        """Remember an event, and write it into the logs."""
        event = ClusterEvent(time.time(), name, text)
        self.events.append(event)
        self._log.say(f"{name} {text}")
        logger.log(level, "%s %s", name, text)

    async def ready(self) -> None:
        """Wait until all workers that are wanted are ready."""
        while waiting := [post for post in self._posts.values() if post.wanted.is_set() and not post.up.is_set()]:
            await waiting[0].up.wait()

    async def kill(self, worker: Worker, restart: bool) -> None:
        """SIGKILL, and wait until it is dead."""
        post = self._posts[worker.name]
        if not restart:
            post.wanted.clear()
        if not worker.running:
            raise UsageError(f"{worker.name} has no process that could be killed: {worker.state}.")
        pid = worker.pid
        worker.state = "killed"
        worker.kill()
        await worker.ended()
        post.up.clear()
        self.say(worker.name, f"was killed (process {pid}, SIGKILL)" + ("" if restart else " and stays so"))

    async def restart(self, worker: Worker) -> None:
        """Drain it, start it again, and wait until it is ready. Whoever is cancelled meanwhile only waits no longer."""
        await asyncio.shield(self._task(self._restart(worker), f"rtlab restarts {worker.name}"))

    async def rolling_restart(self) -> None:
        """Restart all, one after the other; the first that fails ends it."""
        await asyncio.shield(self._task(self._restart_all(), "rtlab restarts all workers"))

    async def stop(self) -> None:
        """Drain all at the same time, and wait until they have ended."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        for worker in self.workers:
            worker.state = "draining" if worker.running else "stopped"
        try:
            await together(worker.close() for worker in self.workers)
        finally:
            for worker in self.workers:
                worker.state = "stopped"
                worker.give_port_back()

    def hurry(self) -> None:
        """SIGKILL to all: whoever waits for `stop` waits no longer."""
        for worker in self.workers:
            worker.kill()

    async def _comes_up(self, worker: Worker) -> None:
        await worker.listens()
        await answers(worker)

    def _is_up(self, worker: Worker) -> None:
        post = self._posts[worker.name]
        worker.state = "ready"
        post.wanted.set()
        post.up.set()
        post.ready_since = asyncio.get_running_loop().time()

    async def _bring_up(self, worker: Worker) -> None:
        """Start a process for it in the place of the one that it had."""
        post = self._posts[worker.name]
        post.up.clear()
        post.ready_since = math.inf
        await worker.close()
        worker.restarts += 1
        try:
            worker.spawn()
            await self._comes_up(worker)
        except BaseException:
            worker.kill()
            await worker.close()
            worker.state = "could not be started"
            raise
        self._is_up(worker)

    async def _crosses(self, worker: Worker) -> None:
        """Wait until messages cross between this worker and the others that are ready."""
        crossed = False
        while self._crossing is not None and not crossed:
            up = [each for each in self.workers if self._posts[each.name].up.is_set()]
            try:
                await self._crossing.check(up, worker)
                crossed = True
            except ChildError:
                if all(self._posts[each.name].up.is_set() for each in up):
                    raise  # else one of them has died meanwhile: that is no fault of this one

    async def _restart(self, worker: Worker) -> None:
        post = self._posts[worker.name]
        post.wanted.set()
        async with post.lock:
            self.say(worker.name, "is restarted" + (": it drains" if worker.running else ""))
            worker.state = "draining"
            post.up.clear()
            post.delay_s = FIRST_DELAY_S
            try:
                await self._bring_up(worker)
                await self._crosses(worker)
            except ChildError as error:
                self.say(worker.name, f"was not restarted as it should: {_short(error)}", logging.WARNING)
                raise
        self.say(worker.name, f"is ready (process {worker.pid})")

    async def _restart_all(self) -> None:
        async with self._rolling:
            for worker in self.workers:
                await self._restart(worker)

    async def _keep(self, worker: Worker) -> None:
        """Start it again whenever it has died."""
        post = self._posts[worker.name]
        while True:
            await post.wanted.wait()
            await worker.ended()
            async with post.lock:
                if not self._is_missed(worker):
                    continue  # `restart` was quicker; or it was killed for good
                await self._says_that_it_died(worker, post)
            await asyncio.sleep(post.delay_s)
            async with post.lock:
                if self._is_missed(worker):
                    await self._start_again(worker, post)

    def _is_missed(self, worker: Worker) -> bool:
        """Whether it should run and does not."""
        return not worker.running and self._posts[worker.name].wanted.is_set()

    async def _says_that_it_died(self, worker: Worker, post: _Post) -> None:
        lived_s = asyncio.get_running_loop().time() - post.ready_since
        if lived_s > STABLE_S:
            post.delay_s = FIRST_DELAY_S
        post.up.clear()
        if worker.child is not None and worker.state != "killed":
            self.say(worker.name, f"{worker.how_it_ended()} by itself", logging.WARNING)
        worker.state = f"starting again in {post.delay_s:g} s"

    async def _start_again(self, worker: Worker, post: _Post) -> None:
        post.delay_s = min(2 * post.delay_s, MOST_DELAY_S)
        try:
            await self._bring_up(worker)
        except ChildError as error:
            self.say(worker.name, f"{_short(error)}; the next attempt is in {post.delay_s:g} s", logging.WARNING)
            return
        self.say(worker.name, f"was started again and is ready (process {worker.pid})")
        try:
            await self._crosses(worker)
        except ChildError as error:
            self.say(worker.name, f"serves, but {_short(error)}", logging.WARNING)

    def _task(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run something that `stop` cancels."""
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:  # whoever asked may have gone
            logger.debug("%s: %s", task.get_name(), error)


def _short(error: ChildError) -> str:
    """What it says, without the lines that its child has printed: they are in the log."""
    return f"{error.name} {error.problem}"
