"""How results look: one layout, for a terminal, for plain text, for pytest and for a notebook.

What lives here: `lines_of`, which lays an exercise's results out in lines of styled words, `as_text` and `as_html`. It
must not know terminals: whoever has one gives each `Style` a colour of its own.
"""

from __future__ import annotations

import enum
import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rtlab.grading.messages import one_line
from rtlab.grading.results import CheckResult, ExerciseResult, Verdict

__all__ = ["Line", "Style", "Words", "as_html", "as_text", "columns", "detail", "lines_of", "one_line"]


class Style(enum.Enum):
    """What some words are, and so how they look."""

    PLAIN = "plain"
    TITLE = "title"
    """The exercise and its points."""
    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"
    """Not written yet, or nobody knows."""
    OUTPUT = "output"
    """What the submission printed."""


class Words(NamedTuple):
    """A part of a line."""

    text: str
    style: Style = Style.PLAIN


Line = tuple[Words, ...]
STYLES = {Verdict.PASSED: Style.PASSED, Verdict.FAILED: Style.FAILED}
AGAIN = "as above"
"""What stands instead of a sentence that an earlier check of the same exercise has said."""
COLOURS = {
    Style.PASSED: "var(--jp-success-color1, #388e3c)",
    Style.FAILED: "var(--jp-error-color1, #d32f2f)",
    Style.OPEN: "var(--jp-warn-color1, #f57c00)",
}
"""For HTML: the theme's own colours in JupyterLab, and elsewhere some that can be read on white and on black."""


def lines_of(result: ExerciseResult, note: str = "", most: int | None = None) -> list[Line]:
    """An exercise's results, in lines. What several checks have to say alike, the first of them says.

    Args:
        result: of the exercise.
        note: stands behind its points.
        most: points that could be made, where not all of its checks were run.
    """
    lines: list[Line] = [(Words(f"{score(result, most)}{note}", Style.TITLE),)]
    for check, again in _with_repeats(result):
        verdict = Words(f"  {check.label}", style_of(check))
        lines.append((verdict, Words(f" {check.points}/{check.max}  {check.name}{f'  ({AGAIN})' if again else ''}")))
        lines += [] if again else [(Words("      "), *line) for line in detail(check)]
    return lines


def detail(check: CheckResult) -> list[Line]:
    """The sentence about a check that is not passed, and what the submission printed last."""
    said: list[Line] = [(Words(check.message),)] if check.message else []
    return said + [(Words(f"| {line}", Style.OUTPUT),) for line in check.output]


def _with_repeats(result: ExerciseResult) -> Iterator[tuple[CheckResult, bool]]:
    """Its checks, each with whether one before has said the same: a file that cannot be imported says so once."""
    said: set[tuple[str, tuple[str, ...]]] = set()
    for check in result.checks:
        says = (check.message, check.output)
        yield check, bool(check.message) and says in said
        said.add(says)


def score(result: ExerciseResult, most: int | None = None) -> str:
    """An exercise and its points, in words."""
    return f"{result.id}: {result.points} of {result.max if most is None else most} points"


def style_of(check: CheckResult) -> Style:
    """How its verdict looks."""
    return STYLES.get(check.verdict, Style.OPEN)


def as_text(lines: Iterable[Line]) -> str:
    """Lines without colours."""
    return "\n".join("".join(words.text for words in line) for line in lines)


def as_html(results: Iterable[ExerciseResult], conclusion: Iterable[str]) -> str:
    """The same as a table, and below it what is to be done next."""
    rows = []
    for result in results:
        rows.append(f'<tr><th colspan="4" style="text-align: left">{html.escape(score(result))}</th></tr>')
        rows += [_html_row(check, again) for check, again in _with_repeats(result)]
    paragraphs = "".join(f"<p>{_marked_up(sentence)}</p>" for sentence in conclusion)
    return f'<table style="color: inherit">{"".join(rows)}</table>{paragraphs}'


def columns(rows: Sequence[Sequence[str]]) -> str:
    """A table as text: the columns padded, two spaces between them."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def _html_row(check: CheckResult, again: bool) -> str:
    message = AGAIN if again else html.escape(check.message)
    if check.output and not again:
        printed = html.escape("\n".join(check.output))
        message += f"<details><summary>what it printed last</summary><pre>{printed}</pre></details>"
    colour = "inherit" if check.verdict is Verdict.TODO else COLOURS[style_of(check)]
    cells = [
        f'<span style="color: {colour}">{check.mark}&nbsp;{check.verdict}</span>',
        f"<code>{html.escape(check.name)}</code>",
        f"{check.points}/{check.max}",
        message,
    ]
    return "<tr>" + "".join(f'<td style="text-align: left">{cell}</td>' for cell in cells) + "</tr>"


def _marked_up(sentence: str) -> str:
    """A sentence of ours, in which backticks stand around code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(sentence))
