"""Accepting: as many as there is room for, said once, and whoever waits comes in when somebody leaves."""

import asyncio
import errno
import logging
import socket
import ssl
from contextlib import asynccontextmanager, suppress

import pytest
from certificates import contexts
from deadlines import WAIT_S
from eventually import until

from rtlab.servers.door import acceptor as module
from rtlab.servers.door.acceptor import Acceptor, CountedSocket, accept
from rtlab.servers.door.limits import DoorLimits

EVERYBODY_COUNTS = ()


class Greeting(asyncio.Protocol):
    """Says hello, and echoes."""

    def connection_made(self, transport):
        self.transport = transport
        transport.write(b"hello")

    def data_received(self, data):
        self.transport.write(data)


class Listener(socket.socket):
    """Counts how often it is asked, and fails as often as it is told."""

    asked, failing = 0, 0

    def accept(self):
        self.asked += 1
        if self.failing:
            self.failing -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def listening() -> Listener:
    listener = Listener()
    listener.bind(("127.0.0.1", 0))
    return listener


@asynccontextmanager
async def accepting(limits: DoorLimits | None = None, factory=Greeting, tls: ssl.SSLContext | None = None):
    listener = listening()
    server = await accept(factory, listener, limits=limits, tls=tls)
    try:
        yield server, listener
    finally:
        server.close()
        await server.wait_closed()


def port_of(server: Acceptor) -> int:
    return server.sockets[0].getsockname()[1]


class Client:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, server, **options) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port_of(server), **options))

    async def greeting(self) -> bytes:
        async with asyncio.timeout(WAIT_S):
            return await self.reader.read(5)

    async def close(self) -> None:
        self.writer.close()
        with suppress(ConnectionError):
            await self.writer.wait_closed()


def said(caplog, what: str) -> int:
    return sum(what in each.getMessage() for each in caplog.records)


async def test_who_comes_when_it_is_full_waits_and_it_is_said_once(caplog):
    caplog.set_level(logging.INFO)
    async with accepting(DoorLimits(sockets=3)) as (server, listener):
        inside = [await Client.connect(server) for _ in range(3)]
        assert [await each.greeting() for each in inside] == [b"hello"] * 3
        waiting = [await Client.connect(server) for _ in range(4)]
        await until(lambda: said(caplog, "accepting pauses: there are 3 connections"))
        asked = listener.asked
        inside[0].writer.write(b"still")
        assert await inside[0].greeting() == b"still", "those that are inside are served"
        for _ in range(100):
            await asyncio.sleep(0)
        assert listener.asked == asked, "nobody asks while it pauses"
        assert (server.connections, said(caplog, "goes on")) == (3, 0)
        for leaving, coming in zip([*inside, *waiting], waiting, strict=False):
            await leaving.close()
            assert await coming.greeting() == b"hello"
        for each in waiting:
            await each.close()
        await until(lambda: server.connections == 0)
        late = await Client.connect(server)
        assert await late.greeting() == b"hello"
        await late.close()
    assert (said(caplog, "accepting pauses"), said(caplog, "accepting goes on")) == (1, 1)


async def test_without_descriptors_it_waits_for_one(caplog):
    async with accepting() as (server, listener):
        inside = await Client.connect(server)
        assert await inside.greeting() == b"hello"
        listener.failing = 1
        coming = await Client.connect(server)
        await until(lambda: said(caplog, "accepting pauses: Too many open files"))
        assert listener.failing == 0
        await inside.close()
        assert await coming.greeting() == b"hello", "a descriptor has come back"
        await coming.close()
    assert said(caplog, "Too many open files") == 1
    assert "Traceback" not in caplog.text


async def test_where_others_have_them_it_tries_again_and_is_silent(caplog, monkeypatch):
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    async with accepting() as (server, listener):
        listener.failing = 20
        coming = await Client.connect(server)
        assert await coming.greeting() == b"hello"
        assert listener.asked <= 23, "one try after the other, not one for each turn of the loop"
        await coming.close()
    assert said(caplog, "Too many open files") == 1


async def test_one_address_has_so_many(caplog):
    async with accepting(DoorLimits(per_address=2, exempt=EVERYBODY_COUNTS)) as (server, _):
        inside = [await Client.connect(server) for _ in range(2)]
        assert [await each.greeting() for each in inside] == [b"hello"] * 2
        for _ in range(500):
            more = await Client.connect(server)
            assert await more.greeting() == b""
            await more.close()
        assert server.connections == 2
        await inside[0].close()
        await until(lambda: server.connections == 1)
        again = await Client.connect(server)
        assert await again.greeting() == b"hello"
        for each in (inside[1], again):
            await each.close()
        await until(lambda: server.connections == 0)
        assert not server._by_address, "who has gone is not remembered"
        assert said(caplog, "too many connections from one address") == 5
    assert said(caplog, "address: 495 more") == 1


async def test_this_machine_has_as_many_as_there_is_room_for():
    async with accepting(DoorLimits(per_address=1)) as (server, _):
        clients = [await Client.connect(server) for _ in range(30)]
        assert [await each.greeting() for each in clients] == [b"hello"] * 30
        for each in clients:
            await each.close()


async def test_a_connection_that_could_not_be_made_is_not_counted():
    failures = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))

    def no_protocol():
        raise RuntimeError("no protocol")

    async with accepting(factory=no_protocol) as (server, _):
        client = await Client.connect(server)
        assert await client.greeting() == b""
        await client.close()
        await until(lambda: server.connections == 0)
    await until(lambda: [str(each) for each in failures] == ["no protocol"])


@pytest.mark.parametrize("give_back", [socket.socket.close, socket.socket.detach])
def test_a_descriptor_is_given_back_once(give_back):
    """asyncio closes a transport's socket, and uvloop detaches it."""
    ours, theirs = socket.socketpair()
    released = []
    counted = CountedSocket(fileno=ours.detach())
    counted.released = lambda: released.append(True)
    descriptor = getattr(counted, give_back.__name__)()
    counted.close()
    assert released == [True]
    if descriptor is not None:
        socket.close(descriptor)
    theirs.close()


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux alone has it")
async def test_a_peer_that_takes_nothing_does_not_keep_a_descriptor(monkeypatch):
    monkeypatch.setattr(module, "UNREAD_TIMEOUT_S", 1)

    class Pouring(asyncio.Protocol):
        def connection_made(self, transport):
            transport.write(bytes(16 << 20))
            transport.close()

    async with accepting(factory=Pouring) as (server, _):
        with socket.create_connection(("127.0.0.1", port_of(server))) as client:
            await until(lambda: server.connections == 1)
            await until(lambda: server.connections == 0)
            assert client.fileno() >= 0, "the client is still there, and has read nothing"


async def test_tls(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    ours, theirs = contexts(tmp_path)
    async with accepting(tls=ours) as (server, _):
        plain = await Client.connect(server)
        plain.writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert b"HTTP" not in await plain.greeting()
        await plain.close()
        client = await Client.connect(server, ssl=theirs)
        assert await client.greeting() == b"hello"
        await client.close()
        silent = await Client.connect(server)
        await until(lambda: server.connections == 1)
    await silent.close()
    await until(lambda: server.connections == 0)
    assert not caplog.records
