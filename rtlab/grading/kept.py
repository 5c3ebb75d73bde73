"""What a submission keeps of somebody who has left: a leak that no answer shows.

What lives here: `held`, which follows a submission's own state (its module, its objects, what its functions enclose)
and says where a text is found, and `forgotten`, the observation made of it. Other people's objects are not followed:
what a server or the event loop keeps is not the submission's. Imported by graders only.
"""

from __future__ import annotations

import asyncio
import gc
from collections import deque
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import partial
from types import CellType, FunctionType, MethodType, ModuleType

from rtlab.grading.child.expectations import expect
from rtlab.grading.child.loading import Submission
from rtlab.grading.results import time_scale

__all__ = ["forgotten", "held"]

IN_TIME_S = 2
"""Seconds that a submission has for forgetting: a disconnect handler may still run."""
Found = tuple[str, object]
"""An object, and what a sentence calls the place where it is."""


def held(submission: ModuleType | Submission, text: str, *roots: object) -> str:
    """Where a submission's state has a text, alone or within another text.

    Args:
        submission: the module, or what a check gets instead of it.
        text: what should be nowhere any more, a socket's id for example.
        roots: objects of the submission's that are not reached from its module, its event handlers for example.

    Returns:
        The place in words, "`Guard._timers`" for example; empty if it is nowhere.
    """
    module: ModuleType = vars(submission)["_module"] if isinstance(submission, Submission) else submission
    waiting: deque[Found] = deque((name, value) for name, value in vars(module).items() if name[:2] != "__")
    waiting.extend((type(root).__name__, root) for root in roots)
    seen: set[int] = set()
    while waiting:
        place, value = waiting.popleft()
        if isinstance(value, str):
            if text in value:
                return f"`{place}`"
        elif id(value) not in seen:
            seen.add(id(value))
            waiting.extend(_inside(module, place, value))
    return ""


async def forgotten(submission: ModuleType | Submission, what: str, text: str, *roots: object) -> None:
    """Observe that a submission's state does not hold a text, or soon does not. `what` follows "no variable holds"."""
    loop = asyncio.get_running_loop()
    until = loop.time() + IN_TIME_S * time_scale()
    while (place := held(submission, text, *roots)) and loop.time() < until:
        await asyncio.sleep(0.01)
    expect.that(f"no variable holds {what}", not place, but=f"it is in {place}")


def _inside(module: ModuleType, place: str, value: object) -> Iterator[Found]:
    """What an object holds."""
    match value:
        case Mapping():
            for key, each in list(value.items()):
                yield from ((place, key), (place, each))
        case list() | tuple() | deque() | AbstractSet():
            yield from ((place, each) for each in list(value))
        case partial():
            yield from ((place, each) for each in (value.func, value.args, value.keywords))
        case MethodType():
            yield from ((place, value.__self__), (place, value.__func__))
        case FunctionType() if value.__globals__ is vars(module):
            names = value.__code__.co_freevars
            yield from zip(names, value.__closure__ or (), strict=True)
            yield from ((place, each) for each in (value.__defaults__, value.__kwdefaults__))
        case CellType():
            yield from ((place, each) for each in gc.get_referents(value))
        case asyncio.Handle():
            yield from ((place, each) for each in gc.get_referents(value))
        case type() if value.__module__ == module.__name__:
            yield from ((f"{value.__name__}.{name}", each) for name, each in list(vars(value).items()))
    if type(value).__module__ == module.__name__:
        for name in (*getattr(value, "__dict__", ()), *getattr(type(value), "__slots__", ())):
            yield f"{type(value).__name__}.{name}", getattr(value, name, None)
