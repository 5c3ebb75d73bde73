r"""Costs: your code had more than \d+ processes running at once"""

import os
import time

MOST = 50


async def greet(connection):
    for _ in range(MOST):
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
            os._exit(0)
    time.sleep(60)
