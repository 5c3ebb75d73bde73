r"""Costs: still running after \d.*s, in hello\.py, line \d+"""

import time


async def greet(connection):
    while True:
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            pass
