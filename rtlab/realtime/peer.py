"""Who is at the other end, and which of a proxy's words about that are believed.

What lives here: pure functions of a WSGI environment, an address and the trusted networks. Anybody can write
X-Forwarded-For into a request. It says something only if the one who sent the request is a proxy of ours.
"""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

__all__ = ["HOPS", "real_peer", "set_peer"]

FORWARDED = (
    "HTTP_FORWARDED", "HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_HOST", "HTTP_X_FORWARDED_PORT",
    "HTTP_X_FORWARDED_PROTO", "HTTP_X_REAL_IP",
)  # fmt: skip
"""What a proxy says about the request that it passes on."""


HOPS = 16
"""Elements of an X-Forwarded-For that are looked at, from its end. Chains of proxies have two or three; a client may
write thousands in front of theirs."""
LONGEST_HOP = 64
"""Characters of an element: an IPv6 address has 45 at most, a port and brackets 8."""


def real_peer(remote: str, forwarded_for: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The address of the client.

    Args:
        remote: the address that the request came from.
        forwarded_for: its X-Forwarded-For; each proxy appends the address that it was asked from.
        trusted: our proxies.

    Returns:
        The last address on the way that is not one of our proxies: normalised, without port and zone, IPv4 where it
        was mapped into IPv6. `remote` as it is if that is no address.
    """
    peer = _address(remote.partition("%")[0])  # the zone names an interface of ours, not the peer
    if peer is None:
        return remote
    for hop in reversed(forwarded_for.rsplit(",", HOPS)[-HOPS:]):
        if not any(peer in network for network in trusted):
            break
        address = _address_of_hop(hop.strip())
        if address is None:
            break
        peer = address
    return str(peer)


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
    environ["REMOTE_PORT"] = str(port if environ["REMOTE_ADDR"] == real_peer(remote, "", ()) else 0)
    if not _is_in(remote, trusted):
        for name in FORWARDED:
            environ.pop(name, None)
        environ["wsgi.url_scheme"] = scheme


def _is_in(address: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    parsed = _address(address.partition("%")[0])
    return parsed is not None and any(parsed in network for network in networks)


def _address_of_hop(hop: str) -> IPv4Address | IPv6Address | None:
    """An element of X-Forwarded-For. Some proxies append the port: ``192.0.2.1:4711``, ``[2001:db8::1]:4711``.

    None for whatever else there may be: names ("unknown", "_hidden", RFC 7239 §6), and addresses with a zone, which
    means something to the host that wrote it only.
    """
    if len(hop) > LONGEST_HOP:
        return None
    address, port = hop, ""
    if hop.startswith("["):
        address, bracket, rest = hop[1:].partition("]")
        if not bracket or ":" not in address or (rest and not rest.startswith(":")):
            return None
        port = rest[1:] if rest else "0"
    elif hop.count(":") == 1:
        address, _, port = hop.partition(":")
    if address != hop and not (port.isascii() and port.isdigit()):
        return None
    return None if "%" in address else _address(address)


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(text)
    except ValueError:
        return None
    return getattr(parsed, "ipv4_mapped", None) or parsed
