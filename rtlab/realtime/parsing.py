"""How much of the event loop's time goes into reading packets, of all clients together.

What lives here: `ParsingLine`, in which whoever has cost much waits before the next packet is read. It must not know
what a packet is.

Bytes do not tell what reading them costs: a megabyte of text takes a millisecond, one of ``[],[],[],…`` a hundred.
So the time is measured. Small packets of clients that have cost little never wait here.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from rtlab.realtime.limits import LARGE_PACKET_BYTES, PARSING_SHARE, TURN_S

__all__ = ["ParsingLine", "without_collecting"]


class ParsingLine:
    """One server's line: one packet at a time, and a rest after each that is as long as `PARSING_SHARE` wants it."""

    def __init__(self) -> None:
        self._head = asyncio.Lock()
        self._free_at = 0.0

    async def wait(self, size: int, spent: float) -> bool:
        """Wait in line, if there is a reason to.

        Args:
            size: bytes of the packet that is to be read.
            spent: seconds that the client's packets have taken since it was last in line.

        Returns:
            Whether there was a reason: the caller reads without awaiting anything before, and calls `took`.
        """
        if size <= LARGE_PACKET_BYTES and spent <= TURN_S:
            return False
        async with self._head:
            delay = self._free_at - asyncio.get_running_loop().time()
            if delay > 0:
                await asyncio.sleep(delay)
        return True

    def took(self, seconds: float) -> None:
        """Whoever was in line has taken so long, with what it had not been in line for before."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now) + seconds * (1 / PARSING_SHARE - 1)


@contextmanager
def without_collecting() -> Iterator[None]:
    """Inside, the cyclic collector does not run, whatever is made.

    What a parser makes has no cycles, and is all in use. The collector would look at it again and again while it grows:
    of the 300 ms for a megabyte of ``[],[],…`` that is 200.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
