"""The fault proxy over bare TCP: what each fault is for both sides, that it is bounded, and that it can be undone."""

import asyncio
import contextlib
import socket
import struct
import tracemalloc
from contextlib import asynccontextmanager

import pytest
from deadlines import WAIT_S
from eventually import until

import rtlab
from rtlab.instruments.direction import Direction
from rtlab.instruments.faults import proxy as proxy_module
from rtlab.instruments.faults.connection import Condition
from rtlab.instruments.faults.waiting import GRAIN_S, WAITING_BYTES

pytestmark = pytest.mark.timeout(WAIT_S * 3)
UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
READ_BYTES = 256 * 1024
"""What asyncio reads at a time."""
KERNEL_BYTES = 16 * 1024 * 1024
"""More than the kernel keeps for a connection on loopback, both ends together (tcp_rmem and tcp_wmem have 6 and 4 MiB
as their most)."""


class Peer:
    """One end of a connection."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    async def says(self, data):
        self.writer.write(data)
        await self.writer.drain()

    async def hears(self, data):
        async with asyncio.timeout(WAIT_S):
            assert await self.reader.readexactly(len(data)) == data

    async def hears_nothing_before(self, other, data):
        """What another one hears comes first."""
        reading = asyncio.ensure_future(self.reader.read(1))
        await other.hears(data)
        assert not reading.done()
        reading.cancel()
        await asyncio.wait([reading])

    async def ends(self):
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read()

    async def is_reset(self):
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(ConnectionResetError):
                await self.reader.read()
        return True


class Line:
    """A server, a proxy in front of it, and clients."""

    def __init__(self):
        self.accepted = asyncio.Queue()
        self.peers = []
        self.proxy = None

    async def pair(self):
        """A client and the server's end of its connection."""
        client = await self.dial()
        async with asyncio.timeout(WAIT_S):
            server = await self.accepted.get()
        return client, server

    async def dial(self):
        self.peers.append(Peer(*await asyncio.open_connection("127.0.0.1", self.proxy.port)))
        return self.peers[-1]

    def take(self, reader, writer):
        self.peers.append(Peer(reader, writer))
        self.accepted.put_nowait(self.peers[-1])


@asynccontextmanager
async def line(scheme="tcp"):
    made = Line()
    server = await asyncio.start_server(made.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with rtlab.fault_proxy(f"{scheme}://127.0.0.1:{port}") as made.proxy:
            yield made
    finally:
        for peer in made.peers:
            peer.writer.transport.abort()
        server.close()


def an_end():
    """An end, polite or not."""
    return contextlib.suppress(ConnectionError)


async def flood(peer):
    """Send until nobody takes any more; gives how much went."""
    peer.writer.transport.set_write_buffer_limits(high=0)
    sent, chunk = 0, bytes(256 * 1024)
    while sent < KERNEL_BYTES * 4:
        peer.writer.write(chunk)
        sent += len(chunk)
        try:
            async with asyncio.timeout(1):
                await peer.writer.drain()
        except TimeoutError:
            return sent
    raise AssertionError(f"{sent:,} bytes were taken")


async def test_left_alone_it_passes_on_bytes_and_ends():
    async with line() as at:
        client, server = await at.pair()
        await client.says(b"hello")
        await server.hears(b"hello")
        await server.says(b"there")
        await client.hears(b"there")
        client.writer.write_eof()
        assert await server.ends() == b""
        await server.says(b"last")
        server.writer.close()
        assert await client.ends() == b"last"
        await until(lambda: not at.proxy.connections)
        assert at.proxy.accepted == 1


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_stall_holds_one_direction_and_resume_lets_it_go(direction):
    async with line() as at:
        client, server = await at.pair()
        sender, receiver = (client, server) if direction is UP else (server, client)
        at.proxy.stall(direction)
        await sender.says(b"late")
        await receiver.says(b"in time")
        await receiver.hears_nothing_before(sender, b"in time")
        assert at.proxy.state == at.proxy.connections[0].state == f"stalled {direction}"
        sender.writer.write_eof()
        at.proxy.resume()
        await receiver.hears(b"late")
        assert await receiver.ends() == b""


async def test_connections_that_come_later_are_stalled_too():
    async with line() as at:
        at.proxy.stall("to server")
        client, server = await at.pair()
        await client.says(b"late")
        await server.says(b"x")
        await server.hears_nothing_before(client, b"x")
        at.proxy.healthy()
        await server.hears(b"late")


async def test_what_is_sent_to_a_stalled_connection_is_bounded_and_its_sender_waits():
    async with line() as at:
        client, server = await at.pair()
        at.proxy.stall()
        tracemalloc.start()
        try:
            sent = await flood(client)
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        waiting = at.proxy.connections[0].waiting[UP]
        assert waiting <= WAITING_BYTES + READ_BYTES
        assert most < 8 * READ_BYTES
        at.proxy.resume()
        got = 0
        while got < sent:
            async with asyncio.timeout(WAIT_S):
                got += len(await server.reader.read(2**20))


async def test_a_delay_makes_bytes_late_and_keeps_their_order():
    loop = asyncio.get_running_loop()
    async with line() as at:
        client, server = await at.pair()
        at.proxy.delay(1, "to server")
        began = loop.time()
        await client.says(b"one")
        await server.says(b"x")
        await server.hears_nothing_before(client, b"x")
        await until(lambda: at.proxy.connections[0].waiting[UP] == 3)
        await asyncio.sleep(2 * GRAIN_S)  # what comes at the same time goes at the same time
        await client.says(b"two")
        client.writer.write_eof()
        await server.hears(b"one")
        assert loop.time() - began > 0.999
        assert await server.ends() == b"two"


async def test_a_delay_does_not_add_up():
    """A hundred messages, one after the other on a line of a quarter of a second, are not 25 seconds late."""
    loop = asyncio.get_running_loop()
    async with line() as at:
        client, server = await at.pair()
        at.proxy.delay(0.25)
        began = loop.time()
        for number in range(100):
            await client.says(b"%02d" % number)
            await asyncio.sleep(0.002)
        await server.hears(b"".join(b"%02d" % number for number in range(100)))
        assert loop.time() - began < 0.25 * 50


async def test_a_delay_that_ends_lets_go_of_what_waits():
    async with line() as at:
        client, server = await at.pair()
        at.proxy.delay(60)
        await client.says(b"late")
        await until(lambda: at.proxy.connections[0].waiting[UP])
        at.proxy.delay(0)
        await server.hears(b"late")
        assert at.proxy.state == "healthy"


async def test_a_slow_reader_behind_a_delay_is_waited_for():
    async with line() as at:
        client, server = await at.pair()
        at.proxy.delay(0.01)
        sent = await flood(client)
        assert at.proxy.connections[0].waiting[UP] <= WAITING_BYTES + READ_BYTES
        got = 0
        while got < sent:
            async with asyncio.timeout(WAIT_S):
                got += len(await server.reader.read(2**20))


async def test_a_drop_resets_both_sides():
    async with line() as at:
        client, server = await at.pair()
        at.proxy.stall()
        await client.says(b"never arrives")
        at.proxy.drop()
        assert await client.is_reset()
        assert await server.is_reset()
        await until(lambda: not at.proxy.connections)
        at.proxy.healthy()
        client, server = await at.pair()
        await client.says(b"again")
        await server.hears(b"again")


async def test_what_waits_goes_with_its_connection():
    """Nothing of it stays in memory or on the clock of the loop, for a minute here."""
    async with line() as at:
        client, _ = await at.pair()
        at.proxy.delay(60)
        await client.says(b"late")
        (connection,) = at.proxy.connections
        await until(lambda: connection.waiting[UP])
        relay = connection._relay
        timers = list(relay._timers.values())
        assert timers
        at.proxy.drop()
        await until(lambda: not at.proxy.connections)
        assert all(each.empty for each in relay.waiting.values())
        assert all(each.cancelled() for each in timers)


async def test_a_drop_while_it_connects():
    """The client is accepted, and the server has a full backlog: nobody answers the proxy's SYN."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        clients = []
        for _ in range(4):
            each = socket.socket()
            each.setblocking(False)
            each.connect_ex(full.getsockname())
            clients.append(each)
        async with rtlab.fault_proxy(f"127.0.0.1:{full.getsockname()[1]}") as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            await until(lambda: [each.state for each in proxy.connections] == ["connecting"])
            proxy.drop()
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await until(lambda: not proxy.connections)
            writer.close()
        for each in clients:
            each.close()


async def test_a_drop_between_accept_and_the_first_word_of_asyncio():
    async with line() as at:
        made = at.proxy._accept

        def accept():
            protocol = made()
            at.proxy.drop()
            return protocol

        at.proxy._server.close()
        at.proxy._listener = socket.create_server(("127.0.0.1", 0))
        at.proxy.port = at.proxy._listener.getsockname()[1]
        at.proxy._server = await asyncio.get_running_loop().create_server(accept, sock=at.proxy._listener)
        client = await at.dial()
        assert await client.is_reset()
        await until(lambda: not at.proxy.connections)


@pytest.mark.parametrize("direction", list(Direction))
async def test_a_half_closed_direction_ends_and_the_other_goes_on(direction):
    async with line() as at:
        client, server = await at.pair()
        sender, receiver = (client, server) if direction is UP else (server, client)
        await sender.says(b"before")
        await receiver.hears(b"before")
        at.proxy.half_close(direction)
        assert at.proxy.connections[0].state == f"half closed {direction}"
        assert await receiver.ends() == b""
        await sender.says(b"goes nowhere")
        await receiver.says(b"goes on")
        await sender.hears(b"goes on")
        at.proxy.half_close(direction)  # changes nothing
        at.proxy.healthy()
        assert await sender.is_reset()


async def test_both_halves_closed_end_the_connection():
    async with line() as at:
        client, server = await at.pair()
        at.proxy.half_close("to server")
        at.proxy.half_close("to client")
        assert await client.ends() == await server.ends() == b""
        await until(lambda: not at.proxy.connections)


async def test_the_end_of_a_half_that_is_closed_already():
    async with line() as at:
        client, server = await at.pair()
        at.proxy.half_close("to server")
        client.writer.write_eof()
        await server.says(b"still here")
        await client.hears(b"still here")
        server.writer.close()
        assert await client.ends() == b""
        await until(lambda: not at.proxy.connections)


async def test_an_end_that_is_late_for_a_server_that_was_reset():
    """asyncio does not read on where the other end has said that it ends, and so does not hear of a reset there."""
    problems = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    async with line() as at:
        client, server = await at.pair()
        at.proxy.delay(0.3, "to server")
        server.writer.write_eof()
        assert await client.ends() == b""
        client.writer.write_eof()
        reset_on_close = struct.pack("ii", 1, 0)
        server.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset_on_close)
        server.writer.transport.abort()
        await until(lambda: not at.proxy.connections)
    assert problems == []


async def test_new_connections_can_be_refused():
    async with line() as at:
        client, server = await at.pair()
        at.proxy.refuse()
        assert at.proxy.state == "refusing"
        refused = await at.dial()
        with an_end():
            assert await refused.ends() == b""
        await client.says(b"goes on")
        await server.hears(b"goes on")
        at.proxy.accept()
        await at.pair()


async def test_one_of_two_hundred_can_be_disturbed_alone():
    async with line() as at:
        pairs, connections = [], []
        for _ in range(200 if proxy_module.CONNECTIONS >= 200 else 50):
            pairs.append(await at.pair())
            connections.append(at.proxy.connections[-1])
        one = connections[117]
        assert one.number >= 118, "more, if a stranger has come: somebody who looks for who had this port before"
        one.stall()
        for number, (client, _) in enumerate(pairs):
            await client.says(b"%03d" % number)
        for number, (_, server) in enumerate(pairs):
            if number != 117:
                await server.hears(b"%03d" % number)
        assert [each.state for each in at.proxy.connections if each.state != "healthy"] == [
            "stalled to server, stalled to client"
        ]
        one.drop()
        assert await pairs[117][0].is_reset()
        await until(lambda: len(at.proxy.connections) == 199)
        assert one.state == "ended"
        one.stall(), one.half_close("to server"), one.drop(), one.healthy()  # it is over, and nothing happens


async def test_a_server_that_is_not_there_refuses_through_the_proxy():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    async with rtlab.fault_proxy(f"127.0.0.1:{port}") as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


async def test_a_proxy_stopped_in_the_middle_of_everything_leaves_nothing():
    async with line() as at:
        pairs = [await at.pair() for _ in range(5)]
        at.proxy.delay(30)
        at.proxy.connections[1].stall()
        at.proxy.connections[2].half_close("to client")
        for client, _ in pairs:
            await client.says(b"x" * 1000)
        await until(lambda: sum(each.waiting[UP] > 0 for each in at.proxy.connections) >= 4)
        at.proxy.refuse()
        proxy = at.proxy
        relays = list(proxy._relays.values())
        await proxy.stop()
        assert not proxy.connections
        assert not any(relay._timers for relay in relays)
        assert all(waiting.empty for relay in relays for waiting in relay.waiting.values())
        for client, server in pairs:
            for peer in (client, server):
                with an_end():
                    await peer.ends()
        for act in (proxy.stall, proxy.drop, proxy.refuse, proxy.resume, lambda: proxy.delay(1)):
            with pytest.raises(rtlab.UsageError, match="was stopped, and disturbs nobody"):
                act()
        proxy.healthy()
        with pytest.raises(rtlab.UsageError, match="was stopped"):
            _ = proxy.url


async def test_it_takes_no_more_than_it_has_room_for(monkeypatch):
    monkeypatch.setattr(proxy_module, "CONNECTIONS", 2)
    async with line() as at:
        await at.pair(), await at.pair()
        third = await at.dial()
        with an_end():
            assert await third.ends() == b""
        assert len(at.proxy.connections) == 2


@pytest.mark.parametrize(
    ("act", "said"),
    [
        (
            lambda proxy: proxy.stall("to servers"),
            r"^stall\(…\): expected a direction, 'to server' or 'to client', got 'to servers'",
        ),
        (lambda proxy: proxy.resume("up"), r"^resume\(…\): expected a direction"),
        (lambda proxy: proxy.delay(1, "up"), r"^delay\(…\): expected a direction"),
        (lambda proxy: proxy.half_close(None), "expected a direction"),
        (lambda proxy: proxy.delay(-1), "expected seconds from 0 to 60, got -1"),
        (lambda proxy: proxy.delay(61), "To let nothing go on: stall"),
        (lambda proxy: proxy.delay(float("nan")), "got nan"),
        (lambda proxy: proxy.delay(True), "got True"),
        (lambda proxy: proxy.delay("1"), "got '1'"),
        (lambda proxy: proxy.swallow_acks(), "acks belong to Socket.IO, and tcp://127.0.0.1:.* speaks no HTTP"),
    ],
)
async def test_wrong_uses(act, said):
    async with line() as at:
        with pytest.raises(rtlab.UsageError, match=said):
            act(at.proxy)
        assert at.proxy._condition == Condition()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (7, "Expected a server that rtlab.start gave"),
        ("ftp://127.0.0.1", "Expected a URL like"),
        ("127.0.0.1", "Expected a URL like"),
        ("http://:80", "Expected a URL like"),
        ("http://[::1", "Expected a URL like"),
        ("http://a b:1", "Expected a URL like"),
        ("http://" + "a" * 254 + ":1", "Expected a URL like"),
        ("redis+sentinel://:secret@127.0.0.1:1,127.0.0.1:2/primary", "its sentinels tell clients where the primary is"),
        ("redis://:secret@127.0.0.1:99999", "redis://:…@127.0.0.1:99999"),
    ],
)
async def test_urls_that_are_none(url, said):
    with pytest.raises(rtlab.UsageError) as caught:
        await rtlab.start_fault_proxy(url)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_urls():
    for url, seen in [
        ("http://127.0.0.1:8000/path?x", "http://127.0.0.1:{}"),
        ("http://localhost:8000", "http://localhost:{}"),
        ("127.0.0.1:9000", "tcp://127.0.0.1:{}"),
        ("redis://:secret@127.0.0.1/3?protocol=3", "redis://:secret@127.0.0.1:{}/3?protocol=3"),
        ("https://[::1]:8000", "http://127.0.0.1:{}"),
    ]:
        async with rtlab.fault_proxy(url) as proxy:
            assert proxy.url == seen.format(proxy.port)
            assert "secret" not in repr(proxy)
            assert "secret" not in proxy.target
    async with rtlab.fault_proxy("http://localhost:8000") as proxy:
        assert proxy.ws_url == f"ws://localhost:{proxy.port}"
        assert repr(proxy) == f"<FaultProxy 127.0.0.1:{proxy.port} in front of http://localhost:8000, healthy, 0 open>"


def test_used_without_await():
    not_awaited = rtlab.start_fault_proxy("http://127.0.0.1:1")
    with pytest.raises(rtlab.UsageError, match=r"await rtlab\.start_fault_proxy"):
        _ = not_awaited.url
    not_awaited.close()
    with pytest.raises(rtlab.UsageError, match=r"async with rtlab\.fault_proxy"):
        _ = rtlab.fault_proxy("http://127.0.0.1:1").url
