"""What a WebSocket connection is allowed, for servers and clients alike.

What lives here: `Options`, one frozen value, with the default and the unit of each limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from rtlab.errors import UnknownOptionError
from rtlab.wire.deflate import DeflateOptions
from rtlab.wire.protocol import MAX_FRAGMENTS, MAX_MESSAGE_SIZE

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What a connection is allowed, for servers and clients alike. Times in seconds, None for no limit."""

    max_message_size: int = MAX_MESSAGE_SIZE
    """Bytes of one message, after decompression; a longer one closes the connection with 1009."""
    max_fragments: int = MAX_FRAGMENTS
    """Frames of one message; more close the connection with 1008."""
    subprotocols: Sequence[str] = ()
    """Those that we speak; a client's in its order of preference."""
    deflate: DeflateOptions | None = field(default_factory=DeflateOptions)
    """Compression to agree on; None declines it."""
    open_timeout: float | None = 10.0
    """For the opening handshake."""
    close_timeout: float | None = 10.0
    """For the peer's half of the closing handshake; then the connection is cut."""
    ping_interval: float | None = 20.0
    """Between two keep-alive pings; None sends none."""
    ping_timeout: float | None = 20.0
    """For the answer to one; then the connection is closed with 1011."""

    def __new__(cls, *_: Any, **given: Any) -> Self:
        """Refuse an option that there is not: `UnknownOptionError`, with the nearest one."""
        UnknownOptionError.refuse("Options", given, cls.__dataclass_fields__)
        return super().__new__(cls)
