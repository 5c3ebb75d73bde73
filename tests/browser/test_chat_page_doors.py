"""The doors of the chat's page in a real browser: who comes in and how, and where the page may stand."""

from __future__ import annotations

import asyncio
import re
import time
from functools import partial

import pytest
from aiohttp import web
from browser.chat_windows import SECRET, Windows, address
from deadlines import SCALE, WAIT_S
from eventually import until
from playwright.async_api import Route, expect

import rtlab
from rtlab.chat import connect, create_app, issue_token
from rtlab.chat import page as chat_page
from rtlab.servers.hosting import HostedServer
from rtlab.servers.ports import free_port

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(6 * WAIT_S),
    pytest.mark.xdist_group("browser"),
]

REFUSED = re.compile("responded with a status of 400")
"""A browser says so of a name that is none, and of a poll that was on its way when a refused client hung up."""
EXPIRES_S = 10 * SCALE
"""Seconds that a token lasts in the tests that outlive it. It begins when the page is there: a slow one costs none."""
LASTS_S = (EXPIRES_S, 3 * EXPIRES_S)
"""The same where a fresh one has to come in the last quarter: a machine that is too slow for the first has a second."""


@pytest.fixture
async def windows(windows: Windows) -> Windows:
    windows.expected = REFUSED
    return windows


async def test_a_token_in_the_address_is_erased_from_it(windows, server):
    alice = await windows.open(address(server))
    await alice.connected()
    assert alice.page.url == f"{server.url}/#room=lobby"
    kept = await alice.page.evaluate("() => [document.cookie, ...Object.entries(localStorage), history.length]")
    assert kept == ["", 2]  # an empty page, and this one
    stored = await alice.page.evaluate("() => JSON.stringify(sessionStorage)")
    assert stored == "{}"
    await alice.page.evaluate("token => { location.hash = `token=${token}`; }", issue_token("bob", SECRET))
    await expect(alice["#my-name"]).to_have_text("bob")
    assert "token" not in alice.page.url
    await expect(alice["#room-list li"]).to_have_count(0)  # they were Alice's
    refused = await windows.open(f"{server.url}/#token=nonsense&room=lobby")
    await expect(refused["#reason"]).to_contain_text("This is no token")
    assert refused.page.url == f"{server.url}/#room=lobby"


async def test_a_token_is_asked_for(windows):
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        window = await windows.open(f"{server.url}/#room=lobby")
        field, reason = window["#token"], window["#reason"]
        await expect(field).to_be_focused()
        await expect(window["#name"]).to_be_hidden()
        await field.press("Enter")
        await expect(reason).to_have_text("Paste a token first.")
        await field.fill("nonsense")
        await field.press("Enter")
        await expect(reason).to_contain_text("This is no token")
        await field.fill(issue_token("alice", "another secret, of thirty-two bytes and more"))
        await field.press("Enter")
        await expect(reason).to_contain_text("does not accept this token")
        await field.fill(f"  {issue_token('alice', SECRET)}\n")
        await window["#enter"].click()
        await window.sees_people("alice")
        await expect(window["#room-name"]).to_have_text("lobby")
        await window["#sign-out"].click()
        await expect(field).to_be_focused()
        await expect(field).to_have_value("")
        assert window.page.url == f"{server.url}/"


async def test_when_the_token_is_over_one_signs_in_again_and_goes_on(windows):
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        alice = await windows.open(f"{server.url}/#room=lobby")
        await alice["#token"].fill(issue_token("alice", SECRET, expires_s=EXPIRES_S))
        await alice["#token"].press("Enter")
        await alice.say("before")
        await alice.sees("before")
        await alice["#text"].fill("a draft")
        await expect(alice["#reason"]).to_contain_text("Your token is over")
        await expect(alice["#token"]).to_be_focused()
        async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
            await carol.join("lobby")
            await carol.send("lobby", "meanwhile")
        await alice["#token"].fill(issue_token("alice", SECRET))
        await alice["#token"].press("Enter")
        await alice.sees("before", "meanwhile")
        await expect(alice["#text"]).to_have_value("a draft")


async def test_what_one_user_wrote_is_not_the_next_ones(windows):
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        window = await windows.open(f"{server.url}/#room=lobby")
        await window["#token"].fill(issue_token("alice", SECRET, expires_s=EXPIRES_S))
        await window["#token"].press("Enter")
        await window.say("before")
        await window.sees("before")
        await expect(window["#reason"]).to_contain_text("Your token is over")
        await window["#token"].fill(issue_token("bob", SECRET))
        await window["#token"].press("Enter")
        await window.connected()
        await expect(window["#my-name"]).to_have_text("bob")
        await expect(window["#room-list li"]).to_have_count(0)
        await expect(window["#nothing"]).to_be_visible()


async def test_by_name(windows, server):
    window = await windows.open(f"{server.url}/#room=lobby")
    await expect(window["#token"]).to_be_hidden()
    await window["#name"].fill("x" * 33)
    await window["#name"].press("Enter")
    await expect(window["#reason"]).to_contain_text("1 to 32 characters")
    await window.sign_in("  alice ")
    await window.sees_people("alice")
    await expect(window["#my-name"]).to_have_text("alice")
    await window.page.reload()
    await expect(window["#name"]).to_have_value("alice")
    await window.sign_in("alice")
    await expect(window["#room-name"]).to_have_text("lobby")


async def test_a_name_that_cannot_be_seen_is_not_taken_and_the_page_says_why(windows, server):
    window = await windows.open(server.url)
    await window["#name"].fill("al\u3164ice")
    await window["#name"].press("Enter")
    await expect(window["#reason"]).to_contain_text("a character that nobody can see (U+3164)")
    await window["#name"].fill("\ufeffI \u2764  NY ")
    await window["#name"].press("Enter")
    await window.connected()
    await expect(window["#my-name"]).to_have_text("I \u2764\ufe0f NY")
    room = window["#join-name"]
    await room.fill("tea\u2060")
    await room.press("Enter")
    await expect(window["#problem"]).to_contain_text("a character that nobody can see (U+2060)")
    await expect(room).to_have_value("tea\u2060")
    await room.fill("tea\u200droom")
    await room.press("Enter")
    await expect(window["#problem"]).to_contain_text("joiners only in emoji that Unicode recommends, got U+200D")
    await window.join("👩\u200d👩\u200d👧  tea")
    await expect(window["#room-name"]).to_have_text("👩\u200d👩\u200d👧 tea")


async def test_by_name_a_fresh_token_is_shown_before_the_old_one_ends(windows, server):
    assert await stays(windows, server, LASTS_S[0]) or await stays(windows, server, LASTS_S[1])


async def stays(windows: Windows, server: HostedServer, lasts_s: float) -> bool:
    """Whether she is always connected, from the first token on until after it."""
    asked: list[float] = []
    third = asyncio.Event()

    async def answers(route: Route) -> None:
        asked.append(time.time())
        if len(asked) == 3:
            third.set()
        lasts = lasts_s if len(asked) < 3 else 3600
        await route.fulfill(json={"token": issue_token("alice", SECRET, expires_s=lasts)})

    alice = await windows.open()
    await alice.page.route("**/sign-in", answers)
    await alice.page.goto(f"{server.url}/#room={lasts_s:g}")
    await alice.sign_in("alice")
    await alice.say("before")
    await alice.sees("before")
    async with asyncio.timeout(2 * lasts_s + WAIT_S):
        await third.wait()
    await until(lambda: time.time() > asked[0] + lasts_s)
    await alice.say("after")
    await alice.sees("before", "after")
    return await alice.was_always("Connected")


async def test_by_name_a_fresh_token_comes_after_the_end_of_the_old_one_if_not_before(windows, server):
    asked: list[str] = []
    late = asyncio.Event()

    async def answers(route: Route) -> None:
        asked.append(str(route.request.post_data))
        if len(asked) > 1 and not late.is_set():
            await route.abort()
        else:
            lasts = EXPIRES_S if len(asked) == 1 else 3600
            await route.fulfill(json={"token": issue_token("alice", SECRET, expires_s=lasts)})

    alice = await windows.open()
    await alice.page.route("**/sign-in", answers)
    await alice.page.goto(f"{server.url}/#room=lobby")
    await alice.sign_in("alice")
    await alice.say("before")
    await alice.sees("before")
    await alice.away()
    assert len(asked) > 1
    late.set()
    await alice.connected()
    await alice.say("after")
    await alice.sees("before", "after")
    await expect(alice["#door"]).to_be_hidden()
    assert set(asked) == {'{"username":"alice"}'}


async def test_a_server_that_is_not_there_is_said_at_the_door(windows):
    server = await rtlab.start(create_app(secret=SECRET), port=free_port())
    window = await windows.open(server.url)
    await server.stop()
    await window["#token"].fill(issue_token("alice", SECRET))
    await window["#token"].press("Enter")
    await expect(window["#reason"]).to_have_text("The server does not answer. Trying again …")
    server = await rtlab.start(create_app(secret=SECRET), port=server.port)
    try:
        await window.connected()
    finally:
        await server.stop()


async def test_behind_a_prefix(windows, server):
    """As jupyter-server-proxy shows it: the page, its parts and Socket.IO have the same prefix."""
    prefix = "/user/ada/proxy/8000"

    async def passes(route: Route) -> None:
        await route.fulfill(response=await route.fetch(url=route.request.url.replace(prefix, "", 1)))

    window = await windows.open()
    await window.page.route(f"**{prefix}/**", passes)
    await window.page.goto(f"{server.url}{prefix}/#room=lobby")
    await window.sign_in("ada")
    await window.say("over polling")
    await window.sees("over polling")
    assert window.page.url == f"{server.url}{prefix}/#room=lobby"


async def test_without_socket_io_it_says_what_is_missing(windows, monkeypatch):
    monkeypatch.setattr(chat_page, "client_file", lambda: None)
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        window = await windows.open()
        asked: list[str] = []

        async def blocked(route: Route) -> None:
            asked.append(route.request.url)
            await route.abort()

        await window.page.route(re.compile(r"^https://"), blocked)
        await window.page.goto(address(server))
        tag = window["script#client"]
        assert await tag.get_attribute("src") == chat_page.CLIENT_URL
        assert await tag.get_attribute("integrity") == chat_page.CLIENT_INTEGRITY
        await expect(window["#reason"]).to_contain_text("could not be loaded from cdn.socket.io")
        assert asked == [chat_page.CLIENT_URL]


async def test_socket_io_from_its_makers_is_run_if_it_is_what_it_should_be(windows, monkeypatch):
    path = chat_page.client_file()
    if path is None:
        pytest.skip("The JavaScript side is not installed. Run `make install`.")
    monkeypatch.setattr(chat_page, "client_file", lambda: None)
    windows.expected = re.compile("Failed to find a valid digest")
    headers = {"Access-Control-Allow-Origin": "*", "Content-Type": "text/javascript"}

    async def gives(body: bytes, route: Route) -> None:
        await route.fulfill(body=body, headers=headers)

    async with rtlab.serve(create_app(secret=SECRET)) as server:
        good, bad = await windows.open(), await windows.open()
        for window, body in ((good, path.read_bytes()), (bad, path.read_bytes() + b"\n")):
            await window.page.route(re.compile(r"^https://"), partial(gives, body))
            await window.page.goto(address(server))
        await good.connected()
        await expect(bad["#reason"]).to_contain_text("could not be loaded")


async def test_in_a_frame_it_takes_the_focus_only_when_asked(windows, server):
    """Beside a notebook's cell: whoever runs a cell and types on must not type into the chat."""
    icon, cell = '<link rel="icon" href="data:,">', '<input id="cell" autofocus>'
    frame = f'<iframe src="{address(server)}" width="800" height="500"></iframe>'

    async def notebook(_: web.Request) -> web.Response:
        return web.Response(text=f"<!doctype html>{icon}{cell}{frame}", content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", notebook)])
    async with rtlab.serve(app) as jupyter:
        window = await windows.open(jupyter.url.replace("127.0.0.1", "localhost"))
        chat = window.page.frame_locator("iframe")
        await expect(chat.locator("#state")).to_have_text("Connected")
        await expect(chat.locator("#people-list bdi")).to_have_text(["alice"])
        assert await window["#cell"].evaluate("node => node === document.activeElement && document.hasFocus()")
        await chat.locator("#text").fill("from a frame")
        await chat.locator("#text").press("Enter")
        await expect(chat.locator("#messages .text")).to_have_text(["from a frame"])


async def test_a_page_that_is_not_named_cannot_frame_it(windows):
    windows.expected = re.compile("frame-ancestors|favicon|status of 404")
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        window = await windows.open(f"{server.url}/health")
        async with window.page.expect_event("requestfailed") as refused:
            await window.page.evaluate(
                "url => { document.body.append(Object.assign(document.createElement('iframe'), {src: url})); }",
                f"{server.url}/",
            )
        assert (await refused.value).failure == "net::ERR_BLOCKED_BY_RESPONSE"
