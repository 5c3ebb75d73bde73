"""The only way in which a grader observes.

What lives here: `expect`, which compares what came with what was expected and puts both into one sentence, and the
record that counts observations. A check that made none is "unknown", whatever it returned.

An expectation that is not met raises `UnmetError`, and is written down as well: a submission that swallows every
exception cannot swallow that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable
from types import TracebackType
from typing import Self, TypeVar

from rtlab.grading.child.differences import compared, show
from rtlab.grading.child.endings import ended
from rtlab.grading.child.sameness import BYTES, SETS, elements, is_of, number, same, table, text
from rtlab.grading.child.swallowed import describe
from rtlab.grading.results import time_scale

__all__ = ["Expect", "Observations", "Raises", "UnmetError", "expect"]

Value = TypeVar("Value")


class UnmetError(AssertionError):
    """What came was not what was expected, in the words that the learner reads. Never leaves the process of a check."""


class Observations:
    """What was observed in this process."""

    def __init__(self) -> None:
        self.count = 0
        """How many expectations were looked at."""
        self.unmet: list[str] = []
        """The sentences of those that were not met."""
        self.is_the_learners: Callable[[BaseException], bool] = lambda _: False
        """Tells whether an exception comes from the learner's code. Set by the runner."""

    def observe(self, met: bool, sentence: Callable[[], str]) -> None:
        """Count one observation.

        Raises:
            UnmetError: it was not met.
        """
        self.count += 1
        if not met:
            self.unmet.append(sentence())  # `show` lets nothing out of a learner's __repr__
            raise UnmetError(self.unmet[-1])


class Expect:
    """Call it with words for what is looked at, with what came, and with one expectation.

    ``expect("the answer to 'ping'", got, equals="pong")`` gives back `got`, or raises `UnmetError` with "expected the
    answer to 'ping' to be 'pong'; got 'PING'".
    """

    def __init__(self) -> None:
        self._observations = Observations()

    @property
    def observations(self) -> Observations:
        """What was observed in this process."""
        return self._observations

    def __call__(
        self,
        what: str,
        got: Value,
        *,
        equals: object = ...,
        one_of: Iterable[object] | None = None,
        within: tuple[float, float] | None = None,
        contains: object = ...,
        is_a: type | None = None,
    ) -> Value:
        """Observe a value; gives it back.

        Args:
            what: what is looked at, in words that follow "expected".
            got: what came.
            equals: the value that it has to equal. True does not equal 1 here.
            one_of: the values of which it has to equal one.
            within: the least and the greatest number that it may be.
            contains: what has to be in it.
            is_a: the type that it has to be of.

        Raises:
            UnmetError: it is otherwise.
            TypeError: there is not exactly one expectation; the grader is wrong.
        """
        given, wanted = 0, ""
        met: Callable[[], bool] = bool
        if equals is not ...:
            given, met = 1, lambda: same(got, equals)
        if one_of is not None:
            options = list(one_of)
            given, met = given + 1, lambda: any(same(got, option) for option in options)
            wanted = f"to be one of {', '.join(map(show, options))}"
        if within is not None:
            low, high = within
            given, met, wanted = given + 1, lambda: _between(low, got, high), f"to be between {low:g} and {high:g}"
        if contains is not ...:
            given, met, wanted = given + 1, lambda: _contains(got, contains), f"to contain {show(contains)}"
        if is_a is not None:
            given, met, wanted = given + 1, lambda: is_of(got, is_a), f"to be of type {is_a.__name__}"
        if given != 1:
            raise TypeError(f"expect needs exactly one of equals, one_of, within, contains, is_a; got {given}")

        def sentence() -> str:
            if equals is ...:
                return f"expected {what} {wanted}; got {show(got)}"
            ours, theirs = compared(got, equals)
            return f"expected {what} to be {ours}; got {theirs}"

        self.observations.observe(_is_met(met), sentence)
        return got

    def that(self, claim: str, holds: object, *, but: str = "it is not so") -> None:
        """Observe that a claim holds: ``expect.that("the connection stays open", is_open, but="it was closed")``.

        Raises:
            UnmetError: "expected that the connection stays open, but it was closed".
        """
        self.observations.observe(_is_met(lambda: bool(holds) is True), lambda: f"expected that {claim}, but {but}")

    def raises(self, what: str, error: type[BaseException], **attributes: object) -> Raises:
        """A ``with`` block that has to raise: ``with expect.raises("an unmasked frame", ProtocolError, code=1002):``.

        Args:
            what: what has to raise, in words that follow "expected".
            error: the type of the exception.
            attributes: what its attributes have to equal.

        Raises:
            UnmetError: the block raised nothing or something else.
        """
        return Raises(self.observations, what, error, attributes)

    async def arrives(
        self, what: str, awaitable: Awaitable[Value], *, within_s: float, why: Callable[[], str] = str
    ) -> Value:
        """Await something that has to come in time; gives it back.

        Args:
            what: what has to come, in words that follow "expected".
            awaitable: what to await. It is cancelled when the time is over.
            within_s: seconds; RTLAB_TIME_SCALE stretches them.
            why: asked when nothing came; what it gives ends the sentence: "your code has registered 'order_place',
                not 'order:place'".

        Raises:
            UnmetError: nothing came in time, or the connection ended instead.
            BaseException: the learner's own code raised it.
        """
        waiting: asyncio.Future[Value] = asyncio.ensure_future(awaitable)
        try:
            done, _ = await asyncio.wait({waiting}, timeout=within_s * time_scale())
        finally:
            if not waiting.done():
                waiting.cancel()
        error: BaseException | None = None
        if done and not waiting.cancelled():
            error = waiting.exception()
        if error is not None and self.observations.is_the_learners(error):
            raise error

        def sentence() -> str:
            if error is not None:
                return f"expected {what}; {ended(error) or f'instead came {describe(error)}'}"
            reason = why()
            return f"expected {what}; nothing came within {within_s:g} s" + (f"; {reason}" if reason else "")

        self.observations.observe(bool(done) and error is None and not waiting.cancelled(), sentence)
        return waiting.result()


class Raises:
    """What `expect.raises` gives: after the block, `error` is the exception that came."""

    def __init__(
        self, observations: Observations, what: str, error: type[BaseException], attributes: dict[str, object]
    ) -> None:
        self._observations = observations
        self._what = what
        self._type = error
        self._attributes = attributes
        self.error: BaseException | None = None
        """The exception, once the block has raised it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, (UnmetError, NotImplementedError)) and not issubclass(self._type, NotImplementedError):
            return False
        wanted = f"expected {self._what} to raise {self._type.__name__}"
        if not isinstance(error, self._type):
            came = f"it raised {describe(error)}" if error is not None else "nothing was raised"
            self._observations.observe(False, lambda: f"{wanted}; {came}")
        self.error = error
        self._observations.observe(True, str)
        for name, value in self._attributes.items():
            got = getattr(error, name, None)
            self._observations.observe(
                _is_met(lambda got=got, value=value: same(got, value)),  # type: ignore[misc]
                lambda name=name, pair=(got, value): _attribute_sentence(wanted, name, *pair),  # type: ignore[misc]
            )
        return True


def _attribute_sentence(wanted: str, name: str, got: object, value: object) -> str:
    ours, theirs = compared(got, value)
    return f"{wanted} with {name}={ours}; got {theirs}"


def _between(low: float, got: object, high: float) -> bool:
    figure = number(got)
    return figure is not None and low <= figure <= high


def _contains(got: object, item: object) -> bool:
    if is_of(got, list, tuple, *SETS):
        return any(same(each, item) for each in elements(got))
    if is_of(got, str):
        return text(item) in text(got)
    if is_of(got, *BYTES):
        return item in bytes(memoryview(got))  # type: ignore[arg-type, operator]
    if is_of(got, dict):
        return any(same(key, item) for key, _ in table(got).values())
    return isinstance(got, Container) and item in got


def _is_met(met: Callable[[], bool]) -> bool:
    """What cannot even be compared is not met."""
    try:
        return met() is True
    except BaseException:  # noqa: BLE001 - a learner's __eq__ may raise anything
        return False


expect = Expect()
