"""Sign-in by name: for this machine, and for pages of this site."""

import asyncio
import gzip
import json

import pytest
from aiohttp import ClientSession, web
from deadlines import WAIT_S

import rtlab
from rtlab.chat import create_app, verify
from rtlab.chat.sign_in import MAX_BODY, add_sign_in

SECRET = "a secret of the tests, longer than 32 bytes"


@pytest.fixture
async def server():
    async with rtlab.serve(create_app(secret=SECRET, dev=True)) as running:
        yield running


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b'{"username": "alice"}', 200, ""),
        (b'{"username": " "}', 400, "username: expected"),
        (b'{"username": 7}', 400, "username: expected a string of 1 to 32 characters, got a number"),
        (b"{}", 400, "username: expected"),
        (b"[]", 400, "username: expected"),
        (b"{", 400, "Expected JSON"),
        (b"\xff", 400, "Expected JSON"),
        (b"[" * 1000, 400, "Expected JSON"),
        (b"x" * 2000, 413, "at most 1024 bytes"),
        (b'{"username": "\\ud83d"}', 400, "username: expected text that UTF-8 can carry"),
        (b'{"username": "\\u3164"}', 400, "username: expected characters that can be seen, got U+3164"),
        (b'{"username": NaN}', 400, "Expected JSON"),
        (b'{"username": "alice", "x": -Infinity}', 400, "Expected JSON"),
        (b'\xef\xbb\xbf{"username": "alice"}', 400, "Expected JSON"),
        ('{"username": "alice"}'.encode("utf-16"), 400, "Expected JSON"),
        (b'{"username": ' * 70 + b"1" + b"}" * 70, 400, "username: expected a string"),
        (b"9" * 1000, 400, "username: expected a string"),
    ],
)
async def test_names(server, body, status, said):
    headers = {"Content-Type": "application/json"}
    async with ClientSession() as session, session.post(f"{server.url}/sign-in", data=body, headers=headers) as answer:
        assert answer.status == status
        told = await answer.json()
    if status == 200:
        assert verify(told["token"], SECRET).username == "alice"
    else:
        assert said in told["message"]


@pytest.mark.parametrize(("host", "status"), [("evil.example", 403), ("localhost", 200), ("[::1]:80", 200)])
async def test_only_under_a_name_of_this_machine(server, host, status, monkeypatch):
    async with ClientSession() as session:

        async def ask() -> int:
            async with session.post(f"{server.url}/sign-in", json={"username": "a"}, headers={"Host": host}) as answer:
                return answer.status

        assert await ask() == status
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/alice/")
        assert await ask() == 200, "a hub has let its sender in"


async def test_a_foreign_page_cannot_send_json_without_asking(server):
    async with ClientSession() as session:
        async with session.post(f"{server.url}/sign-in", data='{"username": "a"}') as answer:
            assert answer.status == 415
        headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
        async with session.options(f"{server.url}/sign-in", headers=headers) as answer:
            assert "Access-Control-Allow-Origin" not in answer.headers


async def answer(
    port: int, head: str, body: bytes = b'{"username": "alice"}', *, whole: bool = True
) -> tuple[int, str]:
    """Over a bare socket, since clients tidy up what they send."""
    length = f"Content-Length: {len(body) + (not whole)}\r\n" if "Transfer-Encoding" not in head else ""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(f"POST /sign-in HTTP/1.1\r\n{head}\r\n{length}\r\n".encode() + body)
            status = int((await reader.readline()).split()[1])
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            said = await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
        finally:
            writer.close()
    # what is refused before the app is asked is told in plain text
    return status, str(json.loads(said).get("message", "")) if "application/json" in head else said.decode()


JSON = "Content-Type: application/json"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("head", "status", "said"),
    [
        *[
            (f"Host: localhost\r\n{JSON}; charset={name}", 415, "UTF-8")
            for name in ("nope", "utf-16", "rot13", "zip", "idna", "unicode_escape", "latin-1", '"a b"', "utf-8-sig")
        ],
        *[(f"Host: localhost\r\n{JSON}; charset={name}", 200, "") for name in ("utf-8", '"UTF-8"', "utf8", "")],
        (f"Host: localhost\r\n{JSON}; charset*=nope''%ff", 415, "UTF-8"),
        (f"Host: localhost\r\n{JSON}\r\nContent-Encoding: gzip", 415, "without content coding"),
        ("Host: localhost\r\nContent-Type: ;;=,", 415, "JSON"),
        ("Host: localhost", 415, "JSON"),
        *[
            (f"Host: {host}\r\n{JSON}", 400, "Expected ")
            for host in (
                "localhost:x",
                "[::1]:x",
                "[",
                "[::1",
                "a@localhost",
                "localhost/x",
                "",
                "a b",
                "localhost:123456",
            )
        ],
        (f"Host: localhost:65536\r\n{JSON}", 400, "Expected "),
        *[(f"Host: {host}\r\n{JSON}", 403, "this machine only") for host in ("a_b", "127.0.0.1.x", "[fe80::1]:80")],
    ],
)
async def test_heads(server, head, status, said, caplog):
    body = b'{"username": "alice"}'
    got = await answer(server.port, head, gzip.compress(body) if "gzip" in head else body)
    assert got[0] == status
    assert said in got[1]
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_a_body_without_a_length_is_read_to_one_byte_too_many(server, caplog):
    """It is refused while the rest of it is still to come."""
    head = f"Host: localhost\r\n{JSON}\r\n{CHUNKED}"
    assert await answer(server.port, head, b'15\r\n{"username": "alice"}\r\n0\r\n\r\n') == (200, "")
    endless = b"401\r\n" + b" " * (MAX_BODY + 1) + b"\r\n"
    assert await answer(server.port, head, endless) == (413, f"Expected at most {MAX_BODY} bytes.")
    assert not [each for each in caplog.records if each.levelname == "ERROR"]


async def test_a_slow_body_is_not_waited_for():
    app = web.Application()
    add_sign_in(app, SECRET, body_s=0.05)
    async with rtlab.serve(app) as server:
        status, said = await answer(server.port, f"Host: localhost\r\n{JSON}", b"{", whole=False)
    assert (status, said) == (408, "Expected the whole body within 0.05 s.")
