"""What a WebSocket connection has to send and its peer has not taken yet.

What lives here: `Outbox`, which keeps it in bytes, and the bound above which senders wait. It must not know frames;
`channel` gives it bytes.

asyncio's own buffer would do but for its price: from Python 3.12 on each piece of it is an object of 200 bytes, however
little it carries. So one piece at a time goes there, and what follows is kept here as one row of bytes.
"""

from __future__ import annotations

import asyncio

__all__ = ["WRITE_BYTES", "Outbox"]

WRITE_BYTES = 256 * 1024
"""Unsent bytes above which `send` waits, before it encodes its message as well as after: a few messages of 64 KiB. A
peer that reads nothing costs these bytes and the frame that went over them, an eighth more where Python has made room
for more, however many tasks send and however small or large their messages are."""


class Outbox:
    """Bytes in their order, before a transport whose own buffer holds one piece at most."""

    def __init__(self, transport: asyncio.WriteTransport) -> None:
        self._transport = transport
        self._unsent = bytearray()
        self._blocked = False

    def begin(self) -> None:
        """Have the transport say so as soon as anything is left, and when nothing is; perhaps it does at once.

        TCP's transport does so above the limit, that of TLS from the limit on: with 0 it would with nothing left.
        """
        encrypted = self._transport.get_extra_info("sslcontext") is not None
        self._transport.set_write_buffer_limits(high=1 if encrypted else 0, low=0)

    @property
    def held(self) -> int:
        """Bytes that the peer has not taken, as far as this process has them."""
        return self._transport.get_write_buffer_size() + len(self._unsent)

    @property
    def full(self) -> bool:
        """Whether senders have to wait."""
        return self.held > WRITE_BYTES

    def write(self, data: bytes) -> None:
        """Send it, or keep it behind what was not sent yet."""
        if self._blocked:
            self._unsent += data
        else:
            self._transport.write(data)

    def pause(self) -> None:
        """The transport has something left."""
        self._blocked = True

    def resume(self) -> None:
        """The transport has nothing left: on with what was kept."""
        self._blocked = False
        self.flush()

    def flush(self) -> None:
        """Give everything to the transport: it is about to be closed, or has nothing left."""
        if self._unsent:
            unsent, self._unsent = self._unsent, bytearray()
            self._transport.write(unsent)

    def clear(self) -> None:
        """Nobody will take it any more."""
        self._unsent = bytearray()
