r"""Costs: your code printed more than \d+ .iB"""


async def greet(connection):
    while True:
        print("x" * 1000)
