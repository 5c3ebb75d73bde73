"""How a listening socket stops accepting, such that no connection is lost half-made.

What lives here: `stop_accepting`, for every server of rtlab before it is closed. It must not know what is served.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

__all__ = ["stop_accepting"]


async def stop_accepting(listener: socket.socket) -> None:
    """Accept nothing more, and wait until the connections that were accepted have their protocols.

    asyncio accepts in one turn of the loop and makes the protocol in the next. `asyncio.Server.close` between the two
    leaves a socket that nobody closes, and on Python 3.13 a traceback when it is collected.

    Args:
        listener: the socket of an `asyncio.Server`, which is closed after this.
    """
    if listener.fileno() >= 0:
        with suppress(NotImplementedError):  # the event loop of Windows
            asyncio.get_running_loop().remove_reader(listener)
    for _ in range(2):
        await asyncio.sleep(0)
