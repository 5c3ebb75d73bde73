"""What `rtlab.start(…)` gives before ``await``, and `rtlab.serve(…)` before ``async with``: each knows how it is used.

What lives here: `awaited` and `block`, decorators for a coroutine function and for an async context manager, and the
objects that their calls give. Python's own say "object … can't be used in 'await' expression" or "'coroutine' object
has no attribute 'url'"; these name the line to write. They must not know what is started.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

from rtlab.errors import MissingAttributeError, UsageError

__all__ = ["AsyncBlock", "Unawaited", "awaited", "block"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Given = TypeVar("Given", covariant=True)


class Unawaited(Coroutine[Any, Any, Given]):
    """A coroutine that says, where it is used as if it were its result, that ``await`` is missing.

    Args:
        coroutine: does the work; whoever awaits this awaits it.
        call: what was called: ``rtlab.start(…)``.
        right: the line to write: ``server = await rtlab.start(…)``.
        in_block: the line for those who want a block: ``async with rtlab.serve(…) as server:``; empty if there is none.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, Given], call: str, right: str, in_block: str = "") -> None:
        self._coroutine = coroutine
        self._call = call
        self._right = right
        self._in_block = in_block
        self.__name__ = self.__qualname__ = getattr(coroutine, "__qualname__", call)  # what asyncio shows of a task

    def __await__(self) -> Generator[Any, Any, Given]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        """Go on, as asyncio's tasks do."""
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        """Raise an error where it waits."""
        return self._coroutine.throw(*error)

    def close(self) -> None:
        """Give it up."""
        self._coroutine.close()

    def _refuse_block(self) -> NoReturn:
        self._coroutine.close()  # it has not begun, and nobody can await it any more
        instead = f"{self._in_block} (or, without a block: {self._right})" if self._in_block else self._right
        raise UsageError(f"{self._call} is no context manager. Write: {instead}")

    async def __aenter__(self) -> NoReturn:
        self._refuse_block()

    async def __aexit__(self, *_: object) -> None:
        """Never comes to that."""

    def __enter__(self) -> NoReturn:
        self._refuse_block()

    def __exit__(self, *_: object) -> None:
        """Never comes to that."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name.startswith("cr_"):  # asyncio's debug mode and `inspect` look at them
            return getattr(self._coroutine, name)
        raise MissingAttributeError(f"{self._call}, not awaited,", name, advice=f"Write: {self._right}")

    def __repr__(self) -> str:
        return f"<{self._call}, not awaited. Write: {self._right}>"


class AsyncBlock(AbstractAsyncContextManager[Given]):
    """An async context manager that says, where it is used in another way, that ``async with`` is missing.

    Args:
        manager: does the work.
        call: what was called: ``rtlab.serve(…)``.
        right: the line to write: ``async with rtlab.serve(…) as server:``.
        without: the line for those who want no block: ``server = await rtlab.start(…)``; empty if there is none.
    """

    def __init__(self, manager: AbstractAsyncContextManager[Given], call: str, right: str, without: str) -> None:
        self._manager = manager
        self._call = call
        self._right = right
        self._without = without

    async def __aenter__(self) -> Given:
        return await self._manager.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        return await self._manager.__aexit__(kind, error, traceback)

    def _instead(self) -> str:
        return f"Write: {self._right}" + (f" (or, without a block: {self._without})" if self._without else "")

    def __await__(self) -> NoReturn:
        raise UsageError(f"{self._call} is for an async with block, and is not awaited. {self._instead()}")

    def __enter__(self) -> NoReturn:
        raise UsageError(f"{self._call} needs async with, got with. {self._instead()}")

    def __exit__(self, *_: object) -> None:
        """Never comes to that."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        raise MissingAttributeError(f"{self._call}, outside of async with,", name, advice=self._instead())

    def __repr__(self) -> str:
        return f"<{self._call}, not entered. {self._instead()}>"


def awaited(
    right: str, in_block: str = ""
) -> Callable[[Callable[Parameters, Coroutine[Any, Any, Result]]], Callable[Parameters, Unawaited[Result]]]:
    """Make a coroutine function of the package say how it is called, where somebody leaves out ``await``.

    Args:
        right: the line to write: ``server = await rtlab.start(…)``.
        in_block: the line for those who want a block; empty if there is none.
    """
    call = right.partition("await ")[2]

    def decorate(
        function: Callable[Parameters, Coroutine[Any, Any, Result]],
    ) -> Callable[Parameters, Unawaited[Result]]:
        @functools.wraps(function)
        def called(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Unawaited[Result]:
            return Unawaited(function(*args, **kwargs), call, right, in_block)

        return called

    return decorate


def block(
    right: str, without: str = ""
) -> Callable[[Callable[Parameters, AsyncIterator[Result]]], Callable[Parameters, AsyncBlock[Result]]]:
    """`contextlib.asynccontextmanager` for the package: it says how it is used, where it is used in another way.

    Args:
        right: the line to write: ``async with rtlab.serve(…) as server:``.
        without: the line for those who want no block; empty if there is none.
    """
    call = right.removeprefix("async with ").partition(" as ")[0]

    def decorate(function: Callable[Parameters, AsyncIterator[Result]]) -> Callable[Parameters, AsyncBlock[Result]]:
        managed = asynccontextmanager(function)

        @functools.wraps(function)
        def called(*args: Parameters.args, **kwargs: Parameters.kwargs) -> AsyncBlock[Result]:
            return AsyncBlock(managed(*args, **kwargs), call, right, without)

        return called

    return decorate
