"""Fails: test_greets_by_name

`send` is called but never awaited: nothing leaves.
"""


async def greet(connection):
    async for name in connection:
        connection.send(f"Hello, {name}!")
