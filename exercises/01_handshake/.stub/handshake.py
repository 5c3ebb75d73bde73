"""Exercise 01: the opening handshake, from both ends. Write `respond` and `verify`, then run `rtlab grade 01`."""

from collections.abc import Sequence


def respond(request: bytes, *, origins: set[str], subprotocols: Sequence[str] = ()) -> bytes:
    """A server's answer to an opening handshake (RFC 6455 §4.2): 101 Switching Protocols, or a refusal.

    Every request is answered, each with one of these:

    - 405 with Allow: the method is not GET.
    - 426 with Upgrade: it does not ask for an upgrade to websocket.
    - 426 with Upgrade and Sec-WebSocket-Version: the version that it names is not 13, or it names none.
    - 403: it comes from an Origin that is not one of `origins`.
    - 400: its Sec-WebSocket-Key is missing or malformed, or its Connection does not say upgrade, or it is no HTTP/1.1
      request at all: the first line is not like "GET /news HTTP/1.1", or another line has no colon.
    - 101 with Upgrade, Connection and Sec-WebSocket-Accept: nothing is wrong with it. Where a subprotocol is chosen,
      Sec-WebSocket-Protocol names it.

    Where several things are wrong, any of their answers will do. Request and response may carry other fields too.
    Names of header fields, and the words in Upgrade and Connection, are compared without regard to case; a field
    that is a list may hold other words as well. A field that comes twice is one list, too: "a" and then "b" means
    "a, b". Everything else is compared as it is.

    Args:
        request: what came, up to the empty line that ends it. Nothing follows. A value may hold bytes that are no
            ASCII and no UTF-8.
        origins: whose pages may connect: {"https://shop.example"}. A request without an Origin may connect too.
        subprotocols: those that the server speaks: ("mqtt",). Choose the one that the client likes best, which
            is the first that it offers and the server speaks. If there is none, the answer is 101 all the same.

    Returns:
        The response, up to its own empty line. A refusal has a Content-Length, because the client waits for a body
        otherwise; it is 0 where no body follows. A 101 has none (RFC 9110 §8.6).
    """
    raise NotImplementedError


def verify(key: str, response: bytes) -> None:
    """A client's check of a server's answer (RFC 6455 §4.1): does it accept *this* handshake?

    It does if the first line is HTTP/1.1 with the status 101, the server upgrades this connection to websocket, and
    its Sec-WebSocket-Accept belongs to the key.

    Args:
        key: the Sec-WebSocket-Key that the client has sent: "x3JJHMbDL1EzLkh9GBhXDw==".
        response: what came, up to the empty line that ends it. Nothing follows. Here, too, a value may hold any bytes.

    Raises:
        ValueError: the answer is anything else. The message says what was expected and what came, as "expected the
            status 101, got 'HTTP/1.1 403 Forbidden'" does: the status; the field and its word; or both accepts.
    """
    raise NotImplementedError
