r"""Costs: Your function is called with other arguments than it takes: greet\(\) takes 0 positional"""


async def greet():
    pass
