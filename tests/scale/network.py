"""Several hosts on one machine: network namespaces with addresses of their own, for tests over several hosts.

What lives here: `Network`, its `Host`s, and `why_not`, why this machine cannot have them. It must not know what runs on
the hosts.

The hosts hang on one bridge, in a namespace of its own. So this machine's own network is left alone, the hosts reach
each other and nothing else, and the same addresses can be used by several tests at once. A namespace lives as long as
the process that holds it, which is a `Child`: nothing outlives the test, whatever ends it. See ip-netns(8), unshare(1),
nsenter(1), veth(4). Root needs nothing more; everybody else needs user namespaces, which some systems refuse.

    async with network() as (one, two, three):
        redis = one.start(["redis-server", "--bind", one.address], name="redis")
        print(await two.run("redis-cli", "-h", one.address, "ping"))
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from deadlines import WAIT_S
from eventually import until

from rtlab.errors import ChildError
from rtlab.servers import programs
from rtlab.servers.supervisor import Child

__all__ = ["Host", "needs_network", "network", "why_not"]

PROGRAMS = ("ip", "unshare", "nsenter", "sleep")
NET = "10.77.0"
"""The network that the hosts share; no packet leaves it."""
NAMES = ("one", "two", "three", "four", "five", "six")
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0
OWN_USER = () if ROOT else ("--user", "--map-root-user")
JOIN_USER = () if ROOT else ("--user", "--preserve-credentials")


@dataclass(frozen=True)
class Host:
    """A host: a namespace with one address."""

    name: str
    address: str
    holder: Child
    """The process that holds the namespace."""

    def command(self, *command: str | os.PathLike[str]) -> list[str]:
        """The command, such that it runs on this host."""
        return _inside(self.holder, *map(os.fspath, command))

    def start(
        self, command: Sequence[str | os.PathLike[str]], *, name: str, env: Mapping[str, str] | None = None
    ) -> Child:
        """Start a program on this host. Close what this gives."""
        return Child(self.command(*command), name=f"{name} on {self.name}", env=env)

    async def run(self, *command: str | os.PathLike[str], env: Mapping[str, str] | None = None) -> str:
        """What a program prints that ends by itself.

        Raises:
            ChildError: it fails; the message shows what it printed.
        """
        child = self.start(command, name=Path(command[0]).name, env=env)
        try:
            async with asyncio.timeout(WAIT_S):
                code = await child.wait_async()
            if code:
                raise child.failure()
            return "\n".join(child.log.tail(10_000))
        finally:
            await child.aclose()


@cache
def why_not() -> str:
    """Why this machine cannot have a network of its own; empty if it can."""
    if sys.platform != "linux":
        return "network namespaces are Linux's"
    missing = [each for each in PROGRAMS if shutil.which(each) is None]
    if missing:
        return f"needs {', '.join(missing)} on PATH (on Debian: `sudo apt install iproute2 util-linux`)"
    add_link = "ip link add br0 type bridge && ip link add veth0 type veth peer name veth1"
    try:
        programs.output_of(["unshare", *OWN_USER, "--net", "sh", "-c", add_link], name="unshare", timeout_s=WAIT_S)
    except ChildError as error:
        return f"this machine gives no network namespace, bridge and veth to {'root' if ROOT else 'a user'}: {error}"
    return ""


needs_network = pytest.mark.skipif(bool(why_not()), reason=why_not())


@asynccontextmanager
async def network(hosts: int = 3) -> AsyncIterator[tuple[Host, ...]]:
    """So many hosts (at most six) that reach each other, and nothing else."""
    async with contextlib.AsyncExitStack() as stack:
        switch = await _hold(stack, "switch", ["unshare", *OWN_USER, "--net"])
        await _do(switch, "ip link add br0 type bridge", "ip link set br0 up", "ip link set lo up")
        made = []
        for number, name in enumerate(NAMES[:hosts], start=1):
            holder = await _hold(stack, name, _inside(switch, "unshare", "--net"))
            address = f"{NET}.{number}"
            await _do(
                switch,
                f"ip link add port{number} type veth peer name eth0 netns {holder.pid}",
                f"ip link set port{number} master br0 up",
            )
            await _do(holder, f"ip address add {address}/24 dev eth0", "ip link set eth0 up", "ip link set lo up")
            made.append(Host(name, address, holder))
        yield tuple(made)


async def _hold(stack: contextlib.AsyncExitStack, name: str, enter: list[str]) -> Child:
    """A process that holds a namespace and does nothing else."""
    child = Child([*enter, "sleep", "infinity"], name=f"network namespace of {name}")
    stack.push_async_callback(child.aclose)
    await until(lambda: not child.running or _program(child.pid) == "sleep")
    if not child.running:
        raise child.failure()
    return child


def _program(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def _inside(holder: Child, *command: str) -> list[str]:
    return ["nsenter", "--target", str(holder.pid), *JOIN_USER, "--net", *command]


async def _do(holder: Child, *commands: str) -> None:
    """Run these in a namespace, one after the other; the first that fails is an error."""
    script = " && ".join(commands)
    await asyncio.to_thread(programs.output_of, _inside(holder, "sh", "-c", script), name="ip", timeout_s=WAIT_S)
