"""Faults at the seams: broken bodies, lost connections, ends from within handlers, shutdowns, HTTPS."""

import asyncio
import gzip
import logging
import signal
import socket
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
import socketio
from aiohttp import web
from certificates import contexts
from deadlines import WAIT_S
from eventually import until
from quick import quick
from realtime.conformance.lab import Client
from realtime.serving import CONNECT, DISCONNECT, EVENT, lab_of, serving
from websockets.asyncio.client import connect as connect_websocket
from websockets.frames import Frame, Opcode

import rtlab
from rtlab.realtime import Guards, Server
from rtlab.wire.socketio import Packet, PacketType

POLL = {"EIO": "4", "transport": "polling"}


@asynccontextmanager
async def running(sio, ssl_context=None, **options):
    """A server as `web.run_app` runs it, with any options of its runner; gives its port."""
    app = web.Application()
    sio.attach(app)
    runner = web.AppRunner(app, shutdown_timeout=1.0, **options)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=ssl_context)
        await site.start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


# Requests


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "identity, gzip", "GZIP", "nothing that is known"])
@pytest.mark.parametrize("body", [b"no gzip", gzip.compress(b"4" * 10_000_000)], ids=["no gzip", "a bomb"])
async def test_a_body_with_a_content_encoding_is_refused_and_not_inflated(coding, body, caplog):
    async with serving() as (sio, lab, _journal):
        sio.on("echo", lambda sid, *data: data)
        client = Client(lab, await lab.polling())
        await client.connect()
        query, headers = client.transport.query, {"Content-Encoding": coding}
        async with lab.http.post(lab.url, params=query, data=body, headers=headers) as response:
            assert response.status == 415
            assert response.headers["Connection"] == "close"
        assert await client.request("echo", 1) == [1], "its session goes on"
    assert not caplog.records


@pytest.mark.parametrize("handler_cancellation", [True, False])
@pytest.mark.parametrize("kind", ["websocket", "GET", "POST"])
async def test_a_lost_connection_ends_its_session(kind, handler_cancellation, caplog):
    sio, reasons = Server(ping_interval=1, ping_timeout=5), asyncio.Queue()
    sio.on("disconnect", lambda sid, reason: reasons.put_nowait(reason))
    sio.on("connect", lambda sid, environ, auth: None)
    async with running(sio, handler_cancellation=handler_cancellation) as port, lab_of(At(port)) as lab:
        client = Client(lab, await (lab.websocket() if kind == "websocket" else lab.polling()))
        await client.connect()
        if kind == "websocket":
            client.transport.raw.transport.abort()
        else:
            body, length = (b"4", 9) if kind == "POST" else (b"", 0)
            pending = await lab.begin(kind, body, length, **client.transport.query)
            await pending.abandon()
        async with asyncio.timeout(WAIT_S):
            assert await reasons.get() == "transport close"
        assert caplog.records == []


class At:
    """What `lab_of` needs of a server."""

    def __init__(self, port, scheme="http"):
        self.url = f"{scheme}://127.0.0.1:{port}"


@pytest.mark.parametrize("last", ["x", "1", "41"])
async def test_a_get_that_waits_while_the_session_goes_over_and_ends(last, caplog):
    async with serving() as (_, lab, _journal):
        client = Client(lab, await lab.polling())
        await client.connect()
        waiting = await client.transport.begin_get()
        over = await lab.upgrading(client.transport)
        frames = [Frame(Opcode.TEXT, each.encode()).serialize(mask=True) for each in ("2probe", "5", last)]
        over.raw.transport.write(b"".join(frames))
        assert (await waiting.answer()).status == 200
        assert [each for each in caplog.records if each.levelno >= logging.ERROR] == []


async def test_a_get_for_a_session_that_has_gone_over_and_is_being_closed(caplog):
    async with serving() as (sio, lab, journal):
        go_on = asyncio.Event()

        @sio.event
        async def disconnect(sid, reason):
            await journal.note("leaving")
            await go_on.wait()

        client = Client(lab, await lab.polling())
        await client.connect()
        over = await lab.upgrading(client.transport)
        await over.raw.send("2probe")
        await over.raw.recv()
        await over.raw.send("5")
        await sio.emit("news")
        assert (await over.receive()).data == '2["news"]'
        closing = asyncio.create_task(sio.eio.disconnect(client.transport.handshake.sid))
        await journal.until("leaving")
        assert (await client.transport.get()).text == "6"
        go_on.set()
        await closing
        await client.transport.is_gone()
        assert caplog.records == []


async def test_nothing_is_written_after_a_close_frame():
    async with serving() as (sio, lab, _journal):
        over = asyncio.Event()

        async def talk():
            while not over.is_set():
                await sio.emit("news", "x" * 2000)

        talking = asyncio.create_task(talk())
        for _ in range(10):
            reader, writer = await asyncio.open_connection("127.0.0.1", int(lab.url.split(":")[2].split("/")[0]))
            writer.write(
                b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
                b"Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            await reader.readuntil(b"\r\n\r\n")
            writer.write(Frame(Opcode.TEXT, b"40").serialize(mask=True))
            for _ in range(20):
                await reader.readexactly(2000)
            writer.write(Frame(Opcode.CLOSE, (1000).to_bytes(2)).serialize(mask=True))
            everything = await reader.read()
            assert everything.endswith(Frame(Opcode.CLOSE, (1000).to_bytes(2)).serialize(mask=False))
            writer.close()
        over.set()
        await talking


# Ends from within


@pytest.mark.parametrize("way", ["disconnect", "eio.disconnect", "shutdown"])
@pytest.mark.parametrize("place", ["connect", "work", "disconnect"])
@pytest.mark.parametrize("in_order", [True, False], ids=["in order", "at once"])
async def test_an_end_from_within(place, way, in_order):
    guards = Guards(connect_timeout_s=1)
    async with serving(guards=guards, async_handlers=not in_order) as (sio, lab, journal):

        async def end(sid, *_):
            if way == "disconnect":
                await sio.disconnect(sid)
            elif way == "eio.disconnect":
                await sio.eio.disconnect(sio.manager.eio_sid_from_sid(sid, "/"))
            else:
                await sio.shutdown()
            await sio.emit("last words", to=sid)
            await journal.note("done")

        sio.on(place, end)
        client = Client(lab, await lab.websocket())
        await client.send(Packet(CONNECT))
        if place == "connect" and way == "disconnect":  # it is refused, and then it is in no namespace for too long
            assert (await client.receive()).type is PacketType.CONNECT_ERROR
        if place != "connect":
            await client.receive()
            await client.emit("work") if place == "work" else await client.send(Packet(DISCONNECT))
        await journal.until("done")
        await client.transport.ends(within_s=WAIT_S)
        await until(lambda: not sio.eio.sockets)
        assert sio.manager.rooms == {}


async def test_an_emit_from_a_disconnect_handler_reaches_the_others_only():
    async with serving() as (sio, lab, _):

        @sio.event
        async def disconnect(sid, reason):
            await sio.emit("left", sid)
            await sio.emit("left", "you", to=sid)

        staying, leaving = await lab.client(), Client(lab, await lab.websocket())
        sid = await leaving.connect()
        await leaving.send(Packet(DISCONNECT))
        assert await staying.receive() == Packet(EVENT, data=["left", sid])
        sio.on("fine", lambda sid: "yes")
        await leaving.send(Packet(CONNECT))
        assert (await leaving.receive()).type is CONNECT, "nothing else was said to it"
        assert await staying.request("fine") == ["yes"]


# Apps


async def test_two_servers_in_one_app_know_nothing_of_each_other():
    first, second, app = Server(), Server(serializer="msgpack"), web.Application()
    first.attach(app)
    second.attach(app, "other/path")
    for name, sio in (("first", first), ("second", second)):
        sio.on("connect", lambda sid, environ, auth: None)
        sio.on("who", lambda sid, name=name: name)
    async with rtlab.serve(app) as server:
        clients = [socketio.AsyncClient(handle_sigint=False, serializer=each) for each in ("default", "msgpack")]
        await clients[0].connect(server.url)
        await clients[1].connect(server.url, socketio_path="other/path")
        assert [await client.call("who") for client in clients] == ["first", "second"]
        async with aiohttp.ClientSession() as http:
            sid = next(iter(first.eio.sockets))
            async with http.get(f"{server.url}/other/path/", params=POLL | {"sid": sid}) as response:
                assert response.status == 400
        await first.shutdown()
        assert await clients[1].call("who") == "second"
        for client in clients:
            await client.disconnect()


async def test_https(tmp_path):
    ours, theirs = contexts(tmp_path)
    sio, schemes, reasons = Server(guards=Guards(max_queued_bytes=100_000)), [], asyncio.Queue()
    sio.on("connect", lambda sid, environ, auth: schemes.append(environ["wsgi.url_scheme"]))
    sio.on("disconnect", lambda sid, reason: reasons.put_nowait(reason))
    sio.on("echo", lambda sid, *data: data)
    async with running(sio, ssl_context=ours) as port:
        address, origin = f"https://127.0.0.1:{port}", {"Origin": f"http://127.0.0.1:{port}"}
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=theirs)) as http:
            for transports in (["polling"], ["websocket"], None):
                client = socketio.AsyncClient(handle_sigint=False, http_session=http, reconnection=False)
                await client.connect(address, headers={"Origin": address}, transports=transports)
                assert await client.call("echo", b"x" * 50_000) == b"x" * 50_000
                await client.disconnect()
                async with asyncio.timeout(WAIT_S):
                    await reasons.get()
            async with http.get(f"{address}/socket.io/", params=POLL, headers=origin) as response:
                assert response.status == 403, "the same host, and not the same origin"
        url = f"wss://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        async with connect_websocket(url, ssl=theirs, compression=None, ping_interval=None) as silent:
            await silent.send("40")
            await silent.recv()
            await silent.recv()
            silent.transport.pause_reading()
            async with asyncio.timeout(WAIT_S):
                while reasons.empty():
                    await sio.emit("news", "x" * 50_000)
            assert await reasons.get() == "slow consumer"
            silent.transport.abort()
        assert set(schemes) == {"https"}


SCRIPT = """
import socket, sys
from aiohttp import web
from rtlab.realtime import Server
sio, app = Server(), web.Application()
sio.attach(app)
sio.on("connect", lambda sid, environ, auth: None)
sio.on("disconnect", lambda sid, reason: print("gone:", reason, flush=True))
async def ready(app):
    print("ready", flush=True)
app.on_startup.append(ready)
listener = socket.socket(fileno=int(sys.argv[1]))
web.run_app(app, sock=listener, print=None, handler_cancellation=sys.argv[2] == "True")
"""


@pytest.mark.parametrize("handler_cancellation", quick([False, True], [True]))
async def test_ctrl_c_ends_a_script_with_open_polls_and_sockets(handler_cancellation):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    arguments = [sys.executable, "-c", SCRIPT, str(listener.fileno()), str(handler_cancellation)]
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, pass_fds=[listener.fileno()]
    )
    listener.close()
    try:
        async with asyncio.timeout(3 * WAIT_S):
            assert await process.stdout.readline() == b"ready\n"
            async with lab_of(At(port)) as lab:
                socket_client, poller = await lab.client(), Client(lab, await lab.polling())
                await poller.connect()
                waiting = await poller.transport.begin_get()
                unfinished = await lab.begin("POST", b"4", 100, **poller.transport.query)
                process.send_signal(signal.SIGINT)
                await socket_client.transport.ends(within_s=WAIT_S)
                assert socket_client.transport.raw.close_code == 1001
                assert (await waiting.answer()).status == 503
                await unfinished.abandon()
            out, err = await process.communicate()
        assert (out, err.decode()) == (b"gone: server shutting down\n" * 2, "")
        assert process.returncode == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
