"""Whether the tools of a check are still what they were before the submission was imported.

What lives here: `Tools`, a record of the functions and methods that a check is made of: the grader's, ours, and those
of the libraries that it talks and waits with. A submission that replaces one of them (`expect`, `time.monotonic`,
`socketio.AsyncClient.emit`) makes the check say something else than what happened, so the check is failed and says
what was replaced. Like the barriers this keeps honest people honest. It is no sandbox.

Only what is replaced or removed counts. Modules and classes that gain a name, and values that are no functions (caches,
policies), are nobody's concern.
"""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from types import FunctionType, ModuleType
from typing import Any, NoReturn

from rtlab.grading.code_origin import CodeOrigin

__all__ = ["Tools", "refuse_inspection"]

WATCHED = (
    "rtlab.grading", "asyncio", "builtins", "time", "json", "select", "selectors", "socket", "websockets", "socketio",
    "engineio", "aiohttp",
)  # fmt: skip
"""Packages, of which all modules count that the grader has imported."""
COLLECTOR = ("get_objects", "get_referrers", "get_referents")
"""Functions of `gc` that find any object."""
State = tuple[object, ...]


class Tools:
    """The tools as they are now.

    Args:
        grader: its module.
        instances: objects of ours whose methods nobody may overshadow.
    """

    def __init__(self, grader: ModuleType, *instances: object) -> None:
        self._instances = list(instances)
        names = {name for name in sys.modules if any(f"{name}.".startswith(f"{each}.") for each in WATCHED)}
        names.add(grader.__name__)
        modules = [*(sys.modules[name] for name in sorted(names) if name in sys.modules), grader]
        self._namespaces = [(module.__name__, vars(module), _states(vars(module))) for module in modules]
        found = (each for _, namespace, _ in self._namespaces for each in namespace.values() if isinstance(each, type))
        classes = {id(each): each for each in found if each.__module__ in names}
        self._classes = [(each, _states(vars(each))) for each in classes.values()]

    def watch(self, instance: object) -> None:
        """One more object whose methods nobody may overshadow."""
        self._instances.append(instance)

    def replaced(self) -> str:
        """The name of a tool that is another one now, or an empty string."""
        for name, namespace, before in self._namespaces:
            for key, state in before.items():
                if _state(namespace.get(key)) != state:
                    return f"{name}.{key}"
        for kind, before in self._classes:
            for key, state in before.items():
                if _state(vars(kind).get(key)) != state:
                    return f"{kind.__module__}.{kind.__qualname__}.{key}"
        return next(self._overshadowed(), "")

    def _overshadowed(self) -> Iterator[str]:
        for instance in self._instances:
            for name in vars(instance):
                if type(getattr(type(instance), name, None)) is FunctionType:
                    yield f"{type(instance).__name__}.{name}"


def refuse_inspection(origin: CodeOrigin, refusal: type[Exception]) -> None:
    """From now on nobody in this process can set a trace function, and the learner's lines cannot ask the garbage
    collector for objects.

    The functions are replaced. (An audit hook would be called for every other event too: imports take three times as
    long then.)

    Args:
        origin: tells whose code it is that asks.
        refusal: what is raised instead, with a sentence about it.
    """

    def refuse(*_: object) -> NoReturn:
        raise refusal("no trace function can be set while your code is graded: debug it outside of a check")

    for module in (sys, threading):
        for name in ("settrace", "setprofile"):
            setattr(module, name, refuse)
    for name in COLLECTOR:
        setattr(gc, name, _guarded(getattr(gc, name), origin, refusal))


def _guarded(function: Callable[..., Any], origin: CodeOrigin, refusal: type[Exception]) -> Callable[..., Any]:
    @wraps(function)
    def guarded(*arguments: Any, **keywords: Any) -> Any:
        if origin.owns(sys._getframe(1).f_code.co_filename):  # noqa: SLF001 - the documented way to see who is calling
            raise refusal(f"gc.{function.__name__} is closed while your code is graded: it finds what the check keeps")
        return function(*arguments, **keywords)

    return guarded


def _states(namespace: Any) -> dict[str, State]:
    return {key: _state(value) for key, value in dict(namespace).items() if callable(value) or _is_method(value)}


def _state(value: object) -> State:
    """What makes a function the same one: itself, its code and its defaults."""
    inner = getattr(value, "__func__", value) if _is_method(value) else value
    if type(inner) is FunctionType:
        return id(value), id(inner.__code__), id(inner.__defaults__), id(inner.__kwdefaults__)
    return (id(value),)


def _is_method(value: object) -> bool:
    return type(value) in (staticmethod, classmethod, property)
