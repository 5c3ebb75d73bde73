"""The smallest history that shows a problem.

What lives here: `smallest`, which takes events away as long as what is left is judged in the same way. It must not know
the guarantees: it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rtlab.instruments.checking.happenings import Happening

__all__ = ["smallest"]


def smallest(
    evidence: Sequence[Happening], everything: Sequence[Happening], shows: Callable[[Sequence[Happening]], bool]
) -> tuple[Happening, ...]:
    """Events that show a problem, of which none can be left out.

    Args:
        evidence: a few events that very likely show it.
        everything: events that surely do.
        shows: whether events show it.
    """
    events = list(evidence)
    if not shows(events):
        events = list(everything)
        size = len(events) // 2
        while size > 1:  # whole parts first: there may be many
            events = _without_parts(events, size, shows)
            size //= 2
    left = -1
    while left != len(events):  # what could not go while another was there may be able to now
        left = len(events)
        events = _without_parts(events, 1, shows)
    return tuple(events)


def _without_parts(events: list[Happening], size: int, shows: Callable[[Sequence[Happening]], bool]) -> list[Happening]:
    """The events without each part of this size that is not needed."""
    start = 0
    while start < len(events):
        fewer = events[:start] + events[start + size :]
        if shows(fewer):
            events = fewer
        else:
            start += size
    return events
