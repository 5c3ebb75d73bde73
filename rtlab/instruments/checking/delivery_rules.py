"""The rules on delivery: what was acknowledged comes to all who follow, live or when they come back.

What lives here: `missing_messages` and `false_losses`, pure functions from sightings to problems. They must not know
how problems are told.

A client has to get a message if the message stands after the place where its following began, and before the place up
to which it is known to have followed. Both are offsets: times would not do, for a message that is acknowledged now may
still be on its way to one who joins or leaves now.

- It begins where the page of the first join began, for a page is a stretch of the history without gaps; where there
  was no message in it, it begins where the page ended. Where the client asked with `after`, it begins there.
- It ends at the last message that came or the last page's end, whichever is later: what came after that may have been
  on its way. Where the client is settled, everything that was acknowledged before counts too, also what stands after
  the end of its last page: that page should have brought it.
- What the server said was lost does not count, if so many messages came after it that the server may have let it go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush
from itertools import islice

from rtlab.chat.stores.protocols import position
from rtlab.instruments.checking.happenings import (
    LATEST,
    AttemptAcknowledged,
    ClientHappening,
    MessageReceived,
    RoomEntered,
)
from rtlab.instruments.checking.problems import Guarantee, Problem, Trouble
from rtlab.instruments.checking.sightings import BEGINNING, MessageSeen, Position, RoomSeen, Sightings, Stretch

__all__ = ["Wanted", "expected", "false_losses", "missing_messages", "tally"]


@dataclass(frozen=True)
class Wanted:
    """A message that a client has to get."""

    message: MessageSeen
    answer: AttemptAcknowledged
    """The first that acknowledged it."""
    place: Position
    came: bool
    """Whether it did get it."""


@dataclass(frozen=True)
class _Miss:
    """A message that a client did not get."""

    stretch: Stretch
    wanted: Wanted
    trouble: Trouble
    join: RoomEntered | None
    """The return that should have brought it; None if it should have come live."""


@dataclass(frozen=True)
class _Return:
    """A join that had to bring all messages between two places."""

    join: RoomEntered
    low: Position
    high: Position


def expected(room: RoomSeen, stretch: Stretch) -> Iterator[Wanted]:
    """The acknowledged messages that a client has to get in a stretch, in the order of their offsets."""
    begin, end = _begin(room, stretch), _end(room, stretch)
    settled = stretch.settled.at if stretch.settled is not None else 0
    got = room.got.get(stretch.client, set())
    first = bisect_right(room.acknowledged, begin, key=lambda each: each[0])
    for place, answer in islice(room.acknowledged, first, None):
        if place > end and not settled:
            break
        if place > end and answer.at > settled:
            continue
        message = room.messages[answer.id]
        if stretch.client in message.senders and not room.echoes:
            continue  # the acknowledgement is all that its sender gets
        yield Wanted(message, answer, place, not got.isdisjoint(message.traces))


def missing_messages(sightings: Sightings, told: AbstractSet[tuple[str, str]] = frozenset()) -> Iterator[Problem]:
    """Acknowledged messages that somebody who followed did not get: one problem for a run of them that the same clients
    missed in the same way.

    Args:
        sightings: of the history.
        told: the room and id of messages that another problem has told about.
    """
    for room in sightings.rooms.values():
        misses: dict[str, list[_Miss]] = {}
        for stretch in sightings.stretches_in(room.name):
            lacking = [
                wanted
                for wanted in expected(room, stretch)
                if not wanted.came and (room.name, wanted.message.id) not in told
            ]
            for wanted, back in _with_returns(room, stretch, lacking) if lacking else ():
                trouble = Trouble.NEVER_CAME if back is None else _failure(room, back, wanted, sightings.history.bound)
                if trouble is not None:
                    miss = _Miss(stretch, wanted, trouble, None if back is None else back.join)
                    misses.setdefault(wanted.message.id, []).append(miss)
        runs: dict[object, list[list[_Miss]]] = {}
        for several in sorted(misses.values(), key=lambda each: each[0].wanted.place):
            several.sort(key=lambda each: each.join is not None)  # missed live first: that is the cause of the others
            alike = [(each.stretch.client, each.trouble, each.join and each.join.at) for each in several]
            runs.setdefault(tuple(sorted(alike, key=str)), []).append(several)
        proofs: dict[int, _Proofs] = {}
        for run in runs.values():
            stretch = run[0][0].stretch
            yield _missing(room, run[0], len(run) - 1, proofs.setdefault(id(stretch), _Proofs(room, stretch)))


def false_losses(sightings: Sightings, told: set[int]) -> Iterator[Problem]:
    """Losses that a server told, although no more messages had come than it keeps.

    Args:
        sightings: of the history.
        told: the times of joins that another problem has told about.
    """
    for stretch in sightings.stretches:
        room = sightings.rooms[stretch.room]
        for join in stretch.joins:
            if not join.lost or join.at in told:
                continue
            low = BEGINNING if join.after is None else position(join.after)
            if room.most_between(low, position(join.offset), join.at) > sightings.history.bound:
                continue
            yield Problem(
                guarantee=Guarantee.KEPT, trouble=Trouble.TOLD_LOST, room=room.name, clients=(stretch.client,),
                evidence=(join,), began=stretch.joins[0].at, shown=join.at,
            )  # fmt: skip


def tally(sightings: Sightings) -> tuple[int, int]:
    """How often an acknowledged message came to somebody who followed, and how often the server said rightly that it is
    gone."""
    came = gone = 0
    for stretch in sightings.stretches:
        room = sightings.rooms[stretch.room]
        wanted = list(expected(room, stretch))
        lacking = [each for each in wanted if not each.came]
        came += len(wanted) - len(lacking)
        for each, back in _with_returns(room, stretch, lacking) if lacking else ():
            gone += back is not None and _failure(room, back, each, sightings.history.bound) is None
    return came, gone


def _begin(room: RoomSeen, stretch: Stretch) -> Position:
    """Where the following began."""
    first = stretch.joins[0]
    if first.after is not None:
        return position(first.after)
    firsts = [each.at for each in (*stretch.breaks[:1], *stretch.joins[1:2])]
    until = min(firsts, default=LATEST)  # what pages bring later belongs to a return
    paged = (each for each in stretch.receipts if each.at < until and not each.live and room.is_real(each))
    return min([position(first.offset), *(room.positions[each.offset] for each in paged)])


def _end(room: RoomSeen, stretch: Stretch) -> Position:
    """Up to where it is known to have gone."""
    ends = [position(each.offset) for each in stretch.joins]
    ends += [room.positions[each.offset] for each in stretch.receipts if room.is_real(each)]
    if stretch.settled is not None:
        ends.append(position(stretch.settled.offset))
    return max(ends)


def _returns(room: RoomSeen, stretch: Stretch) -> list[_Return]:
    """The joins that had to bring something: all that said after what, and those with which the client came back."""
    found = []
    for number, join in enumerate(stretch.joins):
        if join.after is not None:
            found.append(_Return(join, position(join.after), position(join.offset)))
        elif number:
            before = (room.positions[each.offset] for each in stretch.receipts if each.at < join.at and each.live)
            found.append(_Return(join, max([_begin(room, stretch), *before]), position(join.offset)))
    return found


def _with_returns(room: RoomSeen, stretch: Stretch, lacking: list[Wanted]) -> Iterator[tuple[Wanted, _Return | None]]:
    """For each message, in the order of their offsets, the first return that had to bring it."""
    coming = sorted(enumerate(_returns(room, stretch)), key=lambda each: each[1].low, reverse=True)
    open_: list[tuple[int, _Return]] = []
    for wanted in lacking:
        while coming and coming[-1][1].low < wanted.place:
            heappush(open_, coming.pop())
        while open_ and open_[0][1].high < wanted.place:
            heappop(open_)
        yield wanted, open_[0][1] if open_ else None


def _failure(room: RoomSeen, back: _Return, wanted: Wanted, bound: int) -> Trouble | None:
    """How a return failed to bring a message; None if the server said rightly that it is gone."""
    if not back.join.lost:
        return Trouble.NOT_BROUGHT
    newer = room.most_between(wanted.place, back.high, back.join.at)
    return Trouble.TOLD_TOO_MUCH if newer < bound else None


def _missing(room: RoomSeen, several: list[_Miss], also: int, proofs: _Proofs) -> Problem:
    """The problem of a message that several clients missed. It is told of the first of them."""
    miss = several[0]
    stretch, wanted = miss.stretch, miss.wanted
    sent = wanted.message.attempts[0].sent
    began = sent.at
    evidence: list[ClientHappening] = [stretch.joins[0], sent, wanted.answer]
    proof: ClientHappening
    if miss.join is None:
        proof = proofs.of(wanted)
        evidence += [proof, *proofs.beside(wanted, proof)]
    else:
        proof = miss.join
        evidence.append(proof)
        cut = bisect_left(stretch.breaks, proof.at, key=lambda each: each.at)
        began = min(began, stretch.breaks[cut - 1].at) if cut else began
    return Problem(
        guarantee=Guarantee.KEPT if miss.join is None else Guarantee.RESUMED,
        trouble=miss.trouble,
        room=stretch.room,
        clients=tuple(dict.fromkeys(each.stretch.client for each in several)),
        id=wanted.message.id,
        offset=wanted.answer.offset,
        evidence=tuple(sorted({each.at: each for each in evidence}.values(), key=lambda each: each.at)),
        proof=proof,
        began=began,
        shown=max(proof.at, wanted.answer.at),
        also=also,
    )


class _Proofs:
    """What shows of a stretch that the client had gone beyond a place.

    Args:
        room: of the stretch.
        stretch: what a client followed.
    """

    def __init__(self, room: RoomSeen, stretch: Stretch) -> None:
        self._room = room
        self._stretch = stretch

    @cached_property
    def _beyond(self) -> tuple[list[Position], list[ClientHappening]]:
        """Places, and for each the first event that told of it or of a later one."""
        told: list[tuple[Position, ClientHappening]] = [
            (self._room.positions[each.offset], each) for each in self._stretch.receipts if self._room.is_real(each)
        ]
        told += [(position(each.offset), each) for each in self._stretch.joins]
        if self._stretch.settled is not None:
            told.append((position(self._stretch.settled.offset), self._stretch.settled))
        told.sort(key=lambda each: each[0])
        firsts = [event for _, event in told]
        for number in reversed(range(len(firsts) - 1)):
            firsts[number] = min(firsts[number : number + 2], key=lambda each: each.at)
        return [place for place, _ in told], firsts

    def of(self, wanted: Wanted) -> ClientHappening:
        """The first event that shows that a message should have come before it."""
        places, firsts = self._beyond
        found = bisect_left(places, wanted.place)
        if found < len(firsts):
            return firsts[found]
        assert self._stretch.settled is not None  # or the message would not be expected
        return self._stretch.settled

    def beside(self, wanted: Wanted, proof: ClientHappening) -> Iterator[ClientHappening]:
        """What is needed for the proof to hold: that its own message was sent, that the first page began before the
        message, and that the server gives messages to their senders too."""
        room, stretch = self._room, self._stretch
        shown: list[MessageReceived] = [proof] if isinstance(proof, MessageReceived) else []
        if wanted.place <= position(stretch.joins[0].offset):
            before = (each for each in stretch.receipts if room.positions[each.offset] < wanted.place)
            shown += islice(before, 1)
        if stretch.client in wanted.message.senders:
            mine = (each for each in stretch.receipts if each.id and each.client in room.messages[each.id].senders)
            shown += islice((each for each in mine if each.live), 1)
        for each in shown:
            yield each
            if each.id is not None and room.messages[each.id].first_sent is not None:
                yield room.messages[each.id].attempts[0].sent
