"""The end of a connection in words."""

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve
from websockets.exceptions import ConnectionClosed

from rtlab.grading.child.endings import ConnectionEndedError, ended


async def refuse(connection):
    await connection.close(4001, "no room")


async def fail(connection):
    raise KeyError("item")


async def return_at_once(connection):
    return


async def cut(connection):
    connection.transport.abort()


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (refuse, "the connection ended instead: the server closed it with code 4001 (reason: 'no room')"),
        (fail, "the connection ended instead: the server closed it with code 1011"),
        (return_at_once, "the connection ended instead: the server closed it with code 1000"),
        (cut, "the connection ended instead: it was cut without a close frame"),
    ],
)
async def test_websockets(handler, words, caplog):
    async with serve(handler, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connect(f"ws://{host}:{port}") as client:
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
    assert ended(caught.value) == words


async def test_who_closed_it_is_told():
    async def linger(connection):
        await connection.wait_closed()

    async with serve(linger, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        async with connect(f"ws://{host}:{port}") as client:
            await client.close()
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
    assert ended(caught.value) == "the connection ended instead: the client closed it with code 1000"


def test_ours_and_others():
    assert ended(ConnectionEndedError("the server disconnected the client")) == (
        "the connection ended instead: the server disconnected the client"
    )
    assert ended(ConnectionEndedError()) == "the connection ended instead"
    assert ended(ConnectionError("closed")) == ended(ValueError()) == ""
