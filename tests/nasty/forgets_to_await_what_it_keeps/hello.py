r"""Costs: Coroutine 'Connection.recv' was never awaited: is an `await` missing\?

The coroutine lives until `greet` returns, so that the warning names a line of the library.
"""


async def greet(connection):
    name = connection.recv()
    await connection.send(f"Hello, {name}!")
