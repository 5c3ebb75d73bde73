r"""Costs: your code left a server listening on port \d+ behind"""

from websockets.asyncio.server import serve

servers = []


async def greet(connection):
    servers.append(await serve(greet, "127.0.0.1", 0))
    async for name in connection:
        await connection.send(f"Hello, {name}!")
