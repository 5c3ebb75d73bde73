"""The command ``rtlab``.

What lives here: one function per command, which calls what does the work, and shows what came of it. Everything but
click is imported when a command needs it, so that ``rtlab --help`` answers at once.

Exit status: 0 when all is well (all points made), 1 when not, 2 when the command was misused, 130 after Ctrl-C.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

import rtlab
from rtlab import cli_chat, cli_laboratory
from rtlab.errors import RtlabError

if TYPE_CHECKING:
    from rich.console import Console

    from rtlab.grading.catalogue import Course, Exercise
    from rtlab.grading.report import Report
    from rtlab.grading.results import CheckResult

__all__ = ["main"]

INTERRUPTED = 130
"""Exit status after Ctrl-C: 128 and the number of SIGINT, as shells have it."""
WATCH_MS = 200
"""Milliseconds after which --watch grades for the first time. Later it waits as long as nothing changes."""
STYLES = {"passed": "green", "failed": "red", "to do": "yellow", "unknown": "yellow"}
"""Colours of verdicts in a terminal."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command and end the process with its exit status."""
    try:
        status = commands.main(arguments, prog_name="rtlab", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except RtlabError as error:
        click.echo(f"Error: {error}", err=True)
        status = 2
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        status = INTERRUPTED
    except BrokenPipeError:  # `rtlab exercises | head -1`: whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.exit(status)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(rtlab.__version__, prog_name="rtlab")
@click.option(
    "--root", metavar="DIR", type=click.Path(file_okay=False), help="The course's folder. [default: found upwards]"
)
@click.pass_context
def commands(context: click.Context, root: str | None) -> None:
    """The Real-Time Lab: a course on WebSockets and Socket.IO.

    An exercise NN is named by its number, its topic or its folder: 0, 00, hello and 00_hello mean the same.
    """
    context.obj = root


cli_laboratory.serve.add_command(cli_chat.serve_chat)
for command in (cli_laboratory.serve, cli_laboratory.tap, cli_laboratory.bench, cli_chat.token):
    commands.add_command(command)


@commands.command()
@click.argument("exercises", metavar="[NN]...", nargs=-1)
@click.option(
    "--submission", metavar="DIR", help="Grade the files in DIR, which has the shape of exercises/, instead of yours."
)
@click.option("--json", "json_file", metavar="FILE", help="Write the scores to FILE as JSON; - is standard output.")
@click.option("--watch", is_flag=True, help="Grade again whenever a file changes, until Ctrl-C.")
@click.option("--all", "students", metavar="DIR", help="For instructors: grade each folder in DIR, one per student.")
@click.option("--csv", "csv_file", metavar="FILE", help="With --all: write the table to FILE.")
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


@commands.command("exercises")
@click.pass_context
def list_exercises(context: click.Context) -> int:
    """List the exercises and how far you are."""
    from rtlab.grading.progress import Progress
    from rtlab.grading.report import columns

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


@commands.command()
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


@commands.command()
@click.argument("exercise", metavar="NN")
@click.pass_context
def hint(context: click.Context, exercise: str) -> int:
    """Give the next hint for the first check that is not passed."""
    from rtlab.grading.progress import Progress
    from rtlab.grading.report import grade_course

    course = _course(context)
    found = course.find(exercise)
    progress = Progress(course.root)
    if progress.points(found) is None:
        with _progress(_console(stderr=True), len(found.checks)) as advance:
            grade_course(course, [found], on_result=lambda _, check: advance(check.name))
    record = progress.of(found)
    open_checks = [check for check in found.checks if record.checks.get(check.name) != "passed"]
    if not open_checks:
        click.echo(f"All checks of {found.id} are passed.")
        return 0
    check = open_checks[0]
    shown = min(record.hints.get(check.name, 0) + 1, len(check.hints))
    progress.hinted(found, check.name, shown)
    click.echo(f"{check.name}: {check.sentence}")
    for number, text in enumerate(check.hints[:shown], 1):
        click.echo(f"Hint {number} of {len(check.hints)}: {text}")
    if shown == len(check.hints):
        click.echo(f"There are no more. {found.grader.relative_to(course.root)} shows what the check does.")
    return 0


@commands.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> int:
    """Look at what this machine has and lacks for the course."""
    from rtlab.instruments.doctor.doctor import diagnose

    with _status(_console(stderr=True)) as say:
        diagnosis = diagnose(progress=say)
    if as_json:
        click.echo(diagnosis.to_json())
    else:
        _console().print(diagnosis)
    return diagnosis.exit_status


def _grade(course: Course, exercises: list[Exercise], folder: Path | None, json_file: str | None) -> Report:
    """Grade and show. The table goes to standard error where standard output is for JSON."""
    from rtlab.grading.report import grade_course

    console = _console(stderr=json_file == "-")
    with _progress(_console(stderr=True), sum(len(exercise.checks) for exercise in exercises)) as advance:

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
    for exercise in report.exercises:
        console.print(Text(f"{exercise.id}: {exercise.points} of {exercise.max} points", style="bold"))
        for check in exercise.checks:
            line = Text("  ").append(check.label, style=STYLES[check.verdict])
            console.print(line.append(f" {check.points}/{check.max}  {check.name}"))
            if check.message:
                console.print(Padding(Text(check.message), (0, 0, 0, 6)))
            for text in check.output:
                console.print(Padding(Text(f"| {text}", style="dim"), (0, 0, 0, 6)))
    for sentence in report.conclusion():
        console.print(Text(sentence))


def _grade_all(course: Course, names: tuple[str, ...], students: str, csv_file: str | None) -> int:
    """Grade a class. The exit status says whether it ran through, not how good the class is."""
    from rtlab.grading.report import columns, grade_class, students_in

    chosen = course.select(names)
    found = students_in(students)
    with _progress(_console(stderr=True), len(found) * sum(len(exercise.checks) for exercise in chosen)) as advance:
        result = grade_class(course, chosen, found, lambda name, exercise, _: advance(f"{name} {exercise.id}"))
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


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[str], None]]:
    """A bar on a terminal, nothing elsewhere; what it gives is called after each step."""
    if not console.is_terminal:
        yield lambda _: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}", markup=False))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda text: bar.update(task, advance=1, description=text)


@contextmanager
def _status(console: Console) -> Iterator[Callable[[str], None] | None]:
    if not console.is_terminal:
        yield None
        return
    from rich.text import Text

    with console.status("") as status:
        yield lambda text: status.update(Text(text))


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.FileError(path, error.strerror or str(error)) from None
