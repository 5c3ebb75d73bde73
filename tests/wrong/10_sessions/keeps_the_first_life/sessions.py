"""Fails: test_lives

A session that is saved again ends when the first save said.
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
        again = session_id is not None
        if session_id is None:
            session_id = secrets.token_urlsafe()
        key = keys_of(user) + json.dumps(session_id)
        await self._redis.set(key, json.dumps(list(rooms)), ex=None if again else self._ttl_s, keepttl=again)
        return session_id

    async def restore(self, user: str, session_id: object) -> set[str]:
        """The rooms of one of this user's sessions.

        Raises:
            LookupError: this user has no such session.
        """
        kept = await self._redis.get(keys_of(user) + json.dumps(session_id))
        if kept is None:
            raise LookupError("no such session")
        return set(json.loads(kept))

    async def forget(self, user: str) -> None:
        """Sign a user out everywhere."""
        async for key in self._redis.scan_iter(match=f"{keys_of(user)}*"):
            await self._redis.delete(key)


def keys_of(user: str) -> str:
    """How the keys of a user's sessions begin: of one length, and without a special character, whatever the name."""
    return f"session of {hashlib.sha256(user.encode()).hexdigest()}"
