"""What a check's end means: which cause comes first, in one sentence."""

import sys

import pytest

from rtlab.grading.child.barriers import BarrierError
from rtlab.grading.child.expectations import Observations, UnmetError
from rtlab.grading.child.judging import judge, judge_import
from rtlab.grading.child.loading import MissingNameError, UnreadableError, load_module
from rtlab.grading.child.swallowed import SwallowedErrors, describe, flatten
from rtlab.grading.code_origin import CodeOrigin
from rtlab.grading.results import Verdict

SUBMISSION = "def throw(error):\n    raise error\n"


@pytest.fixture
def origin(tmp_path):
    path = tmp_path / "judged.py"
    path.write_text(SUBMISSION)
    made = CodeOrigin(path, tmp_path / "test_judged.py")
    made.module = load_module(path, path.read_bytes())
    yield made
    del sys.modules["judged"]


def theirs(origin, error):
    """The exception, raised by the learner's own line."""
    try:
        origin.module.throw(error)
    except BaseException as raised:  # noqa: BLE001 - any
        return raised


def verdict(origin, error, *, unmet=(), count=0, swallowed=(), never_awaited=()):
    observations = Observations()
    observations.count, observations.unmet = count or len(unmet), list(unmet)
    heard = SwallowedErrors(origin)
    heard.errors, heard.never_awaited = list(swallowed), list(never_awaited)
    return judge(error, observations, heard, origin)


def test_a_pass_needs_an_observation(origin):
    assert verdict(origin, None, count=1) == (Verdict.PASSED, "")
    assert verdict(origin, None) == (Verdict.UNKNOWN, "the check ended without having observed anything")


def test_what_is_not_written_yet_comes_before_everything(origin):
    todo = theirs(origin, NotImplementedError())
    assert verdict(origin, todo, unmet=["no"]) == (Verdict.TODO, "not written yet (judged.py, line 2)")
    swallowed = verdict(origin, UnmetError("no"), unmet=["no"], swallowed=[theirs(origin, NotImplementedError())])
    assert swallowed[0] is Verdict.TODO
    group = ExceptionGroup("several", [theirs(origin, KeyError(1)), todo])
    assert verdict(origin, group)[0] is Verdict.TODO


def test_a_reach_for_the_answer_comes_before_what_came_of_it(origin):
    refused = theirs(origin, BarrierError("it holds the answer"))
    expected = (Verdict.FAILED, "it holds the answer (judged.py, line 2)")
    assert verdict(origin, UnmetError("no"), unmet=["no"], swallowed=[refused]) == expected


def test_what_was_observed_comes_with_what_may_explain_it(origin):
    failed = verdict(origin, UnmetError("expected 1; got 2"), unmet=["expected 1; got 2"])
    assert failed == (Verdict.FAILED, "expected 1; got 2")
    explained = verdict(origin, UnmetError("x"), unmet=["x"], swallowed=[theirs(origin, KeyError("item"))])
    assert explained == (Verdict.FAILED, "x. Your code raised KeyError: 'item' (judged.py, line 2)")
    awaited = verdict(origin, UnmetError("x"), unmet=["x"], never_awaited=["Coroutine 'f' was never awaited: …."])
    assert awaited == (Verdict.FAILED, "x. Coroutine 'f' was never awaited: …")


def test_a_submission_that_swallows_the_failure_has_failed_all_the_same(origin):
    assert verdict(origin, None, unmet=["expected 1; got 2"], count=5) == (Verdict.FAILED, "expected 1; got 2")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (KeyError("item"), "your code raised KeyError: 'item' (judged.py, line 2)"),
        (SystemExit(3), "your code ended the process with sys.exit(3) (judged.py, line 2)"),
        (
            EOFError("EOF when reading a line"),
            "your code asks for input(), and nobody types while it is graded (judged.py, line 2)",
        ),
    ],
)
def test_what_the_learners_code_raised(origin, error, sentence):
    assert verdict(origin, theirs(origin, error)) == (Verdict.FAILED, sentence)
    assert judge_import(theirs(origin, type(error)(*error.args)), origin) == (Verdict.FAILED, sentence)


def test_a_name_that_is_missing(origin):
    assert verdict(origin, MissingNameError("judged.py defines no `x`")) == (Verdict.FAILED, "judged.py defines no `x`")


def test_what_nobody_can_be_blamed_for_is_unknown(origin):
    got, sentence = verdict(origin, ZeroDivisionError("division by zero"))
    assert got is Verdict.UNKNOWN
    assert "the check could not be finished: ZeroDivisionError: division by zero" in sentence


def test_a_file_that_cannot_be_read(origin):
    assert judge_import(UnreadableError("it is empty"), origin) == (Verdict.FAILED, "it is empty")


class Rude(Exception):  # noqa: N818
    def __str__(self):
        raise RuntimeError


def test_an_exception_in_words():
    assert describe(Rude()) == "Rude"
    assert describe(ValueError("a\n  b")) == "ValueError: a b"
    assert describe(ValueError()) == "ValueError"
    inner = [ValueError(1), ExceptionGroup("b", [KeyError(2)])]
    assert [type(each) for each in flatten(ExceptionGroup("a", inner))] == [ValueError, KeyError]
