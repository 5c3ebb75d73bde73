r"""Costs: got '\\x1b\[2J\\nHello\\u202e'$"""


async def greet(connection):
    async for _ in connection:
        await connection.send("\x1b[2J\nHello\u202e")
