"""What the Redis that the lab uses can do, and what it would lose: ours, or the one that REDIS_URL names.

What lives here: the probe `redis_features`, and `judge`, which makes a line of what a server said of itself. It must
not know who uses the server. What a server refuses to tell (many that are hosted refuse CONFIG) is said to be unknown.

The sources are the commands INFO, CONFIG GET, COMMAND INFO and ACL WHOAMI, and
https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ for what is lost when.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from rtlab.errors import MissingProgramError
from rtlab.instruments.doctor.diagnosis import Finding, Status
from rtlab.servers import programs

if TYPE_CHECKING:
    from redis.asyncio import Redis

__all__ = ["NAME", "Said", "judge", "redis_features"]

NAME = "Redis features"
SETTINGS = ("appendonly", "appendfsync", "save", "maxmemory", "maxmemory-policy", "min-replicas-to-write")
"""What is asked with CONFIG GET."""
MIB = 1024 * 1024


@dataclass(frozen=True)
class Said:
    """What a server said of itself."""

    version: str
    """As `version_of` has it."""
    streams: bool
    """Whether it has XADD and the commands around it (Redis 5)."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Of `SETTINGS`, those that it told."""
    replica: bool = False
    """Whether it is a replica, which takes no writes."""
    replicas: int | None = None
    """Replicas that follow it and are up to date; None where it does not say."""
    user: str | None = None
    """Who we are there; None where it has no ACL (before Redis 6) or does not say."""
    open_to_all: bool = False
    """Whether it lets in whoever gives no password."""


async def redis_features() -> Finding:
    """The versions and features of ours, which is started for this, or of the one that REDIS_URL names."""
    own = os.environ.get("REDIS_URL")
    required = programs.has_wheel("Valkey")
    if not own:
        try:
            programs.valkey()
        except MissingProgramError:
            return Finding(NAME, Status.MISSING, "not tried, because there is no Valkey", required=required)
    from rtlab.scale.broker import open_broker
    from rtlab.scale.redis_url import client_of

    # A name of its own, so that it replaces nothing that the reader's cell has started.
    async with open_broker(name="doctor, features") as broker, client_of(broker.url) as client:
        return judge(await _ask(client, broker.url), broker.url, ours=not own, required=required)


def judge(said: Said, url: str, *, ours: bool, required: bool = True) -> Finding:
    """The line: what it can do, and advice for what would lose data or let others in.

    Ours keeps nothing on purpose, and gets no advice about that.

    Args:
        said: what the server said.
        url: where it is.
        ours: whether the lab has started it.
        required: whether the lab needs it here.
    """
    kept, loss = _persistence(said.settings)
    replicated, split = _replication(said, url)
    memory, eviction = _memory(said.settings)
    encrypted, tapped = _encryption(url)
    found = [
        said.version,
        "streams" if said.streams else "no streams",
        "nothing on disk: ours ends with the lesson" if ours else kept,
        *([replicated] if replicated and not ours else []),
        memory,
        encrypted,
        _access(said),
    ]
    advice = []
    if not said.streams:
        advice.append("Streams need Redis 5 or newer: the chat keeps its history in them.")
    if said.replica:
        found.append("a replica, read-only")
        advice.append("REDIS_URL names a replica, which takes no writes: name its primary.")
    if not ours:
        advice += [each for each in (loss, split, eviction, tapped) if each]
        if said.open_to_all and not _is_local(url):
            advice.append("It lets in everybody who reaches it: set requirepass, or users with ACL SETUSER.")
    status = Status.WARNING if advice else Status.OK
    return Finding(NAME, status, ", ".join(found), " ".join(advice), required)


async def _ask(client: Redis, url: str) -> Said:
    from redis.exceptions import RedisError

    from rtlab.scale.redis_url import client_of, version_of

    async def told(*command: str) -> Any:
        """The answer; None where it is refused."""
        try:
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]
        except RedisError:
            return None

    settings: dict[str, str] = {}
    for name in SETTINGS:
        settings |= await told("CONFIG", "GET", name) or {}
    if "appendonly" not in settings:  # INFO tells some of it
        persistence = await told("INFO", "persistence") or {}
        if "aof_enabled" in persistence:
            settings["appendonly"] = "yes" if persistence["aof_enabled"] else "no"
    if "maxmemory-policy" not in settings:
        used = await told("INFO", "memory") or {}
        settings |= {name: str(used[key]) for name, key in MEMORY_IN_INFO.items() if key in used}
    replication = await told("INFO", "replication") or {}
    return Said(
        await version_of(client),
        bool((await told("COMMAND", "INFO", "XADD") or {}).get("xadd")),
        settings,
        replica=replication.get("role") == "slave",
        replicas=_in_step(replication),
        user=await told("ACL", "WHOAMI"),
        open_to_all=await _lets_anybody_in(client_of(_without_user(url))),
    )


def _in_step(replication: Mapping[str, Any]) -> int | None:
    """Of the replicas that INFO tells of, how many have all that the primary had sent."""
    if "connected_slaves" not in replication:
        return None
    told = [replication.get(f"slave{number}") for number in range(int(replication["connected_slaves"]))]
    return len([each for each in told if isinstance(each, dict) and each.get("state") == "online"])


MEMORY_IN_INFO = {"maxmemory": "maxmemory", "maxmemory-policy": "maxmemory_policy"}
"""What INFO memory calls these settings."""


async def _lets_anybody_in(stranger: Redis) -> bool:
    from redis.exceptions import RedisError

    async with stranger:
        try:
            return bool(await stranger.ping())
        except (RedisError, OSError):
            return False


def _persistence(settings: Mapping[str, str]) -> tuple[str, str]:
    """What it keeps on disk, and advice where that loses something."""
    appends, saves = settings.get("appendonly"), settings.get("save")
    if appends is None:
        return "persistence unknown", ""
    if appends == "yes":
        sync = settings.get("appendfsync")
        if sync is None:
            return (
                "appendonly, and appendfsync unknown: CONFIG GET is refused (everysec, the default, may lose a second)",
                "",
            )
        text = f"appendonly with appendfsync {sync}"
        if sync == "no":
            return text, "A crash of its machine loses what the system had not written yet: set appendfsync everysec."
        return f"{text}{'' if sync == 'always' else ' (a crash loses up to a second)'}", ""
    if saves is None:
        return (
            "no appendonly",
            "A crash loses what came after its last snapshot, if it makes any: set appendonly yes.",
        )
    if saves:
        return (
            f"snapshots (save {saves})",
            "A crash loses all that came after the last snapshot, history and sessions too: set appendonly yes.",
        )
    return "nothing on disk", "A restart loses everything, history and sessions too: set appendonly yes."


def _replication(said: Said, url: str) -> tuple[str, str]:
    """What others keep of it, and advice where a failover would lose what the old primary had still taken."""
    if said.replica or said.replicas is None:
        return "", ""
    sentinels = _sentinels(url)
    text = f"{said.replicas or 'no'} replica{'' if said.replicas == 1 else 's'}" + (", sentinels" if sentinels else "")
    if not sentinels:
        return text, ""
    if not said.replicas:
        return text, "Its sentinels have nobody to take its place: start a replica (REPLICAOF)."
    needed = said.settings.get("min-replicas-to-write")
    if needed is None:
        return f"{text}, min-replicas-to-write unknown", ""
    if needed != "0":
        return f"{text}, min-replicas-to-write {needed}", ""
    return text, (
        "A primary that was away and replaced takes writes for some seconds when it is back, and they are lost: set "
        "min-replicas-to-write 1."
    )


def _memory(settings: Mapping[str, str]) -> tuple[str, str]:
    """Its limit and what it does there, and advice where that loses something."""
    limit, policy = settings.get("maxmemory"), settings.get("maxmemory-policy")
    if limit is None or policy is None:
        return "maxmemory unknown", ""
    if limit == "0":
        return "no maxmemory", ""
    text = f"maxmemory {int(limit) / MIB:.0f} MiB with {policy}"
    if policy == "noeviction":
        return text, ""
    victims = "any key, history too" if policy.startswith("allkeys") else "keys with a TTL, such as sessions"
    return text, f"When its memory is full it deletes {victims}: set maxmemory-policy noeviction."


def _encryption(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    scheme = parts.scheme.removesuffix("+sentinel")
    if scheme in {"rediss", "valkeys"}:
        asked = parse_qs(parts.query)
        if asked.get("ssl_cert_reqs") == ["none"]:
            return "TLS without verification", "ssl_cert_reqs=none trusts whoever answers: name its CA in ssl_ca_certs."
        return "TLS", ""
    if scheme in {"redis", "valkey"} and not _is_local(url):
        return "no TLS", "Password and data cross the network in clear: use rediss://, or a network of your own."
    return "a Unix socket" if scheme == "unix" else "no TLS, on this machine only", ""


def _access(said: Said) -> str:
    user = "no ACL" if said.user is None else f"ACL user {said.user}"
    return f"{user}, {'no password asked' if said.open_to_all else 'password asked'}"


def _sentinels(url: str) -> tuple[tuple[str, int], ...]:
    """Host and port of each sentinel that a URL names; none where it names a server."""
    from rtlab.realtime.nodes.sentinel import is_sentinel_url, read_sentinel_url  # not where packages are missing

    return read_sentinel_url(url).sentinels if is_sentinel_url(url) else ()


def _is_local(url: str) -> bool:
    if sentinels := _sentinels(url):
        return all(_is_loopback(host) for host, _ in sentinels)
    parts = urlsplit(url)
    return parts.scheme == "unix" or _is_loopback(parts.hostname or "localhost")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _without_user(url: str) -> str:
    """The URL of somebody who has no password."""
    parts = urlsplit(url)
    secret = {"username", "password"}
    query = "&".join(each for each in parts.query.split("&") if each.partition("=")[0] not in secret)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query).geturl()
