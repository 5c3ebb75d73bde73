r"""Costs: still running after \d.*s, in hello\.py, line \d+ \(`await asyncio\.Event\(\)\.wait\(\)`\)"""

import asyncio


async def greet(connection):
    await asyncio.Event().wait()
