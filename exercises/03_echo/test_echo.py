"""The checks of exercise 03. `rtlab grade 03` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from rtlab.grading import check, expect

FORBIDDEN = {"rtlab.servers.echo": "It is the chapter's server; take what you need from the notebook."}

IN_TIME_S = 2
"""Seconds for one message. On this machine's own network it takes a thousandth of one."""
KERNEL_BYTES = 64 * 1024
"""Bytes that the operating system is asked to hold at each end. It takes twice as much. That is little enough: what
a peer does not read soon waits in the server."""
BLOCK = "x" * 65_536
"""The data of one large broadcast."""


class Room:
    """A server that runs the submission's `handle` for each connection, and the clients of one check."""

    def __init__(self, submission: Any, port: int = 0) -> None:
        self.submission = submission
        self.port = port
        self.peers: set[Any] = set()
        self._ended: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    async def run(self, ws: ServerConnection) -> None:
        ws.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        try:
            await self.submission.handle(ws, self.peers)
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


@asynccontextmanager
async def room_of(submission: Any) -> AsyncIterator[Room]:
    room = Room(submission)
    async with serve(room.run, "127.0.0.1", 0, compression=None, ping_interval=None, max_size=None) as server:
        room.port = server.sockets[0].getsockname()[1]
        yield room


def address(pair: tuple[Any, ...]) -> str:
    return f"{pair[0]}:{pair[1]}"


async def hear(ws: ClientConnection, what: str) -> Any:
    """The next message, which has to be JSON."""
    text = await expect.arrives(what, ws.recv(), within_s=IN_TIME_S)
    try:
        return json.loads(text)
    except ValueError:
        return expect(what, text, is_a=dict)  # never met: it is text


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
        "A `data` that is there can still be null, false or empty. Ask whether the key is in the object.",
    ),
)
async def test_welcomes_and_echoes(submission: Any) -> None:
    """One client is welcomed with its own address, and gets five values back as they are."""
    async with room_of(submission) as room, room.client("the client") as ws:
        for data in ("ça va ?", ["a", {"b": [2.5, True]}], 0, None, ""):
            await say(ws, "echo", data)
            what = f"the answer to an echo of {json.dumps(data)}"
            expect(what, await hear(ws, what), equals={"type": "echo", "data": data})


@check(
    points=2,
    hints=(
        "Which lines of yours can raise for some input? Everything that a client sends is input.",
        "`json.loads` gives a list, a number or None as gladly as a dict. It also takes bytes, and you are not to.",
    ),
)
async def test_answers_bad_json(submission: Any) -> None:
    """Each of eleven bad messages gets an error as its answer, and the next message is served."""
    bad: list[str | bytes] = ["hello", "", '{"type": "echo", "data": 1', "null", "[]", '"echo"', "{}"]
    bad += [
        '{"type": "echo"}',
        '{"type": "broadcast"}',
        '{"type": ["echo"], "data": 1}',
        b'{"type": "echo", "data": 1}',
    ]
    async with room_of(submission) as room, room.client("the client") as ws:
        for number, message in enumerate(bad):
            await expect.arrives("the server to take a message", ws.send(message), within_s=IN_TIME_S)
            what = f"the answer to {message!r}"
            answer = expect(what, await hear(ws, what), is_a=dict)
            expect(f"the type of {what}", answer.get("type"), equals="error")
            expect(f"the message in {what}", answer.get("message"), is_a=str)
            await say(ws, "echo", number)
            what = f"the answer to an echo after {message!r}"
            expect(what, await hear(ws, what), equals={"type": "echo", "data": number})


@check(
    points=2,
    hints=(
        "The set is the same object in every call. When does a client become a peer, and who adds it?",
        "An echo answers one client; a broadcast is sent to every member of `peers`, and the sender is one of them.",
    ),
)
async def test_broadcasts(submission: Any) -> None:
    """A broadcast reaches three clients once, in order, and an echo reaches only the one that asked."""
    async with (
        room_of(submission) as room,
        room.client("the first client") as first,
        room.client("the second client") as second,
        room.client("the third client") as third,
    ):
        await say(first, "echo", "for me")
        expect("the echo", await hear(first, "the echo"), equals={"type": "echo", "data": "for me"})
        wanted = [await shout(first, data) for data in ({"n": 1}, "two", None)]
        for name, ws in (("the first", first), ("the second", second), ("the third", third)):
            for message in wanted:
                what = f"{name} client to hear the broadcast of {json.dumps(message['data'])}"
                expect(f"what {name} client hears next", await hear(ws, what), equals=message)


@check(
    points=2,
    hints=(
        "How does `async for` end when a client closes, and how when its network is gone?",
        "A line after the loop is not reached when the loop raises. Which statement runs its block in any case?",
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
        await room.ended(closes, "`handle` to end for the client that closed")
        expect("the number of peers after one of two has closed", len(room.peers), equals=1)


@check(
    points=3,
    hints=(
        "`await peer.send(…)` ends when there is room for the message. When is that, for a peer that does not read?",
        "Writing to a connection and waiting for it are two things. If a broadcast does not wait, what does instead?",
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


@check(
    points=1,
    hints=(
        "Something on the server holds what a peer has not read. Can you ask it how much it is before you add to it?",
        "`ws.transport` is asyncio's; its documentation lists what a transport can tell, and how to end one at once.",
    ),
)
async def test_lets_go_of_a_non_reader(submission: Any) -> None:
    """While a client reads nothing, 3 MiB are broadcast to it and others: it is cut off, and the others hear it all."""
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
