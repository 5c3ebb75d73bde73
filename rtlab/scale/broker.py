"""The broker: the Valkey that several processes share, ours on a free port or your own through REDIS_URL.

What lives here: `Broker`, which is stopped, and disturbed for lessons and tests, and how one is opened. How ours is
started stands in `valkey`. It must not know what is stored in it or published through it. A server of your own is only
connected to: never stopped, never configured, never disturbed.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.exceptions import RedisError

from rtlab.errors import UsageError
from rtlab.realtime.nodes.opening import shown
from rtlab.scale.arguments import check_bool
from rtlab.scale.redis_url import client_of, problem_with
from rtlab.scale.stopping import wait_until_stopped
from rtlab.scale.valkey import DURABLE, READY_S, RunningValkey, new_password, start_valkey
from rtlab.servers import programs, registry
from rtlab.servers.supervisor import Child, Log

__all__ = ["READY_S", "Broker", "connect", "expect_replica", "open_broker", "start_broker"]

NOBODY = ("127.0.0.1", 1)
"""A primary that there is not: nothing listens on port 1 of loopback (tcpmux, RFC 1078, which nobody runs)."""
REPLICA_LOOKS = 8
"""How often we look for a replica of a server of your own. One that follows it shows at once. For one that has just
begun to, the server waits for 5 s (``repl-diskless-sync-delay``, so that others can join), and then it is copied."""
LOOK_MS = 1000
"""Milliseconds of one look, less than redis-py waits for an answer."""


class Broker:
    """A Valkey or Redis that answers. Made by `start_broker` and `open_broker`."""

    def __init__(self, url: str, what: str, ours: RunningValkey | None = None, *, durable: bool = False) -> None:
        self.url = url
        """For any Redis client: ``redis://:PASSWORD@127.0.0.1:PORT``, or your REDIS_URL as it is. It carries the
        password, which `repr` and the log do not show."""
        self.child: Child | None = None if ours is None else ours.child
        """The process, where it is ours. After `restart` it is another one."""
        self.durable = durable
        """Whether it is ours and keeps on disk what it has answered, over `kill` and `restart`, until `stop`."""
        self._home = self.child if durable else None
        """Its first process: the directory of that one has the data."""
        self._ours = ours
        self._what = what
        self._frozen = False
        self._stopped = False
        self._changing = asyncio.Lock()

    @property
    def running(self) -> bool:
        """Whether it runs. A frozen one does. Your own counts as running until `stop`."""
        return not self._stopped and (self.child is None or self.child.running)

    @property
    def log(self) -> Log:
        """What our Valkey has printed since it was started last.

        Raises:
            UsageError: the server is your own; we do not have its output.
        """
        if self.child is None:
            raise UsageError(f"{shown(self.url)} is a server of your own. Look into its own log.")
        return self.child.log

    async def stop(self) -> None:
        """End our Valkey and remove its files; leave your own alone. A second call does nothing."""
        if not self._stopped:
            self._stopped = True
            registry.forget(self)
        async with self._changing:
            for child in (self.child, self._home):
                if child is not None:
                    await child.aclose()

    # What can go wrong with a Redis, for lessons and tests

    async def freeze(self) -> None:
        """SIGSTOP: it does nothing more, as in a virtual machine that is paused, until `thaw`.

        What a client sees: connections stay open, new ones are accepted by the kernel, and no command is answered. Only
        a time-out of its own tells. What it sends waits in the kernel, and is done on `thaw`, also what the client has
        given up by then.

        Raises:
            UsageError: it is no Valkey of ours, or does not run.
        """
        async with self._changing:
            child = self._ours_running("freeze")
            child.send_signal(signal.SIGSTOP)
            self._frozen = True
            await wait_until_stopped(child)

    async def thaw(self) -> None:
        """SIGCONT: it goes on where `freeze` had stopped it, and first does what was sent meanwhile.

        Raises:
            UsageError: it is no Valkey of ours, or does not run.
        """
        async with self._changing:
            self._ours_running("thaw").send_signal(signal.SIGCONT)
            self._frozen = False

    async def kill(self) -> None:
        """SIGKILL, as when the machine runs out of memory. `restart` starts it again.

        What a client sees: its connections are closed in the middle of whatever they did, and new ones are refused.
        All data is gone, unless it is `durable`.

        Raises:
            UsageError: it is no Valkey of ours, or does not run.
        """
        async with self._changing:
            child = self._ours_running("kill")
            child.kill()
            await child.wait_async()

    async def restart(self) -> None:
        """Stop it, if it still runs, and start it on the same port with the same password.

        What a client sees: its connections are closed, new ones are refused for about a tenth of a second, then all
        works again with the URL that it has. Its subscriptions are gone, all data too unless it is `durable`, and so is
        what `freeze`, `out_of_memory` and `read_only` had done.

        Raises:
            UsageError: it is no Valkey of ours, or `stop` was called.
            ChildError: it did not come up, perhaps because another program has taken the port meanwhile.
        """
        async with self._changing:
            old = self._ours_alone("restart")
            await old.child.end_async()
            if old.child is not self._home:
                await old.child.aclose()
            self._frozen = False
            home = None if self._home is None else self._home.directory
            self._ours = await start_valkey(
                programs.valkey(), old.password, old.port, settings=DURABLE if self.durable else {}, home=home
            )
            self.child = self._ours.child
            self._what = _describe(self._ours)

    async def out_of_memory(self) -> None:
        """Let it have no memory left (``maxmemory 1``, ``noeviction``), until `recover`.

        What a client sees: a command that may need memory (SET, XADD, EVAL with a write) fails with "OOM command not
        allowed". Reading, deleting and expiring go on, and so do SUBSCRIBE and PUBLISH: messages between processes
        still arrive while nothing can be stored.

        Raises:
            UsageError: it is no Valkey of ours, does not run, or is frozen.
        """
        await self._command("out_of_memory", "CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction")

    async def read_only(self) -> None:
        """Make it a replica whose primary is away (``REPLICAOF``), as after a failover that went to another one.

        It lasts until `recover`. What a client sees: every command that writes fails with "READONLY You can't write
        against a read only replica"; one that blocks is ended with UNBLOCKED. Reading goes on, and so do SUBSCRIBE and
        PUBLISH.

        Raises:
            UsageError: it is no Valkey of ours, does not run, or is frozen.
        """
        host, port = NOBODY
        await self._command("read_only", "REPLICAOF", host, str(port))

    async def recover(self) -> None:
        """Undo `freeze`, `out_of_memory` and `read_only`, in whatever state it is. No data is lost.

        Raises:
            UsageError: it is no Valkey of ours, or does not run.
        """
        await self.thaw()
        await self._command("recover", "CONFIG", "SET", "maxmemory", "0")
        await self._command("recover", "REPLICAOF", "NO", "ONE")

    def __repr__(self) -> str:
        alive = "running" if self.child is None else self.child.state
        if self._frozen and self.running:
            alive = "frozen"
        what = f"{self._what}, durable" if self.durable else self._what
        return f"<Broker {shown(self.url)}, {what}, {'stopped' if self._stopped else alive}>"

    def _ours_alone(self, act: str) -> RunningValkey:
        """Ours, whether it still runs or not."""
        if self._ours is None:
            raise UsageError(
                f"{act}() is for the lab's own Valkey, and {shown(self.url)} is a server of your own, named by "
                "REDIS_URL: the lab never touches it. Unset REDIS_URL, and the lab starts a Valkey that it may disturb."
            )
        if self._stopped:
            raise UsageError(f"{act}(): this broker has been stopped. Start another one.")
        return self._ours

    def _ours_running(self, act: str) -> Child:
        child = self._ours_alone(act).child
        if not child.running:
            raise UsageError(f"{act}(): {child.name} has {child.state}. `await broker.restart()` starts it again.")
        return child

    async def _command(self, act: str, *words: str) -> None:
        async with self._changing:
            self._ours_running(act)
            if self._frozen:
                raise UsageError(f"{act}(): a frozen Valkey takes no command. `await broker.thaw()` first.")
            async with client_of(self.url) as client, asyncio.timeout(READY_S):
                await client.execute_command(*words)  # type: ignore[no-untyped-call]


async def start_broker(*, durable: bool = False, name: str | None = None) -> Broker:
    """Start a Valkey that runs until `await broker.stop()`, or connect to the one that REDIS_URL names.

    Ours has a random password, which stands in `Broker.url`. It keeps nothing on disk, unless it is durable: then
    whatever it has answered is in its append-only file, which a restart reads, and which `stop` removes. In a notebook,
    running the same cell again stops what its earlier run had started.

    REDIS_URL is a URL as redis-py takes it. With TLS and a CA of your own:
    ``rediss://USER:PASSWORD@HOST:6379/0?ssl_ca_certs=/path/of/ca.pem``. With sentinels:
    ``redis+sentinel://:PASSWORD@HOST:26379,HOST:26379,HOST:26379/SERVICE``.

    Args:
        durable: whether ours survives its own death. Your own is never configured: `rtlab doctor` says what it keeps.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        MissingProgramError: there is no Valkey on this machine, and no REDIS_URL.
        ChildError: Valkey did not come up; the message shows its last lines.
        UsageError: nothing answers at REDIS_URL; the message says why. Or `durable` is neither True nor False.
    """
    check_bool("durable", durable, "Whether a Redis of your own keeps its data, its configuration says.")
    async with registry.opening(name) as register:
        own = os.environ.get("REDIS_URL")
        broker = await (connect(own) if own else _start(durable))
        register(broker)
    return broker


@asynccontextmanager
async def open_broker(*, durable: bool = False, name: str | None = None) -> AsyncIterator[Broker]:
    """A broker for the length of an ``async with`` block. Arguments and errors are those of `start_broker`."""
    broker = await start_broker(durable=durable, name=name)
    try:
        yield broker
    finally:
        await broker.stop()


async def _start(durable: bool) -> Broker:
    ours = await start_valkey(programs.valkey(), new_password(), settings=DURABLE if durable else {})
    return Broker(ours.url, _describe(ours), ours, durable=durable)


async def connect(url: str) -> Broker:
    """The server of your own that REDIS_URL names.

    Raises:
        UsageError: nothing answers there; the message says why.
    """
    try:
        client = client_of(url)
    except ValueError as error:
        raise UsageError(f"REDIS_URL is {shown(url)!r}: {error}.") from None
    try:
        async with client, asyncio.timeout(READY_S):
            await client.ping()
    except TypeError as error:  # a parameter in the query that redis-py does not know
        raise UsageError(f"REDIS_URL is {shown(url)}: {error}.") from None
    except (RedisError, OSError) as error:  # a time-out is an OSError
        raise UsageError(
            f"REDIS_URL is {shown(url)}, but PING got no answer there: {problem_with(error, url, READY_S)} "
            "Start that server, correct REDIS_URL, or unset REDIS_URL, and the lab starts a Valkey of its own."
        ) from None
    return Broker(url, "your own, named by REDIS_URL")


async def expect_replica(url: str) -> None:
    """Look whether a server of your own has a replica, before anything is started that refuses to store without one.

    Raises:
        UsageError: no replica follows it, or it does not say so; the message says what to do.
    """
    instead = (
        "Give that server a replica; or choose another durability: what your server keeps, its configuration says; or "
        "unset REDIS_URL, and the lab starts a primary and a replica of its own."
    )
    try:
        async with client_of(url) as client:
            for _ in range(REPLICA_LOOKS):
                async with asyncio.timeout(READY_S):
                    # on a connection that has written nothing, it counts those that follow at all
                    found = await client.execute_command("WAIT", 1, LOOK_MS)  # type: ignore[no-untyped-call]
                if found:
                    return
    except (RedisError, OSError) as error:
        raise UsageError(
            f"durability='replica': REDIS_URL is {shown(url)}, and what WAIT said there is no number of replicas: "
            f"{problem_with(error, url, READY_S)} {instead}"
        ) from None
    raise UsageError(
        f"durability='replica': REDIS_URL is {shown(url)}, and no replica follows that server: the chat would refuse "
        f"every message. {instead}"
    )


def _describe(ours: RunningValkey) -> str:
    return f"{ours.version}, process {ours.child.pid}"
