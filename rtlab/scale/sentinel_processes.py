"""The processes of a group behind Sentinel: how a server and a sentinel of ours are configured and started.

What lives here: `GroupMember`, one place in the group with whatever process it has at present, and what starts it. It
must not know which server is the primary, nor when a process is started again; `sentinel_group` does.

All listen on loopback only and ask for passwords. A sentinel writes what it learns into its configuration file, with
the passwords in it: the file lies in a private directory (mode 0700), and goes with it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from rtlab.errors import ChildError
from rtlab.scale.stopping import wait_until_stopped
from rtlab.scale.valkey import ATTEMPTS, DURABLE, LOOPBACK, PAUSE_S, READY_S, TAKEN, start_valkey
from rtlab.servers.ports import free_port
from rtlab.servers.programs import Program
from rtlab.servers.supervisor import Child

__all__ = ["DOWN_AFTER_S", "MAX_LAG_S", "QUORUM", "RETRY_S", "SERVICE", "GroupMember", "SentinelMember", "ServerMember"]

SERVICE = "rtlab"
"""What the sentinels call the group."""
QUORUM = 2
"""Sentinels, of three, that have to agree that the primary is down."""
DOWN_AFTER_S = 1.0
"""Seconds without an answer after which a sentinel takes a server for down. Elsewhere 5 to 30 are usual."""
APART_S = 0.3
"""Seconds that each sentinel takes longer than the one before it. On one machine all would find out in the same
millisecond, each vote for itself, and none be elected."""
RETRY_S = 3.0
"""``failover-timeout`` in seconds. A failover that came to nothing, because sentinels had voted for themselves, say, is
tried again after twice that."""
MAX_LAG_S = 5
"""``min-replicas-max-lag`` in whole seconds: a primary whose replica has said nothing for so long refuses to write. It
is how an old primary that nobody follows any more finds out. A replica speaks once a second."""
HURRY = ("ping-period", "500", "publish-period", "500", "info-period", "500", "tilt-period", "5000")
"""SENTINEL DEBUG, in ms: how often sentinels ask whether a server lives (1000 by default: with `DOWN_AFTER_S`, a server
that was asked a little late would be taken for down), tell each other what they know (2000), look at the servers' state
(10,000), and how long they do nothing after their clock has jumped (30,000), as it does when one is frozen. With the
defaults a group needs some seconds more to start, and ten to take in a server that was frozen."""
CONFIGURATION = "sentinel.conf"
SAID = "+monitor"
"""What a sentinel prints once it listens and works."""


class GroupMember:
    """A place in the group, and the process that it has at present.

    Args:
        name: "redis-1", "sentinel-2".
        child: its first process. The directory of that one is where all work.
        port: TCP, of loopback. It keeps it.
        password: what it asks for.
    """

    def __init__(self, name: str, child: Child, port: int, password: str) -> None:
        self.url = f"redis://:{password}@{LOOPBACK}:{port}"
        """Of this one process, whatever it is at present. It carries the password."""
        self.name = name
        self.port = port
        self._password = password
        self.child = child
        """The process. After it has been started again it is another one."""
        self.wanted = True
        """Whether it is started again when it has died."""
        self.frozen = False
        self.changing = asyncio.Lock()
        """Held by whoever starts or ends its process."""
        self._home = child

    @property
    def home(self) -> Path:
        """The directory with its files, whichever process it has."""
        return self._home.directory

    @property
    def address(self) -> str:
        """Where it listens: "127.0.0.1:6379"."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process runs. A frozen one does."""
        return self.child.running

    @property
    def state(self) -> str:
        """In words: "running", "frozen", or how it ended."""
        return "frozen" if self.frozen and self.running else self.child.state

    async def kill(self) -> None:
        """SIGKILL, and wait until it is dead."""
        self.child.kill()
        await self.child.wait_async()
        self.frozen = False

    async def freeze(self) -> None:
        """SIGSTOP, and wait until it has stopped."""
        self.child.send_signal(signal.SIGSTOP)
        self.frozen = True
        await wait_until_stopped(self.child)

    def thaw(self) -> None:
        """SIGCONT."""
        self.child.send_signal(signal.SIGCONT)
        self.frozen = False

    async def let_go(self, new: Child) -> None:
        """Another process has taken the place of the one that it had, which has ended."""
        old, self.child, self.frozen = self.child, new, False
        if old is not self._home:
            await old.aclose()

    async def aclose(self) -> None:
        """End it, and remove its files."""
        try:
            await self.child.aclose()
        finally:
            await self._home.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}, {self.address}, process {self.child.pid}, {self.state}>"


class ServerMember(GroupMember):
    """A Valkey that is the primary or its replica, with all it has answered on its disk."""

    @classmethod
    async def start(cls, name: str, program: Program, password: str, primary: int | None) -> ServerMember:
        """Start one.

        Args:
            name: what to call it.
            program: a Valkey or Redis server.
            password: what clients and the other server have to say.
            primary: the TCP port of the server that it follows; None if it is the primary.

        Raises:
            ChildError: it did not come up.
        """
        ours = await start_valkey(program, password, settings=_server_settings(password, primary))
        return cls(name, ours.child, ours.port, password)

    async def start_again(self, program: Program, password: str, primary: int | None) -> None:
        """Start a process in the place of the one that has ended. It reads what that had on disk. Arguments and errors
        are those of `start`."""
        ours = await start_valkey(
            program, password, self.port, settings=_server_settings(password, primary), home=self.home
        )
        await self.let_go(ours.child)


class SentinelMember(GroupMember):
    """A sentinel. It keeps what it has learned, and its own id, when it is started again."""

    @classmethod
    async def start(cls, number: int, program: Program, passwords: tuple[str, str], primary: int) -> SentinelMember:
        """Start one.

        Args:
            number: which one of the group's, from 1 on.
            program: a Valkey or Redis server, which serves as a sentinel too.
            passwords: those of the servers and of the sentinels.
            primary: the TCP port of the primary.

        Raises:
            ChildError: it did not come up.
        """
        attempts = ATTEMPTS
        while True:
            port = free_port()
            lines = _sentinel_configuration(number, port, passwords, primary).encode()
            child = Child(_command(program), name=f"{program.name} sentinel", files={CONFIGURATION: lines})
            member = cls(f"sentinel-{number}", child, port, passwords[1])
            try:
                await member._comes_up(child)
            except ChildError as error:
                attempts -= 1
                if not attempts or not any(TAKEN in line for line in error.tail):
                    raise
            else:
                return member

    async def start_again(self, program: Program) -> None:
        """Start a process in the place of the one that has ended; it reads what that had written.

        Raises:
            ChildError: it did not come up.
        """
        child = Child(_command(program), name=f"{program.name} sentinel", cwd=self.home)
        await self._comes_up(child)
        await self.let_go(child)

    async def ask(self, *command: str) -> Any:
        """One command, over a connection of its own.

        Raises:
            redis.exceptions.RedisError: it does not answer, or refuses.
            TimeoutError: it does not answer in time.
        """
        options: dict[str, Any] = {"decode_responses": True, "retry": Retry(NoBackoff(), 0)}
        async with (
            Redis(host=LOOPBACK, port=self.port, password=self._password, **options) as client,
            asyncio.timeout(READY_S),
        ):
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def _comes_up(self, child: Child) -> None:
        """Wait until it works; end it if it does not."""
        try:
            async with asyncio.timeout(READY_S):
                while SAID.encode() not in child.log.since(0):
                    if not child.running:
                        raise child.failure()
                    await asyncio.sleep(PAUSE_S)
                try:
                    await self.ask("SENTINEL", "DEBUG", *HURRY)
                except ResponseError:  # before Redis 7
                    await self.ask("PING")
        except BaseException as error:
            await child.aclose()
            if isinstance(error, TimeoutError):
                raise child.failure(f"did not answer within {READY_S:g} s") from None
            raise


def _server_settings(password: str, primary: int | None) -> Mapping[str, str]:
    """Both may become primary, so both have the same, but for whom they follow."""
    follows = {} if primary is None else {"replicaof": f"{LOOPBACK} {primary}"}
    return {
        **DURABLE,
        "masterauth": password,
        "min-replicas-to-write": "1",
        "min-replicas-max-lag": str(MAX_LAG_S),
        "repl-diskless-sync": "yes",
        "repl-diskless-sync-delay": "0",  # for more replicas that could join; there is one
        "shutdown-timeout": "0",  # for a replica that lags; when all end, it has gone
        **follows,
    }


def _sentinel_configuration(number: int, port: int, passwords: tuple[str, str], primary: int) -> str:
    of_servers, of_sentinels = passwords
    down_after_s = DOWN_AFTER_S + (number - 1) * APART_S
    return f"""\
bind {LOOPBACK}
port {port}
requirepass {of_sentinels}
sentinel sentinel-pass {of_sentinels}
sentinel monitor {SERVICE} {LOOPBACK} {primary} {QUORUM}
sentinel auth-pass {SERVICE} {of_servers}
sentinel down-after-milliseconds {SERVICE} {down_after_s * 1000:.0f}
sentinel failover-timeout {SERVICE} {RETRY_S * 1000:.0f}
sentinel parallel-syncs {SERVICE} 1
"""


def _command(program: Program) -> list[str]:
    return [*program.command, CONFIGURATION, "--sentinel"]
