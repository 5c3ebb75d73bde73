"""The chat as a program: one line when it listens, a log that machines read, and an end in good order.

What lives here: `run`, below the command ``rtlab serve chat``. It must not know how the chat works.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from typing import Any

from aiohttp import web
from pythonjsonlogger.json import JsonFormatter

from rtlab.chat.app import CHAT
from rtlab.chat.chat import DRAIN_S
from rtlab.errors import UsageError
from rtlab.servers.signals import until_signal

__all__ = ["log_as_json", "run"]

SHUTDOWN_S = 5.0
"""Seconds that requests have to end after the connections were closed."""
WANTED = "%(asctime)s %(levelname)s %(name)s %(message)s"


def log_as_json() -> None:
    """Write everything that is logged to standard error, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
    handler.setFormatter(JsonFormatter(WANTED, rename_fields=renamed, datefmt="%Y-%m-%dT%H:%M:%S%z"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)


async def run(app: web.Application, host: str, port: int, say: Callable[[str], None], drain_s: float = DRAIN_S) -> None:
    """Serve until SIGTERM or SIGINT, then drain and go. A second signal goes at once.

    Args:
        app: from `create_app`.
        host: an address of this machine.
        port: a TCP port; 0 takes a free one.
        say: is given the address, once it listens.
        drain_s: seconds between telling clients and closing.

    Raises:
        UsageError: the address cannot be listened on.
    """
    asked = until_signal()
    runner = web.AppRunner(app, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"Cannot listen on {host}, port {port}: {error.strerror or error}.") from None
        name, number = runner.addresses[0][:2]
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
        await runner.cleanup()
