"""A Redis URL: a client for it that does one thing and says what went wrong.

What lives here: the client that we ask questions with, and what to say where it gets no answer. It must not know who
started the server. What may be shown of a URL that carries a password says `rtlab.realtime.nodes.opening`.

The forms are those of redis-py: ``redis://USER:PASSWORD@HOST:PORT/DB``, ``rediss://`` for TLS, ``unix://``; and for
Redis behind Sentinel, those of `rtlab.realtime.nodes.sentinel`. What TLS
trusts stands in the query: ``rediss://HOST:PORT?ssl_ca_certs=/path/of/ca.pem`` (without it, the CAs of this machine).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError

from rtlab.realtime.nodes.sentinel import PrimaryPool, is_sentinel_url, read_sentinel_url
from rtlab.servers.tls import tls_problem

__all__ = ["client_of", "problem_with", "version_of"]

CONNECTIONS = 8
"""Connections of one client at most. Whoever asks questions here asks them one after the other."""


def client_of(url: str) -> Redis:
    """A client that tries once. With sentinels, it is one of the primary.

    Raises:
        ValueError: the URL is none of the forms above.
    """
    if is_sentinel_url(url):
        options: dict[str, Any] = {
            "decode_responses": True,
            "retry": Retry(NoBackoff(), 0),
            "max_connections": CONNECTIONS,
        }
        return Redis.from_pool(PrimaryPool(read_sentinel_url(url), **options))
    return Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0))


async def version_of(client: Redis) -> str:
    """What answers there, with its version: "Valkey 9.1.2", "Redis 7.0.15"."""
    server = await client.info("server")
    valkey = server.get("valkey_version")
    return f"Valkey {valkey}" if valkey else f"Redis {server['redis_version']}"


def problem_with(error: BaseException, url: str, within_s: float) -> str:
    """Why there was no answer, in one sentence.

    Args:
        error: what redis-py raised, or TimeoutError.
        url: where it was asked.
        within_s: seconds that it had.
    """
    if isinstance(error, AuthenticationError):
        said = str(error).rstrip(".")
        return f"the user and password in the URL are wrong, or it has none and that server wants them ({said})."
    parts = urlsplit(url)
    encrypted = parts.scheme.startswith(("rediss", "valkeys"))
    chain: BaseException | None = error
    while encrypted and chain is not None:
        problem = tls_problem(chain, parts.hostname or "", plain="redis://", trust="ssl_ca_certs in the URL's query")
        if problem:
            return f"{problem}."
        chain = chain.__cause__ or chain.__context__
    said = str(error) or f"no answer within {within_s:g} s"
    hint = ""
    if encrypted and isinstance(error, TimeoutError):
        hint = " A server without TLS waits there for a command: try redis://."
    elif parts.scheme == "redis" and ("onnection closed" in said or "onnection reset" in said):
        hint = " A server with TLS closes such a connection: try rediss://."
    return f"{said.rstrip('.')}.{hint}"
