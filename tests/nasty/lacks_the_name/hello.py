r"""Costs: hello\.py defines no `greet`, but it has `greets`"""


async def greets(connection):
    pass
