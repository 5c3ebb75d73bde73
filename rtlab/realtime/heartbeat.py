"""The heartbeat of one session: who is silent for too long is gone (Engine.IO protocol v4, Heartbeat).

What lives here: two timers of the event loop. It must not know what a session is. python-engineio looks at all its
sessions in turn, which finds a dead one up to a whole time-out late; a timer for each finds it on time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["Heartbeat"]


class Heartbeat:
    """Asks for a sign of life every now and then.

    Args:
        interval_s: seconds from a sign of life to the next ping.
        timeout_s: seconds that the answer may take.
        ping: says ping.
        lost: is called once, when no answer came.
    """

    __slots__ = ("_interval_s", "_lost", "_ping", "_timeout_s", "_timer", "_waiting")

    def __init__(self, interval_s: float, timeout_s: float, ping: Callable[[], None], lost: Callable[[], None]) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ping = ping
        self._lost = lost
        self._timer: asyncio.TimerHandle | None = None
        self._waiting = False

    def start(self) -> None:
        """Begin. The first ping comes after a whole interval."""
        self._waiting = False
        self._timer = asyncio.get_running_loop().call_later(self._interval_s, self._beat)

    def pong(self) -> None:
        """The peer has answered. An answer that nobody asked for counts for nothing."""
        if self._waiting:
            self.stop()
            self.start()

    def stop(self) -> None:
        """End."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def release(self) -> None:
        """Let go of those to be told."""
        self.stop()
        self._ping = self._lost = _nothing

    def _beat(self) -> None:
        self._waiting = True
        self._timer = asyncio.get_running_loop().call_later(self._timeout_s, self._lost)
        self._ping()


def _nothing() -> None:
    """Nobody is left to be told."""
