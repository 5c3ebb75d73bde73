r"""Costs: What your code gave is awaited, and it is of type NoneType: is it an `async def`\?"""


def greet(connection):
    pass
