"""Fails: test_a_cut_leaves_nothing_for_ever

SADD, and then EXPIRE: whoever is killed in between leaves a key for ever.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable

from redis.asyncio import Redis

TTL_S = 300
"""Seconds that a session lives after it was saved."""


class Sessions:
    """The rooms of users who may come back, in Redis: one key for each session."""

    def __init__(self, redis: Redis, ttl_s: int = TTL_S) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    async def save(self, user: str, rooms: Iterable[str], session_id: str | None = None) -> str:
        """Save the rooms of a user, and give the session's id."""
        if session_id is None:
            session_id = secrets.token_urlsafe()
        key = keys_of(user) + json.dumps(session_id)
        await self._redis.delete(key)
        await self._redis.sadd(key, *(json.dumps(room) for room in (None, *rooms)))
        await self._redis.expire(key, self._ttl_s)
        return session_id

    async def restore(self, user: str, session_id: object) -> set[str]:
        """The rooms of one of this user's sessions.

        Raises:
            LookupError: this user has no such session.
        """
        kept = await self._redis.smembers(keys_of(user) + json.dumps(session_id))
        if not kept:
            raise LookupError("no such session")
        return {json.loads(each) for each in kept} - {None}

    async def forget(self, user: str) -> None:
        """Sign a user out everywhere."""
        async for key in self._redis.scan_iter(match=f"{keys_of(user)}*"):
            await self._redis.delete(key)


def keys_of(user: str) -> str:
    """How the keys of a user's sessions begin: of one length, and without a special character, whatever the name."""
    return f"session of {hashlib.sha256(user.encode()).hexdigest()}"
