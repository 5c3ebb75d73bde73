"""Whether the answer to an exercise can be read somewhere but in `solutions/`.

What lives here: one rule on text. A solution's *telling* lines are those that are not in the stub, not blank, not a
comment, not an import and not a bracket or keyword on its own. Three telling lines in a row (or all of them, where
there are fewer) that turn up, in a row as well, in a notebook, an exercise's README, grader or stub are a leak.
Commented out, they are one too. Spaces, quotes and trailing comments make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from notebook_cells import Notebook

__all__ = ["WINDOW", "leaks", "public_texts", "telling_lines"]

WINDOW = 3
"""How many telling lines in a row are a leak: two may well be what anybody writes."""
MIN_CHARACTERS = 30
"""Fewer characters than that in the whole window give nothing away."""
NOTES = "NOTES.md"


def leaks(root: Path) -> Iterator[str]:
    """One sentence for each place below `root` that gives a solution away."""
    texts = {path: _plain_lines(_uncommented(text)) for path, text in public_texts(root)}
    for solution in sorted((root / "solutions").glob("*_*/*")):
        if solution.name == NOTES or solution.suffix == ".pyc" or not solution.is_file():
            continue
        stub = root / "exercises" / solution.parent.name / ".stub" / solution.name
        telling = telling_lines(solution.read_text(encoding="utf-8"), _read(stub))
        size = min(WINDOW, len(telling))
        windows = [telling[start : start + size] for start in range(len(telling) - size + 1)] if size else []
        for window in windows:
            if sum(map(len, window)) < MIN_CHARACTERS:
                continue
            for path, lines in texts.items():
                if _holds(lines, window):
                    name = solution.relative_to(root)
                    yield f"{path.relative_to(root)} holds a piece of {name}: {' / '.join(window)}"


def telling_lines(solution: str, stub: str) -> list[str]:
    """The lines that make the difference between a stub and its solution, in order, in plain form."""
    known = set(_plain_lines(stub))
    return [
        line
        for line in _plain_lines(_without_docstrings(solution))
        if line not in known and not re.match(r"(import|from) ", line) and re.search(r"\w{2,}\W+\w", line)
    ]


def public_texts(root: Path) -> Iterator[tuple[Path, str]]:
    """What learners see before they have solved an exercise: path and text. Their own files are theirs."""
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        yield path, "\n".join(f"{cell.source}\n{cell.shown}" for cell in Notebook.load(path).cells)
    for pattern in ("*/README.md", "*/test_*.py", "*/.stub/*"):
        for path in sorted((root / "exercises").glob(pattern)):
            if path.is_file():
                yield path, _read(path)


def _holds(lines: list[str], window: list[str]) -> bool:
    return any(lines[start : start + len(window)] == window for start in range(len(lines) - len(window) + 1))


def _plain_lines(text: str) -> list[str]:
    """Lines without indentation, doubled spaces, comments, and the difference between ' and "; no empty ones."""
    plain = (
        re.sub(r"\s+", " ", re.sub(r"(^|\s)#.*", "", line)).strip().replace("'", '"') for line in text.splitlines()
    )
    return [line for line in plain if line]


def _uncommented(text: str) -> str:
    return re.sub(r"^\s*# ?", "", text, flags=re.MULTILINE)


def _without_docstrings(text: str) -> str:
    return re.sub(r'^\s*"""(?:.|\n)*?"""', "", text, flags=re.MULTILINE)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
