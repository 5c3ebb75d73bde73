"""``rtlab serve chat --workers``: a cluster as a program, from its start to its drain, with all logs in one.

What lives here: `serve_cluster`, which makes what a cluster is given of a command line, and `run_cluster`, which runs
any. They must not know what the chat does.
"""

from __future__ import annotations

import asyncio
import functools
import json
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rtlab.cli.consoles import console_on

if TYPE_CHECKING:
    from rich.console import Console

    from rtlab.scale.arguments import Durability
    from rtlab.scale.certificates import CertificatePair
    from rtlab.scale.cluster import Cluster
    from rtlab.scale.logs import LogLine
    from rtlab.scale.nginx_config import Balancing

__all__ = ["run_cluster", "serve_cluster"]

COLOURS = ("cyan", "magenta", "green", "blue", "yellow", "bright_cyan", "bright_magenta", "bright_green")
"""Of the workers' names, in turns."""


def serve_cluster(
    workers: int,
    balancing: Balancing,
    redis: tuple[str | None, Durability],
    secret: str,
    certificate: tuple[str | None, str | None],
    options: dict[str, Any],
    address: tuple[str, int],
    say: Callable[[str], None],
) -> int:
    """Run the chat in several processes until SIGTERM or SIGINT.

    Args:
        workers: how many.
        balancing: which of them gets a request.
        redis: the URL of their Redis (None takes the environment's, or a Valkey of our own), and what ours survives.
        secret: signs tokens.
        certificate: files with nginx's certificate and its key, both or none.
        options: arguments of `rtlab.chat.create_app`.
        address: host and port that nginx listens on.
        say: is given the address, once all are ready.
    """
    from rtlab.cli.chat_worker import APP, OPTIONS
    from rtlab.scale.launching import start_cluster

    pair = _certificate(*certificate)
    from rtlab.chat import create_app

    create_app(secret=secret, **options)  # a mistake is told here, before there are processes
    logging.getLogger("rtlab.scale").addHandler(logging.NullHandler())  # the cluster's own log says the same, as JSON
    logging.getLogger("rtlab.scale").propagate = False
    redis_url, durability = redis
    if redis_url is not None:
        os.environ["REDIS_URL"] = redis_url
    env = {OPTIONS: json.dumps(options), "RTLAB_SECRET": secret}
    host, port = address
    start = functools.partial(
        start_cluster, APP, workers, balancing, True, pair or False, env, durability=durability, port=port, host=host
    )
    asyncio.run(run_cluster(start, lambda cluster: say(cluster.url)))
    return 0


def _certificate(certificate: str | None, key: str | None) -> CertificatePair | None:
    """The certificate that nginx shows; None for http."""
    if (certificate is None) != (key is None):
        raise click.UsageError("--tls-certificate and --tls-key go together: a certificate needs its key.")
    if certificate is None or key is None:
        return None
    from rtlab.scale.certificates import CertificatePair

    return CertificatePair(ca=b"", certificate=Path(certificate).read_bytes(), key=Path(key).read_bytes())


async def run_cluster(start: Callable[[], Coroutine[Any, Any, Cluster]], say: Callable[[Cluster], None]) -> None:
    """Run a cluster until SIGTERM or SIGINT, then drain and go. A second signal goes at once.

    Args:
        start: starts it.
        say: is given the cluster, once it is ready.

    Raises:
        click.Abort: a signal came before it was ready. Nothing is left then.
    """
    from rtlab.servers.signals import until_signal

    asked = until_signal()
    starting = asyncio.ensure_future(start())
    first: list[asyncio.Future[Any]] = [asked, starting]
    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()
        await asyncio.wait([starting])
        if starting.cancelled() or starting.exception() is not None:
            raise click.Abort
    cluster = starting.result()
    console = console_on(stderr=True)
    following = asyncio.create_task(_follow(cluster, console))
    try:
        say(cluster)
        await asked
        hurried = until_signal()
        stopping = asyncio.ensure_future(cluster.stop())
        ends: list[asyncio.Future[Any]] = [hurried, stopping]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if hurried.done():
            cluster.hurry()
        await stopping
    finally:
        await cluster.stop()
        await following


async def _follow(cluster: Cluster, console: Console) -> None:
    """Print each line of all processes: coloured names on a terminal, JSON objects elsewhere, as of one process."""
    from rich.text import Text

    async for line in cluster.log.follow(lines=1_000):
        if console.is_terminal:
            text = Text(f"{line.name:<8} ", style=_colour(line.name))
            console.print(text.append(f"| {line.text}", style="default"), soft_wrap=True)
        else:
            click.echo(_as_json(line), err=True)


def _colour(name: str) -> str:
    """The same for the same worker; what is not a worker is dim."""
    number = name.rpartition("-")[2]
    return COLOURS[int(number) % len(COLOURS)] if name.startswith("worker-") and number.isdecimal() else "dim"


def _as_json(line: LogLine) -> str:
    """One JSON object: the one that was printed, and who has printed it."""
    try:
        found = json.loads(line.text)
    except (ValueError, RecursionError):
        found = None
    entry = found if isinstance(found, dict) else {"message": line.text}
    return json.dumps({"process": line.name, **entry}, ensure_ascii=False)
