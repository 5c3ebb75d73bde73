"""One connection of a tap: what its relay tells goes to its decoder, and what the tap says itself.

What lives here: `ConnectionObserver`, which stands between `relay` and `decoding`, and `Refused`, a connection for
which there is no room. It must not know how a tap is started, nor who waits for its rows; `tap` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, cast
from urllib.parse import urlsplit

from rtlab.instruments.direction import Direction
from rtlab.instruments.relay import Relay
from rtlab.instruments.transcript.rows import Row
from rtlab.instruments.wiretap.decoding import ConnectionDecoder, Meaning
from rtlab.instruments.wiretap.sessions_seen import SessionsSeen

__all__ = ["OVER_TLS", "ConnectionObserver", "Refused"]

OVER_TLS = "the tap speaks TLS to the server"
"""What the first row of a connection says where that is so."""


class Tapped(Protocol):
    """What a connection needs of its tap."""

    target: str
    meaning: Meaning | None
    sessions: SessionsSeen

    def record(self, row: Row) -> None:
        """Take a row."""

    def gone(self, relay: Relay) -> None:
        """A connection is over."""


class Refused(asyncio.Protocol):
    """A connection for which there is no room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is reset at once."""
        cast(asyncio.Transport, transport).abort()


class ConnectionObserver:
    """What a relay tells goes to the decoder of its connection."""

    def __init__(self, tap: Tapped, connection: int) -> None:
        self._tap = tap
        record = _saying_tls(tap.record) if tap.target.startswith("https:") else tap.record
        self._decoder = ConnectionDecoder(connection, record, tap.meaning, tap.sessions)
        self.portion = self._decoder.portion
        self.receive = self._decoder.receive
        self.end = self._decoder.end
        self.left_over = self._decoder.left_over

    def refusal(self, problem: str) -> bytes | None:
        """What the tap says where there is no server: to HTTP once the request is whole, nothing to others."""
        where = urlsplit(self._tap.target).netloc
        if self._decoder.waiting:
            self._decoder.tell_end(Direction.TO_CLIENT, f"no server on {where}: {problem}")
            return _bad_gateway(f"The tap cannot reach the server on {where}: {problem}. Is it running?\n")
        if self._decoder.is_http:
            return None
        self._decoder.tell_end(Direction.TO_CLIENT, f"no server on {where}: {problem}")
        return b""

    def gone(self, relay: Relay) -> None:
        """The connection is over."""
        self._decoder.finish()
        self._tap.gone(relay)


def _saying_tls(record: Callable[[Row], None]) -> Callable[[Row], None]:
    """The same, but the first row says that the connection goes on over TLS.

    It must not know its connection: the two would keep each other until the cyclic collector comes.
    """
    said = False

    def say_and_record(row: Row) -> None:
        nonlocal said
        if not said:
            said = True
            row = replace(row, note=f"{row.note}; {OVER_TLS}" if row.note else OVER_TLS)
        record(row)

    return say_and_record


def _bad_gateway(text: str) -> bytes:
    body = text.encode()
    head = f"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
