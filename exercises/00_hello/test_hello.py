"""The checks of exercise 00. `rtlab grade 00` runs them: each starts a real server and talks to it.

A grader may be read. It looks at what your code does on a real connection, never at how it is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import serve

from rtlab.grading import check, expect

DEMANDS = {
    'A client that sends "Grace" gets "Hello, Grace!" back': "test_greets_by_name",
    "each message that arrives is a name, and each name is greeted at once": "test_greets_every_name",
    "It may send as many names as it likes": "test_greets_every_name",
    "The client ends the connection; you do not.": "test_greets_every_name",
    "The server calls this function for each client.": "test_greets_every_name",
}
"""What README.md and hello.py demand, and the check that looks at it."""


@asynccontextmanager
async def clients_of(submission: Any, count: int = 1) -> AsyncIterator[list[ClientConnection]]:
    """Clients of one server that runs the submission's `greet` for each connection."""
    async with (
        serve(submission.greet, "127.0.0.1", 0, close_timeout=1) as server,
        AsyncExitStack() as clients,
    ):
        host, port = server.sockets[0].getsockname()
        url = f"ws://{host}:{port}"
        yield [await clients.enter_async_context(connect(url, close_timeout=1)) for _ in range(count)]


async def ask(client: ClientConnection, name: str) -> str | bytes:
    """Send a name and give the answer."""
    await client.send(name)
    return await client.recv()


@check(
    points=2,
    hints=(
        "A connection is also what arrives on it: loop over it with `async for`, and each turn gives one message.",
        "`connection.send(…)` alone only makes a coroutine; nothing leaves before you await it.",
    ),
)
async def test_greets_by_name(submission: Any) -> None:
    """One client sends one name and is greeted by it."""
    async with clients_of(submission) as (client,):
        answer = await expect.arrives("an answer to 'Ada'", ask(client, "Ada"), within_s=2)
        expect("the answer to 'Ada'", answer, equals="Hello, Ada!")


@check(
    points=3,
    hints=(
        "What does your function do after the first greeting? When it returns, the server closes the connection.",
        "Receive and send have to be in one loop, which ends when the client leaves. `async for` ends by itself then.",
    ),
)
async def test_greets_every_name(submission: Any) -> None:
    """A client sends three names, each after the greeting before it, while a second client does the same."""
    async with clients_of(submission, 2) as (first, second):
        for name in ("Barbara", "Radia", "José Ñ"):
            for client, who in ((first, ""), (second, " from the second client")):
                answer = await expect.arrives(f"an answer to {name!r}{who}", ask(client, name), within_s=2)
                expect(f"the answer to {name!r}{who}", answer, equals=f"Hello, {name}!")
