"""Waiting for something that nothing tells of: it is looked at until it is so, and never for ever.

What lives here: the one loop of the tests that sleeps, for code that blocks and for code that awaits. What can be
waited for is waited for: an event, a queue, an answer.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from deadlines import WAIT_S

__all__ = ["eventually", "until"]

LOOK_S = 0.01
"""Between two looks."""


def eventually(condition: Callable[[], Any], what: object = "") -> Any:
    """Look until it is so; gives what the condition gave.

    Args:
        condition: is called again and again.
        what: for the failure: what was waited for, or a function that gives how far it came.
    """
    deadline = time.monotonic() + WAIT_S
    while not (result := condition()):
        assert time.monotonic() < deadline, _never(condition, what)
        time.sleep(LOOK_S)
    return result


async def until(condition: Callable[[], Any], what: object = "") -> Any:
    """The same for code that awaits; so may the condition."""
    deadline = time.monotonic() + WAIT_S
    while True:
        result = condition()
        if inspect.isawaitable(result):
            async with asyncio.timeout(WAIT_S):
                result = await result
        if result:
            return result
        assert time.monotonic() < deadline, _never(condition, what)
        await asyncio.sleep(LOOK_S)


def _never(condition: Callable[[], Any], what: object) -> str:
    return f"not within {WAIT_S:g} s: {(what() if callable(what) else what) or condition}"
