"""Every exercise of the course: the stub is to do, the solution passes, and all its parts are there."""

import os
import re
from pathlib import Path

import pytest
from deadlines import SCALE, WAIT_S
from grading.test_wrong_solutions import wrong_solutions
from quick import quick

from rtlab.errors import UsageError
from rtlab.grading.catalogue import find_course, is_grader
from rtlab.grading.exercise_run import ExerciseRun, grade_exercise
from rtlab.grading.results import Verdict

ROOT = Path(__file__).parents[2]
COURSE = find_course(ROOT)
LEAST_WRONG = 3
LEAST_WORDS = 3
"""Words of a sentence in DEMANDS; fewer would be found anywhere."""
EXERCISES = [pytest.param(exercise, id=exercise.id) for exercise in COURSE.exercises]


STUBS = [exercise.id for exercise in COURSE.exercises]


@pytest.mark.parametrize("exercise_id", quick(STUBS, ["00_hello", "06_rooms", "12_nginx"]))
def test_the_stub_is_to_do(exercise_id):
    """Where it is a function, handlers of a server, and a configuration; `make test-long` grades all."""
    exercise = COURSE.find(exercise_id)
    result = grade_exercise(ExerciseRun(exercise, exercise.stub))
    assert {check.verdict for check in result.checks} == {Verdict.TODO}
    assert result.points == 0
    assert all("Traceback" not in check.message and not check.output for check in result.checks)


PATIENCE = 4
"""How many times as long everything may take on a machine that turns out to be slow."""


@pytest.mark.timeout(20 * WAIT_S)
@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_solution_makes_all_points(exercise, monkeypatch):
    """On a machine that does much else too, if it is told so: graders have deadlines of their own."""
    result = grade_exercise(ExerciseRun(exercise, ROOT / "solutions" / exercise.id / exercise.file))
    if result.points < exercise.max:
        monkeypatch.setenv("RTLAB_TIME_SCALE", f"{PATIENCE * SCALE:g}")
        result = grade_exercise(ExerciseRun(exercise, ROOT / "solutions" / exercise.id / exercise.file))
    assert [(check.name, check.verdict, check.message) for check in result.checks] == [
        (check.name, Verdict.PASSED, "") for check in exercise.checks
    ]
    assert result.points == exercise.max > 0


@pytest.mark.parametrize("exercise", EXERCISES)
def test_an_exercise_is_complete(exercise):
    assert len(wrong_solutions(exercise)) >= LEAST_WRONG
    assert exercise.title != exercise.id[3:], "the README has a heading"
    assert exercise.notes.is_file()
    assert exercise.checks
    for check in exercise.checks:
        assert check.points > 0
        assert check.sentence.endswith(".")
        assert len(check.hints) == 2
        assert len(set(check.hints)) == 2


def plain(text):
    """A text as DEMANDS is compared with it: without backticks, bold type, comment signs and line ends."""
    return " ".join(re.sub(r"`|\*\*|^\s*#+ ", "", text, flags=re.MULTILINE).split())


@pytest.mark.parametrize("exercise", EXERCISES)
def test_each_sentence_that_demands_something_has_a_check(exercise):
    readme = (exercise.folder / "README.md").read_text(encoding="utf-8")
    told = plain(readme), plain(exercise.stub.read_text(encoding="utf-8"))
    for sentence in exercise.demands:
        assert len(sentence.split()) >= LEAST_WORDS, sentence
        assert any(plain(sentence) in text for text in told), f"neither README nor stub says: {sentence}"
    named = [name for names in exercise.demands.values() for name in names]
    assert set(named) == {check.name for check in exercise.checks}, "DEMANDS names each check, and no other"


@pytest.mark.skipif("CI" not in os.environ, reason="a learner's file may differ from the stub; CI's may not")
@pytest.mark.parametrize("exercise", EXERCISES)
def test_the_learners_file_is_the_stub(exercise):
    assert exercise.submission().read_bytes() == exercise.stub.read_bytes()


@pytest.mark.parametrize("name", ["0", "00", "hello", "00_hello", "exercises/00_hello/", " 00 "])
def test_an_exercise_has_many_names(name):
    assert COURSE.find(name).id == "00_hello"


@pytest.mark.parametrize("name", ["exercises/00_hello/hello.py", "hello.py", "./exercises/00_hello"])
def test_an_exercise_is_found_by_its_path(name):
    assert COURSE.find(name).id == "00_hello"


@pytest.mark.parametrize("name", ["00_helo", "hell", "Hello", "exercises/00_hallo/"])
def test_a_misspelt_name_is_answered_with_the_nearest(name):
    with pytest.raises(UsageError, match=r"Did you mean 00_hello\? There are: 00_hello"):
        COURSE.find(name)


@pytest.mark.parametrize("name", ["99", "something", "", "²", "-1", "0.0"])
def test_an_unknown_name_lists_what_there_is(name):
    with pytest.raises(UsageError, match="There are: 00_hello"):
        COURSE.find(name)


def test_the_course_is_found_upwards(tmp_path, monkeypatch, course_copy):
    monkeypatch.chdir(course_copy / "notebooks")
    assert find_course().root == course_copy
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"Clone the course's repository .*root="):
        find_course()
    assert find_course(course_copy).exercises


def test_an_incomplete_exercise_says_what_is_missing(course_copy):
    (course_copy / "exercises" / "01_next").mkdir()
    with pytest.raises(UsageError, match=r"01_next is incomplete: .* no grader and 0 files"):
        find_course(course_copy)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("def test_x(:", "invalid syntax"),
        ("N = 2\n\n@check(points=N, hints=('a', 'b'))\ndef test_x(s): pass\n", "line 3"),
        ("@check(points=1)\ndef test_x(s): pass\n", "hints"),
        ("@check(points=1, hints=('a', 'b'), patience=3)\ndef test_x(s): pass\n", "patience"),
    ],
)
def test_a_grader_that_cannot_be_read_is_named(course_copy, text, problem):
    (course_copy / "exercises" / "00_hello" / "test_hello.py").write_text(text)
    with pytest.raises(UsageError, match=r"(?s)00_hello/test_hello\.py cannot be read.*" + problem):
        find_course(course_copy)


def test_reset_keeps_what_was_there(course_copy):
    exercise = find_course(course_copy).find("00")
    mine = exercise.submission()
    assert exercise.reset() is None
    for number, text in enumerate(("first", "second"), 1):
        mine.write_text(text)
        kept = exercise.reset()
        assert kept.name == f"hello.py.before-reset-{number}"
        assert kept.read_text() == text
        assert mine.read_bytes() == exercise.stub.read_bytes()
    mine.unlink()
    assert exercise.reset() is None
    mine.unlink()
    mine.mkdir()
    assert exercise.reset().is_dir()


def test_only_graders_are_graders():
    assert is_grader(ROOT / "exercises" / "00_hello" / "test_hello.py")
    assert not is_grader(ROOT / "exercises" / "00_hello" / "test_other.py")
    assert not is_grader(ROOT / "tests" / "00_hello" / "test_hello.py")
    assert not is_grader(ROOT / "tests" / "grading" / "test_catalogue.py")
