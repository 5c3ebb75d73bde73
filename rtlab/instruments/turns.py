"""Work of many that is done a little at a time, each in its turn: what one of them piles up holds up no other.

What lives here: `Turns`, which calls steps in the event loop, within a budget for each turn of the loop. It must not
know what the steps do.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter

__all__ = ["TURN_S", "Turns"]

TURN_S = 0.002
"""Seconds of work in one turn of the loop, of all who wait together. That is what everybody else in the loop waits for
at most, and one step more. A look at
the sockets takes 0.1 ms."""


class Turns:
    """Steps that wait for their turn."""

    def __init__(self) -> None:
        self._steps: deque[Callable[[], bool]] = deque()
        self._scheduled = False

    def join(self, step: Callable[[], bool]) -> None:
        """Call this from the next turn of the loop on, in turns with the others, until it gives False.

        Args:
            step: does a little, and says whether more is left. It must not raise.
        """
        self._steps.append(step)
        self._schedule()

    def _schedule(self) -> None:
        if self._steps and not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._run)

    def _run(self) -> None:
        self._scheduled = False
        end = perf_counter() + TURN_S
        while self._steps:
            step = self._steps.popleft()
            if step():
                self._steps.append(step)
            if perf_counter() >= end:
                break
        self._schedule()
