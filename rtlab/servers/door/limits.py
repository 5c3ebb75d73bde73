"""How many connections a server holds, and how many of them one address may have.

What lives here: `DoorLimits`, the numbers behind it, and what the operating system allows. It must not know what is
served.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from rtlab.errors import UsageError

__all__ = [
    "PER_ADDRESS",
    "RESERVED",
    "SOCKETS",
    "THIS_MACHINE",
    "DoorLimits",
    "descriptor_limit",
    "raise_descriptor_limit",
    "subscriber",
]

SOCKETS = 10_000
"""Connections of one server. One that says nothing costs about 16 KiB in aiohttp: 160 MiB for all of them."""
PER_ADDRESS = 256
"""Connections of one address (IPv6: of one /64, which is what one subscriber gets). A browser has up to six, a class of
a hundred behind one address two or three each. Forty addresses are needed to take every place."""
RESERVED = 128
"""File descriptors that are kept back for files, pipes, databases and whatever else the program opens; a quarter of
them, where there are fewer than four times as many."""
THIS_MACHINE = ("127.0.0.0/8", "::1/128")
"""Whoever connects from this machine can do worse than connect; and so does a proxy that stands on it."""
SUBSCRIBER = 64
"""Bits of an IPv6 address that tell subscribers apart (RFC 6177 §2)."""


@dataclass(frozen=True)
class DoorLimits:
    """How many connections a server takes.

    Raises:
        UsageError: a number is below 1, or an entry of `exempt` is neither an address nor a network.
    """

    sockets: int = SOCKETS
    """Connections in all. At this number accepting pauses, and who comes waits in the kernel's queue."""
    per_address: int = PER_ADDRESS
    """Connections of one address. One more is closed at once, without an answer: nothing is read from it."""
    exempt: tuple[str, ...] = THIS_MACHINE
    """Addresses and networks that `per_address` does not count: this machine, and trusted proxies, whose connections
    are those of many."""

    def __post_init__(self) -> None:
        if self.sockets < 1 or self.per_address < 1:
            raise UsageError(f"Expected at least 1 connection, got {self.sockets} and {self.per_address} per address.")
        _ = self._networks

    @functools.cached_property
    def _networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        try:
            return tuple(ip_network(each) for each in self.exempt)
        except ValueError as error:
            raise UsageError(f"DoorLimits(exempt=…): {error}. Expected addresses or networks.") from None

    def room(self) -> int:
        """Connections that there may be in all, as far as this process may open files."""
        allowed = descriptor_limit()
        return self.sockets if allowed is None else max(1, min(self.sockets, allowed - min(RESERVED, allowed // 4)))

    def counted_as(self, peername: object) -> str | None:
        """Under which name a connection counts: its address, for IPv6 its network; None if it is exempt.

        Args:
            peername: as `socket.socket.accept` gives it.
        """
        if not isinstance(peername, tuple):
            return None  # a Unix socket, whose clients are on this machine
        return self._named(str(peername[0]))

    @functools.cached_property
    def _named(self) -> functools._lru_cache_wrapper[str | None]:
        return functools.lru_cache(maxsize=1024)(self._name)

    def _name(self, written: str) -> str | None:
        address = _parse(written)
        return None if any(address in network for network in self._networks) else _subscriber(address)


def subscriber(address: str) -> str:
    """Under which name whoever has this address counts: the address, for IPv6 the network of one subscriber.

    Args:
        address: as sockets and proxies give it; what is none counts as it is.
    """
    try:
        return _subscriber(_parse(address))
    except ValueError:
        return address


def _parse(written: str) -> IPv4Address | IPv6Address:
    address = ip_address(written.partition("%")[0])  # a link-local address has its interface behind it
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _subscriber(address: IPv4Address | IPv6Address) -> str:
    return str(ip_network((address, SUBSCRIBER), strict=False)) if address.version == 6 else str(address)


def descriptor_limit() -> int | None:
    """How many files this process may open (RLIMIT_NOFILE); None where there is no such limit, as on Windows."""
    try:
        import resource
    except ModuleNotFoundError:
        return None
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def raise_descriptor_limit(wanted: int = SOCKETS + RESERVED) -> int | None:
    """Raise this process's soft limit of open files towards its hard one, as far as it is wanted. Never lowers it.

    Returns:
        What it is now, as `descriptor_limit` gives it.
    """
    before = descriptor_limit()
    if before is None or before >= wanted:
        return before
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
        )
    except (OSError, ValueError):  # macOS allows less than it says
        return before
    return descriptor_limit()
