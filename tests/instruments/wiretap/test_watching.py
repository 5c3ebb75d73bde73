"""`rtlab tap URL` in a terminal and in a pipe: rows as they come, a file, and a clean end."""

import asyncio
import contextlib
import os
import signal
import stat
import sys
from contextlib import asynccontextmanager

import pytest
import socketio
from aiohttp import web
from certificates import Authority
from deadlines import WAIT_S
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage

import rtlab
from rtlab.instruments.transcript.transcript import Transcript
from rtlab.servers import websocket

pytestmark = [
    pytest.mark.timeout(WAIT_S * 3),
    pytest.mark.skipif(sys.platform == "win32", reason="signals are those of Unix"),
]


async def echo(ws):
    async for message in ws:
        await ws.send(message)


@asynccontextmanager
async def watching(*arguments, stdout=asyncio.subprocess.PIPE, **environment):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rtlab", "tap", *arguments,
        stdout=stdout, stderr=asyncio.subprocess.PIPE, env=os.environ | {"COLUMNS": "40"} | environment,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def url_of(process) -> str:
    """The URL that the first line tells people to connect to."""
    line = (await process.stdout.readline()).decode()
    assert line.startswith("Connect to ws://127.0.0.1:")
    return line.split()[2]


def assert_it_warns_of_tokens(err):
    """A recording holds what went by: one line on standard error says so, and nothing else does."""
    (line,) = err.decode().splitlines()
    assert "token" in line


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_rows_as_they_come_and_a_file(number, tmp_path):
    path = tmp_path / "rows.jsonl"
    async with rtlab.serve(echo) as server, watching(f"{server.ws_url}/chat", "--save", str(path)) as process:
        url = await url_of(process)
        assert url.endswith("/chat")
        async with connect(url, compression=None) as ws:
            for text in ("hello", "x" * 100):
                await ws.send(text)
                await ws.recv()
            lines = []
            while not lines or "TEXT, 100" not in lines[-1] or "←" not in lines[-1]:
                lines.append((await process.stdout.readline()).decode().rstrip("\n"))
        process.send_signal(number)
        out, err = await process.communicate()
        assert process.returncode == 128 + number
        assert_it_warns_of_tokens(err)
    assert "This file holds tokens, cookies and messages" in lines.pop(0)
    assert lines[0] == "   0  client-1 → server  GET /chat"
    assert lines[1] == f"{'':25}Upgrade: websocket"
    assert any(line.startswith(f"{'':25}Sec-WebSocket-Key: ") and "KEY-1" not in line for line in lines)
    assert "   2  client-1 → server  TEXT 'hello'" in lines
    assert all("\x1b" not in line for line in lines), "no colours in a pipe"
    assert f"8 rows from 1 connection, saved in {path}." in out.decode()
    saved = Transcript.load(path)
    assert [row.message for row in saved.messages] == ["hello", "hello", "x" * 100, "x" * 100]
    assert "Sec-WebSocket-Key: KEY-1" in str(saved)
    assert [row.clock for row in saved] == list(range(8))


async def test_a_server_with_tls_is_tapped_and_clients_come_without_it(tmp_path):
    authority = Authority(tmp_path)
    async with (
        websocket.serve(echo, ssl=authority.issue().context) as server,
        watching(f"{server.url}/chat", "--ca", str(authority.ca)) as process,
    ):
        async with connect(await url_of(process), compression=None) as ws:
            await ws.send("hello")
            assert await ws.recv() == "hello"
        line = b""
        while b"TLS" not in line:
            line = await process.stdout.readline()
            assert line
        assert line.decode().strip() == "= the tap speaks TLS to the server"
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert err == b""


async def test_socketio_is_read_as_it_goes_by():
    """With the ids that it has this time, and not the labels that the file gets."""
    sio = socketio.AsyncServer(async_mode="aiohttp")
    app = web.Application()
    sio.attach(app)
    sio.on("hi", lambda sid, text: text.upper())
    client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
    async with rtlab.serve(app) as server, watching(server.url) as process:
        line = (await process.stdout.readline()).decode()
        await client.connect(line.split()[2])
        await client.call("hi", "there", timeout=WAIT_S)
        session = client.eio.sid
        await client.disconnect()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        assert err == b""
    lines = [line.strip() for line in out.decode().splitlines()]
    assert f"= Engine.IO OPEN · {session}, upgrades to websocket, a PING every 25 s, 20 s for the PONG" in lines
    asking = lines.index("= Engine.IO MESSAGE · Socket.IO EVENT 'hi' in /, asks for ack 1") - 1
    number = lines[asking].split()[0]
    assert f"= Engine.IO MESSAGE · Socket.IO ACK 1 in /, answers row {number}: 'hi'" in lines


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066"


async def test_a_terminal_obeys_nothing_that_goes_by(tmp_path):
    """Escapes of 7 and 8 bits and of the writing direction: in a target, a header, a body, a frame, raw bytes."""
    raw = HOSTILE.encode()
    path = tmp_path / "rows.jsonl"
    path.touch(0o644)
    async with rtlab.serve(echo) as server, watching(server.ws_url, "--save", str(path)) as process:
        url = await url_of(process)
        async with connect(url, compression=None, subprotocols=None) as ws:
            await ws.send(HOSTILE)
            await ws.send(raw + b"\xff")
            await ws.close(4000, HOSTILE)
        port = int(url.rpartition(":")[2])
        for data in (
            b"GET /" + raw + b" HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET / HTTP/1.1\r\nOrigin: " + raw.replace(b"\x1b", b"") + b"\r\n\r\n",
            b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(raw) + raw,
            raw,
        ):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(data)
            writer.write_eof()
            writer.close()
        said = ""
        while "5 connections" not in said and " client-5 → server" not in said:
            said += (await process.stdout.readline()).decode()
        process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        said += out.decode()
        assert_it_warns_of_tokens(err)
    assert "TEXT '\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202e\\u2066'" in said
    assert all(line.isprintable() for line in said.split("\n")), [x for x in said.split("\n") if not x.isprintable()]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"{path}: This file holds tokens, cookies and messages" in said


async def test_a_reader_that_has_read_enough():
    """As `rtlab tap URL | head -1` does."""
    async with rtlab.serve(echo) as server:
        reading, writing = os.pipe()
        async with watching(server.ws_url, stdout=writing) as process:
            os.close(writing)
            text = await asyncio.to_thread(os.read, reading, 4096)
            os.close(reading)
            with contextlib.suppress(OSError, InvalidMessage):  # it may be gone before it has answered
                await (await connect(text.decode().split()[2])).close()
            _, err = await process.communicate()
            assert process.returncode == 1
            assert err == b""


async def test_a_terminal_without_arrows():
    async with rtlab.serve(echo) as server, watching(server.ws_url, PYTHONIOENCODING="ascii") as process:
        async with connect(await url_of(process)) as ws:
            await ws.send("hellö")
            await ws.recv()
            line = await process.stdout.readline()
            assert line == b"   0  client-1 ? server  GET /\n"
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
        assert err == b""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["https://127.0.0.1:1", "--ca", "/no/such/ca.pem"], "No such file"),
        (["http://127.0.0.1:1", "--ca", "/no/such/ca.pem"], "has no TLS"),
        (["nonsense://x"], "Expected a URL like"),
        (["localhost:1", "--save", "/no/such/folder/x"], "Cannot write /no/such/folder/x"),
        (["localhost:1", "--port", "99999"], "99999"),
    ],
)
async def test_what_cannot_be_done(arguments, problem):
    async with watching(*arguments) as process:
        out, err = await process.communicate()
        assert process.returncode == 2
        assert problem in err.decode()
        assert "Traceback" not in err.decode()
        assert out == b""
