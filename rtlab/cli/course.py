"""The commands of ``rtlab`` for the exercises: ``grade``, ``exercises``, ``reset``, ``hint``.

What lives here: one function per command. Everything but click is imported when a command needs it.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rtlab.cli.consoles import console_on, progress_bar

if TYPE_CHECKING:
    from rich.console import Console

    from rtlab.grading.catalogue import Course, Exercise
    from rtlab.grading.progress import Progress
    from rtlab.grading.report import Report
    from rtlab.grading.results import CheckResult

__all__ = ["grade", "hint", "list_exercises", "reset"]

WATCH_MS = 200
"""Milliseconds after which --watch grades for the first time. Later it waits as long as nothing changes."""
STYLES = {
    "plain": "", "title": "bold", "passed": "green", "failed": "red", "open": "yellow", "output": "dim",
}  # fmt: skip
"""Colours in a terminal, by the names of `rtlab.grading.rendering.Style`."""


@click.command()
@click.argument("exercises", metavar="[NN]...", nargs=-1)
@click.option(
    "--submission", metavar="DIR", help="Grade the files in DIR, which has the shape of exercises/, instead of yours."
)
@click.option("--json", "json_file", metavar="FILE", help="Write the scores to FILE as JSON; - is standard output.")
@click.option("--watch", is_flag=True, help="Grade again whenever a file changes, until Ctrl-C.")
@click.option("--all", "students", metavar="DIR", help="For instructors: grade each folder in DIR, one per student.")
@click.option(
    "--csv",
    "csv_file",
    metavar="FILE",
    help="With --all: write the table to FILE. A name that a spreadsheet would read as a formula gets a ' in front.",
)
@click.pass_context
def grade(
    context: click.Context,
    exercises: tuple[str, ...],
    submission: str | None,
    json_file: str | None,
    watch: bool,
    students: str | None,
    csv_file: str | None,
) -> int:
    """Grade exercises: those that are named, or all.

    Each check runs in a process of its own, with a deadline. That keeps a submission from disturbing the
    others. It is no sandbox: grade only code that you would run.
    """
    course = _course(context)
    if csv_file and students is None:
        raise click.UsageError("--csv belongs to --all.")
    if students is not None:
        if submission or json_file or watch:
            raise click.UsageError("--all goes with --csv only.")
        return _grade_all(course, exercises, students, csv_file)
    from rtlab.grading.report import submissions_folder

    chosen = course.select(exercises)
    folder = submissions_folder(submission)
    if watch:
        _watch(
            [exercise.submission(folder).parent for exercise in chosen],
            lambda: _grade(course, chosen, folder, json_file),
        )
    report = _grade(course, chosen, folder, json_file)
    return 0 if report.passed else 1


@click.command("exercises")
@click.pass_context
def list_exercises(context: click.Context) -> int:
    """List the exercises and how far you are."""
    from rtlab.grading.progress import Progress
    from rtlab.grading.rendering import columns

    course = _course(context)
    progress = Progress(course.root)
    rows = [["", "exercise", "points", "file", "about"]]
    for exercise in course.exercises:
        points = progress.points(exercise)
        score = f"{'-' if points is None else points} of {exercise.max}"
        file = str(exercise.submission().relative_to(course.root))
        rows.append(["✔" if points == exercise.max else " ", exercise.id, score, file, exercise.title])
    click.echo(columns(rows))
    made = sum(progress.points(exercise) or 0 for exercise in course.exercises)
    most = sum(exercise.max for exercise in course.exercises)
    click.echo(f"{made} of {most} points. A file that has changed since it was graded has none (-).")
    return 0


@click.command()
@click.argument("exercise", metavar="NN")
@click.pass_context
def reset(context: click.Context, exercise: str) -> int:
    """Put back the file that an exercise starts from. Yours is kept beside it."""
    from rtlab.grading.progress import Progress

    course = _course(context)
    found = course.find(exercise)
    kept = found.reset()
    Progress(course.root).forget(found)
    mine = found.submission().relative_to(course.root)
    click.echo(f"{mine} is as it was at the start." + (f" Yours is kept as {kept.name}." if kept else ""))
    return 0


@click.command()
@click.argument("exercise", metavar="NN")
@click.argument("check", metavar="[CHECK]", required=False)
@click.option(
    "--submission", metavar="DIR", help="Look at the files in DIR, which has the shape of exercises/, instead of yours."
)
@click.pass_context
def hint(context: click.Context, exercise: str, check: str | None, submission: str | None) -> int:
    """Give the next hint for a check, by its name; without one, for the first check that is not passed."""
    from rtlab.grading.progress import Progress
    from rtlab.grading.rendering import one_line
    from rtlab.grading.report import submissions_folder

    course = _course(context)
    found = course.find(exercise)
    wanted = [found.check(check)] if check is not None else list(found.checks)
    folder = submissions_folder(submission)
    progress = Progress(course.root)
    passed = _passed(course, found, progress, folder)
    open_checks = [each for each in wanted if each.name not in passed]
    if not open_checks:
        click.echo(f"All checks of {found.id} are passed." if check is None else f"{wanted[0].name} is passed.")
        return 0
    asked = open_checks[0]
    shown = min(progress.of(found).hints.get(asked.name, 0) + 1, len(asked.hints))
    progress.hinted(found, asked.name, shown)
    click.echo(f"{asked.name}: {asked.sentence}")
    for number, text in enumerate(asked.hints[:shown], 1):
        click.echo(f"Hint {number} of {len(asked.hints)}: {text}")
    if shown < len(asked.hints):
        again = ["rtlab", "hint", found.number, *([asked.name] if check else [])]
        again += ["--submission", submission] if submission else []
        click.echo(f"Still stuck? {one_line(shlex.join(again))} once more tells more.")
    else:
        click.echo(f"There are no more. {found.grader.relative_to(course.root)} shows what the check does.")
    return 0


def _passed(course: Course, exercise: Exercise, progress: Progress, folder: Path | None) -> set[str]:
    """The names of the checks that are passed. Your own file is graded only if it has changed, another's each time."""
    from rtlab.grading.report import grade_course

    if folder is None and progress.points(exercise) is not None:
        return {name for name, verdict in progress.of(exercise).checks.items() if verdict == "passed"}
    with progress_bar(console_on(stderr=True), len(exercise.checks)) as advance:
        report = grade_course(course, [exercise], folder, on_result=lambda _, check: advance(check.name))
    return {check.name for result in report.exercises for check in result.checks if check.verdict == "passed"}


def _grade(course: Course, exercises: list[Exercise], folder: Path | None, json_file: str | None) -> Report:
    """Grade and show. The table goes to standard error where standard output is for JSON."""
    from rtlab.grading.report import grade_course

    console = console_on(stderr=json_file == "-")
    with progress_bar(console_on(stderr=True), sum(len(exercise.checks) for exercise in exercises)) as advance:

        def on_result(exercise: Exercise, check: CheckResult) -> None:
            advance(f"{exercise.id} {check.name}")

        report = grade_course(course, exercises, folder, on_result)
    _show(console, report)
    if json_file == "-":
        click.echo(report.to_json())
    elif json_file:
        _write(json_file, report.to_json() + "\n")
    return report


def _show(console: Console, report: Report) -> None:
    """The report in colour, or as plain text where no terminal reads it."""
    from rich.padding import Padding
    from rich.text import Text

    if not console.is_terminal:
        click.echo(repr(report), file=console.file)
        return
    for line in report.lines():
        text = "".join(words.text for words in line)
        indent = len(text) - len(text.lstrip())  # so that a long sentence goes on where it began
        styled = Text.assemble(*((words.text, STYLES[words.style.value]) for words in line))
        console.print(Padding(styled[indent:], (0, 0, 0, indent)))


def _grade_all(course: Course, names: tuple[str, ...], students: str, csv_file: str | None) -> int:
    """Grade a class. The exit status says whether it ran through, not how good the class is."""
    from rtlab.grading.rendering import columns, one_line
    from rtlab.grading.report import grade_class, students_in

    chosen = course.select(names)
    found = students_in(students)
    with progress_bar(
        console_on(stderr=True), len(found) * sum(len(exercise.checks) for exercise in chosen)
    ) as advance:
        result = grade_class(
            course, chosen, found, lambda name, exercise, _: advance(f"{one_line(name)} {exercise.id}")
        )
    head, *rows = result.rows()
    click.echo(columns([[name[:2] if name in {each.id for each in chosen} else name for name in head], *rows]))
    if csv_file:
        _write(csv_file, result.to_csv())
        click.echo(f"Written to {csv_file}.")
    return 0


def _watch(folders: list[Path], grade_once: Callable[[], object]) -> None:
    """Grade now and after each change. Ends by Ctrl-C only."""
    try:
        from watchfiles import PythonFilter, watch
    except ImportError:
        raise click.UsageError("--watch needs the package watchfiles: pip install 'rtlab[course]'.") from None
    filter_ = PythonFilter(extra_extensions=[".conf"])
    first = True  # the watcher runs before the first grading, so that no change is missed meanwhile
    for changes in watch(
        *(each for each in folders if each.is_dir()), watch_filter=filter_, yield_on_timeout=True, rust_timeout=WATCH_MS
    ):
        if changes or first:
            first = False
            grade_once()
            click.echo("Waiting for a change; Ctrl-C ends this.", err=True)
    raise KeyboardInterrupt


def _course(context: click.Context) -> Course:
    from rtlab.grading.catalogue import find_course

    return find_course(context.obj)


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(path, error.strerror or str(error)) from None
