r"""Costs: still running after [\d.]+ s, in hello.py, line \d+ \(`print"""


async def greet(connection):
    while True:
        print("x" * 1000)
