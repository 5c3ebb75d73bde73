"""The tap in front of a server with TLS: clients without it, the same rows, and how connections end."""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from contextlib import asynccontextmanager

import aiohttp
import pytest
import socketio
from aiohttp import web
from certificates import Authority
from deadlines import WAIT_S

import rtlab
from rtlab.errors import UsageError
from rtlab.instruments import relay
from rtlab.instruments.direction import Direction
from rtlab.servers import websocket

pytestmark = pytest.mark.timeout(WAIT_S * 3)

LARGE = "z" * 900_000
TLS_NOTE = "the tap speaks TLS to the server"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
async def deadline():
    """Nothing here waits for ever."""
    async with asyncio.timeout(WAIT_S):
        yield


async def echo(ws):
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def over_tls(app, authority):
    """An aiohttp app with TLS; gives its URL."""
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.issue().context).start()
    try:
        yield f"https://localhost:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def tcp(handler, authority):
    """A bare server with TLS; gives its URL."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=authority.issue().context)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_http_and_websockets_read_as_without_tls(authority):
    transcripts = []
    for context in (None, authority.issue().context):
        ca = authority.ca if context else None
        async with websocket.serve(echo, ssl=context) as server, rtlab.tap(server, ssl=ca) as tap:
            assert ("in front of https://" in repr(tap)) is (context is not None)
            async with websocket.connect(tap.ws_url) as client:
                for message in ("hello", LARGE, b"\x00\xff"):
                    await client.send(message)
                    assert await client.recv() == message
            async with aiohttp.ClientSession(tap.url) as http, http.get("/") as response:
                assert response.status in {400, 426}
        transcripts.append(tap.transcript)
    plain, encrypted = transcripts
    assert [row.summary for row in plain] == [row.summary for row in encrypted]
    assert [row.connection for row in encrypted if TLS_NOTE in row.note] == [1, 2], "once for each connection"
    assert encrypted[0].note == TLS_NOTE
    assert TLS_NOTE in str(encrypted)
    assert TLS_NOTE not in str(plain)
    assert plain.problems == encrypted.problems
    assert not encrypted.only(kind="end")


async def test_socketio_through_it(authority):
    sio = socketio.AsyncServer(async_mode="aiohttp")
    app = web.Application()
    sio.attach(app)

    @sio.event
    async def ask(_, data):
        return data.upper()

    async with over_tls(app, authority) as url, rtlab.tap(url, ssl=str(authority.ca)) as tap:
        for transports in (["polling", "websocket"], ["websocket"]):
            client = socketio.AsyncClient()
            await client.connect(tap.url, transports=transports)
            assert await client.call("ask", "hello") == "HELLO"
            await client.disconnect()
    assert len(tap.transcript.only(event="ask")) == 4
    assert not tap.transcript.problems


@pytest.mark.parametrize("ends", ["server", "client"])
async def test_large_bytes_go_through_whole_and_an_end_is_passed_on(authority, ends, monkeypatch):
    """Whoever ends first: all that was sent before arrives, however slowly it is read."""
    monkeypatch.setattr(relay, "QUIET_S", 0.5 if ends == "client" else WAIT_S)
    sent = bytes(range(256)) * 20_000
    got = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        if ends == "server":
            await reader.readexactly(1)
            writer.write(sent)
            await writer.drain()
        else:
            got.set_result(await reader.read(1) + await reader.readexactly(len(sent) - 1))
            writer.write(b"thanks")
            await reader.read()
        writer.close()

    async with tcp(serve, authority) as url, rtlab.tap(url, ssl=authority.ca) as tap:
        reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
        if ends == "server":
            writer.write(b"x")
            received = b""
            while part := await reader.read(50_000):
                received += part
                await asyncio.sleep(0)
            assert received == sent
        else:
            writer.write(sent)
            writer.write_eof()  # TLS cannot be told: the server answers all the same, and is closed when it is quiet
            assert await reader.read() == b"thanks"
            assert await got == sent
        writer.close()
        await tap.wait_for(lambda _: tap.connections == 0, WAIT_S)
    assert "reset" not in str(tap.transcript)


async def test_a_client_that_is_gone_does_not_keep_the_server_for_ever(authority, monkeypatch):
    monkeypatch.setattr(relay, "QUIET_S", 0.1)
    gone = asyncio.Event()

    async def wait(ws):
        await ws.wait_closed()
        gone.set()

    async with (
        websocket.serve(wait, ssl=authority.issue().context) as server,
        rtlab.tap(server, ssl=authority.ca) as tap,
    ):
        client = await (context := websocket.connect(tap.ws_url)).__aenter__()
        client._transport.close()  # TCP ends without a close frame
        await gone.wait()
        await context.__aexit__(None, None, None)
        await tap.wait_for(lambda found: found.only(kind="end"), WAIT_S)


async def test_a_reset_over_tls_is_a_reset(authority):
    async def resets(reader, writer):
        await reader.read(1)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with tcp(resets, authority) as url, rtlab.tap(url, ssl=authority.ca) as tap:
        reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        with contextlib.suppress(ConnectionResetError):  # the system may report the cut as an end
            assert await reader.read() == b""
        writer.close()
        await tap.wait_for(lambda found: found.only(kind="end"), WAIT_S)
    assert "before the response to GET /" in tap.transcript[-1].summary


@pytest.mark.parametrize("noise", [b"\x00", b"\xff" * 70_000, b"\x16\x03\x03\xff\xff", b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("when", ["instead of TLS", "within TLS"])
async def test_whatever_the_server_says_the_tap_is_there_for_the_next(authority, noise, when):
    async def says(reader, writer):
        await reader.read(1)
        writer.write(noise)
        with contextlib.suppress(OSError):
            await writer.drain()
        writer.close()

    context = authority.issue().context if when == "within TLS" else None
    async with (
        await asyncio.start_server(says, "127.0.0.1", 0, ssl=context) as server,
        rtlab.tap(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", ssl=authority.ca) as tap,
    ):
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            with contextlib.suppress(ConnectionResetError):
                answer = await reader.read()
                assert answer == noise if context else answer.startswith(b"HTTP/1.1 502")
            writer.close()
        await tap.wait_for(lambda _: tap.connections == 0, WAIT_S)


async def test_what_is_wrong_with_tls_is_said_to_the_client_and_in_the_transcript(authority, tmp_path):
    (tmp_path / "other").mkdir()
    app = web.Application()
    async with over_tls(app, authority) as url, rtlab.serve(app) as plain:
        cases = [
            (url, {"ssl": Authority(tmp_path / "other").ca}, "not issued by a trusted CA"),
            (url, {}, "not issued by a trusted CA"),
            (plain.url.replace("http:", "https:"), {"ssl": authority.ca}, "speaks no TLS; try http://"),
        ]
        for target, options, says in cases:
            async with rtlab.tap(target, **options) as tap, aiohttp.ClientSession(tap.url) as http:
                async with http.get("/") as response:
                    assert response.status == 502
                    assert says in await response.text()
            (row,) = tap.transcript.only(kind="end", direction=Direction.TO_CLIENT)
            assert row.summary.startswith("no server on localhost") or "no server on 127.0.0.1" in row.summary


async def test_its_arguments_are_checked(authority, caplog, tmp_path):
    for server, options, says in (
        ("http://localhost:9", {"ssl": authority.ca}, "has no TLS"),
        ("https://localhost:9", {"ssl": tmp_path / "nothing"}, "No such file"),
        ("ftp://localhost:9", {}, "Expected a URL like"),
        ("https://", {}, "Expected a URL like"),
        ("wss://localhost:99999", {}, "Expected a URL like"),
    ):
        with pytest.raises(UsageError, match=says):
            await rtlab.start_tap(server, **options)
    assert rtlab.resources() == ()
    async with rtlab.tap("wss://localhost") as tap:
        assert tap.target == "https://localhost:443"
    assert not caplog.records
    lax = ssl.create_default_context()
    lax.check_hostname = False
    async with rtlab.tap("https://localhost:9", ssl=lax):
        assert [record.levelno for record in caplog.records] == [logging.WARNING]
