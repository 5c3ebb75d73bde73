"""Exercise 01: the opening handshake, from both ends. Write `respond` and `verify`, then run `rtlab grade 01`."""

from collections.abc import Sequence


def respond(request: bytes, *, origins: set[str], subprotocols: Sequence[str] = ()) -> bytes:
    """A server's answer to an opening handshake (RFC 6455 §4.2): 101 Switching Protocols, or a refusal.

    Whatever comes is answered with one of these:

    - 405 with Allow: the method is not GET.
    - 426 with Upgrade: it does not ask for an upgrade to websocket.
    - 426 with Upgrade and Sec-WebSocket-Version: the version that it names is not 13, or it names none.
    - 403: it comes from an Origin that is not one of `origins`.
    - 400: its Sec-WebSocket-Key is missing or malformed, or its Connection does not say upgrade, or it is no HTTP
      request at all.
    - 101 with Upgrade, Connection and Sec-WebSocket-Accept: nothing is wrong with it. Where a subprotocol is chosen,
      Sec-WebSocket-Protocol names it.

    Where several things are wrong, any of their answers will do. Request and response may carry other fields too.
    Names of header fields, and the words in Upgrade and Connection, are compared without regard to case; a field
    that is a list may hold other words as well. Everything else is compared as it is.

    Args:
        request: what came, up to the empty line that ends it. Nothing follows.
        origins: whose pages may connect: {"https://shop.example"}. A request without an Origin may connect too.
        subprotocols: those that the server speaks: ("mqtt",). Choose the one that the client likes best, which
            is the first that it offers and the server speaks. If there is none, the answer is 101 all the same.

    Returns:
        The response, up to its own empty line. A body may follow a refusal.
    """
    raise NotImplementedError


def verify(key: str, response: bytes) -> None:
    """A client's check of a server's answer (RFC 6455 §4.1): does it accept *this* handshake?

    It does if the status is 101, the server upgrades this connection to websocket, and its Sec-WebSocket-Accept
    belongs to the key.

    Args:
        key: the Sec-WebSocket-Key that the client has sent: "x3JJHMbDL1EzLkh9GBhXDw==".
        response: what came, up to the empty line that ends it. Nothing follows.

    Raises:
        ValueError: the answer is anything else. The message says what was expected and what came.
    """
    raise NotImplementedError
