"""What exercises there are.

What lives here: the course's folder, the exercises in it, and how one is named on a command line. A grader is read
as text (`ast`), never run, so that a list of all exercises costs milliseconds and starts nothing.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import shutil
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from rtlab.errors import UsageError
from rtlab.grading.checks import Check

__all__ = ["FOLDER", "Course", "Exercise", "find_course", "is_grader", "read_exercise"]

FOLDER = re.compile(r"(\d\d)_(\w+)")
"""An exercise's folder: number and topic."""
SETTINGS = ("FORBIDDEN", "BUDGET_S", "DEMANDS")
"""What a grader may set for all its checks: what the submission may not import, how long one that hangs may take, and
which check looks at which sentence."""


@dataclass(frozen=True)
class Exercise:
    """One exercise, as its folder describes it."""

    root: Path
    """The course's folder."""
    id: str
    """The folder's name: "00_hello"."""
    file: str
    """The name of the file that the learner writes: "hello.py"."""
    title: str
    """The first heading of its README."""
    checks: tuple[Check, ...]
    """In the grader's order."""
    forbidden: dict[str, str]
    """Modules of rtlab that hold the answer, each with words on what to use instead (or "")."""
    budget_s: float | None
    """Seconds that a submission which hangs may cost in all, if the grader says so."""
    demands: dict[str, tuple[str, ...]]
    """Sentences of the README and the stub that demand something, each with the names of the checks that look at it."""

    @property
    def folder(self) -> Path:
        """Where it lives."""
        return self.root / "exercises" / self.id

    @property
    def number(self) -> str:
        """ "00"."""
        return self.id[:2]

    @property
    def grader(self) -> Path:
        """The file of its checks."""
        return self.folder / f"test_{self.id[3:]}.py"

    @property
    def stub(self) -> Path:
        """The pristine file to start from."""
        return self.folder / ".stub" / self.file

    @property
    def notes(self) -> Path:
        """Why the solution is as it is, to be read afterwards."""
        return self.root / "solutions" / self.id / "NOTES.md"

    @property
    def max(self) -> int:
        """The points of all checks together."""
        return sum(check.points for check in self.checks)

    def submission(self, submissions: Path | None = None) -> Path:
        """The file to grade: the learner's own, or the one in a folder of the same shape as `exercises`."""
        return (submissions or self.root / "exercises") / self.id / self.file

    def check(self, name: str) -> Check:
        """The check of this name: "test_greets", "greets" and pytest's "test_hello.py::test_greets" mean the same.

        Raises:
            UsageError: there is none; the message names the nearest, and lists what there is.
        """
        wanted = name.strip().rpartition("::")[2].lower()
        for check in self.checks:
            if check.name.lower() in (wanted, f"test_{wanted}"):
                return check
        names = {key: check.name for check in self.checks for key in (check.name, check.name.removeprefix("test_"))}
        close = difflib.get_close_matches(wanted, names, n=1)
        guess = f" Did you mean {names[close[0]]}?" if close else ""
        raise UsageError(f"{self.id} has no check {name!r}.{guess} It has {', '.join(c.name for c in self.checks)}.")

    def reset(self) -> Path | None:
        """Put the pristine file back. Gives where the learner's was kept; None if there was nothing to keep."""
        mine = self.submission()
        kept = None
        if os.path.lexists(mine):
            if mine.is_file() and mine.read_bytes() == self.stub.read_bytes():
                return None
            names = (mine.with_name(f"{mine.name}.before-reset-{number}") for number in count(1))
            kept = next(name for name in names if not os.path.lexists(name))
            mine.rename(kept)
        shutil.copyfile(self.stub, mine)
        return kept


@dataclass(frozen=True)
class Course:
    """The exercises of a checkout."""

    root: Path
    exercises: tuple[Exercise, ...]

    def find(self, name: str) -> Exercise:
        """The exercise of this name: "0", "00", "00_hello", "hello" and the path of its folder or file mean the same.

        Raises:
            UsageError: there is none; the message names the nearest, and lists what there is.
        """
        parts = name.strip().rstrip("/").split("/")
        for wanted in reversed(parts[-2:]):
            for exercise in self.exercises:
                numbers = wanted.isdecimal() and wanted.isascii() and int(wanted) == int(exercise.number)
                if numbers or wanted in (exercise.id, exercise.id[3:], exercise.file):
                    return exercise
        names = {key: exercise.id for exercise in self.exercises for key in (exercise.id, exercise.id[3:])}
        close = difflib.get_close_matches(parts[-1].lower(), names, n=1, cutoff=0.7)
        guess = f" Did you mean {names[close[0]]}?" if close else ""
        there = ", ".join(exercise.id for exercise in self.exercises) or "none"
        raise UsageError(f"There is no exercise {name!r}.{guess} There are: {there}.")

    def select(self, names: tuple[str, ...]) -> list[Exercise]:
        """The exercises of these names, each once, in the course's order; all if there are no names.

        Raises:
            UsageError: one of them does not exist.
        """
        wanted = {self.find(name).id for name in names}
        return [exercise for exercise in self.exercises if not names or exercise.id in wanted]


def find_course(root: str | os.PathLike[str] | None = None) -> Course:
    """The course in `root`, or else in the nearest folder above the working directory.

    Raises:
        UsageError: there is none, or one of its exercises is incomplete.
    """
    here = Path(root) if root is not None else Path.cwd()
    candidates = [here] if root is not None else [here, *here.parents]
    for folder in candidates:
        exercises = folder / "exercises"
        if exercises.is_dir() and ((folder / "pyproject.toml").is_file() or (folder / "notebooks").is_dir()):
            found = sorted(p for p in exercises.iterdir() if p.is_dir() and FOLDER.fullmatch(p.name))
            return Course(folder.resolve(), tuple(read_exercise(path.resolve()) for path in found))
    where = f"in {here}" if root is not None else f"in {here} or above"
    raise UsageError(
        f"No course {where}: expected a folder with exercises/ beside notebooks/. rtlab comes without it when it is "
        "installed by pip. Clone the course's repository and work inside it, or name its folder (root= in Python, "
        "--root on the command line)."
    )


def is_grader(path: Path) -> bool:
    """Whether this file is the grader of an exercise: ``exercises/NN_topic/test_topic.py``."""
    match = FOLDER.fullmatch(path.parent.name)
    return match is not None and path.parent.parent.name == "exercises" and path.name == f"test_{match[2]}.py"


def read_exercise(folder: Path) -> Exercise:
    """The exercise in a folder.

    Raises:
        UsageError: the folder lacks something, or its grader cannot be read.
    """
    grader = folder / f"test_{folder.name[3:]}.py"
    stubs = [path.name for path in sorted((folder / ".stub").glob("*")) if path.is_file()]
    if not grader.is_file() or len(stubs) != 1:
        raise UsageError(
            f"exercises/{folder.name} is incomplete: expected a grader {grader.name} and one file in .stub/, "
            f"found {'the grader' if grader.is_file() else 'no grader'} and {len(stubs)} files."
        )
    checks, settings = _read_grader(grader)
    forbidden = settings.get("FORBIDDEN", ())
    budget = settings.get("BUDGET_S")
    return Exercise(
        root=folder.parent.parent,
        id=folder.name,
        file=stubs[0],
        title=_title(folder),
        checks=checks,
        forbidden=forbidden if isinstance(forbidden, dict) else dict.fromkeys(forbidden, ""),
        budget_s=budget,
        demands={
            sentence: (names,) if isinstance(names, str) else tuple(names)
            for sentence, names in settings.get("DEMANDS", {}).items()
        },
    )


def _title(folder: Path) -> str:
    try:
        first = (folder / "README.md").read_text(encoding="utf-8").partition("\n")[0]
    except FileNotFoundError:
        return folder.name[3:]
    return first.lstrip("# ").strip()


def _read_grader(path: Path) -> tuple[tuple[Check, ...], dict[str, Any]]:
    checks: list[Check] = []
    settings: dict[str, Any] = {}
    line = 0
    try:
        for node in ast.parse(path.read_bytes(), os.fspath(path)).body:
            line = node.lineno
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                arguments = _decoration(node)
                if arguments is not None:
                    sentence = " ".join((ast.get_docstring(node) or "").split())
                    checks.append(Check(name=node.name, sentence=sentence, **arguments))
            elif isinstance(node, ast.Assign):
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
                settings.update({name: ast.literal_eval(node.value) for name in names if name in SETTINGS})
    except (SyntaxError, ValueError, TypeError) as error:
        raise UsageError(
            f"The grader {path.parent.name}/{path.name} cannot be read: {error} (near line {line}). What its "
            "decorators and settings say has to be literal, because it is read without running it."
        ) from None
    return tuple(checks), settings


def _decoration(node: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Any] | None:
    """The arguments of a function's ``@check(…)``, or None if it has none."""
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call) and isinstance(decorator.func, ast.Name) and decorator.func.id == "check":
            return {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in decorator.keywords}
    return None
