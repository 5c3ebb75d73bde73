"""Bytes between two sockets, unchanged: ends, resets and slow readers are passed on, and an observer sees all of it."""

import asyncio
import contextlib
import gc
import socket
import struct
import weakref
from contextlib import asynccontextmanager
from time import perf_counter

import pytest
from deadlines import WAIT_S
from eventually import until

from rtlab.instruments import relay
from rtlab.instruments.direction import Direction
from rtlab.instruments.relay import Relay
from rtlab.instruments.turns import Turns
from rtlab.servers.ports import free_port

pytestmark = pytest.mark.timeout(WAIT_S * 2)
UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT


class Notes:
    """Writes down what it is told."""

    def __init__(self, answer=None):
        self.bytes = {UP: b"", DOWN: b""}
        self.rest = b""
        self.ends, self.refused, self.left = [], [], 0
        self.answer = answer

    def portion(self, direction):
        return 2**20

    def left_over(self, direction, data):
        self.rest += data

    def receive(self, direction, data):
        self.bytes[direction] += data

    def end(self, direction, problem=""):
        self.ends.append((direction, problem))

    def refusal(self, problem):
        self.refused.append(problem)
        return self.answer

    def gone(self, relay):
        self.left += 1


class Pedant(Notes):
    """Takes as long for every single byte as one spell lasts."""

    def portion(self, direction):
        return 1 if direction is UP else 2**20

    def receive(self, direction, data):
        super().receive(direction, data)
        end = perf_counter() + relay.SPELL_S
        while direction is UP and perf_counter() < end:
            pass


@asynccontextmanager
async def through(serve, answer=None, port=None, notes=None, turns=None):
    """A server, a relay in front of it, and a client's end of the line."""
    notes, relays, done = notes or Notes(answer), [], []
    turns = turns or Turns()
    behind = await asyncio.start_server(lambda r, w: done.append(asyncio.ensure_future(serve(r, w))), "127.0.0.1", 0)
    address = ("127.0.0.1", port or behind.sockets[0].getsockname()[1])

    def protocol():
        relays.append(Relay(notes, address, turns))
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


async def test_without_a_server_the_client_is_told_at_once_or_when_it_has_finished():
    async with through(echo, answer=b"sorry", port=free_port()) as (notes, _, reader, writer):
        writer.write(b"hello")
        assert await reader.read() == b"sorry"
        assert notes.refused == ["connection refused"]
    async with through(echo, port=free_port()) as (notes, _, reader, writer):
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


@pytest.mark.parametrize("in_turns", [True, False])
async def test_what_is_slow_to_read_holds_up_its_sender_and_nobody_else(in_turns, monkeypatch):
    """Counted in what has been read of a flood when somebody else's word has come back."""
    flood, turns, pedant = bytes(1000), Turns(), Pedant()
    came = bytearray()

    async def listen(reader, writer):
        while data := await reader.read(65536):
            came.extend(data)
            assert pedant.bytes[UP].startswith(came), "it has been seen before it is passed on"
        writer.close()

    async with (
        through(echo, turns=turns) as (_, _, reader, writer),
        through(listen, notes=pedant, turns=turns) as (_, relays, flooded, flooding),
    ):
        writer.write(b"x")
        await reader.readexactly(1)
        if not in_turns:

            def at_once(direction, data):
                for each in data:
                    Pedant.receive(pedant, direction, bytes([each]))

            pedant.receive = at_once
            pedant.portion = lambda _: 2**20
        flooding.write(flood)
        await until(lambda: pedant.bytes[UP])
        writer.write(b"y")
        await reader.readexactly(1)
        seen = len(pedant.bytes[UP])
        assert seen < len(flood) / 2 if in_turns else seen == len(flood)
        flooding.write_eof()
        assert await flooded.read() == b""
        assert bytes(came) == flood
        await relays[0].closed.wait()
    assert pedant.rest == b""


async def test_a_flood_is_not_read_while_it_waits_and_its_rest_is_told_at_the_end():
    pedant, flood = Pedant(), bytes(range(256)) * 10_000
    async with through(echo, notes=pedant) as (_, relays, _reader, writer):
        writer.write(flood)
        await until(lambda: pedant.bytes[UP])
        (relayed,) = relays
        assert not relayed.client.transport.is_reading()
        relayed.abort()
        await relayed.closed.wait()
        assert pedant.rest
        assert flood.startswith(pedant.bytes[UP] + pedant.rest)


async def test_who_is_gone_costs_nothing():
    gc.collect()
    gc.disable()
    try:
        async with through(echo) as (_, relays, reader, writer):
            writer.write(b"x")
            await reader.readexactly(1)
            writer.write_eof()
            assert await reader.read() == b""
            await relays[0].closed.wait()
            gone = [weakref.ref(each) for each in (relays[0], relays[0].client, relays[0]._server)]
            relays.clear()
            await until(lambda: not any(each() for each in gone))
    finally:
        gc.enable()


async def test_a_client_without_a_server_that_says_nothing_is_not_kept(monkeypatch):
    monkeypatch.setattr(relay, "CONNECT_S", 0.5)
    async with through(echo, port=free_port()) as (notes, relays, reader, _writer):
        assert await reader.read() == b""
        await relays[0].closed.wait()
    assert notes.refused == ["connection refused"]


class Shouting(Notes):
    """Puts other bytes in the place of those that it is shown, and adds some at the end."""

    def receive(self, direction, data):
        super().receive(direction, data)
        return data.upper() if direction is UP and data.islower() else None

    def end(self, direction, problem=""):
        super().end(direction, problem)
        return b"!" if direction is UP else None


async def test_an_observer_may_put_other_bytes_in_their_place():
    async with through(echo, notes=Shouting()) as (notes, _, reader, writer):
        for said, comes in [(b"abc", b"ABC"), (b"Def", b"Def"), (b"ghi", b"GHI")]:
            writer.write(said)
            assert await reader.readexactly(3) == comes
        writer.write_eof()
        assert await reader.read() == b"!"
    assert notes.bytes[UP] == b"abcDefghi"


async def test_a_part_of_what_is_read_at_once_may_be_replaced():
    class Third(Notes):
        def portion(self, direction):
            return 3

        def receive(self, direction, data):
            return b"" if data == b"def" and direction is UP else None

    async with through(echo, notes=Third()) as (_, _, reader, writer):
        writer.write(b"abcdefghi")
        writer.write_eof()
        assert await reader.read() == b"abcghi"


async def test_a_reset_at_once_reaches_both_sides():
    heard = asyncio.Queue()

    async def listens(reader, _writer):
        try:
            await reader.read()
        except ConnectionResetError as error:
            heard.put_nowait(error)

    async with through(listens) as (_, relays, reader, writer):
        writer.write(b"x")
        await until(lambda: relays and relays[0]._server.open)
        relays[0].reset()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        async with asyncio.timeout(WAIT_S):
            await heard.get()
            await relays[0].closed.wait()
