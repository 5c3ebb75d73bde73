"""wss://: our client and server over TLS, whom they trust, and what is said where there is none."""

import asyncio
import logging
import socket
import ssl
from contextlib import asynccontextmanager

import aiohttp
import pytest
import websockets
from aiohttp import web
from certificates import Authority
from deadlines import WAIT_S
from eventually import until

import rtlab
from rtlab.errors import ConnectionClosed, HandshakeError, RtlabError, TlsError, UsageError
from rtlab.servers import channel
from rtlab.servers.ports import free_port
from rtlab.servers.tls import client_context
from rtlab.servers.websocket import connect, serve
from rtlab.wire.frames import Frame, Opcode, encode_frame

pytestmark = pytest.mark.timeout(WAIT_S * 3)

LARGE = "z" * 900_000


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture(autouse=True)
async def deadline():
    """Nothing here waits for ever."""
    async with asyncio.timeout(WAIT_S):
        yield


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@asynccontextmanager
async def tcp(handler, **options):
    """A bare server; gives its port."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0, **options)
    async with server:
        yield server.sockets[0].getsockname()[1]


# It works


@pytest.mark.parametrize("by", ["path", "text", "context"])
async def test_messages_come_back_over_tls(authority, by):
    trust = {"path": authority.ca, "text": str(authority.ca), "context": authority.trusting}[by]
    async with serve(echo, ssl=authority.issue().context) as server:
        assert server.url.startswith("wss://127.0.0.1:")
        for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
            async with connect(url, ssl=trust) as client:
                for message in ("hello", b"\x00\xff", "", LARGE):
                    await client.send(message)
                    assert await client.recv() == message
                assert await client.ping() > 0
            assert (client.closed.code, client.closed.clean) == (1000, True)
    assert not server.connections


async def test_our_client_with_the_server_of_websockets_and_ours_with_its_client(authority):
    async def theirs(connection):
        async for message in connection:
            await connection.send(message)

    async with websockets.serve(theirs, "127.0.0.1", 0, ssl=authority.issue().context) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"wss://127.0.0.1:{port}/", ssl=authority.ca) as client:
            await client.send(LARGE)
            assert await client.recv() == LARGE
        assert client.closed.clean
    async with (
        serve(echo, ssl=authority.issue().context) as ours,
        websockets.connect(ours.url, ssl=authority.trusting) as client,
    ):
        await client.send(LARGE)
        assert await client.recv() == LARGE


# The close: TLS has no half of its own


@pytest.mark.parametrize("closes", ["client", "server"])
async def test_a_closing_handshake_over_tls_is_clean_and_waits_for_nothing(authority, closes, monkeypatch):
    monkeypatch.setattr(channel, "LINGER_S", WAIT_S * 10)  # so who waits for it runs into the deadline

    async def handler(websocket):
        if closes == "server":
            await websocket.close(4001, "enough")
        else:
            await websocket.recv()

    async with serve(handler, ssl=authority.issue().context) as server:
        async with connect(server.url, ssl=authority.ca) as client:
            if closes == "server":
                with pytest.raises(ConnectionClosed, match="4001"):
                    await client.recv()
            else:
                await client.close(4001, "enough")
            await client.wait_closed()
        assert (client.closed.code, client.closed.clean) == (4001, True)
        await until(lambda: not server.connections)


async def test_the_last_words_reach_a_peer_that_still_sends(authority):
    """A message is too large, and more of it is on its way when the close frame comes."""
    async with serve(echo, ssl=authority.issue().context, max_message_size=1000) as server:
        async with connect(server.url, ssl=authority.ca, deflate=None) as client:
            for _ in range(50):
                client._write(encode_frame(Frame(Opcode.BINARY, bytes(100_000)), b"abcd"))
            with pytest.raises(ConnectionClosed) as caught:
                await client.recv()
            assert caught.value.code == 1009


async def test_a_peer_that_never_closes_over_tls_is_cut_off(authority, monkeypatch):
    """It has sent its close frame, and answers no close_notify."""
    monkeypatch.setattr(channel, "LINGER_S", 0.1)
    async with serve(echo, ssl=authority.issue().context, close_timeout=WAIT_S) as server:
        plain = socket.create_connection(("127.0.0.1", server.port))
        plain.settimeout(WAIT_S)
        tls = await asyncio.to_thread(authority.trusting.wrap_socket, plain, server_hostname="localhost")
        with tls:
            ask = "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            ask += "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            await asyncio.to_thread(tls.sendall, ask.encode())
            await until(lambda: server.connections)
            (side,) = server.connections
            await asyncio.to_thread(tls.sendall, encode_frame(Frame(Opcode.CLOSE, b"\x03\xe8"), b"abcd"))
            await side.wait_closed()


async def test_an_end_without_close_notify_is_an_end(authority):
    async def cut(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with tcp(cut, ssl=authority.issue().context) as port:
        with pytest.raises(HandshakeError, match=r"instead of answering \(RFC"):
            async with connect(f"wss://127.0.0.1:{port}", ssl=authority.ca):
                pass


# It does not, and says why


async def test_what_cannot_be_trusted_is_refused(authority, tmp_path):
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    cases = [
        (authority.issue(), {"ssl": other.ca}, "not issued by a trusted CA.*ssl=PATH"),
        (authority.issue(), {}, "not issued by a trusted CA"),
        (authority.issue(expired=True), {"ssl": authority.ca}, "has expired"),
        (authority.issue("chat.example"), {"ssl": authority.ca}, "not for '127.0.0.1'"),
        (authority.issue("localhost"), {"ssl": authority.ca}, "not for '127.0.0.1'"),
    ]
    for certificate, options, says in cases:
        async with serve(echo, ssl=certificate.context) as server:
            with pytest.raises(TlsError, match=rf"no TLS with 127\.0\.0\.1:{server.port}: the server's cert.*{says}"):
                async with connect(server.url, **options):
                    pass
            assert not server.connections
    assert issubclass(TlsError, OSError)


async def test_a_context_that_verifies_nothing_is_taken_and_the_log_says_so(authority, caplog):
    lax = ssl.create_default_context()
    lax.check_hostname = False
    nameless = ssl.create_default_context(cafile=authority.ca)
    nameless.check_hostname = False
    lax.verify_mode = ssl.CERT_NONE
    async with serve(echo, ssl=authority.issue("chat.example").context) as server:
        for context, what in ((lax, "certificate"), (nameless, "host name")):
            caplog.clear()
            async with connect(server.url, ssl=context):
                assert [(record.levelno, what in record.message) for record in caplog.records] == [
                    (logging.WARNING, True)
                ]
            assert f"127.0.0.1:{server.port}" in caplog.text


async def test_what_is_no_ca(authority, tmp_path):
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "noise.pem").write_bytes(bytes(range(256)))
    for name, says in (("nothing.pem", "No such file"), ("empty.pem", "no certificate"), ("noise.pem", "no certif")):
        with pytest.raises(UsageError, match=says):
            client_context(tmp_path / name)
    with pytest.raises(UsageError, match="CA's certificate"):
        client_context(tmp_path)
    with pytest.raises(UsageError, match="PROTOCOL_TLS_SERVER"):
        client_context(authority.issue().context)
    with pytest.raises(UsageError, match="wss://"):
        async with connect("ws://127.0.0.1:9", ssl=authority.ca):
            pass
    for url in ("https://127.0.0.1:9", "wss://", "wss://127.0.0.1:99999", "wss://[::1", "wss://127.0.0.1:9/#x"):
        with pytest.raises(UsageError, match="Expected a URL like ws://"):
            async with connect(url, ssl=authority.ca):
                pass


async def test_a_port_where_nobody_listens_is_no_matter_of_tls(authority):
    with pytest.raises(ConnectionRefusedError):
        async with connect(f"wss://127.0.0.1:{free_port()}", ssl=authority.ca):
            pass


async def test_tls_spoken_to_a_port_without_it(authority):
    async def hangs_up(reader, writer):
        await reader.read(1)
        writer.transport.abort()

    async def greets(reader, writer):
        writer.write(b"220 mail.example ready\r\n")
        await reader.read(1)
        writer.close()

    async with (
        serve(echo) as ours,
        rtlab.serve(web.Application()) as aiohttps,
        tcp(hangs_up) as silent,
        tcp(greets) as greeting,
    ):
        for port in (ours.port, aiohttps.port, silent, greeting):
            with pytest.raises(TlsError, match=r"speaks no TLS.*try ws://"):
                async with connect(f"wss://127.0.0.1:{port}", ssl=authority.ca):
                    pass


async def test_http_spoken_to_a_port_with_tls(authority):
    async def alert(reader, writer):
        await reader.read(1)
        writer.write(bytes.fromhex("15030100020246"))
        writer.close()

    async def like_nginx(reader, writer):
        await reader.read(1)
        page = b"<center>The plain HTTP request was sent to HTTPS port</center>"
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n%s" % (len(page), page))
        writer.close()

    context = authority.issue().context
    runner = web.AppRunner(web.Application())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        async with serve(echo, ssl=context) as ours, tcp(alert) as alerting, tcp(like_nginx) as nginx:
            for port in (ours.port, runner.addresses[0][1], alerting, nginx):
                with pytest.raises(HandshakeError, match=r"TLS.*connect with wss://"):
                    async with connect(f"ws://127.0.0.1:{port}"):
                        pass
    finally:
        await runner.cleanup()


async def test_a_server_that_never_ends_its_tls_handshake(authority):
    async def says_nothing(reader, writer):
        await reader.read()
        writer.close()

    async with tcp(says_nothing) as port:
        with pytest.raises(TimeoutError, match=r"within 0\.2 s.*speaks no TLS, try ws://"):
            async with connect(f"wss://127.0.0.1:{port}", ssl=authority.ca, open_timeout=0.2):
                pass


@pytest.mark.parametrize(
    "noise", [b"\x00", b"\x15", b"\x16\x03", b"\x16\x03\x03\xff\xff", bytes(5000), b"\xff" * 70_000]
)
async def test_whatever_answers_is_an_error_of_ours(authority, noise):
    async def answers(reader, writer):
        await reader.read(1)
        writer.write(noise)
        writer.write_eof()
        await reader.read()
        writer.close()

    async with tcp(answers) as port:
        for url, options in ((f"wss://127.0.0.1:{port}", {"ssl": authority.ca}), (f"ws://127.0.0.1:{port}", {})):
            with pytest.raises(RtlabError) as caught:
                async with connect(url, **options):
                    pass
            assert isinstance(caught.value, (TlsError, HandshakeError))


async def test_an_aiohttp_server_with_tls(authority):
    async def shout(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data.upper())
        return ws

    app = web.Application()
    app.router.add_get("/ws", shout)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.issue().context)
    await site.start()
    try:
        async with connect(f"wss://localhost:{runner.addresses[0][1]}/ws", ssl=authority.ca) as client:
            await client.send("hello")
            assert await client.recv() == "HELLO"
        assert client.closed.clean
        async with aiohttp.ClientSession() as http:  # it still answers others
            async with http.get(f"https://localhost:{runner.addresses[0][1]}/ws", ssl=authority.trusting) as answer:
                assert answer.status == 400
    finally:
        await runner.cleanup()
