r"""Costs: still running after \d.*s, in hello\.py, line \d+ \(`while True:`\)"""


async def greet(connection):
    while True:
        pass
