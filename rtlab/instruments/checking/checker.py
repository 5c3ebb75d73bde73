"""The checker: a history goes in, a verdict comes out.

What lives here: `check`, a pure function. It must not know where a history comes from. The guarantees are listed in
`problems`, the rules are in `delivery_rules` and `message_rules`; what may be missing is in `observation`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rtlab.errors import UsageError
from rtlab.instruments.checking import observation
from rtlab.instruments.checking.delivery_rules import false_losses, missing_messages
from rtlab.instruments.checking.happenings import ClientHappening, Happening, RoomEntered
from rtlab.instruments.checking.history import ObservedHistory
from rtlab.instruments.checking.message_rules import (
    misplaced_messages,
    overheard_messages,
    repeated_messages,
    untrue_messages,
)
from rtlab.instruments.checking.problems import Guarantee, Problem, Trouble
from rtlab.instruments.checking.sightings import Sightings
from rtlab.instruments.checking.smallest import smallest
from rtlab.instruments.checking.story import tell
from rtlab.instruments.checking.verdict import FAIL, PASS, UNKNOWN, HistoryFinding, HistoryVerdict

__all__ = ["MOST_SHOWN", "check", "problems_in"]

MOST_SHOWN = 5
"""Failures of each guarantee that get a story. A server that loses its memory fails in hundreds of ways at once: the
first few tell it, and the others are counted."""


def check(history: ObservedHistory) -> HistoryVerdict:
    """Judge what the clients of a chat saw.

    The verdict is "fail" if the history breaks a guarantee, "unknown" if it breaks none but too little was observed to
    say that it keeps them, and "pass" otherwise.

    Args:
        history: from a `rtlab.HistoryRecorder`, or loaded from a file.

    Returns:
        The verdict, with a finding for each guarantee: its story, and where it failed the smallest history that shows
        it.

    Raises:
        UsageError: it is no history.
    """
    if not isinstance(history, ObservedHistory):
        raise UsageError(
            f"check: expected a History, got {type(history).__name__}. A recorder gives one: recorder.history."
        )
    sightings = Sightings(history)
    problems = list(problems_in(sightings))
    seen: Counter[Guarantee] = Counter()
    failed: list[HistoryFinding] = []
    for problem in sorted(problems, key=lambda each: each.shown):
        seen[problem.guarantee] += 1
        if seen[problem.guarantee] <= MOST_SHOWN:
            failed.append(_failure(problem, sightings))
    unknown = [
        HistoryFinding(guarantee=guarantee, result=UNKNOWN, story=story)
        for guarantee, story in observation.missing(sightings)
    ]
    judged = {each.guarantee for each in (*failed, *unknown)}
    passed = [
        HistoryFinding(guarantee=each, result=PASS, story=observation.looked_at(each, sightings))
        for each in Guarantee
        if each not in judged
    ]
    return HistoryVerdict(history, (*failed, *unknown, *passed), len(problems) - len(failed))


def problems_in(sightings: Sightings) -> Iterator[Problem]:
    """All that is wrong with a history. What one fault breaks in several ways is told once."""
    untrue = list(untrue_messages(sightings))
    told = {
        (each.room, id_) for each in untrue for id_ in ((getattr(event, "id", None) or "") for event in each.evidence)
    }
    repeated = list(repeated_messages(sightings, told))
    told |= {(each.room, each.id or "") for each in repeated}
    misplaced = list(misplaced_messages(sightings, told))
    behind = {(each.room, each.id or "") for each in misplaced if each.trouble is Trouble.BEHIND_TIME}
    missing = list(missing_messages(sightings, behind))  # whoever asked on had passed their place
    joins = {event.at for each in missing for event in each.evidence if isinstance(event, RoomEntered)}
    yield from untrue
    yield from repeated
    yield from misplaced
    yield from missing
    yield from false_losses(sightings, joins)
    yield from overheard_messages(sightings)


def _failure(problem: Problem, sightings: Sightings) -> HistoryFinding:
    """The finding about a problem."""
    return HistoryFinding(
        guarantee=problem.guarantee,
        result=FAIL,
        story=tell(problem, sightings),
        trouble=problem.trouble,
        room=problem.room,
        clients=problem.clients,
        id=problem.id,
        offset=problem.offset,
        also=problem.also,
        smallest=_smallest(problem, sightings.history),
    )


def _smallest(problem: Problem, history: ObservedHistory) -> ObservedHistory:
    """As few events as show the same problem with the same message."""

    def shows(events: Sequence[Happening]) -> bool:
        found = problems_in(Sightings(history.of(events)))
        return any(
            (each.guarantee, each.trouble, each.room) == (problem.guarantee, problem.trouble, problem.room)
            and (each.id, each.offset) == (problem.id, problem.offset)
            for each in found
        )

    ids = {getattr(each, "id", None) for each in problem.evidence} - {None}
    clients = {each.client for each in problem.evidence if isinstance(each, ClientHappening)}
    near = [
        each
        for each in history
        if isinstance(each, ClientHappening)
        and each.room == problem.room
        and (each.client in clients or getattr(each, "id", None) in ids)
    ]
    for everything in (near, list(history)):
        if shows(problem.evidence) or shows(everything):
            return history.of(smallest(problem.evidence, everything, shows))
    raise AssertionError("a problem that was found cannot be found again")  # pragma: no cover
