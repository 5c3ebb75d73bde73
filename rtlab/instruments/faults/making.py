"""How each fault is made and undone.

What lives here: `Targets`, what may be hit, and `Fault`, which is what `Targets` makes of a step. It must not know when
a fault comes or goes.
"""

from __future__ import annotations

import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol, cast

from rtlab.errors import UsageError
from rtlab.instruments.faults import processes
from rtlab.instruments.faults.proxy import FaultProxy
from rtlab.instruments.faults.schedule import ALL, REDIS, FaultKind, Step
from rtlab.scale.broker import Broker
from rtlab.scale.cluster import Cluster
from rtlab.scale.redis_url import client_of
from rtlab.servers.supervisor import Child

__all__ = ["DELAY_S", "Fault", "Targets"]

DELAY_S = 0.2
"""Seconds each way that a `FaultKind.DELAYED` makes: a phone on a bad network, and less than any time-out."""


class _Redis(Protocol):
    """What a broker and a group of Redis servers have in common."""

    @property
    def url(self) -> str: ...
    @property
    def running(self) -> bool: ...
    async def kill(self) -> object: ...
    async def restart(self) -> None: ...
    async def freeze(self) -> object: ...
    async def thaw(self) -> None: ...


class _Group(Protocol):
    """What a group of Redis servers has beside that."""

    async def ready(self) -> None: ...
    async def failover(self) -> None: ...


async def _nothing() -> None:
    """There is nothing to do."""


@dataclass(frozen=True)
class Fault:
    """A fault that can be made, and undone."""

    words: str
    """What happens to its target: "killed"."""
    begin: Callable[[], Awaitable[object]]
    """Make it. It may fail."""
    release: Callable[[], object] = lambda: None
    """Undo it, as far as that goes at once. Always possible, also where `begin` has failed half-way."""
    recover: Callable[[], Awaitable[object]] = _nothing
    """Undo the rest, and wait until its target works again."""
    ready: Callable[[], Awaitable[object]] = _nothing
    """Wait until its target can be hit: a group of Redis servers has agreed on a primary, say."""


class Targets:
    """What may be hit.

    Args:
        cluster: its workers and its Redis; None for none.
        proxies: a fault proxy for each client, by the client's name.
    """

    def __init__(self, cluster: Cluster | None, proxies: Mapping[str, FaultProxy]) -> None:
        self._cluster = cluster
        self._proxies = proxies

    def expect(self, step: Step) -> None:
        """Make sure that what a step hits is there.

        Raises:
            UsageError: it is not.
        """
        group = step.kind.group
        if group == "connection":
            if not self._proxies or step.target not in {ALL, *self._proxies}:
                raise _missing(step, ["*", *self._proxies] if self._proxies else [], "Give proxies={name: proxy}.")
        elif group == "worker":
            names = [each.name for each in self._cluster.workers] if self._cluster else []
            if step.target not in names:
                raise _missing(step, names, "Give cluster=.")
        else:
            redis = self._cluster.broker if self._cluster else None
            if step.target != REDIS or redis is None:
                raise _missing(step, [REDIS] if redis else [], "Give a cluster that has one.")
            if getattr(redis, "child", redis) is None:
                raise UsageError(f"{step}: this Redis is your own, named by REDIS_URL, and the lab never disturbs it.")
            if step.kind is FaultKind.FAILOVER and not hasattr(redis, "failover"):
                raise UsageError(f"{step}: one Redis alone has no replica. A cluster with durability='replica' has.")

    def fault(self, step: Step) -> Fault:
        """What a step is, for a step that `expect` has let pass."""
        kind, group = step.kind, step.kind.group
        if group == "connection":
            return self._on_connections(step)
        assert self._cluster is not None
        if group == "worker":
            return _on_worker(kind, self._cluster, step.target)
        return _on_redis(kind, cast(_Redis, self._cluster.broker))

    def _on_connections(self, step: Step) -> Fault:
        proxies = list(self._proxies.values()) if step.target == ALL else [self._proxies[step.target]]

        def each(act: Callable[[FaultProxy], object]) -> Callable[[], None]:
            def do() -> None:
                for proxy in proxies:
                    if proxy.running:
                        act(proxy)

            return do

        def fault(words: str, begin: Callable[[FaultProxy], object], undo: Callable[[FaultProxy], object]) -> Fault:
            return Fault(words, _later(each(begin)), each(undo))

        way = step.direction
        if step.kind is FaultKind.CONNECTIONS_CUT:
            return fault("cut off", FaultProxy.drop, lambda _: None)
        if step.kind is FaultKind.ACKS_SWALLOWED:
            return fault("left without acks", FaultProxy.swallow_acks, FaultProxy.pass_acks)
        if step.kind is FaultKind.DELAYED:
            return fault(f"{DELAY_S:g} s late", lambda proxy: proxy.delay(DELAY_S), lambda proxy: proxy.delay(0))
        if step.kind is FaultKind.STALLED:
            return fault(f"stalled {way}", lambda proxy: proxy.stall(way), lambda proxy: proxy.resume(way))
        assert way is not None
        return fault(f"half closed {way}", lambda proxy: proxy.half_close(way), _drop_half_closed)


def _on_worker(kind: FaultKind, cluster: Cluster, name: str) -> Fault:
    if kind is FaultKind.WORKER_KILLED:
        return Fault("killed", partial(cluster.kill, name, restart=False), recover=partial(cluster.restart, name))
    if kind is FaultKind.WORKER_DRAINED:
        return Fault("drained", partial(cluster.restart, name))
    worker = next(each for each in cluster.workers if each.name == name)
    child = worker.child  # its process of now: the next one is not stopped
    return Fault("frozen", partial(processes.stop, worker), partial(_wake, child))


def _on_redis(kind: FaultKind, redis: _Redis) -> Fault:
    group = cast(_Group, redis) if hasattr(redis, "failover") else None
    ready = _nothing if group is None else group.ready
    if group is not None and kind is FaultKind.FAILOVER:
        return Fault("failed over", group.failover, ready=ready)
    if kind is FaultKind.REDIS_KILLED:
        return Fault("killed", redis.kill, recover=partial(_up_again, redis), ready=ready)
    if kind is FaultKind.REDIS_FROZEN:
        child = redis.child if isinstance(redis, Broker) else None
        return Fault("frozen", redis.freeze, partial(_wake, child), partial(_thawed, redis, ready), ready)
    return Fault("cut off from its subscribers", partial(_cut_subscriptions, redis.url), ready=ready)


async def _up_again(redis: _Redis) -> None:
    if not (isinstance(redis, Broker) and redis.running):
        await redis.restart()


async def _thawed(redis: _Redis, ready: Callable[[], Awaitable[object]]) -> None:
    await redis.thaw()
    await ready()


async def _cut_subscriptions(url: str) -> None:
    async with client_of(url) as client:
        await client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")  # type: ignore[no-untyped-call]


def _wake(child: Child | None) -> None:
    if child is not None:
        child.send_signal(signal.SIGCONT)


def _drop_half_closed(proxy: FaultProxy) -> None:
    for each in proxy.connections:
        if each.half_closed:
            each.drop()


def _later(act: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def do() -> None:
        act()

    return do


def _missing(step: Step, known: list[str], advice: str) -> UsageError:
    there = f"There are: {', '.join(known)}." if known else advice
    return UsageError(f"{step}: there is no {step.target!r} to hit. {there}")
