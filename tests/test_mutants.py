"""The mutants of a program: each kind of change is made, what is no behaviour stays, and each has a name of its own."""

import ast
import os
from functools import cache
from pathlib import Path

import grade_mutants
import pytest
from config_mutants import config_mutants, mutants_of
from grade_mutants import EQUIVALENT, ROOT, end_runs, explained, grade
from mutants import Mutant, mutants
from quick import quick

from rtlab.grading.catalogue import find_course

COURSE = find_course(ROOT)


def solution(exercise):
    """The file that is changed."""
    return ROOT / "solutions" / exercise.id / exercise.file


@pytest.fixture(autouse=True, scope="module")
def _nothing_is_left():
    yield
    end_runs()


@cache
def every_mutant_of(exercise_id):
    """Those of one solution. Making them takes a second or two."""
    return mutants_of(solution(COURSE.find(exercise_id)))


@pytest.mark.parametrize(
    ("source", "changed"),
    [
        ("x = a < 3", "x = a <= 3"),
        ("x = a < 3", "x = a < 4"),
        ("x = 2.0", "x = 2.2"),
        ("x = a in b", "x = a not in b"),
        ("x = a is True", "x = a == True"),
        ("x = a and b", "x = a or b"),
        ("x = a and b", "x = b"),
        ("x = not a", "x = a"),
        ("x = a | b", "x = a & b"),
        ("if a:\n    b()", "if True:\n    b()"),
        ("if a:\n    b()", "if False:\n    b()"),
        ("x = 'id'", "x = 'ID'"),
        ("x = f(a, b=1)", "x = f(a)"),
        ("x = sorted(a)", "x = a"),
        ("x = a.strip()", "x = a"),
        ("x = {1: a, 2: b}", "x = {1: a}"),
        ("x = a[1:2]", "x = a[:2]"),
        ("f(a)", "pass"),
        ("f(a)\ng(b)", "g(b)\nf(a)"),
        ("for a in b:\n    c()", "for a in b:\n    c()\n    break"),
        ("try:\n    a()\nfinally:\n    b()", "a()"),
        ("try:\n    a()\nexcept (B, C):\n    d()", "try:\n    a()\nexcept (C,):\n    d()"),
        ("@a\ndef f():\n    pass", "def f():\n    pass"),
        ("def f():\n    return 1", "def f():\n    return"),
        ("def f():\n    x = {}\n    return x", "SHARED = {}\n\ndef f():\n    x = SHARED\n    return x"),
    ],
)
def test_each_kind_of_change_is_made(source, changed):
    assert ast.unparse(ast.parse(changed)) in {each.source for each in mutants(source)}


@pytest.mark.parametrize(
    "source",
    [
        '"""Sixty."""',
        "import a",
        "from a import b",
        "__all__ = ['a', 'b']",
        "Answer = dict[str, int]",
        "def f(a: dict[int, str]) -> tuple[int, str]:\n    'Give.'",
    ],
)
def test_what_is_no_behaviour_stays(source):
    assert mutants(source) == []


def test_a_configuration_loses_a_directive_or_a_parameter_or_counts_on():
    source = "# a comment; with a semicolon;\nserver {\n    listen  80 default;\n}\n"
    assert [each.name for each in config_mutants(source)] == [
        "listen 80 default; -> nothing",
        "listen 80 default; -> listen 80;",
        "listen 80 default; -> listen 81 default;",
        "listen 80 default; -> listen 79 default;",
    ]
    assert {each.line for each in config_mutants(source)} == {3}


def test_sentences_for_people_stay():
    assert [each.name for each in mutants("raise ValueError(f'expected {5}')")] == [
        "module | raise ValueError(f'expected {5}') -> pass"
    ]


EACH_EXERCISE = pytest.mark.parametrize(
    "exercise_id", quick([exercise.id for exercise in COURSE.exercises], ["00_hello", "06_rooms", "12_nginx"])
)


@EACH_EXERCISE
def test_every_mutant_of_a_solution_is_a_program_with_a_name_of_its_own(exercise_id):
    exercise = COURSE.find(exercise_id)
    found = every_mutant_of(exercise.id)
    assert found
    assert len({each.name for each in found}) == len({each.source for each in found}) == len(found)
    text = solution(exercise).read_text()
    unchanged = ast.unparse(ast.parse(text)) if exercise.file.endswith(".py") else text
    assert unchanged not in {each.source for each in found}


@EACH_EXERCISE
def test_what_is_explained_is_a_mutant(exercise_id):
    assert set(explained(exercise_id)) <= {each.name for each in every_mutant_of(exercise_id)}


def test_every_file_of_explanations_belongs_to_an_exercise():
    assert {path.stem for path in Path(EQUIVALENT).glob("*.txt")} <= {each.id for each in COURSE.exercises}


def test_a_mutant_is_graded_by_the_real_grader():
    exercise = COURSE.find("00")
    outcomes = [grade(exercise, each) for each in every_mutant_of(exercise.id)]
    assert all(outcome.killed_by for outcome in outcomes)


def test_a_program_that_is_right_survives():
    exercise = COURSE.find("00")
    assert grade(exercise, Mutant("none", 1, solution(exercise).read_text())).killed_by == ""


def test_what_a_busy_machine_delays_is_not_killed(monkeypatch):
    exercise = COURSE.find("00")
    monkeypatch.setenv("RTLAB_TIME_SCALE", "0.1")
    monkeypatch.setattr(grade_mutants, "PATIENCE", 200)
    slow = "import os, time\nif os.environ['RTLAB_TIME_SCALE'] == '0.1':\n    time.sleep(60)\n"
    assert grade(exercise, Mutant("slow", 1, slow + solution(exercise).read_text())).killed_by == ""
    assert os.environ["RTLAB_TIME_SCALE"] == "0.1"


def test_what_fails_with_more_time_too_is_killed(monkeypatch):
    exercise = COURSE.find("00")
    monkeypatch.setenv("RTLAB_TIME_SCALE", "0.1")
    outcome = grade(exercise, Mutant("stuck", 1, "import time\ntime.sleep(60)\n"))
    assert outcome.killed_by == exercise.checks[0].name
    assert "still running after" in outcome.why
