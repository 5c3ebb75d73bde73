"""The tap between real Socket.IO clients and servers, of Python and of JavaScript, over every transport."""

import asyncio
from contextlib import asynccontextmanager

import pytest
import socketio
from aiohttp import web
from deadlines import WAIT_S
from socketio.msgpack_packet import MsgPackPacket
from websockets.asyncio.client import connect

import rtlab
from rtlab.instruments.transcript.transcript import Kind, Transcript

pytestmark = pytest.mark.timeout(WAIT_S * 3)

BRIEF = {"ping_interval": 1, "ping_timeout": 1}
"""A Python client that leaves on polling waits for its last request, which takes the server the sum of these."""


def make_app(**options) -> web.Application:
    sio = socketio.AsyncServer(async_mode="aiohttp", **options)
    app = web.Application()
    sio.attach(app)

    @sio.on("chat:join")
    async def join(sid, room):
        return {"room": room, "you": sid}

    @sio.on("photo")
    async def photo(sid, name, data):
        await sio.emit("photo", {"from": sid, "data": data})
        return name, data[:2]

    @sio.on("ask me")
    async def ask_me(sid):
        await sio.emit("question", "why?", to=sid, callback=lambda *_: None)

    @sio.on("connect", namespace="/admin")
    async def admin(sid, environ, auth):
        raise socketio.exceptions.ConnectionRefusedError("Not authorized")

    @sio.on("hi", namespace="/chat")
    async def hi(sid, text):
        return text.upper()

    return app


@asynccontextmanager
async def tapped(**options):
    async with rtlab.serve(make_app(**options)) as server, rtlab.tap(server) as tap:
        yield tap


async def python_client(url: str, **options) -> None:
    """Join, send a photo and get it, answer a question, and leave."""
    photo = asyncio.Event()
    asked = asyncio.Event()
    serializer = options.pop("serializer", "default")
    client = socketio.AsyncClient(handle_sigint=False, reconnection=False, serializer=serializer)
    client.on("photo", lambda _: photo.set())

    @client.on("question")
    async def question(_):
        asked.set()
        return "because"

    await client.connect(url, namespaces=["/", "/chat"], **options)
    try:
        await client.call("chat:join", "lobby", timeout=WAIT_S)
        await client.call("photo", ("a.png", b"hello"), timeout=WAIT_S)
        await asyncio.wait_for(photo.wait(), WAIT_S)
        await client.call("hi", "there", namespace="/chat", timeout=WAIT_S)
        await client.emit("ask me")
        await asyncio.wait_for(asked.wait(), WAIT_S)
    finally:
        await client.disconnect()


JAVASCRIPT = """
const options = { ...(transports && { transports }), ...(packed && { parser: msgpackParser }) };
const socket = io(url, options);
socket.on("question", (_, answer) => answer("because"));
await once(socket, "connect");
if (!transports && socket.io.engine.transport.name !== "websocket") await once(socket.io.engine, "upgrade");
await socket.emitWithAck("chat:join", "lobby");
const photo = once(socket, "photo");
await socket.emitWithAck("photo", "a.png", Buffer.from("hello"));
await photo;
const chat = io(url + "/chat", options);
await once(chat, "connect");
await chat.emitWithAck("hi", "there");
const admin = io(url + "/admin", { ...options, auth: { token: "x" } });
await once(admin, "connect_error");
const question = once(socket, "question");
socket.emit("ask me");
await question;
await socket.emitWithAck("chat:join", "last");
"""


def answered(found: Transcript) -> list[tuple[str, str, str]]:
    """What was answered: the type of each answer, in which namespace, and what it answers."""
    return [
        (packet.socketio, packet.namespace, packet.asked)
        for row in found
        for packet in row.packets
        if packet.answers is not None and packet.socketio
    ]


ANSWERED = {
    ("CONNECT", "/", "CONNECT"),
    ("CONNECT", "/chat", "CONNECT"),
    ("ACK", "/", "'chat:join'"),
    ("BINARY_ACK", "/", "'photo'"),
    ("ACK", "/chat", "'hi'"),
    ("ACK", "/", "'question'"),
}


def check(found: Transcript, *, packed: bool = False) -> None:
    """What holds whatever the transport."""
    wrong = [row for row in found.problems if row.kind is not Kind.END]
    assert not wrong, str(found)
    wanted = {(kind.removeprefix("BINARY_") if packed else kind, *rest) for kind, *rest in ANSWERED}
    assert wanted <= set(answered(found)), str(found)
    for row in found:
        assert row.answers is None or row.answers < row.clock
        assert row.client == "client-1"
        for packet in row.packets:
            if packet.answers is not None and packet.event:
                asking = found[packet.answers]
                assert packet.event in [each.event for each in asking.packets], "it answers what it says"
                assert asking.direction is row.direction.back
    sent = found.only(event="photo", direction="to client")
    assert [
        packet.data
        for row in sent
        for packet in row.packets
        if packet.data and not packet.asked and "from" in packet.data
    ] == ['{"from": "socket-1", "data": "<5 bytes>"}']


@pytest.mark.parametrize("transports", [["polling"], None, ["websocket"]], ids=["polling", "upgrade", "websocket"])
async def test_python_client(transports):
    async with tapped(**BRIEF) as tap:
        await python_client(tap.url, transports=transports)
        found = await tap.wait_for(lambda rows: ("ACK", "/", "'question'") in answered(rows))
    check(found)
    kinds = {row.kind for row in found.packets}
    assert (Kind.FRAME in kinds) is (transports != ["polling"])
    assert (Kind.RESPONSE in kinds) is (transports != ["websocket"])
    assert {row.session for row in found.packets} == {"session-1"}


@pytest.mark.parametrize("transports", [["polling"], None, ["websocket"]], ids=["polling", "upgrade", "websocket"])
async def test_javascript_client(transports):
    async with tapped() as tap:
        await rtlab.node(JAVASCRIPT, url=tap.url, transports=transports, packed=False)
        found = await tap.wait_for(lambda rows: ("ACK", "/", "'question'") in answered(rows))
    check(found)
    assert ("CONNECT_ERROR", "/admin", "CONNECT") in answered(found)
    if transports is None:
        words = [str(packet) for row in found for packet in row.packets]
        probe = next(row for row in found if any("PONG · upgrade: probe" in str(each) for each in row.packets))
        assert found[probe.answers].message == "2probe"
        assert "Engine.IO UPGRADE · the session goes on over this WebSocket" in words
        assert found.only(kind="handshake")[0].note == "Engine.IO over WebSocket, the upgrade of a session"


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]], ids=["polling", "websocket"])
async def test_messagepack(transports):
    async with tapped(serializer="msgpack", **BRIEF) as tap:
        await python_client(tap.url, transports=transports, serializer="msgpack")
        found = await tap.wait_for(lambda rows: ("ACK", "/", "'question'") in answered(rows))
    check(found, packed=True)
    assert "Socket.IO EVENT 'chat:join' in /, asks for ack 1 (MessagePack: \"lobby\")" in str(found)


async def test_messagepack_of_javascript_with_a_python_server():
    """A client without auth says undefined, which python-socketio takes for an auth: an extension of type 0."""

    def undefined(code, data):
        return None if (code, data) == (0, b"\0") else (code, data)

    serializer = MsgPackPacket.configure(ext_hook=undefined)
    async with tapped(serializer=serializer) as tap:
        await rtlab.node(JAVASCRIPT, url=tap.url, transports=["websocket"], packed=True)
        found = await tap.wait_for(lambda rows: ("ACK", "/", "'question'") in answered(rows))
    check(found, packed=True)
    assert ("CONNECT_ERROR", "/admin", "CONNECT") in answered(found)


async def test_javascript_on_both_ends():
    script = """
const sio = new Server(httpServer, packed ? { parser: msgpackParser } : {});
sio.on("connection", (socket) => {
  socket.on("chat:join", (room, answer) => answer({ room, you: socket.id }));
  socket.on("photo", (name, data, answer) => { sio.emit("photo", { from: socket.id, data }); answer(name, data); });
  socket.on("ask me", () => socket.emit("question", "why?", () => {}));
});
sio.of("/chat").on("connection", (socket) => socket.on("hi", (text, answer) => answer(text.toUpperCase())));
sio.of("/admin").use((socket, next) => next(new Error("Not authorized")));
"""
    for packed in (False, True):
        async with rtlab.node_server(script, packed=packed) as server, rtlab.tap(server) as tap:
            await rtlab.node(JAVASCRIPT, url=tap.url, transports=None, packed=packed)
            found = await tap.wait_for(lambda rows: ("ACK", "/", "'question'") in answered(rows))
            check(found, packed=packed)


async def test_the_same_conversation_reads_the_same():
    """Ids and ports differ, and nothing else: what notebooks show can be compared."""
    texts = []
    for _ in range(2):
        async with tapped() as tap:
            await python_client(tap.url)
            found = await tap.wait_for(lambda rows: rows and rows[-1].opcode == "CLOSE")
            await tap.wait_for(lambda _, tap=tap: tap.connections == 0)
        texts.append(str(tap.transcript))
        assert found
    assert texts[0] == texts[1]
    assert "as socket-1, answers row" in texts[0]


async def test_two_clients_have_a_lane_each():
    async with tapped(**BRIEF) as tap:
        first = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        second = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        heard = asyncio.Queue()
        for client in (first, second):
            client.on("photo", heard.put)
            await client.connect(tap.url, transports=["polling"])
        await first.call("photo", ("a.png", b"hello"), timeout=WAIT_S)
        for _ in range(2):
            await asyncio.wait_for(heard.get(), WAIT_S)
        found = tap.transcript
        for client in (first, second):
            await client.disconnect()
    assert {row.client for row in found} == {"client-1", "client-2"}
    assert len({row.connection for row in found}) > 2, "over more connections than that"
    assert {row.session for row in found.only(client="client-2").packets} == {"session-2"}
    assert not found.problems


async def test_a_client_that_breaks_the_rules():
    async with tapped() as tap, connect(f"{tap.ws_url}/socket.io/?EIO=4&transport=websocket") as ws:
        await ws.recv()
        await ws.send("40")
        await ws.recv()
        await ws.send('42["chat:join"')
        await ws.send('431["nobody asked"]')
        found = await tap.wait_for(lambda rows: len(rows.problems) >= 2)
    assert [row.problem for row in found.problems][:2] == [
        "expected JSON, got '[\"chat:join\"' (RFC 8259 §2)",
        "no event waits for ack 1 (Socket.IO protocol v5, Acknowledgement)",
    ]
