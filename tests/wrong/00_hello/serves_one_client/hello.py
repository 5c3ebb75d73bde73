"""Fails: test_greets_every_name

A lock around the whole conversation: the second client waits until the first one has left.
"""

import asyncio

LOCK = asyncio.Lock()


async def greet(connection):
    async with LOCK:
        async for name in connection:
            await connection.send(f"Hello, {name}!")
