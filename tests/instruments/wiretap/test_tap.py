"""The tap between real clients and real servers: bytes unchanged, recorded before they arrive, and nothing left."""

import asyncio
import hashlib
import secrets
import socket
import struct
import warnings
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from deadlines import WAIT_S
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

import rtlab
from rtlab.instruments.wiretap.tap import Tap
from rtlab.servers import websocket
from rtlab.servers.ports import free_port

pytestmark = pytest.mark.timeout(WAIT_S * 3)

RESET = struct.pack("ii", 1, 0)
LOREM = "Something that can be compressed, something that can be compressed. " * 20


def make_app():
    app = web.Application()

    async def plain(_):
        return web.Response(text="hello")

    async def packed(_):
        response = web.Response(text=LOREM)
        response.enable_compression()
        return response

    async def chunked(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for part in (b"one ", b"two ", b"three"):
            await response.write(part)
        return response

    async def body(request):
        return web.Response(body=await request.read())

    async def events(request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for number in range(3):
            await response.write(f"data: {number}\n\n".encode())
        return response

    async def shout(request):
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        async for message in ws:
            await ws.send_str(message.data.upper())
        return ws

    app.router.add_get("/", plain)
    app.router.add_get("/packed", packed)
    app.router.add_get("/chunked", chunked)
    app.router.add_get("/events", events)
    app.router.add_get("/ws", shout)
    app.router.add_post("/body", body)
    return app


async def echo(ws):
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def tcp(handler):
    """A bare TCP server; the handler gets reader and writer. Gives its URL."""
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@asynccontextmanager
async def dial(tap):
    """A bare TCP client."""
    reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
    try:
        yield reader, writer
    finally:
        writer.close()


def said(transcript):
    return [f"{row.connection}{row.direction.arrow} {row.summary}" for row in transcript]


async def test_http():
    async with rtlab.serve(make_app()) as server, rtlab.tap(server) as tap, aiohttp.ClientSession(tap.url) as http:
        for path, text in [("/", "hello"), ("/packed", LOREM), ("/chunked", "one two three")]:
            async with http.get(path) as response:
                assert await response.text() == text
                assert tap.transcript[-1].body == text, "recorded before it arrives"
        async with http.post("/body", data=b"\xff" * 10) as response:
            await response.read()
        async with http.head("/") as response:
            assert response.status == 200
        async with http.get("/nothing") as response:
            assert response.status == 404
        async with http.get("/events") as response:
            await response.read()
    assert said(tap.transcript) == [
        "1→ GET /", "1← 200 OK",
        "1→ GET /packed", "1← 200 OK",
        "1→ GET /chunked", "1← 200 OK",
        "1→ POST /body", "1← 200 OK",
        "1→ HEAD /", "1← 200 OK",
        "1→ GET /nothing", "1← 404 Not Found",
        "1→ GET /events", "1← 200 OK, an event stream begins",
        "1← EVENT '0'", "1← EVENT '1'", "1← EVENT '2'", "1← the event stream ends",
    ]  # fmt: skip
    assert (
        "Content-Encoding: deflate" in tap.transcript[3].details
        or "Content-Encoding: gzip" in tap.transcript[3].details
    )
    assert tap.transcript[6].body == tap.transcript[7].body == b"\xff" * 10
    assert not tap.transcript.problems


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_websockets(compression):
    async with rtlab.serve(echo) as server, rtlab.tap(server) as tap:
        async with connect(tap.ws_url, compression=compression) as ws:
            for message in ("hello", LOREM, b"\x00\xff", ""):
                await ws.send(message)
                assert await ws.recv() == message
                assert tap.transcript.messages[-1].message == message, "recorded before it arrives"
            await ws.send(["in ", "parts"])
            assert await ws.recv() == "in parts"
            await (await ws.ping(b"hello?"))
            await ws.close(4000, "enough")
    found = tap.transcript
    assert [row.message for row in found.messages] == [
        each for message in ("hello", LOREM, b"\x00\xff", "", "in parts") for each in (message, message)
    ]
    assert found[2].frame.rsv1 == (compression is not None)
    assert said(found)[-4:] == [
        "1→ PING 'hello?'",
        "1← PONG 'hello?'",
        "1→ CLOSE 4000 'enough'",
        "1← CLOSE 4000 'enough'",
    ]
    assert not found.problems
    assert not found.only(kind="end")


@pytest.mark.parametrize("compress", [0, 15])
async def test_aiohttp_and_our_own_client(compress):
    async with rtlab.serve(make_app()) as server, rtlab.tap(server) as tap:
        async with aiohttp.ClientSession(tap.url) as http, http.ws_connect("/ws", compress=compress) as ws:
            await ws.send_str(LOREM)
            assert await ws.receive_str() == LOREM.upper()
        async with websocket.connect(f"{tap.ws_url}/ws", deflate=None) as ws:
            await ws.send("ours")
            assert await ws.recv() == "OURS"
    assert [row.message for row in tap.transcript.messages] == [LOREM, LOREM.upper(), "ours", "OURS"]
    assert not tap.transcript.problems


async def test_a_conversation_gives_the_same_picture_every_time():
    """Several clients, a broadcast to a set, keys, ports, ids, times: text and SVG are the same 20 times."""
    pictures, texts = set(), set()
    for _ in range(20):
        people = set()

        async def room(ws, people=people):
            people.add(ws)
            host, port = ws.remote_address
            await ws.send(f"you are sid={secrets.token_hex(4)} at {host}:{port}")
            async for text in ws:
                await asyncio.gather(*(person.send(text) for person in people))

        async with rtlab.serve(room) as server, rtlab.tap(server) as tap:
            clients = []
            for _ in range(4):
                ws = await connect(tap.ws_url, origin=tap.url)
                clients.append(ws)
                await ws.recv()
            for ws in clients[::-1]:
                await ws.send("hello to all")
                assert {await each.recv() for each in clients} == {"hello to all"}
            for ws in clients:
                await (await ws.ping())
                await ws.close()
        pictures.add(tap.transcript._repr_svg_())
        texts.add(str(tap.transcript))
    assert len(texts) == 1
    assert len(pictures) == 1
    (text,) = texts
    assert "Sec-WebSocket-Key: KEY-4" in text
    assert "TEXT, compressed, 'you are sid=SID-4 at 127.0.0.1:PORT-4'" in text
    assert "Origin: http://127.0.0.1:TAP" in text


async def test_no_server():
    port = free_port()
    async with rtlab.tap(f"http://127.0.0.1:{port}") as tap:
        async with aiohttp.ClientSession() as http, http.post(tap.url, data=b"x" * 100_000) as response:
            assert response.status == 502
            assert f"cannot reach the server on 127.0.0.1:{port}: connection refused" in await response.text()
        with pytest.raises(InvalidStatus, match="502"):
            await connect(tap.ws_url)
        async with dial(tap) as (reader, writer):
            writer.write(b"\x16\x03\x01 no HTTP")
            assert await reader.read() == b""
        async with dial(tap) as (reader, writer):
            writer.write(b"GET / HT")
            writer.write_eof()
            assert await reader.read() == b""
        async with dial(tap) as (_, writer):
            writer.close()
        await tap.wait_for(lambda _: tap.connections == 0)
    assert said(tap.transcript.only(kind="end")) == [
        "1← no server on 127.0.0.1:SERVER: connection refused",
        "2← no server on 127.0.0.1:SERVER: connection refused",
        "3← no server on 127.0.0.1:SERVER: connection refused",
        "4→ TCP ended before the rest of an HTTP head",
        "4← no server on 127.0.0.1:SERVER: connection refused",
        "5← no server on 127.0.0.1:SERVER: connection refused",
    ]


async def test_a_server_that_comes_later():
    async with rtlab.tap("localhost:9") as tap:
        assert repr(tap) == f"<Tap {tap.url} in front of http://localhost:9, running>"
    port = free_port()
    async with rtlab.tap(f"127.0.0.1:{port}") as tap:
        with pytest.raises(InvalidStatus):
            await connect(tap.ws_url)
        async with rtlab.serve(echo, port=port), connect(tap.ws_url) as ws:
            await ws.send("now")
            assert await ws.recv() == "now"


async def test_half_closed_connections():
    """The client has sent all it wants; the server reads to the end and answers then."""

    async def count(reader, writer):
        writer.write(str(len(await reader.read())).encode())
        await writer.drain()
        writer.close()

    async with tcp(count) as url, rtlab.tap(url) as tap, dial(tap) as (reader, writer):
        writer.write(b"x" * 1000)
        writer.write_eof()
        assert await reader.read() == b"1000"
        await tap.wait_for(lambda _: tap.connections == 0)
    assert [(row.kind, row.size) for row in tap.transcript] == [("raw", 1000), ("raw", 4)]


async def test_a_server_may_end_first():
    async def bye(_, writer):
        writer.write(b"bye")
        writer.close()

    async with tcp(bye) as url, rtlab.tap(url) as tap, dial(tap) as (reader, _):
        assert await reader.read() == b"bye"


async def test_the_server_resets():
    async def reset(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()

    async with tcp(reset) as url, rtlab.tap(url) as tap, dial(tap) as (reader, writer):
        writer.write(b"GET /x HTTP/1.1\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await tap.wait_for(lambda _: tap.connections == 0)
    assert said(tap.transcript) == ["1→ GET /x", "1← TCP was reset before the response to GET /x"]


async def test_the_client_resets():
    seen = asyncio.get_running_loop().create_future()

    async def listen(reader, writer):
        try:
            await reader.read()
            seen.set_result("ended politely")
        except ConnectionResetError:
            seen.set_result("reset")
        writer.close()

    async with tcp(listen) as url, rtlab.tap(url) as tap:
        async with dial(tap) as (_, writer):
            writer.write(b"GET /x HTTP/1.1\r\n\r\n")
            await tap.seen(1)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        async with asyncio.timeout(WAIT_S):
            assert await seen == "reset"
    assert said(tap.transcript) == ["1→ GET /x", "1→ TCP was reset before the response to GET /x"]


async def test_what_was_sent_before_a_reset_arrives():
    """The network does not take back what it has accepted, nor does the tap: its buffer goes out before the reset."""
    sent = 0
    reset = asyncio.Event()

    async def burst(_, writer):
        nonlocal sent
        (relay,) = tap._relays
        while not relay.client.transport.get_write_buffer_size():
            writer.write(bytes(50_000))
            sent += 50_000
            await tap.wait_for(lambda rows, sent=sent: sum(row.size for row in rows) == sent, WAIT_S)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
        reset.set()

    loop = asyncio.get_running_loop()
    async with tcp(burst) as url, rtlab.tap(url) as tap:
        with socket.create_connection(("127.0.0.1", tap.port)) as client:
            client.setblocking(False)
            async with asyncio.timeout(WAIT_S):
                await reset.wait()
                await tap.wait_for(lambda rows: rows.only(kind="end"), WAIT_S)
                received = 0
                with pytest.raises(ConnectionResetError):  # noqa: PT012 - which read it is does not matter
                    while data := await loop.sock_recv(client, 10_000):
                        received += len(data)
        assert received == sent
        await tap.wait_for(lambda _: tap.connections == 0)


async def test_ten_mebibytes_each_way_to_slow_readers():
    payload = secrets.token_bytes(10 * 1024 * 1024)

    async def slow_echo(reader, writer):
        while data := await reader.read(70_000):
            await asyncio.sleep(0)
            writer.write(data)
            await writer.drain()
        writer.close()

    async with tcp(slow_echo) as url, rtlab.tap(url) as tap, dial(tap) as (reader, writer):

        async def send():
            writer.write(payload)
            await writer.drain()
            writer.write_eof()

        sending = asyncio.create_task(send())
        came = hashlib.sha256()
        size = 0
        while data := await reader.read(50_000):
            await asyncio.sleep(0)
            came.update(data)
            size += len(data)
        await sending
    assert size == len(payload)
    assert came.digest() == hashlib.sha256(payload).digest()
    up, down = (tap.transcript.only(direction=each) for each in ("to server", "to client"))
    assert sum(row.size for row in up) == sum(row.size for row in down) == size
    assert all(len(row.raw) <= 64 * 1024 for row in tap.transcript)


async def test_a_big_message_is_decoded_and_a_bigger_one_counted():
    async with rtlab.serve(echo) as server, rtlab.tap(server) as tap:
        async with connect(tap.ws_url, compression=None, max_size=None) as ws:
            for size in (1_000_000, 1_048_576):
                await ws.send(bytes(size))
                assert await ws.recv() == bytes(size)
            await ws.send("after")
            assert await ws.recv() == "after"
    assert [len(row.message) for row in tap.transcript.messages] == [1_000_000] * 2 + [1_048_576] * 2 + [5] * 2


async def test_a_reader_that_does_not_read_stops_the_writer():
    """Backpressure reaches through the tap: what it holds is bounded, however long nobody reads."""
    stuck = asyncio.Event()
    written = 0

    async def flood(_, writer):
        nonlocal written
        writer.transport.set_write_buffer_limits(0)
        while written < 1 << 30:
            writer.write(bytes(100_000))
            written += 100_000
            try:
                async with asyncio.timeout(0.3):
                    await writer.drain()
            except TimeoutError:
                stuck.set()
                await asyncio.Event().wait()

    async with tcp(flood) as url, rtlab.tap(url) as tap:
        with socket.create_connection(("127.0.0.1", tap.port)):
            async with asyncio.timeout(WAIT_S):
                await stuck.wait()
        assert written < 100 * 1024 * 1024


async def test_half_a_handshake_and_garbage():
    async with rtlab.serve(make_app()) as server, rtlab.tap(server) as tap:
        async with dial(tap) as (reader, writer):
            writer.write(b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: webs")
            writer.write_eof()
            assert await reader.read() == b""
        async with dial(tap) as (reader, writer):
            writer.write(b"garbage \x00\xff\r\n\r\n")
            assert b"400" in await reader.read()
        await tap.wait_for(lambda _: tap.connections == 0)
    assert said(tap.transcript)[:2] == [
        "1→ 40 bytes: 'GET /ws HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: webs'",
        "1→ TCP ended before the rest of an HTTP head",
    ]
    assert said(tap.transcript)[-2:] == ["2→ 14 bytes: 67 61 72 62 61 67 65 20 00 ff 0d 0a …", "2← 400 Bad Request"]


async def test_a_server_that_breaks_off():
    async def handler(ws):
        await ws.recv()
        ws.transport.abort()

    async with rtlab.serve(handler) as server, rtlab.tap(server) as tap:
        async with connect(tap.ws_url) as ws:
            await ws.send("go")
            with pytest.raises(ConnectionClosed):
                await ws.recv()
        await tap.wait_for(lambda _: tap.connections == 0)
    assert said(tap.transcript)[-1] == "1← TCP ended without a close frame"


async def test_waiting():
    async with rtlab.serve(echo) as server, rtlab.tap(server) as tap:
        assert await tap.seen(0) == tap.transcript
        waiting = [
            asyncio.create_task(tap.seen(4)),
            asyncio.create_task(tap.wait_for(lambda rows: rows.messages)),
            asyncio.create_task(tap.wait_for(lambda rows: 1 / (len(rows) < 3) > 1)),
        ]
        async with connect(tap.ws_url) as ws:
            await ws.send("x")
            assert len(await waiting[0]) == 4
            assert (await waiting[1]).messages[0].message == "x"
            with pytest.raises(ZeroDivisionError):
                await waiting[2]
        with pytest.raises(
            TimeoutError, match=r"did not come within 0 s. The transcript:\n0  client-1 → server  GET /"
        ):
            await tap.seen(100, within_s=0)
        cancelled = asyncio.create_task(tap.seen(100))
        await asyncio.sleep(0)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        assert not tap._waiting


async def test_stop():
    async with rtlab.serve(echo) as server:
        tap = await rtlab.start_tap(server)
        assert isinstance(tap, Tap)
        assert rtlab.resources() == (server, tap)
        assert repr(tap) == f"<Tap {tap.url} in front of {server.url}, running>"
        ws = await connect(tap.ws_url)
        reader, writer = await asyncio.open_connection("127.0.0.1", tap.port)
        await tap.wait_for(lambda _: tap.connections == 2)
        await tap.stop()
        await tap.stop()
        assert rtlab.resources() == (server,)
        with pytest.raises(ConnectionClosed):
            await ws.recv()
        assert await reader.read() == b""
        writer.close()
        with pytest.raises(OSError, match="Connect call failed"):
            await asyncio.open_connection("127.0.0.1", tap.port)
        assert len(tap.transcript) == 2, "the transcript stays; what the tap itself ends is not told"
        assert repr(tap).endswith("stopped>")
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task() and not task.done()]
    assert not [task for task in left if "rtlab.instruments" in repr(task)]


async def test_stop_while_it_connects():
    """A server that accepts nobody: its backlog is full."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        async with rtlab.tap(f"127.0.0.1:{listener.getsockname()[1]}") as tap:
            async with dial(tap) as (_, writer):
                writer.write(b"GET / HTTP/1.1\r\n\r\n")
                await tap.wait_for(lambda _: tap.connections == 1)
        assert tap.connections == 0
        for filler in fillers:
            filler.close()


@pytest.mark.parametrize("turns", range(6))
async def test_stop_in_any_turn_of_the_loop_after_a_client_has_come(turns):
    async with rtlab.serve(make_app()) as server:
        tap = await rtlab.start_tap(server)
        with socket.create_connection(("127.0.0.1", tap.port)):
            for _ in range(turns):
                await asyncio.sleep(0)
            async with asyncio.timeout(WAIT_S):
                await tap.stop()


async def test_a_second_run_replaces(capsys):
    async with rtlab.serve(echo) as server:
        first = await rtlab.start_tap(server, name="the tap")
        second = await rtlab.start_tap(server, name="the tap")
        assert (first.running, second.running) == (False, True)
        assert "Stopped <Tap " in capsys.readouterr().out
        await second.stop()


async def test_a_tap_in_front_of_a_tap():
    async with rtlab.serve(echo) as server, rtlab.tap(server) as inner, rtlab.tap(inner) as outer:
        async with connect(outer.ws_url) as ws:
            await ws.send("hello")
            await ws.recv()
    assert inner.transcript == outer.transcript
    assert len(inner.transcript) == 6


async def test_meaning_and_labels():
    async with (
        rtlab.serve(echo) as server,
        rtlab.tap(server, meaning=lambda row: f"{row.message}!", labels={"ORDER": r"order (\d+)"}) as tap,
        connect(tap.ws_url) as ws,
    ):
        await ws.send("order 17")
        await ws.recv()
        assert tap.transcript[-1].note == "order ORDER-1!"
        assert tap.transcript[-1].message == "order 17"


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        ("ftp://127.0.0.1:1", "Expected a URL like"),
        ("http://127.0.0.1:x", "Expected a URL like"),
        ("http://127.0.0.1:99999", "Expected a URL like"),
        ("http://", "Expected a URL like"),
        ("", "Expected a URL like"),
        (8000, "Expected a server that rtlab.start gave, or a URL"),
        (None, "Expected a server that rtlab.start gave, or a URL"),
    ],
)
async def test_what_cannot_be_tapped(server, problem):
    with pytest.raises(rtlab.UsageError, match=problem):
        await rtlab.start_tap(server)


async def test_ports():
    async with rtlab.tap("localhost") as tap:
        assert tap.target == "http://localhost:80"
        with pytest.raises(rtlab.UsageError, match=f"Port {tap.port} is taken"):
            await rtlab.start_tap("localhost", port=tap.port)
        with pytest.raises(rtlab.UsageError, match="from 1 to 65535"):
            await rtlab.start_tap("localhost", port=99999)
        with pytest.raises(rtlab.UsageError, match="pattern for the label X"):
            await rtlab.start_tap("localhost", labels={"X": "("})
    async with rtlab.tap("http://[::1]:8000/path?query") as tap:
        assert tap.target == "http://[::1]:8000"


@pytest.mark.parametrize("host", ["host.invalid", "a..b"])
async def test_an_unknown_host(host):
    async with rtlab.tap(f"http://{host}:80") as tap:
        async with aiohttp.ClientSession() as http, http.get(tap.url) as response:
            assert response.status == 502
    assert said(tap.transcript)[-1].startswith(f"1← no server on {host}:80: ")


PIECES = st.lists(
    st.binary(max_size=200) | st.sampled_from([b"GET / HTTP/1.1\r\n\r\n", b"\x81\x85", b"\r\n"]), max_size=6
)


@settings(max_examples=40, deadline=None)
@given(PIECES, PIECES, st.booleans())
def test_whatever_goes_through_comes_out(up, down, polite):
    """Bytes of any kind, both ways at once, ended politely or not."""

    async def run():
        arrived = asyncio.get_running_loop().create_future()

        async def serve(reader, writer):
            for piece in down:
                writer.write(piece)
                await asyncio.sleep(0)
            writer.write_eof()
            arrived.set_result(await reader.read())
            writer.close()

        async with tcp(serve) as url, rtlab.tap(url) as tap:
            async with dial(tap) as (reader, writer):
                for piece in up:
                    writer.write(piece)
                    await asyncio.sleep(0)
                assert await reader.read() == b"".join(down)
                writer.write_eof() if polite else writer.close()
                assert await arrived == b"".join(up)
            await tap.wait_for(lambda _: tap.connections == 0)
            for direction, sent in (("to server", up), ("to client", down)):
                assert b"".join(row.raw for row in tap.transcript.only(direction=direction)) == b"".join(sent)
            assert not [row for row in tap.transcript if "could not decode" in row.problem]

    with warnings.catch_warnings():
        asyncio.run(run())
