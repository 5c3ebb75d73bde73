"""Each way in which a connection to the chat can end: what the server says of it, and whether the client comes back.

One row each, held on every transport with the Python client and with the official JavaScript client. The page uses the
JavaScript client; what it shows of an end is looked at in a browser (tests/browser).
"""

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web
from chat.serving import SECRET, token
from deadlines import SCALE, WAIT_S
from eventually import until
from quick import quick

import rtlab
from rtlab.chat import CHAT, Limits, connect, create_app
from rtlab.instruments.relay import Relay
from rtlab.instruments.turns import Turns
from rtlab.servers.accepting import stop_accepting
from rtlab.servers.ports import free_port

pytestmark = pytest.mark.timeout(WAIT_S * 4)
LIMITS = Limits(payload_bytes=3_000, burst=20, breaches=5)
LARGE = 5_000


class Line:
    """What lies between a client and a server, and can be cut: TCP ends on both sides without a word."""

    def __init__(self, port: int) -> None:
        self._upstream = ("127.0.0.1", port)
        self._relays: list[Relay] = []
        self._turns = Turns()

    async def open(self) -> str:
        """Gives the address on this side."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._server = await asyncio.get_running_loop().create_server(self._accepted, sock=self._listener)
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def _accepted(self) -> asyncio.Protocol:
        self._relays.append(Relay(self, self._upstream, self._turns))
        return self._relays[-1].client

    async def cut(self) -> None:
        """Everything that is connected now."""
        for relay in self._relays:
            relay.abort()

    async def close(self) -> None:
        """No line any more."""
        await stop_accepting(self._listener)
        self._server.close()
        await self.cut()
        await asyncio.gather(*(relay.closed.wait() for relay in self._relays))

    # What a relay tells

    def portion(self, *_: Any) -> int:
        """Everything at once."""
        return 2**20

    def receive(self, *_: Any) -> None:
        """It goes on as it came."""

    def left_over(self, *_: Any) -> None:
        """What comes after the end goes nowhere."""

    def end(self, *_: Any) -> None:
        """So does an end."""

    def gone(self, _: Relay) -> None:
        """Both ends are closed."""

    def refusal(self, _: str) -> bytes:
        """There is no server: the client is told nothing, at once."""
        return b""


@dataclass
class Scene:
    """A chat with one client in it."""

    app: Any
    server: rtlab.Server
    line: Line
    url: str
    """Of this end of the line."""
    here: asyncio.Event
    """Set when the JavaScript client is in its room, and ready for what comes."""

    @property
    def session(self) -> Any:
        """The client's Engine.IO session."""
        (session,) = self.app[CHAT].sio.eio.sockets.values()
        return session


@dataclass(frozen=True)
class Row:
    """One way to end."""

    reasons: set[str]
    """What the server's disconnect handler hears."""
    back: bool
    """Whether the client comes back by itself."""
    python: Callable[[Any], Awaitable[object]] | None = None
    """What the Python client does; None where the server does it."""
    javascript: str = ""
    """The same in JavaScript."""
    server: Callable[[Scene], Awaitable[object]] | None = None
    """What happens on the server."""
    token_s: float = 600
    """Seconds that the token lasts."""
    ping_timeout_s: int = 20


async def _restart(scene: Scene) -> None:
    scene.app[CHAT].hurry()
    await scene.server.stop()
    scene.app = create_app(secret=SECRET, limits=LIMITS)
    scene.server = await rtlab.start(scene.app, port=scene.server.port, name="again")


async def _cut(scene: Scene) -> None:
    transport = scene.session.transport
    if transport.name == "polling":  # a GET that has not arrived yet would be sent again, and nobody would notice
        await until(lambda: transport.waiting)
    await scene.line.cut()


async def _drop_slow(scene: Scene) -> None:
    scene.session.drop_slow_consumer()


async def _mute(alice: Any) -> None:
    """It does not answer pings any more."""
    engine = alice._sio.eio
    send = engine._send_packet

    async def all_but_pong(packet: Any) -> None:
        if packet.packet_type != 3:
            await send(packet)

    engine._send_packet = all_but_pong
    await alice.next("disconnect", within_s=WAIT_S * 2)
    engine._send_packet = send
    alice._arrivals._events.appendleft(rtlab.chat.client.arrivals.Event("disconnect", "heard"))


async def _chatter(alice: Any) -> None:
    for _ in range(40):
        await alice._sio.emit("chat:leave", "nowhere")


LINE = {"transport close", "transport error"}
ROWS = {
    "the client leaves": Row(
        {"client disconnect", *LINE}, False, python=lambda alice: alice.close(), javascript="socket.disconnect()"
    ),
    "its token ends": Row({"server disconnect"}, False, token_s=4 * SCALE),
    "it says too much": Row(
        {"server disconnect"},
        False,
        python=_chatter,
        javascript="for (let n = 0; n < 40; n++) socket.emit('chat:leave', 'nowhere')",
    ),
    "the server restarts": Row({"server shutting down"}, True, server=_restart),
    # over polling JavaScript still says CLOSE, on another connection, when it has lost one
    "the line is cut": Row({"client disconnect", *LINE}, True, server=_cut),
    "it answers no ping": Row(
        {"ping timeout"},
        True,
        python=_mute,
        javascript="const {engine} = socket.io; const send = engine._sendPacket.bind(engine);"
        "engine._sendPacket = (type, ...rest) => type === 'pong' || send(type, ...rest)",
        ping_timeout_s=1,
    ),
    "it sends what is too large": Row(
        {"transport error"},
        True,
        python=lambda alice: alice._sio.emit("chat:leave", "x" * LARGE),
        javascript=f"socket.emit('chat:leave', 'x'.repeat({LARGE}))",
    ),
    "it sends what is no packet": Row(
        {"parse error"},
        True,
        python=lambda alice: alice._sio.eio.send("9 nonsense"),
        javascript="socket.io.engine.send('9 nonsense')",
    ),
    "it reads too slowly": Row({"slow consumer"}, True, server=_drop_slow),
}
NODE = """
const token = await (await fetch(`${url}/test/token`)).text();  // now: Node may have taken its time to start
const socket = io(url, { transports, auth: { token }, reconnectionDelay: 50, reconnectionDelayMax: 50 });
await once(socket, "connect");
await socket.emitWithAck("chat:join", "lobby");
const ended = once(socket, "disconnect");
await fetch(`${url}/test/here`, { method: "POST" }).catch(() => {});  // its answer may be cut off with the line
await ACTION;
const [reason] = await ended;
if (socket.active) await once(socket, "connect");
console.log(JSON.stringify({ reason, back: socket.active }));
socket.disconnect();
const there = async () => !(await (await fetch(`${url}/metrics`)).text()).includes("rtlab_chat_connections 0.0");
while (await there()) await new Promise((resolve) => setTimeout(resolve, 10));  // or its last request stays behind
"""


@pytest.fixture
async def scene(request):
    """A chat for a row."""
    row = ROWS[request.getfixturevalue("name")]
    app = create_app(secret=SECRET, limits=LIMITS, ping_interval=1, ping_timeout=row.ping_timeout_s)
    here = asyncio.Event()

    async def say_here(_: web.Request) -> web.Response:
        here.set()
        return web.Response()

    async def token_of_alice(_: web.Request) -> web.Response:
        return web.Response(text=token("alice", expires_s=row.token_s))

    app.router.add_post("/test/here", say_here)
    app.router.add_get("/test/token", token_of_alice)
    server = await rtlab.start(app, port=free_port(), name="before")
    line = Line(server.port)
    made = Scene(app, server, line, await line.open(), here)
    yield made
    await line.close()
    made.app[CHAT].hurry()
    await made.server.stop()


def said(caplog) -> list[str]:
    """The reasons that the chat has logged for the namespace /, in order."""
    records = (each for each in caplog.records if each.name == "rtlab.chat" and each.message == "disconnected")
    return [each.reason for each in records if each.namespace == "/"]


@pytest.mark.parametrize("transport", quick(["polling", "websocket"], ["websocket"]))
@pytest.mark.parametrize("name", ROWS)
async def test_the_python_client(scene, name, transport, caplog):
    row = ROWS[name]
    caplog.set_level(logging.INFO)
    who = token("alice", expires_s=row.token_s)
    async with connect(scene.url, token=who, transports=[transport], reconnection_delay=0.05) as alice:
        await alice.join("lobby")
        await alice.next("connect")
        if row.python is not None:
            await row.python(alice)
        elif row.server is not None:
            await row.server(scene)
        if row.back:
            await alice.next("disconnect", within_s=WAIT_S)
            await alice.next("connect", within_s=WAIT_S)
            assert (await alice.send("lobby", "back again")).id
        else:
            with pytest.raises(rtlab.chat.ChatError, match="gone"):
                await alice.next("never", within_s=WAIT_S)
        await until(lambda: said(caplog), "the end is in the log")
        assert said(caplog)[0] in row.reasons


@pytest.mark.parametrize("transport", quick(["polling", "websocket"], ["polling"]))
@pytest.mark.parametrize("name", ROWS)
async def test_the_javascript_client(scene, name, transport, caplog):
    row = ROWS[name]
    caplog.set_level(logging.INFO)
    script = NODE.replace("await ACTION", row.javascript)
    playing = asyncio.create_task(rtlab.node(script, within_s=2 * WAIT_S, url=scene.url, transports=[transport]))
    if row.server is not None:
        await until(lambda: playing.done() or scene.here.is_set())
        await row.server(scene)
    run = await playing
    assert f'"back":{str(row.back).lower()}' in run.text, run.text
    await until(lambda: said(caplog), "the end is in the log")
    assert said(caplog)[0] in row.reasons
