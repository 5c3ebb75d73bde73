"""The commands of ``rtlab`` for the chat: ``serve chat`` and ``token``.

What lives here: one function per command. Everything but click is imported when a command needs it.
"""

from __future__ import annotations

import os
import re

import click

from rtlab.errors import UsageError

__all__ = ["serve_chat", "token"]

SECRET = "RTLAB_SECRET"  # noqa: S105 - the variable's name
"""The environment variable with the secret. Not an option: what stands on a command line, every user of the machine
can read."""
LOOPBACK = "127.0.0.1"
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
    "--host", default=LOOPBACK, show_default=True, metavar="ADDRESS", help="Where to listen; 0.0.0.0 is everywhere."
)
@click.option(
    "--origin", "origins", metavar="URL", multiple=True, help="A site whose pages may connect, besides its own."
)
@click.option(
    "--trusted-proxy", "proxies", metavar="ADDRESS", multiple=True, help="A proxy whose X-Forwarded-For is believed."
)
@click.option(
    "--per-address",
    type=click.IntRange(1),
    default=256,
    show_default=True,
    metavar="N",
    help="Connections of one address; this machine and trusted proxies have no such limit.",
)
@click.option("--dev", is_flag=True, help="For one machine: makes a secret up, and lets in whoever gives a name.")
def serve_chat(
    port: int, host: str, origins: tuple[str, ...], proxies: tuple[str, ...], per_address: int, dev: bool
) -> int:
    """Run the chat until Ctrl-C or SIGTERM.

    The environment variable RTLAB_SECRET is what tokens are signed with: at least 32 bytes. Prints one line, the
    address, once it listens. The log goes to standard error, one JSON object a line; what repeats within ten seconds is
    summed up.

    On SIGTERM it drains: new clients are refused, those that are there are told and have a second, then their
    connections are closed. Requests that are not complete by then do not hold it up. A second SIGTERM skips the second.

    It holds up to 10,000 connections, as far as it may open files, and raises its soft limit of open files towards the
    hard one for that (ulimit -n, ulimit -Hn). When it is full, new clients wait until somebody leaves. The head of
    a request has to arrive within 20 seconds, its body within 45; a connection that sends no request for 20 seconds is
    closed.
    """
    secret = _secret_from_environment(dev)
    if dev and not _is_loopback(host):
        raise click.UsageError(
            f"--dev lets in whoever gives a name, so it listens on this machine only, not on {host}."
        )
    import asyncio
    import logging

    from rtlab.chat import create_app
    from rtlab.chat.log import log_as_json
    from rtlab.chat.program import run
    from rtlab.servers.door.limits import THIS_MACHINE, DoorLimits, raise_descriptor_limit

    log_as_json()
    raise_descriptor_limit()
    app = create_app(secret=secret, origins=origins, dev=dev, trusted_proxies=proxies)
    if not _is_loopback(host):
        logging.getLogger("rtlab.chat").warning("tokens travel in clear: put a proxy with TLS in front")
    limits = DoorLimits(per_address=per_address, exempt=(*THIS_MACHINE, *proxies))
    asyncio.run(run(app, host, port, click.echo, limits=limits))
    return 0


@click.command("token")
@click.argument("username")
@click.option(
    "--expires", type=Duration(), default="1h", show_default=True, help="How long it lasts: 90s, 15m, 1h, 7d."
)
def token(username: str, expires: float) -> int:
    """Print a token for USERNAME, signed with the secret in RTLAB_SECRET."""
    from rtlab.chat import issue_token

    click.echo(issue_token(username, _secret_from_environment(dev=False), expires_s=expires))
    return 0


def _secret_from_environment(dev: bool) -> str:
    """The secret; with `dev` one is made up where there is none.

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
            f"  export {SECRET}=$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')"
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
