r"""Costs: your code left a process running behind \(`sleep 60`\)"""

import subprocess


async def greet(connection):
    subprocess.Popen(["sleep", "60"], start_new_session=True)
    async for name in connection:
        await connection.send(f"Hello, {name}!")
