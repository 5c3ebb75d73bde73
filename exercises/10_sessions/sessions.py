"""Exercise 10: sessions that survive a connection. Write the class, then run `rtlab grade 10`."""

from collections.abc import Iterable

from redis.asyncio import Redis

TTL_S = 300
"""Seconds that a session lives after it was saved."""


class Sessions:
    """The rooms of users who may come back, in Redis.

    Nothing of it is kept in this process: any other process with the same Redis restores what this one has saved.
    Several objects may share one Redis, each with a `ttl_s` of its own. What redis-py raises goes through as it is:
    no answer from Redis does not mean that there is no such session.

    Args:
        redis: made with ``decode_responses=True``, so it answers in texts.
        ttl_s: whole seconds that a session lives.
    """

    def __init__(self, redis: Redis, ttl_s: int = TTL_S) -> None:
        raise NotImplementedError

    async def save(self, user: str, rooms: Iterable[str], session_id: str | None = None) -> str:
        """Save the rooms of a user, and give the session's id.

        User and rooms are any texts that UTF-8 can hold: an empty one, and one with colons, stars or commas, too. There
        may be no room at all. `rooms` may be a generator.

        Without `session_id` this is a new session. Its id has 64 random bits or more, and does not hold the user's
        name. With one, which an earlier `save` for this user has returned, it is that session again: the rooms are
        replaced, its life begins anew, and an expired session is there again. (The server remembers that id. No client
        names it.)

        Each session lives for `ttl_s` seconds after its own last save, whatever else is saved. Then nothing of it is
        left in Redis. That holds in every case: when the connection to Redis breaks in the middle of `save`, no key may
        be left without a life.
        """
        raise NotImplementedError

    async def restore(self, user: str, session_id: object) -> set[str]:
        """The rooms of one of this user's sessions.

        The session stays as it is: it can be restored again (the client may not have heard the answer), and lives no
        longer for that.

        Args:
            user: who asks, as the server knows from the token.
            session_id: whatever a client has sent: most likely a text, possibly anything that JSON can hold.

        Raises:
            LookupError: this user has no such session. It says the same where the session has expired, belongs to
                another user, or never was.
        """
        raise NotImplementedError

    async def forget(self, user: str) -> None:
        """Sign a user out everywhere: none of the user's sessions can be restored any more. Nobody else's is touched.

        What is saved afterwards is a session like any other.
        """
        raise NotImplementedError
