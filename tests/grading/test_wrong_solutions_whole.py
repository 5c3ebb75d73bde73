"""A few wrong solutions of each exercise are graded by all checks: none of them breaks over it.

(A file, and so a worker, of its own.)
"""

import pytest
from grading.test_wrong_solutions import one_for_each_check

from rtlab.grading.exercise_run import ExerciseRun, grade_exercise
from rtlab.grading.results import Verdict

FEW = 2
"""Wrong solutions of one exercise: to grade one whole takes up to a quarter of a minute."""
A_FEW = [each for each in one_for_each_check(FEW) if not each.marks]


@pytest.mark.long
@pytest.mark.parametrize(("exercise", "path"), A_FEW)
def test_no_check_breaks_over_a_wrong_solution(exercise, path):
    verdicts = {each.verdict for each in grade_exercise(ExerciseRun(exercise, path)).checks}
    assert verdicts <= {Verdict.PASSED, Verdict.FAILED}
