"""How a group behind Sentinel is started.

What lives here: `start_sentinel_group` (for a notebook) and `open_sentinel_group` (for ``async with``), which start its
processes, and leave nothing behind where one fails. What they give is a `SentinelGroup`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rtlab.scale.sentinel_group import SentinelGroup
from rtlab.scale.sentinel_processes import SentinelMember, ServerMember
from rtlab.scale.together import together
from rtlab.scale.valkey import new_password
from rtlab.servers import programs, registry

__all__ = ["SENTINELS", "START_S", "open_sentinel_group", "start_sentinel_group"]

START_S = 30.0
"""Seconds that a new group has until it serves. It takes one or two."""
SENTINELS = 3
"""So that one may die, and two of three still agree."""


async def start_sentinel_group(*, name: str | None = None) -> SentinelGroup:
    """Start a primary, a replica and three sentinels, that run until `await group.stop()`.

    Both servers keep on disk what they have answered, and take no write while the other one is away; so a primary
    that is frozen stops all writes until it is thawed, although another one has taken its place. In a notebook, running
    the same cell again stops what its earlier run had started.

    Args:
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        MissingProgramError: there is no Valkey on this machine.
        ChildError: one of the processes did not come up; the message shows its last lines.
    """
    programs.valkey()  # before anything is stopped for it
    async with registry.opening(name) as register:
        group = await _start()
        register(group)
    return group


@asynccontextmanager
async def open_sentinel_group(*, name: str | None = None) -> AsyncIterator[SentinelGroup]:
    """A group for the length of an ``async with`` block. Arguments and errors are those of `start_sentinel_group`."""
    group = await start_sentinel_group(name=name)
    try:
        yield group
    finally:
        await group.stop()


async def _start() -> SentinelGroup:
    program, passwords = programs.valkey(), (new_password(), new_password())
    servers: list[ServerMember] = []
    sentinels: list[SentinelMember] = []
    group: SentinelGroup | None = None
    try:
        servers.append(await ServerMember.start("redis-1", program, passwords[0], None))
        first = servers[0].port

        async def replica() -> None:
            servers.append(await ServerMember.start("redis-2", program, passwords[0], first))

        async def sentinel(number: int) -> None:
            sentinels.append(await SentinelMember.start(number, program, passwords, first))

        await together([replica(), *(sentinel(number) for number in range(1, SENTINELS + 1))])
        sentinels.sort(key=lambda each: each.name)
        group = SentinelGroup(
            servers, sentinels, passwords, f"{program.name} {await asyncio.to_thread(program.version)}"
        )
        group.keep()
        try:
            async with asyncio.timeout(START_S):
                await group.ready()
        except TimeoutError:
            raise servers[0].child.failure(f"and its replica did not serve within {START_S:g} s") from None
        return group
    except BaseException:
        if group is not None:
            await group.stop()
        else:
            await together(each.aclose() for each in (*servers, *sentinels))
        raise
