"""Bytes between two sockets, unchanged: ends, resets and slow readers are passed on, and an observer sees all of it."""

import asyncio
import contextlib
import socket
import struct
from contextlib import asynccontextmanager

import pytest
from deadlines import WAIT_S
from eventually import until

from rtlab.instruments.direction import Direction
from rtlab.instruments.relay import Relay

pytestmark = pytest.mark.timeout(WAIT_S * 2)
UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT


class Notes:
    """Writes down what it is told."""

    def __init__(self, answer=None):
        self.bytes = {UP: b"", DOWN: b""}
        self.ends, self.refused, self.left = [], [], 0
        self.answer = answer

    def receive(self, direction, data):
        self.bytes[direction] += data

    def end(self, direction, problem=""):
        self.ends.append((direction, problem))

    def refusal(self, problem):
        self.refused.append(problem)
        return self.answer

    def gone(self, relay):
        self.left += 1


@asynccontextmanager
async def through(serve, answer=None, port=None):
    """A server, a relay in front of it, and a client's end of the line."""
    notes, relays, done = Notes(answer), [], []
    behind = await asyncio.start_server(lambda r, w: done.append(asyncio.ensure_future(serve(r, w))), "127.0.0.1", 0)
    address = ("127.0.0.1", port or behind.sockets[0].getsockname()[1])

    def protocol():
        relays.append(Relay(notes, address))
        return relays[-1].client

    front = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*front.sockets[0].getsockname()[:2])
    try:
        yield notes, relays, reader, writer
    finally:
        writer.transport.abort()
        for each in relays:
            each.abort()
            await each.closed.wait()
        front.close()
        behind.close()
        await asyncio.gather(*done, return_exceptions=True)


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_bytes_go_both_ways_and_an_end_is_passed_on():
    sent = bytes(range(256)) * 4096
    async with through(echo) as (notes, relays, reader, writer):
        writer.write(sent)
        writer.write_eof()
        assert await reader.read() == sent
        await relays[0].closed.wait()
    assert notes.bytes == {UP: sent, DOWN: sent}
    assert sorted(notes.ends, key=str) == sorted([(UP, ""), (DOWN, "")], key=str)
    assert notes.left == 1


async def test_one_half_may_close_and_the_other_goes_on():
    async def late(reader, writer):
        assert await reader.read() == b"all"
        writer.write(b"the answer")
        writer.close()

    async with through(late) as (notes, _, reader, writer):
        writer.write(b"all")
        writer.write_eof()
        assert await reader.read() == b"the answer"
    assert notes.bytes[DOWN] == b"the answer"


async def test_a_reset_is_passed_on_as_a_reset():
    async def resets(reader, writer):
        await reader.read(1)
        writer.write(b"last words")
        await writer.drain()
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()

    async with through(resets) as (notes, relays, reader, writer):
        writer.write(b"x")
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await relays[0].closed.wait()
    assert (DOWN, "TCP was reset") in notes.ends


async def test_a_reader_that_is_slow_makes_the_sender_wait():
    async def pours(_, writer):
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(bytes(65536))
                await writer.drain()

    async with through(pours) as (notes, _, reader, _writer):
        seen = -1
        while seen != len(notes.bytes[DOWN]):  # until no more comes through
            seen = len(notes.bytes[DOWN])
            await asyncio.sleep(0.1)
        assert seen < 64 * 2**20
        await reader.readexactly(seen + 1)  # it goes on once somebody reads


def refusing_port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


async def test_without_a_server_the_client_is_told_at_once_or_when_it_has_finished():
    async with through(echo, answer=b"sorry", port=refusing_port()) as (notes, _, reader, writer):
        writer.write(b"hello")
        assert await reader.read() == b"sorry"
        assert notes.refused == ["connection refused"]
    async with through(echo, port=refusing_port()) as (notes, _, reader, writer):
        writer.write(b"hello")
        await until(lambda: notes.refused)
        writer.write_eof()
        assert await reader.read() == b""
        assert notes.bytes[UP] == b"hello"


async def test_an_abort_ends_both_sides_and_is_told_once():
    async with through(echo) as (notes, relays, reader, writer):
        writer.write(b"x")
        assert await reader.read(1) == b"x"
        relays[0].abort()
        relays[0].abort()
        await relays[0].closed.wait()
        assert notes.left == 1
