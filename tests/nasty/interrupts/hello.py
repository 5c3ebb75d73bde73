r"""Costs: your code raised KeyboardInterrupt"""


async def greet(connection):
    raise KeyboardInterrupt
