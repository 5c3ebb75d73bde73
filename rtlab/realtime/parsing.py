"""How much of the event loop's time goes into reading large packets, of all clients together.

What lives here: `ParsingLine`, in which they are read one at a time. It must not know what a packet is.

Bytes do not tell what reading them costs: a megabyte of text takes a millisecond, one of ``[],[],[],…`` sixty. So the
time is measured. With one such packet for each of eight clients in every turn of the loop, an honest acknowledgement,
which takes several turns, took a second.
"""

from __future__ import annotations

import asyncio
import gc
from time import perf_counter
from types import TracebackType
from typing import Self

from rtlab.realtime.limits import PARSING_SHARE, TURN_S

__all__ = ["ParsingLine", "ParsingTurn"]


class ParsingLine:
    """One server's line. After `TURN_S` of work it rests, as long as `PARSING_SHARE` wants it."""

    def __init__(self) -> None:
        self.head = asyncio.Lock()
        """Held by whose turn it is."""
        self.spent = 0.0
        """Seconds of work since it rested."""

    def turn(self) -> ParsingTurn:
        """A block in which one packet is read; it begins when those before it are done."""
        return ParsingTurn(self)


class ParsingTurn:
    """The block of `ParsingLine.turn`. Inside, the cyclic collector does not run, whatever is made.

    What a parser makes has no cycles, and is all in use. The collector would look at it again and again while it grows:
    of the time for a megabyte of ``[],[],…`` that is two thirds.
    """

    def __init__(self, line: ParsingLine) -> None:
        self._line = line
        self._began = 0.0
        self._took: float | None = None
        self._collects = False

    async def __aenter__(self) -> Self:
        await self._line.head.acquire()
        self._collects = gc.isenabled()
        gc.disable()
        self._began = perf_counter()
        return self

    def ended(self) -> float:
        """The packet is read. Gives the seconds that it took."""
        if self._took is None:
            self._took = perf_counter() - self._began
            if self._collects:
                gc.enable()
        return self._took

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        line = self._line
        line.spent += self.ended()
        try:
            if line.spent > TURN_S:
                rest, line.spent = line.spent * (1 / PARSING_SHARE - 1), 0.0
                await asyncio.sleep(rest)
        finally:
            line.head.release()
