"""Fails: test_greets_every_name

After the first greeting the function returns, and the server closes the connection.
"""


async def greet(connection):
    name = await connection.recv()
    await connection.send(f"Hello, {name}!")
