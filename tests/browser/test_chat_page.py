"""The chat's page in a real browser: two windows and a script talk, the line breaks, and everybody can use it."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import urlencode

import pytest
from browser.chat_windows import SECRET, Window, Windows, windows_of
from deadlines import SCALE, WAIT_S
from playwright.async_api import Page, Route, WebSocketRoute, expect

import rtlab
from rtlab.chat import CHAT, Limits, connect, create_app, issue_token
from rtlab.chat import page as chat_page
from rtlab.chat.history import MemoryHistory
from rtlab.servers.hosting import Server

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(120 * SCALE),
    pytest.mark.xdist_group("browser"),
]

GENEROUS = Limits(events_per_s=1e6, burst=1_000_000)
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;"
PHONE = {"viewport": {"width": 360, "height": 640}}
HURRIED = re.compile("WebSocket is closed before the connection is established")
"""What a browser says when a connection that is refused was just going over from polling."""
EXPIRES_S = 2.0
"""Seconds that a token lasts in the tests that outlive it."""


@pytest.fixture
async def windows(chromium: str) -> AsyncIterator[Windows]:
    async with windows_of(chromium) as windows:
        yield windows


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with rtlab.serve(create_app(secret=SECRET, dev=True, limits=GENEROUS)) as running:
        yield running


def address(server: Server, name: str = "alice", room: str = "lobby", **options: float) -> str:
    """Where somebody is signed in and in a room."""
    return f"{server.url}/#{urlencode({'token': issue_token(name, SECRET, **options), 'room': room})}"


async def both_in(windows: Windows, server: Server) -> tuple[Window, Window]:
    """Alice and Bob, each in a window, in the lobby."""
    alice, bob = await windows.open(address(server)), await windows.open(address(server, "bob"))
    for window in (alice, bob):
        await window.sees_people("alice", "bob")
    return alice, bob


def record(room: str, text: str, username: str = "carol") -> dict[str, object]:
    """A message as a history keeps it."""
    return {"id": text, "username": username, "text": text, "room": room, "timestamp": int(time.time() * 1000)}


# Talking


async def test_two_windows_and_a_script_talk(windows, server):
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        await carol.send("lobby", "before anybody else was here")
        alice, bob = await windows.open(address(server)), await windows.open(address(server, "bob"))
        for window in (alice, bob):
            await window.sees_people("alice", "bob", "carol")
            await window.sees("before anybody else was here")
        await alice.say("hello from a window")
        heard = await carol.next("chat:message", room="lobby", username="alice")
        assert heard.data["text"] == "hello from a window"
        await bob.say("two\nlines")
        await carol.send("lobby", "hello from a script")
        said = ("before anybody else was here", "hello from a window", "two\nlines", "hello from a script")
        for window, own in ((alice, "hello from a window"), (bob, "two\nlines")):
            await window.sees(*said)
            await expect(window["#messages .own .text"]).to_have_text([own])
            await expect(window["#messages .own .name"]).to_have_text(["You"])
            assert re.fullmatch(r"\d\d:\d\d", await window["#messages time"].last.inner_text())
    await alice.sees_people("alice", "bob")
    await bob["#leave"].click()
    await alice.sees_people("alice")
    await expect(bob["#nothing"]).to_be_visible()


async def test_who_types_is_shown_for_a_while(windows, server):
    alice, bob = await both_in(windows, server)
    await alice["#text"].press_sequentially("hello")
    await expect(bob["#typing"]).to_contain_text("alice")
    await expect(bob["#typing"]).to_contain_text("is typing")
    await expect(alice["#typing"]).to_be_empty()
    await expect(bob["#typing"]).to_be_empty()  # 3 s later
    await alice.say("hello")
    await alice["#text"].press_sequentially("for longer than 2 s", delay=150)
    await expect(bob["#typing"]).to_contain_text("alice")
    await alice["#text"].press("Enter")
    await bob.sees("hello", "for longer than 2 s")
    await expect(bob["#typing"]).to_be_empty()


async def test_typing_is_told_every_two_seconds_at_most(windows, server):
    alice = await windows.open()
    told: list[float] = []
    note = lambda sent: told.append(time.monotonic()) if "chat:typing" in str(sent) else None  # noqa: E731
    alice.page.on("websocket", lambda socket: socket.on("framesent", note))
    alice.page.on("request", lambda request: note(request.post_data) if request.method == "POST" else None)
    await alice.page.goto(address(server))
    await alice.sees_people("alice")
    began = time.monotonic()
    while len(told) < 2:
        await alice["#text"].press("a")
        assert time.monotonic() - began < WAIT_S
    assert told[1] - told[0] > 1.8  # the page's clock and ours look at two ends of the same pipe


async def test_what_is_unread_is_counted(windows, server):
    alice = await windows.open(address(server))
    await alice.join("garden")
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        for text in ("one", "two"):
            await carol.send("lobby", text)
        await expect(alice["#room-list .badge"].first).to_have_text("2 unread")
        await expect(alice.page).to_have_title(re.compile(r"^\(2\) Chat"))
        await alice.go_to("lobby")
        await alice.sees("one", "two")
        await expect(alice["#room-list .badge"].first).to_be_hidden()
        await expect(alice.page).to_have_title(re.compile(r"^Chat"))


async def test_a_draft_stays_in_its_room(windows, server):
    alice = await windows.open(address(server))
    await alice["#text"].fill("for the lobby")
    await alice.join("garden")
    await expect(alice["#text"]).to_have_value("")
    await alice.go_to("lobby")
    await expect(alice["#text"]).to_have_value("for the lobby")


async def test_markup_stays_text_wherever_it_stands(windows, server):
    name, room = "<b>mallory</b>", "<i onclick=x>room</i>"
    mallory = await windows.open(address(server, name, room))
    alice = await windows.open(address(server, "alice", room))
    await mallory.say(MARKUP)
    await mallory["#text"].press_sequentially("for longer than 2 s", delay=150)
    await expect(alice["#typing"]).to_contain_text(name)
    for window in (alice, mallory):
        await window.sees(MARKUP)
        await window.sees_people(name, "alice")
        await expect(window["#room-name"]).to_have_text(room)
        await expect(window["#room-list bdi"]).to_have_text([room])
        assert await window["#messages script, #messages img, #chat b, #chat i"].count() == 0
    await expect(alice["#messages .name"]).to_have_text([name])


async def test_names_from_right_to_left_turn_nothing_else_around(windows, server):
    name = "مريم"
    alice = await windows.open(address(server))
    async with connect(server.url, token=issue_token(name, SECRET)) as maryam:
        await maryam.join("lobby")
        await maryam.send("lobby", "صباح الخير 123")
        await alice.sees("صباح الخير 123")
        await maryam.typing("lobby")
        await expect(alice["#typing"]).to_have_text(f"\u2068{name}\u2069 is typing …")
        text = alice["#messages .text"].first
        assert await text.evaluate("node => getComputedStyle(node).direction") == "rtl"
        assert await alice["#messages time"].first.evaluate("node => getComputedStyle(node).direction") == "ltr"
        assert await alice["#messages bdi"].first.inner_text() == name


async def test_the_newest_500_messages_are_kept(windows, server):
    alice = await windows.open(address(server))
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        for number in range(520):
            await carol.send("lobby", f"number {number}")
    await expect(alice["#messages .text"].last).to_have_text("number 519")
    await expect(alice["#messages li"]).to_have_count(500)
    await expect(alice["#messages .text"].first).to_have_text("number 20")
    await expect(alice["#older"]).to_be_visible()
    await expect(alice["#messages .day"].first).to_be_visible()


async def test_whoever_reads_further_up_is_not_moved(windows, server):
    alice = await windows.open(address(server))
    where = "node => node.scrollTop"
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        for number in range(40):
            await carol.send("lobby", f"number {number}")
        await expect(alice["#messages .text"].last).to_have_text("number 39")
        await expect(alice["#messages .text"].last).to_be_in_viewport()
        await alice["#scroller"].evaluate("node => { node.scrollTop = 100; }")
        await carol.send("lobby", "one more")
        await expect(alice["#newer"]).to_have_text("1 new message")
        await expect(alice["#room-list .badge"].first).to_have_text("1 unread")
        assert await alice["#scroller"].evaluate(where) == 100
        await alice["#newer"].click()
        await expect(alice["#messages .text"].last).to_be_in_viewport()
        await expect(alice["#newer"]).to_be_hidden()
        await expect(alice["#room-list .badge"].first).to_be_hidden()
        await carol.send("lobby", "and the last")
        await expect(alice["#messages .text"].last).to_have_text("and the last")
        await expect(alice["#messages .text"].last).to_be_in_viewport()


# What is not done


async def test_a_refusal_is_said_in_words(windows):
    async def may_join(user: str, room: str) -> bool:
        return room != "vault"

    async with rtlab.serve(create_app(secret=SECRET, may_join=may_join)) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        await alice["#join-name"].fill("vault")
        await alice["#join-name"].press("Enter")
        await expect(alice["#problem"]).to_have_text("vault: This room is not open to you.")
        await expect(alice["#room-list bdi"]).to_have_text(["lobby"])
        await expect(alice["#room-name"]).to_have_text("lobby")
        await alice["#text"].press("Escape")
        await expect(alice["#problem"]).to_be_empty()


async def test_a_message_that_is_refused_can_be_tried_again_or_edited(windows):
    async with rtlab.serve(create_app(secret=SECRET, limits=Limits(text=10))) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        await alice.say("more than ten characters")
        await alice.say("fits")
        await expect(alice["#messages .text"]).to_have_text(["fits"])
        failed = alice["#pending li"]
        await expect(failed).to_contain_text("expected a string of 1 to 10 characters")
        await failed.get_by_role("button", name="Try again").click()
        await expect(failed).to_contain_text("expected a string of 1 to 10 characters")
        await failed.get_by_role("button", name="Edit").click()
        await expect(alice["#text"]).to_have_value("more than ten characters")
        await expect(alice["#text"]).to_be_focused()
        await alice.say("short")
        await alice.sees("fits", "short")


async def test_who_says_too_much_at_once_is_slowed_down_and_loses_nothing(windows):
    async with rtlab.serve(create_app(secret=SECRET, limits=Limits(burst=5, events_per_s=4))) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        said = [f"number {number}" for number in range(12)]
        for text in said:
            await alice.say(text)
        await alice.sees(*said)


# The line breaks


async def test_a_restart_loses_nothing_that_the_history_holds(windows):
    windows.servers_may_go()
    history = MemoryHistory(200)

    def app():
        return create_app(secret=SECRET, limits=GENEROUS, history=history)

    server = await rtlab.start(app())
    alice, bob = await both_in(windows, server)
    await alice.say("before")
    await bob.sees("before")
    await server.stop()
    for window in (alice, bob):
        await window.away()
        await expect(window["#trouble"]).to_contain_text("Trying again")
        await expect(window["#trouble"]).to_contain_text("attempt")
    missed = [f"missed {number}" for number in range(120)]  # three pages
    for text in missed:
        await history.append("lobby", record("lobby", text), "carol")
    await alice.say("written meanwhile")
    await alice.say("and this")
    await expect(alice["#pending .text"]).to_have_text(["written meanwhile", "and this"])
    await expect(alice["#pending .fate"].first).to_have_text("Waits for the connection")
    server = await rtlab.start(app(), port=server.port)
    try:
        for window in (alice, bob):
            await window.connected()
            await window.sees("before", *missed, "written meanwhile", "and this")
            await window.sees_people("alice", "bob")
            await expect(window["#trouble"]).to_be_hidden()
        async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
            said = [each["text"] for each in (await carol.join("lobby")).history]
            assert said[-2:] == ["written meanwhile", "and this"]
            assert said.count("written meanwhile") == 1
    finally:
        await server.stop()


async def test_where_messages_may_be_missing_it_says_so(windows):
    windows.servers_may_go()
    server = await rtlab.start(create_app(secret=SECRET))
    alice, bob = await both_in(windows, server)
    await alice.say("before")
    for window in (alice, bob):
        await window.sees("before")
    await server.stop()
    await alice.away()
    await alice.say("meanwhile")
    server = await rtlab.start(create_app(secret=SECRET), port=server.port)
    try:
        for window in (alice, bob):
            await window.sees("before", "meanwhile")
            rows = window["#messages > li"]
            await expect(rows).to_have_count(3)
            await expect(rows.nth(1)).to_contain_text("messages may be missing here")
            await expect(window["#messages .day:not([hidden])"]).to_have_count(1)
    finally:
        await server.stop()


async def test_one_does_not_have_to_wait_for_the_next_attempt(windows):
    windows.servers_may_go()
    server = await rtlab.start(create_app(secret=SECRET))
    alice = await windows.open(address(server))
    await alice.connected()
    await server.stop()
    await alice.away()
    await expect(alice["#trouble"]).to_contain_text("attempt 3")
    server = await rtlab.start(create_app(secret=SECRET), port=server.port)
    try:
        await alice["#trouble-button"].click()
        await alice.connected()
        await alice.sees_people("alice")
        await expect(alice["#text"]).to_be_focused()
    finally:
        await server.stop()


async def test_a_message_whose_acknowledgement_was_lost_is_there_once(windows, server):
    """The server takes it, and the line is cut before it can say so. The second attempt has the same id."""
    windows.servers_may_go()
    alice = await windows.open()
    lossy = asyncio.Event()
    sent: list[str] = []

    def passes(socket: WebSocketRoute) -> None:
        upstream = socket.connect_to_server()

        def to_page(message: str | bytes) -> None:
            if lossy.is_set() and "offset" in str(message):  # the echo, and the acknowledgement
                asyncio.get_running_loop().create_task(socket.close(code=1011))
            else:
                socket.send(message)

        def to_server(message: str | bytes) -> None:
            if "chat:message" in str(message):
                sent.append(str(message))
            upstream.send(message)

        upstream.on_message(to_page)
        socket.on_message(to_server)

    await alice.page.route_web_socket(re.compile("socket.io"), passes)
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        async with alice.page.expect_websocket() as upgraded:
            await alice.page.goto(address(server))
        assert await upgraded.value
        await alice.sees_people("alice", "carol")
        lossy.set()
        await alice.say("once")
        assert (await carol.next("chat:message")).data["text"] == "once"
        await alice.away()
        lossy.clear()
        await alice.connected()
        await alice.say("twice")
        assert (await carol.next("chat:message")).data["text"] == "twice"
        await alice.sees("once", "twice")


async def test_a_server_that_drains_says_so(windows):
    windows.servers_may_go()
    app = create_app(secret=SECRET)
    server = await rtlab.start(app)
    alice = await windows.open(address(server))
    await alice.sees_people("alice")
    await app[CHAT].drain(0)
    await expect(alice["#trouble"]).to_contain_text("about to restart")
    await server.stop()
    await alice.away()
    server = await rtlab.start(create_app(secret=SECRET), port=server.port)
    try:
        await alice.connected()
        await expect(alice["#trouble"]).to_be_hidden()
    finally:
        await server.stop()


# Who one is


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


async def test_a_token_is_asked_for(windows):
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        windows.expected = HURRIED
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
    windows.expected = HURRIED
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        alice = await windows.open(address(server, expires_s=EXPIRES_S))
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
    windows.expected = HURRIED
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        window = await windows.open(address(server, expires_s=EXPIRES_S))
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
    windows.expected = re.compile("status of 400")


async def test_by_name_a_fresh_token_comes_by_itself(windows, server):
    windows.expected = HURRIED
    asked: list[str] = []

    async def answers(route: Route) -> None:
        asked.append(str(route.request.post_data))
        await route.fulfill(json={"token": issue_token("alice", SECRET, expires_s=EXPIRES_S)})

    alice = await windows.open()
    await alice.page.route("**/sign-in", answers, times=1)
    await alice.page.goto(f"{server.url}/#room=lobby")
    await alice.sign_in("alice")
    await alice.say("before")
    await alice.sees("before")
    await alice.away()
    await alice.connected()
    await alice.say("after")
    await alice.sees("before", "after")
    await expect(alice["#door"]).to_be_hidden()
    assert asked == ['{"username":"alice"}']


async def test_a_server_that_is_not_there_is_said_at_the_door(windows):
    windows.servers_may_go()
    server = await rtlab.start(create_app(secret=SECRET))
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


# Where the page is


async def test_behind_a_prefix(windows, server):
    """As jupyter-server-proxy shows it: the page, its parts and Socket.IO have the same prefix."""
    windows.servers_may_go()  # the proxy here does not pass WebSockets on
    prefix = "/user/ada/proxy/8000"

    async def passes(route: Route) -> None:
        await route.fulfill(response=await route.fetch(url=route.request.url.replace(prefix, "", 1)))

    windows.expected = re.compile("WebSocket connection to .* failed")
    window = await windows.open()
    await window.page.route(f"**{prefix}/**", passes)
    await window.page.goto(f"{server.url}{prefix}/#room=lobby")
    await window.sign_in("ada")
    await window.say("over polling")
    await window.sees("over polling")
    assert window.page.url == f"{server.url}{prefix}/#room=lobby"


async def test_without_socket_io_it_says_what_is_missing(windows, monkeypatch):
    monkeypatch.setattr(chat_page, "client_file", lambda: None)
    windows.expected = re.compile("Failed to load resource: net::ERR_FAILED")
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


# Everybody can use it


async def background(page: Page) -> str:
    return str(await page.evaluate("() => getComputedStyle(document.body).backgroundColor"))


async def crowd(windows: Windows, server: Server, **options: object) -> Window:
    """A window with a conversation in it, among long names and long words."""
    window = await windows.open(address(server, "W" * 32, "M" * 64), **options)
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        room = "M" * 64
        await carol.join(room)
        await carol.send(room, "a word of " + "m" * 300)
        await carol.send(room, "and a few short ones")
        await window.say("w" * 200)
        await window.sees("a word of " + "m" * 300, "and a few short ones", "w" * 200)
        await carol.typing(room)
        await expect(window["#typing"]).not_to_be_empty()
    return window


async def test_light_and_dark(windows, server):
    grounds = {}
    for scheme in ("light", "dark"):
        window = await windows.open(address(server), color_scheme=scheme)
        await window.connected()
        grounds[scheme] = [int(each) for each in re.findall(r"\d+", await background(window.page))]
    assert min(grounds["light"]) > 200
    assert max(grounds["dark"]) < 60


@pytest.mark.parametrize("width", [320, 360, 700, 860, 1280])
async def test_it_fits(windows, server, width):
    window = await crowd(windows, server, viewport={"width": width, "height": 640})
    await window.fits()
    await window.keep(f"chat_{width}")
    for button, panel in (("#show-rooms", "#rooms"), ("#show-people", "#people")):
        await expect(window[panel]).to_be_visible(visible=width > (640 if panel == "#rooms" else 896))
        if await window[button].is_visible():
            await window[button].click()
            await expect(window[panel]).to_be_in_viewport(ratio=1)
            await window.fits()
            await window.page.keyboard.press("Escape")
            await expect(window[panel]).to_be_hidden()
            await expect(window[button]).to_be_focused()
    await window["#leave"].click()
    await expect(window["#nothing"]).to_be_visible()
    await window.fits()


async def test_the_door_fits_a_phone(windows, server):
    window = await windows.open(server.url, **PHONE)
    await window.fits()
    await window["#name"].press("Enter")
    await expect(window["#reason"]).not_to_be_empty()
    await window.fits()


async def test_with_the_keyboard_alone(windows, server):
    window = await windows.open(server.url)
    press = window.page.keyboard.press
    await window.page.keyboard.type("alice")  # the field has the focus
    await press("Enter")
    await window.connected()
    for _ in range(20):
        await press("Tab")
        if await window["#join-name"].evaluate("node => node === document.activeElement"):
            break
    await window.page.keyboard.type("lobby")
    await press("Enter")
    await expect(window["#text"]).to_be_focused()
    await window.page.keyboard.type("one")
    await press("Shift+Enter")
    await window.page.keyboard.type("two")
    await press("Enter")
    await window.sees("one\ntwo")
    reached = []
    for _ in range(30):
        await press("Tab")
        focused = await window.page.evaluate(
            """() => {
                const node = document.activeElement, style = getComputedStyle(node);
                const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
                return [node.id || node.innerText.replace(/\\s/g, ""), node === document.body || seen];
            }"""
        )
        assert focused[1], f"the focus on {focused[0]} cannot be seen"
        reached.append(focused[0])
    assert {"join-name", "#lobby", "sign-out", "leave", "scroller", "text", "send"} <= set(reached)
    await window["#leave"].focus()
    await press("Enter")
    await expect(window["#join-lobby"]).to_be_focused()
    await press("Enter")
    await window.sees("one\ntwo")


async def test_an_enter_that_ends_a_word_sends_nothing(windows, server):
    window = await windows.open(address(server))
    await window.sees_people("alice")
    await window["#text"].fill("にほん")
    await window["#text"].evaluate(
        "node => node.dispatchEvent(new KeyboardEvent('keydown', {key: 'Enter', isComposing: true, bubbles: true}))"
    )
    await expect(window["#text"]).to_have_value("にほん")
    await window["#text"].press("Enter")
    await window.sees("にほん")


async def test_a_screen_reader_hears_what_is_said_and_not_what_was(windows, server):
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        await carol.send("lobby", "before")
        window = await windows.open()
        await window.page.add_init_script(
            """addEventListener("DOMContentLoaded", () => {
                const log = document.querySelector("[role=log]");
                window.heard = [];
                new MutationObserver((changes) => {
                    if (log.getAttribute("aria-live") !== "polite") return;
                    for (const change of changes)
                        for (const node of change.addedNodes) heard.push(node.querySelector(".text").textContent);
                }).observe(document.querySelector("#messages"), {childList: true});
            });"""
        )
        await window.page.goto(address(server))
        await window.sees("before")
        await expect(window.page.get_by_role("log", name="Messages")).to_have_attribute("aria-live", "polite")
        await carol.send("lobby", "now")
        await window.sees("before", "now")
        assert await window.page.evaluate("() => heard") == ["now"]
        await expect(window.page.get_by_role("status")).to_have_text("Connected")


async def test_who_wants_no_motion_gets_none(windows, server):
    window = await windows.open(address(server), reduced_motion="reduce", **PHONE)
    await window.connected()
    assert await window["#rooms"].evaluate("node => getComputedStyle(node).transitionDuration") == "0s"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_serious(windows, scheme):
    windows.servers_may_go()
    windows.expected = re.compile(f"{windows.expected.pattern}|status of 40")
    app = create_app(secret=SECRET, dev=True, limits=GENEROUS)
    server = await rtlab.start(app)
    window = await windows.open(server.url, color_scheme=scheme)
    await window.accessible()
    await window["#name"].press("Enter")
    await expect(window["#reason"]).not_to_be_empty()
    await window.accessible()
    await window.keep(f"door_{scheme}")
    await window.sign_in("alice")
    await expect(window["#nothing"]).to_be_visible()
    await window.accessible()
    await window.join("garden")
    await window.join("lobby")
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        for room in ("lobby", "garden"):
            await carol.join(room)
            await carol.send(room, f"hello, {room}")
        await window.say("hello, carol")
        await window.sees("hello, lobby", "hello, carol")
        await carol.typing("lobby")
        await expect(window["#typing"]).not_to_be_empty()
        await expect(window["#room-list .badge"].first).to_be_visible()
        await window.accessible()
        await window.keep(f"chatting_{scheme}")
        await window.say("x" * 2000)
        await expect(window["#pending .failed"]).to_be_visible()
        await window.accessible()
    await server.stop()
    await window.away()
    await window.say("waits")
    await expect(window["#pending li"]).to_have_count(2)
    await window.accessible()
    await window.keep(f"disconnected_{scheme}")
    await window.page.set_viewport_size({"width": 360, "height": 640})
    await window["#show-rooms"].click()
    await window.accessible()
