"""The parts that every chapter has, so that a reader who knows one knows his way around in all.

What lives here: the rule `parts`, for notebooks named ``NN_topic.ipynb``; appendices are free. It looks at headings
and lists, and cannot judge whether they are any good.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from notebook_cells import Notebook

__all__ = ["ENDS_OF_PARTS", "MINUTES", "OPENING", "SECTIONS", "WITHOUT_EXERCISE", "parts"]

OPENING = ("**Question.**", "**You will be able to**", "**Minutes:**", "**Core:**", "**Deeper:**")
"""What the first cell holds, besides the title."""
SECTIONS = ("What breaks: ", "Check yourself", "Summary", "Your turn")
"""The sections that no chapter goes without, in this order; the first is followed by what breaks."""
LIFT = "Lift this out"
ENDS_OF_PARTS = frozenset({"00", "03", "07", "09", "12"})
"""The chapters with which a part of the course ends: they offer a script that runs without a notebook."""
WITHOUT_EXERCISE = frozenset({"16"})
"""The chapters that have none: 'Your turn' names another command of ours."""
WORDS, LINES_OF_CODE = {"first": 2_600, "later": 2_400}, {"first": 480, "later": 450}
"""At most so many words of Markdown, and lines of code that are not blank: what one gets through. From chapter 10 on,
where several processes take part, a little less."""
CORE_MINUTES = 60
"""At most so many for Core, as a reader takes them who types along and makes each prediction."""
MINUTES = re.compile(r"\*\*Minutes:\*\* (?P<core>\d+) for Core(?:, (?P<deeper>\d+) for Deeper)?\.")
QUESTIONS = 3
LINES = 5
FIRST_RUN = 3
"""Within how many cells something runs."""


def parts(notebook: Notebook) -> Iterator[str]:
    """A chapter has its parts: what COURSE.md lists under "A chapter", as far as it can be seen from outside."""
    found = re.match(r"(\d\d)_\w+$", notebook.path.stem)
    if not found:
        return
    number = found[1]
    first = notebook.cells[0].source
    if not re.match(rf"# {number} · \S", first):
        yield f"the first cell begins with the title '# {number} · …', not with {first[:30]!r}"
    for part in OPENING:
        if part not in first:
            yield f"the first cell has no {part}"
    yield from _budget(notebook, first)
    if not any(cell.kind == "code" for cell in notebook.cells[:FIRST_RUN]):
        yield f"nothing runs within the first {FIRST_RUN} cells"
    if not len(notebook.code) / 2 <= len(notebook.markdown) <= len(notebook.code) * 2:
        yield f"expected about as many cells of prose as of code, got {len(notebook.markdown)} and {len(notebook.code)}"
    yield from _sections(notebook, number)


def _budget(notebook: Notebook, first: str) -> Iterator[str]:
    part = "first" if notebook.path.stem < "10" else "later"
    words = sum(len(cell.source.split()) for cell in notebook.markdown)
    lines = sum(bool(line.strip()) for cell in notebook.code for line in cell.source.split("\n"))
    if words > WORDS[part]:
        yield f"it has {words:,} words; at most {WORDS[part]:,}"
    if lines > LINES_OF_CODE[part]:
        yield f"it has {lines} lines of code; at most {LINES_OF_CODE[part]}"
    minutes = MINUTES.search(first)
    if "**Minutes:**" in first and not minutes:
        yield "expected '**Minutes:** 50 for Core, 20 for Deeper.' or '**Minutes:** 50 for Core.'"
    if minutes and int(minutes["core"]) > CORE_MINUTES:
        yield f"Core takes {minutes['core']} minutes; at most {CORE_MINUTES}"


def _sections(notebook: Notebook, number: str) -> Iterator[str]:
    text = "\n\n".join(cell.source for cell in notebook.markdown)
    headings = re.findall(r"^## +(.+?) *$", text, re.MULTILINE)
    places = []
    for section in SECTIONS:
        matching = [place for place, heading in enumerate(headings) if heading.startswith(section)]
        places += matching[:1]
        if not matching:
            yield f"there is no section '## {section}{'…' if section.endswith(' ') else ''}'"
    if places != sorted(places):
        yield f"the sections come in the order {', '.join(section.strip(': ') for section in SECTIONS)}"
    bodies = dict(re.findall(r"^## +(.+?) *\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    questions = bodies.get("Check yourself", "").count("<details>")
    if questions != QUESTIONS:
        yield f"'Check yourself' has {questions} folded questions; expected {QUESTIONS}"
    lines = len(re.findall(r"^- ", bodies.get("Summary", ""), re.MULTILINE))
    if lines != LINES:
        yield f"'Summary' has {lines} lines; expected {LINES}, each beginning with '- '"
    command = "rtlab " if number in WITHOUT_EXERCISE else f"rtlab grade {number}"
    if command not in bodies.get("Your turn", ""):
        yield f"'Your turn' does not name its command, {command.strip()}"
    if number in ENDS_OF_PARTS and LIFT not in headings:
        yield f"a part of the course ends here, and there is no section '## {LIFT}'"
