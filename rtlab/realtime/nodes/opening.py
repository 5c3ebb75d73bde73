"""A URL of a Redis, and a client for it that waits for nothing for long.

What lives here: `open_redis`, and what may be shown of a URL. They must not know what is asked.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from rtlab.errors import UsageError
from rtlab.realtime.nodes.sentinel import PrimaryPool, is_sentinel_url, read_sentinel_url

__all__ = ["open_redis", "primary_of", "shown"]

SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
"""What a URL may begin with, and what redis-py calls it."""
SHOWN = {"db", "protocol", "ssl_ca_certs", "ssl_cert_reqs", "ssl_check_hostname"}
"""The parameters of a query whose values may be shown. Any other may be a secret: ``password``, ``ssl_password``."""


def open_redis(url: str, connections: int, answer_s: float, decode: bool) -> Redis:
    """A client with a bounded pool, that tries nothing twice. Connects when it is asked first.

    Raises:
        UsageError: a URL that names no Redis.
    """
    options: dict[str, Any] = {
        "max_connections": connections,
        "timeout": answer_s,
        "socket_timeout": answer_s,
        "socket_connect_timeout": answer_s,
        "decode_responses": decode,
        "retry": Retry(NoBackoff(), 0),
    }
    scheme = url.partition(":")[0]
    if scheme not in SCHEMES and not is_sentinel_url(url):
        known = ", ".join([*SCHEMES, "redis+sentinel"])
        raise UsageError(f"Expected a URL like redis://HOST:PORT or {known}, got {shown(url)!r}.")
    try:
        if is_sentinel_url(url):
            return Redis.from_pool(PrimaryPool(read_sentinel_url(url), **options))
        known_url = SCHEMES[scheme] + url[len(scheme) :]
        pool: BlockingConnectionPool = BlockingConnectionPool.from_url(known_url, **options)
    except ValueError as error:
        raise UsageError(f"{shown(url)!r} is no URL of a Redis: {error}.") from None
    return Redis.from_pool(pool)


def primary_of(redis: Redis) -> tuple[str, int] | None:
    """The server that a client connected to last, where sentinels say which; None where there are none, or before."""
    pool = redis.connection_pool
    return pool.address if isinstance(pool, PrimaryPool) else None


def shown(url: str) -> str:
    """The URL as it may be shown. A password can stand before the host, or in the query."""
    try:
        parts = urlsplit(url)
    except ValueError:  # an address of IPv6 that is none
        return f"{url.partition(':')[0]}:…"
    user, at, host = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    given = parse_qsl(parts.query)
    query = "&".join(f"{key}={value if key in SHOWN else '…'}" for key, value in given)
    query = query or ("…" if parts.query else "")
    return urlunsplit(parts._replace(netloc=f"{name}:…@{host}" if at else host, query=query))
