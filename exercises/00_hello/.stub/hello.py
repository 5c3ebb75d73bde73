"""Exercise 00: a server that greets. Write the body of `greet`, then run `rtlab grade 00`."""

from websockets.asyncio.server import ServerConnection


async def greet(connection: ServerConnection) -> None:
    """Talk to one client: each message that arrives is a name, and each name is greeted at once.

    A client that sends "Grace" gets "Hello, Grace!" back. It may send as many names as it likes, and waits for
    each greeting before it sends the next name. The client ends the connection; you do not.

    Args:
        connection: the server's end of one WebSocket. The server calls this function for each client.
    """
    raise NotImplementedError
