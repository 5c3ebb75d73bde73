"""Bytes of a WebSocket whose client has not been let in, counted before anything is made of them.

What lives here: `BytesMeter`, between a connection of aiohttp's and its reader of frames. A message is bounded by
``max_http_buffer_size``, and that is far too much for somebody whom nobody knows: it would be held before it could be
looked at. It must not know what a session is.
"""

# ruff: noqa: SLF001

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiohttp import web

__all__ = ["BytesMeter"]


class BytesMeter:
    """Lets bytes through to a reader as long as there are few; from the moment on that there is no limit, all.

    Args:
        request: the request that became the WebSocket; it has been prepared.
        limit: gives the bytes that may still come; None for any number.
        overflow: called when more come. Nothing is let through any more.
    """

    def __init__(self, request: web.Request, limit: Callable[[], int | None], overflow: Callable[[], None]) -> None:
        self._connection: Any = request.protocol
        self._reader = self._connection._payload_parser
        self._limit: Callable[[], int | None] = limit
        self._overflow = overflow
        self._passed = 0
        self._shut = False
        if self._reader is not None:  # else the connection is lost already
            self._connection._payload_parser = self

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Bytes have come; called by aiohttp."""
        if self._shut:
            return False, b""
        limit = self._limit()
        if limit is None:
            self._connection._payload_parser = self._reader
            return self._pass(data)
        self._passed += len(data)
        if self._passed > limit:
            self._shut = True
            self._overflow()
            return False, b""
        return self._pass(data)

    def feed_eof(self) -> None:
        """The connection is lost; called by aiohttp."""
        self._reader.feed_eof()

    def _pass(self, data: bytes) -> tuple[bool, bytes]:
        passed: tuple[bool, bytes] = self._reader.feed_data(data)
        return passed
