"""Too much of what is allowed: readers that stop, floods, bombs, bursts. Each costs its limit, and others nothing."""

import asyncio
import functools
import gzip
import json
import zlib
from collections import Counter
from contextlib import suppress

import pytest
from deadlines import WAIT_S
from eventually import until
from quick import quick
from realtime.conformance.lab import Client
from realtime.hostile_figures import table
from realtime.watched import watched
from websockets.asyncio.client import connect as connect_websocket
from websockets.exceptions import ConnectionClosed
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

import rtlab
from rtlab.realtime.limits import MAX_NAMESPACES, MAX_UNADMITTED_PER_ADDRESS

__all__ = ["table"]

LIMIT = 500_000
"""Bytes that the server keeps for one client: what ``hostile_app`` sets."""
ALICE_AND_BOB = 1 + 2
"""Connections that the honest two have: a WebSocket, and a GET and a POST."""
MESSAGE = 100_000
"""Bytes of a message or a body that the server takes: what ``hostile_app`` sets."""


@pytest.mark.parametrize("transport", quick(["websocket", "polling"], ["polling"]))
async def test_a_reader_that_stops_is_cut_off_for_real(transport, monkeypatch):
    async with watched(monkeypatch, f"reads nothing, {transport}") as (seen, lab):
        silent = Client(lab, await (lab.websocket() if transport == "websocket" else lab.polling()))
        await silent.connect()
        await lab.http.close()
        if transport == "websocket":
            silent.transport.raw.transport.pause_reading()
        async with asyncio.timeout(WAIT_S):
            sent = 0
            while await seen.honest.call("flood", 20_000) > 2:
                sent += 1
        await until(lambda: seen.connections() <= ALICE_AND_BOB)
        assert sent * 20_000 >= LIMIT
        assert "closed, slow consumer" in "\n".join(seen.server.child.log.tail())
        if transport == "websocket":
            silent.transport.raw.transport.abort()


FRAMES = {
    "PONG": Frame(Opcode.TEXT, b"3"),
    "a message without a type": Frame(Opcode.TEXT, b"4"),
    "WebSocket PING": Frame(Opcode.PING, b"x" * 125),
    "empty fragments": Frame(Opcode.CONT, b"", fin=False),
}


@pytest.mark.parametrize("kind", quick(FRAMES, ["empty fragments"]))
async def test_a_flood_on_a_websocket(kind, monkeypatch):
    async with watched(monkeypatch, f"flood of {kind}") as (seen, lab):
        for _ in range(3):
            client = await lab.client()
            transport = client.transport.raw.transport
            transport.pause_reading()
            data = FRAMES[kind].serialize(mask=True) * 1000
            if kind == "empty fragments":
                data = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True) + data
            for _ in range(100):
                transport.write(data)
                await asyncio.sleep(0)
                if transport.is_closing():
                    break
            await seen.asked_more()
            transport.abort()


KINDS = {
    "CONNECT to nowhere": Frame(Opcode.TEXT, b"40/nowhere,"),
    "events": Frame(Opcode.TEXT, b'42["take",1]'),
    "events that nobody handles": Frame(Opcode.TEXT, b'42["what",{}]'),
    "JSON of 90 kB": Frame(Opcode.TEXT, b'42["what",' + b"[],".join([b"["] + [b""] * 28_000) + b"[]]]"),
    "WebSocket PING": Frame(Opcode.PING, b"x" * 125),
    "PONG": Frame(Opcode.TEXT, b"3"),
}


@pytest.mark.parametrize("kind", quick(KINDS, ["events that nobody handles", "WebSocket PING"]))
async def test_eight_connections_that_flood(kind, monkeypatch):
    """They have been let in, and send as fast as they are read, until the honest two have said twenty things more."""
    frame = KINDS[kind].serialize(mask=True)
    async with watched(monkeypatch, f"eight times {kind}", until_alone=False) as (seen, lab):
        clients = [await lab.client() for _ in range(8)]
        data, over = frame * max(1, 50_000 // len(frame)), False

        async def flood(client):
            raw = client.transport.raw
            raw.transport.pause_reading()
            while not over and not raw.transport.is_closing():
                if raw.transport.get_write_buffer_size() < 1_000_000:
                    raw.transport.write(data)
                await asyncio.sleep(0.005)
            raw.transport.abort()

        floods = [asyncio.create_task(flood(client)) for client in clients]
        so_far = [each.said for each in seen.people]
        await until(lambda: all(each.said >= said + 20 for each, said in zip(seen.people, so_far, strict=True)))
        over = True
        await asyncio.gather(*floods)


async def test_a_message_in_fragments_has_one_limit(monkeypatch):
    async with watched(monkeypatch, "a long message in fragments") as (_seen, lab):
        for fin in (True, False):
            client = await lab.client()
            part = Frame(Opcode.CONT, b"x" * 1000, fin=False).serialize(mask=True)
            client.transport.raw.transport.write(
                Frame(Opcode.TEXT, b"4", fin=False).serialize(mask=True)
                + part * (2 * MESSAGE // 1000)
                + (Frame(Opcode.CONT, b"x").serialize(mask=True) if fin else b"")
            )
            await client.transport.ends(within_s=WAIT_S)
            assert client.transport.raw.close_code == 1009


@functools.cache
def bombs():
    """100 MB of zeros as gzip, and as a WebSocket message: made once, because that takes longer than its going off."""
    zeros = b"4" + b"0" * 100_000_000
    deflate = zlib.compressobj(1, wbits=-15)
    return gzip.compress(zeros, 1), deflate.compress(zeros) + deflate.flush(zlib.Z_SYNC_FLUSH)


@pytest.mark.parametrize("admitted", quick([True, False], [True]))
async def test_a_bomb_goes_off_over_neither_transport(admitted, monkeypatch):
    zipped, bomb = bombs()
    frame = bytearray(Frame(Opcode.BINARY, bomb).serialize(mask=True))
    frame[0] |= 0x40  # RSV1: it is compressed
    async with watched(monkeypatch, "bombs of 100 MB each") as (seen, lab):
        for _ in range(2):
            url = f"{seen.server.ws_url}/socket.io/?EIO=4&transport=websocket"
            async with connect_websocket(
                url, compression=None, extensions=[ClientPerMessageDeflateFactory()], ping_interval=None
            ) as ws:
                await ws.recv()
                if admitted:
                    await ws.send("40")
                    await ws.recv()
                ws.transport.write(frame)
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(ws.recv(), WAIT_S)
                # who is not admitted has said too much, or one message is too large: whichever is seen first
                assert ws.close_code in ((1009,) if admitted else (1008, 1009))
            session = await lab.polling()
            query, headers = session.query, {"Content-Encoding": "gzip"}
            async with lab.http.post(lab.url, params=query, data=zipped, headers=headers) as answer:
                assert answer.status == 415


def some(short, long):
    """A number for `make test`, and another for `make test-long`."""
    return pytest.mark.parametrize("count", [pytest.param(short), pytest.param(long, marks=pytest.mark.long)])


@pytest.mark.parametrize("app", ["in_json", "with_any_namespace"])
@some(1000, 10_000)
async def test_ten_thousand_namespaces(app, count, monkeypatch):
    async with watched(monkeypatch, f"{count:,} namespaces, {app}", app) as (_seen, lab):
        client = await lab.client()

        async def ask():
            for number in range(count):
                await client.say(f"0/{number}")

        asking = asyncio.create_task(ask())
        kinds = Counter([(await client.receive()).type.name for _ in range(count)])
        await asking
        let_in = 0 if app == "in_json" else MAX_NAMESPACES - 1  # it is in "/" already
        assert (kinds["CONNECT"], kinds["CONNECT_ERROR"]) == (let_in, count - let_in)
        await client.transport.raw.close()


async def test_deep_and_large_json(monkeypatch):
    deep = ["[" * depth + "]" * depth for depth in (199, 1000, 50_000)]
    numbers = ["9" * 4000, "9" * 90_000, "1e400", "-" + "1" * 4300, "0." + "1" * 90_000]
    keys = json.dumps({f"k{number}": number for number in range(5000)})
    wide = "[" + ",".join(["{}"] * 30_000) + "]"
    async with watched(monkeypatch, "deep and large JSON") as (_seen, lab):
        for value in [*deep, *numbers, keys, wide]:
            client = await lab.client()
            with suppress(ConnectionClosed):
                for number in range(20):
                    await client.say(f'2["take",{number},{value}]')
                await client.transport.raw.close()
            await client.transport.ends(within_s=WAIT_S)


async def test_slow_and_half_requests_hold_up_nobody(monkeypatch):
    async with watched(monkeypatch, "300 half requests") as (seen, lab):
        sessions = [await lab.polling() for _ in range(100)]
        pending = [await lab.begin("POST", b"4", MESSAGE, **session.query) for session in sessions]
        pending += [await session.begin_get() for session in sessions]
        half = [await asyncio.open_connection("127.0.0.1", seen.server.port) for _ in range(100)]
        for _, writer in half:
            writer.write(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: ")
        await seen.asked_more()
        await seen.alone()  # the sessions are in no namespace
        for _, writer in half:
            writer.close()


@some(30, 300)
async def test_sessions_that_nobody_uses(count, monkeypatch):
    """Handshakes and nothing more, and requests for sessions that are not there."""
    async with watched(monkeypatch, f"{10 * count:,} handshakes, as many unknown sessions") as (_seen, lab):
        answers = Counter()

        async def ask(**query):
            for _ in range(count):
                async with lab.http.get(lab.url, params={"EIO": "4", "transport": "polling", **query}) as response:
                    answers[response.status] += 1

        await asyncio.gather(*(ask() for _ in range(10)), *(ask(sid=str(number)) for number in range(10)))
        assert answers[400] == 10 * count
        assert answers[200] >= min(10 * count, MAX_UNADMITTED_PER_ADDRESS), "so many of one address may wait"
        assert answers[200] + answers[503] == 10 * count


JAVASCRIPT = """
const socket = io(url, { transports: ["polling"], reconnection: false });
await once(socket, "connect");
const answers = Array.from({ length: count }, (_, n) => socket.emitWithAck("take", n));
const got = await Promise.all(answers);
socket.disconnect();
const other = io(url, { transports: ["websocket"], forceNew: true });
while ((await other.emitWithAck("sessions")) > 3); // the POST that says so takes its time
return got.every((value, n) => value === n + 1) ? got.length : got.findIndex((value, n) => value !== n + 1);
"""


@some(1000, 5000)
async def test_a_burst_of_a_javascript_client_that_polls_arrives_whole(count, monkeypatch):
    async with watched(monkeypatch, f"a burst of {count:,} events over polling") as (seen, _):
        run = await rtlab.node(JAVASCRIPT, within_s=WAIT_S, url=seen.server.url, count=count)
        assert run.value == count
