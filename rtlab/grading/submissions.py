"""Folders of submissions, as they are named on a command line.

What lives here: the folder to grade instead of the learner's own, the folders of a class, and one sentence about a
folder that has another shape than ``exercises/``.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rtlab.errors import UsageError
from rtlab.grading.catalogue import FOLDER, Exercise
from rtlab.grading.messages import one_line

__all__ = ["check_shape", "students_in", "submissions_folder"]

SHOWN = 5
"""Names in a folder that a sentence shows."""


def submissions_folder(path: str | os.PathLike[str] | None) -> Path | None:
    """The folder to grade instead of the learner's own, made absolute.

    Raises:
        UsageError: it does not exist, or is a file.
    """
    if path is None:
        return None
    folder = Path(path).absolute()
    given = shown(folder)
    if folder.is_file():
        inside = FOLDER.fullmatch(folder.parent.name) is not None
        advice = f"Pass the folder two levels above it: {shown(folder.parent.parent)}" if inside else "Pass a folder"
        raise UsageError(f"{given} is a file. {advice}, which holds submissions like exercises/ does.")
    if not folder.is_dir():
        raise UsageError(f"No folder {given}: expected one that holds submissions like exercises/ does.")
    return folder


def students_in(path: str | os.PathLike[str]) -> list[Path]:
    """The folders in a folder, one for each student, sorted by name.

    Raises:
        UsageError: there is no such folder, or nothing in it.
    """
    folder = submissions_folder(path)
    assert folder is not None
    found = sorted(_folders(folder))
    if not found:
        raise UsageError(f"No folders in {shown(folder)}: expected one for each student, like ann/00_hello/hello.py.")
    if any(FOLDER.fullmatch(each.name) for each in found):
        raise UsageError(
            f"{shown(folder)} holds the exercises of one student: expected a folder for each student, like "
            f"ann/{found[0].name}. Pass {shown(folder.parent)}, or grade this one with --submission."
        )
    return found


def check_shape(folder: Path, exercises: Sequence[Exercise]) -> None:
    """Refuse a folder that holds none of these exercises, with what to pass instead.

    Raises:
        UsageError: it is one level too deep or too high, its folders are called otherwise, or it is empty.
    """
    if not exercises or any((folder / exercise.id).is_dir() for exercise in exercises):
        return
    named = shown(folder)
    for exercise in exercises:
        if folder.name == exercise.id:
            raise UsageError(f"{named} is one level too deep. Pass the folder above it: {shown(folder.parent)}.")
        if (folder / exercise.file).is_file():
            raise UsageError(
                f"{exercise.file} lies in {named} itself: expected {exercise.id}/{exercise.file} in it. "
                f"Make a folder {exercise.id} there, move {exercise.file} into it, and pass {named} again."
            )
    names = sorted(each.name for each in _folders(folder))
    wanted = f"{exercises[0].id}/{exercises[0].file}"
    higher = next((each for each in _folders(folder) if any((each / ex.id).is_dir() for ex in exercises)), None)
    if higher is not None:
        raise UsageError(
            f"{named} is one level too high. Pass {shown(higher)}, or, if each folder in it is a student's, use --all."
        )
    near = _near(exercises, names)
    if near:
        name, exercise_id = near
        raise UsageError(f"No {wanted} in {named}. It holds {one_line(name)}: rename it to {exercise_id}?")
    holds = f"holds {_listed(names)}" if names else "holds no folders" if any(folder.iterdir()) else "is empty"
    raise UsageError(f"No {wanted} in {named}, which {holds}. Pass a folder that has the shape of exercises/.")


def shown(path: Path) -> str:
    """A path as the reader would type it, relative to the working directory if it lies below, for a terminal."""
    try:
        return one_line(os.fspath(path.relative_to(Path.cwd())))
    except ValueError:
        return one_line(os.fspath(path))


def _folders(folder: Path) -> Iterator[Path]:
    return (each for each in folder.iterdir() if each.is_dir() and not each.name.startswith((".", "__")))


def _near(exercises: Iterable[Exercise], names: Sequence[str]) -> tuple[str, str] | None:
    """A folder whose name is nearly that of an exercise, and that name."""
    for exercise in exercises:
        alike = [name for name in names if name in (exercise.id[3:], exercise.number)]
        alike += difflib.get_close_matches(exercise.id, names, n=1, cutoff=0.7)
        if alike:
            return alike[0], exercise.id
    return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join([*map(one_line, names[:SHOWN]), *["…"] * (len(names) > SHOWN)])
