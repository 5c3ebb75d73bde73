"""Execute notebooks, each in a fresh kernel, and write them back normalised. `make notebooks` calls this.

What lives here: the command. The form of a committed notebook is `notebook_form`'s business. A notebook that fails
is left as it was; the rest are still executed.

Each runs as JupyterLab would run it: in its own folder, with the kernel of this environment. The user's own
IPython start-up files and history stay out of it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from deadlines import SCALE
from nbclient import NotebookClient
from nbclient.exceptions import CellControlSignal, CellExecutionError, CellTimeoutError, DeadKernelError
from notebook_form import NOTEBOOKS, Document, normalise, read, write
from notebook_lint import sanitized
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

CELL_TIMEOUT_S = round(180 * SCALE)
"""How long one cell may take: three times as long as the slowest whole chapter, so reaching it means that the cell
hangs, also on a machine that does much else."""
KERNEL = "python3"


class NotebookFailedError(Exception):
    """A cell of a notebook failed; the message says which one and how."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; gives its exit status: 0 if every notebook went through, else 1."""
    options = _parser().parse_args(arguments)
    console = Console(stderr=True)
    paths: list[Path] = []
    for path in options.paths:
        if path.is_dir():
            paths += sorted(path.glob("*.ipynb"))
        elif path.suffix == ".ipynb" and path.is_file():
            paths.append(path)
        else:
            console.print(f"{path}: expected a notebook or a folder of notebooks", style="red", highlight=False)
            return 1
    try:
        failed = [path for path in paths if not _treat(path, console, options.normalise_only)]
    except (KeyboardInterrupt, InterruptedError):
        console.print("Interrupted. The notebook that was running is as it was.", highlight=False)
        return 130
    if failed:
        console.print(f"{len(failed)} of {len(paths)} failed. What failed is as it was.", style="red", highlight=False)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make notebooks", description="Execute notebooks in fresh kernels and write them back normalised."
    )
    every = [Path(os.path.relpath(NOTEBOOKS))]
    parser.add_argument("paths", nargs="*", type=Path, default=every, help="notebooks, or folders of them")
    parser.add_argument("--normalise-only", action="store_true", help="execute nothing, only tidy up the files")
    return parser


def _treat(path: Path, console: Console, normalise_only: bool) -> bool:
    document = read(path)
    started = time.monotonic()
    if not normalise_only:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
            bar = progress.add_task(path.name, total=sum(cell["cell_type"] == "code" for cell in document["cells"]))
            try:
                document = keep_same(execute(document, path.parent, lambda: progress.advance(bar)), document)
            except NotebookFailedError as failure:
                console.print(f"{path}: {failure}", style="red", markup=False, highlight=False, soft_wrap=True)
                return False
    changed = write(path, document)
    seconds = "" if normalise_only else f"{time.monotonic() - started:.1f} s, "
    console.print(
        f"{path}: {seconds}{'written' if changed else 'unchanged'}", markup=False, highlight=False, soft_wrap=True
    )
    return True


def execute(document: Document, folder: Path, advance: Callable[[], object] = lambda: None) -> Document:
    """The notebook after a run in a fresh kernel whose working directory is `folder`.

    Raises:
        NotebookFailedError: a cell raised (and has no tag `raises-exception`), hung, or ended the kernel.
        InterruptedError: Ctrl-C was pressed.
    """
    blank = normalise(document)
    for cell in blank["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return asyncio.run(_execute(nbformat.from_dict(blank), folder, advance))  # type: ignore[no-untyped-call]


def keep_same(document: Document, before: Document) -> Document:
    """The new run with the outputs of the run before where nbval would find no difference: another free port, say.

    So that a diff shows what changed. Cells that nbval does not compare keep their new outputs.
    """
    normal = normalise(document)
    earlier = {cell["id"]: cell for cell in normalise(before)["cells"]}
    for cell in normal["cells"]:
        old = earlier.get(cell["id"], {})
        if "nbval-ignore-output" not in cell["metadata"].get("tags", []) and _essence(old) == _essence(cell):
            cell["outputs"] = old.get("outputs", [])
    return normal


def _essence(cell: Document) -> tuple[object, str]:
    return cell.get("source"), sanitized(json.dumps(cell.get("outputs"), sort_keys=True))


async def _execute(notebook: Any, folder: Path, advance: Callable[[], object]) -> Document:
    client = NotebookClient(
        notebook,
        timeout=CELL_TIMEOUT_S,
        kernel_name=KERNEL,
        resources={"metadata": {"path": str(folder)}},
        record_timing=False,
        store_widget_state=False,
        coalesce_streams=True,
        extra_arguments=["--log-level=ERROR"],  # a kernel on this machine's loopback need not warn of TCP
    )
    with tempfile.TemporaryDirectory(prefix="ipython-") as ipython:
        async with client.async_setup_kernel(env={**os.environ, "IPYTHONDIR": ipython}):
            interrupted = _cancel_on_interrupt()
            for index, cell in enumerate(notebook.cells):
                if cell.cell_type != "code":
                    continue
                try:
                    await client.async_execute_cell(cell, index)
                except (CellControlSignal, DeadKernelError, CellExecutionError, asyncio.CancelledError) as error:
                    if interrupted.is_set():  # nbclient takes any cancellation for a dead kernel
                        raise InterruptedError from None
                    raise NotebookFailedError(_describe(index, cell, error)) from None
                advance()
    return dict(notebook)


def _cancel_on_interrupt() -> asyncio.Event:
    """Have Ctrl-C cancel the current task and set the event. (nbclient's own handler would end only the kernel.)"""
    task, interrupted = asyncio.current_task(), asyncio.Event()
    assert task is not None

    def interrupt() -> None:
        interrupted.set()
        task.cancel()

    with contextlib.suppress(NotImplementedError):  # Windows
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, interrupt)
    return interrupted


def _describe(index: int, cell: Any, error: BaseException) -> str:
    match error:
        case CellTimeoutError():
            problem = f"still ran after {CELL_TIMEOUT_S} s"
        case DeadKernelError():
            problem = "ended the kernel"
        case CellExecutionError():
            trace = re.sub(r"\x1b\[[\d;]*m", "", error.traceback)
            problem = f"raised {error.ename}: {error.evalue}\n\n{trace}"
        case _:
            problem = str(error)
    first = cell.source.splitlines()[0] if cell.source else ""
    return f"cell {index} (id {cell.get('id')}, beginning {first!r}) {problem}"


if __name__ == "__main__":
    sys.exit(main())
