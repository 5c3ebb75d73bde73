"""Each wrong solution fails where it has to: in the check that names its mistake."""

import re
from pathlib import Path

import pytest

from rtlab.grading.catalogue import find_course
from rtlab.grading.exercise_run import ExerciseRun, grade_exercise
from rtlab.grading.results import Verdict

ROOT = Path(__file__).parents[2]
COURSE = find_course(ROOT)


def wrong_solutions(exercise):
    """The files of an exercise, one for each mistake."""
    return sorted((ROOT / "tests" / "wrong" / exercise.id).glob(f"*/{exercise.file}"))


WRONG = [
    pytest.param(exercise, path, id=f"{exercise.id}-{path.parent.name}")
    for exercise in COURSE.exercises
    for path in wrong_solutions(exercise)
]


def declared(path):
    """The name of the check that has to fail."""
    found = re.match(r'("""|# ?)Fails: (\w+)', path.read_text())
    assert found, "it begins with Fails: and the name of a check"
    return found[2]


@pytest.mark.parametrize(("exercise", "path"), WRONG)
def test_a_wrong_solution_fails_the_check_that_names_its_mistake(exercise, path):
    (check,) = (each for each in exercise.checks if each.name == declared(path))
    assert ExerciseRun(exercise, path).run(check).verdict is Verdict.FAILED


@pytest.mark.long
@pytest.mark.parametrize(("exercise", "path"), WRONG)
def test_no_check_breaks_over_a_wrong_solution(exercise, path):
    verdicts = {each.verdict for each in grade_exercise(ExerciseRun(exercise, path)).checks}
    assert verdicts <= {Verdict.PASSED, Verdict.FAILED}
