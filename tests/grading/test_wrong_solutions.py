"""Each wrong solution fails where it has to: in the check that names its mistake."""

import re
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest

from rtlab.grading.catalogue import find_course
from rtlab.grading.exercise_run import ExerciseRun
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


@pytest.fixture(scope="module")
def run_of():
    """The run of an exercise for a file. Each grader is imported once for all its wrong solutions."""
    runs = {}
    with ExitStack() as stack:

        def of(exercise, path):
            if exercise.id not in runs:
                runs[exercise.id] = stack.enter_context(ExerciseRun(exercise, path))
            runs[exercise.id].turn_to(path)
            return runs[exercise.id]

        yield of


LEAVES_ASIDE = {"test_says_who_types"}
"""Checks that leave a question aside where the machine was too slow for it: then a mistake is not seen each time."""
ATTEMPTS = 5
FEW = 1
"""Wrong solutions of one exercise that `make test` grades."""


def one_of_each_kind():
    """For each wrong solution, whether it is the first that fails in its check."""
    seen = set()
    for exercise, path in (each.values for each in WRONG):
        check = exercise.id, declared(path)
        yield check not in seen
        seen.add(check)


def one_for_each_check(few=FEW):
    """Of the wrong solutions that fail in the same check, the first: `make test` grades a few of those.

    `make test-long` grades all.
    """
    graded = Counter()
    for each, first in zip(WRONG, one_of_each_kind(), strict=True):
        exercise, path = each.values
        is_quick = first and not (graded[exercise.id] >= few)
        graded[exercise.id] += is_quick
        yield pytest.param(exercise, path, id=each.id, marks=() if is_quick else pytest.mark.long)


@pytest.mark.parametrize(("exercise", "path"), WRONG)
def test_a_wrong_solution_names_a_check(exercise, path):
    assert declared(path) in {check.name for check in exercise.checks}


@pytest.mark.parametrize(("exercise", "path"), list(one_for_each_check()))
def test_a_wrong_solution_fails_the_check_that_names_its_mistake(run_of, exercise, path):
    (check,) = (each for each in exercise.checks if each.name == declared(path))
    attempts = ATTEMPTS if check.name in LEAVES_ASIDE else 1
    assert any(run_of(exercise, path).run(check).verdict is Verdict.FAILED for _ in range(attempts))
