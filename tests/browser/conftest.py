"""The chat and windows with its page; and JupyterLab as `make lab` starts it, on a copy of the course, in a Chromium
without a window.

The copy is there because JupyterLab saves what it has run. Nothing of the user's own Jupyter is read or written.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser.chat_windows import GENEROUS, SECRET, Windows, windows_of
from deadlines import SCALE
from nbformat import NotebookNode
from playwright.async_api import Page, ViewportSize, async_playwright

import rtlab
from rtlab.chat import create_app
from rtlab.errors import MissingProgramError
from rtlab.servers import programs
from rtlab.servers.hosting import HostedServer
from rtlab.servers.supervisor import Child

ROOT = Path(__file__).parents[2]
CHAPTER_00 = "notebooks/00_start_here.ipynb"
LAB_S = 90 * SCALE
"""How long JupyterLab has to start, and a notebook to run."""
POLL_S = 0.05
"""Seconds between two looks at what no event announces."""
CHROMIUM_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WINDOW: ViewportSize = {"width": 1280, "height": 900}
NOT_COPIED = (
    ".venv*",
    ".git",
    "node_modules",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".rtlab",
    "tests",
    "*.egg-info",
)
STATE = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const cells = panel?.content?.model?.cells;
    if (!panel?.context?.isReady || !cells) return "no notebook";
    const kernel = panel.sessionContext.session?.kernel;
    if (!kernel) return "no kernel";
    let todo = 0;
    for (const cell of cells) {
        if (cell.type !== "code") continue;
        if (cell.executionCount === null) todo += 1;
        for (const output of cell.outputs.toJSON())
            if (output.output_type === "error" && !cell.getMetadata("tags")?.includes("raises-exception"))
                return `failed with ${output.ename}: ${output.evalue}, in the cell\\n${cell.sharedModel.source}`;
    }
    return todo ? `${todo} cells to run, the kernel is ${kernel.status}` : kernel.status;
}"""
"""What the notebook in front is doing: "idle" once every code cell has run, what failed if one has. JupyterLab
draws only the cells in view, so its model is asked, which the option expose_app_in_browser makes visible."""
CLEAR = """() => {
    for (const cell of window.jupyterapp.shell.currentWidget.content.model.cells)
        if (cell.type === "code") cell.clearExecution();
}"""
"""Forget outputs and counts, those of the committed notebook and those of an earlier run."""

TO_THE_TOP = """async () => {
    const notebook = window.jupyterapp.shell.currentWidget.content;
    notebook.activeCellIndex = 0;
    await notebook.scrollToItem(0);
}"""
HEIGHT = """() => {
    const notebook = document.querySelector(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-WindowedPanel-outer");
    return notebook.scrollHeight + window.innerHeight - notebook.clientHeight;
}"""
"""How tall the window has to be to show the whole notebook."""
TALLEST_PX = 16000
"""Chromium draws no taller picture."""


@dataclass
class Lab:
    """JupyterLab with one notebook in front."""

    page: Page
    folder: Path
    """The copy of the course: JupyterLab's root."""
    server: Child
    url: str
    """Where the server listens, with its base URL."""
    notebook: str
    """The notebook in front, relative to the folder."""

    async def menu(self, *path: str) -> None:
        """Choose an entry of the menu bar."""
        bar, *entries = path
        await self.page.get_by_role("menubar").get_by_text(bar, exact=True).click()
        for entry in entries:
            await self.page.locator(".lm-Menu-itemLabel", has_text=entry).get_by_text(entry, exact=True).click()

    async def until(self, wanted: Callable[[str], bool]) -> None:
        """Wait until the notebook is in such a state."""
        state = ""
        try:
            async with asyncio.timeout(LAB_S):
                while not wanted(state := await self.page.evaluate(STATE)):
                    assert not state.startswith("failed"), state
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise self.server.failure(f"shows a notebook in the state {state!r} after {LAB_S:g} s") from None

    async def run_all(self) -> NotebookNode:
        """Run all cells through the menu, wait until they have run, and give the notebook as it is saved then."""
        await self.page.evaluate(CLEAR)
        await self.menu("Run", "Run All Cells")
        await self.until(lambda state: state == "idle")
        await self.page.evaluate("() => window.jupyterapp.shell.currentWidget.context.save()")
        return nbformat.read(self.folder / self.notebook, as_version=4)


OpenLab = Callable[..., Awaitable[Lab]]


@pytest.fixture
def chromium() -> str:
    """The path of Chromium. Without one the test is skipped, unless RTLAB_REQUIRE_BROWSER is 1."""
    try:
        return str(programs.chromium().path)
    except MissingProgramError as error:
        if os.environ.get("RTLAB_REQUIRE_BROWSER") == "1":
            pytest.fail(f"RTLAB_REQUIRE_BROWSER is 1, and {error}")
        pytest.skip(str(error))


@pytest.fixture
async def windows(chromium: str) -> AsyncIterator[Windows]:
    """For the chat's page."""
    async with windows_of(chromium) as windows:
        yield windows


@pytest.fixture
async def server() -> AsyncIterator[HostedServer]:
    """The chat, where nobody is too fast."""
    async with rtlab.serve(create_app(secret=SECRET, dev=True, limits=GENEROUS)) as running:
        yield running


@pytest.fixture
def keep_screenshots(tmp_path: Path) -> Callable[[Lab, str], Awaitable[None]]:
    """Takes two screenshots of a notebook, of its top and of the whole, and keeps them: in the folder that
    RTLAB_SCREENSHOTS names, else in pytest's own."""
    folder = Path(os.environ.get("RTLAB_SCREENSHOTS") or tmp_path)

    async def keep(lab: Lab, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        await lab.page.evaluate(TO_THE_TOP)
        await lab.page.screenshot(path=folder / f"{name}.png")
        for _ in range(2):  # what is out of view has an estimated height until it is drawn
            height = min(await lab.page.evaluate(HEIGHT), TALLEST_PX)
            await lab.page.set_viewport_size({**WINDOW, "height": height})
        await lab.page.screenshot(path=folder / f"{name}_whole.png")
        await lab.page.set_viewport_size(WINDOW)

    return keep


@pytest.fixture
async def open_lab(tmp_path: Path, chromium: str) -> AsyncIterator[OpenLab]:
    """Opens JupyterLab on a notebook: one of the course, or one of these cells. Closes all at the end."""
    async with AsyncExitStack() as stack:

        async def open_it(notebook: str = CHAPTER_00, *, cells: tuple[str, ...] = (), base_url: str = "/") -> Lab:
            folder = tmp_path / "course"
            _copy_course(folder)
            if cells:
                _write(folder / notebook, cells)
            options = [
                "--no-browser",
                "--ServerApp.port=0",
                f"--ServerApp.base_url={base_url}",
                "--LabApp.expose_app_in_browser=True",
                *(["--allow-root"] if os.geteuid() == 0 else []),  # in containers
            ]
            server = Child(
                ["make", "--old-file=install", "lab", f"ARGS={' '.join(options)}"],
                name="JupyterLab",
                cwd=folder,
                env=_environment(tmp_path / "home", base_url),
            )
            stack.push_async_callback(server.aclose)
            info = await _started(server, tmp_path / "home/runtime")
            playwright = await stack.enter_async_context(async_playwright())
            browser = await playwright.chromium.launch_persistent_context(
                tmp_path / "chromium", executable_path=chromium, args=[*CHROMIUM_FLAGS], viewport=WINDOW
            )
            stack.push_async_callback(browser.close)
            browser.set_default_timeout(1000 * LAB_S)
            page = browser.pages[0]
            asked = "" if notebook == CHAPTER_00 else f"lab/tree/{notebook}"  # `make lab` names chapter 00 itself
            await page.goto(f"{info['url']}{asked}?token={info['token']}")
            lab = Lab(page, folder, server, info["url"], notebook)
            await lab.until(lambda state: state.endswith("idle"))
            return lab

        yield open_it


async def _started(server: Child, runtime: Path) -> dict[str, Any]:
    """Wait until JupyterLab listens. It then writes down where."""
    try:
        async with asyncio.timeout(LAB_S):
            while server.running:
                for path in runtime.glob("jpserver-*.json"):
                    try:
                        return dict(json.loads(path.read_text()))
                    except ValueError:
                        pass  # it is being written
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise server.failure(f"did not listen within {LAB_S:g} s") from None
    raise server.failure()


def _copy_course(folder: Path) -> None:
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*NOT_COPIED))
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "node_modules").symlink_to(ROOT / "node_modules")


def _write(path: Path, cells: tuple[str, ...]) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(notebook, path)


def _environment(home: Path, base_url: str) -> dict[str, str]:
    """Ours, without what tells make and the kernel that they run inside a test, and with a home of its own."""
    home.mkdir()
    dropped = ("JUPYTER", "PYTEST", "MAKE", "MFLAGS", "IPYTHON")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    environment |= {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    if base_url != "/":
        environment["JUPYTERHUB_SERVICE_PREFIX"] = base_url
    return environment
