"""One layout of results: the same words wherever they are shown."""

import html
import re

from rtlab.grading.rendering import Style, as_html, as_text, columns, detail, lines_of
from rtlab.grading.results import CheckResult, ExerciseResult, Verdict

CHECKS = (
    CheckResult("test_a", Verdict.PASSED, "", 2),
    CheckResult("test_b", Verdict.FAILED, "expected <b> & 'c'; got 3", 3, ("last words", "<script>")),
    CheckResult("test_c", Verdict.TODO, "not written yet", 1),
    CheckResult("test_d", Verdict.UNKNOWN, "the check is broken", 1, ("boom",)),
)
RESULT = ExerciseResult("00_hello", CHECKS)


def test_the_lines():
    assert as_text(lines_of(RESULT, " (1 of its 5 checks not run)")).splitlines() == [
        "00_hello: 2 of 7 points (1 of its 5 checks not run)",
        "  ✔ passed  2/2  test_a",
        "  ✘ failed  0/3  test_b",
        "      expected <b> & 'c'; got 3",
        "      | last words",
        "      | <script>",
        "  ○ to do   0/1  test_c",
        "      not written yet",
        "  ? unknown 0/1  test_d",
        "      the check is broken",
        "      | boom",
    ]


def test_a_part_of_the_checks_is_a_part_of_the_points():
    assert as_text(lines_of(RESULT, "", 12)).startswith("00_hello: 2 of 12 points\n")


def test_every_verdict_has_a_style_that_is_not_plain():
    styles = [line[0].style for line in lines_of(RESULT) if re.match(r"  \S", line[0].text)]
    assert styles == [Style.PASSED, Style.FAILED, Style.OPEN, Style.OPEN]


def test_the_detail_of_one_check():
    assert as_text(detail(CHECKS[1])) == "expected <b> & 'c'; got 3\n| last words\n| <script>"
    assert detail(CHECKS[0]) == []


def test_the_table_says_the_same_and_runs_nothing():
    page = as_html([RESULT], ["Stuck? `rtlab hint 0` helps."])
    assert "<script>" not in page
    assert "<code>rtlab hint 0</code>" in page
    text = html.unescape(re.sub(r"<[^>]+>", " ", page))
    for check in CHECKS:
        for word in (check.name, check.message, f"{check.points}/{check.max}", str(check.verdict), *check.output):
            assert word in text


def test_columns():
    assert columns([["a", "bb"], ["ccc", ""]]) == "a    bb\nccc"
