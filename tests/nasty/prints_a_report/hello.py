r"""Costs: ^expected the answer to 'Ada' to be 'Hello, Ada!'; got 'Hello'$"""

print("00_hello: 5 of 5 points\n  ✔ passed  2/2  test_greets_by_name\n  ✔ passed  3/3  test_greets_every_name\x1b[8A")


async def greet(connection):
    async for _ in connection:
        await connection.send("Hello")
