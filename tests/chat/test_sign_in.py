"""Sign-in by name: for this machine, and for pages of this site."""

import pytest
from aiohttp import ClientSession

import rtlab
from rtlab.chat import create_app, verify

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
