"""The chat's page in a real browser: two windows and a script talk, and what is refused is said."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from browser.chat_windows import SECRET, address, both_in, goes_on
from deadlines import WAIT_S
from eventually import until
from playwright.async_api import expect

import rtlab
from rtlab.chat import Limits, connect, create_app, issue_token

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(6 * WAIT_S),
    pytest.mark.xdist_group("browser"),
]

NOTES_TYPING = """window.told = [];
for (const transport of [WebSocket, XMLHttpRequest]) {
    const send = transport.prototype.send;
    transport.prototype.send = function (data) {
        if (String(data).includes("chat:typing")) told.push(performance.now());
        return send.call(this, data);
    };
}"""
"""Notes when the page tells that somebody types, by the clock that it has itself."""
MARKUP = "<img src=x onerror=alert(1)><script>alert(2)</script>&amp;"


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
    async with goes_on(lambda: alice["#text"].press("x")):
        await expect(bob["#typing"]).to_contain_text("alice")
        await expect(bob["#typing"]).to_contain_text("is typing")
        await expect(alice["#typing"]).to_be_empty()
    await expect(bob["#typing"]).to_be_empty()  # 3 s later
    await alice.say("hello")
    async with goes_on(lambda: alice["#text"].press("x")):
        await expect(bob["#typing"]).to_contain_text("alice")
    await alice["#text"].fill("for longer than 2 s")
    await alice["#text"].press("Enter")
    await bob.sees("hello", "for longer than 2 s")
    await expect(bob["#typing"]).to_be_empty()


async def test_typing_is_told_every_two_seconds_at_most(windows, server):
    alice = await windows.open()
    await alice.page.add_init_script(NOTES_TYPING)
    await alice.page.goto(address(server))
    await alice.sees_people("alice")
    async with goes_on(lambda: alice["#text"].press("a")):
        told = await until(lambda: alice.page.evaluate("() => told.length > 2 && told"))
    assert all(later - earlier >= 2000 for earlier, later in pairwise(told))


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
    async with goes_on(lambda: mallory["#text"].press("x")):
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
        async with goes_on(lambda: maryam.typing("lobby")):
            await expect(alice["#typing"]).to_have_text(f"\u2068{name}\u2069 is typing …")
        text = alice["#messages .text"].first
        assert await text.evaluate("node => getComputedStyle(node).direction") == "rtl"
        assert await alice["#messages time"].first.evaluate("node => getComputedStyle(node).direction") == "ltr"
        assert await alice["#messages bdi"].first.inner_text() == name


async def test_the_newest_500_messages_are_kept(windows, server):
    alice = await windows.open(address(server))
    await alice.sees_people("alice")
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
    await alice.sees_people("alice")
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


async def test_a_room_with_messages_that_were_not_sent_is_not_left_by_accident(windows):
    async with rtlab.serve(create_app(secret=SECRET, limits=Limits(text=10))) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        await alice.say("more than ten characters")
        await expect(alice["#pending .failed"]).to_be_visible()
        await alice["#leave"].click()
        await expect(alice["#problem"]).to_contain_text("Leave again to give them up")
        await expect(alice["#room-name"]).to_have_text("lobby")
        await alice["#leave"].click()
        await expect(alice["#nothing"]).to_be_visible()
        await expect(alice["#problem"]).to_be_empty()


async def test_who_says_too_much_at_once_is_slowed_down_and_loses_nothing(windows):
    async with rtlab.serve(create_app(secret=SECRET, limits=Limits(burst=5, events_per_s=4))) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        said = [f"number {number}" for number in range(12)]
        for text in said:
            await alice.say(text)
        await alice.sees(*said)
