"""ASGI apps: run by uvicorn on the lab's socket, in this loop or in a child, and stopped like the others."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import textwrap
import time

import aiohttp
import pytest
import socketio
from deadlines import WAIT_S
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import rtlab
from rtlab.servers.apps import STOP_S

pytestmark = pytest.mark.timeout(WAIT_S * 3)


async def plain(scope, receive, send):
    """The smallest ASGI app: it knows nothing of lifespans."""
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"plain"})


def fastapi_app():
    app = FastAPI()

    @app.get("/")
    async def hello() -> str:
        return "fastapi"

    @app.websocket("/echo")
    async def echo(ws: WebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text)

    return app


def starlette_app():
    return Starlette(routes=[Route("/", lambda _: PlainTextResponse("starlette"))])


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200
        return await response.text()


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


@pytest.mark.parametrize(
    ("app", "what", "says"),
    [
        (plain, "ASGI app plain", "plain"),
        (fastapi_app(), "ASGI app FastAPI", '"fastapi"'),
        (fastapi_app, "ASGI app FastAPI", '"fastapi"'),
        (starlette_app(), "ASGI app Starlette", "starlette"),
    ],
    ids=["function", "fastapi", "factory", "starlette"],
)
async def test_http(app, what, says):
    before = asyncio.all_tasks()
    async with rtlab.serve(app) as server:
        assert await get(server.url) == says
        assert repr(server) == f"<Server {server.url}, {what}, running>"
    assert refuses(server.port)
    assert rtlab.resources() == ()
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}


async def test_websocket():
    async with rtlab.serve(fastapi_app) as server:
        async with connect(f"{server.ws_url}/echo") as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
            await server.stop()
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1012


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], None])
async def test_socketio_around_an_app(transports):
    sio = socketio.AsyncServer(async_mode="asgi")
    before = asyncio.all_tasks()
    async with rtlab.serve(socketio.ASGIApp(sio, fastapi_app())) as server:
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        gone = asyncio.Event()
        client.on("disconnect", lambda _reason: gone.set())
        await client.connect(server.url, transports=transports)
        assert client.connected
        assert await get(server.url) == '"fastapi"'
        assert "ASGI app ASGIApp" in repr(server)
        await server.stop()
        async with asyncio.timeout(WAIT_S):
            await gone.wait()
        await client.disconnect()
    left = asyncio.all_tasks() - before - {asyncio.current_task()}
    of_the_server = {task.get_coro().__qualname__ for task in left if "AsyncClient" not in repr(task)}
    assert of_the_server <= {"AsyncSocket._send_ping"}  # engineio's: it sleeps for one interval, and ends


async def test_stop_ends_a_request_that_is_never_answered(caplog):
    asked, ended = asyncio.Event(), asyncio.Event()

    async def stubborn(scope, receive, send):
        assert scope["type"] == "http"
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    server = await rtlab.start(stubborn)
    request = asyncio.create_task(get(server.url))
    async with asyncio.timeout(WAIT_S):
        await asked.wait()
        began = time.monotonic()
        await server.stop()
        took = time.monotonic() - began
        assert ended.is_set()
        with pytest.raises(aiohttp.ClientError):
            await request
    assert STOP_S <= took < WAIT_S
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_the_lifespan_is_run():
    said = []

    @contextlib.asynccontextmanager
    async def lifespan(_):
        said.append("up")
        yield
        said.append("down")

    async with rtlab.serve(FastAPI(lifespan=lifespan)):
        assert said == ["up"]
    assert said == ["up", "down"]


async def test_a_lifespan_that_fails(caplog):
    @contextlib.asynccontextmanager
    async def lifespan(_):
        raise RuntimeError("no database")
        yield

    with pytest.raises(rtlab.UsageError, match="ASGI app FastAPI did not start: its lifespan failed"):
        await rtlab.start(FastAPI(lifespan=lifespan))
    assert "no database" in caplog.text
    assert rtlab.resources() == ()


async def test_signals_stay_with_us():
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    async with rtlab.serve(plain):
        assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


async def test_without_uvicorn(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(rtlab.UsageError, match=r"run by uvicorn, which is not installed.*make install"):
        await rtlab.start(plain)
    assert rtlab.resources() == ()


async def test_a_class_is_no_app():
    class App:
        def __init__(self, scope, receive, send): ...

        async def __call__(self, scope, receive, send): ...

    with pytest.raises(rtlab.UsageError, match=r"App is a class: pass an object of it, App\(…\)"):
        await rtlab.start(App)


async def test_a_bare_asgi_server_is_told_how():
    with pytest.raises(rtlab.UsageError, match=r"socketio\.ASGIApp\(server\)"):
        await rtlab.start(socketio.AsyncServer(async_mode="asgi"))


async def test_in_a_child(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "an_asgi_app.py").write_text(
        textwrap.dedent("""
            import socketio
            from fastapi import FastAPI
            sio = socketio.AsyncServer(async_mode="asgi")
            web = FastAPI()
            @web.get("/")
            async def hello() -> str:
                return "from a child"
            app = socketio.ASGIApp(sio, web)
        """)
    )
    async with rtlab.serve("an_asgi_app:app", in_child=True) as server:
        assert await get(server.url) == '"from a child"'
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        await client.connect(server.url, transports=["websocket"])
        await client.disconnect()
    assert refuses(server.port)
    assert server.child.returncode == 0, server.log.tail()
