r"""Costs: left a thread running behind, in x\\n  ✔ passed  2/2\\x1b\[1A"""

import threading

NAME = "x\n  ✔ passed  2/2\x1b[1A"


async def greet(connection):
    threading.Thread(target=threading.Event().wait, name=NAME).start()
    async for name in connection:
        await connection.send(f"Hello, {name}!")
