"""The course itself, small courses made for one test, and proof that a submission left no process behind."""

import uuid
from pathlib import Path

import psutil
import pytest
from deadlines import WAIT_S
from grading_course import copy_course

from rtlab.grading.catalogue import find_course
from rtlab.grading.exercise_run import ExerciseRun, ProcessLimits, grade_exercise

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def course():
    return find_course(ROOT)


@pytest.fixture
def course_copy(tmp_path):
    """A course of its own, so that neither the learner's files nor their progress are touched."""
    return copy_course(ROOT, tmp_path / "course")


@pytest.fixture
def leaves_no_process(monkeypatch):
    """Whatever the test starts carries a mark in its environment; at the end nobody has it."""
    mark = f"RTLAB_TEST_MARK_{uuid.uuid4().hex}"
    monkeypatch.setenv(mark, "1")
    yield
    marked = []
    for process in psutil.process_iter():
        try:
            if process.pid != psutil.Process().pid and mark in process.environ():
                marked.append(process)
        except psutil.Error:
            continue
    _, alive = psutil.wait_procs(marked, timeout=WAIT_S)
    assert not alive


@pytest.fixture
def grade_tiny(tmp_path):
    """Grades a submission by a grader, both given as text; gives the result of the only check, or of all."""

    def grade(grader, submission, *, file="tiny.py", limits=None, every=False):
        folder = tmp_path / "exercises" / "07_tiny"
        (folder / ".stub").mkdir(parents=True, exist_ok=True)
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        (folder / ".stub" / file).write_text("# the stub\n")
        (folder / "test_tiny.py").write_text("from rtlab.grading import check, expect\n\n" + grader)
        (folder / file).write_text(submission)
        exercise = find_course(tmp_path).find("tiny")
        result = grade_exercise(ExerciseRun(exercise, exercise.submission(), limits=limits or ProcessLimits()))
        return result.checks if every else result.checks[0]

    return grade
