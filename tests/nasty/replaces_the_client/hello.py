r"""Costs: your code replaced websockets\.asyncio\.connection\.Connection\.recv, which the check needs as it was"""

from websockets.asyncio.connection import Connection


async def recv(self, decode=None):
    return "Hello, Ada!"


Connection.recv = recv


async def greet(connection):
    await connection.wait_closed()
