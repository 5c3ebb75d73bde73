"""What may be given to `rtlab.chat.create_app`, and a sentence for each mistake.

What lives here: `explained`, which names a misspelt option, and functions that check one argument each. They must not
know how a chat is made.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

from rtlab.chat.auth import check_secret
from rtlab.chat.limits import Limits
from rtlab.errors import UsageError

__all__ = [
    "WORKER", "check_asked", "check_limits", "check_list", "check_name", "check_stores", "explained", "redis_of",
    "replicas_of", "secret_of",
]  # fmt: skip

SECRET = "RTLAB_SECRET"  # noqa: S105 - the variable's name
"""The environment variable with the secret."""
WORKER = "RTLAB_WORKER"
"""The environment variable that only a worker of a cluster has: its name. It is behind a balancer of this machine."""
REDIS = "REDIS_URL"
"""The environment variable with the Redis of the cluster. Elsewhere it names the Redis of the lab, which a chat of one
process does not need."""

REPLICAS = "RTLAB_REPLICAS"
"""The environment variable with the number of replicas that a cluster's Redis has, and that have to have a message."""
MOST_REPLICAS = 100
"""More than anybody has of one Redis: a larger number is a mistake, and every message would be refused."""

P = ParamSpec("P")
R = TypeVar("R")

ELSEWHERE = {
    "cors_allowed_origins": 'Use origins=["https://chat.example"].',
    "cors_origins": 'Use origins=["https://chat.example"].',
    "cors": 'Use origins=["https://chat.example"].',
    "guards": "The chat sets its guards itself; how much it takes is limits=Limits(…).",
    "max_http_buffer_size": "Use limits=Limits(payload_bytes=…).",
    "async_handlers": "The chat handles one event of a client after the other, so that messages keep their order.",
    "history_size": "Use limits=Limits(history=…).",
    "token": "Tokens are made with issue_token(name, secret), and shown by clients.",
    "port": "The port is the host's: rtlab.serve(create_app(…), port=…).",
}
"""Options that people look for here, and where they are."""


def explained(make: Callable[P, R]) -> Callable[P, R]:
    """A function that answers an unknown option with a sentence instead of Python's."""

    @functools.wraps(make)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        known = list(inspect.signature(make).parameters)
        for name in kwargs:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = ELSEWHERE.get(name) or (f"Did you mean {close[0]}?" if close else f"It has {', '.join(known)}.")
                raise UsageError(f"{make.__name__}() has no option {name!r}. {hint}")
        return make(*args, **kwargs)

    return checked


def secret_of(given: str | None) -> str:
    """The secret that was given, or else the one in the environment.

    Raises:
        UsageError: there is none, or it is too short.
    """
    secret = os.environ.get(SECRET) if given is None else given
    if secret is None:
        raise UsageError(
            "create_app() needs secret=…, at least 32 bytes: secrets.token_urlsafe(32) makes one. "
            f"Without it, it takes the environment variable {SECRET}, which is not set."
        )
    check_secret(secret)
    return secret


def redis_of(given: str | None) -> str | None:
    """The URL that was given, or else what the environment of a worker says; None for a chat of one process.

    Raises:
        UsageError: it is no URL of a Redis.
    """
    if given is not None and not isinstance(given, str):
        raise UsageError(f"redis=: expected a URL such as 'redis://127.0.0.1:6379', got {type(given).__name__}.")
    if given == "":
        raise UsageError("redis=: expected a URL such as 'redis://127.0.0.1:6379', got an empty string.")
    return given or (os.environ.get(REDIS) if WORKER in os.environ else None) or None


def replicas_of(given: int | None, redis: str | None) -> int:
    """The number that was given, or else what the environment of a worker says; 0 without Redis.

    Raises:
        UsageError: it is none, or there is no Redis that could have replicas.
    """
    from_worker = os.environ.get(REPLICAS) if given is None and WORKER in os.environ else None
    name = f"{REPLICAS}=" if from_worker is not None else "min_replicas="
    number: object = given
    if from_worker is not None:
        number = int(from_worker) if from_worker.isascii() and from_worker.isdigit() else from_worker
    number = 0 if number is None else number
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number <= MOST_REPLICAS:
        raise UsageError(f"{name}: expected a whole number from 0 to {MOST_REPLICAS}, got {number!r}.")
    if redis is None and given:
        raise UsageError("min_replicas=: expected redis=… with it: without Redis there is nothing to replicate.")
    return number if redis is not None else 0


def check_stores(redis: str | None, history: object, sessions: object) -> None:
    """Raises UsageError if a store is given that the nodes would not share."""
    for name, given in (("history", history), ("sessions", sessions)):
        if redis is not None and given is not None:
            raise UsageError(f"{name}=: with redis=… all nodes share what is in Redis. Leave one of them out.")


def check_name(name: str, given: object) -> None:
    """Raises UsageError if it is neither a text nor None."""
    if given is not None and (not isinstance(given, str) or not given):
        raise UsageError(f"{name}=: expected a name such as 'worker-1', got {given!r}.")


def check_list(name: str, given: Sequence[str]) -> None:
    """Raises UsageError if a string stands where a list of strings is expected."""
    if isinstance(given, str):
        raise UsageError(f"{name}=: expected a list, got the string {given!r}. Try [{given!r}].")


def check_limits(limits: object) -> None:
    """Raises UsageError if it is not `Limits`."""
    if not isinstance(limits, Limits):
        raise UsageError(f"limits=: expected rtlab.chat.Limits(…), got {type(limits).__name__}.")


def check_asked(name: str, given: Any) -> None:
    """Raises UsageError if a question that has to be awaited is a plain function, or none."""
    if not callable(given) or (inspect.isfunction(given) and not inspect.iscoroutinefunction(given)):
        what = "a function without async" if callable(given) else type(given).__name__
        raise UsageError(f"{name}=: expected `async def {name}(user, name): return True or False`, got {what}.")
