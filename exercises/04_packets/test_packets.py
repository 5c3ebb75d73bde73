"""The checks of exercise 04. `rtlab grade 04` runs them: real clients and a real server talk, and your code reads it.

The other end of each client is a bare WebSocket server of this file. It opens a session, lets everybody into every
namespace, acknowledges what asks for it, and keeps each message as it came. A grader may be read. It looks at what
your code does, never at how it is written.
"""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import socketio
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

import rtlab
from rtlab.grading import check, expect
from rtlab.wire.socketio import Decoder, PacketType, encode
from rtlab.wire.socketio import Packet as WirePacket

FORBIDDEN = {
    "rtlab.wire.socketio": "Chapter 04 reads simple packets; the protocol's document has the rest.",
    "rtlab.wire.socketio_packets": "",
    "rtlab.instruments": "",
    "rtlab.realtime": "",
    "socketio.packet": "The protocol's document says what is in a packet.",
    "socketio.msgpack_packet": "",
}

DEMANDS = {
    "a text with placeholders and then one binary message for each attachment": ("test_attachments", "test_a_server"),
    "0 connect, 1 disconnect, 2 event, 3 ack, 4 connect error.": ("test_a_server", "test_namespaces"),
    "With attachments it is still an event or an ack.": "test_attachments",
    "What JSON and attachments say together; None if the packet carries nothing.": ("test_a_server", "test_events"),
    "The number of the acknowledgement that is asked for, or given.": "test_acknowledgements",
    "Turns the messages of one end of one Engine.IO WebSocket into Socket.IO packets.": "test_two_connections",
    "Attachments belong to the packet that announced them.": ("test_attachments", "test_two_connections"),
    "for each, at any depth": ("test_attachments", "test_placeholders"),
    'an object with `"_placeholder": true` stands': "test_placeholders",
    "0 is the one that comes first": "test_placeholders",
    "The data of packets without attachments stays as it is.": "test_placeholders",
    "A packet that announces 0 attachments is complete at once.": "test_placeholders",
    "Engine.IO's own packets may come at any time and change nothing.": "test_engineio_in_between",
    "Nothing is kept of a packet once it is complete.": "test_keeps_nothing",
    "it has no known type (Engine.IO's 0 to 6, Socket.IO's 0 to 6)": "test_refuses_nonsense",
    "or it announces attachments and does not say how many, as `45-[…]`": "test_refuses_attachments",
    "it is not JSON where JSON has to be: events and acknowledgements always carry some.": "test_refuses_nonsense",
    "NaN and Infinity are not JSON": "test_refuses_nonsense",
    "what is nested too deeply for Python's `json` counts as none": "test_refuses_nonsense",
    "it is binary and no attachment is missing": "test_refuses_attachments",
    "it is another Socket.IO packet while one is missing": "test_refuses_attachments",
    'a placeholder has a "num" that is no whole number': "test_refuses_attachments",
    "True is no number. In `450-…` every placeholder is wrong. This is found when the text comes, before any "
    "attachment.": "test_refuses_attachments",
}
"""What README.md and packets.py demand, and the checks that look at it."""

Frame = str | bytes
WITHIN_S = 4
OPEN = '0{"sid":"session","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'
KEPT = 200_000
"""Bytes of each packet of `test_keeps_nothing`."""
QUESTION_ID = 1000
"""The number by which the server of this file asks its first question."""


class Packet(NamedTuple):
    """A packet to compare with, and to show."""

    type: int
    namespace: str
    data: Any
    id: int | None


class Door:
    """A bare server: its URL, and what its clients have said."""

    def __init__(self) -> None:
        self.url = ""
        self.frames: list[Frame] = []

    async def talk(self, ws: ServerConnection) -> None:
        """Serve one client. Whoever sends the event "ask" is asked one question for each argument."""
        decoder = Decoder()
        await ws.send(OPEN)
        await ws.send("2")
        async for frame in ws:
            self.frames.append(frame)
            if isinstance(frame, str) and not frame.startswith("4"):
                continue
            packet = decoder.add(frame[1:] if isinstance(frame, str) else frame)
            if packet is None:
                continue
            if packet.type is PacketType.CONNECT:
                await self._say(ws, WirePacket(PacketType.CONNECT, packet.namespace, {"sid": "socket"}))
            elif packet.type is PacketType.EVENT and packet.data[0] == "ask":
                for number, question in enumerate(packet.data[1:], QUESTION_ID):
                    await self._say(ws, WirePacket(PacketType.EVENT, packet.namespace, ["question", question], number))
            if packet.id is not None and packet.type is PacketType.EVENT:
                await self._say(ws, WirePacket(PacketType.ACK, packet.namespace, ["ok"], packet.id))

    async def _say(self, ws: ServerConnection, packet: WirePacket) -> None:
        for number, frame in enumerate(encode(packet)):
            await ws.send(frame if number else f"4{frame!s}")


@asynccontextmanager
async def door() -> AsyncIterator[Door]:
    made = Door()
    async with serve(made.talk, "127.0.0.1", 0, compression=None, ping_interval=None, close_timeout=1) as server:
        made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield made


async def said_in_javascript(script: str) -> list[Frame]:
    """All that the official JavaScript client sends; the script has `url` and `only`, its options."""
    async with door() as made:
        run = rtlab.node(script, url=made.url, only={"transports": ["websocket"], "auth": {"username": "ada, b"}})
        await expect.arrives("the JavaScript client to come to its end", run, within_s=WITHIN_S)
        return made.frames


async def said_in_python(talk: Callable[[socketio.AsyncClient], Awaitable[object]], **options: Any) -> list[Frame]:
    """All that python-socketio's client sends until it has done `talk`."""
    async with door() as made:
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False, **options)
        await client.connect(made.url, transports=["websocket"])
        await talk(client)
        await client.call("done")
        frames = list(made.frames)  # how it leaves differs between Pythons
        await client.disconnect()
        return frames


def shown(frame: Frame) -> str:
    text = repr(frame)
    return text if len(text) <= 100 else f"{text[:100]} …"


def outline(given: Any) -> Packet | None:
    """What the submission gave, as something that can be compared."""
    if given is None:
        return None
    for name in Packet._fields:
        claim = f"what `add` gives is a Packet with {name!r}, or None"
        expect.that(claim, hasattr(given, name), but=f"it is {given!r}")
    return Packet(given.type, given.namespace, given.data, given.id)


def reads(submission: Any, frames: Sequence[Frame], who: str, assembler: Any = None) -> list[Packet]:
    """Feed all messages; each has to give what it completes. Gives the packets."""
    assembler = assembler or submission.Assembler()
    reference, packets = Decoder(), []
    for number, frame in enumerate(frames, 1):
        wanted: Packet | None = None
        if isinstance(frame, bytes) or frame.startswith("4"):
            packet = reference.add(frame[1:] if isinstance(frame, str) else frame)
            wanted = packet and Packet(int(packet.type), packet.namespace, packet.data, packet.id)
        what = f"what `add` gives for {shown(frame)}, message {number} of {who},"
        given, problem = None, ""
        try:
            given = assembler.add(frame)
        except ValueError as error:
            problem = f"`add` raised {type(error).__name__}: {error}"
        expect.that(f"{shown(frame)}, message {number} of {who}, is accepted", not problem, but=problem)
        expect(what, outline(given), equals=wanted)
        packets += [wanted] if wanted else []
    return packets


@check(
    points=2,
    hints=(
        "In which order do the parts of a packet come, and by which character do you know where each ends?",
        "Take the parts off the front, one by one. What is left when the front is gone is JSON, commas and all.",
    ),
)
async def test_events(submission: Any) -> None:
    """A client in Python sends events whose names and data hold commas, brackets, digits, dashes and other scripts."""

    async def talk(client: socketio.AsyncClient) -> None:
        await client.emit("chat:message", {"room": "lobby", "text": "one, two, /three,4[5]"})
        await client.emit("a, b", ("first", 2, None, [True, {"x": -1.5}]))
        await client.emit("/shop,12", "12-[]")
        await client.emit("grüße", '4"2["你好",\\"]')
        await client.emit("7")

    packets = reads(submission, await said_in_python(talk), "a client in Python")
    expect("the number of packets of the client", len(packets), equals=7)


@check(
    points=2,
    hints=(
        "Which packets have a namespace in front of what, and how do you know that one is there at all?",
        "A namespace begins with a slash and ends at the first comma. A name may hold digits and dashes.",
    ),
)
async def test_namespaces(submission: Any) -> None:
    """A client in JavaScript enters three namespaces, speaks in each of them, and leaves two."""
    script = """
        const [main, shop, room] = ["", "/shop", "/room-7/b2"].map((name) => io(url + name, only));
        await Promise.all([main, shop, room].map((socket) => once(socket, "connect")));
        main.emit("hello", "to all, of /shop,");
        shop.emit("buy", { item: "tea", tags: ["/a", "b,c"] });
        room.emit("say", [1, 2], "7-8");
        room.emit("nothing");
        await room.emitWithAck("done");
        room.disconnect();
        shop.disconnect();
        await main.emitWithAck("done");
    """
    packets = reads(submission, await said_in_javascript(script), "a client in JavaScript")
    expect("the namespaces", {packet.namespace for packet in packets}, equals={"/", "/shop", "/room-7/b2"})


@check(
    points=2,
    hints=(
        "Between the namespace and the JSON a number may stand. How long can it be, and where does it end?",
        "Take digits for as long as there are any. No number at all, and the number 0, are two things.",
    ),
)
async def test_acknowledgements(submission: Any) -> None:
    """A client in JavaScript asks for twelve acknowledgements in each of two namespaces, and gives three."""
    script = """
        const [main, shop] = ["", "/shop"].map((name) => io(url + name, only));
        await Promise.all([main, shop].map((socket) => once(socket, "connect")));
        main.on("question", (text, reply) => reply(text.length, { answer: `no, ${text}` }));
        shop.on("question", (text, reply) => reply());
        main.emit("ask", "why?", "why, then?");
        shop.emit("ask", "really?");
        for (let number = 0; number < 12; number++) {
            await Promise.all([main.emitWithAck("count", number), shop.emitWithAck("count", [number])]);
        }
    """
    packets = reads(submission, await said_in_javascript(script), "a client in JavaScript")
    numbers = sorted({packet.id for packet in packets if packet.id is not None})
    expect("the numbers of the acknowledgements", numbers, equals=[*range(12), QUESTION_ID, QUESTION_ID + 1])


@check(
    points=3,
    hints=(
        "How does `add` know, when bytes come, which packet they belong to, and whether they are its last?",
        "A placeholder can stand at any depth, in objects and in lists. What is left over when the packet is complete?",
    ),
)
async def test_attachments(submission: Any) -> None:
    """A client in JavaScript sends six packets with attachments, at several depths; a heartbeat comes in between."""
    script = """
        const [main, shop] = ["", "/shop-2"].map((name) => io(url + name, only));
        await Promise.all([main, shop].map((socket) => once(socket, "connect")));
        main.on("question", (text, reply) => reply("look, here", Buffer.from("an answer, in bytes")));
        main.emit("photo", Buffer.from("GIF"));
        const list = [{ name: "a,b", data: new Uint8Array([0, 255, 30]) }, "-", [[Buffer.alloc(0)]]];
        main.emit("photos", { list }, 1);
        main.emit("plain", "in between");
        shop.emit("photo", Buffer.from("451-["), Buffer.from("second"), { third: Buffer.from("third") });
        const many = Array.from({ length: 10 }, (_, number) => Buffer.from(`number ${number}`));
        await shop.emitWithAck("many", ...many);
        main.emit("ask", "photo?");
        for (let number = 0; number < 11; number++) {
            await main.emitWithAck("count", number);
        }
        await main.emitWithAck("last", { data: Buffer.from("the last one") });
    """
    frames = await said_in_javascript(script)
    after = next(number for number, frame in enumerate(frames) if str(frame).startswith("453-")) + 2
    packets = reads(submission, [*frames[:after], "3", *frames[after:]], "a client in JavaScript")
    expect("the number of packets", len(packets), equals=21)


@check(
    points=3,
    hints=(
        "Look at the JSON that this client sends. Which attachment belongs to the first placeholder in it?",
        (
            "A placeholder's `_placeholder` is `true` (1 is not), and its packet announces attachments; its `num` says "
            "which one belongs there."
        ),
    ),
)
async def test_placeholders(submission: Any) -> None:
    """A client in Python sorts its JSON, so placeholders change their places; and plain data looks like one."""

    class Sorted:
        loads = staticmethod(json.loads)

        @staticmethod
        def dumps(value: object, **options: Any) -> str:
            return json.dumps(value, sort_keys=True, **options)

    async def talk(client: socketio.AsyncClient) -> None:
        await client.emit("avatar", {"small": b"small", "large": b"large", "middle": [b"middle"]})
        await client.call("avatar", ({"z": {"b": b"1", "a": b"2"}, "c": b"3"}, b"4"))
        await client.emit("note", {"_placeholder": True, "num": 0})
        await client.emit("notes", [{"_placeholder": True, "num": 7}, {"num": 1}])

    frames = await said_in_python(talk, json=Sorted)
    expect.that("the client sorts", '"large":{"_placeholder":true,"num":1}' in str(frames), but=f"it sent {frames}")
    frames += [
        '451-["mixed",{"_placeholder":1,"num":0},{"_placeholder":"true","num":0},{"num":0},{"_placeholder":true,"num":0}]',
        b"5",
    ]
    reads(submission, frames, "a client that sorts its JSON")
    none = outline(submission.Assembler().add('450-["none",{"num":0}]'))
    expect("what `add` gives for '450-[\"none\"…'", none, equals=Packet(2, "/", ["none", {"num": 0}], None))


@check(
    points=1,
    hints=(
        "Print what comes: which messages are Engine.IO's own, and which of Socket.IO's types have you not met yet?",
        "Data is whatever the JSON says: an object, a list, or nothing. A refusal is a packet of type 4.",
    ),
)
async def test_a_server(submission: Any) -> None:
    """Read the other way: a server in Python opens, connects, refuses, pings, answers, and ends a connection."""
    sio = socketio.AsyncServer(async_mode="aiohttp", namespaces=["/", "/shop"])
    sio.on("connect", lambda sid, environ, auth=None: False, namespace="/shop")
    sio.on("sum", lambda sid, *numbers: (sum(numbers), list(numbers)))

    async def leave(sid: str) -> None:
        await sio.emit("bye", (b"bytes", "text"), to=sid)
        await sio.disconnect(sid)

    sio.on("leave", leave)
    frames: list[Frame] = []
    async with rtlab.serve(sio) as server:
        async with connect(f"{server.ws_url}/socket.io/?EIO=4&transport=websocket") as ws:
            for said in ("40", "40/shop,", "40/other,", '4212["sum",1,2]', '42["leave"]'):
                await ws.send(said)
            async for frame in ws:
                frames.append(frame)
                if frame == "41":
                    break
    packets = reads(submission, [*frames[:2], "2", "6", *frames[2:]], "a server in Python")
    expect("the types of its packets", {packet.type for packet in packets}, equals={0, 1, 2, 3, 4})


@check(
    points=1,
    hints=(
        "The first character of a text is Engine.IO's type. Which of its types carry something of Socket.IO's?",
        "Only 4, and what is binary, is Socket.IO's. All other known types give None, whatever follows the digit.",
    ),
)
def test_engineio_in_between(submission: Any) -> None:
    """Engine.IO's own packets, at rest and before each attachment; and attachments that look like packets."""
    own = [OPEN, "1", "2", "2probe", "3", "3probe", "5", "6"]
    text = '462-/shop,12[{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]'
    reads(submission, [*own, text, *own, b"2", *own, b'42["hi"]', *own, '42["then"]'], "a client")


@check(
    points=1,
    hints=(
        "Each connection has an assembler of its own. Where does yours keep what it has of a packet?",
        "What stands in the class, or outside of it, is there once for all. `__init__` is run for each.",
    ),
)
def test_two_connections(submission: Any) -> None:
    """Two clients send attachments at the same time; the messages of one come between those of the other."""
    frames: list[Frame] = [
        "40",
        '452-["photo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        b"mine",
        b"mine, too",
    ]
    mine = submission.Assembler()
    reads(submission, frames[:2], "the first client", mine)
    reads(submission, frames, "the second client")
    expect("what `add` gives for one attachment of two", outline(mine.add(b"mine")), equals=None)
    wanted = Packet(2, "/", ["photo", b"mine", b"mine, too"], None)
    expect("what `add` gives for the second one", outline(mine.add(b"mine, too")), equals=wanted)


@check(
    points=1,
    hints=(
        "What does your assembler still hold when a packet has been given away? Look at each of its attributes.",
        "With the last attachment, forget the packet and its attachments. Do not wait for the next packet to do so.",
    ),
)
def test_keeps_nothing(submission: Any) -> None:
    """Packets of 200 kB, with attachments and without, go through one assembler, and it keeps none of them."""
    assembler = submission.Assembler()
    given, before = 0, 0
    tracemalloc.start()
    for size in (1, *[KEPT] * 3):
        given += outline(assembler.add('451-["photo",{"_placeholder":true,"num":0}]')) is None
        given += outline(assembler.add(bytes(size))) is not None
        given += outline(assembler.add(f'42["text","{"x" * size}"]')) is not None
        gc.collect()
        before = before or tracemalloc.get_traced_memory()[0]  # after a first turn with small packets
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    expect("how often `add` gave what was expected", given, equals=12)
    claim = "an assembler keeps nothing of complete packets of 200 kB each"
    expect.that(claim, kept < KEPT // 4, but=f"it holds {kept // 1000} kB")


def refuses(submission: Any, broken: dict[str, list[Frame]]) -> None:
    """Each of these conversations raises ValueError, at its last message or before."""
    for what, frames in broken.items():
        assembler = submission.Assembler()
        with expect.raises(f"{what}, {' and then '.join(map(shown, frames))},", ValueError):
            for frame in frames:
                assembler.add(frame)


@check(
    points=2,
    hints=(
        "Go through the list on ValueError in the docstring. For which of its cases has your code a line?",
        "`json.loads` and `int` refuse most by themselves, but not NaN or '٣'. Deep nesting raises a RecursionError.",
    ),
)
def test_refuses_nonsense(submission: Any) -> None:
    """Texts that cannot be right: each raises ValueError."""
    deep = "[" * 100_000 + "]" * 100_000
    broken = {
        "an empty message": "",
        "text that is no packet": "hello",
        "a type of Engine.IO that is unknown": "7",
        "a type of Engine.IO that is no digit": 'x2["hi"]',
        "a message without a type of Socket.IO": "4",
        "a type of Socket.IO that is unknown": '47["hi"]',
        "a type that is no digit": '4x["hi"]',
        "JSON that is cut off": '42["hi"',
        "words behind the JSON": '42["hi"]oops',
        "a second JSON behind the first": '42["hi"]["hi"]',
        "an event without data": "42",
        "an event without data, in a namespace": "42/shop,",
        "an acknowledgement without data": "437",
        "a binary event without data": "451-",
        "a binary acknowledgement without data": "461-7",
        "a namespace and no JSON behind it, but words": "42/shop,buy",
        "NaN": '42["sum",NaN]',
        "Infinity": '42["sum",[Infinity]]',
        "minus Infinity": '42["sum",{"n":-Infinity}]',
        "a negative number of an acknowledgement": '42-1["hi"]',
        "a number in digits of another script": '42٣["hi"]',
        "a number of attachments where the type has none": '421-["hi"]',
        "100,000 brackets": f'42["a",{deep}]',
        "100,000 brackets with an attachment": f'451-["a",{{"_placeholder":true,"num":0}},{deep}]',
    }
    refuses(submission, {what: [frame] for what, frame in broken.items()})


@check(
    points=2,
    hints=(
        "Which texts can be right while an attachment is missing? Which numbers are, for two attachments?",
        "Check the type of each number and both bounds when the text comes: an index of -1 or True raises nothing.",
    ),
)
def test_refuses_attachments(submission: Any) -> None:
    """Attachments and placeholders that cannot be right raise ValueError; wrong numbers do at once."""
    one = '451-["a",{"_placeholder":true,"num":0}]'
    broken: dict[str, list[Frame]] = {
        "bytes that nobody has announced": ["40", b"bytes"],
        "bytes behind an announcement of none": ['450-["a"]', b"bytes"],
        "an attachment too many": [one, b"1", b"2"],
        "no number of attachments": ['45["a"]'],
        "a dash and no number of attachments": ['45-["a"]'],
        "a negative number of attachments": ['45-1-["a"]'],
        "a number of attachments with a blank before it": [f"45 {one[2:]}"],
        "bytes for a binary acknowledgement that is not announced": ['46["a"]', b"1"],
    }
    broken |= {
        f"{text!r} while an attachment is missing": [one, text]
        for text in ('42["hi"]', "40/shop,", "41", '431["ok"]', '44{"message":"no"}', one, "4")
    }
    refuses(submission, broken)
    numbers = {"a third attachment of two": "2", "attachment -1": "-1", "attachment true": "true"}
    numbers |= {"attachment null": "null", "attachment '0', a text": '"0"', "attachment 0.5": "0.5"}
    for what, number in numbers.items():
        refuses(submission, {f"a placeholder for {what}": [f'452-["a",[{{"_placeholder":true,"num":{number}}}]]']})
    refuses(submission, {"a placeholder where no attachment is announced": [f"450{one[3:]}"]})
    refuses(submission, {"a placeholder without a number": ['451-["a",{"_placeholder":true}]']})
    refuses(
        submission, {"a bad placeholder behind a good one": [f'{one[:-1]},{{"b":{{"_placeholder":true,"num":1}}}}]']}
    )
