"""The kinds of app that the lab can run, and how each is run on a socket that already listens.

What lives here: one small runner per kind. It must not choose ports or start processes; `hosting` does.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import logging
import re
import socket
import sys
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from rtlab.errors import UsageError
from rtlab.servers.accepting import stop_accepting
from rtlab.servers.mistaken_apps import ACCEPTED, made_nothing, mistake, required_arguments

if TYPE_CHECKING:
    from websockets.asyncio.server import ServerConnection

__all__ = ["STOP_S", "Close", "describe", "load", "resolve", "run_app", "run_websockets"]

logger = logging.getLogger(__name__)

DRAIN_S = 10.0
"""Seconds that an app may drain. In a child it has `supervisor.GRACE_S` for everything."""
STOP_S = 0.5
"""Seconds that handlers have to end by themselves when a server stops. Then they are cancelled: a person waits."""

Close = Callable[[], Awaitable[None]]
"""Stops a running app and closes its socket."""


@runtime_checkable
class Hostable(Protocol):
    """An app that knows how it is run, like `rtlab.servers.websocket.Endpoint`."""

    async def host(self, listener: socket.socket) -> Close:
        """Serve on a socket that listens; gives what stops it."""


ASGI_ARGUMENTS = 3
"""Scope, receive and send (ASGI 3.0, "Applications")."""


async def resolve(app: object) -> object:
    """What is meant by an app: imports an import string, calls a function that takes no arguments.

    Raises:
        UsageError: an import string that names nothing, or a function that gives None.
    """
    if isinstance(app, str):
        app = load(app)
    if callable(app) and required_arguments(app) == 0:
        maker, app = app, app()
        if inspect.isawaitable(app):
            app = await app
        if app is None:
            raise UsageError(made_nothing(maker))
    return app


async def run_app(app: object, listener: socket.socket) -> Close:
    """Run a resolved app of any accepted kind on a listening socket.

    Returns:
        What stops it again.

    Raises:
        UsageError: the app is of no accepted kind.
    """
    close = await _run(app, listener)

    async def stop() -> None:
        try:
            await _drain(app)
        finally:
            await stop_accepting(listener)
            await close()

    return stop


async def _drain(app: Any) -> None:
    """What an app has under `draining.DRAIN`, while it still listens."""
    if not _is_aiohttp(app):
        return
    from rtlab.servers.draining import DRAIN

    if DRAIN in app:
        try:
            async with asyncio.timeout(DRAIN_S):
                await app[DRAIN]()
        except TimeoutError:
            logger.warning("drained for %g s without an end: it is closed now", DRAIN_S)


async def _run(app: object, listener: socket.socket) -> Close:
    if _is_aiohttp(app):
        return await _run_aiohttp(app, listener)
    socketio = sys.modules.get("socketio")
    if socketio is not None and isinstance(app, socketio.AsyncServer):
        return await _run_socketio(app, listener)
    if _is_asgi(app):  # asked before Hostable: Starlette and FastAPI have a method `host` of their own
        return await _run_asgi(app, listener)
    if isinstance(app, Hostable):
        return await app.host(listener)
    if inspect.iscoroutinefunction(app) and required_arguments(app) == 1:
        return await run_websockets(app, listener)
    raise UsageError(mistake(app) or f"Expected {ACCEPTED}; got {app!r}.")


def load(target: str) -> object:
    """Import what an import string names: ``"package.module:attribute"``, looked for in the working directory too.

    Raises:
        UsageError: the string is not of this form, or the module has no such attribute.
    """
    if not re.fullmatch(r"[\w.]+:[\w.]+", target):
        raise UsageError(f"Expected an import string like 'chat:app', got {target!r}.")
    module_name, _, path = target.partition(":")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise  # the module is there; something that it imports is not
        raise UsageError(
            f"There is no module {error.name!r}, which {target!r} asks for, in {here} or installed."
        ) from None
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise UsageError(f"Module {module_name!r} has no {path!r}, which {target!r} asks for.") from None
    return found


def _is_aiohttp(app: object) -> bool:
    """Whether it is aiohttp's. If nobody has imported that, it is not."""
    aiohttp_web = sys.modules.get("aiohttp.web")
    return aiohttp_web is not None and isinstance(app, aiohttp_web.Application)


def describe(app: object) -> str:
    """What an app is, in a few words for a repr."""
    kind = type(app)
    if kind.__module__.startswith("aiohttp."):
        return "aiohttp application"
    if _is_asgi(app):
        return f"ASGI app {getattr(app, '__name__', kind.__name__)}"
    if any(each.__module__.startswith("socketio.") for each in kind.__mro__):
        return "Socket.IO server"
    if isinstance(app, Hostable):
        return str(app)
    return f"websockets handler {getattr(app, '__name__', kind.__name__)}"


async def _run_aiohttp(app: Any, listener: socket.socket) -> Close:
    from rtlab.servers.door.http import HttpHost

    host = HttpHost(app, shutdown_s=STOP_S)
    await host.start([listener])
    return host.close


async def _run_socketio(server: Any, listener: socket.socket) -> Close:
    from aiohttp import web

    if server.eio.async_mode != "aiohttp":
        raise UsageError(
            f"Expected socketio.AsyncServer(async_mode='aiohttp'), got one with async_mode={server.eio.async_mode!r}. "
            "An async_mode='asgi' server is passed as socketio.ASGIApp(server)."
        )
    monitors = server.eio.start_service_task
    app = web.Application()
    server.attach(app)
    close = await _run_aiohttp(app, listener)

    async def stop() -> None:
        await server.shutdown()
        await close()
        # python-engineio's shutdown is for good; a cell that starts a server can be run again
        server.eio.start_service_task, server.eio.service_task_event = monitors, None

    return stop


async def run_websockets(
    handler: Callable[[ServerConnection], Coroutine[Any, Any, None]], listener: socket.socket, **options: Any
) -> Close:
    """Run a handler of the websockets library.

    Args:
        handler: talks to one client.
        listener: the socket that listens.
        options: of `websockets.asyncio.server.serve`, by name.
    """
    from websockets.asyncio.server import ServerConnection, serve
    from websockets.protocol import State

    running: set[asyncio.Task[Any]] = set()
    made: weakref.WeakSet[ServerConnection] = weakref.WeakSet()

    class Remembered(ServerConnection):
        """So that it can be cut where it has sent no handshake or does not close: the library would wait ten seconds.

        And one that reads nothing is not read from: the library answers pings as long as they come, and keeps it all.
        """

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            made.add(self)

        def pause_writing(self) -> None:
            super().pause_writing()
            self.transport.pause_reading()

        def resume_writing(self) -> None:
            super().resume_writing()
            if not self.recv_messages.paused:
                self.transport.resume_reading()

    async def tracked(connection: ServerConnection) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await handler(connection)
        finally:
            running.discard(task)

    server = await serve(tracked, sock=listener, create_connection=Remembered, **options)

    async def stop() -> None:
        server.close()
        for connection in list(made):
            if connection.state is State.CONNECTING:
                connection.transport.abort()
        closed = asyncio.ensure_future(server.wait_closed())
        await asyncio.wait([closed], timeout=STOP_S)
        for task in running:
            task.cancel()
        _, late = await asyncio.wait([closed], timeout=STOP_S)
        for connection in list(made) if late else ():
            connection.transport.abort()
        await closed

    return stop


async def _run_asgi(app: Any, listener: socket.socket) -> Close:
    try:
        uvicorn: Any = importlib.import_module("uvicorn")
    except ModuleNotFoundError:
        raise UsageError(
            "An ASGI app is run by uvicorn, which is not installed. Install what the course needs (`make install`), "
            "or uvicorn alone: python -m pip install uvicorn"
        ) from None
    config = uvicorn.Config(
        app, http="h11", ws="websockets-sansio", interface="asgi3", log_level="warning", log_config=None
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    # The steps of its `serve`, one by one: that would take over the signals of this process, and exit with it.
    try:
        await server.startup(sockets=[listener])
    except SystemExit:
        raise UsageError(f"{describe(app)} did not start: its lifespan failed. uvicorn's log says why.") from None
    running = asyncio.ensure_future(server.main_loop())

    async def stop() -> None:
        running.cancel()
        await asyncio.wait([running])
        if hasattr(app, "engineio_server"):  # socketio.ASGIApp has a background task of its own
            await app.engineio_server.shutdown()
        ending = asyncio.get_running_loop().call_later(STOP_S, _end_requests, server.server_state)
        with _silent_about_cancelling():
            await server.shutdown(sockets=[listener])
        ending.cancel()

    return stop


def _end_requests(state: Any) -> None:
    """End what uvicorn would wait for without a limit: requests that are not answered, and their connections."""
    for connection in list(state.connections):
        connection.transport.abort()
    for task in list(state.tasks):
        task.cancel()


@contextlib.contextmanager
def _silent_about_cancelling() -> Iterator[None]:
    """Inside, uvicorn logs no traceback for a request that was cancelled because its server stops."""

    def keep(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError))

    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _is_asgi(app: object) -> bool:
    """Whether it is an async callable with the arguments of ASGI: a function, or an object such as a framework's."""
    if inspect.isclass(app) or not callable(app):
        return False
    is_async = inspect.iscoroutinefunction(app) or inspect.iscoroutinefunction(app.__call__)
    return is_async and required_arguments(app) == ASGI_ARGUMENTS
