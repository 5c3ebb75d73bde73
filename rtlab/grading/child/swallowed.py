"""Exceptions that nobody sees: those that a library swallows, and coroutines that are never awaited.

What lives here: `SwallowedErrors`, and how an exception is put into words. An exception that a server's library
swallows (a handler of `websockets`, aiohttp or Socket.IO that raises) reaches us through the log records that these
libraries write about it.
"""

from __future__ import annotations

import logging
import warnings
from typing import Any

from rtlab.grading.code_origin import CodeOrigin, shorten

__all__ = ["SwallowedErrors", "describe", "flatten"]


class SwallowedErrors:
    """What libraries swallowed on the learner's behalf: exceptions that they logged, coroutines never awaited."""

    def __init__(self, origin: CodeOrigin) -> None:
        self.origin = origin
        self.errors: list[BaseException] = []
        """Exceptions with a line of the learner's in them, in the order in which they were logged."""
        self.never_awaited: list[str] = []
        """Sentences about coroutines that nobody awaited. One that was kept in a variable is thrown away only when the
        function returns, so that Python blames a line of the library that called it."""
        self.closed = False
        """Set after the first expectation that was not met. An exception that reaches the learner's code out of a
        library from then on is a consequence of the check's ending its connections. (One that the learner's own line
        raised may be logged as late as this: `websockets` closes the connection first.)"""

    def _hear(self, error: BaseException) -> None:
        own = self.origin.raised_by_itself(error) if self.closed else self.origin.raised_at(error)
        if own or self.origin.misused(error):
            self.errors.append(error)

    def _was_handled(self, error: BaseException, logged_in: str) -> bool:
        """Whether the learner's code caught and logged what the check raised on purpose: that explains no failure."""
        return self.origin.owns(logged_in) and self.origin.raised_by_the_grader(error)

    def listen(self) -> None:
        """Begin. What would go to standard error for want of a log handler goes nowhere from now on."""
        make = logging.getLogRecordFactory()

        def factory(*args: Any, **keywords: Any) -> logging.LogRecord:
            record = make(*args, **keywords)
            if record.exc_info and record.exc_info[1] is not None:
                for error in flatten(record.exc_info[1]):
                    if not self._was_handled(error, record.pathname):
                        self._hear(error)
            return record

        logging.setLogRecordFactory(factory)
        logging.lastResort = logging.NullHandler()
        show = warnings.showwarning

        def showwarning(
            message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any
        ) -> None:
            if "was never awaited" in str(message) and self.origin.owns(filename):
                self.never_awaited.append(f"{self.origin.line(filename, lineno)}: {message}.")
            elif "was never awaited" in str(message) and not self.closed:
                said = str(message)
                self.never_awaited.append(f"{said[0].upper()}{said[1:]}: is an `await` missing?")
            else:
                show(message, category, filename, lineno, *rest)

        warnings.showwarning = showwarning  # type: ignore[assignment]
        warnings.simplefilter("always", RuntimeWarning)


def flatten(error: BaseException) -> list[BaseException]:
    """The exceptions in a group, or the one itself."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in flatten(inner)]
    return [error]


def describe(error: BaseException) -> str:
    """An exception in words: "KeyError: 'item'"."""
    try:
        text = " ".join(str.__str__(str(error)).split())
    except BaseException:  # noqa: BLE001 - a learner's __str__ may raise anything
        text = ""
    name = type(error).__name__
    return f"{name}: {shorten(text)}" if text else name
