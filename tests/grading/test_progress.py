"""What is remembered of the learner's own files, and how little it takes to lose nothing."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from rtlab.grading.catalogue import find_course
from rtlab.grading.progress import Progress
from rtlab.grading.results import CheckResult, Verdict


@pytest.fixture
def exercise(course_copy):
    return find_course(course_copy).find("00")


@pytest.fixture
def progress(course_copy):
    return Progress(course_copy)


def results(exercise, verdict):
    return [CheckResult(check.name, verdict, "", check.points) for check in exercise.checks]


def test_points_belong_to_a_state_of_the_file(exercise, progress):
    assert progress.points(exercise) is None
    progress.graded(exercise, results(exercise, Verdict.PASSED))
    assert progress.points(exercise) == exercise.max
    exercise.submission().write_text("changed\n")
    assert progress.points(exercise) is None
    progress.graded(exercise, results(exercise, Verdict.FAILED)[:1])
    assert progress.points(exercise) is None
    progress.graded(exercise, results(exercise, Verdict.PASSED)[1:])
    assert progress.points(exercise) == exercise.checks[1].points


def test_hints_survive_a_change_and_not_a_reset(exercise, progress):
    progress.hinted(exercise, "test_x", 1)
    exercise.submission().write_text("changed\n")
    assert progress.of(exercise).hints == {"test_x": 1}
    progress.forget(exercise)
    assert progress.of(exercise).hints == {}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "3", '{"00_hello": 3}', '{"00_hello": {"checks": {"a": "great"}, "hints": {}}}', "\udcff"],
)
def test_a_broken_file_is_set_aside(exercise, progress, course_copy, content):
    folder = course_copy / ".rtlab"
    folder.mkdir()
    (folder / "progress.json").write_text(content, errors="surrogateescape")
    assert progress.points(exercise) is None
    progress.graded(exercise, results(exercise, Verdict.PASSED))
    assert progress.points(exercise) == exercise.max
    assert (folder / "progress.broken.json").exists()


def test_a_folder_that_cannot_be_written_is_no_error(exercise, progress, course_copy):
    (course_copy / ".rtlab").write_text("a file where the folder should be")
    progress.graded(exercise, results(exercise, Verdict.PASSED))
    assert progress.points(exercise) is None


def test_runs_at_the_same_time_lose_nothing(exercise, course_copy):
    names = [f"test_{number}" for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: Progress(course_copy).hinted(exercise, name, 1), names))
    assert Progress(course_copy).of(exercise).hints == dict.fromkeys(names, 1)
    kept = sorted(path.name for path in (course_copy / ".rtlab").iterdir())
    assert kept == ["lock", "progress.json"]
    assert json.loads((course_copy / ".rtlab" / "progress.json").read_text())
