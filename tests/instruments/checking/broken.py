"""Faults put into a clean history, one of each kind: each is a function that gives the history with the fault in it, or
None where this history has no place for it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rtlab.chat.stores.protocols import position
from rtlab.instruments.checking.happenings import (
    AttemptAcknowledged,
    AttemptRefused,
    AttemptSent,
    ClientHappening,
    ClientSettled,
    Happening,
    MessageReceived,
    RoomEntered,
    RoomLeft,
)
from rtlab.instruments.checking.history import ObservedHistory
from rtlab.instruments.checking.problems import Guarantee, Trouble

Breaking = Callable[["Broken"], Sequence[Happening] | None]
LATE = "99999999-0"


class Broken:
    """A clean history, and what a fault needs to know of it. None of it is the checker's.

    Args:
        history: the clean one.
        rng: chooses where the fault goes.
    """

    def __init__(self, history: ObservedHistory, rng: random.Random) -> None:
        self.events = list(history)
        self.bound = history.bound
        self.rng = rng
        self.acknowledged = {(each.room, each.id): each for each in self.of(AttemptAcknowledged)}
        self.senders = {(each.room, each.id): each.client for each in self.of(AttemptSent)}
        self.settled = {(each.client, each.room): each for each in self.of(ClientSettled)}

    def of(self, kind: type) -> list:
        return [each for each in self.events if isinstance(each, kind)]

    def one(self, found: Iterable) -> object | None:
        found = list(found)
        return self.rng.choice(found) if found else None

    def followed_to_the_end(self, event: ClientHappening) -> bool:
        """Whether this client never left the room after this."""
        left = [each.at for each in self.of(RoomLeft) if (each.client, each.room) == (event.client, event.room)]
        return (event.client, event.room) in self.settled and max(left, default=0) < event.at

    def received(self, *, live: bool) -> list[MessageReceived]:
        """Acknowledged messages of somebody else, got by a client that followed to the end."""
        return [
            each
            for each in self.of(MessageReceived)
            if each.live is live
            and (each.room, each.id) in self.acknowledged
            and self.senders[each.room, each.id] != each.client
            and self.followed_to_the_end(each)
        ]

    def brought(self) -> list[tuple[RoomEntered, MessageReceived]]:
        """What returns brought that were not told of a loss, and that the server still has to have."""
        pairs = []
        for join in self.of(RoomEntered):
            if join.after is None or join.lost or not self.followed_to_the_end(join):
                continue
            for each in self.received(live=False):
                same = (each.client, each.room) == (join.client, join.room)
                if same and position(join.after) < position(each.offset) <= position(join.offset):
                    pairs.append((join, each))
        return pairs

    def without(self, *gone: Happening) -> list[Happening]:
        return [each for each in self.events if each not in gone]

    def with_(self, *pairs: tuple[Happening, Happening]) -> list[Happening]:
        """The events, each first of a pair replaced by its second."""
        others = {old.at: new for old, new in pairs}
        return [others.get(each.at, each) for each in self.events]

    def after(self, event: Happening, *more: Happening) -> list[Happening]:
        """The events with more of them after one."""
        place = self.events.index(event) + 1
        return [*self.events[:place], *more, *self.events[place:]]

    def before_settling(self, room: str, *more: Happening) -> list[Happening]:
        place = min(self.events.index(each) for each in self.of(ClientSettled) if each.room == room)
        return [*self.events[:place], *more, *self.events[place:]]


def lost_live(broken: Broken):
    receipt = broken.one(broken.received(live=True))
    return receipt and broken.without(receipt)


def lost_for_all(broken: Broken):
    receipt = broken.one(broken.received(live=True))
    if receipt is None or broken.one(e for e in broken.of(RoomLeft)):
        return None
    gone = [
        each
        for each in broken.of(MessageReceived)
        if (each.room, each.id) == (receipt.room, receipt.id) and each.client != broken.senders[each.room, each.id]
    ]
    return broken.without(*gone) if all(each.live for each in gone) else None


def lost_tail(broken: Broken):
    """The store has forgotten the last message: no page of the end has it."""
    acknowledged = [each for each in broken.of(AttemptAcknowledged) if each.room == "lobby"]
    last = max(acknowledged, key=lambda each: position(each.offset), default=None)
    settled = [each for each in broken.settled.values() if each.room == "lobby" and last and each.client != last.client]
    places = [position(each.offset) for each in broken.of(MessageReceived) if each.room == "lobby"]
    if broken.bound < 50 or last is None or not settled or max(places, default=(0, 0)) > position(last.offset):
        return None
    joins = [each for each in broken.of(RoomEntered) if each.room == "lobby"]
    if any(position(each.offset) > position(last.offset) for each in joins):
        return None
    gone = [each for each in broken.of(MessageReceived) if each.offset == last.offset and each.room == "lobby"]
    if not any(broken.followed_to_the_end(each) and each.client != broken.senders["lobby", last.id] for each in gone):
        return None
    lower = f"{position(last.offset)[0] - 50}-0"
    # whoever had it in a page of a return is told of an earlier end
    pairs = [(each, replace(each, offset=lower)) for each in joins if each.offset == last.offset]
    pairs += [(each, replace(each, after=lower)) for each in joins if each.after == last.offset]
    changed = {}
    for old, new in pairs:
        before = changed.get(old.at, old)
        changed[old.at] = (
            replace(before, offset=new.offset) if new.offset != old.offset else replace(before, after=new.after)
        )
    settles = {each.at: replace(each, offset=lower) for each in broken.of(ClientSettled) if each.room == "lobby"}
    return [{**changed, **settles}.get(each.at, each) for each in broken.events if each not in gone]


def gap_on_resume(broken: Broken):
    pair = broken.one(broken.brought())
    return pair and broken.without(pair[1])


def told_too_much(broken: Broken):
    pair = broken.one(broken.brought())
    if pair is None or broken.bound < 50:
        return None
    join, receipt = pair
    return [each for each in broken.with_((join, replace(join, lost=True, complete=False))) if each is not receipt]


def forgot_where(broken: Broken):
    """The client comes back without saying up to where it had followed, and a page is not enough."""
    pair = broken.one(broken.brought())
    if pair is None:
        return None
    join, receipt = pair
    moves = [e for e in broken.of(RoomEntered) + broken.of(RoomLeft) if (e.client, e.room) == (join.client, join.room)]
    before = [each for each in moves if each.at < join.at]
    if not before or isinstance(max(before, key=lambda each: each.at), RoomLeft):
        return None  # it came anew
    return [each for each in broken.with_((join, replace(join, after=None))) if each is not receipt]


def told_loss_that_is_none(broken: Broken):
    joins = [each for each in broken.of(RoomEntered) if each.after is not None and not each.lost]
    join = broken.one(joins)
    if join is None or broken.bound < 50:
        return None
    return broken.with_((join, replace(join, lost=True, complete=False)))


def stored_twice(broken: Broken):
    receipt = broken.one(broken.received(live=True))
    return receipt and broken.before_settling(receipt.room, replace(receipt, offset=LATE))


def acknowledged_twice(broken: Broken):
    answer = broken.one(broken.of(AttemptAcknowledged))
    return answer and broken.after(answer, replace(answer, offset=LATE))


def handed_twice(broken: Broken):
    receipt = broken.one(each for each in broken.received(live=True) if broken.followed_to_the_end(each))
    return receipt and broken.after(receipt, receipt)


def handed_twice_later(broken: Broken):
    receipt = broken.one(each for each in broken.received(live=True) if broken.followed_to_the_end(each))
    return receipt and broken.before_settling(receipt.room, receipt)


def reordered(broken: Broken):
    """Two messages that follow each other at one client change places."""
    for first in broken.rng.sample(broken.received(live=True), len(broken.received(live=True))):
        later = [
            each
            for each in broken.events
            if isinstance(each, ClientHappening)
            and each.at > first.at
            and (each.client, each.room) == (first.client, first.room)
        ]
        later = [each for each in later if isinstance(each, MessageReceived | RoomLeft | RoomEntered)]
        sent = {(each.room, each.id): each.at for each in broken.of(AttemptSent)}
        if later and isinstance(later[0], MessageReceived) and sent[later[0].room, later[0].id] < first.at:
            return broken.with_((first, later[0]), (later[0], first))
    return None


def stale_order(broken: Broken):
    """What is sent last is stored before what everybody has already."""
    room = broken.one(each.room for each in broken.acknowledged.values())
    if room is None or not any(each.room == room for each in broken.settled.values()):
        return None
    answer = broken.one(each for each in broken.acknowledged.values() if each.room == room)
    offset = f"{position(answer.offset)[0] - 1}-0"
    sent = AttemptSent(at=1, client="zoe", room=room, id="z-1")
    told = AttemptAcknowledged(at=1, client="zoe", room=room, id="z-1", offset=offset)
    return broken.before_settling(room, sent, told)


def stranger_hears(broken: Broken):
    receipt = broken.one(broken.received(live=True))
    return receipt and broken.after(receipt, replace(receipt, client="mallory", user=""))


def hears_after_leaving(broken: Broken):
    left = broken.one(broken.of(RoomLeft))
    receipt = left and broken.one(
        each for each in broken.of(MessageReceived) if each.room == left.room and each.at < left.at
    )
    return receipt and broken.after(left, replace(receipt, client=left.client, user=left.user, live=True))


def phantom(broken: Broken):
    receipt = broken.one(broken.received(live=True))
    if receipt is None:
        return None
    offset = f"{position(receipt.offset)[0] + 1}-0"
    return broken.after(receipt, replace(receipt, id="ghost", offset=offset))


def refused_and_delivered(broken: Broken):
    receipt = broken.one(broken.received(live=True))
    if receipt is None:
        return None
    offset = f"{position(receipt.offset)[0] + 1}-0"
    sent = AttemptSent(at=1, client="zoe", room=receipt.room, id="z-1")
    refused = AttemptRefused(at=1, client="zoe", room=receipt.room, id="z-1", code="not_a_member")
    came = replace(receipt, id="z-1", offset=offset)
    order = broken.rng.choice([(sent, refused, came), (sent, came, refused)])
    return broken.after(receipt, *order)


def acknowledged_unsent(broken: Broken):
    answer = broken.one(broken.of(AttemptAcknowledged))
    return answer and broken.after(answer, replace(answer, id="ghost", offset=LATE))


def two_ids(broken: Broken):
    receipt = broken.one(broken.received(live=True))
    other = receipt and broken.one(
        each
        for each in broken.of(AttemptSent)
        if each.room == receipt.room
        and each.id != receipt.id
        and each.at < receipt.at
        and (each.room, each.id) in broken.acknowledged
        and (each.room, each.id) not in {(refused.room, refused.id) for refused in broken.of(AttemptRefused)}
    )
    return other and broken.with_((receipt, replace(receipt, id=other.id)))


@dataclass(frozen=True)
class Fault:
    """A kind of fault, and how it has to be judged."""

    breaking: Callable
    guarantee: Guarantee
    trouble: Trouble


FAULTS = [
    Fault(lost_live, Guarantee.KEPT, Trouble.NEVER_CAME),
    Fault(lost_for_all, Guarantee.KEPT, Trouble.NEVER_CAME),
    Fault(lost_tail, Guarantee.KEPT, Trouble.NEVER_CAME),
    Fault(gap_on_resume, Guarantee.RESUMED, Trouble.NOT_BROUGHT),
    Fault(told_too_much, Guarantee.RESUMED, Trouble.TOLD_TOO_MUCH),
    Fault(forgot_where, Guarantee.RESUMED, Trouble.NOT_BROUGHT),
    Fault(told_loss_that_is_none, Guarantee.KEPT, Trouble.TOLD_LOST),
    Fault(stored_twice, Guarantee.ONCE, Trouble.STORED_TWICE),
    Fault(acknowledged_twice, Guarantee.ONCE, Trouble.STORED_TWICE),
    Fault(handed_twice, Guarantee.ONCE, Trouble.HANDED_TWICE),
    Fault(handed_twice_later, Guarantee.ONCE, Trouble.HANDED_TWICE),
    Fault(reordered, Guarantee.ORDERED, Trouble.OUT_OF_ORDER),
    Fault(stale_order, Guarantee.ORDERED, Trouble.BEHIND_TIME),
    Fault(stranger_hears, Guarantee.MEMBERS_ONLY, Trouble.STRANGER),
    Fault(hears_after_leaving, Guarantee.MEMBERS_ONLY, Trouble.AFTER_LEAVING),
    Fault(phantom, Guarantee.TRUE, Trouble.NEVER_SENT),
    Fault(refused_and_delivered, Guarantee.TRUE, Trouble.REFUSED),
    Fault(acknowledged_unsent, Guarantee.TRUE, Trouble.NEVER_ASKED),
    Fault(two_ids, Guarantee.TRUE, Trouble.TWO_IDS),
]
"""Every kind of fault."""


def break_(history: ObservedHistory, fault: Fault, seed: int) -> ObservedHistory | None:
    """The history with a fault in it; None where it has no place for it."""
    events = fault.breaking(Broken(history, random.Random(seed)))
    if not events:
        return None
    return history.of(replace(each, at=at) for at, each in enumerate(events, 1))
