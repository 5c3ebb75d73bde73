"""Who is at the other end, and which of a proxy's words about that are believed.

What lives here: pure functions of a WSGI environment, an address and the trusted networks. Anybody can write
X-Forwarded-For into a request. It says something only if the one who sent the request is a proxy of ours.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

__all__ = ["real_peer", "set_peer"]

FORWARDED = (
    "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP",
)  # fmt: skip
"""What a proxy says about the request that it passes on."""


def real_peer(remote: str, forwarded_for: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The address of the client.

    Args:
        remote: the address that the request came from.
        forwarded_for: its X-Forwarded-For; each proxy appends the address that it was asked from.
        trusted: our proxies.

    Returns:
        The last address on the way that is not one of our proxies.
    """
    peer = remote
    for hop in reversed([each.strip() for each in forwarded_for.split(",")] if forwarded_for else []):
        if not _is_in(peer, trusted) or not _is_address(hop):
            break
        peer = hop
    return peer


def set_peer(
    environ: MutableMapping[str, Any],
    remote: str,
    port: int,
    scheme: str,
    trusted: Sequence[IPv4Network | IPv6Network],
) -> None:
    """Put the peer into the environment, and take out what a stranger claims about it.

    Args:
        environ: of the request; changed in place.
        remote: the address that the request came from; empty if there is none, as with a Unix socket.
        port: the port there.
        scheme: "http" or "https", as the server itself was asked.
        trusted: our proxies.
    """
    environ["REMOTE_ADDR"] = real_peer(remote, environ.get("HTTP_X_FORWARDED_FOR", ""), trusted)
    environ["REMOTE_PORT"] = str(port if environ["REMOTE_ADDR"] == remote else 0)
    if not _is_in(remote, trusted):
        for name in FORWARDED:
            environ.pop(name, None)
        environ["wsgi.url_scheme"] = scheme


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    if not _is_address(address):
        return False
    parsed = ip_address(address)
    mapped = getattr(parsed, "ipv4_mapped", None)
    return any((mapped or parsed) in network for network in networks)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
