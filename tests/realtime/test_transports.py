"""The two ways to a client: bounded, in order, and never waited for."""

import asyncio
import tracemalloc
from socket import socketpair

import pytest
from deadlines import WAIT_S
from eventually import until

from rtlab.realtime.message import PACKET_BYTES, Message
from rtlab.realtime.transports import PollingTransport, WebSocketTransport

pytestmark = pytest.mark.timeout(WAIT_S)


@pytest.fixture
def overflows():
    return []


@pytest.fixture
def polling(overflows):
    return PollingTransport(2 * PACKET_BYTES + 10, lambda: overflows.append(1))


def texts(messages):
    return [message.body.decode() for message in messages]


def test_what_waits_is_taken_once_and_in_order(polling):
    for text in ("4a", "4b"):
        polling.send(Message(text))
    assert polling.queued_bytes == 4 + 2 * PACKET_BYTES
    assert texts(polling.take()) == ["4a", "4b"]
    assert (polling.take(), polling.queued_bytes) == ([], 0)


def test_a_get_takes_so_many_packets_but_never_parts_a_message():
    polling = PollingTransport(None, lambda: None)
    with_attachments = Message("451-", b"1", b"2", b"3")
    for message in (Message("4a"), with_attachments, Message("4b")):
        polling.send(message)
    assert texts(polling.take(2)) == ["4a"]
    assert polling.take(2) == [with_attachments], "one message in any case"
    assert texts(polling.take(2)) == ["4b"]


def test_more_than_may_wait_is_told_and_not_kept(polling, overflows):
    for number in range(20):
        polling.send(Message(f"4{number:03}"))
    assert polling.queued_bytes == 3 * (4 + PACKET_BYTES), "the one that passes the limit is the last"
    assert len(overflows) == 17
    polling.take()
    polling.send(Message("4again"))
    assert len(overflows) == 17


def test_a_get_takes_no_more_memory_than_that():
    polling = PollingTransport(None, lambda: None)
    for _ in range(5):
        polling.send(Message("4" + "x" * 1000))
    assert len(polling.take(size=3000)) == 2
    assert len(polling.take(size=1)) == 1
    assert len(polling.take(2, 100_000)) == 2


def test_nothing_is_left_of_what_nobody_fetches(polling, overflows):
    polling.send(Message("4a"))
    polling.release()
    assert (len(polling.queue), polling.queued_bytes) == (0, 0)


async def test_a_get_that_waits_goes_with_the_first_message(polling):
    waiting = asyncio.create_task(polling.wait())
    await asyncio.sleep(0)
    assert polling.waiting
    polling.send(Message("4a"))
    await waiting
    assert not polling.waiting
    assert texts(polling.take()) == ["4a"]


async def test_a_get_that_is_given_up_waits_no_more(polling):
    waiting = asyncio.create_task(polling.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not polling.waiting
    polling.wake()


class Wire:
    """A socket whose peer reads nothing, unless it is told to."""

    def __init__(self):
        self.written, self.read, self.closing = [], [], False

    def write(self, data):
        self.written.append(bytes(data))

    def get_write_buffer_size(self):
        return sum(map(len, self.written))

    def is_closing(self):
        return self.closing

    def abort(self):
        self.closing = True

    def peer_reads(self):
        self.read += self.written
        self.written = []


class Request:
    def __init__(self, wire):
        self.transport = wire


class WebSocket:
    compress = 15
    closed = False

    def __init__(self, hangs=False):
        self.said, self.hangs = [], hangs

    async def close(self, *, code, message):
        self.said.append((code, message))
        if self.hangs:
            await asyncio.Event().wait()


async def test_frames_are_written_at_once_and_gather_behind_a_peer_that_does_not_read():
    wire, overflows = Wire(), []
    limit = 100_000
    socket = WebSocketTransport(WebSocket(), Request(wire), limit, None, lambda: overflows.append(1))
    message = Message("4" + "x" * 1_000)
    for _ in range(200):
        if not overflows:
            socket.send(message)
    assert overflows
    assert limit < socket.queued_bytes <= limit + len(message.frames()), "the one that passes the limit is the last"
    assert wire.written == [message.frames()]
    socket.abort()
    assert len(socket._backlog) == 0


async def test_what_has_gathered_follows_in_order_when_the_peer_reads():
    wire = Wire()
    socket = WebSocketTransport(WebSocket(), Request(wire), None, None, lambda: None)
    messages = [Message(f"4{number}") for number in range(5)]
    for message in messages[:3]:
        socket.send(message)
    wire.peer_reads()
    socket.send(messages[3])
    assert wire.read == [messages[0].frames()], "a later one does not overtake"
    await until(lambda: wire.written)
    wire.peer_reads()
    socket.send(messages[4])
    assert b"".join(wire.read + wire.written) == b"".join(message.frames() for message in messages)
    assert socket.queued_bytes == len(messages[4].frames())


async def test_small_frames_cost_what_they_carry():
    """Since Python 3.12 the event loop keeps an object of 200 bytes for each write that waits."""
    loop, (ours, theirs) = asyncio.get_running_loop(), socketpair()
    with theirs:
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        socket = WebSocketTransport(WebSocket(), Request(transport), 1_000_000, None, lambda: None)
        while not socket.queued_bytes:
            socket.send(Message("4" + "x" * 10_000))
        tracemalloc.start()
        for number in range(50_000):
            socket.send(Message(f"4{number}"))
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert held < 1.5 * socket.queued_bytes
        socket.abort()


async def test_nothing_gathers_for_a_socket_that_has_been_closed():
    wire, ws = Wire(), WebSocket()
    socket = WebSocketTransport(ws, Request(wire), None, None, lambda: None)
    socket.send(Message("4a"))
    socket.send(Message("4b"))
    ws.closed = True
    wire.peer_reads()
    await until(lambda: not socket.queued_bytes)
    assert wire.written == [], "nothing follows a close frame"


@pytest.mark.parametrize("hangs", [False, True])
async def test_what_has_gathered_goes_before_the_close_frame(hangs, monkeypatch):
    monkeypatch.setattr("rtlab.realtime.transports.CLOSE_S", 0.05)
    wire, ws = Wire(), WebSocket(hangs)
    socket = WebSocketTransport(ws, Request(wire), None, None, lambda: None)
    socket.send(Message("4a"))
    socket.send(Message("4b"))
    await socket.close(1000, "over")
    assert b"".join(wire.written) == Message("4a").frames() + Message("4b").frames()
    assert len(ws.said) == 1


def test_a_socket_that_closes_is_written_to_no_more():
    wire = Wire()
    socket = WebSocketTransport(WebSocket(), Request(wire), None, None, lambda: None)
    socket.abort()
    socket.send(Message("4a"))
    assert wire.written == []


def test_only_what_is_long_is_compressed_and_only_if_the_client_agreed():
    for agreed, expected in ((500, True), (None, False)):
        wire = Wire()
        socket = WebSocketTransport(WebSocket(), Request(wire), None, agreed, lambda: None)
        socket.send(Message("4" + "x" * 1_000))
        assert bool(wire.written[0][0] & 0b0100_0000) is expected
        wire.peer_reads()
        socket.send(Message("4short"))
        assert not wire.written[0][0] & 0b0100_0000


@pytest.mark.parametrize("hangs", [False, True])
async def test_closing_ends_tcp_whatever_the_peer_does(hangs, monkeypatch):
    monkeypatch.setattr("rtlab.realtime.transports.CLOSE_S", 0.05)
    ws, wire = WebSocket(hangs), Wire()
    await WebSocketTransport(ws, Request(wire), None, None, lambda: None).close(1008, "because " * 40)
    assert wire.closing
    ((code, why),) = ws.said
    assert (code, len(why)) == (1008, 123)
