"""Run any app on a free port of this machine, in this event loop or in a child process.

What lives here: `serve` (for ``async with``), `start` (for a notebook, where a server lives over several cells),
and `HostedServer`, what both give. It must not know what an app does. How each kind of app is run stands in `apps`.

The listening socket is made here, so the port is known, and taken, before the app runs; a child inherits the
socket. No port is guessed, and none is lost to somebody else in between.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from rtlab.errors import MissingAttributeError, UsageError
from rtlab.servers import registry
from rtlab.servers.apps import describe, resolve, run_app
from rtlab.servers.mistaken_apps import refuse_mistakes
from rtlab.servers.supervisor import Child, Log, readable
from rtlab.servers.unawaited import awaited, block

__all__ = ["LOOPBACK", "READY_S", "HostedServer", "expect_port", "listen", "serve", "start"]

LOOPBACK = "127.0.0.1"
"""The only address that the lab listens on: what is served in a lesson is nobody else's business."""
READY_S = 20.0
"""Seconds that a child has to import its app and listen."""


class HostedServer:
    """An app that listens on a port of this machine. Made by `rtlab.start` and `rtlab.serve`."""

    def __init__(self, port: int, what: str, close: Callable[[], Awaitable[None]], child: Child | None = None) -> None:
        self.port = port
        """The TCP port."""
        self.child = child
        """The process that runs the app, where it is not this one."""
        self._what = what
        self._close = close
        self._stopped = False
        self._stopping: asyncio.Future[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens, as ``http://127.0.0.1:PORT`` without a slash at the end.

        Raises:
            UsageError: it has been stopped. (One whose process has died keeps its address: nobody answers there.)
        """
        return f"http://{self._address_while_running()}"

    @property
    def ws_url(self) -> str:
        """The same for WebSocket clients: ``ws://127.0.0.1:PORT``. Raises UsageError like `url`."""
        return f"ws://{self._address_while_running()}"

    @property
    def browser_url(self) -> str:
        """Where the reader's browser finds it, with a slash at the end.

        On JupyterHub and Binder the browser runs on another machine. There jupyter-server-proxy passes it on, and
        this is a path on the notebook server's own address.
        """
        prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
        return f"{prefix.rstrip('/')}/proxy/{self.port}/" if prefix else f"{self.url}/"

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return not self._stopped and (self.child is None or self.child.running)

    @property
    def log(self) -> Log:
        """What the child process has printed.

        Raises:
            UsageError: the server runs in this process; its output is ours.
        """
        if self.child is None:
            raise UsageError("This server runs in this process, so it has no log of its own. Use logging.")
        return self.child.log

    @awaited("await server.stop()")
    async def stop(self) -> None:
        """Close its connections, free its port, and wait until that is done. A second call only waits.

        Whoever is cancelled meanwhile waits no longer; it is closed all the same.
        """
        if self._stopping is None:
            self._stopped = True
            registry.forget(self)
            self._stopping = asyncio.get_running_loop().create_task(self._end())
        await asyncio.shield(self._stopping)

    async def _end(self) -> None:
        await self._close()

    def _address_while_running(self) -> str:
        """The host and the port. While it is being stopped it still has them: an app may drain."""
        if self._stopping is not None and self._stopping.done():
            raise UsageError(
                f"{self!r} was stopped: by stop(), at the end of its block, or by a second run of its cell. Nothing "
                "listens there any more. Start it again, and take the new server's url."
            )
        return f"{LOOPBACK}:{self.port}"

    def _refuse_block(self) -> NoReturn:
        raise UsageError(f"{self!r} runs already, without a block: use it, and end it with `await server.stop()`.")

    async def __aenter__(self) -> NoReturn:
        self._refuse_block()

    async def __aexit__(self, *_: object) -> None:
        """Never comes to that."""

    def __enter__(self) -> NoReturn:
        self._refuse_block()

    def __exit__(self, *_: object) -> None:
        """Never comes to that."""

    def __repr__(self) -> str:
        alive = "running" if self.child is None else self.child.state
        state = "stopped" if self._stopped else alive
        return f"<Server http://{LOOPBACK}:{self.port}, {self._what}, {state}>"

    if not TYPE_CHECKING:  # for a type checker, what is not above is not there

        def __getattr__(self, name: str) -> object:
            if name.startswith("_"):
                raise AttributeError(name)
            kind = type(self).__name__.removeprefix("Hosted")
            names = [each for each in dir(self) if not each.startswith("_")]
            raise MissingAttributeError(f"A {kind}", name, names)


@awaited("server = await rtlab.start(…)", "async with rtlab.serve(…) as server:")
async def start(app: object, *, in_child: bool = False, port: int = 0, name: str | None = None) -> HostedServer:
    """Start a server that runs until `await server.stop()`, over as many cells as you like.

    Running the same cell again stops what its earlier run had started. Ends with the process in any case.

    aiohttp apps and Socket.IO servers do not see requests whose bodies are encoded (Content-Encoding): those are
    answered 415, since a kilobyte may become a megabyte. An app that wants to inflate bodies is run by aiohttp's own
    `run_app`. Nor do they see requests that take too long to arrive; `rtlab.servers.door.http` has the limits.

    Args:
        app: an aiohttp `web.Application`; an ``async def handler(websocket)`` for the websockets library; a
            `socketio.AsyncServer` for aiohttp; an ASGI app, like FastAPI's or a `socketio.ASGIApp`, run by uvicorn; a
            function without arguments that gives one of these; or an import string like ``"chat:app"``.
        in_child: run it in a process of its own. The app must then be an import string.
        port: a TCP port; 0 takes a free one.
        name: replaces whatever was started under the same name, instead of by the same cell.

    Raises:
        UsageError: the app is none of the above, or the port is taken.
        ChildError: the child process did not come up; the message shows its last lines.

    Where an earlier run of the cell had started a server, and this one fails, a note on the error says so.
    """
    # before an earlier server is stopped for it
    expect_port(port)
    refuse_mistakes(app)
    if in_child and not isinstance(app, str):
        raise UsageError(
            f"A child process imports its app by itself: expected an import string like 'chat:app', got {app!r}."
        )
    async with registry.opening(name) as register:
        listener = listen(port)
        try:
            server = await (_start_child(app, listener) if in_child else _start_here(app, listener))
        except BaseException:
            listener.close()
            raise
        register(server)
    return server


@block("async with rtlab.serve(…) as server:", "server = await rtlab.start(…)")
async def serve(
    app: object, *, in_child: bool = False, port: int = 0, name: str | None = None
) -> AsyncIterator[HostedServer]:
    """Run an app for the length of an ``async with`` block. Arguments and errors are those of `start`."""
    server = await start(app, in_child=in_child, port=port, name=name)
    try:
        yield server
    finally:
        await server.stop()


def expect_port(port: object) -> None:
    """Raise UsageError for what is no TCP port."""
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise UsageError(f"A TCP port is a number from 1 to 65535 (0 takes a free one), got {port!r}.")


def listen(port: int) -> socket.socket:
    """A socket that listens on a port of this machine; 0 takes a free one.

    Raises:
        UsageError: the port is taken, or is none.
    """
    expect_port(port)
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        problem = "is taken" if error.errno == errno.EADDRINUSE else f"cannot be used: {error}"
        raise UsageError(f"Port {port} {problem}. Leave the port out, and a free one is found.") from None


async def _start_here(app: object, listener: socket.socket) -> HostedServer:
    port = listener.getsockname()[1]
    resolved = await resolve(app)
    close = await run_app(resolved, listener)
    return HostedServer(port, describe(resolved), close)


async def _start_child(app: object, listener: socket.socket) -> HostedServer:
    assert isinstance(app, str)
    port = listener.getsockname()[1]
    reader, writer = os.pipe()
    try:
        listener_fd = listener.fileno()
        child = Child(
            [sys.executable, "-m", "rtlab.servers.worker", str(listener_fd), str(writer), app],
            name=f"worker {app}",
            cwd=Path.cwd(),
            pass_fds=(listener_fd, writer),
        )
    except BaseException:
        os.close(reader)
        raise
    finally:
        os.close(writer)
    listener.close()  # the child holds it now: a dead worker's port refuses, as it would in production
    try:
        async with asyncio.timeout(READY_S):
            await readable(reader)
        if not os.read(reader, 1):
            await child.wait_async()
            raise child.failure()
    except BaseException as error:
        child.kill()  # it has no connections that it could close politely
        await child.aclose()
        if isinstance(error, TimeoutError):
            raise child.failure(f"was not ready after {READY_S:g} s") from None
        raise
    finally:
        os.close(reader)
    return HostedServer(port, f"{app} in process {child.pid}", child.aclose, child)
