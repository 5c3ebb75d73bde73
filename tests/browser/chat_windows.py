"""Browser windows with the chat's page in them, and what people see and do there.

Whatever a window complains of in its console is an error: a fault of a script as well as a breach of the page's policy.
Only that a server cannot be reached, or that a connection ended early, is the browser's own remark: tests stop servers.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from deadlines import WAIT_S
from eventually import until
from playwright.async_api import Browser, ConsoleMessage, Locator, Page, async_playwright, expect

from rtlab.chat import Limits, issue_token
from rtlab.servers.hosting import HostedServer

__all__ = ["GENEROUS", "SECRET", "Window", "Windows", "address", "both_in", "goes_on", "windows_of"]

ROOT = Path(__file__).parents[2]
SECRET = "a secret of the tests, longer than 32 bytes"
GENEROUS = Limits(events_per_s=1e6, burst=1_000_000)
"""For tests that are not about the rate."""
AXE = ROOT / "node_modules/axe-core/axe.min.js"
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
UNREACHABLE = re.compile(
    r"Failed to load resource: net::ERR_\w+|responded with a status of 503|WebSocket connection to .* failed"
)
"""What a browser says by itself of a server that is away, or goes."""
SETTLED_MS = 500
"""Longer than any transition of the page: axe measures colours, and half way they are none of ours."""

NOTES_STATES = """addEventListener("DOMContentLoaded", () => {
    const node = document.getElementById("state");
    window.states = [];
    if (node) new MutationObserver(() => states.push(node.textContent)).observe(node, {childList: true});
});"""
"""Notes what the page says of its connection: who looks now and then does not see what is there for a moment."""

AGAIN_S = 0.2
"""Seconds between two notices that one types: the page and the server let through what they want."""


@asynccontextmanager
async def goes_on(act: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """`act`, again and again until the block is left: what a page shows for 3 s is seen on the slowest machine too.

    The last one is over when the block is: a key that is pressed half way would arrive in what comes next.
    """
    over = asyncio.Event()

    async def often() -> None:
        while not over.is_set():
            await act()
            await asyncio.wait({waiting}, timeout=AGAIN_S)

    waiting = asyncio.ensure_future(over.wait())
    acting = asyncio.create_task(often())
    try:
        yield
    finally:
        over.set()
        await acting


class Window:
    """One window."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.on("console", self._noted)
        page.on("pageerror", lambda error: self.complaints.append(f"{error}\n{error.stack}"))
        self.complaints: list[str] = []
        """What its console says."""

    def __getitem__(self, selector: str) -> Locator:
        return self.page.locator(selector)

    def _noted(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.complaints.append(message.text)

    # What people do

    async def sign_in(self, name: str) -> None:
        """By name."""
        await self["#name"].fill(name)
        await self["#name"].press("Enter")
        await self.connected()

    async def join(self, room: str) -> None:
        await self["#join-name"].fill(room)
        await self["#join-name"].press("Enter")
        await expect(self["#room-name"]).to_have_text(room)
        await expect(self["#room-people"]).to_contain_text("here")

    async def go_to(self, room: str) -> None:
        await self["#room-list button"].filter(has_text=room).click()

    async def say(self, text: str) -> None:
        await self["#text"].fill(text)
        await self["#text"].press("Enter")

    # What people see

    async def connected(self) -> None:
        await expect(self["#chat"]).to_be_visible()
        await expect(self["#state"]).to_have_text("Connected")

    async def was(self, state: str) -> None:
        """Once at least since the page was loaded, be it for ever so short a time."""
        await until(lambda: self.page.evaluate("state => states.includes(state)", state), f"the state {state!r}")

    async def was_always(self, state: str) -> bool:
        """Since it was connected for the first time."""
        states = await self.page.evaluate("() => states")
        return set(states[states.index("Connected") :]) == {state}

    async def away(self) -> None:
        await expect(self["#state"]).to_have_text("Not connected")

    async def sees(self, *texts: str) -> None:
        """Exactly these messages, in this order, and none on its way."""
        await expect(self["#messages .text"]).to_have_text(list(texts))
        await expect(self["#pending li"]).to_have_count(0)

    async def sees_people(self, *names: str) -> None:
        await expect(self["#people-list bdi"]).to_have_text(list(names))

    async def fits(self) -> None:
        """Nothing reaches over the edges."""
        width = await self.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
        assert width <= 0, f"{width} px too wide"

    async def accessible(self) -> None:
        """Nothing is left of what axe-core calls serious or critical."""
        await self.page.wait_for_timeout(SETTLED_MS)
        await self.page.evaluate(AXE.read_text(encoding="utf-8"))  # through the debugger, which no policy stops
        found = await self.page.evaluate("() => axe.run({resultTypes: ['violations', 'incomplete']})")
        bad = [
            f"{each['id']}: {each['help']}: {[node['html'] for node in each['nodes']]}"
            for each in found["violations"]
            if each["impact"] in {"serious", "critical"}
        ]
        assert not bad, "\n".join(bad)

    async def keep(self, name: str) -> None:
        """A picture, in the folder that RTLAB_SCREENSHOTS names."""
        if folder := os.environ.get("RTLAB_SCREENSHOTS"):
            await self.page.screenshot(path=Path(folder) / f"{name}.png")


class Windows:
    """All windows of a test."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._open: list[Window] = []
        self.expected = re.compile(r"(?!)")
        """What the consoles may say in this test besides."""

    async def open(self, url: str | None = None, *, websocket: bool = True, **options: Any) -> Window:
        """A window of its own, as on another machine: it shares nothing with the others.

        Args:
            url: where it goes.
            websocket: whether the browser has WebSocket; without it the page stays on long-polling.
            **options: those of a browser context.
        """
        context = await self._browser.new_context(locale="en-GB", **options)
        if not websocket:
            await context.add_init_script("delete globalThis.WebSocket")
        context.set_default_timeout(1000 * WAIT_S)
        await context.add_init_script(NOTES_STATES)
        window = Window(await context.new_page())
        self._open.append(window)
        if url is not None:
            await window.page.goto(url)
        return window

    def complaints(self) -> list[str]:
        said = [each for window in self._open for each in window.complaints]
        return [each for each in said if not UNREACHABLE.search(each) and not self.expected.search(each)]


@asynccontextmanager
async def windows_of(chromium: str) -> AsyncIterator[Windows]:
    expect.set_options(timeout=1000 * WAIT_S)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=[*FLAGS])
        try:
            windows = Windows(browser)
            yield windows
            said = windows.complaints()
            assert not said, "\n".join(said)
        finally:
            await browser.close()


def address(server: HostedServer, name: str = "alice", room: str = "lobby", **options: float) -> str:
    """Where somebody is signed in and in a room."""
    return f"{server.url}/#{urlencode({'token': issue_token(name, SECRET, **options), 'room': room})}"


async def both_in(windows: Windows, server: HostedServer) -> tuple[Window, Window]:
    """Alice and Bob, each in a window, in the lobby."""
    alice, bob = await windows.open(address(server)), await windows.open(address(server, "bob"))
    for window in (alice, bob):
        await window.sees_people("alice", "bob")
    return alice, bob
