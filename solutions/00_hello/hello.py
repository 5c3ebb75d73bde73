"""Exercise 00: a server that greets."""

from websockets.asyncio.server import ServerConnection


async def greet(connection: ServerConnection) -> None:
    """Talk to one client: each message that arrives is a name, and each name is greeted at once."""
    async for name in connection:
        await connection.send(f"Hello, {name}!")
