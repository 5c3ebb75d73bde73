"""What a WebSocket connection costs at most: the sums of the docstrings in real bytes; who is gone costs nothing."""

import asyncio
import contextlib
import gc
import random
import socket
import tracemalloc
import weakref

import pytest
from deadlines import WAIT_S
from eventually import until
from quick import quick

from rtlab.errors import ConnectionClosed, HandshakeError
from rtlab.servers import websocket as websocket_module
from rtlab.servers.channel import READ_BYTES, TURN_BYTES, TURN_FRAMES
from rtlab.servers.connection import WebSocket
from rtlab.servers.inbox import INBOX_BYTES, Inbox
from rtlab.servers.outbox import WRITE_BYTES
from rtlab.servers.websocket import connect, serve
from rtlab.wire.assembling import MAX_MESSAGE_SIZE
from rtlab.wire.deflate import Deflate, DeflateOptions
from rtlab.wire.events import BinaryMessage, TextMessage
from rtlab.wire.frames import Frame, Opcode, encode_frame
from rtlab.wire.handshake import HEADER_BYTES
from rtlab.wire.protocol import Connection

pytestmark = pytest.mark.timeout(WAIT_S * 3)

REQUEST = (
    b"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
OVERHEAD = 64 * 1024
"""Bytes for the objects of one connection, and what the loop and the test have of it."""
MASK = b"abcd"


@pytest.fixture(autouse=True)
async def deadline():
    """Nothing here waits for ever."""
    async with asyncio.timeout(WAIT_S * 2):
        yield


@contextlib.contextmanager
def without_collector():
    """What goes here went because nothing held it."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextlib.contextmanager
def memory():
    """Gives a function for the bytes that were taken since."""
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield lambda: tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()


async def opened(server, request: bytes = REQUEST):
    """A TCP connection whose handshake is done, and the server's end of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    known = set(server.connections)
    writer.write(request)
    await reader.readuntil(b"\r\n\r\n")
    return reader, writer, next(iter(server.connections - known))


def client_frame(payload: bytes, opcode: Opcode = Opcode.BINARY, **flags) -> bytes:
    return encode_frame(Frame(opcode, payload, **flags), MASK)


def small_buffer(websocket) -> None:
    """The kernel keeps little of what is sent, so that a peer that reads nothing is noticed soon."""
    websocket._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)


# What is received


MESSAGES = {
    "short text": lambda number: TextMessage(f"{number:012}"),
    "short text with an emoji": lambda number: TextMessage(f"{number:09}😀"),
    "four bytes": lambda number: BinaryMessage(number.to_bytes(4, "big")),
    "4 kB": lambda number: BinaryMessage(number.to_bytes(4, "big") * 1000),
    "emoji": lambda number: TextMessage("😀" * 1000 + str(number)),
}


@pytest.mark.parametrize("kind", quick(MESSAGES, ["short text with an emoji", "4 kB"]))
def test_an_inbox_counts_what_it_holds(kind):
    make = MESSAGES[kind]
    with memory() as taken:
        inbox = Inbox()
        number = 0
        while inbox.room > 0:
            inbox.put(make(number))
            number += 1
        assert taken() <= inbox.held
        assert inbox.held < INBOX_BYTES + make(0).held + 100
        while inbox:
            inbox.take()
        assert inbox.held == 0
        inbox.put(make(0))
        inbox.clear()
        assert (len(inbox), inbox.held) == (0, 0)


TEXTS = {
    "ASCII": "x" * MAX_MESSAGE_SIZE,
    "an emoji at the end": "x" * (MAX_MESSAGE_SIZE - 4) + "😀",
    "an emoji at the beginning": "😀" + "x" * (MAX_MESSAGE_SIZE - 4),
    "emoji": "😀" * (MAX_MESSAGE_SIZE // 4),
}


@pytest.mark.parametrize("pieces", quick([1, 2, 1000], [1, 1000]))
@pytest.mark.parametrize("kind", quick(TEXTS, ["an emoji at the end"]))
def test_a_message_takes_what_the_docstrings_say(kind, pieces):
    """MAX_MESSAGE_SIZE: four times that as a `str`. MessageAssembler: seven times for a moment, twice until then."""
    text = TEXTS[kind]
    payload = text.encode()
    size = -(-len(payload) // pieces)
    frames = [
        client_frame(payload[at : at + size], Opcode.CONTINUATION if at else Opcode.TEXT, fin=at + size >= len(payload))
        for at in range(0, len(payload), size)
    ]
    stream = b"".join(frames)
    connection = Connection()
    with memory() as taken:
        for at in range(0, len(stream) - 100, READ_BYTES):
            assert connection.receive(stream[at : min(at + READ_BYTES, len(stream) - 100)]) == []
            assert taken() < 2.25 * MAX_MESSAGE_SIZE + OVERHEAD + pieces * 100, "until it is whole"
        tracemalloc.reset_peak()
        before = taken()
        (event,) = connection.receive(stream[-100:])
        _, peak = tracemalloc.get_traced_memory()
        assert before + peak < 8 * MAX_MESSAGE_SIZE + OVERHEAD
        assert peak < 7 * MAX_MESSAGE_SIZE + OVERHEAD + pieces * 100, f"{peak / MAX_MESSAGE_SIZE:.2f} for a moment"
        assert taken() < 4 * MAX_MESSAGE_SIZE + OVERHEAD
        assert event.held <= 4 * MAX_MESSAGE_SIZE + 200
    assert event.data == text


async def test_a_head_that_does_not_end_holds_no_more_than_a_head():
    async with serve(lambda _: asyncio.sleep(0)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        (side,) = await until(lambda: list(server._opening))
        for _ in range(10):
            writer.write(b"GET / HTTP/1.1\r\n" if not side._head._arrived else b"A: " + b"x" * 1000 + b"\r\n")
            await asyncio.sleep(0.001)
        await until(lambda: len(side._head._arrived) > 5000)
        assert len(side._head._arrived) <= HEADER_BYTES + READ_BYTES
        with memory() as taken:
            writer.write(b"x" * 2_000_000)
            assert b"431" in await reader.readline()
            assert len(side._head._arrived) == 0
            await reader.read()
            assert taken() < READ_BYTES + 2_000_000 + OVERHEAD
        writer.close()


async def test_the_oldest_of_too_many_handshakes_is_cut(monkeypatch):
    monkeypatch.setattr(websocket_module, "MAX_OPENING", 5)
    async with serve(lambda websocket: websocket.send("hello")) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(5)]
        await until(lambda: len(server._opening) == 5)
        async with connect(server.url) as client:
            assert await client.recv() == "hello"
        with contextlib.suppress(ConnectionResetError):
            assert await idle[0][0].read() == b""
        assert len(server._opening) == 4
        for _, writer in idle:
            writer.close()


# What is sent


UNREAD = {
    "10 MiB": (10 << 20, 1, 3),
    "a million of 20 bytes": (20, 1, 1_000_000),
    "of 20 bytes, 100 tasks": (20, 100, 10_000),
    "1 MiB, 100 tasks": (1 << 20, 100, 2),
    "10 MiB, 20 tasks": (10 << 20, 20, 2),
    "64 KiB, 100 tasks": (64 * 1024, 100, 50),
}
"""Bytes of a message, tasks that send, and messages of each."""


@pytest.mark.parametrize("kind", quick(UNREAD, ["a million of 20 bytes", "64 KiB, 100 tasks"]))
async def test_a_peer_that_reads_nothing_costs_what_the_docstring_says(kind):
    size, tasks, messages = UNREAD[kind]
    message = bytes(size)

    async def flood(websocket):
        for _ in range(messages):
            await websocket.send(message)

    async def handler(websocket):
        small_buffer(websocket)
        with contextlib.suppress(ConnectionClosed):
            await asyncio.gather(*(flood(websocket) for _ in range(tasks)))

    async with serve(handler, deflate=None, close_timeout=0.1) as server:
        with memory() as taken:
            _, writer, side = await opened(server)
            writer.transport.pause_reading()
            await until(lambda: side._writable is not None)
            for _ in range(20):
                await asyncio.sleep(0)
            held = side._outbox.held
            assert held <= WRITE_BYTES + size + 20
            assert taken() < (WRITE_BYTES + size) * 9 / 8 + READ_BYTES + OVERHEAD + tasks * 4096
        writer.transport.abort()


async def test_everything_that_waited_arrives_in_order():
    """Through both buffers: what the transport has, and what is kept behind it."""
    numbers = list(range(20_000))

    async def handler(websocket):
        small_buffer(websocket)
        for number in numbers:
            await websocket.send(f"{number}:" + "x" * (number % 500))

    async with serve(handler, deflate=None) as server, connect(server.url, deflate=None) as client:
        client._transport.pause_reading()
        (side,) = await until(lambda: server.connections)
        await until(lambda: side._writable is not None)
        client._transport.resume_reading()
        got = [int(message.partition(":")[0]) async for message in client]
        assert got == numbers
        assert client.close_code == 1000


async def test_tasks_that_wait_to_send_take_turns():
    sent = [0] * 10

    async def handler(websocket):
        async def flood(number):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await websocket.send(bytes(300_000))
                    sent[number] += 1

        await asyncio.gather(*map(flood, range(10)))

    async with serve(handler, deflate=None, close_timeout=0.1) as server:
        async with connect(server.url, deflate=None) as client:
            for _ in range(200):
                await client.recv()
            client.abort()
    rest = sent[1:]  # the first has filled what the kernel takes before any other runs
    assert max(rest) - min(rest) <= 3, sent


# Turns of the event loop


def deflated(size: int) -> bytes:
    return Deflate(DeflateOptions(client_no_context_takeover=True), client=True).compress(bytes(size))


FLOODS = {
    "large messages of few bytes": client_frame(deflated(1 << 20), rsv1=True),
    "compressed messages": client_frame(deflated(2000), rsv1=True),
    "pings": client_frame(b"", Opcode.PING),
    "pongs": client_frame(b"", Opcode.PONG),
    "empty texts": client_frame(b"", Opcode.TEXT),
    "empty fragments": client_frame(b"", fin=False) + client_frame(b"", Opcode.CONTINUATION, fin=False) * 500
    + client_frame(b"", Opcode.CONTINUATION),
}  # fmt: skip


@pytest.mark.parametrize("closing", [False, True], ids=["open", "after our close frame"])
@pytest.mark.parametrize("kind", quick(FLOODS, ["large messages of few bytes", "pings"]))
async def test_a_turn_of_the_loop_decodes_one_batch(kind, closing, monkeypatch):
    """However much arrives at once, and whether or not a handler takes it as fast as it can."""
    frames = inflated = 0
    turns: list[tuple[int, int]] = []
    decompress, receive = Deflate.decompress, Connection.receive

    def counted(self, *arguments, **named):
        nonlocal inflated
        out = decompress(self, *arguments, **named)
        inflated += len(out)
        return out

    def batch(self, data, *limits):
        nonlocal frames
        frames += 1
        return receive(self, data, *limits)

    monkeypatch.setattr(Deflate, "decompress", counted)
    monkeypatch.setattr(Connection, "receive", batch)
    taken = 0
    begin = asyncio.Event()

    async def handler(websocket):
        nonlocal taken
        if closing:
            websocket.begin_close()
        begin.set()
        async for _ in websocket:
            taken += 1
        await websocket.wait_closed()

    async def watch():
        nonlocal frames, inflated
        while True:
            turns.append((frames, inflated))
            frames = inflated = 0
            await asyncio.sleep(0)

    async with serve(handler, ping_interval=None, close_timeout=0.1) as server:
        request = REQUEST[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n\r\n"
        reader, writer, side = await opened(server, request)
        await begin.wait()
        watching = asyncio.create_task(watch())
        flood = FLOODS[kind]
        side.data_received(flood * (READ_BYTES // len(flood) // (1 if len(flood) < 100 else 4) + 1))
        await until(lambda: not side._connection.undecoded and not len(side._inbox) and side._reading)
        watching.cancel()
        turns.append((frames, inflated))
        writer.transport.abort()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    assert max(frames for frames, _ in turns) <= 1 + 1, "one batch a turn, and once the socket"
    most = max(inflated for _, inflated in turns)
    assert most <= 2 * (TURN_BYTES + MAX_MESSAGE_SIZE)
    assert most == 0 or not closing, "what is dropped is not decompressed"


async def test_a_handler_that_always_finds_a_message_lets_others_run():
    turns = 0
    alone = 0

    async def handler(websocket):
        nonlocal alone
        await until(lambda: len(websocket._inbox) > 5000)
        before, run = turns, 0
        for _ in range(5000):
            await websocket.recv()
            run = run + 1 if turns == before else 0
            before = turns
            alone = max(alone, run)

    async def count():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with serve(handler, close_timeout=0.1) as server:
        _, writer, side = await opened(server)
        counting = asyncio.create_task(count())
        writer.write(client_frame(b"x") * 6000)
        await side.wait_closed()
        counting.cancel()
        writer.close()
    assert 0 < alone <= TURN_FRAMES


# Who is gone


def ends() -> dict[str, bytes]:
    half = client_frame(b"x" * 300_000, fin=False)
    return {
        "closes": client_frame((1000).to_bytes(2, "big"), Opcode.CLOSE),
        "hangs up": b"",
        "hangs up within a message": half,
        "breaks the rules": b"\xff\xff" + bytes(100),
        "sends what is no text": client_frame(b"\xff" * 300_000, Opcode.TEXT),
        "sends a close frame that is none": client_frame(b"\x00", Opcode.CLOSE),
    }


SIDES = ("reads", "pings", "returns at once", "raises")
ENDED = [(end, side) for side in SIDES for end in ends()]
"""How a client ends, and what the handler does."""


@pytest.mark.parametrize(
    ("end", "server_side"),
    quick(
        ENDED,
        [
            ("closes", "raises"),
            ("hangs up within a message", "reads"),
            ("breaks the rules", "reads"),
            ("sends what is no text", "raises"),
        ],
    ),
)
async def test_a_connection_that_has_ended_leaves_nothing(end, server_side, monkeypatch):
    monkeypatch.setattr(
        websocket_module.logger, "disabled", True
    )  # a record that is kept has a traceback, and that has all
    refs: list[weakref.ref[object]] = []

    async def handler(websocket):
        refs.extend([weakref.ref(websocket), weakref.ref(websocket._connection), weakref.ref(websocket._inbox)])
        await until(lambda: len(websocket._inbox))
        if server_side == "raises":
            raise ValueError("on purpose")
        if server_side == "pings":
            with contextlib.suppress(ConnectionClosed):
                await websocket.ping()
        if server_side == "reads":
            with contextlib.suppress(ConnectionClosed):
                while True:
                    await websocket.recv()

    async with serve(handler, close_timeout=0.1, ping_interval=0.001) as server:
        with without_collector():
            _, writer, side = await opened(server)
            del side
            writer.write(client_frame(b"y" * 10_000) * 5 + ends()[end])
            await asyncio.sleep(0.01)
            writer.close()
            await until(lambda: refs and not server._handlers)
            await until(lambda: all(ref() is None for ref in refs), lambda: [ref() for ref in refs])


async def test_a_client_that_was_refused_leaves_nothing(monkeypatch):
    refs: list[weakref.ref[object]] = []
    made = WebSocket.connection_made

    def remember(self, transport):
        refs.append(weakref.ref(self))
        made(self, transport)

    monkeypatch.setattr(WebSocket, "connection_made", remember)
    async with serve(lambda websocket: websocket.recv(), origins=set()) as server:
        with without_collector():
            for _ in range(3):
                try:
                    async with connect(server.url, origin="https://evil.example"):
                        pass
                except HandshakeError:
                    pass
            await until(lambda: len(refs) == 6 and all(ref() is None for ref in refs), lambda: [ref() for ref in refs])


async def test_what_came_before_the_end_can_be_taken_until_the_handler_returns():
    got = []
    held = asyncio.Event()
    sides = []

    async def handler(websocket):
        sides.append(websocket)
        await websocket.wait_closed()
        got.append(await websocket.recv())
        held.set()

    async with serve(handler) as server:
        async with connect(server.url) as client:
            for number in range(5):
                await client.send(str(number) * 1000)
        await held.wait()
        await until(lambda: not server._handlers)
    assert got == ["0" * 1000]
    assert (len(sides[0]._inbox), sides[0]._inbox.held) == (0, 0)


async def test_a_handler_that_is_done_costs_nothing_while_its_peer_does_not_close():
    async def handler(websocket):
        await until(lambda: websocket._inbox.room <= 0)

    noise = random.Random(1).randbytes(100_000)
    async with serve(handler, close_timeout=WAIT_S) as server:
        _, writer, side = await opened(server)
        writer.write(client_frame(noise) * 11)
        await until(lambda: side._closing)
        assert len(side._inbox) == 0
        with memory() as taken:
            for _ in range(50):
                writer.write(client_frame(noise))
                await writer.drain()
            assert taken() < 6 * READ_BYTES + OVERHEAD
        assert len(side._inbox) == 0
        writer.transport.abort()
