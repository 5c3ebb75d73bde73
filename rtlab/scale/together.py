"""Several things at once, of which the first failure is the failure of all.

What lives here: `together`. Unlike `asyncio.gather` it leaves nothing running, and unlike `asyncio.TaskGroup` it
raises the error itself, which is what a reader should see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

__all__ = ["together"]

Given = TypeVar("Given")


async def together(coroutines: Iterable[Coroutine[Any, Any, Given]]) -> list[Given]:
    """Await all; when one raises, the others are cancelled, and its error is raised once they have ended."""
    failure: BaseException
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in coroutines]
        return [task.result() for task in tasks]
    except BaseExceptionGroup as several:
        failure = several.exceptions[0]
    raise failure
