"""Many clients at once, for lessons: those that get in.

What lives here: `crowd`, which `rtlab.lesson` offers to chapters. It must not know what the server does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import socketio

from rtlab.lesson_arguments import Listening, address_of

__all__ = ["crowd"]

IN_TIME_S = 5.0
"""Seconds that a client has to get in. It takes a hundredth of one."""
LOOK_S = 0.01
"""Seconds between two looks whether it is in."""


@asynccontextmanager
async def crowd(
    server: Listening | str,
    count: int,
    transports: Sequence[str] | None = None,
    *,
    auth: object = None,
    headers: Sequence[Mapping[str, str]] = ({},),
) -> AsyncIterator[list[socketio.AsyncClient]]:
    """Those of many clients that get in, connected for the length of an ``async with`` block.

    Whoever is not in after `IN_TIME_S` seconds is not let in. They come one after the other, so that chance does not
    decide to which worker a balancer sends each. Each keeps cookies of its own, as python-socketio's client does;
    aiohttp takes none from a server that is named by its address.

    Args:
        server: a server, a balancer or a URL.
        count: how many come.
        transports: as python-socketio has them; None for long-polling and then WebSocket.
        auth: what each shows when it connects.
        headers: what their requests say: the first client's, the second one's, and so on, over and over.
    """
    inside: list[socketio.AsyncClient] = []
    try:
        for number in range(count):
            client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
            said = dict(headers[number % len(headers)])
            inside.append(client)
            if not await _gets_in(client, address_of(server), headers=said, auth=auth, transports=transports):
                await _cut(inside.pop())  # before the next one comes: its requests would count
        yield list(inside)
    finally:
        for client in inside:
            await _cut(client)


async def _gets_in(client: socketio.AsyncClient, url: str, **options: Any) -> bool:
    refused = asyncio.Event()
    client.on("connect_error", lambda *_: refused.set())
    with suppress(socketio.exceptions.ConnectionError, TimeoutError):
        await client.connect(url, wait=False, **options)
        async with asyncio.timeout(IN_TIME_S):
            # Refused in the middle, it can no longer write; what it reads may take 25 s to end.
            while not (client.namespaces or refused.is_set() or _ended(client.eio.write_loop_task)):
                await asyncio.sleep(LOOK_S)
    return bool(client.namespaces)


async def _cut(client: socketio.AsyncClient) -> None:
    """End its connection. To leave politely takes one that polls until its poll is answered, half a minute later."""
    await client.eio.disconnect(abort=True)
    for task in (client.eio.read_loop_task, client.eio.write_loop_task):
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
    if client.eio.http is not None:
        await client.eio.http.close()


def _ended(task: asyncio.Task[None] | None) -> bool:
    return task is None or task.done()
