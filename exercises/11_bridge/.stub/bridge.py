"""Exercise 11: a bridge between processes. Write the class, then run `rtlab grade 11`."""

from collections.abc import Awaitable, Callable
from typing import Any

CHANNEL = "bridge"
"""The Pub/Sub channel that all bridges of one Redis use."""
ANSWER_S = 2
"""Seconds after which `start` and `publish` have given up."""

Deliver = Callable[[str, str, Any], Awaitable[None]]
"""`async def deliver(room, event, data)`: sends an event to the members that a room has on this process."""


class Bridge:
    """Carries events from each process to all, through Redis Pub/Sub.

    A process has a bridge of its own; a process with two bridges is no different from two processes.

    Args:
        url: of Redis, with the password if there is one: "redis://:password@127.0.0.1:6379".
    """

    def __init__(self, url: str) -> None:
        raise NotImplementedError

    async def start(self, deliver: Deliver) -> None:
        """Listen, and call `deliver(room, event, data)` for each event that any process publishes from then on.

        It returns when Redis has confirmed the subscription. Each event is delivered once on each bridge, also on the
        one that publishes it. Events that one process publishes one after the other are delivered in that order:
        `deliver` has ended with one before it is called for the next.

        `deliver` may raise: the exception is logged (`logging`, with its traceback), `publish` does not raise it, and
        the next event is delivered. Whatever else comes over the channel is skipped: who reaches Redis can publish
        there.

        If Redis goes away, that is logged, as a warning or worse, and the bridge tries again until it is stopped: at
        most ten times a second. It is subscribed again within 2 seconds after Redis is back, however long that took.

        Raises:
            redis.exceptions.RedisError or OSError: there is no Redis, or none that answers within `ANSWER_S`.
                Nothing is left behind then.
        """
        raise NotImplementedError

    async def publish(self, room: str, event: str, data: Any) -> None:
        """Publish an event: `data` is whatever JSON can hold. It works without `start`, too.

        It returns when Redis has taken the event, and not before. With Redis away an event reaches nobody, on no
        process, then or later.

        Raises:
            redis.exceptions.RedisError or OSError: Redis has not taken it, within `ANSWER_S`. One that hangs may
                deliver it later all the same, at most once.
            TypeError: JSON cannot hold the data, says `json.dumps`.
        """
        raise NotImplementedError

    async def stop(self) -> None:
        """End the connections to Redis and whatever runs. It works with Redis away, too, and without `start`.

        When it returns, no `deliver` is running: each has ended or was cancelled.
        """
        raise NotImplementedError
