"""What asks a program to end: SIGINT (Ctrl-C) and SIGTERM (a supervisor, a container, `kill`).

What lives here: `until_signal`, for every program of rtlab that runs until it is told to stop. It must not know what
ends then: on SIGTERM a program leaves its ``await until_signal()``, and whatever it has opened is closed as usual. How
an app drains is its own business, however it is served (see `draining`).
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

__all__ = ["until_signal"]


def until_signal() -> asyncio.Future[int]:
    """A future for the next SIGINT or SIGTERM, caught from this call on; its result is the signal's number.

    Signals that come later are caught and do nothing, so that closing is not interrupted; call again to wait for one of
    them. The handlers replace an inherited disposition: a program under ``nohup`` still ends on Ctrl-C.
    """
    loop = asyncio.get_running_loop()
    asked: asyncio.Future[int] = loop.create_future()

    def ask(number: int) -> None:
        if not asked.done():
            asked.set_result(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, ask, number)
    return asked
