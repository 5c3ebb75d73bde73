"""Encoded bodies: refused from their head on every URL, whoever serves it, and nothing is inflated."""

import asyncio
import gzip
import io
from contextlib import asynccontextmanager

import aiohttp
import pytest
import socketio
from aiohttp import compression_utils, web
from deadlines import WAIT_S
from eventually import until

import rtlab
from rtlab.chat import create_app as chat_app
from rtlab.servers.door import bodies
from rtlab.servers.door.bodies import refuse_encoded_bodies
from rtlab.servers.echo import on_aiohttp as echo_app

SECRET = "a secret of the tests, longer than 32 bytes"
INFLATED = 50_000_000
BOMB = gzip.compress(bytes(INFLATED), 9)


async def read(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def ignore(_: web.Request) -> web.Response:
    return web.Response(text="ignored")


def own_app(**options) -> web.Application:
    app = web.Application(client_max_size=1 << 30, **options)
    app.router.add_post("/read", read)
    app.router.add_post("/ignore", ignore)
    return app


HOSTED = {
    "an app": (own_app, ["/read", "/ignore", "/nowhere"]),
    "a Socket.IO server": (
        lambda: socketio.AsyncServer(async_mode="aiohttp"),
        ["/socket.io/?EIO=4&transport=polling", "/nowhere"],
    ),
    "the echo": (echo_app, ["/", "/json", "/nowhere"]),
    "the chat": (
        lambda: chat_app(secret=SECRET, dev=True),
        ["/health", "/metrics", "/sign-in", "/", "/nowhere", "/socket.io/?EIO=4&transport=polling"],
    ),
}
CODINGS = [
    ("Content-Encoding: gzip", 415),
    ("Content-Encoding: deflate", 415),
    ("Content-Encoding: br", 415),
    ("Content-Encoding: zstd", 415),
    ("content-encoding: GZIP", 415),
    ("Content-Encoding: gzip, gzip", 415),
    ("Content-Encoding: identity, gzip", 415),
    ("Content-Encoding: identity\r\nContent-Encoding: gzip", 415),
    ("Content-Encoding: x-gzip", 415),
    ("Content-Encoding: 🗜" + "x" * 500, 415),
    ("Transfer-Encoding: gzip, chunked", 501),
]


@pytest.fixture
def inflated(monkeypatch):
    """How many bytes aiohttp has inflated, in a list of one."""
    total = [0]
    inflate = compression_utils.ZLibDecompressor.decompress_sync

    def counted(self, *arguments, **options):
        data = inflate(self, *arguments, **options)
        total[0] += len(data)
        return data

    monkeypatch.setattr(compression_utils.ZLibDecompressor, "decompress_sync", counted)
    return total


async def answer_to(port: int, head: str, body: bytes = b"") -> bytes:
    """All that comes until the server closes; the body is sent as far as it is taken."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + body)
    async with asyncio.timeout(WAIT_S):
        try:
            answer = await reader.read()
        except ConnectionError:
            answer = b"reset"
    writer.close()
    return answer


def head_of(path: str, coding: str, framing: str) -> str:
    fields = "\r\n".join(each for each in ("Host: localhost", coding, framing) if each)
    return f"POST {path} HTTP/1.1\r\n{fields}\r\n\r\n"


@pytest.mark.parametrize("kind", HOSTED)
async def test_a_bomb_is_not_inflated_on_any_url(kind, inflated):
    make, paths = HOSTED[kind]
    async with rtlab.serve(make()) as server:
        for path in paths:
            head = head_of(path, "Content-Encoding: gzip", f"Content-Length: {len(BOMB)}")
            answer = await answer_to(server.port, head, BOMB)
            assert answer.startswith(b"HTTP/1.1 415 "), (path, answer)
            assert b"\r\nAccept-Encoding: identity\r\n" in answer
            assert b"\r\nConnection: close\r\n" in answer
    assert inflated == [0]


@pytest.mark.parametrize(("coding", "status"), CODINGS)
async def test_every_coding_is_refused(coding, status, inflated):
    async with rtlab.serve(own_app()) as server:
        framings = ["Content-Length: 2", "Content-Length: 0", ""]
        framings = [""] if coding.startswith("Transfer") else [*framings, "Transfer-Encoding: chunked"]
        for framing in framings:
            body = b"" if framing in {"Content-Length: 0", ""} else b"ab"
            body = b"2\r\nab\r\n0\r\n\r\n" if "chunked" in framing + coding else body
            answer = await answer_to(server.port, head_of("/read", coding, framing), body)
            assert answer.startswith(b"HTTP/1.1 %d " % status), (framing, answer)
            assert len(answer) < 600, "what was sent is not repeated without a limit"
    assert inflated == [0]


@pytest.mark.parametrize("coding", ["", "Content-Encoding: identity", "Content-Encoding:", "Content-Encoding: , ,"])
async def test_a_body_without_a_coding_is_read(coding):
    async with rtlab.serve(own_app()) as server:
        head = head_of("/read", coding, "Connection: close\r\nContent-Length: 5")
        assert (await answer_to(server.port, head, b"hello")).endswith(b"\r\n\r\n5")


@asynccontextmanager
async def run_by_somebody_else(app: web.Application):
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.port
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("path", ["/read", "/ignore", "/nowhere"])
async def test_the_middleware_where_somebody_else_serves(path, inflated):
    async with run_by_somebody_else(own_app(middlewares=[refuse_encoded_bodies])) as port:
        for bomb in (BOMB, gzip.compress(bytes(INFLATED * 2), 9)):
            inflated[0] = 0
            head = head_of(path, "Content-Encoding: gzip", f"Content-Length: {len(bomb)}")
            answer = await answer_to(port, head, bomb)
            assert answer.startswith(b"HTTP/1.1 415 "), answer
            assert inflated[0] <= 1 << 20, "only what had come with the head, and never more for a larger bomb"


async def test_a_client_that_sends_all_before_it_reads_sees_the_answer():
    async with rtlab.serve(own_app()) as server, aiohttp.ClientSession() as http:
        for path, fields, status in [
            ("/read", {"Content-Encoding": "gzip"}, 415),
            ("/nowhere", {}, 404),
            ("/ignore", {}, 200),
        ]:
            async with http.post(server.url + path, data=io.BytesIO(bytes(2 << 20)), headers=fields) as response:
                assert response.status == status


async def pour(writer: asyncio.StreamWriter) -> None:
    async with asyncio.timeout(WAIT_S):
        while True:
            writer.write(bytes(1 << 20))
            await writer.drain()


async def test_the_rest_of_a_body_is_bounded_in_bytes(monkeypatch):
    monkeypatch.setattr(bodies, "DISCARD_BYTES", 64 << 10)
    async with rtlab.serve(own_app()) as server:
        for path, coding in (("/read", "Content-Encoding: gzip"), ("/ignore", ""), ("/nowhere", "")):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head_of(path, coding, f"Content-Length: {1 << 40}").encode())
            with pytest.raises(ConnectionError):
                await pour(writer)
            writer.close()


async def test_the_rest_of_a_body_is_bounded_in_time(monkeypatch):
    monkeypatch.setattr(bodies, "DISCARD_S", 0.1)
    async with rtlab.serve(own_app()) as server:
        for path, coding in (("/read", "Content-Encoding: gzip"), ("/ignore", ""), ("/nowhere", "")):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(head_of(path, coding, "Content-Length: 1000000").encode())
            async with asyncio.timeout(WAIT_S):
                assert b" 415 " in (answer := await reader.read()) or b" 404 " in answer or b" 200 " in answer
            writer.transport.resume_reading()

            def gone(writer=writer):
                writer.write(b"x")  # a drop now and then does not keep it open
                return writer.transport.is_closing()

            await until(gone)


async def test_a_body_that_is_small_and_there_keeps_the_connection():
    async with rtlab.serve(own_app()) as server:
        request = head_of("/ignore", "", "Content-Length: 2").encode() + b"ab"
        answer = await answer_to(server.port, "", request + request.replace(b"Host", b"Connection: close\r\nHost"))
        assert answer.count(b"HTTP/1.1 200 OK") == 2
