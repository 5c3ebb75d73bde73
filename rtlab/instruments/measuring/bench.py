"""Benchmarks: what a server can do, measured in one run, so that the machine is the same for all.

What lives here: `echo`, which compares the echo servers of `rtlab.servers.echo`. The server runs in a process of its
own, which is one core for Python. The client is not what is measured: it writes frames that were built before, keeps
`IN_FLIGHT` of them on the way, and counts the bytes that come back.
"""

from __future__ import annotations

import asyncio
import os
import platform
import socket
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import perf_counter

import psutil

from rtlab.errors import UsageError
from rtlab.servers.echo import STACKS, Stack
from rtlab.servers.hosting import start
from rtlab.wire.frames import Frame, Opcode, encode_frame
from rtlab.wire.handshake import upgrade_request

__all__ = ["IN_FLIGHT", "SIZES", "EchoRow", "echo", "machine"]

IN_FLIGHT_BYTES = 128 * 1024
"""Bytes that are on the way at once: enough to keep a server busy, less than the sockets' buffers hold."""
IN_FLIGHT = 64
"""Messages that are on the way at once, at the most."""
SIZES = (100, 64 * 1024)
"""Bytes of the messages: a chat line, and a small file."""
TARGETS: dict[Stack, str] = {
    "hand": "rtlab.servers.echo:by_hand",
    "websockets": "rtlab.servers.echo:on_websockets",
    "aiohttp": "rtlab.servers.echo:on_aiohttp",
}


@dataclass(frozen=True)
class EchoRow:
    """What one stack did with messages of one size. Medians over the rounds."""

    stack: Stack
    size: int
    """Bytes of payload."""
    count: int
    """Messages in each round."""
    rounds: int
    per_second: float
    """Messages echoed in a second."""
    cpu_us: float
    """Microseconds of the server's CPU for one message."""


def machine() -> str:
    """What this was measured on, in one line."""
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores"


async def echo(
    sizes: Sequence[int] = SIZES,
    *,
    stacks: Sequence[Stack] = STACKS,
    seconds: float = 1.0,
    rounds: int = 5,
    progress: Callable[[str], None] = lambda _: None,
) -> list[EchoRow]:
    """Measure echo servers against each other, without compression.

    Args:
        sizes: bytes of payload.
        stacks: which servers.
        seconds: about how long a round takes.
        rounds: how often each is measured; the stacks take turns, so that a slow moment of the machine hits all.
        progress: called with a few words before each round.

    Raises:
        UsageError: no rounds, or a size that is no number of bytes.
    """
    if rounds < 1 or any(size < 0 for size in sizes):
        raise UsageError(f"Expected rounds from 1 and sizes from 0, got rounds={rounds}, sizes={list(sizes)}.")
    servers = {stack: await start(TARGETS[stack], in_child=True, name=f"bench {stack}") for stack in stacks}
    try:
        rows = []
        for size in sizes:
            measured: dict[Stack, list[tuple[float, float]]] = {stack: [] for stack in stacks}
            counts: dict[Stack, int] = {}
            for stack, server in servers.items():
                progress(f"{stack}, {size} bytes: finding the pace")
                wall, _ = await asyncio.to_thread(_measure, server.port, server.child.pid, size, 2 * IN_FLIGHT)  # type: ignore[union-attr]
                counts[stack] = max(IN_FLIGHT, int(2 * IN_FLIGHT * seconds / wall))
            for each in range(rounds):
                for stack, server in servers.items():
                    progress(f"{stack}, {size} bytes: round {each + 1} of {rounds}")
                    measured[stack].append(
                        await asyncio.to_thread(_measure, server.port, server.child.pid, size, counts[stack])  # type: ignore[union-attr]
                    )
            for stack in stacks:
                count = counts[stack]
                per_second = statistics.median(count / wall for wall, _ in measured[stack])
                cpu_us = statistics.median(cpu / count * 1e6 for _, cpu in measured[stack])
                rows.append(EchoRow(stack, size, count, rounds, per_second, cpu_us))
        return rows
    finally:
        for server in servers.values():
            await server.stop()


def _measure(port: int, pid: int, size: int, count: int) -> tuple[float, float]:
    """Seconds of wall clock, and of the server's CPU, for `count` messages."""
    frame = encode_frame(Frame(Opcode.BINARY, bytes(size)), b"\x12\x34\x56\x78")
    answer_size = len(encode_frame(Frame(Opcode.BINARY, bytes(size))))
    window = max(1, min(IN_FLIGHT, IN_FLIGHT_BYTES // max(1, size)))
    server = psutil.Process(pid)
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(bytes(upgrade_request(f"127.0.0.1:{port}", "/", "AAAAAAAAAAAAAAAAAAAAAA==")))
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        before = sum(server.cpu_times()[:2])
        began = perf_counter()
        sent, received, wanted = 0, 0, count * answer_size
        while received < wanted:
            free = min(window - (sent - received // answer_size), count - sent)
            if free > 0:
                client.sendall(frame * free)
                sent += free
            data = client.recv(1 << 18)
            if not data:
                raise ConnectionError(f"the server on port {port} closed the connection")
            received += len(data)
        wall = perf_counter() - began
        return wall, sum(server.cpu_times()[:2]) - before
