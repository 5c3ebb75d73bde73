"""From what happened to a verdict and one sentence.

What lives here: the order in which causes are looked for. A function that is not written yet outranks everything,
then what the grader observed, then what the learner's code raised; what is left is nobody's proven fault, and so
"unknown". Runs in the child only.
"""

from __future__ import annotations

from rtlab.grading.child.barriers import BarrierError
from rtlab.grading.child.expectations import Observations, UnmetError
from rtlab.grading.child.loading import MissingNameError, NothingWrittenError, UnreadableError
from rtlab.grading.child.swallowed import SwallowedErrors, describe, flatten
from rtlab.grading.code_origin import CodeOrigin
from rtlab.grading.results import Verdict

__all__ = ["judge", "judge_import"]

Judgement = tuple[Verdict, str]


def judge_import(error: BaseException, origin: CodeOrigin) -> Judgement:
    """What an exception means that ended the import of the learner's file."""
    if isinstance(error, NothingWrittenError):
        return Verdict.TODO, str(error)
    if isinstance(error, UnreadableError):
        return Verdict.FAILED, str(error)
    own = [leaf for leaf in flatten(error) if origin.raised_at(leaf)]
    return _raised(own or [error], origin)


def judge(
    error: BaseException | None, observations: Observations, swallowed: SwallowedErrors, origin: CodeOrigin
) -> Judgement:
    """What a check's end means.

    Args:
        error: what ended it, or None if it returned.
        observations: what it observed.
        swallowed: what libraries swallowed meanwhile.
        origin: tells whose code is whose.
    """
    if error is None and not observations.unmet:
        if observations.count:
            return Verdict.PASSED, ""
        return Verdict.UNKNOWN, "the check ended without having observed anything"
    leaves = flatten(error) if error is not None else []
    own = [leaf for leaf in leaves if origin.raised_at(leaf) and not isinstance(leaf, UnmetError)]
    for leaf in [*own, *swallowed.errors]:
        if isinstance(leaf, NotImplementedError) and origin.raised_by_itself(leaf):
            return Verdict.TODO, _todo(leaf, origin)
    for leaf in [*own, *swallowed.errors]:
        if isinstance(leaf, BarrierError):
            return _raised([leaf], origin)
    missing = [leaf for leaf in leaves if isinstance(leaf, MissingNameError)]
    if missing:
        return Verdict.FAILED, str(missing[0])
    if observations.unmet:
        return Verdict.FAILED, ". ".join(
            [observations.unmet[0], *_notes(own or swallowed.errors[-1:], swallowed, origin)]
        )
    if own or swallowed.errors:
        return _raised(own or swallowed.errors, origin)
    assert error is not None
    misused = origin.misused(error)
    return (Verdict.FAILED, misused) if misused else _unfinished(error, origin)


def _raised(errors: list[BaseException], origin: CodeOrigin) -> Judgement:
    """The sentence about an exception that came out of the learner's code."""
    error = errors[0]
    place = origin.raised_at(error)
    where = f" ({place})" if place else ""
    if isinstance(error, NotImplementedError) and origin.raised_by_itself(error):
        return Verdict.TODO, _todo(error, origin)
    if isinstance(error, BarrierError):
        return Verdict.FAILED, f"{error}{where}"
    if isinstance(error, SystemExit):
        return Verdict.FAILED, f"your code ended the process with sys.exit({error.code!r}){where}"
    if isinstance(error, EOFError) and "reading a line" in str(error):
        return Verdict.FAILED, f"your code asks for input(), and nobody types while it is graded{where}"
    misused = None if place else origin.misused(error)
    return Verdict.FAILED, misused or f"your code raised {describe(error)}{where}"


def _todo(error: NotImplementedError, origin: CodeOrigin) -> str:
    return f"not written yet ({origin.raised_at(error)})"


def _notes(errors: list[BaseException], swallowed: SwallowedErrors, origin: CodeOrigin) -> list[str]:
    """What may explain why an expectation was not met."""
    notes = []
    if errors:
        sentence = _raised(errors, origin)[1]
        notes.append(sentence[0].upper() + sentence[1:])
    return notes or [note.rstrip(".") for note in swallowed.never_awaited[:1]]


def _unfinished(error: BaseException, origin: CodeOrigin) -> Judgement:
    place, _ = origin.grader_line(error)
    return Verdict.UNKNOWN, (
        f"the check could not be finished: {describe(error)} in {place}. "
        "Either your code gave it something it cannot work with, or the check is broken"
    )
