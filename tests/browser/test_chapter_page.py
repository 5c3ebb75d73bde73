"""The page of chapter 03 does in a real browser what the chapter says of it. (Its frame is not compared by nbval.)"""

from __future__ import annotations

import ast

import pytest
from aiohttp import web
from deadlines import WAIT_S
from notebook_cells import Notebook
from notebook_form import NOTEBOOKS
from playwright.async_api import async_playwright, expect

import rtlab

pytestmark = pytest.mark.browser

CHAPTER = Notebook.load(NOTEBOOKS / "03_echo.ipynb")


def _page() -> str:
    """The text of the constant PAGE."""
    for cell in CHAPTER.code:
        for node in cell.tree.body if cell.tree else ():
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PAGE":
                return str(ast.literal_eval(node.value))
    raise AssertionError("chapter 03 has no PAGE")


async def _echo(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data)
    return ws


async def test_it_shows_what_comes_back_and_sends_what_is_typed(chromium: str) -> None:
    async def page_of(_: web.Request) -> web.Response:
        return web.Response(text=_page(), content_type="text/html")

    app = web.Application()
    app.add_routes([web.get("/", page_of), web.get("/ws", _echo)])
    async with rtlab.serve(app) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--headless=new", "--no-sandbox"])
        page = await browser.new_page()
        page.set_default_timeout(1000 * WAIT_S)
        expect.set_options(timeout=1000 * WAIT_S)
        await page.goto(server.url)
        log = page.locator("#log")
        await expect(log).to_have_text("<- hello from the page")
        await page.fill("#text", "good morning")
        await page.press("#text", "Enter")
        await expect(log).to_contain_text("<- good morning")
        await browser.close()
