"""Our server and client on real sockets, against themselves and against the libraries that people use."""

import asyncio
import contextlib
import json
import math
import socket
import tracemalloc
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import websockets
from deadlines import WAIT_S
from eventually import until

import rtlab
from rtlab.errors import ConnectionClosed, HandshakeError, UsageError
from rtlab.servers import echo, programs
from rtlab.servers.channel import READ_BYTES
from rtlab.servers.inbox import INBOX_BYTES
from rtlab.servers.outbox import WRITE_BYTES
from rtlab.servers.supervisor import Child
from rtlab.servers.websocket import Endpoint, Options, WebSocket, connect, serve
from rtlab.wire.assembling import MAX_MESSAGE_SIZE
from rtlab.wire.deflate import Deflate, DeflateOptions
from rtlab.wire.frames import Frame, Opcode, encode_frame
from rtlab.wire.handshake import Headers, Response, Upgrade

ROOT = Path(__file__).parent.parent.parent
MESSAGES = ["hello", "", "Grüße, 世界", b"\x00\xff", b"", "x" * 200, b"y" * 70_000, "z" * 300_000]
pytestmark = pytest.mark.timeout(WAIT_S * 3)


@pytest.fixture(autouse=True)
async def deadline():
    """Nothing here waits for ever."""
    async with asyncio.timeout(WAIT_S):
        yield


async def echo_handler(websocket):
    async for message in websocket:
        await websocket.send(message)


@asynccontextmanager
async def raw(url: str, request: bytes):
    """A TCP connection on which we type by hand."""
    host, port = url.removeprefix("ws://").removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    try:
        yield reader, writer
    finally:
        writer.close()


REQUEST = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


# Against ourselves


@pytest.mark.parametrize("deflate", [None, DeflateOptions(), DeflateOptions(True, True, 9, 9, 0)])
async def test_messages_come_back(deflate):
    async with serve(echo_handler) as server, connect(server.url, deflate=deflate) as client:
        for message in MESSAGES:
            await client.send(message)
            assert await client.recv() == message
    assert client.closed.code == 1000
    assert client.closed.clean


async def test_ping_measures():
    async with serve(echo_handler) as server, connect(server.url) as client:
        assert math.isnan(client.latency)
        assert 0 < await client.ping() < WAIT_S
        assert client.latency > 0


async def test_keep_alive_measures_too():
    seen = asyncio.Event()

    async def handler(websocket):
        await until(lambda: not math.isnan(websocket.latency))
        seen.set()

    async with serve(handler, ping_interval=0.02) as server, connect(server.url, ping_interval=None):
        await seen.wait()


async def test_a_peer_that_does_not_answer_pings_is_closed():
    async with serve(echo_handler, ping_interval=0.02, ping_timeout=0.1, close_timeout=0.1) as server:
        async with raw(server.url, REQUEST) as (reader, _):
            received = await reader.read()  # until the server gives up
    assert (1011).to_bytes(2, "big") + b"keep-alive" in received


async def test_the_end_of_iteration():
    """`async for` ends quietly on 1000 and 1001, and raises on any other code."""
    outcomes = {}

    async def handler(websocket):
        await websocket.close(int(await websocket.recv()), "as you wish")

    async with serve(handler) as server:
        for code in (1000, 1001, 4000):
            async with connect(server.url) as client:
                await client.send(str(code))
                try:
                    outcomes[code] = [message async for message in client]
                except ConnectionClosed as error:
                    outcomes[code] = (error.code, error.reason, error.clean)
    assert outcomes == {1000: [], 1001: [], 4000: (4000, "as you wish", True)}


async def test_after_the_end_nothing_works():
    async with serve(echo_handler) as server:
        async with connect(server.url) as client:
            assert client.close_code is None
        assert (client.close_code, client.close_reason) == (1000, "")
        for speak in (client.send("x"), client.recv(), client.ping()):
            with pytest.raises(ConnectionClosed, match="closed with code 1000"):
                await speak
        await client.close()
        await client.wait_closed()
        assert "closed" in repr(client)


async def test_what_is_no_message():
    async with serve(echo_handler) as server, connect(server.url) as client:
        with pytest.raises(UsageError, match="str or bytes, got int"):
            await client.send(3)


async def test_two_tasks_cannot_both_receive():
    async with serve(echo_handler) as server, connect(server.url) as client:
        waiting = asyncio.create_task(client.recv())
        await asyncio.sleep(0)
        with pytest.raises(UsageError, match="Another task"):
            await client.recv()
        await client.send("for the first")
        assert await waiting == "for the first"


async def test_a_cancelled_recv_loses_nothing():
    async with serve(echo_handler) as server, connect(server.url) as client:
        for _ in range(3):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await client.recv()
        await client.send("still here")
        assert await client.recv() == "still here"


async def test_a_handler_that_raises_closes_with_1011(caplog):
    async def broken(websocket):
        raise KeyError("oops")

    async with serve(broken) as server, connect(server.url) as client:
        with pytest.raises(ConnectionClosed, match="1011") as caught:
            await client.recv()
    assert caught.value.reason == "KeyError", "the type and nothing that could be secret"
    assert "oops" in caplog.text


async def test_closing_the_server_closes_its_connections():
    async with serve(echo_handler) as server:
        client = await (context := connect(server.url)).__aenter__()
        await client.send("x")
        await client.recv()
    with pytest.raises(ConnectionClosed, match="1001"):
        await client.recv()
    await context.__aexit__(None, None, None)
    with pytest.raises(ConnectionRefusedError):
        async with connect(f"ws://127.0.0.1:{client.remote_address[1] or 9}"):
            pass


async def test_a_handler_that_never_ends_is_cancelled():
    cancelled = asyncio.Event()

    async def stubborn(websocket):
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    app = Endpoint(stubborn, Options(close_timeout=0.2))
    async with rtlab.serve(app) as server, connect(server.ws_url):
        pass
    assert cancelled.is_set()


async def test_many_connections():
    async with serve(echo_handler) as server:

        async def one(number: int) -> bool:
            async with connect(server.url) as client:
                await client.send(str(number))
                return await client.recv() == str(number)

        assert all(await asyncio.gather(*map(one, range(200))))
    assert server.connections == set()


async def test_full_duplex():
    """Both sides send a thousand messages at once, and nobody waits for the other to finish."""

    async def chatty(websocket):
        sending = asyncio.create_task(send_all(websocket))
        received = [await websocket.recv() for _ in range(1000)]
        await sending
        await websocket.send(json.dumps(received == [str(i) for i in range(1000)]))

    async def send_all(websocket):
        for number in range(1000):
            await websocket.send(str(number))

    async with serve(chatty) as server, connect(server.url) as client:
        sending = asyncio.create_task(send_all(client))
        assert [await client.recv() for _ in range(1000)] == [str(i) for i in range(1000)]
        await sending
        assert await client.recv() == "true"


# Backpressure


async def test_a_slow_handler_makes_its_peer_wait():
    release = asyncio.Event()
    received = []

    async def slow(websocket):
        await release.wait()
        received.extend([len(message) async for message in websocket])

    async with serve(slow, max_message_size=1 << 20) as server, connect(server.url, deflate=None) as client:
        sent = 0

        async def flood():
            nonlocal sent
            for _ in range(400):
                await client.send(bytes(100_000))
                sent += 1

        flooding = asyncio.create_task(flood())
        before = -1
        while before != sent:  # until it no longer gets on
            before = sent
            await asyncio.sleep(0.1)
        assert 0 < sent < 400, "40 MB do not fit into sockets and queues"
        release.set()
        await flooding
        await client.close()
    assert received == [100_000] * 400


class Stepwise(WebSocket):
    """A connection whose socket is driven by hand: it is given everything that there is, as long as it reads."""

    def __init__(self, deflate):
        super().__init__(Options(ping_interval=None, deflate=None))
        self.connection_made(FakeTransport())
        self._begin(Upgrade(Response(101, Headers()), deflate=deflate), b"", None)

    async def read_all(self, stream: bytes) -> int:
        """Give it the stream as asyncio would, as long as it reads; how many bytes of it were taken."""
        position = 0
        while position < len(stream) and self._transport.reading:
            self.data_received(stream[position : position + READ_BYTES])
            position += READ_BYTES
            await self.settled()
        return position

    async def settled(self) -> None:
        """Let it decode, turn by turn, for as long as it has anything to decode and room for it."""
        while self._turn is not None:
            await asyncio.sleep(0)


class FakeTransport(asyncio.Transport):
    """A socket that only remembers whether it is to be read."""

    reading = True

    def pause_reading(self):
        self.reading = False

    def resume_reading(self):
        self.reading = True

    def write(self, data):
        pass

    def get_write_buffer_size(self):
        return 0

    def set_write_buffer_limits(self, high=None, low=None):
        pass

    def can_write_eof(self):
        return False

    def close(self):
        pass


def frames_of(message: str | bytes, compressed: bool) -> bytes:
    """A message as a client's frame."""
    payload = message.encode() if isinstance(message, str) else message
    if compressed:
        payload = Deflate(DeflateOptions(client_no_context_takeover=True), client=True).compress(payload)
    opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
    return encode_frame(Frame(opcode, payload, rsv1=compressed), b"abcd")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize(
    "message",
    [
        bytes(MAX_MESSAGE_SIZE),
        bytes(64 * 1024),
        "x" * (MAX_MESSAGE_SIZE - 4) + "😀",
        "x" * 1000 + "😀",
        "x",
        b"",
    ],
    ids=["1 MiB", "64 KiB", "1 MiB with an emoji", "1 kB with an emoji", "one character", "nothing"],
)
async def test_a_handler_that_reads_nothing_holds_what_the_docstring_says(message, compressed):
    stream = frames_of(message, compressed) * (3 if len(message) > 2**19 and not compressed else 1)
    stream *= max(1, 8 * 2**20 // len(stream))
    bound = INBOX_BYTES + 4 * MAX_MESSAGE_SIZE + READ_BYTES + 64 * 1024
    stalled = Stepwise(Deflate(DeflateOptions(client_no_context_takeover=True), client=False))
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        taken = await stalled.read_all(stream)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < len(stream), "it stops reading"
    assert not stalled._transport.reading
    assert after - before < bound, f"{after - before:,} bytes held, expected at most {bound:,}"


async def test_a_peer_that_takes_no_pongs_is_read_no_more(monkeypatch):
    """What is written for it stays within what is read at once, however much it sends."""
    side = Stepwise(None)
    written = 0

    def write(data):
        nonlocal written
        written += len(data)
        side.pause_writing()

    monkeypatch.setattr(side._transport, "write", write)
    monkeypatch.setattr(side._transport, "get_write_buffer_size", lambda: written)
    stream = encode_frame(Frame(Opcode.PING, b"x" * 125), b"abcd") * 20_000
    taken = await side.read_all(stream)
    assert taken < len(stream)
    assert side._outbox.held <= WRITE_BYTES + READ_BYTES
    written = 0
    monkeypatch.setattr(side._transport, "write", lambda data: None)
    side.resume_writing()
    await side.settled()
    assert side._transport.reading, "it goes on once the peer takes them"


async def test_a_peer_whose_pong_we_do_not_read_is_not_cut_off():
    received = []

    async def slow(websocket):
        async for message in websocket:
            received.append(message[:4])
            await asyncio.sleep(0.08)  # 4.8 s in all: longer than a pong may take, which a busy machine needs not

    async with serve(slow, ping_interval=0.1, ping_timeout=2) as server:
        async with connect(server.url, ping_interval=None, deflate=None) as client:
            for number in range(60):
                await client.send(f"{number:4}" + "x" * 65_000)
            await until(lambda: len(received) == 60)
            assert client.closed is None
    assert received == [f"{number:4}" for number in range(60)]


async def test_a_peer_that_takes_nothing_is_cut_off_although_we_do_not_read_it():
    ended = asyncio.Event()

    async def waits(websocket):
        small = socket.SOL_SOCKET, socket.SO_SNDBUF, 8192  # so that what is not taken is noticed before the keep-alive
        websocket._transport.get_extra_info("socket").setsockopt(*small)
        await websocket.wait_closed()
        ended.set()

    pings = encode_frame(Frame(Opcode.PING, b"x" * 125), b"abcd") * 2_000
    async with serve(waits, ping_interval=0.05, ping_timeout=0.2, close_timeout=0.1) as server:
        async with raw(server.url, REQUEST) as (_, writer):
            writer.transport.pause_reading()
            (side,) = await until(lambda: server.connections)
            while (side._writable is None or side._reading) and not ended.is_set():
                writer.write(pings)
                await asyncio.sleep(0)
            await ended.wait()


async def test_a_handler_that_fails_with_a_long_name_closes_its_connection():
    async def fails(websocket):
        raise type("E" * 200, (Exception,), {})

    async with serve(fails) as server, connect(server.url) as client:
        await client.wait_closed()
        assert (client.close_code, client.close_reason) == (1011, "E" * 123)


async def test_what_was_left_undecoded_arrives_once_and_in_order():
    side = Stepwise(Deflate(DeflateOptions(client_no_context_takeover=True), client=False))
    sent = [f"{number}:" + "x" * 60_000 for number in range(300)]
    stream = b"".join(frames_of(message, compressed=True) for message in sent)
    stream += encode_frame(Frame(Opcode.CLOSE, (1000).to_bytes(2, "big")), b"abcd")
    received = []
    position = await side.read_all(stream)
    assert side.closed is None, "its close frame stands behind what was not decoded"
    for _ in sent:
        received.append(await side.recv())
        await side.settled()
        position += await side.read_all(stream[position:])
    assert received == sent
    with pytest.raises(ConnectionClosed) as closed:
        await side.recv()
    assert closed.value.code == 1000


async def test_reading_goes_on_when_half_of_the_inbox_is_free_and_not_only_when_all_of_it_is():
    """So that a handler that keeps up never waits for the network."""
    side = Stepwise(None)
    await side.read_all(frames_of(bytes(64 * 1024), compressed=False) * 40)
    assert not side._transport.reading
    taken = 0
    while not side._transport.reading:
        await side.recv()
        await side.settled()
        taken += 1
    assert INBOX_BYTES * 0.4 < taken * 64 * 1024 < INBOX_BYTES * 0.8


async def test_a_handler_that_ends_with_much_left_still_sees_the_close_frame():
    side = Stepwise(Deflate(DeflateOptions(client_no_context_takeover=True), client=False))
    stream = frames_of(bytes(MAX_MESSAGE_SIZE), compressed=True) * 100
    side.data_received(stream + encode_frame(Frame(Opcode.CLOSE, (1000).to_bytes(2, "big")), b"abcd"))
    assert side.closed is None
    side.begin_close(1001)
    await side.settled()
    assert side._transport.reading
    assert side.closed is not None
    assert (side.closed.code, side.closed.clean) == (1000, True)


async def test_a_connection_that_is_lost_with_much_left_ends_after_what_was_decoded():
    side = Stepwise(Deflate(DeflateOptions(client_no_context_takeover=True), client=False))
    side.data_received(frames_of(bytes(MAX_MESSAGE_SIZE), compressed=True) * 100)
    side.connection_lost(ConnectionResetError())
    assert len(await side.recv()) == MAX_MESSAGE_SIZE
    with pytest.raises(ConnectionClosed) as closed:
        await side.recv()
    assert closed.value.code == 1006


async def test_a_peer_that_does_not_read_makes_send_wait():
    stuck = asyncio.Event()

    async def talker(websocket):
        for _ in range(10_000):
            sending = asyncio.create_task(websocket.send(bytes(10_000)))
            done, _ = await asyncio.wait({sending}, timeout=0.3)
            if not done:
                stuck.size = websocket._outbox.held
                stuck.set()
                sending.cancel()
                return

    async with serve(talker, close_timeout=0.1, deflate=None) as server:
        async with raw(server.url, REQUEST):
            await stuck.wait()
    assert stuck.size < WRITE_BYTES + 20_000


# Limits and refusals


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([Frame(Opcode.BINARY, bytes(1001))], 1009),
        ([Frame(Opcode.BINARY, bytes(600), False), Frame(Opcode.CONTINUATION, bytes(600))], 1009),
        ([Frame(Opcode.BINARY, b"", False), *[Frame(Opcode.CONTINUATION, b"", False)] * 9], 1008),
        ([Frame(Opcode.TEXT, b"\xff")], 1007),
        ([Frame(Opcode.CONTINUATION, b"")], 1002),
    ],
)
async def test_limits(frames, code):
    async with serve(echo_handler, max_message_size=1000, max_fragments=8) as server:
        async with raw(server.url, REQUEST) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"".join(encode_frame(frame, b"mask") for frame in frames))
            answer = await reader.read()
    assert answer[2:4] == code.to_bytes(2, "big")


async def test_a_compression_bomb_is_refused():
    async with serve(echo_handler, max_message_size=10_000) as server:
        async with connect(server.url, max_message_size=1 << 30) as client:
            await client.send(bytes(5_000_000))
            with pytest.raises(ConnectionClosed, match="1009"):
                await client.recv()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (REQUEST.replace(b"13", b"8"), b"426"),
        (REQUEST.replace(b"GET", b"POST"), b"405"),
        (REQUEST.replace(b"h\r\n", b"h\r\nOrigin: https://evil.example\r\n"), b"403"),
        (REQUEST.replace(b"websocket", b"h2c"), b"426"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 101, b"431"),
        (b"\x17\x03\x01" + b"x" * 20_000, b"431"),
        (b"\x16\x03\x01" + b"x" * 20_000, b"400"),
        (b"\x16\x03\x01", b"400"),
    ],
)
async def test_refusals_are_http(request_, status):
    async with serve(echo_handler, origins={"https://friend.example"}) as server:
        async with raw(server.url, request_) as (reader, _):
            answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 " + status)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"RFC" in body, "says which rule"


async def test_who_never_finishes_the_handshake_is_cut_off():
    async with serve(echo_handler, open_timeout=0.1) as server, raw(server.url, REQUEST[:50]) as (reader, _):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_what_a_client_is_told():
    async with serve(echo_handler, origins=set()) as server:
        with pytest.raises(HandshakeError, match="got 403") as caught:
            async with connect(server.url, origin="https://evil.example"):
                pass
    assert caught.value.status == 403
    for url in ("http://127.0.0.1:1", "ws://", "nonsense", "ws://h/#fragment"):
        with pytest.raises(UsageError, match="Expected a URL like ws://"):
            async with connect(url):
                pass


async def test_a_server_that_says_nothing():
    listener = socket.create_server(("127.0.0.1", 0))
    with pytest.raises(TimeoutError):
        async with connect(f"ws://127.0.0.1:{listener.getsockname()[1]}", open_timeout=0.1):
            pass
    listener.close()


async def test_a_server_that_hangs_up():
    async def hang_up(reader, writer):
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    with pytest.raises(HandshakeError, match="closed the connection instead of answering"):
        async with connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"):
            pass
    server.close()


# Against the libraries


@pytest.mark.parametrize("compression", ["deflate", None])
async def test_our_server_with_the_client_of_websockets(compression):
    async with rtlab.serve(echo.create_app("hand")) as server:
        async with websockets.connect(server.ws_url, compression=compression) as client:
            for message in MESSAGES:
                await client.send(message)
                assert await client.recv() == message
            await client.send(["in ", "three ", "fragments"])
            assert await client.recv() == "in three fragments"
            await (await client.ping())
        assert client.close_code == 1000


@pytest.mark.parametrize("compress", [0, 15, 9])
async def test_our_server_with_the_client_of_aiohttp(compress):
    async with rtlab.serve(echo.create_app("hand")) as server, aiohttp.ClientSession() as http:
        async with http.ws_connect(server.url, compress=compress) as client:
            for message in MESSAGES:
                await (client.send_str if isinstance(message, str) else client.send_bytes)(message)
                assert (await client.receive()).data == message
        assert client.close_code == 1000


@pytest.mark.parametrize("stack", echo.STACKS)
@pytest.mark.parametrize("deflate", [None, DeflateOptions(threshold=0)])
async def test_our_client_with_every_server(stack, deflate):
    async with rtlab.serve(echo.create_app(stack)) as server, connect(server.ws_url, deflate=deflate) as client:
        for message in MESSAGES:
            await client.send(message)
            assert await client.recv() == message
        assert await client.ping() > 0
        extensions = client.response.headers.get("Sec-WebSocket-Extensions")
        assert (extensions is not None) == (deflate is not None)


NODE_CLIENT = """
const WebSocket = require("ws");
const [url, compression] = process.argv.slice(2);
const messages = ["hello", "", "Grüße, 世界", Buffer.from([0, 255]), Buffer.alloc(70000, 7), "z".repeat(300000)];
const client = new WebSocket(url, { perMessageDeflate: compression === "yes" });
let index = 0;
const next = () => index < messages.length ? client.send(messages[index]) : client.close(4000, "done");
client.on("open", next);
client.on("message", (data, isBinary) => {
  const sent = Buffer.from(messages[index]);
  if (isBinary !== (typeof messages[index] !== "string") || !sent.equals(data)) {
    console.log("differs", index);
    process.exit(1);
  }
  index += 1;
  next();
});
client.on("close", (code, reason) => console.log("closed", code, reason.toString(), client.extensions));
"""

NODE_SERVER = """
const { WebSocketServer } = require("ws");
const server = new WebSocketServer({ port: 0, host: "127.0.0.1", perMessageDeflate: process.argv[2] === "yes" });
server.on("connection", (socket) => socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary })));
server.on("listening", () => console.log(server.address().port));
"""


@pytest.fixture
def node(tmp_path):
    """Starts a script with the packages that `make install` brought from npm."""
    started = []

    def start(source: str, *arguments: str) -> Child:
        script = tmp_path / "script.cjs"
        script.write_text(source)
        modules = ROOT / "node_modules"
        if not (modules / "ws").exists():
            pytest.skip("the npm packages are not installed; `make install` brings them")
        started.append(
            Child(["env", f"NODE_PATH={modules}", *programs.node().command, script, *arguments], name="Node")
        )
        return started[-1]

    yield start
    for child in started:
        child.close()


@pytest.mark.parametrize("compression", ["yes", "no"])
async def test_our_server_with_the_client_of_node(node, compression):
    async with rtlab.serve(echo.create_app("hand")) as server:
        child = node(NODE_CLIENT, server.ws_url, compression)
        assert await child.wait_async() == 0, child.log.tail()
    assert child.log.tail() == ["closed 4000 done " + ("permessage-deflate" if compression == "yes" else "")]


@pytest.mark.parametrize("compression", ["yes", "no"])
async def test_our_client_with_the_server_of_node(node, compression):
    child = node(NODE_SERVER, compression)
    await until(lambda: child.log.tail() or not child.running)
    async with connect(f"ws://127.0.0.1:{child.log.tail()[0]}", deflate=DeflateOptions(threshold=0)) as client:
        for message in MESSAGES:
            await client.send(message)
            assert await client.recv() == message
        assert bool(client.response.headers.get("Sec-WebSocket-Extensions")) == (compression == "yes")


# The echo of chapter 03


@pytest.mark.parametrize("stack", echo.STACKS)
async def test_json_echo_is_the_same_on_all_three(stack):
    asked = ['{"type": "echo", "data": [1, null]}', "nonsense", b"\x00", "[]", '{"type": "echo"}', '{"type": "dance"}',
             '{"type": "close", "code": 1}', '{"type": "close", "code": 4001, "reason": 5}',
             '{"type": "close", "code": 4001, "reason": "\\ud800"}', "[" * 100_000]  # fmt: skip
    async with rtlab.serve(echo.create_app(stack)) as server, connect(f"{server.ws_url}/json") as client:
        host, port = client._transport.get_extra_info("sockname")
        assert json.loads(await client.recv()) == {"type": "welcome", "peer": f"{host}:{port}"}
        for message in asked:
            await client.send(message)
            reply = await client.recv()
            assert reply == echo.answer(message).text
        await client.send('{"type": "close", "code": 4001, "reason": "enough"}')
        with pytest.raises(ConnectionClosed) as caught:
            await client.recv()
        assert (caught.value.code, caught.value.reason) == (4001, "enough")


@pytest.mark.parametrize("number", ["NaN", "-Infinity", "1e999"])
def test_a_number_that_json_does_not_have_is_not_echoed(number):
    reply = json.loads(echo.answer(f'{{"type": "echo", "data": [{number}]}}').text)
    assert reply == {"type": "error", "message": "expected JSON, got something else"}


def test_what_is_no_stack():
    with pytest.raises(UsageError, match="one of hand, websockets, aiohttp; got 'twisted'"):
        echo.create_app("twisted")
