"""Fails: test_ends

Each save gives the list of a user's sessions the life of that session: a brief one shortens it, and the list is gone
while others live.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable

from redis.asyncio import Redis

TTL_S = 300
"""Seconds that a session lives after it was saved."""


class Sessions:
    """The rooms of users who may come back, in Redis: one key for each session, and a list of them for each user."""

    def __init__(self, redis: Redis, ttl_s: int = TTL_S) -> None:
        self._redis = redis
        self._ttl_s = ttl_s

    async def save(self, user: str, rooms: Iterable[str], session_id: str | None = None) -> str:
        """Save the rooms of a user, and give the session's id."""
        if session_id is None:
            session_id = secrets.token_urlsafe()
        key, listed = key_of(user, session_id), list_of(user)
        async with self._redis.pipeline(transaction=True) as together:
            together.set(key, json.dumps(list(rooms)), ex=self._ttl_s)
            together.sadd(listed, key)
            together.expire(listed, self._ttl_s)
            await together.execute()
        return session_id

    async def restore(self, user: str, session_id: object) -> set[str]:
        """The rooms of one of this user's sessions."""
        kept = await self._redis.get(key_of(user, session_id))
        if kept is None:
            raise LookupError("no such session")
        return set(json.loads(kept))

    async def forget(self, user: str) -> None:
        """Sign a user out everywhere."""
        keys = await self._redis.smembers(list_of(user))
        await self._redis.delete(list_of(user), *keys)


def list_of(user: str) -> str:
    """The key of the list of a user's sessions."""
    return f"sessions of {hashlib.sha256(user.encode()).hexdigest()}"


def key_of(user: str, session_id: object) -> str:
    """The key of a session."""
    return list_of(user) + json.dumps(session_id)
