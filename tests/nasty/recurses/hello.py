r"""Costs: Your code raised RecursionError"""


async def greet(connection):
    await greet(connection)
