"""Costs: What your code gave is awaited, and it is a NoneType: is it an `async def`\?"""


def greet(connection):
    pass
