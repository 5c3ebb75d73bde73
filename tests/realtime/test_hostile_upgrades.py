"""Going over from polling to WebSocket while both ends talk as fast as they can: nothing lost, twice or out of order.

Also what goes wrong half way: the session goes on with polling, and nothing is lost either.
"""

import asyncio
import random
from contextlib import asynccontextmanager

import pytest
import socketio
from deadlines import WAIT_S
from eventually import until
from realtime.conformance.lab import Client
from realtime.serving import lab_of

import rtlab
from rtlab.realtime import Guards, Server
from rtlab.wire.engineio import EnginePacketType
from rtlab.wire.socketio import Decoder

AT_ONCE = 5
ENOUGH = 100
"""Numbers that a client hears on its WebSocket before it is done."""

JAVASCRIPT = """
const play = async () => {
  const socket = io(url, { reconnection: false, forceNew: true }), heard = [];
  let said = 0, after = 0, why = null, over;
  socket.on("disconnect", (reason) => { why ??= reason; over?.(); });
  const done = new Promise((resolve) => {
    over = resolve;
    socket.on("tick", (n) => {
      heard.push(n);
      if (heard.length % 3 === 0) socket.emit("tock", said++);
      if (socket.io.engine.transport.name === "websocket" && ++after === enough) resolve();
    });
  });
  await once(socket, "connect");
  await done;
  why ??= "none";
  socket.off("tick");
  const order = heard.every((n, i) => n === heard[0] + i);
  const tocks = await socket.emitWithAck("tocks");
  socket.disconnect();
  return { order, why, heard: heard.length, said, tocks, transport: socket.io.engine.transport.name };
};
const results = [];
let begun = 0;
const work = async () => { while (begun++ < clients) results.push(await play()); };
await Promise.all(Array.from({ length: atOnce }, work));
return results;
"""


@asynccontextmanager
async def ticking():
    """A server that emits numbers to everybody as fast as it can, and takes the numbers of each client."""
    sio = Server(guards=Guards(max_queued_bytes=None, whole_ping_interval=False), ping_interval=1, ping_timeout=20)
    over, tocks = asyncio.Event(), {}

    @sio.event
    async def connect(sid, environ, auth):
        tocks[sid] = []

    @sio.event
    async def tock(sid, number):
        tocks[sid].append(number)

    @sio.on("tocks")
    async def all_tocks(sid):
        return len(tocks[sid]) if tocks[sid] == list(range(len(tocks[sid]))) else tocks[sid]

    async def tick():
        number = 0
        while not over.is_set():
            await sio.emit("tick", number)
            number += 1

    async with rtlab.serve(sio) as server:
        ticks = asyncio.create_task(tick())
        yield sio, server
        over.set()
        await ticks


def in_order(numbers):
    return numbers == list(range(numbers[0], numbers[0] + len(numbers)))


MANY = [pytest.param(10), pytest.param(50, marks=pytest.mark.long)]


@pytest.mark.parametrize("clients", MANY)
async def test_javascript_clients_go_over(clients):
    async with ticking() as (_, server):
        run = await rtlab.node(
            JAVASCRIPT, within_s=2 * WAIT_S, url=server.url, enough=ENOUGH, clients=clients, atOnce=AT_ONCE
        )
    assert len(run.value) == clients
    for result in run.value:
        assert (result["order"], result["transport"], result["why"]) == (True, "websocket", "none")
        assert result["tocks"] == result["said"]
    print(f"{len(run.value)} upgrades of JavaScript clients, {sum(each['heard'] for each in run.value):,} events")


@pytest.mark.parametrize("clients", MANY)
async def test_python_clients_go_over(clients):
    heard = []

    async def play(url):
        numbers, enough = [], asyncio.Event()
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)

        def tick(number):
            numbers.append(number)
            if len(numbers) == ENOUGH:
                enough.set()

        client.on("tick", tick)
        await client.connect(url)
        assert client.transport() == "websocket"
        for number in range(20):
            await client.emit("tock", number)
        async with asyncio.timeout(WAIT_S):
            await enough.wait()
        assert await client.call("tocks", timeout=WAIT_S) == 20
        await client.disconnect()
        assert in_order(numbers)
        heard.append(len(numbers))

    async with ticking() as (_, server):
        for _ in range(clients // AT_ONCE):
            await asyncio.gather(*(play(server.url) for _ in range(AT_ONCE)))
    print(f"{len(heard)} upgrades of Python clients, {sum(heard):,} events")


class Raw:
    """A client that polls and posts, and goes over when and how it is told."""

    def __init__(self, lab, transport):
        self.client = Client(lab, transport)
        self.transport = transport
        self.lab = lab
        self.heard, self.said = [], 0
        self.talks = asyncio.Event()

    async def poll(self):
        while self.talks.is_set():
            for packet in (await self.transport.get()).packets:
                self.take(packet)

    async def post(self):
        while self.talks.is_set():
            answer = await self.transport.post(f'42["tock",{self.said}]\x1e42["tock",{self.said + 1}]')
            assert answer.text == "ok"
            self.said += 2

    def take(self, packet):
        if packet.type is EnginePacketType.MESSAGE:
            name, number = Decoder().add(packet.data).data
            assert name == "tick"
            self.heard.append(number)
        else:
            assert packet.type in {EnginePacketType.NOOP, EnginePacketType.PING}


ABORTS = ["no probe", "no 5", "cut after the probe", "cut before the probe", "nonsense", "two at once", "close frame"]


@pytest.mark.parametrize("way", ABORTS)
async def test_an_upgrade_that_goes_wrong_costs_nothing(way, monkeypatch):
    monkeypatch.setattr("rtlab.realtime.http_side.UPGRADE_TIMEOUT_S", 1)
    async with ticking() as (_, server), lab_of(server) as lab:
        raw = Raw(lab, await lab.polling())
        await raw.client.connect()
        raw.talks.set()
        talking = asyncio.gather(raw.poll(), raw.post())
        for _ in range(3):
            over = await lab.upgrading(raw.transport)
            if way == "nonsense":
                await over.raw.send("5")
            elif way == "two at once":
                second = await lab.upgrading(raw.transport)
                await second.ends(within_s=WAIT_S)
            elif way not in {"no probe", "cut before the probe"}:
                await over.raw.send("2probe")
                assert await over.raw.recv() == "3probe"
            if way.startswith("cut"):
                over.raw.transport.abort()
            elif way == "close frame":
                await over.raw.close()
            else:
                await over.ends(within_s=WAIT_S)
            heard = len(raw.heard)
            await until(lambda: len(raw.heard) >= heard + 50)  # noqa: B023 - it is awaited here
        raw.talks.clear()
        await talking
        await finish(raw, lab)


@pytest.mark.parametrize("seed", range(5))
async def test_an_upgrade_at_any_moment_costs_nothing(seed):
    random.seed(seed)
    async with ticking() as (_, server), lab_of(server) as lab:
        for _ in range(5):
            raw = Raw(lab, await lab.polling())
            await raw.client.connect()
            raw.talks.set()
            talking = asyncio.gather(raw.poll(), raw.post())
            async with asyncio.timeout(WAIT_S):
                while len(raw.heard) < random.randrange(50):
                    await asyncio.sleep(0)
            await finish(raw, lab, talking)


async def finish(raw, lab, talking=None):
    """Go over for good, as the JavaScript client does: probe, let the last GET and POST end, change."""
    over = await lab.upgrading(raw.transport)
    await over.raw.send("2probe")
    assert await over.raw.recv() == "3probe"
    raw.talks.clear()
    if talking is not None:
        await talking
    await over.raw.send("5")
    for _ in range(ENOUGH):
        raw.take(await over.receive())
    for _ in range(20):
        await over.raw.send(f'42["tock",{raw.said}]')
        raw.said += 1
    await over.raw.send('421["tocks"]')
    async with asyncio.timeout(WAIT_S):
        while not (packet := await over.receive()).data.startswith("3"):
            raw.take(packet)
    assert packet.data == f"31[{raw.said}]"
    assert in_order(raw.heard)
    await over.raw.close()
