"""Request bodies that nobody asked to inflate, and the rest of those that nobody reads.

What lives here: `refusal_of_encoded_body`, which looks at a head; `refuse` and `refuse_encoded_bodies`, which answer it
on aiohttp; `discard_rest`. It must not know what is served.

A kilobyte can become a megabyte. aiohttp inflates while it reads, also what it only throws away because the request
has been refused. No client of ours sends encoded requests, so they are refused from their head (RFC 9110 §15.5.16).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from aiohttp import web

__all__ = [
    "DISCARD_BYTES",
    "DISCARD_S",
    "discard_rest",
    "finish",
    "refusal_of_encoded_body",
    "refuse_encoded_bodies",
]

DISCARD_BYTES = 4 << 20
"""Bytes of a body that are taken and thrown away after the answer. A client that sends all before it reads would
otherwise be reset, and not see the answer. They are never inflated nor kept: 4 MiB cost some milliseconds."""
DISCARD_S = 2.0
"""Seconds for the same."""


def refusal_of_encoded_body(request: web.BaseRequest) -> web.Response | None:
    """The answer to a request whose body is encoded, from its head alone; None if it is not.

    A field that names a coding counts, even if no body follows: 415 for Content-Encoding (RFC 9110 §15.5.16), 501 for
    a Transfer-Encoding other than chunked (RFC 9112 §6.1). The answer closes the connection. Give it to `finish`.

    Args:
        request: of aiohttp.
    """
    content = _codings(request, "Content-Encoding") - {"identity"}
    transfer = _codings(request, "Transfer-Encoding") - {"identity", "chunked"}
    if not content and not transfer:
        return None
    named = ", ".join(sorted(each[:20] for each in content or transfer)[:3])
    response = web.Response(
        status=415 if content else 501,
        text=f"Expected a body without {'content' if content else 'transfer'} coding, got {named!a}.\n",
        headers={"Accept-Encoding": "identity", "Cache-Control": "no-store"},
    )
    response.force_close()
    return response


def _codings(request: web.BaseRequest, name: str) -> set[str]:
    if name not in request.headers:
        return set()
    fields = request.headers.getall(name)
    return {each.strip(" \t").lower() for field in fields for each in field.split(",")} - {""}


@web.middleware
async def refuse_encoded_bodies(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A middleware: requests with an encoded body are answered 415 (or 501), and their connection is closed.

    `rtlab.serve` and `rtlab.start` do the same before an app is asked. This is for apps that somebody else runs, such
    as `aiohttp.web.run_app`: there aiohttp has begun to inflate when an app is
    asked, and stops: it makes less than 1 MiB of a body, however large that would become.
    """
    refusal = refusal_of_encoded_body(request)
    if refusal is None:
        return await handler(request)
    return await finish(request, refusal)


async def finish(request: web.BaseRequest, response: web.StreamResponse) -> web.StreamResponse:
    """Answer a request whose body is not wanted: write the answer, throw away the rest, and close the connection.

    Args:
        request: of aiohttp.
        response: the answer, whether it has been written or not.

    Returns:
        The same answer, for aiohttp, which does nothing more with it.
    """
    if not response.prepared:
        response.force_close()
        await response.prepare(request)
    await response.write_eof()
    await discard_rest(request)
    return response


async def discard_rest(request: web.BaseRequest) -> None:
    """Take what is left of a body, within `DISCARD_BYTES` and `DISCARD_S`, without parsing it; then close.

    aiohttp's parser hears no more of the connection.
    """
    transport = request.transport
    if transport is None or request.content.is_eof():
        return
    rest = _Rest(transport.get_protocol())
    transport.set_protocol(rest)
    try:
        if not transport.is_closing():
            if transport.can_write_eof():
                transport.write_eof()  # tells a client that waits for it that there is nothing more
            transport.resume_reading()
            async with asyncio.timeout(DISCARD_S):
                await rest.enough
    except TimeoutError:
        pass
    finally:
        transport.close()
        request.content.feed_eof()  # so that aiohttp waits for nothing either
        if request.protocol is not None:
            request.protocol.close()


class _Rest(asyncio.Protocol):
    """Counts what comes, in the place of a protocol that still hears about writing and about the end."""

    def __init__(self, before: asyncio.BaseProtocol) -> None:
        self.enough: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._before = cast(asyncio.Protocol, before)
        self._bytes = 0

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        if self._bytes > DISCARD_BYTES:
            self._done()

    def eof_received(self) -> None:
        self._done()

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()

    def connection_lost(self, error: Exception | None) -> None:
        self._done()
        self._before.connection_lost(error)

    def _done(self) -> None:
        if not self.enough.done():
            self.enough.set_result(None)
