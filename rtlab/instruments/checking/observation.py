"""Whether enough was observed: what a history lacks for a verdict, and what was looked at where nothing is wrong.

What lives here: `missing` and `looked_at`, pure functions from sightings to sentences. They must not know problems.

A checker that says "pass" where nobody looked is worth nothing. So each thing without which a loss could not have been
seen makes the verdict "unknown".
"""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.chat.stores.protocols import position
from rtlab.instruments.checking.delivery_rules import expected, tally
from rtlab.instruments.checking.problems import Guarantee
from rtlab.instruments.checking.sightings import MessageSeen, RoomSeen, Sightings, Stretch
from rtlab.instruments.checking.wording import counted, listed, named

__all__ = ["looked_at", "missing"]

Lack = tuple[Guarantee, str]
"""What was not observed, and for which guarantee it would have been needed."""


def missing(sightings: Sightings) -> Iterator[Lack]:
    """What was not observed, and for which guarantee it would have been needed."""
    dropped = sightings.history.dropped
    if dropped:
        yield Guarantee.KEPT, f"The recorder was full: it did not keep {counted(dropped, 'later event')}."
    rooms = [each for each in sightings.rooms.values() if each.acknowledged]
    if not rooms:
        yield Guarantee.KEPT, "No message was acknowledged, so none could be lost: send some."
    for room in rooms:
        yield from _unfollowed(sightings, room)
        yield from _unsettled(sightings, room)
    for stretch in sightings.stretches:
        if stretch.unsure:
            yield Guarantee.MEMBERS_ONLY, _unsure(stretch)
    for room in sightings.rooms.values():
        for message in room.messages.values():
            if len(message.owners) > 1:
                story = (
                    f"{listed(sorted(message.owners))} have each sent a message with the id {named(message.id)} in the "
                    f"room {named(room.name)}, and nobody can tell them apart. Give ids that no other user gives."
                )
                yield Guarantee.TRUE, story


def _unfollowed(sightings: Sightings, room: RoomSeen) -> Iterator[Lack]:
    for stretch in sightings.stretches_in(room.name):
        if any(stretch.client not in each.message.senders for each in expected(room, stretch)):
            return
    story = (
        f"Nobody but the senders followed the room {named(room.name)} while messages were acknowledged. Let a second "
        "client join it first."
    )
    yield Guarantee.KEPT, story


def _unsettled(sightings: Sightings, room: RoomSeen) -> Iterator[Lack]:
    """Clients that follow a room to the end, of whom it is not known whether they got the last messages."""
    last_place, last_answer = room.acknowledged[-1][0], max(answer.at for _, answer in room.acknowledged)
    following = [each for each in sightings.stretches_in(room.name) if each.ended is None]
    open_, early = [], []
    for stretch in following:
        if stretch.settled is None:
            open_.append(stretch.client)
        elif stretch.settled.at < last_answer and position(stretch.settled.offset) < last_place:
            early.append(stretch.client)
    if open_:
        story = (
            f"Nobody looked whether {listed(open_)} got the last messages of the room {named(room.name)}. When "
            "nothing is on its way any more, let each ask for a last page, and record `settled`."
        )
        yield Guarantee.KEPT, story
    if early:
        story = (
            f"The observation of {listed(early)} in the room {named(room.name)} ended before the last message was "
            "acknowledged. Record `settled` when nothing is on its way any more."
        )
        yield Guarantee.KEPT, story


def _unsure(stretch: Stretch) -> str:
    first = stretch.unsure[0]
    return (
        f"{named(stretch.client)} received {named(first.id or 'a message')} live at {first.at}, before its join was "
        f"answered at {stretch.joins[0].at}. Nobody knows whether it was a member by then: record `joining` when a "
        "client asks."
    )


def looked_at(guarantee: Guarantee, sightings: Sightings) -> str:
    """What was looked at, for a guarantee that holds."""
    match guarantee:
        case Guarantee.KEPT:
            return _kept(sightings)
        case Guarantee.ONCE:
            again = sum(len(message.attempts) > 1 for message in _messages(sightings))
            return (
                "Each message has one place, and each client got it once. "
                f"{counted(again, 'message')} left in more than one attempt."
            )
        case Guarantee.ORDERED:
            count = sum(len(each.receipts) for each in sightings.stretches)
            return f"Messages came in the order of their offsets, {counted(count, 'time')}."
        case Guarantee.MEMBERS_ONLY:
            return "Each client got messages only of the rooms that it was in."
        case Guarantee.RESUMED:
            return _resumed(sightings)
        case Guarantee.TRUE:
            refused = sum(bool(each.attempts) and not each.may_exist for each in _messages(sightings))
            return (
                "Each message that came had been sent. "
                f"{counted(refused, 'message was', 'messages were')} refused for sure, and did not come."
            )


def _kept(sightings: Sightings) -> str:
    acknowledged = sum(len(room.acknowledged) for room in sightings.rooms.values())
    came, gone = tally(sightings)
    old = f" Too old to be kept, and said to be gone: {counted(gone, 'time')}." if gone else ""
    return (
        f"{counted(acknowledged, 'message was', 'messages were')} acknowledged, and came {counted(came, 'time')} to "
        f"those who followed.{old}"
    )


def _resumed(sightings: Sightings) -> str:
    backs = [join for each in sightings.stretches for join in each.joins if join.after or join is not each.joins[0]]
    if not backs:
        return "Nobody came back, so no return was looked at."
    told = sum(each.lost for each in backs)
    lost = f", {counted(told, 'time')} of them with messages rightly said to be gone" if told else ""
    return f"Clients came back {counted(len(backs), 'time')}{lost}, and missed nothing."


def _messages(sightings: Sightings) -> Iterator[MessageSeen]:
    return (message for room in sightings.rooms.values() for message in room.messages.values())
