"""A flood through the tap: who talks beside it is not held up, what is kept is bounded, who is gone costs nothing."""

import asyncio
import contextlib
import gc
import logging
import weakref
from contextlib import asynccontextmanager
from time import perf_counter

import pytest
from deadlines import WAIT_S
from eventually import until
from websockets.asyncio.client import connect

import rtlab
from rtlab.instruments import relay
from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript import recording
from rtlab.instruments.transcript.rows import Kind, Row
from rtlab.instruments.transcript.transcript import Transcript
from rtlab.instruments.wiretap import decoding
from rtlab.instruments.wiretap import tap as tap_module
from rtlab.instruments.wiretap.decoding import ConnectionDecoder
from rtlab.instruments.wiretap.session_reader import PACKETS
from rtlab.instruments.wiretap.sessions_seen import SessionsSeen

pytestmark = pytest.mark.timeout(WAIT_S * 4)

UP, DOWN = Direction
SWITCH = (
    b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PONG = bytes([0x8A, 0x80, 0, 0, 0, 0])
"""Empty, masked, and answered by nobody."""


async def echo(ws):
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def dialled(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        yield reader, writer
    finally:
        writer.transport.abort()


async def rows_while_an_echo_comes_back(frames: int) -> tuple[int, int]:
    """How many rows are recorded at most between an honest message and its echo, beside a flood; of how many."""
    async with rtlab.serve(echo) as server, rtlab.tap(server) as tap, connect(tap.ws_url, compression=None) as honest:
        async with dialled(tap.port, SWITCH) as (reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            before = tap.recording.count
            writer.write(PONG * frames)
            most = 0
            while tap.recording.count < before + frames:
                began = tap.recording.count
                await honest.send("hi")
                assert await honest.recv() == "hi"
                most = max(most, tap.recording.count - began)
        return most, frames


async def test_an_honest_client_is_not_held_up_by_tiny_frames(monkeypatch):
    in_turns, frames = await rows_while_an_echo_comes_back(20_000)
    monkeypatch.setattr(relay, "SPELL_S", float("inf"))  # all that has come is read at once
    at_once, _ = await rows_while_an_echo_comes_back(20_000)
    print(f"rows during one echo: {in_turns} in turns, {at_once} at once, of {frames}")
    assert in_turns * 4 < at_once


@pytest.mark.parametrize("what", ["frames", "requests", "chunks", "events"])
def test_a_portion_of_tiny_things_is_small_and_of_one_large_thing_is_all_of_it(what):
    decoder = ConnectionDecoder(1, lambda _: None)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
    if what == "frames":
        decoder.receive(UP, SWITCH)
        accept = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"
        decoder.receive(DOWN, accept)
        decoder.receive(UP, PONG * 3)
        assert decoder.portion(UP) == decoding.PORTION_BYTES
        decoder.receive(UP, b"\x82\xff" + (500_000).to_bytes(8, "big") + bytes(4))
        assert decoder.portion(UP) == 500_000
    elif what == "requests":
        assert decoder.portion(UP) == decoding.PORTION_BYTES
        decoder.receive(UP, b"POST / HTTP/1.1\r\nContent-Length: 500000\r\n\r\n1")
        assert decoder.portion(UP) == 499_999
    elif what == "chunks":
        decoder.receive(DOWN, head + b"\r\n")
        assert decoder.portion(DOWN) == decoding.PORTION_BYTES
        decoder.receive(DOWN, b"7a120\r\n1")
        assert decoder.portion(DOWN) == 499_999
    else:
        decoder.receive(DOWN, head + b"Content-Type: text/event-stream\r\n\r\n7a120\r\n1")
        assert decoder.portion(DOWN) == decoding.PORTION_BYTES, "there may be an event in every two bytes of the chunk"
    decoder._give_up(UP, "of no matter")
    assert decoder.portion(UP) == recording.RAW_BYTES, "nobody decodes it"


def test_of_a_body_with_a_flood_of_packets_some_are_read():
    """And an acknowledgement that was not read is not missed afterwards."""
    calls, made = [], []
    sessions = SessionsSeen(lambda: len(made))
    decoder = ConnectionDecoder(1, made.append, sessions=sessions)
    session = sessions.of("abc", 1, plain=False, begins=True)
    read = session.read
    session.read = lambda *arguments: calls.append(1) or read(*arguments)
    body = "\x1e".join(["6"] * 400_000 + ['430["x"]'])
    post = f"POST /socket.io/?EIO=4&transport=polling&sid=abc HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    decoder.receive(UP, post.encode())
    (row,) = made
    assert len(row.packets) == len(calls) == PACKETS
    assert row.note == f"{400_001 - PACKETS:,} packets more, which were not decoded"
    assert session.read(UP, '437["y"]', 1)[1] == ""


def test_requests_that_nobody_answers_are_bounded():
    made = []
    decoder = ConnectionDecoder(1, made.append)
    decoder.receive(UP, b"GET / HTTP/1.1\r\n\r\n" * (decoding.REQUESTS + 50))
    assert len(decoder._requests) == decoding.REQUESTS + 1
    assert made[-1].kind is Kind.RAW
    assert "1,000 requests wait for a response" in made[-1].problem
    assert sum(row.size for row in made) == (decoding.REQUESTS + 50) * 18


async def time_to_record(tap, rows: int) -> float:
    """Seconds for rows that come twenty in a turn, while somebody waits."""
    waiting = asyncio.create_task(tap.seen(tap.recording.count + rows, WAIT_S))
    await asyncio.sleep(0)
    began = perf_counter()
    for number in range(rows):
        tap.record(Row(clock=number, connection=1, direction=UP, kind=Kind.FRAME, summary=f"TEXT {number}", size=2))
        if number % 20 == 0:
            await asyncio.sleep(0)
    taken = perf_counter() - began
    await waiting
    return taken


async def test_waiting_through_a_flood_costs_in_proportion():
    ratios = []
    for _ in range(5):
        async with rtlab.tap("localhost:9") as tap:
            first = await time_to_record(tap, 2500)
        async with rtlab.tap("localhost:9") as tap:
            ratios.append(await time_to_record(tap, 5000) / first)
    assert min(ratios) < 3, ratios


async def test_those_who_wait_look_seldom_where_a_look_takes_long():
    looks, turns = [], 300

    def slow(rows):
        looks.append(1)
        end = perf_counter() + 3 * tap_module.LOOK_S
        while perf_counter() < end:
            pass
        return rows.only(kind=Kind.END)

    async with rtlab.tap("localhost:9") as tap:
        waiting = asyncio.create_task(tap.wait_for(slow, WAIT_S))
        for number in range(turns):
            tap.record(Row(clock=number, connection=1, direction=UP, kind=Kind.FRAME, summary="TEXT", size=2))
            await asyncio.sleep(0)
        assert len(looks) < turns / 4
        tap.record(Row(clock=turns, connection=1, direction=UP, kind=Kind.END, summary="the end", size=0))
        assert len(await waiting) == turns + 1


async def test_who_is_gone_leaves_its_rows_and_nothing_else():
    made = []
    original = ConnectionDecoder.__init__

    def remembering(self, *arguments, **more):
        original(self, *arguments, **more)
        made.extend(map(weakref.ref, (self, self._above, *self._readers.values())))

    async with rtlab.serve(echo) as server, rtlab.tap(server) as tap:
        gc.collect()
        gc.disable()
        ConnectionDecoder.__init__ = remembering
        try:
            relays = []
            for data in (
                b"GET / HTTP/1.1\r\nX: " + b"x" * 50_000,
                SWITCH + PONG * 1000 + b"\x82\xff\0",
                b"garbage \xff",
            ):
                async with dialled(tap.port, data):
                    await until(lambda: tap.connections == 1)
                    relays += map(weakref.ref, tap._relays)
                await until(lambda: tap.connections == 0)
            await until(lambda: not [each() for each in made + relays if each() is not None])
            assert len(made) == 12
        finally:
            ConnectionDecoder.__init__ = original
            gc.enable()


async def test_connections_are_bounded_and_the_log_says_so_once(monkeypatch, caplog):
    monkeypatch.setattr(tap_module, "CONNECTIONS", 2)
    caplog.set_level(logging.WARNING)
    async with rtlab.serve(echo) as server, rtlab.tap(server) as tap:
        async with connect(tap.ws_url) as first, connect(tap.ws_url):
            for _ in range(20):
                async with dialled(tap.port, b"x") as (reader, _):
                    with contextlib.suppress(ConnectionResetError):
                        assert await reader.read() == b""
            await first.send("still here")
            assert await first.recv() == "still here"
            assert tap.connections == 2
        await until(lambda: tap.connections == 0)
        async with connect(tap.ws_url):
            pass
    said = [record.message for record in caplog.records if record.name == tap_module.__name__]
    assert len(said) == 6
    assert said[-1] == "tap full: 15 more in 10 s"


async def test_a_transcript_that_is_saved_while_a_flood_goes_on_has_all_rows():
    saved = []
    async with rtlab.serve(echo) as server:
        tap = await rtlab.start_tap(server, on_final=saved.append)
        async with dialled(tap.port, SWITCH + PONG * 15_000):
            await tap.seen(15_002, WAIT_S)
        await tap.stop()
    assert [row.clock for row in saved] == list(range(len(saved)))
    assert len(saved) == tap.recording.count
    assert isinstance(tap.transcript, Transcript)
    assert len(tap.transcript) <= recording.ROWS + 1
