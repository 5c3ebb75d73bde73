"""One way of several that are measured in turns.

What lives here: `Way`, its rate and its round trips, and its row in a table. It must not know what goes that way.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PERCENTILES", "Way", "percentile_heads"]

PERCENTILES = (50, 90, 99)


@dataclass(frozen=True)
class Way:
    """What was measured on one way."""

    name: str
    per_second: float
    """Messages that were answered in a second, with many of them on the way. The median of the rounds."""
    round_trips_us: tuple[float, ...]
    """Microseconds of each round trip, with one message on the way; sorted."""

    def percentile(self, percent: float) -> float:
        """So many of a hundred round trips took at most this many microseconds."""
        last = len(self.round_trips_us) - 1
        return self.round_trips_us[min(last, int(len(self.round_trips_us) * percent / 100))]

    def row(self, *, width: int, unit_us: float = 1, digits: int = 0) -> str:
        """A line: name, messages/s, the percentiles and the longest, below `percentile_heads`.

        Args:
            width: characters for the name.
            unit_us: microseconds of the unit that round trips are shown in.
            digits: after its point.
        """
        trips = (*(self.percentile(percent) for percent in PERCENTILES), self.round_trips_us[-1])
        figures = "".join(f"{each / unit_us:9.{digits}f}" for each in trips)
        return f"{self.name:{width}}{self.per_second:12,.0f}{figures}"


def percentile_heads() -> str:
    """What stands above the percentiles of a row."""
    return "".join(f"{f'p{percent}':>9}" for percent in PERCENTILES)
