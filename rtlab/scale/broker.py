"""The broker: the Valkey that several processes share, ours on a free port or your own through REDIS_URL.

What lives here: how a Valkey is started, how we know that it is ready and that it is the one we started, and how
it is stopped. It must not know what is stored in it or published through it. A server of your own is only
connected to, never stopped and never configured.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from rtlab.errors import ChildError, UsageError
from rtlab.servers import programs, registry
from rtlab.servers.supervisor import Child, Log

__all__ = ["READY_S", "Broker", "open_broker", "start_broker"]

LOOPBACK = "127.0.0.1"
"""The only address that our Valkey listens on. It asks for no password, so it is nobody else's business."""
READY_S = 10.0
"""Seconds until a broker has to answer PING. Ours takes a tenth of one."""
PAUSE_S = 0.01
"""Seconds between two looks at the output of a Valkey that is starting."""
LISTENING = "Ready to accept connections"
"""What Valkey and Redis print once they listen. To connect before would reach whoever else had taken the port."""
ATTEMPTS = 5
"""How many ports are tried. A free port can be lost to another program before Valkey listens on it."""
TAKEN = "Failed listening on port"
"""What Valkey and Redis print when that has happened."""


class Broker:
    """A Valkey or Redis that answers. Made by `start_broker` and `open_broker`."""

    def __init__(self, url: str, what: str, child: Child | None = None) -> None:
        self.url = url
        """For any Redis client: ``redis://127.0.0.1:PORT``, or your REDIS_URL as it is, password included."""
        self.child = child
        """The process, where it is ours."""
        self._what = what
        self._stopped = False

    @property
    def running(self) -> bool:
        """Whether it runs. Your own counts as running until `stop`."""
        return not self._stopped and (self.child is None or self.child.running)

    @property
    def log(self) -> Log:
        """What our Valkey has printed.

        Raises:
            UsageError: the server is your own; we do not have its output.
        """
        if self.child is None:
            raise UsageError(f"{_without_password(self.url)} is a server of your own. Look into its own log.")
        return self.child.log

    async def stop(self) -> None:
        """End our Valkey and remove its files; leave your own alone. A second call does nothing."""
        if not self._stopped:
            self._stopped = True
            registry.forget(self)
            if self.child is not None:
                await self.child.aclose()

    def __repr__(self) -> str:
        alive = "running" if self.child is None else self.child.state
        state = "stopped" if self._stopped else alive
        return f"<Broker {_without_password(self.url)}, {self._what}, {state}>"


async def start_broker(*, name: str | None = None) -> Broker:
    """Start a Valkey that runs until `await broker.stop()`, or connect to the one that REDIS_URL names.

    It keeps nothing on disk. In a notebook, running the same cell again stops what its earlier run had started.

    Args:
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        MissingProgramError: there is no Valkey on this machine, and no REDIS_URL.
        ChildError: Valkey did not come up; the message shows its last lines.
        UsageError: nothing answers at REDIS_URL.
    """
    async with registry.opening(name) as register:
        own = os.environ.get("REDIS_URL")
        broker = await (_connect(own) if own else _start())
        register(broker)
    return broker


@asynccontextmanager
async def open_broker(*, name: str | None = None) -> AsyncIterator[Broker]:
    """A broker for the length of an ``async with`` block. Arguments and errors are those of `start_broker`."""
    broker = await start_broker(name=name)
    try:
        yield broker
    finally:
        await broker.stop()


async def _connect(url: str) -> Broker:
    shown = _without_password(url)
    try:
        client = _client(url)
    except ValueError as error:
        raise UsageError(f"REDIS_URL is {shown!r}: {error}.") from None
    try:
        async with client, asyncio.timeout(READY_S):
            await client.ping()
    except (RedisError, OSError) as error:  # a time-out is an OSError
        problem = str(error) or f"no answer within {READY_S:g} s"
        raise UsageError(
            f"REDIS_URL is {shown}, but PING got no answer there: {problem} "
            "Start that server, or unset REDIS_URL, and the lab starts a Valkey of its own."
        ) from None
    return Broker(url, "your own, named by REDIS_URL")


async def _start() -> Broker:
    program = programs.valkey()
    for _ in range(ATTEMPTS - 1):
        try:
            return await _start_on(_free_port(), program)
        except ChildError as error:
            if not any(TAKEN in line for line in error.tail):
                raise
    return await _start_on(_free_port(), program)


async def _start_on(port: int, program: programs.Program) -> Broker:
    child = Child(
        [*program.command, "--bind", LOOPBACK, "--port", str(port), "--save", "", "--appendonly", "no"],
        name=program.name,
    )
    try:
        async with asyncio.timeout(READY_S):
            while not any(LISTENING in line for line in child.log.tail()):
                if not child.running:
                    raise child.failure()
                await asyncio.sleep(PAUSE_S)
            url = f"redis://{LOOPBACK}:{port}"
            return Broker(url, f"Valkey {await _version(url)}, process {child.pid}", child)
    except BaseException as error:
        await child.aclose()
        if isinstance(error, TimeoutError):
            raise child.failure(f"did not answer PING within {READY_S:g} s") from None
        raise


async def _version(url: str) -> str:
    """The version of the server that answers PING there."""
    async with _client(url) as client:
        await client.ping()
        server = await client.info("server")
        return str(server.get("valkey_version") or server["redis_version"])


def _client(url: str) -> Redis:
    return Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0))


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as listener:
        return int(listener.getsockname()[1])


def _without_password(url: str) -> str:
    """The URL as it may be shown. A password can stand before the host, or in the query."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    return urlunsplit(parts._replace(netloc=f"{name}:…@{host}" if at else host, query="…" if parts.query else ""))
