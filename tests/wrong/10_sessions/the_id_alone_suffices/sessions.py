"""Fails: test_refuses_others

Whoever has an id has the session: the user is not asked.
"""

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
        key = f"session:{json.dumps(session_id)}"
        await self._redis.set(key, json.dumps([user, *rooms]), ex=self._ttl_s)
        return session_id

    async def restore(self, user: str, session_id: object) -> set[str]:
        """The rooms of one of this user's sessions.

        Raises:
            LookupError: this user has no such session.
        """
        kept = await self._redis.get(f"session:{json.dumps(session_id)}")
        if kept is None:
            raise LookupError("no such session")
        return set(json.loads(kept)[1:])

    async def forget(self, user: str) -> None:
        """Sign a user out everywhere."""
        async for key in self._redis.scan_iter(match="session:*"):
            if json.loads(await self._redis.get(key) or "[null]")[0] == user:
                await self._redis.delete(key)
