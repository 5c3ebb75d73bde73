"""What may be given to `rtlab.cluster`, and a sentence for each mistake.

What lives here: functions that check one argument each. They must not know how a cluster is made.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal

from rtlab.errors import UsageError

__all__ = [
    "DURABILITIES", "MOST_WORKERS", "Durability", "check_app", "check_bool", "check_durability", "check_env",
    "check_workers", "near",
]  # fmt: skip

MOST_WORKERS = 64
"""Workers of one machine. Each is two processes with 60 MiB; more than cores only take turns."""
Durability = Literal["memory", "disk", "replica"]
DURABILITIES: tuple[Durability, ...] = ("memory", "disk", "replica")
"""What the Redis of a cluster survives: nothing, its own death, or that of its primary for good."""
OURS = ("RTLAB_WORKER", "RTLAB_READY")
"""Variables that a cluster sets itself, for each worker."""


def near(given: object, known: Iterable[str]) -> str:
    """A sentence for a name that there is not: the nearest of those that there are, or all of them."""
    names = list(known)
    found = get_close_matches(str(given).lower().replace("-", "_").replace(" ", "_"), names, n=1)
    found = found or get_close_matches(str(given), names, n=1)
    return f"Did you mean {found[0]!r}?" if found else f"There are: {', '.join(map(repr, names))}."


def check_app(app: object) -> str:
    """Raises UsageError if it is no import string; says how to make one of what it is."""
    if isinstance(app, str):
        if not re.fullmatch(r"[\w.]+:[\w.]+", app):
            raise UsageError(
                f"app={app!r}: expected an import string, 'module:name' as in 'chat:create_app', without .py and "
                "without parentheses."
            )
        return app
    raise UsageError(
        f"app={app!r}: expected an import string, since each worker imports the app by itself. {_how(app)}"
    )


def _how(app: Any) -> str:
    """How to write it as an import string."""
    made = app if inspect.isfunction(app) or inspect.isclass(app) else None
    module, name = getattr(made, "__module__", None), getattr(made, "__qualname__", "")
    if module and module != "__main__" and "<" not in name:
        return f"Write app={f'{module}:{name}'!r}."
    return (
        "Put the code that makes it into a file of its own (in a notebook: `%%writefile my_app.py` in the first line "
        f"of the cell), and write app={'my_app:' + (name if name.isidentifier() else 'create')!r}."
    )


def check_workers(workers: object) -> int:
    """Raises UsageError if it is no number of workers."""
    if not isinstance(workers, int) or isinstance(workers, bool) or not 1 <= workers <= MOST_WORKERS:
        raise UsageError(f"workers={workers!r}: expected a whole number from 1 to {MOST_WORKERS}.")
    return workers


def check_bool(name: str, given: object, instead: str) -> None:
    """Raises UsageError if it is neither True nor False.

    Args:
        name: of the argument.
        given: what came.
        instead: what to do for what people may have wanted.
    """
    if not isinstance(given, bool):
        raise UsageError(f"{name}={given!r}: expected True or False. {instead}")


def check_durability(durability: object, redis: bool) -> None:
    """Raises UsageError if there is no such durability, or no Redis that could have it."""
    if durability not in DURABILITIES:
        raise UsageError(f"durability={durability!r}: there is no such durability. {near(durability, DURABILITIES)}")
    if durability != "memory" and not redis:
        raise UsageError(f"durability={durability!r} is about the Redis behind the workers: leave redis=False out.")


def check_env(env: object) -> dict[str, str]:
    """Raises UsageError if these are no variables, or some that the cluster sets."""
    if env is None:
        return {}
    if not isinstance(env, Mapping) or not all(
        isinstance(text, str) and "\0" not in text for pair in env.items() for text in pair
    ):
        raise UsageError(f"env={env!r}: expected environment variables, names and texts: {{'LOG_LEVEL': 'debug'}}.")
    for name in env:
        if name in OURS or not name or "=" in name:
            raise UsageError(f"env: {name!r} cannot be set" + (": the cluster does." if name in OURS else "."))
    return dict(env)
