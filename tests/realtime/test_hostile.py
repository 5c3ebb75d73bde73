"""Generated nonsense against a running server, while two honest clients talk.

The seed is printed; RTLAB_HOSTILE_SEED repeats a run. `make test` sends some of it, `make test-long` all.
"""

import asyncio
import base64
import os
import random
import socket
from contextlib import suppress

import aiohttp
import msgpack
import pytest
from deadlines import WAIT_S
from quick import quick
from realtime.hostile_figures import table
from realtime.watched import watched
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

__all__ = ["table"]

SEED = int(os.environ.get("RTLAB_HOSTILE_SEED", random.SystemRandom().randrange(2**32)))
PER_CONNECTION = 10
AT_ONCE = 4
GROWTH_MIB = 150
"""What the server may have more at the end: far less than all that was sent at it, were it kept."""
SERIALIZERS = {"default": "in_json", "msgpack": "in_messagepack"}

JSON_PACKETS = [
    "0",
    '0{"name":"x"}',
    "0/nowhere,",
    "1",
    '2["say","me",1]',
    '2/nowhere,["say"]',
    '27["flood",100]',
    "3[]",
    '31["x"]',
    '51-["say",{"_placeholder":true,"num":0}]',
    '52-7["say",{"_placeholder":true,"num":1}]',
    '61-0[{"_placeholder":true}]',
    '2["connect"]',
    '2["disconnect","x"]',
    '2["*","x"]',
    "4{}",
    "9",
    "",
    '2["say",NaN]',
    '2["say",1e999]',
    "2" + "[" * 3000,
    '2["say","\\ud800"]',
    "2" + "9" * 400 + "[]",
    '599999999-["x"]',
    '2["x",' + '"a"' * 10,
    "\u0662[]",
    "2\x00[]",
    '2["say",{}]',
]
NET_PACKETS = [
    {"type": 0, "nsp": "/"},
    {"type": 2, "nsp": "/", "data": ["say", "me", 1]},
    {"type": 2, "nsp": "/x", "data": ["say"]},
    {"type": 3, "nsp": "/", "data": [], "id": 0},
    {"type": 2, "nsp": "/", "data": ["connect"]},
    {"type": 9},
    [],
    7,
    None,
    {"type": 2, "nsp": "/", "data": ["say", b"x" * 1000], "id": -1},
    {"type": 2, "nsp": 5, "data": [[]]},
    {1: {2: 3}},
]


class Hostile:
    """Makes things to say."""

    def __init__(self, seed, serializer):
        self.random = random.Random(seed)
        self.serializer = serializer

    def mutated(self, data):
        """The same bytes, spoilt in up to three places."""
        spoilt = bytearray(data)
        for _ in range(self.random.randrange(4)):
            place = self.random.randrange(len(spoilt) + 1)
            match self.random.randrange(4):
                case 0:
                    del spoilt[place : place + self.random.randrange(1, 8)]
                case 1:
                    spoilt[place:place] = self.random.randbytes(self.random.randrange(1, 8))
                case 2:
                    spoilt[place:place] = spoilt[: self.random.randrange(20)]
                case _ if place < len(spoilt):
                    spoilt[place] ^= 1 << self.random.randrange(8)
        return bytes(spoilt)

    def message(self):
        """A WebSocket message: an Engine.IO packet, more or less."""
        if self.random.random() < 0.1:
            return self.random.choice(["2", "3", "5", "6", "0{}", "b!!", "2probe", "x" * 200_000, b"\xff" * 1000, ""])
        if self.serializer == "msgpack" and self.random.random() < 0.8:
            return self.mutated(msgpack.packb(self.random.choice(NET_PACKETS)))
        text = "4" + self.random.choice(JSON_PACKETS)
        return self.mutated(text.encode()).decode(errors="replace") if self.random.random() < 0.7 else text

    def body(self):
        """The body of a POST."""
        parts = [self.message() for _ in range(self.random.randrange(1, 20))]
        texts = [each if isinstance(each, str) else "b" + base64.b64encode(each).decode() for each in parts]
        return self.mutated("\x1e".join(texts).encode())

    def frame(self):
        """A WebSocket frame as a client masks it, more or less."""
        payload = self.message()
        data = (payload.encode(errors="replace") if isinstance(payload, str) else payload)[:100]
        first = self.random.choice([0x81, 0x82, 0x81, 0x01, 0x00, 0x80, 0x88, 0x89, 0x8A, 0xC1, 0xF3])
        return self.mutated(bytes([first, 0x80 | len(data), 0, 0, 0, 0]) + data)


async def over_websocket(url, hostile):
    """Some messages; the connection ends by the server's hand or by ours, but it ends."""
    async with connect(f"{url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket", max_size=None) as ws:
        with suppress(WebSocketException, UnicodeError):
            await ws.send(msgpack.packb({"type": 0, "nsp": "/"}) if hostile.serializer == "msgpack" else "40")
            for _ in range(PER_CONNECTION):
                await ws.send(hostile.message())


async def over_polling(url, hostile):
    """Some bodies; each is answered."""
    async with aiohttp.ClientSession() as http:
        query = {"EIO": "4", "transport": "polling"}
        async with http.get(f"{url}/socket.io/", params=query) as response:
            query["sid"] = (await response.text()).split('"')[3]
        for _ in range(PER_CONNECTION):
            method = hostile.random.choice(["POST", "POST", "POST", "PUT", "OPTIONS"])
            async with http.request(method, f"{url}/socket.io/", params=query, data=hostile.body()) as response:
                assert response.status in {200, 400, 413}
                await response.read()


async def over_tcp(url, hostile):
    """Raw frames after a handshake, or half a request; the server closes, or we do."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    with suppress(OSError):
        head = (
            f"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: "
            "Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
        )
        writer.write(hostile.mutated(head.encode()) if hostile.random.random() < 0.1 else head.encode())
        for _ in range(PER_CONNECTION):
            writer.write(hostile.frame())
            await writer.drain()
        writer.write_eof()
        await reader.read()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.mark.parametrize("serializer", quick(SERIALIZERS, ["default"]))
@pytest.mark.parametrize(
    "items", [pytest.param(1_000), pytest.param(12_000, marks=[pytest.mark.long, pytest.mark.timeout(1800)])]
)
async def test_nonsense_hurts_nobody_but_whoever_sends_it(serializer, items, monkeypatch):
    print(f"RTLAB_HOSTILE_SEED={SEED}")
    attacks = [over_websocket, over_polling, over_tcp]
    connections = iter(range(items // PER_CONNECTION))
    what = f"{items:,} pieces of nonsense, {serializer}"
    async with watched(monkeypatch, what, SERIALIZERS[serializer], serializer, GROWTH_MIB) as (seen, _):

        async def attack():
            for number in connections:
                async with asyncio.timeout(WAIT_S):
                    await attacks[number % len(attacks)](seen.server.url, Hostile(SEED + number, serializer))

        await asyncio.gather(*(attack() for _ in range(AT_ONCE)))


@pytest.mark.parametrize("count", [pytest.param(100), pytest.param(500, marks=pytest.mark.long)])
async def test_clients_that_never_speak_are_gone_in_time(count, monkeypatch):
    async with watched(monkeypatch, f"{count} silent clients", growth_mib=GROWTH_MIB) as (seen, _):
        url = f"{seen.server.ws_url}/socket.io/?EIO=4&transport=websocket"
        silent = [await connect(url, compression=None, ping_interval=None) for _ in range(count)]
        for ws in silent:
            async with asyncio.timeout(WAIT_S):
                await ws.wait_closed()
            assert ws.close_code == 1008


@pytest.mark.parametrize("seconds", [pytest.param(2), pytest.param(20, marks=pytest.mark.long)])
async def test_a_slow_reader_costs_its_limit_and_then_its_connection(seconds, monkeypatch):
    """It reads less than 1 MB/s, and more than that is sent to it; the honest clients wait for nothing."""
    async with watched(monkeypatch, f"a slow reader, {seconds} s", growth_mib=GROWTH_MIB) as (seen, _):
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        raw.connect(("127.0.0.1", seen.server.port))
        url = f"{seen.server.ws_url}/socket.io/?EIO=4&transport=websocket"
        async with connect(url, sock=raw, compression=None, ping_interval=None, max_queue=1) as slow:
            await slow.recv()
            await slow.send("40")
            await slow.recv()

            async def trickle():
                with suppress(WebSocketException):
                    while True:
                        await slow.recv()
                        await asyncio.sleep(0.1)  # 20 kB ten times a second

            reading = asyncio.create_task(trickle())
            began = asyncio.get_running_loop().time()
            while asyncio.get_running_loop().time() < began + seconds:
                await seen.honest.call("flood", 20_000)
            await seen.alone()  # the slow one was cut off
            slow.transport.abort()
            await reading


async def test_a_flood_of_polling_is_answered(monkeypatch):
    statuses = []
    async with watched(monkeypatch, "a flood of polling", growth_mib=GROWTH_MIB) as (_, lab):
        for _ in range(20):
            session = await lab.polling()
            requests = [
                *(session.post("\x1e".join(["3"] * 9_999)) for _ in range(5)),
                *(session.get() for _ in range(5)),
                lab.request("GET", **session.query | {"sid": "nobody"}),
            ]
            async with asyncio.timeout(WAIT_S):
                statuses += [each.status for each in await asyncio.gather(*requests)]
    assert set(statuses) <= {200, 400}
