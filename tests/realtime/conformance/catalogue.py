"""All behaviours, in the order in which they are listed: each module registers its own."""

from realtime.conformance import events, handshakes, malformed, namespaces, polling, sockets, upgrades
from realtime.conformance.behaviours import BEHAVIOURS

__all__ = ["BEHAVIOURS", "CHAPTERS"]

CHAPTERS = (handshakes, polling, sockets, upgrades, namespaces, events, malformed)
BEHAVIOURS.sort(key=lambda each: [module.__name__ for module in CHAPTERS].index(each.show.__module__))
