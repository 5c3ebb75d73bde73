"""Scores: in a notebook, as text, as JSON and as CSV.

What lives here: `grade`, which a notebook calls, `Report`, what it gives, and `ClassReport`, an instructor's table. How
they look is the business of `rendering`.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rtlab.grading.catalogue import Course, Exercise, find_course
from rtlab.grading.exercise_run import ExerciseRun, grade_exercise
from rtlab.grading.progress import Progress
from rtlab.grading.rendering import Line, Words, as_html, as_text, lines_of, one_line
from rtlab.grading.results import CheckResult, ExerciseResult
from rtlab.grading.submissions import check_shape, students_in, submissions_folder

__all__ = [
    "ClassReport",
    "Report",
    "advise",
    "grade",
    "grade_class",
    "grade_course",
    "students_in",
    "submissions_folder",
]


def grade(
    *exercises: str | int,
    submission: str | os.PathLike[str] | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Report:
    """Grade your solutions and give a table of what came of it; ``rtlab.grade("00")`` in a notebook shows it.

    It blocks until all checks have run, 5 s for a good solution, and can be interrupted.

    Args:
        exercises: which ones ("0", "00", "00_hello", "hello"); all by default.
        submission: a folder of the same shape as ``exercises`` to grade instead of your own.
        root: the course's folder; by default the nearest one above the working directory.

    Raises:
        UsageError: there is no such exercise or folder, or rtlab is installed without the course.
        UnsupportedPlatformError: on Windows.
    """
    course = find_course(root)
    chosen = course.select(tuple(str(name) for name in exercises))
    folder = submissions_folder(submission)
    if folder is not None:
        check_shape(folder, chosen)
    width = max((len(exercise.id) for exercise in chosen), default=0)
    results: list[ExerciseResult] = []
    for exercise in chosen:
        print(f"Grading {exercise.id:{width}} ", end="", flush=True)
        try:
            results += _graded(
                course, [exercise], folder, lambda _, check: print(check.mark, end="", flush=True)
            ).exercises
        finally:
            print(flush=True)
    return Report(tuple(results), course, own=folder is None)


def grade_course(
    course: Course,
    exercises: Sequence[Exercise],
    submissions: Path | None = None,
    on_result: Callable[[Exercise, CheckResult], None] = lambda *_: None,
) -> Report:
    """Grade some exercises.

    Args:
        course: where they are.
        exercises: which ones.
        submissions: a folder of the same shape as ``exercises``; None for the learner's own, whose progress is kept.
        on_result: called after each check.

    Raises:
        UsageError: the folder holds none of these exercises.
    """
    if submissions is not None:
        check_shape(submissions, exercises)
    return _graded(course, exercises, submissions, on_result)


def _graded(
    course: Course,
    exercises: Sequence[Exercise],
    submissions: Path | None,
    on_result: Callable[[Exercise, CheckResult], None],
) -> Report:
    results = []
    progress = Progress(course.root)
    for exercise in exercises:
        own = submissions is None
        grading = ExerciseRun(
            exercise, exercise.submission(submissions), reset=f"rtlab reset {exercise.number}" if own else ""
        )
        result = grade_exercise(grading, partial(on_result, exercise))
        if own:
            progress.graded(exercise, list(result.checks))
        results.append(result)
    return Report(tuple(results), course, own=submissions is None)


def grade_class(
    course: Course,
    exercises: Sequence[Exercise],
    students: Sequence[Path],
    on_result: Callable[[str, Exercise, CheckResult], None] = lambda *_: None,
) -> ClassReport:
    """Grade some exercises for each student.

    Args:
        course: where the exercises are.
        exercises: which ones.
        students: a folder for each, of the same shape as ``exercises``.
        on_result: called after each check, with the student's name.
    """
    reports = {each.name: _graded(course, exercises, each, partial(on_result, each.name)) for each in students}
    return ClassReport(tuple(exercises), reports)


FORMULA = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}",
           "\N{FULLWIDTH HYPHEN-MINUS}", "\N{FULLWIDTH COMMERCIAL AT}")  # fmt: skip
"""What a cell begins with that a spreadsheet takes for a formula, after the advice of OWASP (CSV Injection). Tab and
carriage return are on its list too: they are spelled out in every table."""


@dataclass(frozen=True, repr=False)
class Report:
    """What came of grading. Jupyter shows it as a table."""

    exercises: tuple[ExerciseResult, ...]
    """One for each exercise that was graded."""
    course: Course
    """Where they are."""
    own: bool = True
    """Whether the learner's own files were graded."""

    @property
    def points(self) -> int:
        """What was made."""
        return sum(exercise.points for exercise in self.exercises)

    @property
    def max(self) -> int:
        """What could be made."""
        return sum(exercise.max for exercise in self.exercises)

    @property
    def passed(self) -> bool:
        """Whether all checks of all exercises passed."""
        return all(exercise.passed for exercise in self.exercises)

    def to_json(self) -> str:
        """The scores: points, max, and under exercises each id, points, max, checks with name, verdict, message."""
        return json.dumps(
            {
                "points": self.points,
                "max": self.max,
                "exercises": [
                    {
                        "id": exercise.id,
                        "points": exercise.points,
                        "max": exercise.max,
                        "checks": [
                            {"name": check.name, "verdict": str(check.verdict), "message": check.message}
                            for check in exercise.checks
                        ],
                    }
                    for exercise in self.exercises
                ],
            },
            ensure_ascii=False,
            indent=2,
        )

    def advice(self) -> list[str]:
        """What to do next, one sentence for each exercise that has something to say."""
        return [
            sentence for result in self.exercises for sentence in advise(self.course.find(result.id), result, self.own)
        ]

    def conclusion(self) -> list[str]:
        """What is said below the scores: the sum, and what to do next."""
        together = f"Together: {self.points} of {self.max} points"
        return [together] * (len(self.exercises) > 1) + self.advice()

    def lines(self) -> list[Line]:
        """All of it, as `rendering` lays it out."""
        lines = [line for result in self.exercises for line in lines_of(result)]
        return lines + [(Words(sentence),) for sentence in self.conclusion()]

    def __repr__(self) -> str:
        return as_text(self.lines())

    def _repr_html_(self) -> str:
        return as_html(self.exercises, self.conclusion())


@dataclass(frozen=True)
class ClassReport:
    """An instructor's table: a row for each student, a column for each exercise."""

    exercises: tuple[Exercise, ...]
    students: dict[str, Report]
    """By the name of the student's folder."""

    def rows(self) -> list[list[str]]:
        """The table, its head first. An exercise without a file is "missing"."""
        most = sum(exercise.max for exercise in self.exercises)
        head = ["student", *(exercise.id for exercise in self.exercises), "points", "max"]
        rows = [head]
        for student, report in self.students.items():
            scores = ["missing" if result.missing else str(result.points) for result in report.exercises]
            rows.append([one_line(student), *scores, str(report.points), str(most)])
        return rows

    def to_csv(self) -> str:
        """The same, comma-separated. An apostrophe stands before a name that a spreadsheet would take for a formula."""
        text = io.StringIO()
        for row in self.rows():
            cells = [f"'{cell}" if cell.startswith(FORMULA) else cell for cell in row]
            # where a semicolon separates the cells of a table, a bare one would begin a new cell
            quote = csv.QUOTE_ALL if any(";" in cell for cell in cells) else csv.QUOTE_MINIMAL
            csv.writer(text, lineterminator="\n", quoting=quote).writerow(cells)  # type: ignore[arg-type]
        return text.getvalue()


def advise(exercise: Exercise, result: ExerciseResult, own: bool) -> list[str]:
    """What to do after an exercise was graded: read the notes, or ask for a hint."""
    if not own:
        return []
    if result.passed and exercise.notes.is_file():
        return [f"All points of {exercise.id}. Now compare with {exercise.notes.relative_to(exercise.root)}."]
    if not result.passed:
        return [f"Stuck? `rtlab hint {exercise.number}` gives a hint for the first check that is not passed."]
    return []
