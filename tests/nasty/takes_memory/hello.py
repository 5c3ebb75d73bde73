r"""Costs: your code took more than \d+ MiB of memory"""

MIB = 1024 * 1024


async def greet(connection):
    taken = []
    for _ in range(2048):
        taken.append(b"x" * MIB)
    async for name in connection:
        await connection.send(f"Hello, {name}!")
