"""The JavaScript column of the cheat sheet runs in a real browser. (The Python column runs in the notebook itself.)"""

from __future__ import annotations

import re

import pytest
from aiohttp import web
from notebook_cells import Notebook
from notebook_form import NOTEBOOKS
from playwright.async_api import async_playwright

import rtlab

pytestmark = pytest.mark.browser

SNIPPETS = re.findall(
    r"^\| [\w -]+ \| `((?:await|new) [^`]+)` \| `[^`]+` \|",
    Notebook.load(NOTEBOOKS / "appendix_cheat_sheet.ipynb").cells[0].source,
    re.MULTILINE,
)


def test_the_column_is_found() -> None:
    assert [re.split(r"\W+", snippet)[1] for snippet in SNIPPETS] == ["await", "await", "EventSource", "WebSocket"]


async def test_each_snippet_hears_of_the_change(chromium: str) -> None:
    async with rtlab.serve(_app()) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--headless=new", "--no-sandbox"])
        page = await browser.new_page()
        for snippet in SNIPPETS:
            body = f"resolve({snippet})" if snippet.startswith("await") else f"const use = resolve; {snippet}"
            await page.goto(server.url)
            heard = await page.evaluate(f"(url) => new Promise(async (resolve) => {{ {body} }})", f"{server.ws_url}/ws")
            assert str(heard) == "1", snippet
        await browser.close()


def _app() -> web.Application:
    """The four ways of chapter 00, each with the one change 1."""
    app = web.Application()
    app.add_routes(
        [
            web.get("/", _page),
            web.get("/now", _answer),
            web.get("/next", _answer),
            web.get("/events", _events),
            web.get("/ws", _websocket),
        ]
    )
    return app


async def _page(request: web.Request) -> web.Response:
    return web.Response(text="<!doctype html><title>Cheat sheet</title>", content_type="text/html")


async def _answer(request: web.Request) -> web.Response:
    return web.json_response(1)


async def _events(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"data: 1\n\n")
    return response


async def _websocket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    await ws.send_str("1")
    await ws.close()
    return ws
