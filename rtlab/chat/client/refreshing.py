"""Tokens: where a client gets them, how long they last, and when it shows the server a newer one.

What lives here: `TokenSource`, a token or a function that gives one, and `Refresher`, which asks that function for a
newer token before the present one ends. They must not know connections. How long a token lasts is read from the token
itself, without the secret (RFC 7519 §4.1): so a client can be wrong about it, and the server decides.
"""

from __future__ import annotations

import asyncio
import base64
import inspect
import json
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any

from rtlab.chat.client.arrivals import Event
from rtlab.errors import ChatError, UsageError

__all__ = ["REFRESH_S", "REFRESH_SHARE", "TOKEN_S", "Refresher", "Token", "TokenSource"]

REFRESH_S = 60.0
"""Seconds before its end at which a token is replaced: time for a few attempts, whatever fails."""
REFRESH_SHARE = 0.25
"""Of a token that lasts less than 4 minutes, this part is kept for it instead."""
TOKEN_S = 10.0
"""Seconds that a token function has to give a token."""
AGAIN_S, AGAIN_MAX_S = 0.5, 15.0
"""The shortest and the longest wait before the next attempt, in seconds. In between: a quarter of what is left."""
Token = str | Callable[[], str] | Callable[[], Awaitable[str]]
"""A token, or what gives one. It is asked before every attempt to connect, so a function can give a fresh one."""


class TokenSource:
    """Where a client's tokens come from.

    Args:
        token: a token, or a function that gives one.
        wall: gives seconds since 1970.
        steady: gives seconds of a clock that only goes forward.
    """

    def __init__(
        self, token: Token, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic
    ) -> None:
        self._token = token
        self._wall = wall
        self._steady = steady
        self._ends_at: float | None = None
        self.problem: Exception | None = None
        """What the function raised the last time; None if it gave a token."""

    @property
    def renewable(self) -> bool:
        """Whether there is a function that gives newer ones."""
        return not isinstance(self._token, str)

    @property
    def has_expired(self) -> bool:
        """Whether the token was given as a string, and its end is over as far as can be read."""
        return isinstance(self._token, str) and claims(self._token).get("exp", math.inf) <= self._wall()

    async def get(self) -> str:
        """A token.

        Raises:
            UsageError: the function gave something else.
            TimeoutError: it gave nothing in time.
            Exception: what it raises.
        """
        self.problem = None
        try:
            if isinstance(self._token, str):
                return self._token
            given = self._token()
            if inspect.isawaitable(given):
                given = await self._in_time(given)
            if not isinstance(given, str):
                raise UsageError(f"connect(token=): expected a function that gives a token, it gave {given!r}.")
        except Exception as error:
            self.problem = error
            raise
        return given

    def shown(self, token: str) -> None:
        """The server has this one now."""
        times, now = claims(token), self._wall()
        self._ends_at = None
        if "exp" in times:
            left = times["exp"] - now
            whole = times["exp"] - times.get("iat", now)
            if not 0 < left <= whole:  # the server has accepted it, so the clock here is wrong
                left = whole
            self._ends_at = self._steady() + left

    def left(self) -> float | None:
        """Seconds until the token that was shown ends; None if that cannot be read."""
        return None if self._ends_at is None else self._ends_at - self._steady()

    @staticmethod
    async def _in_time(given: Awaitable[str]) -> str:
        try:
            async with asyncio.timeout(TOKEN_S):
                return await given
        except TimeoutError:
            raise TimeoutError(f"connect(token=): the function gave no token within {TOKEN_S:g} s.") from None


class Refresher:
    """Replaces a token before it ends, for as long as there is a connection.

    Args:
        tokens: where newer ones come from.
        refresh: shows the server a newer one, and tells `tokens` so. Raises whatever goes wrong.
        tell: gives an event to the script: ``refresh_failed`` {code, message}, once until it works again.
    """

    def __init__(
        self, tokens: TokenSource, refresh: Callable[[], Awaitable[None]], tell: Callable[[Event], None]
    ) -> None:
        self._tokens = tokens
        self._refresh = refresh
        self._tell = tell
        self._stopped = False
        self._failing = False
        self.task: asyncio.Task[None] | None = None
        """What waits for the time to come."""

    def start(self) -> None:
        """A connection is there, or a newer token was shown on it."""
        if self.task is not None and self.task is asyncio.current_task():
            return  # it goes on by itself
        self.stop()
        self._stopped = False
        if self._tokens.renewable and self._tokens.left() is not None:
            self.task = asyncio.get_running_loop().create_task(self._run())

    def stop(self) -> None:
        """The connection is gone."""
        self._stopped = True  # for a task that cannot be cancelled here: a token function may close its client
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
            self.task = None

    def failed(self, problem: Exception) -> None:
        """There was no newer token. It is told once, until one is there again."""
        if not self._failing:
            self._tell(Event("refresh_failed", about(problem)))
        self._failing = True

    def worked(self) -> None:
        """There was one."""
        self._failing = False

    async def _run(self) -> None:
        again = False
        while not self._stopped and (left := self._tokens.left()) is not None:
            if again:
                await asyncio.sleep(min(max(left * REFRESH_SHARE, AGAIN_S), AGAIN_MAX_S))
            else:
                await asyncio.sleep(max(left - min(REFRESH_S, left * REFRESH_SHARE), AGAIN_S))
            try:
                await self._refresh()
                self.worked()
                again = False
            except Exception as problem:  # noqa: BLE001 - a script's own function; whatever it raises must not end us
                if not self._stopped:
                    self.failed(problem)
                again = True


def about(problem: Exception) -> dict[str, Any]:
    """What an event says of a token that was not replaced."""
    code = problem.code if isinstance(problem, ChatError) else "token_function"
    return {"code": code, "message": f"{type(problem).__name__}: {problem}"}


def claims(token: str) -> dict[str, float]:
    """The times ``exp`` and ``iat`` of a token (RFC 7519 §4.1), as far as they can be read without the secret."""
    try:
        body = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return {name: float(found[name]) for name in ("exp", "iat") if name in found}
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError):
        return {}
