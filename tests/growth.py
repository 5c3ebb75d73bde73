"""Whether work grows with its input, and no faster: double the input, about double the time.

What lives here: `doubling`, which measures that within one run. It gives a ratio and no time, so that a slow machine
gives the same answer as a fast one.
"""

import gc
import time
from collections.abc import Callable
from typing import Any

__all__ = ["LINEAR", "doubling"]

LINEAR = 3.0
"""What doubling the input may cost: 2 for linear work, and room for caches. Quadratic work gives 4, cubic 8."""
LONG_ENOUGH_S = 0.003
"""CPU time below which a measurement says nothing; the input is doubled until its work takes as long."""
TOO_LONG_S = 0.1
"""CPU time after which the input is doubled no more, so that cubic work is found in a second and not in an hour."""
LARGE = 1 << 14
"""Size to reach all the same: work that is linear and slow hides a quadratic part that is fast, such as a copy of the
rest for each element, until there are many."""
LARGEST = 1 << 16
"""Size at which work that is still not long enough has shown that it grows slowly: its square is four thousand million
steps, which no processor takes in that time."""
TRIES = 4
"""How often a ratio that is too large is measured again before larger sizes are taken. What a neighbour on the same
processor, a cache, or memory that the system has to give first, makes of one try is gone in another."""
DOUBLINGS = 4
"""How often what looks too slow is doubled before it is called so. Linear work takes 16 times as long then, quadratic
work 256 times: a step in the cost, such as the size from which memory comes from the system or leaves a cache, is one
doubling of four, and a neighbour on the same processor would have to make one time five times as long as another."""
MUCH_TOO_LONG_S = 0.3
"""CPU time after which what looks too slow is doubled no more."""
ROUNDS = 3
"""How often that is measured, and the least taken."""
PAUSE_S = 0.2
"""Seconds before it is measured again: a neighbour's burst is over then. Only what looks too slow waits."""


def doubling(make: Callable[[int], Any], work: Callable[[Any], object], at_least: int = LARGE) -> float:
    """How often the time of one input goes into that of one twice as large; 1 for what takes no time to speak of.

    Args:
        make: gives an input of about that size; its time does not count.
        work: is measured, in CPU time of this thread.
        at_least: size that is reached before anything is compared.
    """
    size = 64
    while True:
        took = _time(work, make(size))
        if took >= TOO_LONG_S or (took >= LONG_ENOUGH_S and size >= at_least):
            break
        if size >= max(at_least, LARGEST):
            return 1.0
        size *= 2
    small, large = make(size), make(2 * size)
    less = more = float("inf")
    for _ in range(TRIES):
        less, more = min(less, _time(work, small)), min(more, _time(work, large))
        if more / less < LINEAR:
            return more / less
    ratio = float("inf")
    for _ in range(ROUNDS):
        ratio = min(ratio, _mean_of_doublings(make, work, size))
        if ratio < LINEAR:
            break
        time.sleep(PAUSE_S)
    return ratio


def _mean_of_doublings(make: Callable[[int], Any], work: Callable[[Any], object], size: int) -> float:
    """What each of several doublings costs in the geometric mean."""
    small = make(size)
    first = min(_time(work, small) for _ in range(TRIES))
    for doublings in range(1, DOUBLINGS + 1):
        last = _time(work, make(size << doublings))
        if last >= MUCH_TOO_LONG_S:
            break
    return float((last / first) ** (1 / doublings))


def _time(work: Callable[[Any], object], of: Any) -> float:
    gc.disable()
    try:
        begin = time.thread_time()
        work(of)
        return time.thread_time() - begin
    finally:
        gc.enable()
