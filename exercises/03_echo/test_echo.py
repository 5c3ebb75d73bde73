"""The checks of exercise 03. `rtlab grade 03` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import weakref
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from rtlab.grading import check, expect

FORBIDDEN = {"rtlab.servers.echo": "It is the chapter's server; take what you need from the notebook."}

DEMANDS = {
    "Each message, in both directions, is one JSON object in a text message.": (
        "test_welcomes_and_echoes",
        "test_answers_bad_json",
    ),
    "The server speaks first": "test_welcomes_and_echoes",
    "with the client's own address and port.": "test_welcomes_and_echoes",
    "From then on the client is one of the peers.": "test_forgets_who_was_cut_off",
    "comes back as it is, to this client only.": ("test_welcomes_and_echoes", "test_broadcasts"),
    "`data` may be any JSON value": "test_welcomes_and_echoes",
    "as large as it likes": "test_answers_bad_json",
    "An echo that has to wait delays its own client only, whose next message is taken after it: echoes do not pile up "
    "for a client that asks and does not read.": "test_a_non_reader_delays_nobody",
    "goes to every peer, the sender included": "test_broadcasts",
    'where "from" is the sender\'s address and port.': "test_broadcasts",
    "with a sentence of yours, and the connection lives on": "test_answers_bad_json",
    'text that is no JSON (NaN is none), JSON that is no such object, a missing "data", a binary message': (
        "test_answers_bad_json"
    ),
    "JSON that Python cannot read or write": "test_answers_bad_json",
    "a broadcast of more than `MAX_UNSENT` bytes.": "test_answers_bad_json",
    "Other fields of a client's message are ignored.": "test_broadcasts",
    "A peer that does not read delays nobody else.": "test_a_non_reader_delays_nobody",
    "Broadcasts that it has not read wait for it, in order and complete": "test_a_non_reader_delays_nobody",
    "A peer for which more would have to wait is cut off at once, without a closing handshake.": (
        "test_lets_go_of_a_non_reader"
    ),
    "When this function ends, for whatever reason, its client is no longer one of the peers": (
        "test_forgets_who_was_cut_off"
    ),
    "nothing of yours refers to its connection.": "test_forgets_who_was_cut_off",
    "peers: who is connected: one set, empty at first, given to every call.": "test_broadcasts",
    "one member for each peer.": ("test_forgets_who_was_cut_off", "test_lets_go_of_a_non_reader"),
}
"""What README.md and echo.py demand, and the checks that look at it."""
IN_TIME_S = 2
"""Seconds for one message. On this machine's own network it takes a thousandth of one."""
KERNEL_BYTES = 64 * 1024
"""Bytes that the operating system is asked to hold at each end. It takes twice as much. That is little enough: what
a peer does not read soon waits in the server."""
BLOCK = "x" * 65_536
"""The data of one large broadcast."""
LARGE = "y" * 900_000
"""The data of a very large one: one of them may wait for a peer, two may not."""
ECHOES, ECHO, MOST_ECHOES = 64, "z" * 262_144, 2_097_152
"""How many echoes a client asks for that reads none, the data of each (all are 16 MiB), and how many bytes may wait for
it (2 MiB): the one echo that waits, and what the library keeps besides."""
ASKING_S = 1
"""Seconds that it has for asking. A server that does not wait takes it all in a tenth of that."""
DEEP = 100_000
"""Brackets within each other. Python gives up at some thousand."""


class Room:
    """A server that runs the submission's `handle` for each connection, and the clients of one check."""

    def __init__(self, submission: Any, port: int = 0) -> None:
        self.submission = submission
        self.port = port
        self.peers: set[Any] = set()
        self.waits_for_the_end = False
        """Whether `handle` is called only when the client has gone: the worst case of one that leaves early."""
        self.connections: dict[str, weakref.ref[ServerConnection]] = {}
        """The server's ends, by the clients' addresses."""
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def run(self, ws: ServerConnection) -> None:
        ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        self.connections[address(ws.remote_address)] = weakref.ref(ws)
        try:
            if self.waits_for_the_end:
                await ws.wait_closed()
            await self.submission.handle(ws, self.peers)
        except ConnectionClosed:
            pass  # that is how most loops end
        finally:
            self._ended[address(ws.remote_address)].set()

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[ClientConnection]:
        """A client that has had its welcome and an echo: so the server's loop for it runs."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        sock.connect(("127.0.0.1", self.port))
        uri = f"ws://127.0.0.1:{self.port}"
        async with connect(uri, sock=sock, compression=None, ping_interval=None, close_timeout=1, max_size=None) as ws:
            wanted = {"type": "welcome", "peer": address(ws.local_address)}
            expect(f"what {name} hears first", await hear(ws, f"the welcome of {name}"), equals=wanted)
            await say(ws, "echo", name)
            await hear(ws, f"the echo for {name}")
            try:
                yield ws
                ws.transport.resume_reading()  # or it would not see that the server closes
            except BaseException:
                ws.transport.abort()  # the check has failed: nobody waits for a closing handshake
                raise

    async def ended(self, ws: ClientConnection, what: str) -> None:
        """Wait until `handle` has ended for this client."""
        await expect.arrives(what, self._ended[address(ws.local_address)].wait(), within_s=IN_TIME_S)

    async def forgets(self, client: str, what: str) -> None:
        """Wait until nothing refers to the server's end of a connection any more."""

        async def collected() -> None:
            while self.connections[client]() is not None:
                gc.collect()
                await asyncio.sleep(0.01)

        await expect.arrives(what, collected(), within_s=IN_TIME_S)


@asynccontextmanager
async def room_of(submission: Any) -> AsyncIterator[Room]:
    room = Room(submission)
    async with serve(room.run, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None) as server:
        room.port = server.sockets[0].getsockname()[1]
        yield room


def address(pair: tuple[Any, ...]) -> str:
    return f"{pair[0]}:{pair[1]}"


async def hear(ws: ClientConnection, what: str) -> Any:
    """The next message, which has to be JSON in a text message."""
    text = expect(what, await expect.arrives(what, ws.recv(), within_s=IN_TIME_S), is_a=str)
    try:
        return json.loads(text, parse_constant=no_json)
    except (ValueError, RecursionError):
        expect.that(f"{what} is JSON (NaN is none)", False, but=f"it is {text!r}")


def no_json(name: str) -> None:
    """What Python's `json` takes for numbers: NaN and Infinity."""
    raise ValueError(f"{name} is no JSON")


async def say(ws: ClientConnection, kind: str, data: object) -> None:
    await expect.arrives(
        f"the server to take a message of type {kind!r}",
        ws.send(json.dumps({"type": kind, "data": data})),
        within_s=IN_TIME_S,
    )


async def shout(sender: ClientConnection, data: object) -> dict[str, object]:
    """Have something broadcast; gives what everybody has to hear."""
    await say(sender, "broadcast", data)
    return {"type": "broadcast", "from": address(sender.local_address), "data": data}


async def shout_blocks(sender: ClientConnection, listener: ClientConnection, count: int) -> None:
    """Broadcast large messages, each after the sender and the listener have heard the one before."""
    for number in range(1, count + 1):
        await shout(sender, f"{number} {BLOCK}")
        for name, ws in (("the listener", listener), ("the sender", sender)):
            what = f"{name} to hear broadcast {number} of {count}, while another peer reads nothing"
            got = await hear(ws, what)
            expect.that(f"{name} hears broadcast {number} then", is_block(got, number), but=f"it heard {str(got)[:80]}")


def is_block(got: Any, number: int) -> bool:
    return isinstance(got, dict) and got.get("data") == f"{number} {BLOCK}"


@check(
    points=2,
    hints=(
        "`ws.remote_address` is a pair: host and port. The message is text, so it needs `json.dumps`.",
        (
            "A `data` that is there can still be null, false or empty: ask whether the key is in the object. "
            "`json.dumps` as it comes writes any text that `json.loads` has read; with `ensure_ascii=False` it does "
            "not."
        ),
    ),
)
async def test_welcomes_and_echoes(submission: Any) -> None:
    """One client is welcomed with its own address, and gets ten values back as they are."""
    values = ["ça va ?", ["a", {"b": [2.5, True]}], 0, None, "", False, {}, [1, "1", True, 1.5, "0", 0, None], "0"]
    async with room_of(submission) as room, room.client("the client") as ws:
        for data in (*values, "half of a pair: \ud83d"):
            await say(ws, "echo", data)
            what = f"the answer to an echo of {json.dumps(data)}"
            expect(what, await hear(ws, what), equals={"type": "echo", "data": data})


@check(
    points=2,
    hints=(
        (
            "Which lines of yours can raise for some input? Everything that a client sends is input. `json.loads` "
            "gives a list, a number or None as gladly as a dict. It also takes bytes, and you are not to."
        ),
        (
            "`json.loads` raises ValueError, and RecursionError for 100,000 brackets. It takes NaN, and makes an "
            "infinite number of 1e400; `json.dumps` refuses both with `allow_nan=False`, and can itself be what "
            "raises. Count what you are about to broadcast, in bytes."
        ),
    ),
)
async def test_answers_bad_json(submission: Any) -> None:
    """Each bad message gets an error as its answer, and the next message is served; nobody else notices."""
    bad: dict[str, str | bytes] = {
        repr(message): message
        for message in (
            *("hello", "", '{"type": "echo", "data": 1', "null", "[]", '"echo"', "{}", "7", "true", "NaN"),
            *('{"type": "echo"}', '{"type": "broadcast"}', '{"type": ["echo"], "data": 1}', '["echo", 1]'),
            *('{"type": "Echo", "data": 1}', '{"type": "echo ", "data": 1}', '{"Type": "echo", "data": 1}'),
            *('{"type": "sing", "data": 1}', '{"type": null, "data": 1}', '{"type": "echo", "Data": 1}'),
            *('{"type": "echo", "data": NaN}', '{"type": "broadcast", "data": [-Infinity]}', '{"data": 1}'),
            *('{"type": "echo", "data": 1}{"type": "echo", "data": 2}', '[{"type": "echo", "data": 1}]'),
            *(b'{"type": "echo", "data": 1}', b"\xff\xfe"),
        )
    }
    bad[f"{DEEP:,} opening brackets"] = "[" * DEEP
    bad[f"an echo of {DEEP:,} opening brackets"] = '{"type": "echo", "data": ' + "[" * DEEP
    bad["a broadcast of 1,050,000 letters"] = json.dumps({"type": "broadcast", "data": "z" * 1_050_000})
    bad["a broadcast of 600,000 ü"] = json.dumps({"type": "broadcast", "data": "ü" * 600_000}, ensure_ascii=False)
    strange = {
        "an echo of 1e400": "1e400",
        "an echo of a number with 5,000 digits": "7" * 5000,
        **{f"an echo of {deep} brackets": "[" * deep + "]" * deep for deep in (960, 970, 980, *range(985, 1000))},
    }
    messages = bad | {name: '{"type": "echo", "data": ' + data + "}" for name, data in strange.items()}
    async with room_of(submission) as room, room.client("the client") as ws, room.client("another client") as other:
        for name, message in messages.items():
            await expect.arrives("the server to take a message", ws.send(message), within_s=IN_TIME_S)
            what = f"the answer to {name}"
            if name in strange:
                text = await expect.arrives(what, ws.recv(), within_s=IN_TIME_S)
                claim = f"{what} is an echo of it or an error, in JSON"
                holds = is_error(text) or strange[name] in "".join(str(text).split())
                expect.that(claim, holds, but=f"it is {str(text)[:80]}")
            else:
                answer = expect(what, await hear(ws, what), is_a=dict)
                expect(f"the type of {what}", answer.get("type"), equals="error")
                expect(f"the fields of {what}", sorted(answer), equals=["message", "type"])
                sentence = expect(f"the message in {what}", answer.get("message"), is_a=str)
                expect.that(f"the message in {what} has words", sentence.strip(), but="it is empty")
            await say(ws, "echo", name)
            what = f"the answer to an echo after {name}"
            expect(what, await hear(ws, what), equals={"type": "echo", "data": name})
        large = "z" * 1_100_000
        await say(ws, "echo", large)
        what = "the answer to an echo of 1,100,000 letters"
        expect(what, await hear(ws, what), equals={"type": "echo", "data": large})
        wanted = await shout(ws, "z" * 1_045_000)
        for name, client in (("the sender", ws), ("another client", other)):
            what = f"what {name} hears next, when 1,045,000 letters are broadcast"
            expect(what, await hear(client, what), equals=wanted)


def is_error(text: object) -> bool:
    """Whether it is JSON of the type error."""
    try:
        answer = json.loads(text, parse_constant=no_json) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return False
    return isinstance(answer, dict) and answer.get("type") == "error"


@check(
    points=2,
    hints=(
        "The set is the same object in every call. When does a client become a peer, and who adds it?",
        (
            "An echo answers one client; a broadcast is sent to every member of the `peers` of this call, and the "
            'sender is one of them. Make the message anew: its "from" is the address of the connection, whatever the '
            "client wrote."
        ),
    ),
)
async def test_broadcasts(submission: Any) -> None:
    """A broadcast reaches three clients once, in order, and nobody on another server; an echo only who has asked."""
    async with (
        room_of(submission) as room,
        room.client("the first client") as first,
        room.client("the second client") as second,
        room.client("the third client") as third,
    ):
        await say(first, "echo", "for me")
        expect("the echo", await hear(first, "the echo"), equals={"type": "echo", "data": "for me"})
        wanted = [await shout(first, data) for data in ({"n": 1}, "two", None, "half of a pair: \ud83d", True, 0, "")]
        forged = {"type": "broadcast", "from": address(second.local_address), "data": "mine", "to": "nobody"}
        await expect.arrives("the server to take a message", first.send(json.dumps(forged)), within_s=IN_TIME_S)
        wanted.append({"type": "broadcast", "from": address(first.local_address), "data": "mine"})
        for name, ws in (("the first", first), ("the second", second), ("the third", third)):
            for message in wanted:
                what = f"{name} client to hear the broadcast of {json.dumps(message['data'])}"
                expect(f"what {name} client hears next", await hear(ws, what), equals=message)
        longer = {"type": "echo", "data": 1, "from": "nobody", "more": [2]}
        await expect.arrives("the server to take a message", third.send(json.dumps(longer)), within_s=IN_TIME_S)
        what = "the answer to an echo with other fields"
        expect(what, await hear(third, what), equals={"type": "echo", "data": 1})
        async with room_of(submission) as elsewhere, elsewhere.client("a client of a second server") as stranger:
            expect("the number of peers of the second server", len(elsewhere.peers), equals=1)
            expect("the number of peers of the first server", len(room.peers), equals=3)
            message = await shout(stranger, "hello here")
            what = "the client of the second server to hear its own broadcast"
            expect("what it hears", await hear(stranger, what), equals=message)
            message = await shout(first, "hello there")
            for name, ws in (("the first", first), ("the second", second), ("the third", third)):
                what = f"{name} client to hear the next broadcast of its own server"
                expect(f"what {name} client hears next", await hear(ws, what), equals=message)
            await say(stranger, "echo", "alone")
            what = "what the client of the second server hears next"
            expect(what, await hear(stranger, what), equals={"type": "echo", "data": "alone"})


@check(
    points=2,
    hints=(
        "How does `async for` end when a client closes, and how when its network is gone?",
        (
            "A line after the loop is not reached when the loop raises; `finally` is. What if the welcome raises, "
            "because the client has gone before it: is it a peer then? And what else of yours still holds the "
            "connection?"
        ),
    ),
)
async def test_forgets_who_was_cut_off(submission: Any) -> None:
    """Of three clients one is cut off and one closes; each time the set has one peer less, and the third is served."""
    async with room_of(submission) as room, room.client("the client that stays") as stays:
        async with room.client("the client that is cut off") as cut:
            expect("the number of peers with two clients", len(room.peers), equals=2)
            cut.transport.abort()
            await room.ended(cut, "`handle` to end for the client that was cut off")
        expect("the number of peers after one of two was cut off", len(room.peers), equals=1)
        wanted = await shout(stays, "anybody?")
        expect("what the other one hears", await hear(stays, "the one that stays to hear its own"), equals=wanted)
        async with room.client("the client that closes") as closes:
            expect("the number of peers with a new client", len(room.peers), equals=2)
            client = address(closes.local_address)
            await shout(closes, "goodbye")
            for ws in (closes, stays):
                await hear(ws, "both clients to hear a broadcast")
        await room.ended(closes, "`handle` to end for the client that closed")
        expect("the number of peers after one of two has closed", len(room.peers), equals=1)
        await room.forgets(client, "the connection to be forgotten everywhere after its client has closed")
        room.waits_for_the_end = True
        gone = await connect(f"ws://127.0.0.1:{room.port}", compression=None, ping_interval=None, close_timeout=1)
        gone.transport.abort()
        await room.ended(gone, "`handle` to end for a client that has gone before its welcome")
        expect("the number of peers after a client has gone before its welcome", len(room.peers), equals=1)


@check(
    points=3,
    hints=(
        "`await peer.send(…)` ends when there is room for the message. When is that, for a peer that does not read?",
        (
            "Writing to a connection and waiting for it are two things. If a broadcast does not wait, what does "
            "instead? An echo may wait: only the client that has asked for it is delayed."
        ),
    ),
)
async def test_a_non_reader_delays_nobody(submission: Any) -> None:
    """Ten broadcasts of 64 KiB reach two clients while a third reads nothing; then it reads, and has missed none."""
    count = 10
    async with (
        room_of(submission) as room,
        room.client("the sender") as sender,
        room.client("the client that does not read") as idle,
        room.client("the listener") as listener,
    ):
        idle.transport.pause_reading()
        await shout_blocks(sender, listener, count)
        idle.transport.resume_reading()
        for number in range(1, count + 1):
            what = f"broadcast {number} of {count} at the client that reads again"
            got = await hear(idle, what)
            expect.that(f"it hears broadcast {number} then", is_block(got, number), but=f"it heard {str(got)[:80]}")
        await asks_and_does_not_read(room, idle)


async def asks_and_does_not_read(room: Room, client: ClientConnection) -> None:
    """Have a client ask for many echoes and read none; observe that the server takes no more than it can give."""

    async def ask() -> None:
        for _ in range(ECHOES):
            await client.send(json.dumps({"type": "echo", "data": ECHO}))

    client.transport.pause_reading()
    asking = asyncio.create_task(ask())
    await asyncio.wait({asking}, timeout=ASKING_S)
    asking.cancel()
    server_side = room.connections[address(client.local_address)]()
    held = server_side.transport.get_write_buffer_size() if server_side else 0
    what = f"at most {MOST_ECHOES:,} bytes wait at the server for a client that asks for {ECHOES} echoes and reads none"
    expect.that(what, held <= MOST_ECHOES, but=f"{held:,} do")
    client.transport.abort()


@check(
    points=1,
    hints=(
        "Something on the server holds what a peer has not read. Can you ask it how much it is before you add to it?",
        (
            "`ws.transport.get_write_buffer_size()` tells how many bytes wait for a peer. Add the bytes of the new "
            "message, and compare before you write. `abort()` of the same transport ends it at once. Look at every "
            "peer."
        ),
    ),
)
async def test_lets_go_of_a_non_reader(submission: Any) -> None:
    """Clients that read nothing are cut off as soon as more than 1 MiB would wait for them; the others hear it all."""
    async with (
        room_of(submission) as room,
        room.client("the sender") as sender,
        room.client("the client that does not read") as idle,
        room.client("the listener") as listener,
    ):
        idle.transport.pause_reading()
        await shout_blocks(sender, listener, 48)
        await room.ended(idle, "`handle` to end at once for a client that left more than 1 MiB unread")
        expect("the number of peers then", len(room.peers), equals=2)
        async with (
            room.client("a second one that does not read") as second,
            room.client("a third one that does not read") as third,
        ):
            for ws in (second, third):
                ws.transport.pause_reading()
            for nth, peers in (("first", 4), ("second", 2)):
                wanted = await shout(sender, LARGE)
                for name, ws in (("the listener", listener), ("the sender", sender)):
                    what = f"{name} to hear the {nth} of two broadcasts of 900,000 letters"
                    expect(f"what {name} hears then", await hear(ws, what), equals=wanted)
                for ws in (second, third) if nth == "second" else ():
                    what = "`handle` to end at once for both clients for which two such broadcasts would wait"
                    await room.ended(ws, what)
                expect(f"the number of peers after the {nth} such broadcast", len(room.peers), equals=peers)
