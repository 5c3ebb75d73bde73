"""The commands of ``rtlab`` for several processes: ``nginx-config``.

What lives here: one function per command. Everything but click is imported when a command needs it.
"""

from __future__ import annotations

import click

__all__ = ["nginx_config"]

BALANCINGS = ("round_robin", "ip_hash", "sticky", "websocket_only")
"""`rtlab.scale.nginx_config.BALANCINGS`, so that --help need not import it."""


@click.command("nginx-config", short_help="Print an nginx.conf for workers on several hosts.")
@click.option(
    "--upstream",
    "upstreams",
    metavar="HOST:PORT",
    multiple=True,
    required=True,
    help="A worker: where `rtlab serve chat` (or any Socket.IO server) listens. Repeat it for each.",
)
@click.option(
    "--balancing",
    type=click.Choice(BALANCINGS),
    default="sticky",
    show_default=True,
    help="Which worker gets a request; see above.",
)
@click.option(
    "--listen",
    metavar="[ADDRESS:]PORT",
    multiple=True,
    help="Where nginx listens. May be repeated, as for IPv6: --listen 443 --listen [::]:443.  "
    "[default: 80; with a certificate 443]",
)
@click.option(
    "--server-name",
    "names",
    metavar="NAME",
    multiple=True,
    help="The site's name, such as chat.example. Other names are not served then. May be repeated.",
)
@click.option("--tls-certificate", metavar="FILE", help="Absolute path of the certificate with its chain, PEM.")
@click.option("--tls-key", metavar="FILE", help="Absolute path of the certificate's key, PEM.")
@click.option("--access-log", metavar="FILE", help="Absolute path. It has no queries: ids of sessions stand there.")
@click.option("--path", default="/socket.io/", show_default=True, metavar="PATH", help="Where Socket.IO is served.")
def nginx_config(
    upstreams: tuple[str, ...],
    balancing: str,
    listen: tuple[str, ...],
    names: tuple[str, ...],
    tls_certificate: str | None,
    tls_key: str | None,
    access_log: str | None,
    path: str,
) -> int:
    """Print a complete nginx.conf that balances Socket.IO and WebSocket over several hosts.

    Comments in it say why each line is there. Nothing is written or started:

    \b
      rtlab nginx-config --upstream 10.0.0.7:8000 --upstream 10.0.0.8:8000 \\
          --server-name chat.example --tls-certificate /etc/ssl/chat.pem \\
          --tls-key /etc/ssl/chat.key > nginx.conf
      nginx -t -c "$PWD/nginx.conf"

    The four balancings:

    \b
      sticky          by a cookie of nginx. Polling works, clients spread evenly.
                      Needs an nginx with that cookie (`rtlab doctor` tells), and
                      clients that keep cookies: browsers do, the client in Node
                      with withCredentials: true.
      ip_hash         by the client's address. Polling works, but all that are
                      behind one router land on one worker.
      websocket_only  each connection to the next worker; polling gets a 400 that
                      says so. Clients need transports: ["websocket"].
      round_robin     each request to the next worker: polling fails.

    None of them lets workers hear of each other's messages: for that they need one Redis.
    """
    from rtlab.errors import UsageError
    from rtlab.scale.nginx_config import check_balancing
    from rtlab.scale.nginx_config import nginx_config as make
    from rtlab.scale.nginx_values import split_address

    if (tls_certificate is None) != (tls_key is None):
        given, missing = ("--tls-certificate", "--tls-key") if tls_key is None else ("--tls-key", "--tls-certificate")
        raise click.UsageError(f"{given} needs {missing} beside it.")
    tls = (tls_certificate, tls_key) if tls_certificate and tls_key else None
    if tls is None and tls_certificate is not None:
        raise click.UsageError("--tls-certificate and --tls-key: expected the paths of two files, got an empty one.")
    try:
        text = make(
            [split_address(each) for each in upstreams],
            balancing=check_balancing(balancing),
            listen=listen or ("443" if tls else "80"),
            server_names=names,
            tls=tls,
            access_log=access_log,
            path=path,
        )
    except UsageError as error:
        raise click.UsageError(str(error)) from None
    click.echo(text, nl=False)
    return 0
