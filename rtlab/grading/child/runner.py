"""The child's side of grading: one check of one submission, and then the end.

What lives here: the order of events in the process of a check, which ``fork_server.py`` has made. The verdict goes over
a socket that only the parent holds, never over standard output, which belongs to the submission; `messages` has what is
said there.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import inspect
import os
import signal
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, NoReturn

from rtlab.grading.child.barriers import BarrierError, close_modules, close_solutions
from rtlab.grading.child.expectations import expect
from rtlab.grading.child.integrity import Tools, refuse_inspection
from rtlab.grading.child.judging import Judgement, judge, judge_import
from rtlab.grading.child.loading import Submission, load_submission
from rtlab.grading.child.swallowed import SwallowedErrors
from rtlab.grading.code_origin import CodeOrigin, Place
from rtlab.grading.messages import Began, Imported, Late, Message, Order, Spoken, Unmet, encode
from rtlab.grading.results import Verdict

__all__ = ["TASK_GRACE_S", "Channel", "carry_out"]

TASK_GRACE_S = 0.5
"""Seconds that tasks of the submission's own have to end after the check. Those that were cancelled need one turn of
the loop; those that are still there after this were forgotten."""


class Channel:
    """The socket to the parent. A process that the submission forks off holds a copy and may not speak."""

    def __init__(self, descriptor: int, token: str) -> None:
        self._token = token
        os.set_inheritable(descriptor, False)
        self._socket = socket.socket(fileno=descriptor)
        self._process = os.getpid()

    def say(self, message: Message) -> None:
        """Tell the one that waits."""
        if os.getpid() == self._process:
            self._socket.sendall(encode(message, self._token))

    def wait(self) -> NoReturn:
        """Block until the parent has looked and ends this process, or is gone."""
        self._socket.recv(1)
        os._exit(0)


def carry_out(
    order: Order, channel: Channel, grader: Path, loaded: ModuleType | BaseException, tools: Tools
) -> NoReturn:
    """Run one check of one submission.

    Args:
        order: what to do.
        channel: where to speak.
        grader: its file.
        loaded: its module, or why there is none.
        tools: what the submission may not replace.
    """
    # What is ended with SIGKILL removes no files. They go with this directory, which the parent removes.
    os.environ["TMPDIR"] = tempfile.tempdir = order.directory
    submission_path = Path(order.submission)
    origin = CodeOrigin(submission_path, grader)
    try:
        if isinstance(loaded, BaseException):
            raise loaded
        function: Callable[[Submission | Path], Any] = getattr(loaded, order.check)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the learner is not to blame
        channel.say(Began())
        _leave(
            channel, (Verdict.UNKNOWN, f"the check {grader.name} is broken: {type(error).__name__}: {error}"), "grader"
        )
    observations = expect.observations
    observations.is_the_learners = lambda error: origin.raised_at(error) is not None
    swallowed = SwallowedErrors(origin)
    swallowed.listen()
    observations.unmet = _Announced(channel, swallowed)
    close_modules(order.forbidden, origin)
    if order.solutions:
        close_solutions(Path(order.solutions))
    refuse_inspection(origin, BarrierError)
    tools.watch(expect)
    tools.watch(observations)
    replaced = tools.replaced  # bound now: its class is one of the tools
    _answer_signals(channel, origin, order.trace)
    channel.say(Began())
    try:
        submission = load_submission(submission_path, order.reset)
    except BaseException as error:  # noqa: BLE001 - a learner's file may raise anything
        _leave(channel, judge_import(error, origin), "import")
    channel.say(Imported())

    def verdict(error: BaseException | None) -> Judgement:
        judgement = judge(error, observations, swallowed, origin)
        if judgement[0] is Verdict.PASSED and (name := replaced()):
            return Verdict.FAILED, f"your code replaced {name}, which the check needs as it was"
        return judgement

    _examine(function, submission, channel, origin, tools, verdict)


class _Announced(list[str]):
    """The list of unmet expectations, which tells the parent of each."""

    def __init__(self, channel: Channel, swallowed: SwallowedErrors) -> None:
        super().__init__()
        self._channel = channel
        self._swallowed = swallowed

    def append(self, sentence: str) -> None:
        super().append(sentence)
        gc.collect()  # asyncio tells of a task that failed unseen when the task is collected, and it may be in a cycle
        self._swallowed.closed = True
        self._channel.say(Unmet(sentence))


def _examine(
    function: Callable[[Submission | Path], Any],
    submission: Submission | Path,
    channel: Channel,
    origin: CodeOrigin,
    tools: Tools,
    verdict: Callable[[BaseException | None], Judgement],
) -> NoReturn:
    """Run the check, judge it, look at what it left in this process, and end."""

    async def attend() -> None:
        tools.watch(asyncio.get_running_loop())
        error = await asyncio.ensure_future(_outcome(function(submission)))
        left = await _tasks_left(origin)
        _say_verdict(channel, verdict(error), "check", left or _threads_left(origin))
        await asyncio.to_thread(channel.wait)  # the loop goes on, so that what is closing can close

    error: BaseException | None = None
    try:
        if inspect.iscoroutinefunction(function):
            asyncio.Runner().run(attend())
        else:
            function(submission)
    except BaseException as raised:  # noqa: BLE001 - a learner's code may raise anything, SystemExit in a task included
        error = raised
    _leave(channel, verdict(error), "check", _threads_left(origin))


async def _outcome(check: Any) -> BaseException | None:
    """What the check raised, as a value: SystemExit in a task would end the loop."""
    try:
        await check
    except BaseException as error:  # noqa: BLE001 - see above
        return error
    return None


async def _tasks_left(origin: CodeOrigin) -> str:
    """Where a task of the learner's own still runs after a moment of grace, or an empty string."""
    mine = asyncio.current_task()
    await asyncio.sleep(0)
    own = [task for task in asyncio.all_tasks() if task is not mine and _is_learners(task, origin)]
    if own:
        _, pending = await asyncio.wait(own, timeout=TASK_GRACE_S)
        for task in pending:
            place = origin.awaits_at(task.get_coro())
            return f"left a task running behind, in {place.words if place else task.get_name()}"
    return ""


def _is_learners(task: asyncio.Task[Any], origin: CodeOrigin) -> bool:
    place = origin.awaits_at(task.get_coro())
    return place is not None and place.own


def _threads_left(origin: CodeOrigin) -> str:
    places = origin.threads_left()
    return f"left a thread running behind, in {places[0]}" if places else ""


def _say_verdict(channel: Channel, judgement: Judgement, phase: str, left: str) -> None:
    verdict, message = judgement
    channel.say(Spoken(verdict, message, phase, left))


def _leave(channel: Channel, judgement: Judgement, phase: str, left: str = "") -> NoReturn:
    """Say the verdict, and wait for the end."""
    _say_verdict(channel, judgement, phase, left)
    channel.wait()


def _answer_signals(channel: Channel, origin: CodeOrigin, trace: str) -> None:
    """Tell where the process is whenever the parent asks.

    SIGUSR1 asks Python, which answers between two instructions. Where no instruction ends (in C code that takes long)
    SIGUSR2 makes faulthandler write down the main thread. (Its dump after a time-out, made by a thread beside a running
    interpreter, can crash it.)
    """

    def answer(_: int, frame: FrameType | None) -> None:
        places = [origin.runs_at(frame), *_tasks_at(origin), *origin.threads_at()]
        known = sorted((place for place in places if place), key=lambda place: not place.own)
        channel.say(Late(known[0].words if known else ""))

    signal.signal(signal.SIGUSR1, answer)
    file = open(trace, "w")  # noqa: SIM115, PTH123 - stays open until the process ends
    faulthandler.register(signal.SIGUSR2, file=file, all_threads=False)


def _tasks_at(origin: CodeOrigin) -> list[Place]:
    """Where the tasks of this thread's loop wait."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop is running
        return []
    places = [origin.awaits_at(task.get_coro()) for task in tasks]
    return [place for place in places if place is not None]
