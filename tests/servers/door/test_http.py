"""An aiohttp app behind the door: deadlines for heads and bodies, and a log that does not grow with what is refused."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from deadlines import WAIT_S
from eventually import until

import rtlab
from rtlab.servers.door import http as module
from rtlab.servers.door.http import HEAD_TIMEOUT_S, MAX_HEADERS, HttpHost
from rtlab.servers.hosting import listen

HALF_BODY = b"POST /read HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n{"


class Handlers:
    """An app's handlers, which can be looked at."""

    def __init__(self):
        self.running = 0
        self.answer = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_get("/", self.hello)
        self.app.router.add_get("/late", self.late)
        self.app.router.add_post("/read", self.read)
        self.app.router.add_get("/fails", self.fails)

    async def hello(self, _):
        return web.Response(text="hello")

    async def late(self, _):
        await self.answer.wait()
        return web.Response(text="late")

    async def read(self, request):
        self.running += 1
        try:
            return web.Response(text=str(len(await request.read())))
        finally:
            self.running -= 1

    async def fails(self, _):
        raise RuntimeError("the app's own fault")


@pytest.fixture
async def handlers():
    return Handlers()


@asynccontextmanager
async def connected(port: int, *parts: bytes):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for part in parts:
        writer.write(part)
    try:
        yield reader, writer
    finally:
        writer.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes."""
    async with asyncio.timeout(WAIT_S):
        try:
            return await reader.read()
        except ConnectionError:
            return b""


async def drip(writer: asyncio.StreamWriter) -> None:
    while not writer.transport.is_closing():
        writer.write(b"a")
        await asyncio.sleep(0.01)


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


@pytest.mark.parametrize(
    "begun",
    [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ", get("/") + b"GET / HTTP/1.1\r\nX: "],
    ids=["idle", "a line", "half a head", "half of the second"],
)
@pytest.mark.parametrize("dripping", [False, True])
async def test_a_head_has_a_deadline(begun, dripping, handlers, monkeypatch):
    monkeypatch.setattr(module, "HEAD_TIMEOUT_S", 0.3)
    async with rtlab.serve(handlers.app) as server, connected(server.port, get("/late", "Connection: close")) as late:
        async with connected(server.port, begun) as (reader, writer):
            dripped = asyncio.ensure_future(drip(writer)) if dripping and begun else None
            answers = await rest(reader)
            assert answers.count(b"200 OK") == begun.count(b"\r\n\r\n")
            if dripped is not None:
                dripped.cancel()
        handlers.answer.set()
        assert b"late" in await rest(late[0]), "a request that is complete may take longer"


async def test_aiohttp_takes_these_deadlines(handlers):
    """It would fall back to its own, an hour, if it did not know an option."""
    host = HttpHost(handlers.app, shutdown_s=0.5)
    await host.start([listen(0)])
    protocol = host._runner.server()
    assert (protocol.keepalive_timeout, protocol.max_headers) == (HEAD_TIMEOUT_S, MAX_HEADERS)
    await host.close()


async def test_a_body_has_a_deadline(handlers, monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(module, "BODY_TIMEOUT_S", 0.3)
    async with rtlab.serve(handlers.app) as server:
        for framed in (
            HALF_BODY,
            HALF_BODY.replace(b"Content-Length: 100000", b"Transfer-Encoding: chunked")[:-1] + b"fffff\r\n",
        ):
            async with connected(server.port, framed) as (reader, writer):
                dripped = asyncio.ensure_future(drip(writer))
                assert await rest(reader) == b""
                await until(lambda: handlers.running == 0)
                dripped.cancel()
    assert "cut off a request whose body took too long" in caplog.messages
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


MALFORMED = {
    "no HTTP": b"hello world\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + bytes(100) + b"\r\n\r\n",
    "a long field": get("/", "X: " + "a" * 20_000),
    "many fields": get("/", *(f"X-{number}: 1" for number in range(500))),
    "a Host that is none": b"GET / HTTP/1.1\r\nHost: localhost:99999999\r\n\r\n",
    "bytes in Host": b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n",
    "a path in Host": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a user in Host": b"GET / HTTP/1.1\r\nHost: x@a\r\n\r\n",
    "half an address in Host": b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": get("/", "Host: other"),
    "two lengths": b"POST /read HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a bad chunk": b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
async def test_what_is_malformed_is_refused_in_a_few_lines(kind, handlers, caplog):
    caplog.set_level(logging.INFO)
    async with rtlab.serve(handlers.app) as server:
        for _ in range(50):
            async with connected(server.port, MALFORMED[kind]) as (reader, _):
                assert b" 400 " in (await rest(reader)).partition(b"\r\n")[0]
    said = [each for each in caplog.records if each.name != "aiohttp.access"]
    assert len(said) <= 6
    assert not [each for each in said if each.exc_info or each.levelno >= logging.WARNING]


async def test_a_chunk_that_goes_wrong_later(handlers, monkeypatch, caplog):
    """aiohttp does not tell the handler, which waits for more: until the deadline."""
    monkeypatch.setattr(module, "BODY_TIMEOUT_S", 0.3)
    async with rtlab.serve(handlers.app) as server:
        begun = b"POST /read HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
        async with connected(server.port, begun) as (reader, writer):
            await until(lambda: handlers.running == 1)
            writer.write(b"zz\r\n")
            await rest(reader)
            await until(lambda: handlers.running == 0)
    assert not caplog.records


async def test_a_client_that_leaves_is_no_error(handlers, caplog):
    async with rtlab.serve(handlers.app) as server:
        for _ in range(20):
            async with connected(server.port, HALF_BODY):
                await until(lambda: handlers.running == 1)
            await until(lambda: handlers.running == 0)
    assert not caplog.records


async def test_http_1_0_may_do_without_host(handlers):
    async with rtlab.serve(handlers.app) as server, connected(server.port, b"GET / HTTP/1.0\r\n\r\n") as (reader, _):
        assert (await rest(reader)).endswith(b"hello")


async def test_the_apps_own_faults_are_logged(handlers, caplog):
    async with rtlab.serve(handlers.app) as server:
        async with connected(server.port, get("/fails", "Connection: close")) as (reader, _):
            assert b" 500 " in await rest(reader)
    assert "the app's own fault" in caplog.text


async def test_a_body_that_drips_does_not_hold_the_end_up(handlers):
    server = await rtlab.start(handlers.app)
    async with connected(server.port, HALF_BODY) as (reader, writer):
        dripped = asyncio.ensure_future(drip(writer))
        await until(lambda: handlers.running == 1)
        await server.stop()
        assert handlers.running == 0
        await rest(reader)
        dripped.cancel()
