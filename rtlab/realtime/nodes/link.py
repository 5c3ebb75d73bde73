"""The way of one process to one Redis: nobody waits for it for long, and everybody knows whether it is there.

What lives here: `RedisLink`, with its bounded pool of connections, its clock and its looks. It must not know what is
asked through it. Redis stopped, frozen, slow, out of memory and read-only are one case for whoever asks:
`RedisUnavailable`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from redis import exceptions as redis_errors
from redis.asyncio import Redis

from rtlab.errors import RedisUnavailable
from rtlab.realtime.nodes.opening import open_redis, primary_of, shown
from rtlab.servers.repeats import RepeatLog

__all__ = ["ANSWER_S", "CONNECTIONS", "IN_TIME", "LOOK_S", "RedisLink", "means_away", "open_redis", "shown"]

Answer = TypeVar("Answer")

ANSWER_S = 2.0
"""Seconds that anybody waits for Redis. It answers within a millisecond; clients give up after 5 s or more."""
LOOK_S = 0.5
"""Seconds between two looks. A Redis that is there again is used again after this and `ANSWER_S` at most."""
CONNECTIONS = 16
"""Connections of one process that asks. Redis works on one request at a time, so more would only queue there."""
KEY_MS = 10_000
"""Milliseconds until the key goes that a look has written."""
AWAY = (
    redis_errors.ConnectionError,
    redis_errors.TimeoutError,
    redis_errors.OutOfMemoryError,
    redis_errors.ReadOnlyError,
    redis_errors.ClusterDownError,
    redis_errors.InvalidResponse,
    OSError,
)
"""What says that Redis does no work at present, whatever is asked of it."""
AWAY_CODES = ("NOREPLICAS", "MISCONF", "BUSY", "LATE", "UNBLOCKED")
"""The same, as the first word of an error that redis-py has no class for."""
IN_TIME = """\
local now = redis.call('TIME')
if now[1] * 1000 + now[2] / 1000 > tonumber(table.remove(ARGV, 1)) then
  return redis.error_reply('LATE Redis came to it when its caller had given up')
end
"""
"""Stands before each script of `RedisLink.act`. What a frozen Redis finds in its sockets when it goes on is older."""

WRITES = "redis.call('SET', table.remove(ARGV, 1), '', 'PX', 10000)\n"
"""Follows `IN_TIME` where replicas are waited for. WAIT covers all that came before the last write of its connection:
so there has to be one, also in a script that only finds out that its work was done before."""
REPLICATED = 0.4
"""The part of `answer_s` that replicas have, which need a millisecond. Twice that fits in: a Redis that does not know a
script by its hash (it was started again) is still waited for once before it is given the text."""


class RedisLink:
    """A Redis that is asked, and looked at.

    Args:
        url: ``redis://``, ``rediss://``, ``valkey://``, ``valkeys://`` or ``unix://``, with the password if it asks for
            one; or ``redis+sentinel://`` and the like (`sentinel`): then it is whoever is the primary.
        answer_s: seconds that anybody waits.
        decode: whether answers are text; bytes if not.

    Raises:
        UsageError: a URL of another kind.
    """

    def __init__(self, url: str, *, answer_s: float = ANSWER_S, decode: bool = True) -> None:
        self.url = url
        self.answer_s = answer_s
        self.up = True
        """Whether Redis did what it was asked when it was last asked or looked at. True until something has failed."""
        self.lost_total = 0
        """How often it was lost."""
        self.problem = ""
        """Why it is not there, for a person."""
        self.since = time.monotonic()
        """When it was lost or found last, as `time.monotonic` says it."""
        self._redis = open_redis(url, CONNECTIONS, answer_s, decode)
        self._looking = open_redis(url, 1, answer_s, decode)
        self._key = f"rtlab:look:{uuid.uuid4().hex}"
        self._logger = RepeatLog(logging.getLogger("rtlab.realtime"))
        self._callbacks: list[Callable[[bool], None]] = []
        self._watching: asyncio.Task[None] | None = None
        self._scripts: set[str] = set()
        self._clock_ms = 0.0
        self._closed = True
        self.open()

    def open(self) -> None:
        """Make it as it was at first, after `aclose`; else nothing. Connects when it is asked."""
        if not self._closed:
            return
        self.up, self.problem, self._closed = True, "", False
        self._looked = asyncio.Event()
        self._now = asyncio.Event()

    def __repr__(self) -> str:
        return f"<RedisLink {shown(self.url)}, {'up' if self.up else f'down: {self.problem}'}>"

    def on_change(self, callback: Callable[[bool], None]) -> None:
        """Call it when Redis is lost (False) and when it is there again (True)."""
        self._callbacks.append(callback)

    async def look(self) -> bool:
        """Wait for the first look, if there was none yet; gives whether Redis is there. Never fails."""
        self._start()
        await self._looked.wait()
        return self.up

    async def ask(self, question: Callable[[Redis], Awaitable[Answer]]) -> Answer:
        """Ask one question: ``await link.ask(lambda redis: redis.get("name"))``.

        Nothing is tried a second time. Whatever was sent may have been done all the same: what must not happen after
        this has failed goes through `act`.

        Raises:
            RedisUnavailable: Redis does not do it, or has not within `answer_s`.
            redis.exceptions.RedisError: it is there, and cannot do this: a mistake of the caller's.
        """
        async with self.asking() as redis:
            return await question(redis)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[Redis]:
        """Ask several questions. All of them together have `answer_s`; errors are those of `ask`."""
        self._start()
        limit = asyncio.timeout(self.answer_s)
        try:
            async with limit:
                await self._looked.wait()
                if not self.up:
                    raise self.unavailable()
                yield self._redis
        except RedisUnavailable:
            raise
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise self.lose(f"no answer within {self.answer_s:g} s") from error
        except (redis_errors.RedisError, OSError) as error:
            if not means_away(error):
                raise
            raise self.lose(str(error) or type(error).__name__) from error

    async def act(
        self, script: str, keys: Sequence[str] = (), arguments: Sequence[Any] = (), *, replicas: int = 0
    ) -> Any:
        """Run a Lua script that does nothing any more once this call has failed because time was up.

        Redis runs it whole or not at all, and looks at its own clock first. So a frozen Redis refuses what waited in
        front of it when it goes on. One case stays: Redis has run the script in time, and its answer was lost.

        With `replicas`, all that Redis has done until the script ended is on so many replicas as well when this comes
        back, also what others had written, and also where the script itself wrote nothing (WAIT,
        https://valkey.io/commands/wait/). A failover then keeps it.

        Args:
            script: with KEYS and ARGV as Redis has them.
            keys: KEYS.
            arguments: ARGV.
            replicas: how many have to have it, besides the primary; 0 waits for none.

        Raises:
            RedisUnavailable: as for `ask`; or it is stored, and fewer replicas than that have it: it may be lost.
            redis.exceptions.ResponseError: the script has failed.
        """
        source = IN_TIME + (WRITES if replicas else "") + script
        sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
        given_up = time.monotonic() + self.answer_s
        async with self.asking() as redis:
            rest = (*keys, self.redis_ms(given_up), *([self._key] if replicas else []), *arguments)
            if replicas:
                return await self._replicated(redis, (sha, source), (len(keys), *rest), replicas)
            try:
                return await redis.evalsha(sha, len(keys), *rest)
            except redis_errors.NoScriptError:
                return await redis.eval(source, len(keys), *rest)

    async def _replicated(self, redis: Redis, script: tuple[str, str], rest: tuple[Any, ...], replicas: int) -> Any:
        """Run a script and WAIT, on one connection: WAIT is about what that one has written."""
        wait_ms = max(1, round(self.answer_s * REPLICATED * 1000))

        async def run(command: str, body: str) -> list[Any]:
            pipeline = redis.pipeline(transaction=False)
            pipeline.execute_command(command, body, *rest)
            pipeline.execute_command("WAIT", replicas, wait_ms)
            return await pipeline.execute(raise_on_error=False)

        sha, source = script
        known = sha in self._scripts
        answer, reached = await (run("EVALSHA", sha) if known else run("EVAL", source))
        if isinstance(answer, redis_errors.NoScriptError):
            answer, reached = await run("EVAL", source)
        self._scripts.add(sha)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(reached, Exception) or reached < replicas:
            self.suspect()
            how_many = f"({reached})" if isinstance(reached, Exception) else f"{reached} of {replicas}"
            raise self.unavailable(
                f"stored, but after {wait_ms / 1000:g} s on {how_many} replicas that it has to reach"
            )
        return answer

    def agrees(self, redis: Redis) -> bool:
        """Whether a client is connected to the server that was looked at last. Only sentinels let that be two.

        A primary that was frozen and replaced still takes what it is sent when it goes on, for some seconds.
        """
        seen, other = primary_of(self._looking), primary_of(redis)
        return seen is None or other is None or seen == other

    def redis_ms(self, moment: float) -> float:
        """A moment of `time.monotonic` on the clock of Redis, in ms since 1970; rather earlier than later."""
        return moment * 1000 + self._clock_ms

    def suspect(self) -> None:
        """Look now: somebody has met a Redis that is away on a connection of its own."""
        self._start()
        self._now.set()

    def unavailable(self, problem: str = "") -> RedisUnavailable:
        """What to raise where Redis was not asked, because it is known to be away."""
        return RedisUnavailable(shown(self.url), problem or self.problem)

    async def aclose(self) -> None:
        """Close all connections. Whoever still asks is told that Redis is not there."""
        self._closed = True
        self.up, self.problem = False, "the link was closed"
        self._looked.set()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
            self._watching = None
        for redis in (self._looking, self._redis):
            with contextlib.suppress(redis_errors.RedisError, OSError):
                await redis.aclose()

    def _start(self) -> None:
        if self._watching is None and not self._closed:
            self._watching = asyncio.create_task(self._watch(), name=f"looks at {shown(self.url)}")

    async def _watch(self) -> None:
        while not self._closed:  # a cancellation in the middle of a look can be lost in redis-py
            self._now.clear()
            await self._look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._now.wait()

    async def _look(self) -> None:
        """Have it write, so that a Redis that is full or read-only is found out too, and read its clock."""
        try:
            async with asyncio.timeout(self.answer_s):
                await self._looking.set(self._key, "", px=KEY_MS)
                asked = time.monotonic()
                seconds, micros = await self._looking.time()
                answered = time.monotonic()
        except TimeoutError:
            self.lose(f"no answer within {self.answer_s:g} s")
        except (redis_errors.RedisError, OSError) as error:
            self.lose(str(error) or type(error).__name__)
        else:
            self._read_clock(seconds * 1000 + micros / 1000, asked * 1000, answered * 1000)
            if not self.up:  # what the pool has from before fails when it is used, and would count as another loss
                await self._redis.connection_pool.disconnect(inuse_connections=False)
            self._found()
        self._looked.set()

    def _read_clock(self, redis_ms: float, asked_ms: float, answered_ms: float) -> None:
        """Between `asked` and `answered` it was `redis_ms` there. The earliest that this allows is what we go by."""
        earliest, latest = redis_ms - answered_ms, redis_ms - asked_ms
        if not earliest <= self._clock_ms <= latest:  # else what we have is as right, and may be more exact
            self._clock_ms = earliest

    def _found(self) -> None:
        if not self.up and not self._closed:
            self.up, self.problem, self.since = True, "", time.monotonic()
            self._logger.log(logging.WARNING, "redis found", "Redis is there again: %s", shown(self.url))
            self._tell()

    def lose(self, problem: str) -> RedisUnavailable:
        """Redis has not done what it was asked: take it for lost until a look shows that it is there.

        Returns:
            The error for whoever has asked.
        """
        error = self.unavailable(problem)
        if self.up:
            self.up, self.problem, self.since = False, problem, time.monotonic()
            self.lost_total += 1
            self._logger.log(logging.ERROR, "redis lost", "Redis is lost: %s; looked at every %g s", error, LOOK_S)
            self._now.set()
            self._tell()
        return error

    def _tell(self) -> None:
        for callback in self._callbacks:
            try:
                callback(self.up)
            except Exception:
                self._logger.exception("redis callback", "a callback of on_change failed")


def means_away(error: Exception) -> bool:
    """Whether an error says that Redis does no work at present, and not that the question was wrong."""
    first = str(error).partition(" ")[0]
    return isinstance(error, AWAY) or (isinstance(error, redis_errors.ResponseError) and first in AWAY_CODES)
