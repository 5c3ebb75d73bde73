"""What can be chosen about an nginx that balances: the way, the limits, and whether it is the lab's own.

What lives here: values, and their checks. They must not know how any of it is written in nginx.conf.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rtlab.errors import UsageError

__all__ = ["BALANCINGS", "COOKIE", "Balancing", "PrivateNginx", "ProxyLimits", "check_balancing"]

Balancing = Literal["round_robin", "ip_hash", "sticky", "websocket_only"]
BALANCINGS: tuple[Balancing, ...] = get_args(Balancing)
COOKIE = "rtlab_worker"
"""The name of the cookie of "sticky"."""


@dataclass(frozen=True)
class ProxyLimits:
    """How much a client may send and how long anybody may take."""

    body_bytes: int = 1024 * 1024
    """Longest request body: one polling POST. python-engineio takes 1,000,000 bytes, so this refuses earlier what is
    refused anyway."""
    head_s: int = 20
    """Seconds in which a request's head has to arrive, and that a connection may wait for the next request."""
    body_s: int = 20
    """Seconds between two pieces of a body, and between two pieces that a client takes of an answer."""
    connect_s: int = 2
    """Seconds until a worker has to accept a connection."""
    silence_s: int = 90
    """Seconds that a worker may be silent. Socket.IO's server speaks every 25 s, and has decided about a dead client
    after 45; this is twice that."""
    retry_s: int = 10
    """Seconds after which a request is not passed to yet another worker."""
    max_fails: int = 3
    """After so many failures within `fail_s` a worker is left alone for `fail_s`. 0: it is tried at each turn."""
    fail_s: int = 5
    connections: int = 16384
    """Of one nginx process: with its client and with a worker, so half as many clients."""
    shutdown_s: int = 3600
    """Seconds that an old nginx process lives on after a reload, for the sake of its open connections."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name == "max_fails" else 1
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(f"{name} is a whole number, at least {least}, got {value!r}.")


@dataclass(frozen=True)
class PrivateNginx:
    """What only the lab's own nginx has: everything in its working directory, and nothing in the background."""

    check_path: str
    """Answers 204. Nobody knows it but who wrote it: so whoever asks for it knows which generation answers."""
    owner: tuple[str, str] | None = None
    """User and group of its processes, where it is started as root, which would otherwise give them to "nobody"."""
    temp_modules: tuple[str, ...] = ("fastcgi", "uwsgi", "scgi")
    """Modules that it has and that would put temporary files elsewhere."""
    processes: int = 2


def check_balancing(balancing: object) -> Balancing:
    """Raises UsageError for what is none of the four."""
    for known in BALANCINGS:
        if balancing == known:
            return known
    raise UsageError(f"balancing is one of {', '.join(map(repr, BALANCINGS))}, got {balancing!r}.")
