r"""Costs: hello\.py, line 4: .*: `async def greet\(connection:`"""


async def greet(connection:
    pass
