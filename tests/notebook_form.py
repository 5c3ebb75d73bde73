"""The one form in which a notebook is committed, so that a diff shows what changed and nothing else.

What lives here: `normalise`, from any notebook document to that form, and reading and writing it. It must not
execute anything, and it knows nothing of what a good chapter is (that is `notebook_lint`).

The law, for nbformat 4.5 (https://nbformat.readthedocs.io/en/latest/format_description.html):

- Every cell has an id of its own. One that is there stays; a missing one is made from the cell's source.
- Metadata: of the notebook, which kernel and which language; of a cell, its tags; of an output, nothing. The first
  output below a prediction (``**Predict``) is folded, so that the answer is a click away.
- Execution counts stay: they prove that the notebook ran in order. Neighbouring pieces of one stream are one
  piece, because where they were cut is chance. Widgets, whose state lives in a kernel that is gone, are dropped.
- A traceback names no folder of the machine that it came from.
- JSON with sorted keys, one blank of indentation, and a newline at the end.
"""

from __future__ import annotations

import hashlib
import json
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat

__all__ = ["METADATA", "NOTEBOOKS", "PREDICTION", "ROOT", "normalise", "normalised_text", "read", "write"]

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
METADATA = {
    "kernelspec": {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
ID_LENGTH = 8
"""Characters of an id that is made here: the length that nbformat itself uses."""
PREDICTION = re.compile(r"\*\*predict", re.IGNORECASE)
"""What asks the reader to predict what is shown next."""
FOLDED = {"outputs_hidden": True}
"""What JupyterLab understands as folded."""
WIDGET = "application/vnd.jupyter.widget-view+json"

Document = dict[str, Any]


def read(path: Path) -> Document:
    """The notebook as JSON. (nbformat's own reader would give random ids to the cells that have none.)"""
    document: Document = json.loads(path.read_text(encoding="utf-8"))
    return document


def write(path: Path, document: Document) -> bool:
    """Write the notebook in its normalised form, at once or not at all. Tells whether the file changed."""
    text = normalised_text(document)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return False
    with tempfile.NamedTemporaryFile(
        "w", encoding="utf-8", newline="\n", dir=path.parent, prefix=f".{path.name}.", delete=False
    ) as file:
        temporary = Path(file.name)
        file.write(text)
    temporary.chmod(path.stat().st_mode & 0o777 if path.exists() else 0o644)
    temporary.replace(path)
    return True


def normalised_text(document: Document) -> str:
    """The exact text of the normalised form."""
    notebook = nbformat.from_dict(normalise(document))  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"  # type: ignore[no-untyped-call, no-any-return]


def normalise(document: Document) -> Document:
    """The normalised form of a notebook, as a new document."""
    ids = _ids(document["cells"])
    cells = [_cell(cell, name) for cell, name in zip(document["cells"], ids, strict=True)]
    asked = False
    for cell in cells:
        if cell["cell_type"] != "code":
            asked = bool(PREDICTION.search(cell["source"]))
        elif asked and cell["outputs"]:
            cell["metadata"]["jupyter"] = FOLDED
            asked = False
    return {
        "cells": cells,
        "metadata": METADATA,
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _ids(cells: list[Document]) -> list[str]:
    """An id for each cell: its own, unless it has none or an earlier cell has the same (a pasted copy, say)."""
    taken = {cell["id"] for cell in cells if cell.get("id")}
    given: list[str] = []
    for cell in cells:
        name = cell.get("id")
        number = 0
        while not name or name in given:
            made = hashlib.sha256(f"{number}{cell['cell_type']}{_text(cell['source'])}".encode()).hexdigest()[
                :ID_LENGTH
            ]
            name = None if made in taken else made
            number += 1
        given.append(name)
    return given


def _cell(cell: Document, name: str) -> Document:
    source = _text(cell["source"])
    tags = sorted(set(cell.get("metadata", {}).get("tags", [])))
    normal: Document = {
        "cell_type": cell["cell_type"],
        "id": name,
        "metadata": {"tags": tags} if tags else {},
        "source": "\n".join(line.rstrip() for line in source.strip("\n").split("\n")),
    }
    if cell.get("attachments"):
        normal["attachments"] = cell["attachments"]
    if cell["cell_type"] == "code":
        normal["execution_count"] = cell.get("execution_count")
        normal["outputs"] = _outputs(cell.get("outputs", []))
    return normal


def _outputs(outputs: list[Document]) -> list[Document]:
    normal: list[Document] = []
    for output in outputs:
        kind = output["output_type"]
        if kind == "stream":
            text = _text(output["text"])
            if normal and normal[-1].get("name") == output["name"]:
                normal[-1]["text"] += text
            else:
                normal.append({"output_type": kind, "name": output["name"], "text": text})
        elif kind == "error":
            trace = [_without_folders(line) for line in output["traceback"]]
            normal.append({**output, "traceback": trace})
        else:
            data = {mime: _text(value) for mime, value in output["data"].items() if mime != WIDGET}
            normal.append({**output, "data": data, "metadata": {}})
    return normal


def _without_folders(line: str) -> str:
    """A line of a traceback with paths cut down to what means the same on every machine."""
    line = line.replace(f"{ROOT}/", "").replace(f"{Path.home()}/", "~/")
    line = re.sub(r"[~/][\w./~-]*/(site-packages|python3\.\d+)/", r"\1/", line)
    return re.sub(re.escape(tempfile.gettempdir()) + r"/ipykernel_\d+/\d+\.py", "cell.py", line)


def _text(value: Any) -> Any:
    """A text that may be cut into lines, whole. Anything else, such as JSON, as it is."""
    return "".join(value) if isinstance(value, list) and all(isinstance(line, str) for line in value) else value
