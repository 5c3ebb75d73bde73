"""`make notebooks`: what went through is written in its normalised form, what failed is as it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import execute_notebooks
import pytest
from deadlines import WAIT_S
from eventually import eventually
from notebook_cells import Notebook
from notebook_form import METADATA, normalised_text
from processes import runs


def written(path: Path, *sources: str, tags: tuple[str, ...] = ()) -> Path:
    """A notebook file that was never run, in no normalised form."""
    cells = [
        {"cell_type": "code", "metadata": {"tags": list(tags)}, "execution_count": 7, "outputs": [], "source": source}
        for source in sources
    ]
    path.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    return path


def test_a_notebook_is_executed_in_its_folder_and_normalised(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "beside.txt").write_text("read\n")
    path = written(
        tmp_path / "a.ipynb", "x = open('beside.txt').read()", "print(x)\nawait __import__('asyncio').sleep(0, 5)"
    )
    assert execute_notebooks.main([str(path)]) == 0
    notebook = Notebook.load(path)
    assert [cell.count for cell in notebook.cells] == [1, 2]
    assert notebook.cells[1].shown == "read\n\n\n5"
    assert notebook.document["metadata"] == METADATA
    assert notebook.text == normalised_text(notebook.document)
    assert "written" in capsys.readouterr().err
    assert execute_notebooks.main([str(path)]) == 0
    assert "unchanged" in capsys.readouterr().err
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.ipynb", "beside.txt"]


def test_another_free_port_is_no_change_and_another_result_is(tmp_path: Path) -> None:
    path = written(
        tmp_path / "a.ipynb",
        "import os, random\nf'http://127.0.0.1:{random.randint(10_000, 60_000)}'",
        "open('count', 'a').write('x')\nos.path.getsize('count')",
    )
    assert execute_notebooks.main([str(path)]) == 0
    first = Notebook.load(path).cells
    assert execute_notebooks.main([str(path)]) == 0
    second = Notebook.load(path).cells
    assert second[0] == first[0]
    assert [cells[1].shown for cells in (first, second)] == ["1", "2"]


def test_a_failure_names_its_cell_and_leaves_the_file_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = written(tmp_path / "a.ipynb", "x = 1", "x['name']")
    good = written(tmp_path / "b.ipynb", "1 / 0", tags=("raises-exception",))
    before = bad.read_bytes()
    assert execute_notebooks.main([str(tmp_path)]) == 1
    said = capsys.readouterr().err
    assert "a.ipynb: cell 1" in said
    assert "beginning \"x['name']\") raised TypeError: 'int' object is not subscriptable" in said
    assert "1 of 2 failed" in said
    assert bad.read_bytes() == before
    assert Notebook.load(good).cells[0].outputs[0]["ename"] == "ZeroDivisionError"


@pytest.mark.parametrize(
    ("source", "expected"),
    [("import os\nos._exit(3)", "ended the kernel"), ("import time\ntime.sleep(1000)", "still ran after 1 s")],
)
def test_a_cell_that_never_answers_is_a_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, source: str, expected: str
) -> None:
    if "still ran" in expected:
        monkeypatch.setattr(execute_notebooks, "CELL_TIMEOUT_S", 1)
    path = written(tmp_path / "a.ipynb", source)
    assert execute_notebooks.main([str(path)]) == 1
    assert expected in capsys.readouterr().err


def test_ctrl_c_ends_the_kernel_too(tmp_path: Path) -> None:
    source = "import asyncio, os\nopen('running', 'w').write(str(os.getpid()))\nawait asyncio.sleep(3600)"
    path = written(tmp_path / "a.ipynb", source)
    before, running = path.read_bytes(), tmp_path / "running"
    command = [sys.executable, execute_notebooks.__file__, str(path)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            eventually(lambda: process.poll() is not None or (running.exists() and running.read_text()))
            process.send_signal(signal.SIGINT)
        except BaseException:
            process.kill()
            raise
        _, said = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130
    # ipykernel may complain before that of being ended while it begins
    assert said.endswith("Interrupted. The notebook that was running is as it was.\n")
    assert path.read_bytes() == before
    eventually(lambda: not runs(int(running.read_text())), "the kernel has gone")


def test_normalise_only_executes_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", "1 / 0")
    assert execute_notebooks.main(["--normalise-only", str(path)]) == 0
    notebook = Notebook.load(path)
    assert notebook.text == normalised_text(notebook.document)
    assert notebook.cells[0].count == 7


def test_what_is_no_notebook_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute_notebooks.main([str(tmp_path / "missing.ipynb")]) == 1
    assert "expected a notebook or a folder of notebooks" in capsys.readouterr().err
