"""The two ways to a client: bounded, in order, and never waited for."""

import asyncio

import pytest
from deadlines import WAIT_S

from rtlab.realtime.message import Message
from rtlab.realtime.transports import CHECKS, PollingTransport, WebSocketTransport

pytestmark = pytest.mark.timeout(WAIT_S)


@pytest.fixture
def overflows():
    return []


@pytest.fixture
def polling(overflows):
    return PollingTransport(10, lambda: overflows.append(1))


def texts(messages):
    return [message.packets[0] for message in messages]


def test_what_waits_is_taken_once_and_in_order(polling):
    for text in ("4a", "4b"):
        polling.send(Message(text))
    assert polling.queued_bytes == 4
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
    assert polling.queued_bytes == 12, "the one that passes the limit is the last"
    assert len(overflows) == 17
    polling.take()
    polling.send(Message("4again"))
    assert len(overflows) == 17


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
    """A socket whose peer reads nothing."""

    def __init__(self):
        self.written, self.closing = [], False

    def write(self, data):
        self.written.append(data)

    def get_write_buffer_size(self):
        return sum(map(len, self.written))

    def is_closing(self):
        return self.closing

    def abort(self):
        self.closing = True


class Request:
    def __init__(self, wire):
        self.transport = wire


class WebSocket:
    compress = 15

    def __init__(self, hangs=False):
        self.said, self.hangs = [], hangs

    async def close(self, *, code, message):
        self.said.append((code, message))
        if self.hangs:
            await asyncio.Event().wait()


def test_frames_are_written_at_once_and_as_far_as_there_is_room():
    wire, overflows = Wire(), []
    limit = 100_000
    socket = WebSocketTransport(WebSocket(), Request(wire), limit, None, lambda: overflows.append(1))
    message = Message("4" + "x" * 1_000)
    for _ in range(200):
        if not overflows:
            socket.send(message)
    assert overflows
    assert limit <= socket.queued_bytes <= limit + limit // CHECKS + 2_000, "looked at often enough"
    assert set(wire.written) == {message.frames()}


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
        socket.send(Message("4short"))
        assert not wire.written[1][0] & 0b0100_0000


@pytest.mark.parametrize("hangs", [False, True])
async def test_closing_ends_tcp_whatever_the_peer_does(hangs, monkeypatch):
    monkeypatch.setattr("rtlab.realtime.transports.CLOSE_S", 0.05)
    ws, wire = WebSocket(hangs), Wire()
    await WebSocketTransport(ws, Request(wire), None, None, lambda: None).close(1008, "because " * 40)
    assert wire.closing
    ((code, why),) = ws.said
    assert (code, len(why)) == (1008, 123)
