"""The rooms of sessions in Redis: restored on any node, for a while after the connection has ended.

What lives here: `RedisSessions` and its scripts. It must not know sockets. What it keeps, key by key, stands in
`redis_keys`.

A session lives `LIFE_S` from the last moment at which its client was connected. When a connection ends, its node says
so. A node that was killed says nothing: while a client is connected, its session is renewed every `RENEW_S`, and lives
so much longer.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from typing import Any

from rtlab.chat.stores.memory import LIFE_S, SESSIONS_OF_ONE
from rtlab.chat.stores.protocols import Saved
from rtlab.chat.stores.redis_keys import COMMON, PREFIX
from rtlab.chat.stores.redis_link import EventLink
from rtlab.errors import RedisUnavailable

__all__ = ["OWED", "RENEW_S", "RedisSessions"]

RENEW_S = 10.0
"""Seconds between two renewals of the session of a client that is connected."""
OWED = 10_000
"""Sessions that ended while Redis was away, and that are saved when it is there again: as many as there are
connections. Nobody comes in meanwhile."""
AT_ONCE = 200
"""Sessions that one script renews: 200 take Redis a millisecond."""

SAVE = (
    COMMON
    + """
local user, digest, packed, life_ms, longest_ms, most = unpack(ARGV)
local own, now = P .. 'sessions:' .. user, milliseconds()
redis.call('SET', P .. 'session:' .. digest, packed, 'PX', life_ms)
redis.call('ZREMRANGEBYSCORE', own, '-inf', now)
redis.call('ZADD', own, now + life_ms, digest)
redis.call('PEXPIRE', own, longest_ms)
for _, oldest in ipairs(redis.call('ZRANGE', own, 0, -1 - most)) do
  redis.call('ZREM', own, oldest)
  redis.call('DEL', P .. 'session:' .. oldest)
end
"""
)
RENEW = (
    COMMON
    + """
local longest_ms, missing, now = ARGV[1], {}, milliseconds()
for number = 2, #ARGV, 2 do
  local user, digest = ARGV[number], ARGV[number + 1]
  if redis.call('PEXPIRE', P .. 'session:' .. digest, longest_ms) == 1 then
    redis.call('ZADD', P .. 'sessions:' .. user, now + longest_ms, digest)
    redis.call('PEXPIRE', P .. 'sessions:' .. user, longest_ms)
  else
    table.insert(missing, number / 2 - 1)
  end
end
return missing
"""
)


class RedisSessions:
    """`Sessions` in Redis, at most `SESSIONS_OF_ONE` of one user: those that end first make way.

    Args:
        link: the way to Redis.
        life_s: seconds that each is kept after its connection has ended.
    """

    def __init__(self, link: EventLink, life_s: float = LIFE_S) -> None:
        self._link = link
        self._life_s = life_s
        self._owed: dict[tuple[str, str], tuple[float, Saved]] = {}
        """What could not be saved, and when its connection ended."""

    async def save(self, user: str, session_id: str, rooms: Saved) -> None:
        """As `Sessions` says: its connection has ended. Where Redis is away, `pay` does it later."""
        ended = time.monotonic()
        try:
            await self._save(user, session_id, rooms, self._life_s)
        except BaseException as error:
            if len(self._owed) < OWED:
                self._owed[user, session_id] = ended, rooms
            if not isinstance(error, RedisUnavailable):
                raise

    async def pay(self) -> None:
        """Save what could not be saved. Raises RedisUnavailable."""
        for (user, session_id), (ended, rooms) in list(self._owed.items()):
            left = self._life_s - (time.monotonic() - ended)
            if left > 0:
                await self._save(user, session_id, rooms, left)
            self._owed.pop((user, session_id), None)

    async def keep(self, user: str, session_id: str, rooms: Saved) -> None:
        """The same for one that is connected. Raises RedisUnavailable."""
        await self._save(user, session_id, rooms, self._life_s + RENEW_S)

    async def renew(self, sessions: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """Keep sessions of clients that are still connected for longer.

        Args:
            sessions: users and ids.

        Returns:
            Those that are not there, and have to be kept anew.

        Raises:
            RedisUnavailable: some may not be renewed.
        """
        missing = []
        for start in range(0, len(sessions), AT_ONCE):
            some = sessions[start : start + AT_ONCE]
            names = [text for user, session_id in some for text in (user, _digest(user, session_id))]
            gone = await self._link.act(RENEW, [PREFIX], [self._longest_ms, *names])
            missing += [some[number] for number in gone]
        return missing

    async def restore(self, user: str, session_id: str) -> Saved | None:
        """As `Sessions` says. Raises RedisUnavailable."""
        name = f"{PREFIX}session:{_digest(user, session_id)}"
        packed: Any = await self._link.ask(lambda redis: redis.get(name))
        return None if packed is None else Saved(*map(frozenset, json.loads(packed)))

    @property
    def _longest_ms(self) -> int:
        return int((self._life_s + RENEW_S) * 1000)

    async def _save(self, user: str, session_id: str, rooms: Saved, life_s: float) -> None:
        packed = json.dumps([sorted(rooms.chat), sorted(rooms.plain)], ensure_ascii=False, separators=(",", ":"))
        arguments = [user, _digest(user, session_id), packed, int(life_s * 1000), self._longest_ms, SESSIONS_OF_ONE]
        await self._link.act(SAVE, [PREFIX], arguments)


def _digest(user: str, session_id: str) -> str:
    """What a session is called: of both, so that nobody finds somebody else's, whatever they call themselves or ask."""
    return hashlib.blake2b(json.dumps([user, session_id]).encode(), digest_size=20).hexdigest()
