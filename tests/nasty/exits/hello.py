r"""Costs: your code ended the process with sys\.exit\('bye'\) \(hello\.py, line \d+\)"""

import sys


async def greet(connection):
    sys.exit("bye")
