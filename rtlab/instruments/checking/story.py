"""The story of a problem, in plain English.

What lives here: `tell`, a pure function from a problem to two or three sentences, with the faults that lie between. It
must not know how problems are found. Times are those of the observer's logical clock.
"""

from __future__ import annotations

from typing import TypeVar

from rtlab.chat.stores.protocols import position
from rtlab.instruments.checking.fault_spans import spans
from rtlab.instruments.checking.happenings import (
    AttemptAcknowledged,
    AttemptRefused,
    AttemptSent,
    Happening,
    MessageReceived,
    RoomEntered,
    RoomLeft,
)
from rtlab.instruments.checking.problems import Problem, Trouble
from rtlab.instruments.checking.sightings import Sightings
from rtlab.instruments.checking.wording import counted, listed, named

__all__ = ["FAULTS_TOLD", "tell"]

FAULTS_TOLD = 3
"""Faults that a story names: the last ones. The others are counted."""

E = TypeVar("E", bound=Happening)


def tell(problem: Problem, sightings: Sightings) -> str:
    """What happened."""
    sentences = [_STORIES[problem.trouble](problem, sightings)]
    if problem.also:
        sentences.append(f"The same happened with {counted(problem.also, 'further message')}.")
    between = [each for each in spans(sightings.faults) if each.touches(problem.began, problem.shown)]
    if between:
        told = [str(each) for each in between[-FAULTS_TOLD:]]
        if len(between) > FAULTS_TOLD:
            told.insert(0, counted(len(between) - FAULTS_TOLD, "earlier fault"))
        sentences.append(f"Meanwhile: {'; '.join(told)}.")
    return " ".join(sentences)


def _never_came(problem: Problem, _: Sightings) -> str:
    join, proof = _the(RoomEntered, problem), problem.proof
    first = named(problem.clients[0])
    if isinstance(proof, MessageReceived):
        shown = f"received {_message(proof.id)} at {proof.at}, which stands after it, at {proof.offset}"
    elif proof is join:
        return (
            f"{_missed(problem)} {first} joined the room at {join.at}, and its page up to {join.offset} was without it."
        )
    elif isinstance(proof, RoomEntered):
        shown = f"came back at {proof.at} and asked only for what stands after {proof.after}"
    else:
        shown = f"had by {problem.shown} all that the server would give it"
    return f"{_missed(problem)} {first} followed the room from {join.at} on, and {shown}."


def _not_brought(problem: Problem, sightings: Sightings) -> str:
    join = _the(RoomEntered, problem, last=True)
    told = "was told that nothing is missing" if join.complete else f"was given pages up to {join.offset} without it"
    return f"{_missed(problem)} {_came_back(problem, sightings, join)}, and {told}."


def _told_too_much(problem: Problem, sightings: Sightings) -> str:
    join = _the(RoomEntered, problem, last=True)
    room, bound = sightings.rooms[problem.room], sightings.history.bound
    newer = room.most_between(position(problem.offset or ""), position(join.offset), join.at)
    return (
        f"{_missed(problem)} {_came_back(problem, sightings, join)}, and was told that messages are gone. But "
        f"{_at_most(newer)} had come after it, and the server keeps {bound:,} of each room."
    )


def _told_lost(problem: Problem, sightings: Sightings) -> str:
    join = _the(RoomEntered, problem)
    room, bound = sightings.rooms[problem.room], sightings.history.bound
    low = (-1, -1) if join.after is None else position(join.after)
    newer = room.most_between(low, position(join.offset), join.at)
    return (
        f"{_came_back(problem, sightings, join)}, and was told that messages are gone. But "
        f"{_at_most(newer)} had come after that, and the server keeps {bound:,} of each room."
    )


def _stored_twice(problem: Problem, sightings: Sightings) -> str:
    message = sightings.rooms[problem.room].messages[problem.id or ""]
    places = list(message.placed.values())
    more = "" if len(places) == 2 else f" It stands in {len(places) - 2:,} more places."
    tries = counted(len(message.attempts), "attempt")
    return (
        f"{_message(problem.id)} stands twice in the room {named(problem.room)}: at {_seen_at(places[0])}, and at "
        f"{_seen_at(places[1])}. It left in {tries}.{more}"
    )


def _handed_twice(problem: Problem, _: Sightings) -> str:
    first, second = [each for each in problem.evidence if isinstance(each, MessageReceived)]
    how = "" if second.live else ", in a page"
    others = f" So did {listed(list(problem.clients[1:]))}." if len(problem.clients) > 1 else ""
    return f"{named(first.client)} received {_placed(problem)} at {first.at}, and again at {second.at}{how}.{others}"


def _out_of_order(problem: Problem, _: Sightings) -> str:
    top, late = [each for each in problem.evidence if isinstance(each, MessageReceived)]
    others = f" So did {listed(list(problem.clients[1:]))}." if len(problem.clients) > 1 else ""
    return (
        f"{named(late.client)} received {_placed(problem)} at {late.at}, after {_message(top.id)} (offset "
        f"{top.offset}), which had come at {top.at}.{others}"
    )


def _behind_time(problem: Problem, _: Sightings) -> str:
    sent = next(each for each in problem.evidence if isinstance(each, AttemptSent) and each.id == problem.id)
    known = next(each for each in problem.evidence if isinstance(each, _KNOWN) and getattr(each, "id", 0) != problem.id)
    if isinstance(known, RoomEntered):
        what = f"a page that went up to {known.offset} had come to {named(known.client)} at {known.at}"
    else:
        verb = "was acknowledged to" if isinstance(known, AttemptAcknowledged) else "had come to"
        what = f"{_message(known.id)} (offset {known.offset}) {verb} {named(known.client)} at {known.at}"
    return (
        f"{named(sent.client)} sent {named(sent.id)} at {sent.at}. Before that, {what}. Yet {_placed(problem)} stands "
        "before it."
    )


def _stranger(problem: Problem, _: Sightings) -> str:
    receipt = _the(MessageReceived, problem)
    return (
        f"{named(receipt.client)} received {_placed(problem)} at {receipt.at}, in the room {named(problem.room)}, "
        "which it had not joined."
    )


def _after_leaving(problem: Problem, _: Sightings) -> str:
    receipt, left = _the(MessageReceived, problem), _the(RoomLeft, problem)
    return (
        f"{named(receipt.client)} received {_placed(problem)} at {receipt.at}, in the room {named(problem.room)}, "
        f"which it had left at {left.at}."
    )


def _never_sent(problem: Problem, _: Sightings) -> str:
    receipt = _the(MessageReceived, problem)
    return (
        f"{listed(list(problem.clients))} received {_placed(problem)}, first at {receipt.at}, and nobody had sent it."
    )


def _refused(problem: Problem, _: Sightings) -> str:
    refusal, receipt = _the(AttemptRefused, problem, last=True), _the(MessageReceived, problem)
    return (
        f"{listed(list(problem.clients))} received {_placed(problem)}, first at {receipt.at}, though the server had "
        f"refused it: {named(refusal.code)}, told to {named(refusal.client)} at {refusal.at}."
    )


def _never_asked(problem: Problem, _: Sightings) -> str:
    answer = _the(AttemptAcknowledged, problem)
    return f"{_placed(problem)} was acknowledged to {named(answer.client)} at {answer.at}, and nobody had sent it."


def _two_ids(problem: Problem, _: Sightings) -> str:
    first, second = [each for each in problem.evidence if isinstance(each, AttemptAcknowledged | MessageReceived)][:2]
    return (
        f"Two messages stand in one place of the room {named(problem.room)}: {_message(first.id)} at "
        f"{_seen_at(first)}, and {_message(second.id)} at {_seen_at(second)}."
    )


_STORIES = {
    Trouble.NEVER_CAME: _never_came,
    Trouble.NOT_BROUGHT: _not_brought,
    Trouble.TOLD_TOO_MUCH: _told_too_much,
    Trouble.TOLD_LOST: _told_lost,
    Trouble.STORED_TWICE: _stored_twice,
    Trouble.HANDED_TWICE: _handed_twice,
    Trouble.OUT_OF_ORDER: _out_of_order,
    Trouble.BEHIND_TIME: _behind_time,
    Trouble.STRANGER: _stranger,
    Trouble.AFTER_LEAVING: _after_leaving,
    Trouble.NEVER_SENT: _never_sent,
    Trouble.REFUSED: _refused,
    Trouble.NEVER_ASKED: _never_asked,
    Trouble.TWO_IDS: _two_ids,
}
_KNOWN = AttemptAcknowledged | MessageReceived | RoomEntered
"""What tells that something stands in the history."""


def _missed(problem: Problem) -> str:
    answer = _the(AttemptAcknowledged, problem)
    return (
        f"{listed(list(problem.clients))} never received {_placed(problem)}, acknowledged to {named(answer.client)} at "
        f"{answer.at}."
    )


def _came_back(problem: Problem, sightings: Sightings, join: RoomEntered) -> str:
    """ "bob was disconnected at 39, came back at 57 and asked for what stands after 11-0"."""
    stretch = next(each for each in sightings.stretches if join in each.joins)
    cut = max((each.at for each in stretch.breaks if each.at < join.at), default=None)
    came = f"joined at {join.at}" if join is stretch.joins[0] else f"came back at {join.at}"
    gone = "" if cut is None else f"was disconnected at {cut}, "
    asked = "did not say how far it had followed" if join.after is None else f"asked for what stands after {join.after}"
    return f"{named(join.client)} {gone}{came}, {asked}"


def _the(kind: type[E], problem: Problem, *, last: bool = False) -> E:
    """The first event of a kind in what shows a problem; or the last."""
    found = [each for each in problem.evidence if isinstance(each, kind)]
    return found[-1 if last else 0]


def _at_most(count: int) -> str:
    return f"at most {counted(count, 'message')}" if count else "no message"


def _message(id_: str | None) -> str:
    return "a message without an id" if id_ is None else named(id_)


def _placed(problem: Problem) -> str:
    return f"{_message(problem.id)} (offset {problem.offset})"


def _seen_at(event: AttemptAcknowledged | MessageReceived) -> str:
    """ "12-0, as acknowledged to alice at 41"."""
    if isinstance(event, MessageReceived):
        return f"{event.offset}, where {named(event.client)} received it at {event.at}"
    return f"{event.offset}, as acknowledged to {named(event.client)} at {event.at}"
