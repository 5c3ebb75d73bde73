"""Redis behind Sentinel: who is the primary now, and connections that go to that one only.

What lives here: `SentinelUrl`, which a URL is read into, and `PrimaryPool`, the bounded pool of connections. They must
not know what is asked through them.

A connection is made in three steps, each time anew, since nothing that was true before a failover need be true after
it: the sentinels are asked for the address of the primary, the connection is made, and the server there has to say that
it is a primary (https://redis.io/docs/latest/develop/reference/sentinel-clients/). A server that is made a replica ends
its connections itself; one that was away, and does not know yet that it is no primary any more, is recognised by its
writes: they reach no replica (`RedisLink.act`).

The forms are ``redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT,…/SERVICE/DB``, with ``valkey`` for ``redis`` and
with an s at the end of it for TLS. USER, PASSWORD and DB are those of the servers. What the sentinels ask for stands in
the query: ``?sentinel_username=…&sentinel_password=…``. ``/DB/SERVICE``, as python-socketio has it, is taken too.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from redis import exceptions as redis_errors
from redis.asyncio import BlockingConnectionPool, Connection, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

__all__ = ["MOST_SENTINELS", "SENTINEL_S", "PrimaryPool", "SentinelUrl", "is_sentinel_url", "read_sentinel_url"]

SENTINEL_S = 1.0
"""Seconds that a sentinel has to say who is the primary. It answers within a millisecond; one that is frozen must not
use up the time of the one who asks."""
SENTINEL_PORT = 26379
"""The TCP port of a sentinel, where the URL names none."""
MOST_SENTINELS = 16
"""Sentinels in a URL. All of them are asked at the same time, for each connection that is made."""
SCHEMES = {"redis+sentinel": False, "rediss+sentinel": True, "valkey+sentinel": False, "valkeys+sentinel": True}
"""What a URL may begin with, and whether that means TLS, to the sentinels and to the servers."""
FORM = "redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/SERVICE/DB"

Address = tuple[str, int]


@dataclass(frozen=True)
class SentinelUrl:
    """What a URL says about a Redis behind sentinels."""

    sentinels: tuple[Address, ...]
    """Hosts and TCP ports."""
    service: str
    """What the sentinels call the group."""
    tls: bool
    """Whether connections to the sentinels and to the servers are encrypted."""
    server: Mapping[str, Any] = field(repr=False)
    """What redis-py needs for a connection to a server, passwords included."""
    sentinel: Mapping[str, Any] = field(repr=False)
    """The same for a sentinel."""


def is_sentinel_url(url: str) -> bool:
    """Whether a URL says that sentinels know where Redis is. It may be wrong in other ways."""
    return url.partition(":")[0].lower() in SCHEMES


def read_sentinel_url(url: str) -> SentinelUrl:
    """Read a URL.

    Raises:
        ValueError: it is none of these forms; says what is wrong, without anything of the URL that may be secret.
    """
    scheme, _, rest = url.partition("://")
    found = re.fullmatch(r"([^/?#]*)([^?#]*)(\?[^#]*)?", rest)
    if not is_sentinel_url(url) or found is None:
        raise ValueError(f"expected {FORM}")
    netloc, path, query = found[1], found[2], found[3] or ""
    user, _, hosts = netloc.rpartition("@")
    name, _, password = user.partition(":")
    service, db = _service_and_db(path)
    options = dict(parse_url(f"redis://localhost{query}"))
    options.pop("host", None)
    asked = {key: options.pop(key) for key in list(options) if key.startswith("sentinel_")}
    given = {"username": unquote(name), "password": unquote(password)}
    server = {**options, **({"db": db} if db is not None else {}), **{key: each for key, each in given.items() if each}}
    sentinel = {key: each for key, each in options.items() if key.startswith(("ssl_", "socket_"))}
    for key in ("username", "password"):
        if f"sentinel_{key}" in asked:
            sentinel[key] = asked.pop(f"sentinel_{key}")
    if asked:
        raise ValueError(f"there is no option {min(asked)!r}: there are sentinel_username and sentinel_password")
    return SentinelUrl(_addresses(hosts), service, SCHEMES[scheme.lower()], server, sentinel)


def _service_and_db(path: str) -> tuple[str, int | None]:
    words = [unquote(word) for word in path.removeprefix("/").rstrip("/").split("/")]
    if len(words) == 2 and not words[1].isdecimal() and words[0].isdecimal():
        words.reverse()
    if not words[0] or len(words) > 2 or (len(words) == 2 and not words[1].isdecimal()):
        raise ValueError(f"expected the name that the sentinels know the service by, and perhaps a number: {FORM}")
    return words[0], int(words[1]) if len(words) == 2 else None


def _addresses(hosts: str) -> tuple[Address, ...]:
    addresses = []
    for each in hosts.split(","):
        found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\[\]:]+)(?::(\d{1,5}))?", each)
        if found is None or not 0 < int(found[2] or SENTINEL_PORT) < 65536:
            raise ValueError(f"expected addresses of sentinels, HOST:PORT,HOST:PORT: {FORM}")
        addresses.append((found[1].strip("[]"), int(found[2] or SENTINEL_PORT)))
    if len(addresses) > MOST_SENTINELS:
        raise ValueError(f"expected {MOST_SENTINELS} sentinels at most, got {len(addresses)}")
    return tuple(addresses)


class PrimaryPool(BlockingConnectionPool):
    """Connections to whoever is the primary when they are made.

    Args:
        where: the sentinels and their service.
        options: those of `redis.asyncio.BlockingConnectionPool`.

    Raises:
        ValueError: the URL had an option that redis-py does not know.
    """

    def __init__(self, where: SentinelUrl, **options: Any) -> None:
        self.where = where
        self.address: Address | None = None
        """Of the primary, as the sentinels said when they were asked last. None before."""
        connection = _ToPrimaryWithTls if where.tls else _ToPrimary
        super().__init__(connection_class=connection, find=self.find, **{**where.server, **options})
        try:
            connection(**self.connection_kwargs)  # connects to nothing yet
        except TypeError as error:
            raise ValueError(str(error).rpartition(") ")[2] or "an option that redis-py does not know") from None

    async def find(self) -> Address:
        """Ask the sentinels for the primary.

        Most of them have to answer, or all that do within `SENTINEL_S`; all, where the first ones say that the primary
        is down: one that leads a failover knows the new one before the others do. Where they disagree, the newest
        configuration counts. Idle connections to another server than before are closed.

        Raises:
            redis.exceptions.ConnectionError: none of them answers, or they know of no primary that is up.
        """
        address = await self._ask_all()
        if address != self.address:
            self.address = address
            await self.disconnect(inuse_connections=False)
        return address

    async def _ask_all(self) -> Address:
        asking = [asyncio.ensure_future(self._ask(each)) for each in self.where.sentinels]
        answers: list[_Answer] = []
        problems: list[str] = []
        try:
            for each in asyncio.as_completed(asking, timeout=SENTINEL_S):
                try:
                    answers.append(await each)
                except (redis_errors.RedisError, OSError) as error:  # a time-out is an OSError
                    problems.append(str(error) or f"no answer within {SENTINEL_S:g} s")
                if len(answers) > len(asking) // 2 and not all(answer.down for answer in answers):
                    break
        finally:
            for task in asking:
                task.cancel()
            await asyncio.gather(*asking, return_exceptions=True)
        if not answers:
            raise redis_errors.ConnectionError(
                f"no sentinel says who is the primary: {'; '.join(sorted(set(problems)))}"
            )
        newest = max(answer.epoch for answer in answers)
        named = [answer for answer in answers if answer.epoch == newest]
        up = [answer.address for answer in named if not answer.down]
        if not up:
            host, port = named[0].address
            raise redis_errors.ConnectionError(f"the sentinels say that the primary {host}:{port} is down")
        return up[0]

    async def _ask(self, sentinel: Address) -> _Answer:
        host, port = sentinel
        kind = SSLConnection if self.where.tls else Connection
        options: dict[str, Any] = {"decode_responses": True, "retry": Retry(NoBackoff(), 0), **self.where.sentinel}
        connection = kind(host=host, port=port, **options)
        try:
            await connection.connect()  # type: ignore[no-untyped-call]
            await connection.send_command("SENTINEL", "MASTER", self.where.service)
            state = await connection.read_response()
            await connection.send_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.where.service)
            address = await connection.read_response()
        finally:
            await connection.disconnect(nowait=True)  # whoever is cancelled must not wait here
        state = state if isinstance(state, dict) else dict(zip(state[::2], state[1::2], strict=True))  # RESP3, RESP2
        known, now = (str(state["ip"]), int(state["port"])), (str(address[0]), int(address[1]))
        # A replica that has been promoted is named before the old primary is given up.
        promoted = now != known
        down = not promoted and not {"s_down", "o_down"}.isdisjoint(state["flags"].split(","))
        return _Answer(now, int(state["config-epoch"]) + promoted, down)


@dataclass(frozen=True)
class _Answer:
    """What a sentinel said."""

    address: Address
    """Of the primary."""
    epoch: int
    """Of the configuration that made it one: the highest is the newest."""
    down: bool
    """Whether it has not answered that sentinel for a while."""


class _ToPrimary(Connection):
    """A connection whose address is asked for each time, and whose server has to be a primary."""

    def __init__(self, *, find: Any, **options: Any) -> None:
        self._find = find
        super().__init__(**options)

    async def connect(self) -> None:
        """Ask where, and connect."""
        if not self.is_connected:
            self.host, self.port = await self._find()
        await super().connect()  # type: ignore[no-untyped-call]

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Introduce ourselves, as redis-py does, and ask who it is.

        Raises:
            redis.exceptions.ConnectionError: it is no primary.
        """
        await super().on_connect_check_health(check_health=check_health)
        await self.send_command("ROLE")
        role = (await self.read_response())[0]
        if role not in {"master", b"master"}:
            raise redis_errors.ConnectionError(f"{self.host}:{self.port} is no primary any more, or not yet")

    async def read_response(self, *args: Any, **options: Any) -> Any:
        """As redis-py; a server that says that it is read-only is left.

        Raises:
            redis.exceptions.ConnectionError: it was made a replica.
        """
        try:
            return await super().read_response(*args, **options)
        except redis_errors.ReadOnlyError as error:
            await self.disconnect()
            raise redis_errors.ConnectionError(f"{self.host}:{self.port} is no primary any more: {error}") from error


class _ToPrimaryWithTls(_ToPrimary, SSLConnection):
    """The same, encrypted."""
