"""python-socketio's AsyncClient, in each way that it can be set up, with Node's server and with ours."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
import socketio
from deadlines import WAIT_S
from realtime.interop_app import KINDS, serve

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "polling": {"transports": ["polling"]},
    "websocket": {"transports": ["websocket"]},
    "MessagePack": {"serializer": "msgpack"},
}
BURST = 10
"""Events at once. This client gives up a session that polls over a body of more than 16 packets, whoever sent it."""
VALUES = [None, True, 0, -1.5, "été 🎈 \u2028", [], {}, [[1], {"a": [None]}]]
tags = map("tag {}".format, itertools.count())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers() -> AsyncIterator[dict[str, str]]:
    """Where each kind of server listens."""
    async with contextlib.AsyncExitStack() as stack:
        yield {kind: await stack.enter_async_context(serve(kind)) for kind in KINDS}


@pytest.fixture(params=list(itertools.product(KINDS, WAYS)), ids=" ".join)
def opening(request, servers) -> Callable[..., Any]:
    """Connects clients of one way to a server of one kind."""
    kind, way = request.param
    options = dict(WAYS[way])
    transports = options.pop("transports", None)
    path = "msgpack" if "serializer" in options else "json"

    @asynccontextmanager
    async def connected(
        *namespaces: str, auth: Any = None, listen: dict[str, Any] | None = None, **more: Any
    ) -> AsyncIterator[socketio.AsyncClient]:
        client = socketio.AsyncClient(**{"reconnection": False, "handle_sigint": False, **options, **more})
        for event, handler in (listen or {}).items():
            for namespace in namespaces or ("/",):
                client.on(event, handler, namespace=namespace)
        try:
            await client.connect(
                servers[kind],
                auth=auth,
                transports=transports,
                namespaces=list(namespaces) or ["/"],
                socketio_path=path,
                wait_timeout=WAIT_S,
            )
            yield client
        finally:
            await client.disconnect()

    return connected


class Heard:
    """What a client has heard, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def __call__(self, *args: Any) -> None:
        self._queue.put_nowait(args)

    async def next(self) -> tuple[Any, ...]:
        """The next of it."""
        async with asyncio.timeout(WAIT_S):
            return await self._queue.get()


async def test_events_carry_any_value(opening):
    heard = Heard()
    async with opening(listen={"sent-back": heard}) as client:
        for args in ((), tuple(VALUES)):
            await client.emit("send-back", args)
            assert await heard.next() == args


async def test_acknowledgements_carry_any_value(opening):
    async with opening() as client:
        assert await client.call("echo", tuple(VALUES)) == tuple(VALUES)
        assert await client.call("echo", [1, 2]) == [1, 2]
        assert await client.call("nothing") is None


async def test_acknowledgements_time_out(opening):
    async with opening() as client:
        with pytest.raises(socketio.exceptions.TimeoutError):
            await client.call("nobody listens", timeout=0.1)
        assert await client.call("echo", "goes on") == "goes on"


async def test_the_server_asks(opening):
    over = asyncio.Event()

    async def question(*args):
        return args[::-1]

    async def silent():  # this client acknowledges what has no handler, with nothing
        await over.wait()

    async with opening(listen={"question": question, "nobody answers": silent}) as client:
        assert await client.call("ask", (1, "two")) == ("two", 1)
        assert await client.call("ask-in-vain") == "timed out"
        over.set()


async def test_binary_goes_both_ways(opening):
    heard = Heard()
    sent = (b"\x00\x01\xfe\xff", {"deep": [b"\x07" * 50_000, "text"]}, b"")
    async with opening(listen={"sent-back": heard}) as client:
        await client.emit("send-back", sent)
        assert await heard.next() == sent
        assert await client.call("echo", b"abc") == b"abc"


async def test_bursts_are_kept_in_order(opening):
    heard = Heard()
    async with opening(listen={"sent-back": heard}) as client:
        for start in range(0, 100, BURST):
            numbers = range(start, start + BURST)
            for number in numbers:
                await client.emit("send-back", number)
            assert [await heard.next() for _ in numbers] == [(number,) for number in numbers]


async def test_auth_reaches_the_server(opening):
    auth = {"token": "123", "deep": [None]}
    async with opening(auth=auth) as client:
        assert await client.call("whoami") == auth
    async with opening(auth=lambda: auth) as client:
        assert await client.call("whoami") == auth


async def test_a_refusal_says_why(opening):
    heard = Heard()
    with pytest.raises(socketio.exceptions.ConnectionError, match=r"no entry|namespaces"):
        async with opening(auth={"refuse": True}, listen={"connect_error": heard}):
            pass
    assert await heard.next() == ({"message": "no entry", "data": {"code": 7}},)


async def test_an_unknown_namespace_is_refused(opening):
    heard = Heard()
    with pytest.raises(socketio.exceptions.ConnectionError, match="namespaces"):
        async with opening("/nowhere", listen={"connect_error": heard}):
            pass
    assert await heard.next() == ({"message": "Invalid namespace"},)


async def test_namespaces_share_a_connection(opening):
    async with opening("/", "/custom") as client:
        assert await client.call("echo", 1) == 1
        assert await client.call("echo", 2, namespace="/custom") == 2
        assert client.get_sid("/") != client.get_sid("/custom")


async def test_a_room_hears_a_shout(opening):
    heard, unheard, room = Heard(), [], next(tags)
    async with (
        opening() as one,
        opening(listen={"shouted": heard}) as two,
        opening(listen={"shouted": unheard.append}) as three,
    ):
        for client in (one, two):
            await client.call("join", room)
        await one.emit("shout", (room, "hello", b"\x09"))
        assert await heard.next() == ("hello", b"\x09")
        await three.call("echo")
        assert unheard == []


async def test_the_client_leaves(opening):
    tag = next(tags)
    async with opening(auth={"tag": tag}) as leaving, opening() as watching:
        await leaving.disconnect()
        assert await watching.call("when-left", tag, timeout=WAIT_S) is True


async def test_the_server_lets_go(opening):
    heard = Heard()
    async with opening(listen={"disconnect": heard}) as client:
        await client.emit("let-go")
        assert await heard.next() == ("server disconnect",)


async def test_the_server_ends_the_connection(opening):
    heard = Heard()
    async with opening(listen={"disconnect": heard}) as client:
        await client.emit("drop")
        (reason,) = await heard.next()
        assert reason in {"server disconnect", "transport close", "transport error"}


async def test_a_lost_connection_comes_back(opening):
    heard = Heard()
    more = {"reconnection": True, "reconnection_delay": 0.01, "randomization_factor": 0}
    async with opening(listen={"connect": heard}, **more) as client:
        await heard.next()
        first = client.get_sid()
        await client.eio.http.close() if client.transport() == "polling" else await client.eio.ws.close()
        await heard.next()
        assert client.get_sid() != first
        assert await client.call("echo", "again") == "again"
