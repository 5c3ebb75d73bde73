"""What there is to watch in production, as Prometheus reads it.

What lives here: `Metrics`, on a registry of its own, so that two chats in one process do not mix. Labels come from
fixed lists: a client cannot make new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST
"""Of the text that `Metrics.text` gives."""


class Metrics:
    """Counters, and gauges that are read when somebody asks.

    Args:
        gauges: by name, what it says and what reads it.
    """

    def __init__(self, gauges: dict[str, tuple[str, Callable[[], float]]]) -> None:
        self._registry = CollectorRegistry()
        for name, (says, read) in gauges.items():
            self.gauge(name, says, read)
        self._events = Counter("rtlab_chat_events", "Events from clients, by kind.", ["event"], registry=self._registry)
        self._refusals = Counter(
            "rtlab_chat_refusals", "What was refused, by reason.", ["reason"], registry=self._registry
        )

    def gauge(self, name: str, says: str, read: Callable[[], float]) -> None:
        """One more gauge."""
        Gauge(name, says, registry=self._registry).set_function(read)

    def count(self, name: str, says: str, read: Callable[[], float]) -> None:
        """A counter that somebody else keeps."""
        self._registry.register(_ReadCounter(name, says, read))

    def event(self, kind: str) -> None:
        """A client has sent an event."""
        self._events.labels(kind).inc()

    def refusal(self, reason: str) -> None:
        """A connection or an event was refused."""
        self._refusals.labels(reason).inc()

    def text(self) -> bytes:
        """Everything, in Prometheus's text format."""
        return generate_latest(self._registry)


class _ReadCounter(Collector):
    """A counter that is read when somebody asks."""

    def __init__(self, name: str, says: str, read: Callable[[], float]) -> None:
        self._about = name, says
        self._read = read

    def collect(self) -> Iterable[Metric]:
        """What it says now."""
        yield CounterMetricFamily(*self._about, value=self._read())
