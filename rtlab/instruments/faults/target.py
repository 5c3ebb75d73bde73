"""What a fault proxy stands in front of, and where clients find the proxy instead.

What lives here: `Target`, read from a URL. It must not know how a proxy works.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from urllib.parse import SplitResult, urlsplit, urlunsplit

from rtlab.errors import UsageError
from rtlab.realtime.nodes.opening import shown

__all__ = ["Addressed", "Target", "read_target"]

USUAL = {"http": 80, "ws": 80, "https": 443, "wss": 443, "redis": 6379, "rediss": 6379, "tcp": 0}
"""The schemes that a proxy knows, and the port that is meant where none is named."""
OVER_TLS = {"https": "http", "wss": "ws", "rediss": "redis"}
"""Those with TLS, and the one that clients speak to the proxy instead."""
HTTP = {"http", "ws", "https", "wss"}
LONGEST_HOST = 253
"""Characters of a host's name (RFC 1035 §2.3.4, as text)."""
LOOPBACK = "127.0.0.1"
"""The only address that a proxy listens on."""


class Addressed(Protocol):
    """A server that says where it listens."""

    @property
    def url(self) -> str:
        """``http://HOST:PORT``, or ``redis://:PASSWORD@HOST:PORT``."""


@dataclass(frozen=True)
class Target:
    """A server over TCP."""

    parts: SplitResult
    """Its URL."""
    host: str
    """A name or an address."""
    port: int
    """Of TCP."""

    @property
    def is_http(self) -> bool:
        """Whether it speaks HTTP, and so perhaps Socket.IO."""
        return self.parts.scheme in HTTP

    @property
    def has_tls(self) -> bool:
        """Whether the proxy speaks TLS to it."""
        return self.parts.scheme in OVER_TLS

    def url_of_proxy(self, port: int) -> str:
        """Where clients find the proxy: the same URL, but for the host, the port and TLS.

        The host is the name localhost where the server's is: aiohttp's clients keep no cookie of an address.
        """
        host = "localhost" if self.host == "localhost" else LOOPBACK
        who, at, _ = self.parts.netloc.rpartition("@")
        scheme = OVER_TLS.get(self.parts.scheme, self.parts.scheme)
        return urlunsplit(self.parts._replace(scheme=scheme, netloc=f"{who}{at}{host}:{port}")).rstrip("/")

    def __str__(self) -> str:
        """Without its password."""
        return shown(urlunsplit(self.parts)).rstrip("/")


def read_target(server: str | Addressed) -> Target:
    """What is meant.

    Raises:
        UsageError: it is no server, and no URL of one.
    """
    url = server if isinstance(server, str) else getattr(server, "url", None)
    if not isinstance(url, str):
        raise UsageError(
            "Expected a server that rtlab.start gave, a cluster, a broker, or a URL like 'http://127.0.0.1:8000' or "
            f"'redis://127.0.0.1:6379'; got {server!r}."
        )
    try:
        parts = urlsplit(url if "://" in url else f"tcp://{url}")
        if parts.scheme.startswith("redis+sentinel"):
            raise UsageError(
                "A proxy cannot stand in front of a group of Redis servers: its sentinels tell clients where the "
                "primary is, and so lead them past the proxy. Give the URL of one of its servers."
            )
        host, port = parts.hostname, parts.port or USUAL[parts.scheme]
        if not (host and port) or len(host) > LONGEST_HOST or not host.isprintable() or " " in host:
            raise ValueError
    except (ValueError, KeyError):
        raise UsageError(
            "Expected a URL like 'http://127.0.0.1:8000', 'redis://127.0.0.1:6379' or '127.0.0.1:9000', got "
            f"{shown(url)[:200]!r}."
        ) from None
    if parts.scheme in HTTP:
        parts = parts._replace(path="", query="", fragment="")
    return Target(parts, host, port)
