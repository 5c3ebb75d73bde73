"""The commands of ``rtlab`` for the chat: ``serve chat`` and ``token``.

What lives here: one function per command. Everything but click is imported when a command needs it.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import click

from rtlab.errors import UsageError

if TYPE_CHECKING:
    from rtlab.scale.arguments import Durability
    from rtlab.scale.nginx_config import Balancing

__all__ = ["serve_chat", "token"]

SECRET = "RTLAB_SECRET"  # noqa: S105 - the variable's name
"""The environment variable with the secret. Not an option: what stands on a command line, every user of the machine
can read."""
LOOPBACK = "127.0.0.1"
BALANCINGS = ("round_robin", "ip_hash", "sticky", "websocket_only")
"""`rtlab.scale.nginx_config.BALANCINGS`, so that --help need not import it."""
DURABILITIES = ("memory", "disk", "replica")
"""`rtlab.scale.arguments.DURABILITIES`, likewise."""
REDIS_URL = "REDIS_URL"
DAY_S = 86400.0
UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class Duration(click.ParamType[float]):
    """``90s``, ``15m``, ``1h``, ``7d``: seconds."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """What was typed, as seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", str(value))
        if not found or float(found[1]) == 0:
            self.fail(f"{value!r} is no duration: expected something like 90s, 15m, 1h or 7d.", param, ctx)
        return float(found[1]) * UNITS_S[found[2]]


@click.command("chat")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="TCP port.  [default: a free one]")
@click.option(
    "--host",
    default=LOOPBACK,
    show_default=True,
    metavar="ADDRESS",
    help="Address to listen on; 0.0.0.0 is every address of this machine.",
)
@click.option(
    "--origin",
    "origins",
    metavar="URL",
    multiple=True,
    help="Another site whose pages may connect, such as https://chat.example. May be repeated.",
)
@click.option(
    "--trusted-proxy",
    "proxies",
    metavar="ADDRESS",
    multiple=True,
    help="A proxy whose X-Forwarded-… headers are believed. May be repeated.",
)
@click.option(
    "--per-address",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    metavar="N",
    help="Most connections of one address. This machine and trusted proxies have no such limit. Not with --workers.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Run so many processes behind nginx, with a Redis that they share.  [default: one process, without nginx]",
)
@click.option(
    "--balancing",
    type=click.Choice(BALANCINGS),
    default="sticky",
    show_default=True,
    help="Which worker gets a request: by a cookie, by the client's address, each in turn (which polling clients do "
    "not survive), or each in turn with polling refused.",
)
@click.option(
    "--redis",
    metavar="URL",
    help="The Redis that workers share, also with those on other hosts; env takes the one in REDIS_URL, whose password "
    "nobody reads on a command line.  [default with --workers: REDIS_URL, else a Valkey of its own]",
)
@click.option(
    "--durability",
    type=click.Choice(DURABILITIES),
    default="memory",
    show_default=True,
    help="With --workers, what their own Redis survives: nothing; a restart, with all it has answered on its disk; or "
    "the loss of its primary, with a replica and three sentinels. With --redis, replica means that a message is "
    "acknowledged once a replica of that one has it, and disk means nothing.",
)
@click.option(
    "--tls-certificate",
    "certificate",
    type=click.Path(exists=True, dir_okay=False),
    help="With --workers: nginx speaks https and wss with this certificate and its chain (PEM).",
)
@click.option(
    "--tls-key", "key", type=click.Path(exists=True, dir_okay=False), help="The private key of that certificate (PEM)."
)
@click.option(
    "--dev",
    is_flag=True,
    help="For this machine only: lets in everybody who gives a name, makes a secret up if RTLAB_SECRET is not set, and "
    "prints how to talk to it from Python.",
)
@click.pass_context
def serve_chat(
    context: click.Context,
    port: int,
    host: str,
    origins: tuple[str, ...],
    proxies: tuple[str, ...],
    per_address: int,
    workers: int | None,
    balancing: Balancing,
    redis: str | None,
    durability: Durability,
    certificate: str | None,
    key: str | None,
    dev: bool,
) -> int:
    """Run the chat until Ctrl-C or SIGTERM.

    Tokens are signed with the secret in the environment variable RTLAB_SECRET, which has at least 32 bytes. Once the
    chat listens, it prints its address. The log goes to standard error, one JSON object a line; lines that repeat
    within ten seconds are summed up.

    On Ctrl-C or SIGTERM it drains: it refuses new clients, tells those that are connected, waits a second, and closes
    their connections. It does not wait for requests that are not complete by then. A second Ctrl-C or SIGTERM ends the
    waiting.

    It holds up to 10,000 connections if it may open as many files; for that it raises its soft limit of open files as
    far as the hard limit allows (ulimit -n, ulimit -Hn). When it is full, new clients wait until another one leaves.
    The head of a request has to arrive within 20 seconds, its body within 45; a connection that sends no request for
    20 seconds is closed.

    With --workers, nginx listens in front of that many processes, one of which that dies is started again. The lines of
    the log say then which process has written them. On several hosts, run `rtlab serve chat --redis URL --host ADDRESS
    --trusted-proxy BALANCER` on each, with the same RTLAB_SECRET, and `rtlab nginx-config --upstream …` prints what the
    balancer needs.
    """
    secret = _secret_from_environment(
        "To try the chat on this machine, leave the secret out: rtlab serve chat --dev", dev
    )
    if dev and not _is_loopback(host):
        raise click.UsageError(
            f"--dev lets in whoever gives a name, so it listens on this machine only, not on {host}."
        )
    _refuse_what_does_not_fit(context, workers)
    url = _redis_url(redis)
    if workers is not None:
        from rtlab.cli.chat_cluster import serve_cluster

        return serve_cluster(
            workers,
            balancing,
            (url, durability),
            secret,
            (certificate, key),
            {"origins": origins, "dev": dev, "trusted_proxies": (*proxies, LOOPBACK)},
            (host, port),
            lambda where: _say_where(where, secret if dev else None),
        )
    import asyncio
    import logging

    from rtlab.chat import create_app
    from rtlab.chat.log import log_as_json
    from rtlab.chat.program import run
    from rtlab.servers.door.limits import THIS_MACHINE, DoorLimits, raise_descriptor_limit

    log_as_json()
    raise_descriptor_limit()
    app = create_app(secret=secret, redis=url, origins=origins, dev=dev, trusted_proxies=proxies)
    if not _is_loopback(host):
        logging.getLogger("rtlab.chat").warning("tokens travel in clear: put a proxy with TLS in front")
    limits = DoorLimits(per_address=per_address, exempt=(*THIS_MACHINE, *proxies))
    asyncio.run(run(app, host, port, lambda url: _say_where(url, secret if dev else None), limits=limits))
    return 0


def _refuse_what_does_not_fit(context: click.Context, workers: int | None) -> None:
    """Raises UsageError for options that would do nothing."""
    given = {
        name for name in context.params if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    }
    if workers is None:
        for name, option in (("balancing", "--balancing"), ("certificate", "--tls-certificate"), ("key", "--tls-key")):
            if name in given:
                raise click.UsageError(f"{option} is for nginx, which is there with --workers N only.")
        if "durability" in given:
            raise click.UsageError("--durability is for the Redis that is started with --workers N only.")
    elif "per_address" in given:
        raise click.UsageError("--per-address does not go with --workers: nginx has the connections, not the workers.")


def _redis_url(redis: str | None) -> str | None:
    """The Redis that was asked for; ``env`` is the one that the environment names."""
    if redis != "env":
        return redis
    url = os.environ.get(REDIS_URL)
    if not url:
        raise click.UsageError(f"--redis env takes the URL from {REDIS_URL}, which is not set.")
    return url


def _say_where(url: str, secret: str | None) -> None:
    """The address; with a secret, also how to talk to the chat from Python."""
    click.echo(url)
    if secret is not None:
        from rtlab.chat import issue_token

        click.echo(
            f"Open it in a browser. In a notebook or in `python -m asyncio`, as alice, for a day:\n"
            f"  import rtlab.chat\n"
            f'  alice = await rtlab.chat.connect("{url}", token="{issue_token("alice", secret, expires_s=DAY_S)}")\n'
            f'  await alice.join("lobby")\n'
            f'  await alice.send("lobby", "hello")'
        )


@click.command("token", short_help="Print a token for a user of the chat.")
@click.argument("username")
@click.option(
    "--expires", type=Duration(), default="1h", show_default=True, help="How long it is valid: 90s, 15m, 1h, 7d."
)
def token(username: str, expires: float) -> int:
    """Print a token for USERNAME, signed with the secret in the environment variable RTLAB_SECRET.

    The chat has to run with the same secret.
    """
    from rtlab.chat import issue_token

    secret = _secret_from_environment(
        "The chat has to have the same one. `rtlab serve chat --dev` prints a token itself."
    )
    click.echo(issue_token(username, secret, expires_s=expires))
    return 0


def _secret_from_environment(hint: str, dev: bool = False) -> str:
    """The secret; with `dev` one is made up where there is none.

    Args:
        hint: what else to do where there is none.
        dev: whether one is made up then.

    Raises:
        UsageError: there is none, or it is too short.
    """
    import secrets

    from rtlab.chat.auth import check_secret

    secret = os.environ.get(SECRET)
    if not secret:
        if dev:
            return secrets.token_urlsafe(32)
        raise click.UsageError(
            f"{SECRET} is not set: expected a secret of at least 32 bytes. Make one and keep it:\n"
            f"  export {SECRET}=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')\n"
            f"{hint}"
        )
    try:
        check_secret(secret)
    except UsageError as error:
        raise click.UsageError(f"{SECRET}: {error}") from None
    return secret


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
