"""The chat that a hostile client talks to, in a process of its own, so that its memory can be looked at."""

from __future__ import annotations

from aiohttp import web
from chat.serving import GENEROUS, SECRET

from rtlab.chat import create_app

__all__ = ["by_default", "generous"]


def _chat(**options: object) -> web.Application:
    return create_app(secret=SECRET, ping_interval=1, **options)  # type: ignore[arg-type]


by_default, generous = _chat(), _chat(limits=GENEROUS)
