"""An nginx.conf that balances Socket.IO and WebSocket over several workers, with the reason for each line.

What lives here: the text, as a pure function of what is balanced. It must not start nginx, look at the machine or read
a file. The lab's own nginx and one on a host of its own get the same proxy settings; what differs is in `PrivateNginx`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rtlab.errors import UsageError
from rtlab.scale.nginx_options import (
    BALANCINGS,
    COOKIE,
    Balancing,
    PrivateNginx,
    ProxyLimits,
    check_balancing,
)
from rtlab.scale.nginx_sections import (
    http_section,
    locations_section,
    main_section,
    server_section,
    strangers_section,
    upstream_section,
)
from rtlab.scale.nginx_values import (
    check_cookie,
    check_host,
    check_location,
    check_name,
    check_port,
    quote_path,
    split_address,
)

__all__ = ["BALANCINGS", "COOKIE", "Balancing", "PrivateNginx", "ProxyLimits", "check_balancing", "nginx_config"]


def nginx_config(
    upstreams: Sequence[tuple[str, int]],
    *,
    balancing: Balancing,
    listen: Sequence[str] | str,
    server_names: Sequence[str] = (),
    tls: tuple[str, str] | None = None,
    access_log: str | None = None,
    path: str = "/socket.io/",
    cookie: str = COOKIE,
    limits: ProxyLimits | None = None,
    private: PrivateNginx | None = None,
) -> str:
    """The text of a whole nginx.conf.

    Args:
        upstreams: host and port of each worker.
        balancing: "round_robin": each request to the next one, which only WebSocket clients survive. "ip_hash": by the
            client's address. "sticky": by a cookie. "websocket_only": round robin, and polling is refused.
        listen: ports or addresses with ports: "80", "127.0.0.1:8080", "[::]:443".
        server_names: names of the site; other names get 421. Without any, every name is served.
        tls: paths of the certificate with its chain and of the key, absolute unless `private` is given.
        access_log: absolute path, or None for no log.
        path: where Socket.IO is served.
        cookie: name of the cookie of "sticky".
        limits: other than `ProxyLimits` has.
        private: for the lab's own nginx.

    Raises:
        UsageError: one of these could not stand in the file.
    """
    check_balancing(balancing)
    limits = limits or ProxyLimits()
    listen = [listen] if isinstance(listen, str) else list(listen)
    if not upstreams or not listen:
        raise UsageError(f"nginx needs upstreams and an address to listen on, got {upstreams!r} and {listen!r}.")
    servers = [f"{check_host(host)}:{check_port(port)}" for host, port in upstreams]
    if len(set(servers)) < len(servers):
        raise UsageError(f"An upstream is named twice: {', '.join(servers)}.")
    addresses = [_listen(each) for each in listen]
    names = [check_name(each) for each in server_names]
    log = quote_path(access_log, "The access log") if access_log else None
    files = None
    if tls:
        certificate, key = (quote_path(each, "A certificate or key", relative=private is not None) for each in tls)
        files = (certificate, key)
    where = check_location(path)
    ssl = " ssl" if tls else ""
    parts = [
        main_section(limits, private),
        http_section(limits, "access.log" if private else log, polling=balancing == "websocket_only"),
        upstream_section(servers, balancing, limits, check_cookie(cookie), secure=tls is not None),
        strangers_section(addresses, ssl) if names else "",
        server_section(addresses, ssl, names, files, limits),
        locations_section(where if balancing == "websocket_only" else None, private),
    ]
    return "\n".join(part for part in parts if part)


def _listen(text: str) -> str:
    host, port = split_address(text, "An address to listen on", host="*")
    return str(port) if host == "*" else f"{host}:{port}"
