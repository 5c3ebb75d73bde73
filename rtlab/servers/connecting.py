"""The client's side of a WebSocket: `connect`, with TLS or without.

What lives here: the client's half of the opening handshake on a socket, and what is said where it fails. The server's
is in `websocket`, the connection itself in `connection`, whom TLS trusts in `tls`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import ssl as tls
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urlsplit

from rtlab.errors import HandshakeError, TlsError, UsageError
from rtlab.servers.channel import LINGER_S
from rtlab.servers.connection import WebSocket
from rtlab.servers.options import Options
from rtlab.servers.tls import Trust, client_context, tls_problem
from rtlab.servers.unawaited import block
from rtlab.wire import handshake
from rtlab.wire.handshake import Request
from rtlab.wire.protocol import Closed

__all__ = ["connect"]

PORTS = {"ws": 80, "wss": 443}
"""The port that a URL without one means (RFC 6455 §3)."""
TLS_RECORDS = b"\x15\x16"
"""How an answer of TLS begins: a record of the type alert or handshake (RFC 8446 §5.1). No HTTP begins so."""
FOR_TLS = (b"to HTTPS port", b"to an HTTPS server", b"SSL-enabled server port")
"""What nginx, Go and Apache say with status 400 to a request without TLS, on a port where they want it."""


@block("async with connect(url) as websocket:")
async def connect(
    url: str,
    *,
    origin: str | None = None,
    headers: Mapping[str, str] | None = None,
    ssl: Trust = None,
    **options: Any,
) -> AsyncIterator[WebSocket]:
    """A client's connection for the length of an ``async with`` block.

    Args:
        url: ``ws://host:port/path?query``, or ``wss://`` for TLS.
        origin: the Origin to name, as a browser would.
        headers: fields to add to the request.
        ssl: whom to trust with wss://: the path of a CA's certificate in PEM, an `ssl.SSLContext`, or None for the CAs
            that this machine trusts. The server's certificate and its name are verified, unless you hand in a context
            that does not; then the log says so.
        options: the fields of `Options`, by name.

    Raises:
        UsageError: the URL is neither ws:// nor wss://, or there is no CA at that path.
        TlsError: the certificate is not to be trusted, has expired or is for another name, or nothing there speaks TLS.
        HandshakeError: the server refused, or did not answer as it has to.
        OSError: nobody listens there.
        TimeoutError: the handshake took longer than `open_timeout`.
    """
    parts = _parse(url, ssl)
    context = client_context(ssl, parts.netloc.rpartition("@")[2]) if parts.scheme == "wss" else None
    settings = Options(**options)
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    request = handshake.upgrade_request(
        parts.netloc.rpartition("@")[2],
        (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
        key,
        origin=origin,
        subprotocols=settings.subprotocols,
        deflate=settings.deflate,
        headers=(headers or {}).items(),
    )
    where = parts.hostname or "", parts.port or PORTS[parts.scheme]
    try:
        async with asyncio.timeout(settings.open_timeout):
            client = await _dial(*where, context, lambda: _ClientSide(settings, request, key, context is not None))
            assert client.opening is not None
            try:
                await client.opening
            except BaseException:
                client.abort()
                raise
            finally:
                client.opening = None  # it holds the exception, whose traceback holds this frame, and so the client
    except TimeoutError as error:
        if error.errno is None:  # ours, not the kernel's
            hint = " If the server speaks no TLS, try ws://." if context else ""
            error.args = (f"{url} did not finish the opening handshake within {settings.open_timeout:g} s.{hint}",)
        raise
    try:
        yield client
    finally:
        await client.close()


async def _dial(
    host: str, port: int, context: tls.SSLContext | None, protocol: Callable[[], _ClientSide]
) -> _ClientSide:
    loop = asyncio.get_running_loop()
    patience = LINGER_S if context else None
    try:
        return (await loop.create_connection(protocol, host, port, ssl=context, ssl_shutdown_timeout=patience))[1]
    except OSError as error:
        problem = tls_problem(error, host, plain="ws://", trust="ssl=PATH") if context else None
        if problem is None:
            raise
        raise TlsError(f"{host}:{port}", f"{problem}.") from error


class _ClientSide(WebSocket):
    """A connection as the client has it."""

    def __init__(self, options: Options, request: Request, key: str, encrypted: bool) -> None:
        super().__init__(options)
        self.request = request
        self.opening: asyncio.Future[None] | None = self._loop.create_future()
        """Done with the handshake; None once somebody has waited for it."""
        self._key = key
        self._encrypted = encrypted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.request is not None
        self._write(bytes(self.request))

    def handshake_received(self, data: bytes) -> None:
        try:
            self._refuse_tls(data)
            head = self._head.add(data)
            parsed = None if head is None else handshake.parse_response(head)
            if parsed is None:
                return
            response, rest = parsed
            self._refuse_https(data, response.status)
            upgrade = handshake.check_response(
                response, self._key, subprotocols=self.options.subprotocols, deflate=self.options.deflate
            )
        except HandshakeError as error:
            self._open(error)
            self._transport.close()
            return
        self._open(None)
        self._begin(upgrade, rest, lambda: os.urandom(4))

    def connection_lost(self, error: Exception | None) -> None:
        # most servers with TLS close a connection that begins with anything else
        hint = "" if self._encrypted else "; if it speaks TLS, connect with wss://"
        problem = f"the server closed the connection instead of answering{hint}"
        self._open(HandshakeError(problem, rule="RFC 6455 §4.1"))
        super().connection_lost(error)

    def _refuse_tls(self, data: bytes) -> None:
        """Say it where a client without TLS has come to a port with it, and gets TLS."""
        if not self._encrypted and data[:1] and data[:1] in TLS_RECORDS:
            raise HandshakeError("expected an HTTP response, got TLS: connect with wss://", rule="RFC 6455 §3")

    def _refuse_https(self, data: bytes, status: int) -> None:
        """The same where it gets HTTP that says so."""
        if not self._encrypted and status == 400 and any(words in data for words in FOR_TLS):
            raise HandshakeError("the server speaks TLS there: connect with wss://", rule="RFC 6455 §3", status=status)

    def _open(self, error: HandshakeError | None) -> None:
        """The handshake has ended, one way or the other; the first word counts."""
        if self.opening is None or self.opening.done():
            return
        if error is None:
            self.opening.set_result(None)
        else:
            self.opening.set_exception(error)

    def close_transport(self, closed: Closed) -> None:
        """The server closes TCP first, so that the port's TIME_WAIT is its own (RFC 6455 §7.1.1); not for ever."""
        if closed.clean and self.options.close_timeout is not None:
            self._outbox.flush()
            self._patience = self._loop.call_later(self.options.close_timeout, self._transport.close)
        else:
            self.linger()


def _parse(url: str, ssl: Trust) -> SplitResult:
    try:
        parts = urlsplit(url)
        if parts.scheme not in PORTS or not parts.hostname or parts.fragment or parts.port == 0:
            raise ValueError
    except ValueError:  # also where the port or the address is none
        expected = "Expected a URL like ws://127.0.0.1:8000/path or wss://chat.example/path"
        raise UsageError(f"{expected}, got {url!r}.") from None
    if ssl is not None and parts.scheme == "ws":
        raise UsageError(f"ssl= is for wss://, and {url!r} asks for a connection without TLS.")
    return parts
