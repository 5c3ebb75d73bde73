"""A notebook as the lint reads it: cells with their texts as strings.

What lives here: `Notebook` and `Cell`, frozen, loaded from a file as it was committed. They judge nothing.
"""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from notebook_form import Document, read

__all__ = ["FENCE", "Cell", "Notebook"]

FENCE = re.compile(r"^(`{3,})(\S*)[^\n]*\n(.*?)^\1\s*$", re.MULTILINE | re.DOTALL)
"""A fenced block of Markdown: its fence, its language, its body."""
HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Cell:
    """One cell, with its texts as strings."""

    index: int
    """Its place in the notebook, from 0."""
    kind: str
    """"code" or "markdown"."""
    source: str
    tags: frozenset[str] = frozenset()
    count: int | None = None
    """The execution count of a code cell that was run."""
    outputs: tuple[Document, ...] = ()

    @cached_property
    def tree(self) -> ast.Module | None:
        """The code's syntax tree; None if it is not Python alone."""
        try:
            return ast.parse(self.source)
        except SyntaxError:
            return None

    @cached_property
    def shown(self) -> str:
        """The text of its outputs, without pictures and tracebacks."""
        parts: list[str] = []
        for output in self.outputs:
            parts += [_text(output.get("text", "")), output.get("evalue", "")]
            parts += [_text(value) for mime, value in output.get("data", {}).items() if mime.startswith("text/")]
        return "\n".join(filter(None, parts))

    @cached_property
    def prose(self) -> str:
        """Markdown without its fenced blocks and code spans."""
        return re.sub(r"`[^`\n]*`", "", FENCE.sub("", self.source))


@dataclass(frozen=True)
class Notebook:
    """A notebook as it was committed."""

    path: Path
    text: str = field(repr=False)
    document: Document = field(repr=False)

    @classmethod
    def load(cls, path: Path) -> Notebook:
        """Read a notebook file."""
        return cls(path, path.read_bytes().decode(), read(path))

    @cached_property
    def cells(self) -> list[Cell]:
        """Its cells in order."""
        return [
            Cell(
                index,
                cell["cell_type"],
                _text(cell["source"]),
                frozenset(cell["metadata"].get("tags", ())),
                cell.get("execution_count"),
                tuple(cell.get("outputs", ())),
            )
            for index, cell in enumerate(self.document["cells"])
        ]

    @property
    def code(self) -> list[Cell]:
        """Its code cells."""
        return [cell for cell in self.cells if cell.kind == "code"]

    @property
    def markdown(self) -> list[Cell]:
        """Its cells of prose."""
        return [cell for cell in self.cells if cell.kind == "markdown"]

    @cached_property
    def anchors(self) -> set[str]:
        """What a link may name after ``#``: JupyterLab's ids of the headings, their text with hyphens for blanks."""
        prose = "\n".join(FENCE.sub("", cell.source) for cell in self.markdown)
        return {_plain(heading).replace(" ", "-") for heading in HEADING.findall(prose)}


def _plain(heading: str) -> str:
    """A heading's text as it is shown: code spans, emphasis and links without their marks."""
    return re.sub(r"[`*]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading))


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)
