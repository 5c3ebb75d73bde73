"""Whose code it was, and where.

What lives here: `CodeOrigin`, which finds the learner's lines in tracebacks, suspended coroutines and running threads.
It must not know what a check is. The process of a check asks it, and, about a dump of that process, the one that waits.
"""

from __future__ import annotations

import linecache
import os
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, FunctionType, TracebackType
from typing import NamedTuple

__all__ = ["LONGEST", "CodeOrigin", "Place", "shorten"]

LONGEST = 200
"""Characters of a value or an exception that a sentence shows."""
POOL = str(Path("concurrent") / "futures" / "thread.py")
"""Where an idle worker of `asyncio.to_thread` waits. It is no leftover: it ends with the process."""


NOT_AWAITABLE = re.compile(r"object (\w+) can't be used in 'await' expression|'(\w+)' object can't be awaited")
"""What Python says to ``await 3``: up to 3.13, and from 3.14 on."""
CALLED = re.compile(r"([\w.<>]+)\(\) (takes|missing|got) ")
"""How Python's complaint about arguments begins."""


class Place(NamedTuple):
    """Where something is."""

    words: str
    """ "hello.py, line 7 (`while True:`)"."""
    own: bool
    """Whether it is the learner's line; the grader's otherwise."""


class CodeOrigin:
    """Where the learner's code lives: everything in the submission's folder but the grader beside it."""

    def __init__(self, submission: Path, grader: Path) -> None:
        self.submission = submission
        self.folder = os.path.realpath(submission.parent)
        self.grader = os.path.realpath(grader)
        self._known: dict[str, bool] = {}

    def owns(self, filename: str) -> bool:
        """Whether this is a file of the learner's."""
        if filename not in self._known:
            path = os.path.realpath(filename)
            below = path.startswith(self.folder + os.sep)
            self._known[filename] = below and path != self.grader and "site-packages" not in path
        return self._known[filename]

    def line(self, filename: str, number: int, *, show: bool = False) -> str:
        """A place in words: "hello.py, line 7", with the line's text if `show`."""
        place = f"{Path(filename).name}, line {number}"
        text = linecache.getline(filename, number).strip() if show else ""
        return f"{place} (`{shorten(text)}`)" if text else place

    def raised_at(self, error: BaseException) -> str | None:
        """The learner's innermost line in a traceback, or None."""
        places = [(f.f_code.co_filename, n) for f, n in _frames(error.__traceback__) if self.owns(f.f_code.co_filename)]
        return self.line(*places[-1]) if places else None

    def raised_by_itself(self, error: BaseException) -> bool:
        """Whether the innermost frame of a traceback is the learner's."""
        frames = list(_frames(error.__traceback__))
        return bool(frames) and self.owns(frames[-1][0].f_code.co_filename)

    def raised_by_the_grader(self, error: BaseException) -> bool:
        """Whether the innermost frame of a traceback is the grader's: a check that raises on purpose, say."""
        frames = list(_frames(error.__traceback__))
        return bool(frames) and os.path.realpath(frames[-1][0].f_code.co_filename) == self.grader

    def misused(self, error: BaseException) -> str | None:
        """What a TypeError outside the learner's code says about how that code is written, or None."""
        if not isinstance(error, TypeError):
            return None
        awaited = NOT_AWAITABLE.search(str(error))
        if awaited:
            return (
                f"what your code gave is awaited, and it is of type {awaited[1] or awaited[2]}: is it an `async def`?"
            )
        called = CALLED.match(str(error))
        if called and self._defines(called[1]):
            return f"your function is called with other arguments than it takes: {error}"
        return None

    def _defines(self, qualname: str) -> bool:
        value: object = sys.modules.get(self.submission.stem)
        qualname = qualname.partition(".<locals>")[0]  # a handler inside a function is as much theirs as that function
        for part in qualname.split("."):
            value = getattr(value, part, None)
        if isinstance(value, type):
            return value.__module__ == self.submission.stem
        return isinstance(value, FunctionType) and self.owns(value.__code__.co_filename)

    def grader_line(self, error: BaseException) -> tuple[str, str]:
        """The grader's innermost line in a traceback: the place in words, and the text."""
        for frame, number in reversed(list(_frames(error.__traceback__))):
            filename = frame.f_code.co_filename
            if os.path.realpath(filename) == self.grader:
                return self.line(filename, number, show=True), linecache.getline(filename, number).strip()
        return Path(self.grader).name, ""

    def awaits_at(self, awaitable: object) -> Place | None:
        """Where a suspended coroutine waits, or None if no line of the learner's or the grader's is in it."""
        return self._place(_await_chain(awaitable))

    def runs_at(self, frame: FrameType | None) -> Place | None:
        """The same for a frame that runs."""
        return self._place(reversed(list(_outward(frame))))

    def threads_at(self) -> list[Place]:
        """The same for all threads but this one."""
        me = threading.get_ident()
        frames = sys._current_frames()  # noqa: SLF001 - the documented way to look at other threads
        places = [self.runs_at(frame) for ident, frame in frames.items() if ident != me]
        return [place for place in places if place is not None]

    def _place(self, frames: Iterable[FrameType]) -> Place | None:
        """The learner's innermost line in frames that come outermost first, else the grader's."""
        found: Place | None = None
        for frame in frames:
            filename = frame.f_code.co_filename
            own = self.owns(filename)
            if own or (os.path.realpath(filename) == self.grader and not (found and found.own)):
                found = Place(self.line(filename, frame.f_lineno, show=True), own)
        return found

    def threads_left(self) -> list[str]:
        """Where threads other than this one run the learner's code, or were left by it."""
        running = sys._current_frames()  # noqa: SLF001 - the documented way to look at other threads
        places = []
        for thread in threading.enumerate():
            if thread is threading.current_thread() or thread.ident not in running:
                continue
            stack = list(_outward(running[thread.ident]))
            own = [frame for frame in stack if self.owns(frame.f_code.co_filename)]
            if own:
                places.append(self.line(own[0].f_code.co_filename, own[0].f_lineno, show=True))
            elif not thread.daemon and not any(frame.f_code.co_filename.endswith(POOL) for frame in stack):
                places.append(thread.name)
        return places


def shorten(text: str) -> str:
    """At most `LONGEST` characters, the end cut."""
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _frames(trace: TracebackType | None) -> Iterator[tuple[FrameType, int]]:
    while trace is not None:
        yield trace.tb_frame, trace.tb_lineno
        trace = trace.tb_next


def _outward(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _await_chain(awaitable: object) -> Iterator[FrameType]:
    """The frames of a suspended coroutine, outermost first. (`Task.get_stack` gives only the outermost.)"""
    while awaitable is not None:
        for frame_name, next_name in (("cr_frame", "cr_await"), ("gi_frame", "gi_yieldfrom"), ("ag_frame", "ag_await")):
            frame = getattr(awaitable, frame_name, None)
            if frame is not None:
                yield frame
                awaitable = getattr(awaitable, next_name)
                break
        else:
            return  # a future, or a task, which is looked at by itself
