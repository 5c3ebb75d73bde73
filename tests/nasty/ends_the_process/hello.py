r"""Costs: your code ended the process \(exit status 3\)"""

import os


async def greet(connection):
    os._exit(3)
