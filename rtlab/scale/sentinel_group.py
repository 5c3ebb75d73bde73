"""A Redis that survives its primary: two servers, of which one is the primary, and three sentinels that decide which.

What lives here: `SentinelGroup`, which is stopped, and disturbed for lessons and tests. It takes the place of a
`Broker`. How one is started stands in `sentinel_launching`. It must not know what is stored.

Who is the primary is decided by the sentinels alone. The group only starts again what has died: a server as a replica
of whoever the sentinels name by then, and as the primary that it was where they cannot name another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any, Protocol

from redis.exceptions import RedisError

from rtlab.errors import ChildError, UsageError
from rtlab.realtime.nodes.opening import shown
from rtlab.realtime.nodes.sentinel import PrimaryPool, read_sentinel_url
from rtlab.scale.arguments import near
from rtlab.scale.crew import FIRST_DELAY_S, MOST_DELAY_S
from rtlab.scale.redis_url import client_of
from rtlab.scale.sentinel_processes import SERVICE, GroupMember, SentinelMember, ServerMember
from rtlab.scale.valkey import LOOPBACK
from rtlab.servers import programs, registry
from rtlab.servers.output import Log

__all__ = ["FAILOVER_S", "GIVE_UP_S", "SentinelGroup"]

logger = logging.getLogger(__name__)

FAILOVER_S = 10.0
"""Seconds after the death of a primary within which writes are acknowledged again, by two servers."""
GIVE_UP_S = 15.0
"""Seconds that the sentinels have to name another primary. Then the one that has died is started as what it was."""
PAUSE_S = 0.05
"""Seconds between two looks at what the sentinels say."""
WAIT_MS = 200
"""Milliseconds that the replica has for the write that shows that the group serves."""


class GroupWatch(Protocol):
    """Is told what happens to the processes of a group: that of a cluster's log."""

    def came(self, name: str, log: Log) -> None:
        """A process has been started; this is what it prints."""

    def went(self, name: str, log: Log, how: str) -> None:
        """A process has ended: "ended with signal SIGKILL"."""


class SentinelGroup:
    """Two Valkeys and three sentinels. Made by `start_sentinel_group` and `open_sentinel_group`."""

    def __init__(
        self,
        servers: list[ServerMember],
        sentinels: list[SentinelMember],
        passwords: tuple[str, str],
        version: str = "",
    ) -> None:
        self.servers = tuple(servers)
        """The primary and its replica: "redis-1" and "redis-2". Which is which, `primary` says."""
        self.sentinels = tuple(sentinels)
        """ "sentinel-1" to "sentinel-3"."""
        self.version = version
        """Of the servers: "Valkey 9.1.2"."""
        self.watch: GroupWatch | None = None
        """Is told what happens."""
        self._password, self._sentinel_password = passwords
        self._pool = PrimaryPool(read_sentinel_url(self.url))
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stopped = False
        self._stopping: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """For whoever speaks Sentinel (`rtlab.realtime.nodes.sentinel`). It carries the passwords, which `repr` and the
        log do not show."""
        hosts = ",".join(f"{LOOPBACK}:{each.port}" for each in self.sentinels)
        return f"redis+sentinel://:{self._password}@{hosts}/{SERVICE}?sentinel_password={self._sentinel_password}"

    @property
    def members(self) -> tuple[GroupMember, ...]:
        """All five."""
        return (*self.servers, *self.sentinels)

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped, and a server of it runs."""
        return not self._stopped and any(each.running for each in self.servers)

    async def primary(self) -> ServerMember:
        """The server that the sentinels name.

        Raises:
            redis.exceptions.ConnectionError: they know of none that is up, at present.
        """
        _, port = await self._pool.find()
        return next(each for each in self.servers if each.port == port)

    async def ready(self) -> None:
        """Wait until a write reaches both servers, and each sentinel that runs knows both. There is no time-out."""
        self._refuse_stopped("ready")
        while not await self._serves():
            await asyncio.sleep(PAUSE_S)

    async def failover(self) -> None:
        """Kill the primary, and wait until another one serves and the killed one follows it.

        What a client sees: its connections are closed; for some seconds (`FAILOVER_S` at most) the sentinels name no
        primary that is up; then all works again with the URL that it has. What was acknowledged after WAIT is there.

        Raises:
            UsageError: it has been stopped, or there is no primary.
        """
        old = await self.kill()
        while True:
            with contextlib.suppress(RedisError, OSError):
                if await self.primary() is not old:
                    break
            await asyncio.sleep(PAUSE_S)
        await self.ready()

    async def kill(self, name: str | GroupMember | None = None, *, restart: bool = True) -> GroupMember:
        """SIGKILL to one process. It is started again by itself, unless `restart` is false.

        Args:
            name: which: "redis-1", "sentinel-2", one of `members`; None for the primary.
            restart: whether it is started again.

        Returns:
            Which it was.

        Raises:
            UsageError: there is no such process, or it does not run.
        """
        member = await self._running_one("kill", name)
        member.wanted = restart
        await member.kill()
        return member

    async def freeze(self, name: str | GroupMember | None = None) -> GroupMember:
        """SIGSTOP to one process, until `thaw`. Arguments, what it gives and errors are those of `kill`.

        A frozen primary is replaced after a second. Once thawed it believes for some seconds that it is the primary
        still, and takes what clients had sent to it; but nobody follows it, so it acknowledges nothing.

        Nor does the new primary while the old one stays frozen: a group of two servers takes no write without the
        second one (``min-replicas-to-write 1``), which only `thaw`, or `kill`, brings back.
        """
        member = await self._running_one("freeze", name)
        await member.freeze()
        return member

    async def thaw(self, name: str | GroupMember | None = None) -> None:
        """SIGCONT.

        Args:
            name: which; None for all that are frozen.

        Raises:
            UsageError: there is no such process, or it does not run.
        """
        if name is not None:
            (await self._running_one("thaw", name)).thaw()
        else:
            self._refuse_stopped("thaw")
            for member in self.members:
                if member.frozen:
                    member.thaw()

    async def restart(self) -> None:
        """Have all that was killed for good started again, thaw what is frozen, and wait until the group serves.

        Raises:
            UsageError: it has been stopped.
        """
        await self.thaw()
        for member in self.members:
            if not member.wanted:
                member.wanted = True
                self._keep(member)
        await self.ready()

    async def stop(self) -> None:
        """End all processes and remove their files. A second call only waits. Whoever is cancelled meanwhile waits no
        longer; it is stopped all the same."""
        if self._stopping is None:
            self._stopped = True
            registry.forget(self)
            self._stopping = asyncio.get_running_loop().create_task(self._end(), name="rtlab stops a group")
        await asyncio.shield(self._stopping)

    def keep(self) -> None:
        """From now on, start again what dies."""
        for member in self.members:
            self._keep(member)

    def __repr__(self) -> str:
        states = ", ".join(f"{each.name} {each.state}" for each in self.members if each.state != "running")
        state = "stopped" if self._stopped else states or "running"
        return f"<SentinelGroup {shown(self.url)}, {self.version}, {state}>"

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._pool.aclose()
        results = await asyncio.gather(*(each.aclose() for each in self.members), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _serves(self) -> bool:
        try:
            async with client_of(self.url) as client, asyncio.timeout(1):
                await client.set("rtlab:serves", "", px=10_000)
                if await client.execute_command("WAIT", len(self.servers) - 1, WAIT_MS) < len(self.servers) - 1:  # type: ignore[no-untyped-call]
                    return False
            for sentinel in self.sentinels:
                if sentinel.running and not sentinel.frozen:
                    state = await sentinel.ask("SENTINEL MASTER", SERVICE)
                    replicas = await sentinel.ask("SENTINEL REPLICAS", SERVICE)
                    up = [each for each in replicas if _flags(each) == {"slave"}]
                    if _flags(state) != {"master"} or len(up) < len(self.servers) - 1:
                        return False
                    if int(state["num-other-sentinels"]) < len(self.sentinels) - 1:
                        return False
        except (RedisError, OSError):  # a time-out is an OSError
            return False
        return True

    async def _running_one(self, act: str, name: str | GroupMember | None) -> GroupMember:
        self._refuse_stopped(act)
        if name is None:
            try:
                member: GroupMember = await self.primary()
            except RedisError as error:
                raise UsageError(f"{act}(): there is no primary at present: {error}.") from None
        else:
            found = [each for each in self.members if name is each or name == each.name]
            if not found:
                raise UsageError(
                    f"There is no {name!r} in this group. {near(name, [each.name for each in self.members])}"
                )
            member = found[0]
        if not member.running:
            raise UsageError(f"{act}(): {member.name} has {member.state}. `await group.restart()` starts it again.")
        return member

    def _refuse_stopped(self, act: str) -> None:
        if self._stopped:
            raise UsageError(f"{act}(): this group has been stopped. Start another one.")

    # Starting again what dies

    def _keep(self, member: GroupMember) -> None:
        task = asyncio.get_running_loop().create_task(self._keep_up(member), name=f"rtlab keeps {member.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _keep_up(self, member: GroupMember) -> None:
        delay_s = FIRST_DELAY_S
        while True:
            await member.child.wait_async()
            self._went(member)
            while not member.running:
                if not member.wanted:
                    return
                try:
                    await self._start_again(member)
                except ChildError as error:
                    logger.warning("%s %s; the next attempt is in %g s", member.name, error.problem, delay_s)
                    await asyncio.sleep(delay_s)
                    delay_s = min(2 * delay_s, MOST_DELAY_S)
            self._came(member)

    async def _start_again(self, member: GroupMember) -> None:
        if isinstance(member, ServerMember):
            await member.start_again(programs.valkey(), self._password, await self._whom_to_follow(member))
        elif isinstance(member, SentinelMember):
            await member.start_again(programs.valkey())

    async def _whom_to_follow(self, member: ServerMember) -> int | None:
        """The TCP port of the primary that there is instead of this one; None if this one has to be it."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GIVE_UP_S):
                while True:
                    with contextlib.suppress(RedisError):
                        _, port = await self._pool.find()
                        if port != member.port:
                            return port
                    await asyncio.sleep(PAUSE_S)
        return None

    def _came(self, member: GroupMember) -> None:
        logger.info("%s runs (process %d)", member.name, member.child.pid)
        if self.watch is not None:
            self.watch.came(member.name, member.child.log)

    def _went(self, member: GroupMember) -> None:
        logger.warning("%s %s", member.name, member.child.state)
        if self.watch is not None:
            self.watch.went(member.name, member.child.log, member.child.state)


def _flags(state: Any) -> set[str]:
    """What a sentinel says of a server: "master,s_down"."""
    found = state["flags"]
    return set(found if isinstance(found, list | set | frozenset) else str(found).split(","))
