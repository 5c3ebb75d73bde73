"""How a cluster is started.

What lives here: `start_cluster` (for a notebook) and `cluster` (for ``async with``), which start the parts one after
the other, and leave nothing behind where one fails. What they give is a `Cluster`.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Mapping

from rtlab.errors import UsageError
from rtlab.scale.arguments import (
    Durability,
    check_app,
    check_bool,
    check_durability,
    check_env,
    check_workers,
    near,
)
from rtlab.scale.balancer import Balancer, launch_balancer
from rtlab.scale.broker import Broker, expect_replica, start_broker
from rtlab.scale.certificates import CertificatePair, make_certificates
from rtlab.scale.cluster import Cluster
from rtlab.scale.crew import Crew
from rtlab.scale.front import Front
from rtlab.scale.logs import ClusterLog
from rtlab.scale.nginx_config import BALANCINGS, Balancing
from rtlab.scale.readiness import Crossing
from rtlab.scale.sentinel_group import SentinelGroup
from rtlab.scale.sentinel_launching import start_sentinel_group
from rtlab.scale.workers import Worker
from rtlab.servers import programs, registry
from rtlab.servers.hosting import LOOPBACK, expect_port
from rtlab.servers.unawaited import awaited, block

__all__ = ["cluster", "start_cluster"]

SECRET_BYTES = 32
"""Of randomness in a secret that is made up."""


@awaited("cluster = await rtlab.start_cluster(…)", "async with rtlab.cluster(…) as cluster:")
async def start_cluster(
    app: str = "rtlab.chat:create_app",
    workers: int = 3,
    balancing: Balancing = "sticky",
    redis: bool = True,
    tls: bool | CertificatePair = False,
    env: Mapping[str, str] | None = None,
    *,
    durability: Durability = "memory",
    crosses: bool = True,
    port: int = 0,
    host: str = LOOPBACK,
    name: str | None = None,
) -> Cluster:
    """Run an app in several processes behind nginx, until ``await cluster.stop()``. Ends with this process in any case.

    It is ready when each worker has answered a request and, with Redis, a message of the app's Socket.IO server has
    crossed from each worker to each other. A worker that dies is started again. In a notebook, running the same cell
    again stops what its earlier run had started.

    A worker finds in its environment RTLAB_WORKER (its name), RTLAB_SECRET and, with Redis, REDIS_URL. With
    ``durability="replica"`` it finds RTLAB_REPLICAS as well, which is 1, and REDIS_URL names sentinels: the chat, and
    whatever stands on `rtlab.realtime.RedisManager`, understands that; a `socketio.AsyncRedisManager` does not.

    Args:
        app: an import string like ``"my_app:create"``, of any kind of app that `rtlab.serve` takes.
        workers: how many processes.
        balancing: which of them gets a request: "round_robin", "ip_hash", "sticky" (a cookie), or "websocket_only",
            which refuses polling.
        redis: whether there is a Redis behind them: the one that REDIS_URL names, else a Valkey of our own.
        tls: https and wss, with a throw-away certificate (clients trust `Cluster.ca`) or one of your own.
        env: more environment variables for the workers.
        durability: what our Redis survives. "memory": it keeps nothing, and a restart of it loses all. "disk": what it
            has answered is on its disk, and a restart of it finds that. "replica": a primary and a replica with all
            on their disks, and three sentinels that let the one take the place of the other; the chat acknowledges
            what both have. So it takes no message while one of the two is away: one that is killed is started again,
            and one that is frozen is missing until it is thawed, an old primary too that was replaced. A Redis of your
            own is never configured (what it keeps, `rtlab doctor` says), and has to have a replica for "replica".
        crosses: whether messages have to cross before it is ready. False for an app that means to show what happens
            when they do not. Without Redis nothing is asked.
        port: nginx's TCP port; 0 takes a free one.
        host: the address that nginx listens on. The workers listen on this machine only.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        UsageError: an argument is wrong, the port is taken, nothing answers at REDIS_URL, or what does has no
            replica where one is asked for.
        MissingProgramError: there is no nginx or no Valkey on this machine.
        ChildError: a worker, nginx or Valkey did not come up; the message shows its last lines.
    """
    check_app(app)
    check_workers(workers)
    if balancing not in BALANCINGS:
        raise UsageError(f"balancing={balancing!r}: there is no such balancing. {near(balancing, BALANCINGS)}")
    check_bool("redis", redis, "A Redis of your own is named by the environment variable REDIS_URL.")
    check_durability(durability, redis)
    check_bool("crosses", crosses, "")
    if not isinstance(tls, CertificatePair):
        check_bool("tls", tls, "A certificate of your own is given as rtlab.scale.certificates.CertificatePair(…).")
    expect_port(port)
    given = check_env(env)
    programs.nginx()  # before anything is stopped for it
    async with registry.opening(name) as register:
        pair = make_certificates() if tls is True else tls or None
        started = await _launch(
            app, workers, balancing, durability if redis else None, pair, given, crosses, port, host
        )
        register(started)
    return started


@block("async with rtlab.cluster(…) as cluster:", "cluster = await rtlab.start_cluster(…)")
async def cluster(
    app: str = "rtlab.chat:create_app",
    workers: int = 3,
    balancing: Balancing = "sticky",
    redis: bool = True,
    tls: bool | CertificatePair = False,
    env: Mapping[str, str] | None = None,
    *,
    durability: Durability = "memory",
    crosses: bool = True,
    port: int = 0,
    host: str = LOOPBACK,
    name: str | None = None,
) -> AsyncIterator[Cluster]:
    """Run an app in several processes behind nginx, for the length of an ``async with`` block.

    Arguments and errors are those of `start_cluster`.
    """
    started = await start_cluster(
        app,
        workers,
        balancing,
        redis,
        tls,
        env,
        durability=durability,
        crosses=crosses,
        port=port,
        host=host,
        name=name,
    )
    try:
        yield started
    finally:
        await started.stop()


async def _launch(
    app: str,
    count: int,
    balancing: Balancing,
    durability: Durability | None,
    tls: CertificatePair | None,
    given: Mapping[str, str],
    crosses: bool,
    port: int,
    host: str,
) -> Cluster:
    """Start all parts; when one fails, or this is cancelled, nothing is left."""
    log = ClusterLog()
    key = secrets.token_urlsafe(SECRET_BYTES)
    secret = given.get("RTLAB_SECRET") or os.environ.get("RTLAB_SECRET") or secrets.token_urlsafe(SECRET_BYTES)
    env = {**os.environ, "RTLAB_SECRET": secret, "RTLAB_READY": key}
    env.pop("REDIS_URL", None)
    env.pop("RTLAB_REPLICAS", None)
    broker: Broker | SentinelGroup | None = None
    crew: Crew | None = None
    front: Front | None = None
    try:
        if durability is not None:
            broker = await _redis(durability, log)
            env["REDIS_URL"] = broker.url
            if durability == "replica":
                env["RTLAB_REPLICAS"] = "1"
        names = [f"worker-{number}" for number in range(1, count + 1)]
        members = [Worker(each, app, {**env, **given}, log) for each in names]
        crew = Crew(members, log, Crossing(key) if broker is not None and crosses else None)
        crew.spawn()
        await crew.start()
        upstreams = [(LOOPBACK, worker.port) for worker in members]
        path = next((worker.offer.path for worker in members if worker.offer.path), "/socket.io/")

        async def launch(on: int) -> Balancer:
            return await launch_balancer(upstreams, balancing, tls=tls or False, port=on, host=host, path=path)

        front = Front(await launch(port), launch, broker, log, crew.say)
        front.watch()
        return Cluster(app, crew, front, broker, log, secret)
    except BaseException:
        if crew is not None:
            crew.hurry()  # there are no clients yet to whom a drain would say something
            await crew.stop()
        if front is not None:
            await front.stop()
        if broker is not None:
            await broker.stop()
        raise


async def _redis(durability: Durability, log: ClusterLog) -> Broker | SentinelGroup:
    """What stands behind the workers."""
    if durability == "replica" and not os.environ.get("REDIS_URL"):
        group = await start_sentinel_group()
        registry.forget(group)  # it is ours, and ends with us
        for member in group.members:
            log.add(member.name, member.child.log)
        log.read()
        return group
    broker = await start_broker(durable=durability == "disk")
    registry.forget(broker)
    if durability == "replica":
        await expect_replica(broker.url)
    if broker.child is not None:
        log.add("redis", broker.log)
        log.read()
    return broker
