"""The chat as one aiohttp application, for whatever hosts it.

What lives here: `create_app`, which puts the parts together, and `CHAT`, the key under which the app has its `Chat`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from rtlab.chat.auth import check_secret
from rtlab.chat.chat import Chat
from rtlab.chat.clock import Clock
from rtlab.chat.limits import Limits
from rtlab.chat.origins import Origins
from rtlab.chat.page import add_page
from rtlab.chat.rooms import May
from rtlab.chat.sign_in import add_sign_in
from rtlab.chat.stores.memory import MemoryHistory, MemorySessions
from rtlab.chat.stores.protocols import History, Sessions
from rtlab.realtime import Guards
from rtlab.servers.door.bodies import refuse_encoded_bodies
from rtlab.servers.draining import DRAIN

__all__ = ["CHAT", "create_app"]

LOOPBACK = ("127.0.0.1", "::1")
CONNECT_TIMEOUT_S = 20.0
"""Seconds in which a client shows its token. Node gives 45, to clients that have nothing to show."""
PACKETS_PER_EVENT = 10
"""Packets of a connection for each event that it may send: those over the rate are answered, far more are not read."""
BYTES_PER_S = 512.0 * 1024
"""Bytes of a connection per second. The longest message has 12 kB, and 20 of them may come in a second."""

CHAT = web.AppKey("rtlab.chat", Chat)
"""Where an app that `create_app` made has its `Chat`: ``app[rtlab.chat.CHAT]``."""


def create_app(
    *,
    secret: str,
    origins: Sequence[str] = (),
    limits: Limits | None = None,
    history: History | None = None,
    sessions: Sessions | None = None,
    may_join: May | None = None,
    may_subscribe: May | None = None,
    dev: bool = False,
    trusted_proxies: Sequence[str] = (),
    frame_ancestors: Sequence[str] = (),
    serializer: Any = "default",
    ping_interval: float = 25,
    ping_timeout: float = 20,
    clock: Clock | None = None,
) -> web.Application:
    """A chat: Socket.IO, the page, ``/health`` and ``/metrics``.

    Args:
        secret: signs the tokens; at least 32 bytes. `issue_token` makes tokens with it.
        origins: sites other than this one whose pages may connect: ``https://chat.example``. Never ``*``.
        limits: how much it takes.
        history: where messages are kept; in memory if not given.
        sessions: where the rooms of sessions are kept; in memory if not given.
        may_join: asked with a user (the token's ``sub``) and a room; everybody may enter every room if not given.
        may_subscribe: the same for topics.
        dev: offers sign-in by name to whoever asks, which is for one machine only, and lets a notebook beside it frame
            the page.
        trusted_proxies: addresses and networks whose X-Forwarded-… headers are believed.
        frame_ancestors: sites that may show the page in a frame (Content-Security-Policy, frame-ancestors).
        serializer: "default" or "msgpack", for all clients.
        ping_interval: whole seconds between two heartbeats.
        ping_timeout: seconds that a client has to answer one.
        clock: what time it is; this machine's clocks if not given.

    Returns:
        An app for aiohttp; `rtlab.serve` and `rtlab.start` run it.

    Raises:
        UsageError: the secret is too short, an origin is none, or an option cannot be honoured.
    """
    check_secret(secret)
    limits, clock = limits or Limits(), clock or Clock()
    if dev:
        trusted_proxies = (*trusted_proxies, *LOOPBACK)  # jupyter-server-proxy, in front of a notebook on Binder
        frame_ancestors = (*frame_ancestors, "'self'", "http://localhost:*", "http://127.0.0.1:*")
    chat = Chat(
        secret,
        limits,
        history or MemoryHistory(limits.history, clock.wall, limits.history_bytes),
        sessions or MemorySessions(clock=clock.steady),
        may_join or _everybody,
        may_subscribe or _everybody,
        clock,
        cors_allowed_origins=Origins(origins),
        guards=Guards(
            trusted_proxies=trusted_proxies,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            packets_per_s=PACKETS_PER_EVENT * limits.events_per_s,
            bytes_per_s=BYTES_PER_S,
            kept_headers=(),
        ),
        serializer=serializer,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
        max_http_buffer_size=limits.payload_bytes,
    )
    app = web.Application(middlewares=[refuse_encoded_bodies, chat.gate])
    app[CHAT] = chat
    app[DRAIN] = chat.drain
    app.on_shutdown.append(chat.drain_at_shutdown)  # for other hosts; before the sessions are closed, which attach adds
    chat.sio.attach(app)
    app.router.add_get("/health", chat.health)
    app.router.add_get("/health/{what:live|ready}", chat.health)
    app.router.add_get("/metrics", chat.metrics)
    add_page(app, dev=dev, frame_ancestors=frame_ancestors)
    if dev:
        add_sign_in(app, secret)
    return app


async def _everybody(_user: str, _where: str) -> bool:
    return True
