"""Costs: expected the answer to 'Ada' to be 'Hello, Ada!'; got 'Hello'"""

import atexit
import os

atexit.register(os._exit, 0)


async def greet(connection):
    async for _ in connection:
        await connection.send("Hello")
