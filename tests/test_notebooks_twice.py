"""Every notebook runs twice in one kernel, and leaves nothing: no process, no port, no directory.

Readers go back and run cells again. So the whole notebook runs twice, top to bottom, without a restart. What is
left is looked for twice, too: while the kernel still runs, and after it has ended.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from deadlines import SCALE, WAIT_S
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from notebook_form import NOTEBOOKS, Document, normalise, read

pytestmark = pytest.mark.long

PATHS = sorted(NOTEBOOKS.glob("*.ipynb"))
CELL_TIMEOUT_S = round(180 * SCALE)
RUNS = 2


@pytest.mark.timeout(900 * SCALE)
@pytest.mark.parametrize("path", PATHS, ids=[path.stem for path in PATHS])
async def test_a_notebook_runs_twice_and_leaves_nothing(path: Path, tmp_path: Path) -> None:
    await run_twice(normalise(read(path)), path.parent, tmp_path)


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("import rtlab\nasync def echo(ws): pass\nserver = await rtlab.start(echo, name=str(id({})))", "ports"),
        (
            "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)",
            "processes",
        ),
        ("import tempfile\ntempfile.mkdtemp(prefix='rtlab-')", "files"),
        ("assert 'again' not in globals()\nagain = True", "AssertionError"),
    ],
)
async def test_what_is_left_is_found(source: str, left: str, tmp_path: Path) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source}
    with pytest.raises((AssertionError, CellExecutionError), match=left):
        await run_twice(normalise({"cells": [cell]}), tmp_path, tmp_path, wait_s=0.5)


async def run_twice(document: Document, folder: Path, private: Path, wait_s: float = WAIT_S) -> None:
    """Run a notebook twice in a fresh kernel whose working directory is `folder`.

    Raises:
        CellExecutionError: a cell failed.
        AssertionError: after `wait_s` seconds something was still there.
    """
    notebook = nbformat.from_dict(document)
    temporary = private / "temporary"
    temporary.mkdir()
    client = NotebookClient(
        notebook, timeout=CELL_TIMEOUT_S, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    environment = {**os.environ, "TMPDIR": str(temporary), "IPYTHONDIR": str(private / "ipython")}
    async with client.async_setup_kernel(env=environment):
        assert client.km is not None
        kernel = psutil.Process(client.km.provisioner.pid)
        await run(client, "1 + 1")
        ports, children = listening(kernel), kernel.children(recursive=True)
        for _ in range(RUNS):
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type == "code":
                    await client.async_execute_cell(cell, index)
        psutil.wait_procs(started(kernel, children), timeout=wait_s)
        everything = [kernel, *kernel.children(recursive=True)]
        assert started(kernel, children) == [], "processes are left"
        assert listening(kernel) - ports == set(), "ports are left"
        assert leftovers(temporary) == [], "files are left"
    _, alive = psutil.wait_procs(everything, timeout=WAIT_S)
    assert alive == [], "processes outlived the kernel"
    assert leftovers(temporary) == [], "files outlived the kernel"


async def run(client: NotebookClient, source: str) -> None:
    """Execute one more cell, which is not part of the notebook."""
    cell: Any = nbformat.v4.new_code_cell(source)
    client.nb.cells.append(cell)
    try:
        await client.async_execute_cell(cell, len(client.nb.cells) - 1)
    finally:
        client.nb.cells.pop()


def started(kernel: psutil.Process, before: list[psutil.Process]) -> list[psutil.Process]:
    """The kernel's descendants that were not there before."""
    return [child for child in kernel.children(recursive=True) if child not in before]


def listening(process: psutil.Process) -> set[int]:
    """The TCP ports on which a process listens. A kernel needs some for itself."""
    connections = process.net_connections("tcp")
    return {connection.laddr.port for connection in connections if connection.status == psutil.CONN_LISTEN}


def leftovers(temporary: Path) -> list[str]:
    """Temporary files and directories that are neither the kernel's own nor matplotlib's."""
    return sorted(
        entry.name for entry in temporary.iterdir() if not entry.name.startswith(("ipykernel_", "matplotlib-"))
    )
