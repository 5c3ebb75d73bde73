"""The chat as one aiohttp application, for whatever hosts it.

What lives here: `create_app`, which puts the parts together, and `CHAT`, the key under which the app has its `Chat`.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from rtlab.chat.app_options import (
    WORKER,
    check_asked,
    check_limits,
    check_list,
    check_name,
    check_stores,
    explained,
    redis_of,
    replicas_of,
    secret_of,
)
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


@explained
def create_app(
    secret: str | None = None,
    *,
    redis: str | None = None,
    min_replicas: int | None = None,
    node: str | None = None,
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

    One process may serve it, or several: those that are given the same Redis are one chat, its nodes. Over all of them
    a room has one history, one order of messages and one list of members, a user comes and leaves once, a session is
    restored wherever its client comes back, and the limits hold, but for rates: what a user does in a second, or how
    many rooms it makes in a minute, each node counts for itself, since asking Redis about every event would cost more
    than most events do. Where a balancer keeps a client on one node, that is what the limit says; else it is that,
    times the nodes. While Redis is away, nobody is let in, and every event that needs it is refused as ``unavailable``.

    Its `Chat` is ``app[rtlab.chat.CHAT]``. To send a notification to everybody who has subscribed to a topic, call
    ``await app[rtlab.chat.CHAT].notify("weather", {"text": "It rains."})`` in the event loop that serves the app.

    Args:
        secret: signs the tokens; at least 32 bytes. `issue_token` makes tokens with it. If not given, it is the
            environment variable RTLAB_SECRET.
        redis: the URL of the Redis that all nodes share: ``redis://127.0.0.1:6379``. If not given, a worker of a
            cluster (RTLAB_WORKER is set) takes the environment variable REDIS_URL; anything else is a chat of one
            process.
        min_replicas: replicas of this Redis that have to have a message before anybody sees it and it is acknowledged;
            0 waits for none. If not given, it is the environment variable RTLAB_REPLICAS of a worker, or 0.
        node: what the log calls this process; RTLAB_WORKER, or host and process id, if not given.
        origins: sites other than this one whose pages may connect: ``https://chat.example``. Never ``*``.
        limits: how much it takes.
        history: where messages are kept; in Redis or, without that, in memory if not given.
        sessions: where the rooms of sessions are kept; the same.
        may_join: an async function that is asked with a user (the token's ``sub``) and a room, and gives whether that
            user may enter; if not given, every user may enter every room.
        may_subscribe: the same for topics.
        dev: offers sign-in by name to everybody who can reach the server, so it is for one machine only; and lets a
            notebook on this machine frame the page.
        trusted_proxies: addresses and networks whose X-Forwarded-… headers are believed. A worker of a cluster
            believes this machine.
        frame_ancestors: sites that may show the page in a frame (Content-Security-Policy, frame-ancestors).
        serializer: "default" or "msgpack", for all clients.
        ping_interval: whole seconds between two heartbeats.
        ping_timeout: seconds that a client has to answer one.
        clock: what time it is; this machine's clocks if not given.

    Returns:
        An app for aiohttp; `rtlab.serve` and `rtlab.start` run it.

    Raises:
        UsageError: there is no secret or it is too short, an origin is none, an option is unknown or cannot be
            honoured.
    """
    secret = secret_of(secret)
    limits = limits if limits is not None else Limits()
    check_limits(limits)
    check_name("node", node)
    check_stores(redis := redis_of(redis), history, sessions)
    replicas = replicas_of(min_replicas, redis)
    shared = None
    if redis is not None:
        from rtlab.chat.node import Node  # and with it redis-py, which a chat of one process does not need

        name = node or os.environ.get(WORKER) or f"{socket.gethostname()}:{os.getpid()}"
        shared = Node(redis, name, limits, replicas)
    for name, given in (
        ("origins", origins),
        ("trusted_proxies", trusted_proxies),
        ("frame_ancestors", frame_ancestors),
    ):
        check_list(name, given)
    for name, question in (("may_join", may_join), ("may_subscribe", may_subscribe)):
        if question is not None:
            check_asked(name, question)
    clock = clock or Clock()
    if WORKER in os.environ:
        trusted_proxies = (*trusted_proxies, *LOOPBACK)  # the balancer of this machine
    if dev:
        trusted_proxies = (*trusted_proxies, *LOOPBACK)  # jupyter-server-proxy, in front of a notebook on Binder
        frame_ancestors = (*frame_ancestors, "'self'", "http://localhost:*", "http://127.0.0.1:*")
    chat = Chat(
        secret,
        limits,
        shared.history if shared else history or MemoryHistory(limits.history, clock.wall, limits.history_bytes),
        shared.sessions if shared else sessions or MemorySessions(clock=clock.steady),
        may_join or _everybody,
        may_subscribe or _everybody,
        clock,
        shared,
        client_manager=shared.manager if shared else None,
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
    if shared is not None:
        app.cleanup_ctx.append(shared.living)  # after `attach`, so that it ends before the manager does
    app.router.add_get("/health", chat.health)
    app.router.add_get("/health/{what:live|ready}", chat.health)
    app.router.add_get("/metrics", chat.metrics)
    add_page(app, dev=dev, frame_ancestors=frame_ancestors)
    if dev:
        add_sign_in(app, secret)
    return app


async def _everybody(_user: str, _where: str) -> bool:
    return True
