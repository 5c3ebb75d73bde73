r"""Costs: your code left a task running behind, in hello\.py, line \d+ \(`await asyncio\.sleep\(60\)`\)"""

import asyncio

tasks = []


async def work():
    await asyncio.sleep(60)


async def greet(connection):
    tasks.append(asyncio.create_task(work()))
    async for name in connection:
        await connection.send(f"Hello, {name}!")
