r"""Costs: your code left a thread running behind, in hello\.py, line \d+"""

import threading
import time


def work():
    while True:
        time.sleep(0.1)


async def greet(connection):
    threading.Thread(target=work).start()
    async for name in connection:
        await connection.send(f"Hello, {name}!")
