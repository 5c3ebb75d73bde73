"""An aiohttp app on listening sockets, with bounds for whoever connects.

What lives here: `HttpHost`. It must not know what the app does. How many connections there may be is `acceptor`'s job.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import HttpProcessingError

from rtlab.servers.door.acceptor import Acceptor, accept
from rtlab.servers.door.bodies import DISCARD_S, finish, refusal_of_encoded_body
from rtlab.servers.door.limits import DoorLimits
from rtlab.servers.repeats import RepeatLog

__all__ = ["BODY_TIMEOUT_S", "HEAD_TIMEOUT_S", "HttpHost"]

HEAD_TIMEOUT_S = 20.0
"""Seconds from the connect, or from the end of the last answer, until the head of the next request is complete. It is
also how long a connection may be idle. A proxy that keeps connections should give up earlier."""
BODY_TIMEOUT_S = 45.0
"""Seconds from the head of a request until its body is complete: as long as a client may leave a heartbeat unanswered.
A megabyte needs 180 kbit/s."""
MAX_HEADERS = 64
"""Fields in a request's head, each of up to 8 KiB (aiohttp's own limit). A browser behind two proxies sends forty."""
HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[\w.~%!$&'()*+,;=-]+)(?::[0-9]*)?", re.ASCII)
"""uri-host and port (RFC 9110 §7.2, RFC 3986 §3.2.2). aiohttp and yarl take whatever stands there: ``a/b``, ``x@y``."""

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class HttpHost:
    """Runs an aiohttp app. Every request that is not complete in time, or has an encoded body, ends here.

    Args:
        app: an `aiohttp.web.Application`.
        shutdown_s: seconds that requests have to end by themselves when the host is closed, and again for their tasks.
        limits: how many connections there may be.
        tls: for connections with TLS.
    """

    def __init__(
        self,
        app: web.Application,
        *,
        shutdown_s: float,
        limits: DoorLimits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._log = RepeatLog(logging.getLogger(__name__))
        self._limits = limits
        self._tls = tls
        self._runner = web.AppRunner(
            app,
            shutdown_timeout=shutdown_s,
            keepalive_timeout=HEAD_TIMEOUT_S,
            max_headers=MAX_HEADERS,
            auto_decompress=False,
            lingering_time=DISCARD_S,  # where aiohttp itself answers: 500 and 504
            logger=_ServerLog(self._log),
        )
        self._app: Answer

    async def start(self, listeners: Iterable[socket.socket]) -> None:
        """Serve on sockets that are bound; they are closed with the host."""
        try:
            await self._runner.setup()
            server = self._runner.server
            assert server is not None
            self._app, server.request_handler = server.request_handler, self._answer
            await AcceptorSite(self._runner, listeners, self._limits, self._tls).start()
        except BaseException:
            await self._runner.cleanup()
            raise

    async def close(self) -> None:
        """Accept no more, shut the app down, end its requests."""
        await self._runner.cleanup()
        self._log.sum_up()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        refusal = refusal_of_encoded_body(request)
        if refusal is not None:
            self._refused(request, "encoded", "refused a request with an encoded body")
            return await finish(request, refusal)
        if not _names_a_host(request):
            self._refused(request, "host", "refused a request without a valid Host")
            return await finish(request, web.Response(status=400, text="Expected one valid Host field.\n"))
        try:
            if request.content.is_eof():
                return await self._app(request)
            return await self._answer_while_body_comes(request)
        except (ConnectionError, web.RequestPayloadError):
            if request.transport is not None and not request.transport.is_closing():
                raise
            return web.Response(status=400)  # nobody reads it: the client has left, which is no error of the app's

    async def _answer_while_body_comes(self, request: web.BaseRequest) -> web.StreamResponse:
        deadline = asyncio.get_running_loop().call_later(BODY_TIMEOUT_S, self._cut, request)
        try:
            response = await self._app(request)
        except web.HTTPException as refused:
            if not request.content.is_eof():
                await finish(request, refused)
            raise
        finally:
            deadline.cancel()
        return response if request.content.is_eof() else await finish(request, response)

    def _refused(self, request: web.BaseRequest, kind: str, message: str) -> None:
        self._log.log(logging.INFO, kind, message, extra={"peer": request.remote})

    def _cut(self, request: web.BaseRequest) -> None:
        if request.transport is not None and not request.content.is_eof():
            self._refused(request, "slow", "cut off a request whose body took too long")
            request.transport.abort()


class AcceptorSite(web.BaseSite):
    """A site of aiohttp's runner that accepts through `acceptor`."""

    def __init__(
        self,
        runner: web.AppRunner,
        listeners: Iterable[socket.socket],
        limits: DoorLimits | None,
        tls: ssl.SSLContext | None,
    ) -> None:
        super().__init__(runner)
        self._listeners = tuple(listeners)
        self._limits = limits
        self._tls = tls
        self._acceptor: Acceptor | None = None

    @property
    def name(self) -> str:
        """The first address that it listens on."""
        host, port = self._listeners[0].getsockname()[:2]
        return f"{'http' if self._tls is None else 'https'}://{f'[{host}]' if ':' in host else host}:{port}"

    async def start(self) -> None:
        """Accept."""
        await super().start()
        assert self._runner.server is not None
        self._acceptor = await accept(self._runner.server, self._listeners, limits=self._limits, tls=self._tls)

    async def stop(self) -> None:
        """Accept no more."""
        await super().stop()
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's log, without a traceback for what a client has got wrong."""

    def __init__(self, repeats: RepeatLog) -> None:
        super().__init__(logging.getLogger("aiohttp.server"))
        self._repeats = repeats

    def exception(self, msg: object, *args: object, exc_info: Any = True, **kwargs: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            extra = {"peer": str(args[0]) if args else None, "problem": _first_line(exc_info.message)}
            self._repeats.log(logging.INFO, "malformed", "refused a malformed request", extra=extra)
        else:
            super().exception(msg, *args, exc_info=exc_info, **kwargs)


def _names_a_host(request: web.BaseRequest) -> bool:
    """Whether a request has one Host that can be part of a URL (RFC 9112 §3.2). HTTP/1.0 may do without."""
    named = request.headers.getall("Host", ())
    if len(named) != 1:
        return not named and request.version < HttpVersion11
    try:
        return HOST.fullmatch(named[0]) is not None and bool(request.url.host)
    except ValueError:
        return False


def _first_line(text: str) -> str:
    return text.partition("\n")[0][:100]
