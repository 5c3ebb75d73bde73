"""Fails: test_greets_by_name

The greeting of the docstring's example, whoever comes.
"""


async def greet(connection):
    async for _ in connection:
        await connection.send("Hello, Grace!")
