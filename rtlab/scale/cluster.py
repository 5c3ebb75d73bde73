"""A cluster that runs: several processes with the same app, nginx in front of them, and a Redis behind them.

What lives here: `Cluster`, what `rtlab.cluster` and `rtlab.start_cluster` give. How it is started stands in
`launching`. It must not know what the app does.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from rtlab.errors import MissingAttributeError, UsageError
from rtlab.scale.balancer import Balancer
from rtlab.scale.broker import Broker
from rtlab.scale.cluster_shown import as_html, as_text
from rtlab.scale.crew import ClusterEvent, Crew
from rtlab.scale.front import Front
from rtlab.scale.logs import ClusterLog
from rtlab.scale.sentinel_group import SentinelGroup
from rtlab.scale.workers import Worker
from rtlab.servers import registry
from rtlab.servers.hosting import LOOPBACK
from rtlab.servers.unawaited import awaited

__all__ = ["Cluster"]


class Cluster:
    """Several processes with the same app. Made by `rtlab.cluster` and `rtlab.start_cluster`."""

    def __init__(
        self,
        app: str,
        crew: Crew,
        front: Front,
        broker: Broker | SentinelGroup | None,
        log: ClusterLog,
        secret: str,
    ) -> None:
        self.app = app
        """The import string."""
        self.broker = broker
        """The Redis behind the workers; a group with ``durability="replica"``, None with ``redis=False``."""
        self.secret = secret
        """What the workers have as RTLAB_SECRET; it signs tokens: ``issue_token("alice", cluster.secret, …)``."""
        self.log = log
        """What all processes have printed: ``print(cluster.log)``, ``cluster.log.tail(50, of="worker-2")``."""
        self._crew = crew
        self._front = front
        self._reading = asyncio.get_running_loop().create_task(log.keep_reading(), name="rtlab reads logs")
        self._stopped = False
        self._stopping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where clients find it: ``http://localhost:PORT`` (with TLS ``https://…``), without a slash at the end.

        By a name and not by an address, since aiohttp, and so python-socketio's client, takes no cookie from an address
        (``aiohttp.CookieJar(unsafe=True)`` does): a polling client would not stay at its worker.
        """
        return _by_name(self.balancer.url)

    @property
    def ws_url(self) -> str:
        """The same for WebSocket clients: ``ws://…`` or ``wss://…``."""
        return _by_name(self.balancer.ws_url)

    @property
    def port(self) -> int:
        """nginx's TCP port."""
        return self.balancer.port

    @property
    def browser_url(self) -> str:
        """Where the reader's browser finds it, with a slash at the end; see `rtlab.Server`."""
        prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
        return f"{prefix.rstrip('/')}/proxy/{self.port}/" if prefix else f"{self.url}/"

    @property
    def ca(self) -> Path | None:
        """With TLS, the file that a client trusts: ``ssl.create_default_context(cafile=cluster.ca)``."""
        return self.balancer.ca

    @property
    def balancer(self) -> Balancer:
        """The nginx in front of the workers. Where it has died, another one takes its place."""
        return self._front.balancer

    @property
    def balancing(self) -> str:
        """Which worker gets a request: "sticky", say."""
        return self.balancer.balancing

    @property
    def workers(self) -> tuple[Worker, ...]:
        """The workers, in the order of their names."""
        return self._crew.workers

    @property
    def events(self) -> tuple[ClusterEvent, ...]:
        """What has happened to its processes, oldest first."""
        return tuple(self._crew.events)

    @property
    def running(self) -> bool:
        """Whether it runs. A worker that has died does not end it."""
        return not self._stopped

    @property
    def state(self) -> str:
        """In words: "ready", "not ready: worker-2 starting again in 0.4 s", "stopped"."""
        if self._stopped:
            return "stopped"
        missing = [f"{each.name} {each.state}" for each in self.workers if each.state != "ready" or not each.running]
        missing += [] if self.balancer.running else ["nginx is gone"]
        missing += [] if self.broker is None or self.broker.running else ["Redis is gone"]
        return f"not ready: {', '.join(missing)}" if missing else "ready"

    async def ready(self) -> None:
        """Wait until all workers are ready that have not been killed for good."""
        self._refuse_stopped()
        await self._crew.ready()

    async def kill(self, worker: str | Worker, *, restart: bool = True) -> None:
        """SIGKILL to a worker, as when a machine runs out of memory: nothing is closed, nobody is told.

        Comes back when it is dead. It is then started again, unless `restart` is false; `ready` waits for that.

        Raises:
            UsageError: there is no such worker, or it has no process.
        """
        self._refuse_stopped()
        await self._crew.kill(self._crew.named(worker), restart)

    async def restart(self, worker: str | Worker) -> None:
        """Let a worker drain, start it again, and wait until it is ready. One that was killed is started.

        Raises:
            UsageError: there is no such worker.
            ChildError: it did not come up; the message shows its last lines. It is tried again, with longer pauses.
        """
        self._refuse_stopped()
        await self._crew.restart(self._crew.named(worker))

    async def rolling_restart(self) -> None:
        """Restart all workers, one after the other: each drains, and is ready again, before the next one's turn.

        Raises:
            ChildError: one did not come up. The others after it go on with the code that they have.
        """
        self._refuse_stopped()
        await self._crew.rolling_restart()

    async def reload(self) -> None:
        """Let new nginx processes take over. Open connections live on.

        Raises:
            ChildError: nginx has ended.
        """
        self._refuse_stopped()
        await self.balancer.reload()
        self._crew.say("nginx", "was reloaded")

    @awaited("await cluster.stop()")
    async def stop(self) -> None:
        """Drain all workers, then end nginx and our Redis. A second call only waits.

        Whoever is cancelled meanwhile waits no longer; it is stopped all the same.
        """
        if self._stopping is None:
            self._stopped = True
            registry.forget(self)
            self._stopping = asyncio.get_running_loop().create_task(self._end(), name="rtlab stops a cluster")
        await asyncio.shield(self._stopping)

    def hurry(self) -> None:
        """Let `stop` wait for nobody: SIGKILL to all workers."""
        if self._stopped:
            self._crew.hurry()

    async def _end(self) -> None:
        try:
            self._front.leave_alone()
            await self._crew.stop()
        finally:
            self._reading.cancel()
            await self._front.stop()
            if self.broker is not None:
                await self.broker.stop()
            self.log.end()

    def _refuse_stopped(self) -> None:
        if self._stopped:
            raise UsageError(
                "This cluster was stopped: by stop(), at the end of its block, or by a second run of its cell. Start "
                "another one."
            )

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    if not TYPE_CHECKING:  # for a type checker, what is not above is not there

        def __getattr__(self, name: str) -> object:
            if name.startswith("_"):
                raise AttributeError(name)
            raise MissingAttributeError("A Cluster", name, [each for each in dir(self) if not each.startswith("_")])


def _by_name(url: str) -> str:
    return url.replace(f"//{LOOPBACK}:", "//localhost:")
