"""The JavaScript column of the cheat sheet runs in a real browser. (The Python column runs in the notebook itself.)"""

from __future__ import annotations

import asyncio
import re

import pytest
from aiohttp import web
from deadlines import WAIT_S
from notebook_cells import Notebook
from notebook_form import NOTEBOOKS
from playwright.async_api import async_playwright
from websockets.asyncio.server import ServerConnection, serve

import rtlab

pytestmark = pytest.mark.browser

SHEET = Notebook.load(NOTEBOOKS / "appendix_cheat_sheet.ipynb").cells[0].source
SNIPPETS = re.findall(r"^\| [\w -]+ \| `((?:await|new) [^`]+)` \| `[^`]+` \|", SHEET, re.MULTILINE)
A_WEBSOCKET = {
    want: re.findall(r"`([^`]+)`", javascript)
    for want, javascript in re.findall(
        r"^\| ([\w ]+) \| (`[^|]+) \|", SHEET.partition("**A WebSocket**")[2].partition("What a page")[0], re.MULTILINE
    )
}
"""The rows of the table on a WebSocket: what is wanted, and the JavaScript for it."""
CONNECT = f"const {A_WEBSOCKET['to connect'][0]}; ws.onopen = () => {{ resolve('open'); ws.close(); }}"


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


async def test_a_websocket_from_its_opening_to_its_close(chromium: str) -> None:
    heard: list[str | bytes] = []

    async def listens(ws: ServerConnection) -> None:
        await ws.send(b"\x00\x01")
        heard.extend([await ws.recv() for _ in sends])
        await ws.wait_closed()
        heard.append(f"{ws.close_code} {ws.close_reason}")
        ended.set()

    ended = asyncio.Event()
    [binary] = A_WEBSOCKET["to receive bytes"]
    [on_message], [on_close] = A_WEBSOCKET["to receive"], A_WEBSOCKET["to know why it ended"]
    offer, chosen = A_WEBSOCKET["a subprotocol"]
    [waiting], [close] = A_WEBSOCKET["what waits unsent"], A_WEBSOCKET["to close"]
    sends = [A_WEBSOCKET[f"to send {what}"][0] for what in ("text", "JSON", "bytes")]
    script = f"""(url) => new Promise((resolve) => {{
        const seen = [], x = {{a: 1}}, bytes = new Uint8Array([2, 3]);
        const ws = {offer};
        let use = (data) => {{
            seen.push(data instanceof ArrayBuffer, data.byteLength, {chosen});
            {"; ".join(sends)};
            seen.push({waiting} > 0);
            use = (code, reason) => resolve([...seen, code, reason]);
            {close};
        }};
        {binary}; {on_message}; {on_close};
    }})"""
    async with (
        serve(listens, "127.0.0.1", 0, subprotocols=["chat.v1", "chat.v2"]) as server,  # type: ignore[list-item]
        rtlab.serve(_app()) as pages,
        async_playwright() as playwright,
    ):
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--headless=new", "--no-sandbox"])
        page = await browser.new_page()
        await page.goto(pages.url)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with asyncio.timeout(WAIT_S):
            assert await page.evaluate(script, url) == [True, 2, "chat.v1", True, 4003, "full"]
            plain = f"{pages.ws_url}/ws"  # the other server insists on a subprotocol
            assert await page.evaluate(f"(url) => new Promise((resolve) => {{ {CONNECT} }})", plain) == "open"
            await ended.wait()
        await browser.close()
    assert heard == ["text", '{"a":1}', b"\x02\x03", "4003 full"]


async def test_what_a_page_cannot_do(chromium: str) -> None:
    async with rtlab.serve(_app()) as server, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--headless=new", "--no-sandbox"])
        page = await browser.new_page()
        await page.goto(server.url)
        members = await page.evaluate("() => Object.getOwnPropertyNames(WebSocket.prototype)")
        assert "send" in members
        assert not {"ping", "abort", "terminate"} & set(members)
        offered = await page.evaluate(
            """(url) => new Promise((resolve) => {
                const ws = new WebSocket(url, ["chat.v9"]);
                ws.onopen = () => resolve("open");
                ws.onclose = (e) => resolve(e.code);
            })""",
            f"{server.ws_url}/ws",
        )
        assert offered == 1006, "a server that picks none of the subprotocols is not accepted (appendix on debugging)"
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
