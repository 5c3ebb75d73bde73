"""Apps for the workers of a cluster, of each kind that there is. A worker imports them by the strings in `KINDS`.

Those with Socket.IO answer the event "who" with their worker's name, and send what comes with "say" to everybody. They
import it themselves: the others start in half the time without it.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from rtlab.servers.draining import DRAIN

HERE = {"PYTHONPATH": str(Path(__file__).parent)}
"""The environment in which workers find this module."""
KINDS = {
    "plain": "/socket.io/",
    "guarded": "/socket.io/",
    "packed": "/socket.io/",
    "mounted_in_aiohttp": "/ws/socket.io/",
    "below_a_subapp": "/inner/socket.io/",
    "asgi": "/socket.io/",
    "in_fastapi": "/socket.io/",
    "around_fastapi": "/chat/io/",
    "pages": None,
    "echo": None,
}
"""Each with the path of its Socket.IO server."""


def _with_events(sio):
    @sio.event
    async def who(_sid):
        return os.environ["RTLAB_WORKER"]

    @sio.event
    async def say(_sid, text):
        await sio.emit("said", text)

    return sio


def _manager():
    import socketio

    return socketio.AsyncRedisManager(os.environ["REDIS_URL"])


def plain():
    import socketio

    return _with_events(socketio.AsyncServer(async_mode="aiohttp", client_manager=_manager()))


def guarded():
    from rtlab.realtime import Server

    return _with_events(Server(client_manager=_manager()))


def packed():
    import socketio

    return _with_events(socketio.AsyncServer(async_mode="aiohttp", client_manager=_manager(), serializer="msgpack"))


def alone():
    import socketio

    return _with_events(socketio.AsyncServer(async_mode="aiohttp"))


def deaf():
    """Its own channel for each worker: it publishes, and nobody listens."""
    import socketio

    manager = socketio.AsyncRedisManager(os.environ["REDIS_URL"], channel=os.environ["RTLAB_WORKER"])
    return socketio.AsyncServer(async_mode="aiohttp", client_manager=manager)


def closed():
    """Lets nobody in who does not say the word."""

    @web.middleware
    async def refuse(_request, _handler):
        raise web.HTTPUnauthorized

    app = web.Application(middlewares=[refuse])
    plain().attach(app)
    return app


async def mounted_in_aiohttp():
    import socketio

    app = web.Application()
    sio = socketio.AsyncServer(async_mode="aiohttp", client_manager=_manager(), transports=["websocket"])
    _with_events(sio).attach(app, "ws/socket.io")
    return app


def below_a_subapp():
    app, inner = web.Application(), web.Application()
    plain().attach(inner)
    app.add_subapp("/inner/", inner)
    return app


def _asgi_server():
    import socketio

    return _with_events(socketio.AsyncServer(async_mode="asgi", client_manager=_manager()))


def asgi():
    import socketio

    return socketio.ASGIApp(_asgi_server())


def in_fastapi():
    import socketio
    from fastapi import FastAPI

    app = FastAPI()
    app.mount("/", socketio.ASGIApp(_asgi_server()))
    return app


def around_fastapi():
    import socketio
    from fastapi import FastAPI

    return socketio.ASGIApp(_asgi_server(), FastAPI(), socketio_path="chat/io")


def pages():
    """A page with the worker's name; /die ends the worker, /stay answers late, and /print prints."""
    app = web.Application()

    async def who(_):
        return web.Response(text=f"{os.environ['RTLAB_WORKER']} {os.getpid()}")

    async def die(_):
        os._exit(3)

    async def say(request):
        print(request.query["text"], flush=True)
        return web.Response()

    async def environment(_):
        return web.json_response(dict(os.environ))

    async def drain():
        print("draining", flush=True)
        await asyncio.sleep(0.2)
        print("drained", flush=True)

    app.router.add_get("/", who)
    app.router.add_get("/die", die)
    app.router.add_get("/print", say)
    app.router.add_get("/environment", environment)
    app[DRAIN] = drain
    return app


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def broken():
    print("some last words", flush=True)
    if os.environ["RTLAB_WORKER"] == "worker-2":
        raise RuntimeError("no database")
    return pages()


def broken_by_a_file():
    """Starts unless there is a file, so that a test decides when it breaks."""
    if Path(os.environ["BREAKS"]).exists():
        sys.exit("it is broken now")
    return pages()


def slow():
    """Takes for ever to start, and says so."""
    print("importing", flush=True)
    Path(os.environ["IMPORTING"], os.environ["RTLAB_WORKER"]).touch()
    signal.pause()
