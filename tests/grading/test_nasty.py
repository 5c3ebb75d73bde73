"""Nasty submissions: each costs itself its points, with one clear sentence, and nobody else's."""

import re
import shutil
from pathlib import Path

import pytest
from quick import quick

from rtlab.grading.exercise_run import ExerciseRun, ProcessLimits, grade_exercise
from rtlab.grading.report import grade_class
from rtlab.grading.results import Verdict, time_scale

pytestmark = pytest.mark.usefixtures("leaves_no_process")

NASTY = Path(__file__).parents[1] / "nasty"
PATIENCE = ProcessLimits(deadline_s=3)
"""Seconds for those that never end; two hundred times what starting a server takes."""
NEVER_END = ("endless_", "swallows_", "floods")
WITHOUT_DOCSTRING = {
    "blank_file": r"hello\.py is empty",
    "empty_file": r"hello\.py is empty",
    "folder": r"hello\.py is a folder; a file is expected",
    "missing_file": r"there is no hello\.py in missing_file",
    "not_utf8": r"hello\.py is not UTF-8 text \(byte 0xe9 in line 3\)",
    "null_bytes": r"hello\.py.*null bytes",
    "syntax_error": r"hello\.py, line 4: .*: `async def greet\(connection:`",
}

FOLDERS = sorted(path.name for path in NASTY.iterdir())
OTHERS_THAT_NEVER_END = {
    "endless_await", "endless_loop_while_imported", "endless_words", "floods_while_imported", "swallows_everything",
}  # fmt: skip
"""Each waits for its deadline, like ``endless_loop`` and ``floods``, which `make test` tries."""


def cost(folder):
    """The regular expression for its sentence."""
    if folder.name in WITHOUT_DOCSTRING:
        return WITHOUT_DOCSTRING[folder.name]
    return re.match(r'r?"""Costs: (.*?)("""|\n)', (folder / "hello.py").read_text())[1]


@pytest.mark.parametrize("name", quick(FOLDERS, set(FOLDERS) - OTHERS_THAT_NEVER_END))
def test_it_costs_itself_its_points(course, name):
    folder = NASTY / name
    limits = PATIENCE if folder.name.startswith(NEVER_END) else ProcessLimits()
    exercise = course.find("00")
    result = ExerciseRun(exercise, folder / "hello.py", limits=limits).run(exercise.checks[0])
    assert result.verdict is Verdict.FAILED
    assert result.points == 0
    assert re.search(cost(folder), result.message), result.message
    assert "\n" not in result.message


@pytest.mark.parametrize("more", [pytest.param([], id="no_flood"), pytest.param(["floods"], marks=pytest.mark.long)])
def test_it_costs_nobody_else_anything(course, tmp_path, more):
    """A class in which one works and the others do not."""
    nasty = ["ends_the_process", "starts_processes", "leaves_server_process", "syntax_error", *more]
    for name in nasty:
        shutil.copytree(NASTY / name, tmp_path / name / "00_hello")
    shutil.copytree(course.root / "solutions" / "00_hello", tmp_path / "m_good" / "00_hello")
    report = grade_class(course, course.select(("00",)), sorted(tmp_path.iterdir()))
    points = {student: result.points for student, result in report.students.items()}
    assert points == {**dict.fromkeys(nasty, 0), "m_good": 5}


def test_a_hang_while_imported_is_waited_for_once(course):
    result = grade_exercise(
        ExerciseRun(
            course.find("00"),
            NASTY / "endless_loop_while_imported" / "hello.py",
            limits=ProcessLimits(deadline_s=1, budget_s=1),
        )
    )
    first, second = result.checks
    assert first.message == second.message
    assert second.name == "test_greets_every_name"
    assert second.max == 3


def test_what_hangs_costs_no_more_than_its_budget(course):
    limits = ProcessLimits(deadline_s=1, budget_s=1)
    result = grade_exercise(ExerciseRun(course.find("00"), NASTY / "endless_loop" / "hello.py", limits=limits))
    seconds = f"{round(time_scale(), 1):g} s"
    assert f"still running after {seconds}" in result.checks[0].message
    assert result.checks[1].message.startswith(f"not run: the checks before it used up the {seconds}")


def test_what_the_end_of_the_check_causes_is_not_blamed(course):
    """Its handler gets ConnectionClosedError when the check, having failed, closes the connection."""
    exercise = course.find("00")
    wrong = course.root / "tests" / "wrong" / "00_hello" / "repeats_the_example" / "hello.py"
    result = ExerciseRun(exercise, wrong).run(exercise.checks[0])
    assert result.message == "expected the answer to 'Ada' to be 'Hello, Ada!'; got 'Hello, Grace!'"


@pytest.mark.long
def test_the_default_limits_end_a_hang_within_its_budget(course):
    result = grade_exercise(ExerciseRun(course.find("00"), NASTY / "swallows_everything" / "hello.py"))
    assert all("still running after 5 s, in hello.py" in check.message for check in result.checks)
