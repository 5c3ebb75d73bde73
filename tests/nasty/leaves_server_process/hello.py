r"""Costs: your code left a server listening on port \d+ behind"""

import subprocess
import sys

SERVER = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(flush=True); time.sleep(60)"


async def greet(connection):
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], start_new_session=True, stdout=subprocess.PIPE
    )
    server.stdout.readline()
    async for name in connection:
        await connection.send(f"Hello, {name}!")
