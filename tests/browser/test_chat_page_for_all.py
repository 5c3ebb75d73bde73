"""The chat's page in a real browser is for everybody: any width, light or dark, by keyboard, by ear."""

from __future__ import annotations

import re

import pytest
from browser.chat_windows import GENEROUS, SECRET, Window, Windows, address, goes_on
from deadlines import WAIT_S
from playwright.async_api import Page, expect

import rtlab
from rtlab.chat import connect, create_app, issue_token
from rtlab.servers.hosting import HostedServer

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(6 * WAIT_S),
    pytest.mark.xdist_group("browser"),
]

PHONE = {"viewport": {"width": 360, "height": 640}}


async def background(page: Page) -> str:
    return str(await page.evaluate("() => getComputedStyle(document.body).backgroundColor"))


async def crowd(windows: Windows, server: HostedServer, **options: object) -> Window:
    """A window with a conversation in it, among long names and long words."""
    window = await windows.open(address(server, "W" * 32, "M" * 64), **options)
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        room = "M" * 64
        await carol.join(room)
        await carol.send(room, "a word of " + "m" * 300)
        await carol.send(room, "and a few short ones")
        await window.say("w" * 200)
        await window.sees("a word of " + "m" * 300, "and a few short ones", "w" * 200)
        async with goes_on(lambda: carol.typing(room)):
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
        async with goes_on(lambda: carol.typing("lobby")):
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


async def test_nothing_jumps(windows, server):
    """What comes and goes (the connection's state, who types, problems) moves nothing that one reads or clicks."""
    window = await windows.open(address(server))
    await window.say("hello")
    await window.sees("hello")
    await window.page.evaluate(
        """() => {
            window.jumped = [];
            new PerformanceObserver((list) => {
                for (const each of list.getEntries())
                    jumped.push(...each.sources.map(({node}) => node?.id || node?.className || String(node)));
            }).observe({type: "layout-shift"});
        }"""
    )
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        async with goes_on(lambda: carol.typing("lobby")):
            await expect(window["#typing"]).not_to_be_empty()
        await expect(window["#typing"]).to_be_empty()
    await window.sees_people("alice")
    await server.stop()
    await window.away()
    await expect(window["#trouble"]).to_be_visible()
    assert await window.page.evaluate("() => jumped") == []
