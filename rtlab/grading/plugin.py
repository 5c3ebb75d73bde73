"""The pytest plugin: ``pytest exercises/00_hello`` grades it.

What lives here: graders are collected as checks instead of as test functions, and the end of a run shows points. It is
loaded in every run of pytest here, so it costs nothing and changes nothing where there is no grader.

A check is one item, whatever it starts. Results travel to a terminal on another process (pytest-xdist) as an
attribute of the report, made of plain values.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rtlab.errors import RtlabError, UsageError
from rtlab.grading.catalogue import Exercise, is_grader, read_exercise
from rtlab.grading.rendering import Style, as_text, detail, lines_of
from rtlab.grading.results import CheckResult, ExerciseResult, Verdict
from rtlab.grading.submissions import check_shape, submissions_folder

if TYPE_CHECKING:
    from _pytest._code.code import TerminalRepr
    from _pytest.terminal import TerminalReporter

    from rtlab.grading.checks import Check
    from rtlab.grading.exercise_run import ExerciseRun

__all__ = ["CheckItem", "GraderFile", "NotPassedError"]

COLOURS: dict[Style, dict[str, bool]] = {
    Style.PLAIN: {},
    Style.TITLE: {"bold": True},
    Style.PASSED: {"green": True},
    Style.FAILED: {"red": True},
    Style.OPEN: {"yellow": True},
    Style.OUTPUT: {},
}
"""How pytest's terminal writes each."""
LETTERS = {Verdict.FAILED: "F", Verdict.TODO: "t", Verdict.UNKNOWN: "?"}
"""What a check that is not passed shows as in a line of dots."""


class NotPassedError(Exception):
    """A check was not passed. Carries the result to pytest's report. Never leaves rtlab.grading."""

    def __init__(self, result: CheckResult) -> None:
        self.result = result
        super().__init__(result.message)


class GraderFile(pytest.File):
    """A grader. Its checks share what is known of the submission: that it cannot be imported, that it hangs."""

    exercise: Exercise
    grading: ExerciseRun

    def collect(self) -> Iterator[CheckItem]:
        """The checks, read from the grader's text."""
        from rtlab.grading.exercise_run import ExerciseRun

        try:
            self.exercise = read_exercise(self.path.parent)
        except RtlabError as error:
            raise self.CollectError(str(error)) from None
        folder = _submissions(self.config)
        reset = "" if folder else f"rtlab reset {self.exercise.number}"
        self.grading = ExerciseRun(self.exercise, self.exercise.submission(folder), reset=reset)
        for check in self.exercise.checks:
            yield CheckItem.from_parent(self, name=check.name, check=check)

    def setup(self) -> None:
        """From here on its checks share the process that has imported it."""
        self.grading.__enter__()

    def teardown(self) -> None:
        """That process ends."""
        self.grading.__exit__()


class CheckItem(pytest.Item):
    """One check."""

    parent: GraderFile

    def __init__(self, *, check: Check, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.check = check
        self.result: CheckResult | None = None
        if self.config.pluginmanager.hasplugin("timeout"):
            self.add_marker(pytest.mark.timeout(0))  # a check has its own deadline, and one sentence about it

    def runtest(self) -> None:
        """Run it in its child process.

        Raises:
            NotPassedError: it is not passed.
        """
        self.result = self.parent.grading.run(self.check)
        if self.result.verdict is not Verdict.PASSED:
            raise NotPassedError(self.result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> str | TerminalRepr:
        """One sentence instead of a stack trace."""
        if isinstance(excinfo.value, NotPassedError):
            return as_text(detail(excinfo.value.result))
        if isinstance(excinfo.value, RtlabError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where it is: file, line (not known), name."""
        return self.path, None, f"{self.parent.exercise.id}: {self.name}"


def pytest_configure(config: pytest.Config) -> None:
    """Refuses a --submission that does not exist before anything is collected."""
    _submissions(config)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Adds --submission."""
    parser.getgroup("rtlab").addoption(
        "--submission",
        metavar="DIR",
        help="grade the files in this folder, which has the shape of exercises/, instead of your own",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuses a --submission that holds none of the exercises: each check would say that its file is missing."""
    folder = _submissions(config)
    exercises = {item.parent.exercise.id: item.parent.exercise for item in items if isinstance(item, CheckItem)}
    if folder is not None:
        try:
            check_shape(folder, list(exercises.values()))
        except UsageError as error:
            raise pytest.UsageError(f"--submission: {error}") from None


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> GraderFile | None:
    """A grader is no module of test functions."""
    if not is_grader(module_path):
        return None
    return GraderFile.from_parent(parent, path=module_path)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Puts the result into the report, as plain values."""
    report = yield
    if isinstance(item, CheckItem) and call.when == "call" and item.result is not None:
        result = item.result
        report.rtlab_result = {
            "folder": str(item.parent.exercise.folder),
            "name": result.name,
            "verdict": str(result.verdict),
            "message": result.message,
            "max": result.max,
            "output": list(result.output),
        }
    return report


def pytest_report_teststatus(report: Any) -> tuple[str, str, Any] | None:
    """ "to do" and "unknown" are counted by their names. All but a pass end pytest with exit status 1."""
    content = getattr(report, "rtlab_result", None)
    if content is None or report.when != "call":
        return None
    verdict = Verdict(content["verdict"])
    if verdict in (Verdict.PASSED, Verdict.FAILED):
        return None
    return str(verdict), LETTERS[verdict], (str(verdict).upper(), {"yellow": True})


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> Iterator[None]:
    """The points, after (or, where there is nothing else, instead of) pytest's own account of failures."""
    found = [r for reports in terminalreporter.stats.values() for r in reports if hasattr(r, "rtlab_result")]
    if not found:
        yield
        return
    others = terminalreporter.stats.get("failed", []) + terminalreporter.stats.get("error", [])
    if all(hasattr(report, "rtlab_result") for report in others):
        config.option.tbstyle = "no"  # each sentence is in the table of points
        terminalreporter.reportchars = ""
    yield
    _write_points(terminalreporter, found, config)


def _write_points(terminal: TerminalReporter, reports: list[Any], config: pytest.Config) -> None:
    from rtlab.grading.progress import Progress
    from rtlab.grading.report import advise

    own = _submissions(config) is None
    by_folder: dict[str, dict[str, CheckResult]] = {}
    for report in reports:
        content = dict(report.rtlab_result)
        folder = content.pop("folder")
        result = CheckResult(**{**content, "verdict": Verdict(content["verdict"]), "output": tuple(content["output"])})
        by_folder.setdefault(folder, {})[result.name] = result
    terminal.write_sep("=", "points")
    for folder, results in sorted(by_folder.items()):
        exercise = read_exercise(Path(folder))
        checks = tuple(results[check.name] for check in exercise.checks if check.name in results)
        score = ExerciseResult(exercise.id, checks)
        left_out = len(exercise.checks) - len(checks)
        note = f" ({left_out} of its {len(exercise.checks)} checks not run)" if left_out else ""
        for line in lines_of(score, note, exercise.max):
            for words in line:
                terminal.write(words.text, **COLOURS[words.style])
            terminal.write_line("")
        if own:
            Progress(exercise.root).graded(exercise, list(checks))
        if not left_out:
            for sentence in advise(exercise, score, own):
                terminal.write_line(f"  {sentence}")


def _submissions(config: pytest.Config) -> Path | None:
    """The folder that --submission names.

    Raises:
        pytest.UsageError: it does not exist.
    """
    given = config.getoption("--submission")
    if given is None:
        return None
    try:
        folder = submissions_folder(config.invocation_params.dir / given)
    except UsageError as error:
        raise pytest.UsageError(f"--submission: {error}") from None
    return folder
