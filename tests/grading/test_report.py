"""Scores as a table, as text, as JSON and as CSV, and `rtlab.grade` as a notebook calls it."""

import csv
import io
import json
import shutil

import pytest

import rtlab
from rtlab.errors import UsageError
from rtlab.grading.report import ClassReport, Report
from rtlab.grading.results import CheckResult, ExerciseResult, Verdict


@pytest.fixture
def report(course):
    checks = (
        CheckResult("test_greets_by_name", Verdict.PASSED, "", 2),
        CheckResult("test_greets_every_name", Verdict.FAILED, "expected <b> & got 'x'", 3, ("it <printed>",)),
    )
    return Report((ExerciseResult("00_hello", checks),), course)


def test_text(report):
    assert repr(report).splitlines() == [
        "00_hello: 2 of 5 points",
        "  ✔ passed  2/2  test_greets_by_name",
        "  ✘ failed  0/3  test_greets_every_name",
        "      expected <b> & got 'x'",
        "      | it <printed>",
        "Stuck? `rtlab hint 00` gives a hint for the first check that is not passed.",
    ]


def test_html_is_escaped_and_leaves_colours_to_the_theme(report):
    page = report._repr_html_()
    assert "expected &lt;b&gt; &amp; got" in page
    assert "it &lt;printed&gt;" in page
    assert "color: inherit" in page
    assert "background" not in page


def test_html_shows_a_command_as_code(report):
    assert "Stuck? <code>rtlab hint 00</code> gives" in report._repr_html_()


def test_json(report):
    assert json.loads(report.to_json()) == {
        "points": 2,
        "max": 5,
        "exercises": [
            {
                "id": "00_hello",
                "points": 2,
                "max": 5,
                "checks": [
                    {"name": "test_greets_by_name", "verdict": "passed", "message": ""},
                    {"name": "test_greets_every_name", "verdict": "failed", "message": "expected <b> & got 'x'"},
                ],
            }
        ],
    }


def test_csv(report, course):
    missing = Report((ExerciseResult("00_hello", (), missing=True),), course)
    table = ClassReport(course.select(("00",)), {"Ann, B.": report, "cy": missing})
    assert table.to_csv() == 'student,00_hello,points,max\n"Ann, B.",2,2,5\ncy,missing,0,5\n'


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("\t=1+1", "\\t=1+1"),
        ("\r=1+1", "\\r=1+1"),
        ("\n=1+1", "\\n=1+1"),
        ("ann;=1+1", "ann;=1+1"),
        ('"=1+1', '"=1+1'),
        ("'=1+1", "'=1+1"),
        ("half \udc80", "half \\udc80"),
        ("\x1b[2J\u202e", "\\x1b[2J\\u202e"),
        ("ann-marie", "ann-marie"),
    ],
)
def test_a_name_is_no_formula_in_a_spreadsheet(report, course, name, cell):
    table = ClassReport(course.select(("00",)), {name: report})
    text = table.to_csv()
    text.encode()
    assert list(csv.reader(io.StringIO(text)))[1] == [cell, "2", "2", "5"]
    assert ";" not in cell or f'"{cell}"' in text, "quoted, where a semicolon separates the cells"
    assert all(each.isprintable() for row in table.rows() for each in row), "the same table goes to a terminal"


CODES = (*range(32), *range(127, 160), 0x200E, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
COMMANDS = [chr(code) for code in CODES if chr(code) not in "\n\t"]
"""What a terminal obeys: C0 but for line ends and tabs, DEL, C1, and what turns the direction of writing."""


def test_nothing_that_a_submission_says_reaches_a_terminal(grade_tiny, course):
    """Neither as an exception's text, nor as a repr, nor printed."""
    nasty = ascii("".join(COMMANDS))
    grader = "".join(
        f"@check(points=1, hints=('a', 'b'))\ndef test_{name}(submission):\n"
        f"    expect('it', submission.{name}(), equals=1)\n"
        for name in ("says", "raises", "shows")
    )
    submission = (
        f"NASTY = {nasty}\nprint(NASTY)\n"
        "class Shows:\n    def __repr__(self):\n        return NASTY\n"
        "def says():\n    return NASTY\n"
        "def raises():\n    raise ValueError(NASTY)\n"
        "shows = Shows\n"
    )
    results = grade_tiny(grader, submission, every=True)
    assert [check.verdict for check in results] == [Verdict.FAILED] * 3
    report = Report((ExerciseResult("00_hello", results),), course)
    for text in (repr(report), report._repr_html_(), report.to_json()):
        assert [each for each in COMMANDS if each in text] == []
    for check in results:
        assert "\n" not in check.message
        assert r"\x1b" in check.message
        assert r"\u202e" in "".join(check.output)


async def test_a_notebook_grades_while_its_loop_runs(course_copy, capsys, leaves_no_process):
    assert rtlab.grade("00", root=course_copy).points == 0
    assert capsys.readouterr().out == "Grading 00_hello ○○\n"
    shutil.copy(course_copy / "solutions" / "00_hello" / "hello.py", course_copy / "exercises" / "00_hello")
    report = rtlab.grade(0, root=course_copy)
    assert report.passed
    assert report.points == report.max == 5
    assert report.advice() == ["All points of 00_hello. Now compare with solutions/00_hello/NOTES.md."]


def test_a_folder_of_submissions(course_copy):
    assert rtlab.grade("00", root=course_copy, submission=course_copy / "solutions").passed
    assert not (course_copy / ".rtlab").exists(), "progress is that of the learner's own files"
    with pytest.raises(UsageError, match="No folder nowhere"):
        rtlab.grade("00", root=course_copy, submission="nowhere")
    with pytest.raises(UsageError, match="There are: 00_hello"):
        rtlab.grade("3", root=course_copy)
