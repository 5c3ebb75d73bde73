"""The course in a real JupyterLab: it opens, it runs, its servers are reached from the browser and replaced."""

from __future__ import annotations

import re
import socket

import pytest
from deadlines import SCALE
from nbformat import NotebookNode

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(400 * SCALE),
    pytest.mark.xdist_group("browser"),
]

HELLO = """\
import rtlab
from aiohttp import web

async def hello(request):
    return web.Response(text="hello from the kernel")

async def echo(request):
    ws = web.WebSocketResponse()
    await ws.prepare(request)
    async for message in ws:
        await ws.send_str(message.data)
    return ws
"""
CHAT = """\
import secrets
import rtlab
secret = secrets.token_urlsafe(32)
server = await rtlab.start(rtlab.chat.create_app(secret=secret, dev=True))
alice = await rtlab.chat.connect(server.url, token=rtlab.chat.issue_token("Alice", secret))
await alice.join("lobby")
await alice.send("lobby", "hello from the kernel")
"""
START = """\
app = web.Application()
app.add_routes([web.get("/", hello), web.get("/echo", echo)])
server = await rtlab.start(app)
"""
ECHO_IN_THE_BROWSER = """url => new Promise((resolve, reject) => {
    const socket = new WebSocket(url);
    socket.onopen = () => socket.send("from the browser");
    socket.onmessage = event => { resolve(event.data); socket.close(); };
    socket.onerror = () => reject(new Error("the WebSocket to " + url + " failed"));
})"""


def printed(cell: NotebookNode) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


async def test_chapter_00_is_in_front_and_runs_from_top_to_bottom(open_lab, keep_screenshots):
    lab = await open_lab()
    assert lab.page.url == f"{lab.url}lab/tree/notebooks/00_start_here.ipynb"
    notebook = await lab.run_all()
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    errors = [output.evalue for cell in code for output in cell.outputs if output.output_type == "error"]
    assert not errors
    await keep_screenshots(lab, "chapter_00_light")
    await lab.menu("Settings", "Theme", "JupyterLab Dark")
    await lab.page.wait_for_selector("body[data-jp-theme-light='false']", state="attached")
    await keep_screenshots(lab, "chapter_00_dark")


async def test_behind_a_hub_the_browser_reaches_servers_through_the_proxy(open_lab):
    lab = await open_lab(
        "notebooks/hub.ipynb", cells=(HELLO, START, "print(server.browser_url)"), base_url="/user/ada/"
    )
    notebook = await lab.run_all()
    path = printed(notebook.cells[-1]).strip()
    assert re.fullmatch(r"/user/ada/proxy/\d+/", path)
    answer = await lab.page.evaluate("path => fetch(path).then(response => response.text())", path)
    assert answer == "hello from the kernel"
    origin = lab.url.removesuffix("/user/ada/").replace("http://", "ws://")
    assert await lab.page.evaluate(ECHO_IN_THE_BROWSER, f"{origin}{path}echo") == "from the browser"


@pytest.mark.parametrize("base_url", ["/", "/user/ada/"])
async def test_the_chat_beside_its_cell_also_behind_a_hub(open_lab, base_url):
    lab = await open_lab("notebooks/chat.ipynb", cells=(CHAT, "rtlab.chat.show(server)"), base_url=base_url)
    await lab.run_all()
    chat = lab.page.frame_locator(".jp-OutputArea iframe")
    await chat.get_by_label("Your name").fill("Bob")
    await chat.get_by_role("button", name="Sign in").click()
    await chat.get_by_text("hello from the kernel").wait_for()
    await chat.locator("#text").fill("hello from the browser")
    await chat.get_by_role("button", name="Send").click()
    await chat.locator("#messages").get_by_text("hello from the browser").wait_for()
    assert ("proxy" in await lab.page.locator(".jp-OutputArea iframe").get_attribute("src")) == (base_url != "/")


async def test_a_second_run_of_a_cell_replaces_the_server_that_the_first_had_started(open_lab):
    lab = await open_lab("notebooks/again.ipynb", cells=(HELLO, START, "print(server.port)"))
    first = int(printed((await lab.run_all()).cells[-1]))
    assert listens(first)
    notebook = await lab.run_all()
    second = int(printed(notebook.cells[-1]))
    assert (listens(first), listens(second)) == (False, True)
    assert re.fullmatch(
        rf"Stopped <Server http://127\.0\.0\.1:{first}, .*>, started by an earlier run of this cell\.\n",
        printed(notebook.cells[1]),
    )
