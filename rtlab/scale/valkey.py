"""Our Valkey: how it is configured and started, and how we know that it is ready and the one that we started.

What lives here: `start_valkey`. It must not know what the broker is used for, nor who disturbs it.

It listens on loopback only, keeps nothing on disk unless it is durable, and asks for a password. Valkey reads its whole
configuration from a pipe that it inherits: so the password stands on no command line, in no environment and in no file.

A durable one writes each command into its append-only file before it answers (``appendfsync always``). The file lies in
its *home*: the private directory of the child that was its first process, which is kept, ended or not, until all is
over. So later processes find the file, and whatever ends us, the watchdog of that child removes it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from rtlab.errors import ChildError
from rtlab.scale.redis_url import client_of, version_of
from rtlab.servers.ports import free_port
from rtlab.servers.programs import Program
from rtlab.servers.supervisor import Child

__all__ = [
    "ATTEMPTS", "DURABLE", "LOOPBACK", "PAUSE_S", "READY_S", "TAKEN", "RunningValkey", "new_password", "start_valkey",
]  # fmt: skip

LOOPBACK = "127.0.0.1"
"""The only address that our Valkey listens on."""
READY_S = 10.0
"""Seconds until a broker has to answer PING. Ours takes a tenth of one."""
PAUSE_S = 0.01
"""Seconds between two looks at the output of a Valkey that is starting."""
LISTENING = "Ready to accept connections"
"""What Valkey and Redis print once they listen. To connect before would reach whoever else had taken the port."""
ATTEMPTS = 5
"""How many ports are tried. A free port can be lost to another program before Valkey listens on it."""
TAKEN = "Failed listening on port"
"""What Valkey and Redis print when that has happened."""
PASSWORD_BYTES = 24
"""Of randomness in the password: 192 bits, which nobody guesses, however fast Valkey answers."""

DURABLE: Mapping[str, str] = MappingProxyType({"appendonly": "yes", "appendfsync": "always"})
"""What makes a Valkey durable: a command is on the disk before it is answered. ``everysec``, which is usual, loses up
to a second. (https://valkey.io/topics/persistence/)"""


@dataclass(frozen=True)
class RunningValkey:
    """A Valkey that answers."""

    child: Child
    port: int
    password: str = field(repr=False)
    version: str
    """As `version_of` has it."""

    @property
    def url(self) -> str:
        """For any Redis client."""
        return _url(self.port, self.password)


def new_password() -> str:
    """A password that nobody guesses, of characters that mean nothing in a URL or a configuration."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


async def start_valkey(
    program: Program,
    password: str,
    port: int | None = None,
    *,
    settings: Mapping[str, str] = MappingProxyType({}),
    home: Path | None = None,
) -> RunningValkey:
    """Start one and wait until it answers.

    Args:
        program: a Valkey or Redis server.
        password: what clients have to say.
        port: of loopback; None takes a free one.
        settings: lines of its configuration beside those that each of ours has, by their names: `DURABLE`.
        home: the directory that it works in; its child's own, if not given.

    Raises:
        ChildError: it did not come up; the message shows its last lines.
    """
    for _ in range(ATTEMPTS - 1 if port is None else 0):
        try:
            return await _start_on(free_port(), program, password, settings, home)
        except ChildError as error:
            if not any(TAKEN in line for line in error.tail):
                raise
    return await _start_on(free_port() if port is None else port, program, password, settings, home)


async def _start_on(
    port: int, program: Program, password: str, settings: Mapping[str, str], home: Path | None
) -> RunningValkey:
    ours = {"bind": LOOPBACK, "port": port, "requirepass": password, "save": '""', "appendonly": "no"}
    lines = "".join(f"{name} {value}\n" for name, value in {**ours, **settings}.items())
    child = _start_with(lines, program, home)
    try:
        async with asyncio.timeout(READY_S):
            while LISTENING.encode() not in child.log.since(0):  # a busy one has printed a page since
                if not child.running:
                    raise child.failure()
                await asyncio.sleep(PAUSE_S)
            async with client_of(_url(port, password)) as client:
                await client.ping()
                return RunningValkey(child, port, password, await version_of(client))
    except BaseException as error:
        await child.aclose()
        if isinstance(error, TimeoutError):
            raise child.failure(f"did not answer PING within {READY_S:g} s") from None
        raise


def _start_with(configuration: str, program: Program, home: Path | None) -> Child:
    """Start it with its configuration in a pipe, which it reads before it does anything else."""
    reader, writer = os.pipe()
    try:
        try:
            os.write(writer, configuration.encode())  # below 1 KiB; a pipe holds 4 at least before anybody reads
        finally:
            os.close(writer)
        return Child([*program.command, f"/dev/fd/{reader}"], name=program.name, cwd=home, pass_fds=(reader,))
    finally:
        os.close(reader)


def _url(port: int, password: str) -> str:
    return f"redis://:{password}@{LOOPBACK}:{port}"
