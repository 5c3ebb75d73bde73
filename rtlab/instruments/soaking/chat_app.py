"""The chat as the workers of a soak run it.

What lives here: `create`, the factory in ``rtlab.instruments.soaking.chat_app:create``, and how many messages it keeps.
It must not know which faults come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiohttp import web

__all__ = ["BOUND", "OPTIONS", "create"]

BOUND = 500
"""Messages that each room keeps. A client that is away for ten seconds misses no more at the rate of a soak, so that a
loss is almost never excused; and it comes back over several pages."""
PING_S = 2
"""Whole seconds between two heartbeats, and for the answer to one: a stalled connection is noticed after four."""
OPTIONS: dict[str, Any] = {"ping_interval": PING_S, "ping_timeout": PING_S}
"""Arguments of `rtlab.chat.create_app`, beside its limits."""


def create() -> web.Application:
    """The chat, without a rate: what is refused for its rate only makes a soak slower."""
    from rtlab.chat import Limits, create_app

    limits = Limits(history=BOUND, events_per_s=1e6, burst=1_000_000, new_rooms_per_min=1e6)
    return create_app(limits=limits, **OPTIONS)
