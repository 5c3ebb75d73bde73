r"""Costs: Your code raised KeyError: '.*' \(hello\.py, line \d+\)"""

greetings = {}


async def greet(connection):
    async for name in connection:
        await connection.send(greetings[name])
