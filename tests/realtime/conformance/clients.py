"""Raw clients, which say exactly what they are told to.

What lives here: a session that polls, a WebSocket, Socket.IO packets over either, and `same`, the one way to say what
was expected. It must not know which server is at the other end, nor keep it from seeing nonsense.
"""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgpack
from deadlines import SCALE, WAIT_S
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from rtlab.wire import engineio, socketio

if TYPE_CHECKING:
    from realtime.conformance.lab import Lab

__all__ = [
    "ACK",
    "CONNECT",
    "DISCONNECT",
    "EVENT",
    "SOON_S",
    "Answer",
    "Client",
    "Pending",
    "Polling",
    "WebSocket",
    "same",
]

SOON_S = 2.0 * SCALE
"""How long a behaviour has that a server is known not to have: it is waited for in vain."""
EVENT, ACK, CONNECT, DISCONNECT = (
    socketio.PacketType.EVENT,
    socketio.PacketType.ACK,
    socketio.PacketType.CONNECT,
    socketio.PacketType.DISCONNECT,
)


def same(what: str, got: object, expected: object) -> None:
    """Hold what was got to what was expected; a set is several, of which one is enough."""
    holds = got in expected if isinstance(expected, set) else got == expected
    if not holds:
        wanted = " or ".join(sorted(map(_shown, expected))) if isinstance(expected, set) else _shown(expected)
        raise AssertionError(f"{what}: expected {wanted}, got {_shown(got)}")


def _shown(value: object) -> str:
    return str(value) if isinstance(value, engineio.EnginePacket | socketio.Packet) else repr(value)


@dataclass(frozen=True)
class Answer:
    """To an HTTP request."""

    status: int
    text: str
    content_type: str = ""

    @property
    def packets(self) -> list[engineio.EnginePacket]:
        """What is in the body."""
        same("the status", self.status, 200)
        return engineio.decode_payload(self.text)


class Pending:
    """A request that the server has begun with (it has said 100 Continue), and has not answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self) -> Answer:
        """Wait for the answer."""
        head, _, body = (await self._reader.read()).partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        same("the first line of the answer", first[:9], "HTTP/1.1 ")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in rest)}
        return Answer(int(first.split()[1]), body.decode(), fields.get("content-type", ""))

    async def say(self, more: bytes) -> None:
        """Send more of the body."""
        self._writer.write(more)
        await self._writer.drain()

    async def abandon(self) -> None:
        """Close the connection."""
        self._writer.close()
        await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)


class Polling:
    """A session over HTTP long-polling."""

    def __init__(self, lab: Lab, handshake: engineio.Handshake) -> None:
        self.handshake = handshake
        self._lab = lab
        self._read: list[engineio.EnginePacket] = []

    @property
    def query(self) -> dict[str, str]:
        """What each of its requests has in its query."""
        return {"EIO": "4", "transport": "polling", "sid": self.handshake.sid}

    async def get(self) -> Answer:
        """Poll once."""
        return await self._lab.request("GET", **self.query)

    async def begin_get(self) -> Pending:
        """Poll, and wait only until the server has begun with it."""
        return await self._lab.begin("GET", b"", 0, **self.query)

    async def post(self, body: str | bytes) -> Answer:
        """Post a body."""
        return await self._lab.request("POST", body, **self.query)

    async def send(self, *packets: engineio.EnginePacket) -> None:
        """Post packets, which the server has to take."""
        answer = await self.post(engineio.encode_payload(packets))
        same("the answer to a POST", (answer.status, answer.text.lower()), (200, "ok"))

    async def receive(self) -> engineio.EnginePacket:
        """The next packet."""
        while not self._read:
            self._read = (await self.get()).packets
        return self._read.pop(0)

    async def is_gone(self) -> None:
        """Hold the server to not knowing the session any more."""
        answer = await self.get()
        same("the status of the next GET", answer.status, 400)


class WebSocket:
    """A WebSocket on which Engine.IO packets go."""

    handshake: engineio.Handshake

    def __init__(self, raw: ClientConnection) -> None:
        self.raw = raw

    async def send(self, *packets: engineio.EnginePacket) -> None:
        """Send packets."""
        for packet in packets:
            await self.raw.send(engineio.encode_packet(packet))

    async def receive(self) -> engineio.EnginePacket:
        """The next packet."""
        return engineio.decode_packet(await self.raw.recv())

    async def ends(self, *, within_s: float = WAIT_S) -> None:
        """Wait until the server has closed it; whatever comes before does not matter."""
        try:
            async with asyncio.timeout(within_s):
                async for _ in self.raw:
                    pass
        except TimeoutError:
            raise AssertionError("the WebSocket: expected it to be closed, and it is open") from None
        except ConnectionClosed:
            pass


class Client:
    """Socket.IO packets over either transport, as JSON with attachments or as MessagePack."""

    def __init__(self, lab: Lab, transport: Polling | WebSocket) -> None:
        self.transport = transport
        self._lab = lab
        self._decoder = socketio.Decoder()
        self._ids = itertools.count(1)

    async def say(self, *messages: str | bytes) -> None:
        """Send Engine.IO messages as they are."""
        for message in messages:
            await self.transport.send(engineio.EnginePacket(engineio.EnginePacketType.MESSAGE, message))

    async def send(self, packet: socketio.Packet) -> None:
        """Send a packet."""
        if self._lab.configuration.msgpack:
            fields = {"type": packet.type, "nsp": packet.namespace, "data": packet.data, "id": packet.id}
            await self.say(msgpack.packb({key: value for key, value in fields.items() if value is not None}))
        else:
            await self.say(*socketio.encode(packet))

    async def receive(self) -> socketio.Packet:
        """The next packet. Pings are answered on the way, and what says nothing is passed over."""
        while True:
            packet = await self.transport.receive()
            if packet.type is engineio.EnginePacketType.PING:
                await self.transport.send(engineio.EnginePacket(engineio.EnginePacketType.PONG))
            if packet.type in {engineio.EnginePacketType.PING, engineio.EnginePacketType.NOOP}:
                continue
            same("the type of the Engine.IO packet", packet.type.name, "MESSAGE")
            if self._lab.configuration.msgpack:
                return socketio.from_fields(msgpack.unpackb(packet.data))
            complete = self._decoder.add(packet.data)
            if complete is not None:
                return complete

    async def connect(self, namespace: str = "/", **auth: Any) -> str:
        """Enter a namespace; gives the id there."""
        await self.send(socketio.Packet(CONNECT, namespace, {**auth, "tag": self._lab.tag}))
        answer = await self.receive()
        same("the answer to CONNECT", (answer.type.name, answer.namespace), ("CONNECT", namespace))
        sid: str = answer.data["sid"]
        return sid

    async def emit(self, *data: Any, namespace: str = "/") -> None:
        """Send an event."""
        await self.send(socketio.Packet(EVENT, namespace, list(data)))

    async def request(self, *data: Any, namespace: str = "/") -> Any:
        """Send an event, and give what it is acknowledged with."""
        number = next(self._ids)
        await self.send(socketio.Packet(EVENT, namespace, list(data), number))
        answer = await self.receive()
        same("the answer", (answer.type.name, answer.namespace, answer.id), ("ACK", namespace, number))
        return answer.data

    async def is_there(self, namespace: str = "/") -> None:
        """Hold the server to answering still."""
        same("an acknowledgement", await self.request("message-with-ack", "still?", namespace=namespace), ["still?"])

    async def is_cut_off(self, *, after: str | bytes | tuple[str | bytes, ...]) -> None:
        """Say something, then something harmless, and hold the server to closing the connection over the first."""
        try:
            await self.say(*(after if isinstance(after, tuple) else (after,)))
            await self.emit("message", "still there")
            packet = await self.receive()
        except ConnectionClosed:
            return
        raise AssertionError(f"the connection: expected it to be closed, and it goes on with {packet}")
