"""One of the two sockets that a relay connects.

What lives here: `Side`, what asyncio tells of a socket, and the two ways to reset it. It must not know the other
socket; what happens to this one goes to whoever `Connects` the two.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from typing import Protocol, cast

from rtlab.instruments.direction import Direction

__all__ = ["Connects", "Side"]

RESET_ON_CLOSE = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
"""SO_LINGER without time to linger: closing sends RST. That is how a reset is passed on."""


class Connects(Protocol):
    """Who has two sides. Nothing here may raise."""

    def made(self, side: Side) -> None:
        """A socket is there."""

    def data(self, side: Side, data: bytes) -> None:
        """Bytes have come from there."""

    def read(self, side: Side) -> bool:
        """It is the turn of what has come from there. Gives whether more is left."""

    def eof(self, side: Side) -> None:
        """It will send no more."""

    def writable(self, side: Side, writable: bool) -> None:
        """It reads too slowly, or has caught up."""

    def lost(self, side: Side) -> None:
        """It is closed."""


class Side(asyncio.Protocol):
    """One of the two sockets. What it reads goes in `direction`.

    Args:
        relay: is told what happens to it.
        direction: where what comes from it goes.
    """

    transport: asyncio.Transport

    def __init__(self, relay: Connects, direction: Direction) -> None:
        self.direction = direction
        self.open = False
        self.eof = False
        self.eof_told = False
        """Whether that has been passed on; with TLS there may be bytes that go first."""
        self.writable = True
        self.reset_when_drained = False
        self.unseen = memoryview(b"")
        """What has come from here and waits for the observer."""
        self._relay = relay

    def turn(self) -> bool:
        """It is this side's turn. Gives whether it needs another one."""
        return bool(self.unseen) and self._relay.read(self)

    def leave(self) -> None:
        """The connection is over. Without this, the two would keep each other until the cyclic collector comes."""
        self.unseen = memoryview(b"")
        del self._relay

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there."""
        self.transport = cast(asyncio.Transport, transport)
        self.open = True
        self._relay.made(self)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        self._relay.data(self, data)

    def eof_received(self) -> bool:
        """It will send no more."""
        self.eof = True
        self._relay.eof(self)
        return self.transport.can_write_eof()  # it stays open for what the other side still has to say; TLS does not

    def pause_writing(self) -> None:
        """It reads too slowly."""
        self._relay.writable(self, False)

    def resume_writing(self) -> None:
        """It has caught up."""
        self._relay.writable(self, True)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed."""
        self.open = False
        self._relay.lost(self)

    def reset(self) -> None:
        """Send what is still to be sent, as the network would have, and then RST."""
        if self.transport.get_write_buffer_size():
            self.reset_when_drained = True
            self.transport.pause_reading()
            self.transport.set_write_buffer_limits(high=0 if self.transport.can_write_eof() else 1, low=0)  # see Outbox
        else:
            self.linger()
            self.transport.abort()

    def linger(self) -> None:
        """Let what closes it next say RST."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
