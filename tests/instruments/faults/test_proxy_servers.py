"""The fault proxy in front of real servers: Socket.IO over every transport and parser, TLS, and Valkey."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import socketio
from aiohttp import ClientSession, web
from certificates import Authority
from deadlines import WAIT_S
from eventually import until
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from websockets.asyncio.client import connect

import rtlab
from rtlab.scale.broker import open_broker

pytestmark = pytest.mark.timeout(WAIT_S * 3)

WAYS = {
    "polling": {"transports": ["polling"]},
    "websocket": {"transports": ["websocket"]},
    "upgraded": {},
    "MessagePack": {"transports": ["websocket"], "serializer": "msgpack"},
    "MessagePack over polling": {"transports": ["polling"], "serializer": "msgpack"},
}
SCRIPT = """
const sio = new Server(httpServer, packed ? { parser: msgpackParser } : {});
sio.on("connection", (socket) => {
  socket.on("say", (what, answer) => { sio.emit("said", what); answer(what, { again: what }); });
});
"""
SAYS = ["a text", b"bytes", {"in": [b"both", "43[]"]}]


def make_app(serializer="default") -> web.Application:
    sio = socketio.AsyncServer(async_mode="aiohttp", serializer=serializer, ping_interval=1, ping_timeout=5)
    app = web.Application()
    sio.attach(app)

    @sio.event
    async def say(sid, what):
        await sio.emit("said", what)
        return what, {"again": what}

    return app


@asynccontextmanager
async def served(by, serializer):
    if by == "python":
        async with rtlab.serve(make_app(serializer)) as server, rtlab.fault_proxy(server) as proxy:
            yield proxy
    else:
        packed = serializer != "default"
        async with rtlab.node_server(SCRIPT, packed=packed) as server, rtlab.fault_proxy(server) as proxy:
            yield proxy


@asynccontextmanager
async def client_of(proxy, **options):
    client = socketio.AsyncClient(
        handle_sigint=False, reconnection=False, serializer=options.pop("serializer", "default")
    )
    client.heard = []
    client.on("said", client.heard.append)
    await client.connect(proxy.url, **options)
    try:
        yield client
    finally:
        await client.disconnect()


@pytest.mark.parametrize("by", ["python", "node"])
@pytest.mark.parametrize("way", WAYS)
async def test_acks_are_swallowed_and_nothing_else_is(way, by):
    options = dict(WAYS[way])
    async with served(by, options.get("serializer", "default")) as proxy, client_of(proxy, **options) as client:
        acks = []

        async def ask(what):
            await client.emit("say", what, callback=lambda *answer: acks.append(answer))

        assert await client.call("say", SAYS[0], timeout=WAIT_S) == (SAYS[0], {"again": SAYS[0]})
        proxy.swallow_acks()
        for what in SAYS:
            await ask(what)
        await until(lambda: proxy.swallowed == len(SAYS), lambda: (client.heard, proxy))
        await until(lambda: client.heard == [SAYS[0], *SAYS], lambda: client.heard)
        proxy.pass_acks()
        for what in SAYS:
            await ask(what)
        await until(lambda: len(acks) == len(SAYS))
        assert acks == [(what, {"again": what}) for what in SAYS], "those that were asked for later, and whole"
        assert client.heard == [SAYS[0], *SAYS, *SAYS]
        assert proxy.swallowed == len(SAYS)


async def test_one_of_two_clients_is_left_without_acks():
    async with served("python", "default") as proxy, client_of(proxy, transports=["websocket"]) as one:
        async with client_of(proxy, transports=["websocket"]) as other:
            proxy.connections[0].swallow_acks()
            acks = []
            await one.emit("say", 1, callback=acks.append)
            await until(lambda: proxy.connections[0].swallowed == 1)
            assert await other.call("say", 2, timeout=WAIT_S) == (2, {"again": 2})
            assert not acks
        await until(lambda: len(proxy.connections) == 1)
        assert proxy.swallowed == 1


async def test_a_client_that_offers_compression_gets_none_and_no_acks():
    """The server would take it; the proxy does not pass the offer on, or it could not tell acks from the rest."""
    url = "/socket.io/?EIO=4&transport=websocket"
    async with rtlab.serve(make_app()) as server, rtlab.fault_proxy(server) as proxy:
        async with connect(f"{server.ws_url}{url}", compression="deflate") as ws:
            assert ws.protocol.extensions
        proxy.swallow_acks()
        async with connect(f"{proxy.ws_url}{url}", compression="deflate") as ws:
            assert not ws.protocol.extensions
            await ws.recv()
            await ws.send("40")
            await ws.recv()
            await ws.send('421["say","%s"]' % ("x" * 2000))
            assert (await ws.recv())[:10] == '42["said",'
            await until(lambda: proxy.swallowed == 1)


async def test_a_drop_is_noticed_by_both_sides_and_a_client_comes_back():
    async with rtlab.serve(make_app()) as server, rtlab.fault_proxy(server) as proxy:
        client = socketio.AsyncClient(handle_sigint=False, reconnection_delay=0.01, reconnection_delay_max=0.01)
        again = asyncio.Event()
        await client.connect(proxy.url, transports=["websocket"])
        client.on("connect", lambda: again.set())
        proxy.drop()
        async with asyncio.timeout(WAIT_S):
            await again.wait()
            assert await client.call("say", 1, timeout=WAIT_S) == (1, {"again": 1})
        await client.disconnect()
        assert proxy.accepted >= 2


async def test_a_server_with_tls(tmp_path):
    authority = Authority(tmp_path)

    async def body(request):
        return web.Response(body=await request.read())

    app = web.Application()
    app.router.add_post("/", body)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=authority.issue().context).start()
    try:
        url = f"https://localhost:{runner.addresses[0][1]}"
        async with rtlab.fault_proxy(url, ssl=authority.ca) as proxy, ClientSession(proxy.url) as http:
            assert proxy.url == f"http://localhost:{proxy.port}"
            proxy.delay(0.05)
            sent = bytes(range(256)) * 4000
            async with http.post("/", data=sent) as response:
                assert await response.read() == sent
            with pytest.raises(rtlab.UsageError, match="TLS to it, which has no half-closed connection"):
                proxy.half_close("to server")
            proxy.connections[0].half_close("to client")
            await until(lambda: not proxy.connections)
            async with http.post("/", data=b"again") as response:
                assert await response.read() == b"again"
            proxy.drop()
            await until(lambda: not proxy.connections)
    finally:
        await runner.cleanup()


async def test_in_front_of_valkey():
    async with open_broker() as broker, rtlab.fault_proxy(broker) as proxy:
        assert broker.url.partition("@")[0] == proxy.url.partition("@")[0]
        assert "…" in repr(proxy)
        async with Redis.from_url(proxy.url, retry=Retry(NoBackoff(), 0)) as client:
            await client.set("before", 1)
            proxy.stall("to client")
            given_up = asyncio.ensure_future(client.set("late", 1))
            async with Redis.from_url(broker.url) as direct:
                await until(lambda: direct.get("late"), "done, and not answered")
            assert not given_up.done()
            proxy.resume()
            assert await given_up is True
            proxy.drop()
            await until(lambda: not proxy.connections)
            with pytest.raises(rtlab.UsageError, match=r"redis://:…@127.0.0.1:\d+ speaks no HTTP"):
                proxy.swallow_acks()
