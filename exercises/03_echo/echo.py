"""Exercise 03: an echo server for many. Write the body of `handle`, then run `rtlab grade 03`."""

from typing import Any

from websockets.asyncio.server import ServerConnection

MAX_UNSENT = 1_048_576
"""Bytes that may wait for one peer (1 MiB). When more wait, the peer is cut off."""


async def handle(ws: ServerConnection, peers: set[Any]) -> None:
    """Talk to one client in JSON. Each message, in both directions, is one JSON object in a text message.

    The server speaks first: {"type": "welcome", "peer": "127.0.0.1:50123"}, with the client's own address and port.
    From then on the client is one of the peers. What it sends is answered:

    - {"type": "echo", "data": 7} comes back as it is, to this client only. `data` may be any JSON value, and as large
      as it likes. An echo that has to wait delays its own client only, whose next message is taken after it: echoes
      do not pile up for a client that asks and does not read.
    - {"type": "broadcast", "data": 7} goes to every peer, the sender included, as
      {"type": "broadcast", "from": "127.0.0.1:50123", "data": 7}, where "from" is the sender's address and port.
    - Anything else gets {"type": "error", "message": "…"} with a sentence of yours, and the connection lives on:
      text that is no JSON (NaN is none), JSON that is no such object, a missing "data", a binary message, JSON that
      Python cannot read or write (nested too deeply, say), and a broadcast of more than `MAX_UNSENT` bytes.

    Other fields of a client's message are ignored.

    A peer that does not read delays nobody else. Broadcasts that it has not read wait for it, in order and complete,
    up to `MAX_UNSENT` bytes. A peer for which more would have to wait is cut off at once, without a closing
    handshake.

    When this function ends, for whatever reason, its client is no longer one of the peers, and nothing of yours
    refers to its connection.

    Args:
        ws: the server's end of one WebSocket. The server calls this function for each client.
        peers: who is connected: one set, empty at first, given to every call. What you put in is up to you, one
            member for each peer.
    """
    raise NotImplementedError
