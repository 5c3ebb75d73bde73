"""Any app, on a free port, in this loop or in a child."""

import asyncio
import contextlib
import os
import signal
import socket
import textwrap

import aiohttp
import pytest
import socketio
from aiohttp import web
from deadlines import SCALE, WAIT_S
from eventually import until
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

import rtlab
from rtlab.servers.draining import DRAIN
from rtlab.servers.echo import create_app as echo_app
from rtlab.servers.ports import free_port

pytestmark = pytest.mark.timeout(WAIT_S * 3)


async def hello(_):
    return web.Response(text="hello")


def make_app():
    app = web.Application()
    app.router.add_get("/", hello)
    return app


async def make_app_later():
    return make_app()


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return await response.text()


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the working directory and gives its name."""
    monkeypatch.chdir(tmp_path)

    def write(source: str) -> str:
        (tmp_path / "an_app.py").write_text(textwrap.dedent(source))
        return "an_app"

    return write


AIOHTTP_MODULE = """
    from aiohttp import web
    async def hello(_):
        return web.Response(text="hello from a child")
    def create():
        app = web.Application()
        app.router.add_get("/", hello)
        return app
"""


@pytest.mark.parametrize("app", [make_app(), make_app, make_app_later], ids=["app", "factory", "async factory"])
async def test_aiohttp(app):
    async with rtlab.serve(app) as server:
        assert await get(server.url) == "hello"
        assert repr(server) == f"<Server http://127.0.0.1:{server.port}, aiohttp application, running>"
        assert server.ws_url == f"ws://127.0.0.1:{server.port}"
    assert refuses(server.port)
    assert repr(server).endswith("stopped>")


async def test_an_app_can_be_served_again():
    app = make_app()
    for _ in range(2):
        async with rtlab.serve(app) as server:
            assert await get(server.url) == "hello"


async def test_websockets_handler():
    async with rtlab.serve(echo) as server, connect(server.ws_url) as client:
        await client.send("ping")
        assert await client.recv() == "ping"
        assert "websockets handler echo" in repr(server)


@pytest.mark.parametrize(
    ("stack", "what"),
    [
        ("hand", "WebSocket handler echo"),
        ("websockets", "websockets handler echo"),
        ("aiohttp", "aiohttp application"),
    ],
)
async def test_apps_that_know_how_they_are_run(stack, what):
    async with rtlab.serve(echo_app(stack)) as server:
        assert repr(server) == f"<Server {server.url}, {what}, running>"


async def test_socketio_server():
    sio = socketio.AsyncServer(async_mode="aiohttp")
    async with rtlab.serve(sio) as server:
        client = socketio.AsyncClient()
        await client.connect(server.url, transports=["websocket"])
        assert client.connected
        await client.disconnect()
        assert "Socket.IO server" in repr(server)


async def test_socketio_server_of_another_kind():
    with pytest.raises(rtlab.UsageError, match="async_mode='aiohttp'"):
        await rtlab.start(socketio.AsyncServer(async_mode="asgi"))


async def test_stop_ends_handlers_that_wait_for_ever():
    ended = asyncio.Event()

    async def stubborn(_):
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with asyncio.timeout(WAIT_S):
        async with rtlab.serve(stubborn) as server:
            client = await connect(server.ws_url)
        assert ended.is_set()
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1001


async def test_stop_twice_and_from_the_outside():
    server = await rtlab.start(make_app)
    assert server in rtlab.resources()
    assert server.running
    await server.stop()
    await server.stop()
    assert server not in rtlab.resources()
    assert not server.running


@pytest.mark.parametrize(
    ("app", "said"),
    [
        (3, "Expected an aiohttp web.Application, .* got 3"),
        (lambda first, second: None, "is not async"),
        ("not an import string", "Expected an import string like 'chat:app'"),
        ("an_app_that_is_not:there", "There is no module 'an_app_that_is_not'"),
        ("rtlab.errors:Missing", "Module 'rtlab.errors' has no 'Missing'"),
    ],
)
async def test_what_is_no_app(app, said):
    with pytest.raises(rtlab.UsageError, match=said):
        await rtlab.start(app)
    assert rtlab.resources() == ()


async def test_a_socketio_server_can_be_started_again():
    sio = socketio.AsyncServer(async_mode="aiohttp", ping_timeout=1)
    for _ in range(2):
        async with rtlab.serve(sio) as server:
            client = socketio.AsyncClient(handle_sigint=False)
            await client.connect(server.url)
            assert sio.eio.service_task_handle is not None  # dead peers are looked for this time too
            await client.disconnect()


async def test_the_address_of_a_stopped_server():
    server = await rtlab.start(make_app)
    await server.stop()
    for name in ("url", "ws_url", "browser_url"):
        with pytest.raises(
            rtlab.UsageError, match=rf"<Server http://127.0.0.1:{server.port}, .*, stopped> was stopped"
        ):
            getattr(server, name)
    async with rtlab.serve(make_app) as second:
        pass
    with pytest.raises(rtlab.UsageError, match="at the end of its block"):
        _ = second.url


async def test_a_misspelt_attribute():
    async with rtlab.serve(make_app) as server, rtlab.tap(server) as tap:
        with pytest.raises(rtlab.UsageError, match=r"A Server has no attribute 'wsurl'. Did you mean .*'ws_url'"):
            _ = server.wsurl
        with pytest.raises(AttributeError, match=r"A Tap has no attribute 'transcrypt'. Did you mean 'transcript'"):
            _ = tap.transcrypt
        with pytest.raises(AttributeError, match=r"has no attribute 'address'. There are: .*url"):
            _ = server.address
        assert not hasattr(server, "wsurl")


async def test_a_start_that_fails_says_what_it_has_stopped():
    first = await rtlab.start(make_app, name="a lesson")
    with pytest.raises(rtlab.UsageError, match="is not async"):
        await rtlab.start(lambda websocket: None, name="a lesson")
    assert first.running, "a mistake that shows in the app stops nothing"
    with pytest.raises(rtlab.UsageError, match="gave None") as caught:
        await rtlab.start(lambda: None, name="a lesson")
    assert not first.running
    (note,) = caught.value.__notes__
    assert f"Nothing runs in the place of <Server http://127.0.0.1:{first.port}, aiohttp application" in note
    assert "still refers to the stopped one" in note
    with pytest.raises(rtlab.UsageError) as caught:
        await rtlab.start(lambda: None, name="a lesson")
    assert not hasattr(caught.value, "__notes__"), "this time nothing was stopped"


async def test_a_taken_port():
    async with rtlab.serve(make_app, port=free_port()) as server:
        with pytest.raises(rtlab.UsageError, match=f"Port {server.port} is taken"):
            await rtlab.start(make_app, port=server.port)
    async with rtlab.serve(make_app, port=server.port) as second:
        assert second.port == server.port


async def test_a_port_that_is_none():
    with pytest.raises(rtlab.UsageError, match=r"from 1 to 65535 .* got 70000"):
        await rtlab.start(make_app, port=70000)
    for port in ("8000", None, True, 80.0):
        with pytest.raises(rtlab.UsageError, match=r"A TCP port is a number from 1 to 65535"):
            await rtlab.start(make_app, port=port)
        with pytest.raises(rtlab.UsageError, match=r"A TCP port is a number from 1 to 65535"):
            await rtlab.start_tap("http://127.0.0.1:9", port=port)


async def test_a_failing_start_frees_the_port():
    async def broken(_):
        raise RuntimeError("no database")

    app = make_app()
    app.on_startup.append(broken)
    port = free_port()
    with pytest.raises(RuntimeError, match="no database"):
        await rtlab.start(app, port=port)
    assert refuses(port)


async def test_in_a_child(module):
    async with rtlab.serve(f"{module(AIOHTTP_MODULE)}:create", in_child=True) as server:
        assert await get(server.url) == "hello from a child"
        assert server.child is not None
        assert repr(server) == f"<Server {server.url}, an_app:create in process {server.child.pid}, running>"
        assert server.child.pid != os.getpid()
    assert refuses(server.port)
    assert server.child.returncode == 0, server.log.tail()


SLOW_TO_END = """
import asyncio
from aiohttp import web

async def drain(_):
    print("draining", flush=True)
    await asyncio.sleep(1)
    print("drained", flush=True)

async def clean_up(_):
    print("cleaned up", flush=True)

app = web.Application()
app.on_shutdown.append(drain)
app.on_cleanup.append(clean_up)
"""


@pytest.mark.parametrize("end", ["stop", "SIGTERM", "SIGINT"])
async def test_the_shutdown_of_an_app_in_a_child_runs_to_its_end(module, end):
    server = await rtlab.start(f"{module(SLOW_TO_END)}:app", in_child=True)
    if end != "stop":
        server.child.send_signal(getattr(signal, end))
        async with asyncio.timeout(WAIT_S):
            await server.child.wait_async()
    await server.stop()
    assert server.child.returncode == 0
    assert server.log.tail() == ["draining", "drained", "cleaned up"]


@pytest.mark.parametrize("turns", range(4))
async def test_a_stop_that_is_cancelled_stops_all_the_same(turns):
    server = await rtlab.start(make_app())
    stopping = asyncio.create_task(server.stop())
    for _ in range(turns):
        await asyncio.sleep(0)
    stopping.cancel()
    await asyncio.wait([stopping])
    await server.stop()
    assert refuses(server.port)


async def test_a_second_stop_waits_for_the_first():
    app, drained = make_app(), asyncio.Event()
    app[DRAIN] = drained.wait
    server = await rtlab.start(app)
    first, second = asyncio.create_task(server.stop()), asyncio.create_task(server.stop())
    await until(lambda: not server.running)
    assert await get(server.url), "it still listens while it drains"
    assert not first.done()
    assert not second.done()
    drained.set()
    await asyncio.gather(first, second)
    assert refuses(server.port)


@pytest.mark.parametrize("drain", ["hangs", "raises"])
async def test_a_drain_that_goes_wrong_keeps_nothing_open(drain, monkeypatch, caplog):
    monkeypatch.setattr("rtlab.servers.apps.DRAIN_S", 0.05)

    async def wrong():
        if drain == "raises":
            raise RuntimeError("no drain")
        await asyncio.Event().wait()

    app = make_app()
    app[DRAIN] = wrong
    server = await rtlab.start(app)
    if drain == "raises":
        with pytest.raises(RuntimeError, match="no drain"):
            await server.stop()
    else:
        await server.stop()
        assert "without an end" in caplog.text
    assert refuses(server.port)


async def test_a_child_that_is_killed(module):
    async with rtlab.serve(f"{module(AIOHTTP_MODULE)}:create", in_child=True) as server:
        server.child.kill()
        async with asyncio.timeout(WAIT_S):
            await server.child.wait_async()
        assert not server.running
        assert "ended with signal SIGKILL" in repr(server)
        assert refuses(server.port)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("app = 3", "Expected an aiohttp"),
        ("import nonesuch_module", "No module named 'nonesuch_module'"),
        ("app = (", "SyntaxError"),
        ("import os; print('some last words', flush=True); os._exit(7)", "exit status 7(.|\n)*some last words"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "signal SIGKILL"),
    ],
)
async def test_a_child_that_cannot_start(module, source, said):
    with pytest.raises(rtlab.ChildError, match=said) as caught:
        await rtlab.start(f"{module(source)}:app", in_child=True)
    assert "worker an_app:app" in str(caught.value)
    assert rtlab.resources() == ()


async def test_a_child_that_is_never_ready(module, monkeypatch):
    monkeypatch.setattr("rtlab.servers.hosting.READY_S", 0.5)
    with pytest.raises(rtlab.ChildError, match=r"was not ready after 0\.5 s"):
        await rtlab.start(f"{module('import time; time.sleep(1000)')}:app", in_child=True)


async def test_a_cancelled_start_leaves_no_child(module):
    target = module("print('importing', flush=True); import signal; signal.pause()")
    starting = asyncio.create_task(rtlab.start(f"{target}:app", in_child=True))
    await asyncio.sleep(0)  # it has a child from its first step on
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert rtlab.resources() == ()


async def test_a_child_needs_an_import_string():
    with pytest.raises(rtlab.UsageError, match="expected an import string"):
        await rtlab.start(make_app, in_child=True)


async def test_a_server_in_this_process_has_no_log():
    async with rtlab.serve(make_app) as server:
        with pytest.raises(rtlab.UsageError, match="in this process"):
            _ = server.log


async def test_sigterm_drains_a_worker(module):
    """The worker closes its connections before it goes: a client sees 1001, going away."""
    target = module("""
        async def app(websocket):
            await websocket.send("hello")
            await websocket.wait_closed()
    """)
    async with rtlab.serve(f"{target}:app", in_child=True) as server, connect(server.ws_url) as client:
        assert await client.recv() == "hello"
        server.child.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1001


async def test_browser_url_behind_a_hub(monkeypatch):
    async with rtlab.serve(make_app) as server:
        monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
        assert server.browser_url == f"http://127.0.0.1:{server.port}/"
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
        assert server.browser_url == f"/user/ada/proxy/{server.port}/"


@pytest.mark.parametrize(
    "app",
    [echo_app("websockets"), echo_app("hand"), echo],
    ids=["echo on websockets", "by hand", "a handler of websockets"],
)
async def test_a_client_without_a_handshake_does_not_hold_the_end_up(app):
    """The library would wait for its handshake as long as one may take, which is ten seconds."""
    server = await rtlab.start(app)
    begun = []
    for sent in (b"", b"GET / HTTP/1.1\r\nHost: h\r\n"):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        begun.append((reader, writer))
    async with connect(server.ws_url):  # so that the server has seen those before
        pass
    async with asyncio.timeout(5 * SCALE):  # half of what the library would take
        await server.stop()
    for reader, writer in begun:
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
