"""What the graders do not see: every mutant of a solution, graded.

What lives here: the command behind ``make mutants ARGS=NN``. It grades each mutant with the real grader, stops at the
first check that fails, and lists the mutants that pass all. One that cannot be told from the solution is explained in
``tests/equivalent_mutants/NN_topic.txt``: the mutant's name, and in the next line, indented, why.

A check that has waited for too long may have failed because of a busy machine. It is repeated with more time, and only
what fails again is killed.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from config_mutants import mutants_of
from mutants import Mutant
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rtlab.grading.catalogue import Exercise, find_course
from rtlab.grading.checks import Check
from rtlab.grading.exercise_run import ExerciseRun
from rtlab.grading.results import TIME_SCALE, CheckResult, Verdict, time_scale

ROOT = Path(__file__).parents[1]
EQUIVALENT = Path(__file__).with_name("equivalent_mutants")
LAST = ROOT / ".mutants"
"""Where the last run is kept: NN_topic.txt has its survivors, for --survivors, and NN_topic.killed.txt what the check
said that killed each of the others."""
GOAL = 0.95
"""The share of mutants that the checks of each exercise kill."""
PATIENCE = 3.0
"""By how much all deadlines are stretched for the second try of a check that waited for too long."""
WAITED = re.compile(r"\b(?:after|within) [\d.]+ s\b|\bin time\b")
"""What the sentence of such a check says."""
RAISED = "Your code raised"
"""What it says too if that has another reason."""

RUNS: dict[tuple[str, float], ExerciseRun] = {}
"""By exercise and time scale: the run that this process uses."""


@dataclass(frozen=True)
class Outcome:
    """What came of one mutant."""

    mutant: Mutant
    killed_by: str
    """The check that failed; empty if none did."""
    why: str = ""
    """Its verdict and its sentence."""


def grade(exercise: Exercise, mutant: Mutant) -> Outcome:
    """Grade one mutant, up to the first check that it does not pass."""
    with tempfile.TemporaryDirectory(prefix="rtlab-mutant-") as folder:
        file = Path(folder, exercise.file)
        file.write_text(mutant.source, encoding="utf-8")
        for check in exercise.checks:
            result = _result(exercise, check, file)
            if WAITED.search(result.message) and RAISED not in result.message:
                with _more_time():
                    result = _result(exercise, check, file)
            if result.verdict is not Verdict.PASSED:
                return Outcome(mutant, check.name, f"{result.verdict}: {result.message}")
    return Outcome(mutant, "")


def _result(exercise: Exercise, check: Check, file: Path) -> CheckResult:
    """What came of a check. The run is kept for all mutants that this process grades: the grader is imported once."""
    run = RUNS.get(key := (exercise.id, time_scale()))
    if run is None:
        run = RUNS[key] = ExerciseRun(exercise, file).__enter__()
    if run.submission != file:
        run.turn_to(file)
    return run.run(check)


@contextmanager
def _more_time() -> Iterator[None]:
    """Deadlines are stretched in the ``with`` block, also in the processes that it starts."""
    before = os.environ.get(TIME_SCALE)
    os.environ[TIME_SCALE] = str(time_scale() * PATIENCE)
    try:
        yield
    finally:
        if before is None:
            del os.environ[TIME_SCALE]
        else:
            os.environ[TIME_SCALE] = before


def end_runs() -> None:
    """End what `grade` keeps in this process. (It ends with the process in any case.)"""
    while RUNS:
        RUNS.popitem()[1].__exit__()


def explained(exercise_id: str) -> dict[str, str]:
    """The mutants of an exercise that are no mistakes, each with the reason.

    Raises:
        SystemExit: a mutant has no reason.
    """
    file = EQUIVALENT / f"{exercise_id}.txt"
    reasons: dict[str, str] = {}
    name = ""
    for line in file.read_text(encoding="utf-8").splitlines() if file.exists() else []:
        if line.startswith("    ") and name:
            reasons[name] = line.strip()
            name = ""
        elif line.strip() and not line.startswith("#"):
            if name:
                sys.exit(f"{file}: no reason below: {name}")
            name = line.strip()
    if name:
        sys.exit(f"{file}: no reason below: {name}")
    return reasons


def graded(exercise: Exercise, candidates: list[Mutant], jobs: int, console: Console) -> Iterator[Outcome]:
    """The outcome of each mutant, as they come, with a progress bar."""
    columns = (
        TextColumn(exercise.id),
        *Progress.get_default_columns()[1:2],
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(jobs) as pool:
        task = progress.add_task("", total=len(candidates))
        for future in as_completed([pool.submit(grade, exercise, mutant) for mutant in candidates]):
            progress.advance(task)
            yield future.result()


def examine(exercise: Exercise, options: argparse.Namespace, console: Console) -> bool:
    """Grade the mutants of one solution and report; tells whether all is well."""
    solution = ROOT / "solutions" / exercise.id / exercise.file
    every = mutants_of(solution)
    last, reasons = LAST / f"{exercise.id}.txt", explained(exercise.id)
    candidates = [each for each in every if options.match in each.name]
    if options.survivors:
        kept = last.read_text(encoding="utf-8").splitlines() if last.exists() else []
        candidates = [each for each in candidates if each.name in kept]
    if not options.all:
        candidates = [each for each in candidates if each.name not in reasons]
    if (own := grade(exercise, Mutant("none", 0, solution.read_text(encoding="utf-8")))).killed_by:
        sys.exit(f"{exercise.id}: the solution itself does not pass {own.killed_by}; mend that first: {own.why}")
    end_runs()
    started = time.monotonic()
    LAST.mkdir(exist_ok=True)
    outcomes = []
    with last.with_suffix(".killed.txt").open("w", encoding="utf-8", buffering=1) as kills:
        for each in graded(exercise, candidates, options.jobs, console):
            outcomes.append(each)
            if each.killed_by:
                kills.write(f"{each.mutant.name}\n    {each.killed_by}: {each.why}\n")
    survivors = sorted((each.mutant for each in outcomes if not each.killed_by), key=lambda each: each.line)
    unexplained = [each for each in survivors if each.name not in reasons]
    last.write_text("".join(f"{each.name}\n" for each in unexplained), encoding="utf-8")
    names = {each.name for each in every}
    stale = [name for name in reasons if name not in names]
    if options.all:
        stale += [each.mutant.name for each in outcomes if each.killed_by and each.mutant.name in reasons]
    killed = sum(bool(each.killed_by) for each in outcomes)
    for each in unexplained:
        print(f"{exercise.file}:{each.line}: {each.name}")
    for name in stale:
        print(f"tests/equivalent_mutants/{exercise.id}.txt: no longer a mutant that passes: {name}")
    told = len([name for name in reasons if name in names])
    print(
        f"{exercise.id}: {len(candidates)} of {len(every)} mutants graded, {killed} killed, {len(unexplained)} survive,"
        f" {told} explained ({time.monotonic() - started:.0f} s)"
    )
    whole = len(candidates) + (0 if options.all else told) == len(every)
    if whole and killed < GOAL * len(every):
        print(f"{exercise.id}: {killed / len(every):.1%} are killed; the goal is {GOAL:.0%}")
        return False
    return not unexplained and not stale


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make mutants ARGS=…", description=__doc__)
    parser.add_argument("exercise", nargs="*", help="as for rtlab grade: 06, rooms, 06_rooms; all of them without it")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count() or 1, help="mutants graded at once (default: %(default)s)"
    )
    parser.add_argument("--match", default="", metavar="TEXT", help="only mutants with this text in their name")
    parser.add_argument("--survivors", action="store_true", help="only those that survived the last run")
    parser.add_argument("--all", action="store_true", help="the explained ones too, to see whether they still pass")
    parser.add_argument("--list", action="store_true", help="list the mutants and grade none")
    options = parser.parse_args()
    course, console = find_course(ROOT), Console(stderr=True)
    wanted = [course.find(name) for name in options.exercise] or list(course.exercises)
    if options.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # into head, say
        for exercise in wanted:
            for each in mutants_of(ROOT / "solutions" / exercise.id / exercise.file):
                print(f"{exercise.file}:{each.line}: {each.name}")
        return
    unwell = [exercise.id for exercise in wanted if not examine(exercise, options, console)]
    sys.exit(1 if unwell else 0)


if __name__ == "__main__":
    main()
