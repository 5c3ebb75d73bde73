"""The routes through the course add up, and lead only to what is there.

Each chapter states its minutes, each exercise too. The two-hour route names parts of chapters, each from the top to the
end of a section, because its cells need those before them.
"""

import re

import pytest
from notebook_cells import Notebook
from notebook_chapter import MINUTES
from notebook_form import NOTEBOOKS, ROOT

CHAPTERS = {path.stem[:2]: Notebook.load(path) for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))}
MAP = next(cell.source for cell in CHAPTERS["00"].markdown if "## The map" in cell.source)
STEP = re.compile(r"^\| chapter (\d\d), to the end of \[[^\]]*\]\([^)#]*#([^)]*)\) \| (\d+) \|$", re.MULTILINE)
STEPS = [(number, end, int(minutes)) for number, end, minutes in STEP.findall(MAP)]
SHEET = re.compile(r"^\| the \[cheat sheet[^|]*\| (\d+) \|$", re.MULTILINE)
WEEKEND = ("03", "05", "06", "08", "09")
"""The exercises of the second route."""
BEFORE_PROOF = 13
"""The chapter with which the second route has ended."""
WORDS_A_MINUTE, MINUTES_A_CELL = 130, 1.5
"""How long a part takes: reading with code in it; running a cell, looking at it and thinking."""


def stated(number):
    """Core and Deeper of a chapter, in minutes."""
    found = MINUTES.search(CHAPTERS[number].cells[0].source)
    return int(found["core"]), int(found["deeper"] or 0)


def of_exercise(number):
    """The minutes that its README states."""
    (readme,) = (ROOT / "exercises").glob(f"{number}_*/README.md")
    (minutes,) = re.findall(r"\*\*Minutes:\*\* (\d+)", readme.read_text())
    return int(minutes)


def row(name):
    """The line of a route in the table of chapter 00."""
    return re.search(rf"^\| {name}, .*$", MAP, re.MULTILINE)[0]


def hours(minutes):
    """As the table says it."""
    return f"{round(minutes / 60)} hours"


def estimated(number, end):
    """Minutes from a chapter's top to the end of a section."""
    minutes, last = 0.0, False
    for cell in CHAPTERS[number].cells:
        if cell.kind == "code":
            minutes += MINUTES_A_CELL
            continue
        for piece in re.split(r"^(?=#{1,3} )", cell.source, flags=re.MULTILINE):
            heading = re.match(r"#{1,3} +(.+?) *(?:\n|$)", piece)
            if heading and last:
                return minutes
            last = last or (heading is not None and heading[1].replace(" ", "-").replace("`", "") == end)
            minutes += len(piece.split()) / WORDS_A_MINUTE
    raise AssertionError(f"chapter {number} has no section {end}, or nothing comes after it")


def test_two_hours_are_two_hours():
    assert STEPS
    assert sum(minutes for _, _, minutes in STEPS) + int(SHEET.search(MAP)[1]) == 120
    assert "120 minutes" in row("two hours")


@pytest.mark.parametrize(("number", "end", "minutes"), STEPS)
def test_a_step_takes_as_long_as_it_says(number, end, minutes):
    assert 0.75 * minutes <= estimated(number, end) <= 1.25 * minutes


def test_a_weekend_is_the_core_and_its_exercises():
    chapters = [number for number in CHAPTERS if int(number) < BEFORE_PROOF]
    minutes = sum(stated(number)[0] for number in chapters) + sum(map(of_exercise, WEEKEND))
    assert hours(minutes) in row("a weekend")
    assert all(number in row("a weekend") for number in WEEKEND)
    assert minutes <= 20 * 60


def test_all_of_it_is_everything_that_is_there():
    exercises = [path.name[:2] for path in (ROOT / "exercises").glob("[0-9][0-9]_*")]
    minutes = sum(map(sum, map(stated, CHAPTERS))) + sum(map(of_exercise, exercises))
    assert hours(minutes) in row("all of it")


def test_the_readme_says_the_same():
    readme = (ROOT / "README.md").read_text()
    for name in ("two hours", "a weekend", "all of it"):
        length = re.search(r"\d+ (?:hours|minutes)", row(name))[0]
        assert f"{name} ({length})" in " ".join(readme.split())


@pytest.mark.parametrize("number", CHAPTERS)
def test_the_minutes_of_a_chapter_are_those_of_a_reader(number):
    """Within a third of what its words and cells take, exercise and folded answers aside."""
    core, deeper = stated(number)
    notebook = CHAPTERS[number]
    words = sum(len(cell.source.split()) for cell in notebook.markdown)
    assert core + deeper >= (words / WORDS_A_MINUTE + len(notebook.code) * MINUTES_A_CELL) / 1.3
