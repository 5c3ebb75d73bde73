"""The chat as a program: one line when it listens, a log that machines read, and an end in good order.

What lives here: `run`, below the command ``rtlab serve chat``. It must not know how the chat works.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from typing import Any

import aiohttp
from aiohttp import web

from rtlab.chat.app import CHAT
from rtlab.chat.chat import DRAIN_S
from rtlab.errors import UsageError
from rtlab.servers.door.http import HttpHost
from rtlab.servers.door.limits import DoorLimits
from rtlab.servers.signals import until_signal

__all__ = ["run"]

WHO_S = 1.0
"""Seconds that whoever has a port has to say whether it is a chat."""
SHUTDOWN_S = 0.5
"""Seconds that requests have to end after the connections were closed; then whoever reads a body is told that it ends,
and has as long again. Honest clients have had the time of the drain."""


async def run(
    app: web.Application,
    host: str,
    port: int,
    say: Callable[[str], None],
    drain_s: float = DRAIN_S,
    limits: DoorLimits | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT, then drain and go. A second signal goes at once.

    Args:
        app: from `create_app`.
        host: an address of this machine, or its name.
        port: a TCP port; 0 takes a free one.
        say: is given the address, once it listens.
        drain_s: seconds between telling clients and closing.
        limits: how many connections there may be; `DoorLimits()` if not given.

    Raises:
        UsageError: the address cannot be listened on.
    """
    asked = until_signal()
    listeners = await _listen(host, port)
    served = HttpHost(app, shutdown_s=SHUTDOWN_S, limits=limits)
    try:
        await served.start(listeners)
        name, number = listeners[0].getsockname()[:2]
        say(f"http://{f'[{name}]' if ':' in name else name}:{number}")
        await asked
        hurried = until_signal()
        drained = asyncio.ensure_future(app[CHAT].drain(drain_s))
        ends: list[asyncio.Future[Any]] = [drained, hurried]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        app[CHAT].hurry()
        await drained
        hurried.cancel()
    finally:
        await served.close()
        for listener in listeners:
            listener.close()


async def _listen(host: str, port: int) -> Sequence[socket.socket]:
    """Sockets for every address of a name, on one port.

    Raises:
        UsageError: there is none that can be listened on.
    """
    loop = asyncio.get_running_loop()
    listeners: list[socket.socket] = []
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            here = (address[0], port, *address[2:])
            try:
                listeners.append(socket.create_server(here, family=family))
            except OSError as error:
                if error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT} or address is found[-1][4]:
                    raise
            else:
                port = listeners[0].getsockname()[1]
    except OSError as error:
        for listener in listeners:
            listener.close()
        raise UsageError(await _why_not(host, port, error)) from None
    return listeners


async def _why_not(host: str, port: int, error: OSError) -> str:
    """What is in the way of listening, and what to do."""
    if error.errno == errno.EADDRINUSE:
        who = "another chat of rtlab" if await _is_chat(host, port) else "another program"
        return f"Port {port} of {host} is taken by {who}: end it, or choose another port (--port 0 takes a free one)."
    if error.errno == errno.EACCES:
        return f"You may not listen on port {port} of {host}: choose one above 1023 (--port 0 takes a free one)."
    return f"Cannot listen on {host}, port {port}: {error.strerror or error}."


async def _is_chat(host: str, port: int) -> bool:
    """Whether a chat answers on a port."""
    anywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104 - what was asked for
    name = anywhere.get(host, f"[{host}]" if ":" in host else host)
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=WHO_S)) as client,
            client.get(f"http://{name}:{port}/health") as answer,
        ):
            return set(await answer.json()) == {"live", "ready"}
    except (aiohttp.ClientError, TimeoutError, ValueError, TypeError):
        return False
