"""What time it is.

What lives here: `Clock`, which everything in the chat that looks at the time is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Clock"]


@dataclass(frozen=True)
class Clock:
    """Two clocks, as functions: one that people set, and one that only goes forward."""

    wall: Callable[[], float] = time.time
    """Seconds since 1970: timestamps, and the ends of tokens."""
    steady: Callable[[], float] = time.monotonic
    """Seconds from any moment on: rates, and how long ago something was."""
