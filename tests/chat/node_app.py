"""One node of a chat, in a process of its own that a test kills: what it needs stands in its environment."""

from __future__ import annotations

from aiohttp import web
from chat.serving import GENEROUS

from rtlab.chat import create_app

__all__ = ["generous"]


def generous() -> web.Application:
    """A node without a rate, as a worker of a cluster has it."""
    return create_app(limits=GENEROUS, ping_interval=1)
