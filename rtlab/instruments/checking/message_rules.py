"""The rules on what a message is: one place, one id, in order, and sent by somebody; and on who may get it.

What lives here: pure functions from sightings to problems, one for each guarantee. They must not know how problems are
told.

What one fault breaks in several ways is told once. So `untrue_messages` and `repeated_messages` are asked first, and
the others are given what those have told about.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from rtlab.chat.stores.protocols import position
from rtlab.instruments.checking.happenings import (
    AttemptAcknowledged,
    AttemptSent,
    ClientHappening,
    Happening,
    MessageReceived,
    RoomEntered,
)
from rtlab.instruments.checking.problems import Guarantee, Problem, Trouble
from rtlab.instruments.checking.sightings import BEGINNING, MessageSeen, Placing, RoomSeen, Sightings, Stretch

__all__ = ["misplaced_messages", "overheard_messages", "repeated_messages", "untrue_messages"]

_Pair = tuple[MessageReceived, MessageReceived, Stretch]
"""Two messages that a client got, in the order in which they came, and when it followed."""
_Knowing = AttemptAcknowledged | MessageReceived | RoomEntered
"""What tells that the history goes up to a place."""


def untrue_messages(sightings: Sightings) -> Iterator[Problem]:
    """What was received or acknowledged though nobody sent it, or though it was surely refused; and two messages in
    one place."""
    for room in sightings.rooms.values():
        false: set[str] = set()
        for message in room.messages.values():
            problem = _never_sent(room, message) or _refused(room, message)
            if problem is not None:
                false.add(message.id)
                yield problem
        for offset, ids in room.ids_at.items():
            if len(ids) > 1 and false.isdisjoint(ids):
                first, second = list(ids.values())[:2]
                yield _problem(
                    Guarantee.TRUE, Trouble.TWO_IDS, room, second.id, offset, (second.client,),
                    *_origin(room, first), *_origin(room, second), first, second,
                )  # fmt: skip


def repeated_messages(sightings: Sightings, told: set[tuple[str, str]]) -> Iterator[Problem]:
    """Messages with two places, and those that a client got twice.

    Args:
        sightings: of the history.
        told: the room and id of messages that another problem has told about.
    """
    for room in sightings.rooms.values():
        for message in room.messages.values():
            if len(message.placed) > 1 and len(message.owners) < 2 and (room.name, message.id) not in told:
                first, second = list(message.placed.values())[:2]
                times = Counter(each.client for each in message.receipts)
                clients = tuple(client for client, count in times.items() if count > 1)
                yield _problem(
                    Guarantee.ONCE, Trouble.STORED_TWICE, room, message.id, second.offset,
                    clients or (second.client,), *_origin(room, first), first, second,
                )  # fmt: skip
    yield from _handed_twice(sightings, told)


def misplaced_messages(sightings: Sightings, told: set[tuple[str, str]]) -> Iterator[Problem]:
    """Messages that stand before what was there already when they were sent, and those that came after later ones.

    Args:
        sightings: of the history.
        told: the room and id of messages that another problem has told about.
    """
    late = set(told)
    for problem in _behind_time(sightings, told):
        late.add((problem.room, problem.id or ""))
        yield problem
    yield from _out_of_order(sightings, late)


def overheard_messages(sightings: Sightings) -> Iterator[Problem]:
    """Messages that somebody got who was no member: one problem for each client and room."""
    heard: dict[tuple[str, str], list[MessageReceived]] = {}
    for each in sightings.leaks:
        heard.setdefault((each.client, each.room), []).append(each)
    for (client, name), receipts in heard.items():
        first = receipts[0]
        evidence = sightings.left_before(first)
        trouble = Trouble.AFTER_LEAVING if evidence else Trouble.STRANGER
        room = sightings.rooms[name]
        yield _problem(
            Guarantee.MEMBERS_ONLY, trouble, room, first.id, first.offset, (client,), *evidence, first,
            also=len(receipts) - 1,
        )  # fmt: skip


def _never_sent(room: RoomSeen, message: MessageSeen) -> Problem | None:
    sent_at = None if message.first_sent is None else message.first_sent.at
    strange: list[Placing] = []
    seen: list[Placing] = [*message.receipts, *message.acknowledged]
    for each in seen:
        from_before = isinstance(each, MessageReceived) and sent_at is None and room.is_old(each)
        if not from_before and (sent_at is None or each.at < sent_at):
            strange.append(each)
    if not strange:
        return None
    first = min(strange, key=_at)
    trouble = Trouble.NEVER_SENT if isinstance(first, MessageReceived) else Trouble.NEVER_ASKED
    return _problem(Guarantee.TRUE, trouble, room, message.id, first.offset, _clients(strange), first)


def _refused(room: RoomSeen, message: MessageSeen) -> Problem | None:
    refused = message.refused_first
    if not refused or not message.receipts:
        return None
    receipt = message.receipts[0]
    if len(refused) < len(message.attempts) and message.attempts[len(refused)].sent.at < receipt.at:
        return None  # that attempt may have stored it
    evidence = [event for each in refused if each.sent.at < receipt.at for event in (each.sent, each.refused) if event]
    return _problem(
        Guarantee.TRUE, Trouble.REFUSED, room, message.id, receipt.offset, _clients(message.receipts),
        *evidence, receipt,
    )  # fmt: skip


def _handed_twice(sightings: Sightings, told: set[tuple[str, str]]) -> Iterator[Problem]:
    """One problem for each set of clients that got the same messages twice."""
    again: dict[tuple[str, str], list[_Pair]] = {}
    before: dict[tuple[str, str], dict[str, MessageReceived]] = {}
    for stretch in sightings.stretches:
        seen: dict[str, MessageReceived] = {}
        after = stretch.joins[0].after
        old = before.setdefault((stretch.client, stretch.room), {})
        for receipt in stretch.receipts:
            first = seen.setdefault(receipt.offset, receipt)
            if after is not None and position(receipt.offset) <= position(after):
                first = old.get(receipt.offset, first)  # from before it left: it had asked for what came after that
            if first is not receipt and (receipt.room, receipt.id) not in told:
                again.setdefault((receipt.room, receipt.offset), []).append((first, receipt, stretch))
        old.update(seen)
    runs: dict[tuple[str, tuple[str, ...]], list[_Pair]] = {}
    for (name, _), pairs in again.items():
        runs.setdefault((name, tuple(dict.fromkeys(each[2].client for each in pairs))), []).append(pairs[0])
    for (name, clients), pairs in runs.items():
        first, second, stretch = pairs[0]
        room = sightings.rooms[name]
        yield _problem(
            Guarantee.ONCE, Trouble.HANDED_TWICE, room, first.id, first.offset, clients,
            stretch.joins[0], *_origin(room, first), first, second, also=len(pairs) - 1,
        )  # fmt: skip


def _behind_time(sightings: Sightings, told: set[tuple[str, str]]) -> Iterator[Problem]:
    """Messages that were sent when something later in the history was there already; one for each such thing."""
    for room in sightings.rooms.values():
        marks = _newest(room, sightings.stretches_in(room.name), told)
        behind: dict[int, list[tuple[AttemptSent, Placing, _Knowing]]] = {}
        for message in room.messages.values():
            if not message.is_one or len(message.placed) != 1 or (room.name, message.id) in told:
                continue
            sent = message.attempts[0].sent
            ((offset, shown),) = message.placed.items()
            newest = marks(sent.at)
            if newest is not None and position(newest.offset) >= room.positions[offset]:
                behind.setdefault(newest.at, []).append((sent, shown, newest))
        for cases in behind.values():
            sent, shown, known = cases[0]
            yield _problem(
                Guarantee.ORDERED, Trouble.BEHIND_TIME, room, sent.id, shown.offset, (sent.client,),
                *_origin(room, known), known, sent, shown, also=len(cases) - 1,
            )  # fmt: skip


def _newest(room: RoomSeen, stretches: list[Stretch], told: set[tuple[str, str]]) -> Callable[[int], _Knowing | None]:
    """A function that gives the event that had told of the latest place by a time."""
    knew: list[_Knowing] = []
    for message in room.messages.values():
        if message.may_exist and (room.name, message.id) not in told:
            knew += [*message.acknowledged, *message.receipts]
    for stretch in stretches:
        knew += stretch.joins
    times: list[int] = []
    marks: list[_Knowing] = []
    top = BEGINNING
    for event in sorted(knew, key=_at):
        place = position(event.offset)
        if place > top:
            times.append(event.at)
            marks.append(event)
            top = place

    def newest(at: int) -> _Knowing | None:
        found = bisect_left(times, at)
        return marks[found - 1] if found else None

    return newest


def _out_of_order(sightings: Sightings, told: set[tuple[str, str]]) -> Iterator[Problem]:
    """Messages that a client got after a later one: one problem for each such later one."""
    late: dict[tuple[str, str], list[_Pair]] = {}
    for stretch in sightings.stretches:
        room = sightings.rooms[stretch.room]
        seen: set[str] = set()
        top: MessageReceived | None = None
        for receipt in stretch.receipts:
            if receipt.offset in seen or (room.name, receipt.id) in told or not room.is_real(receipt):
                continue
            seen.add(receipt.offset)
            if top is None or room.positions[receipt.offset] > room.positions[top.offset]:
                top = receipt
            else:
                late.setdefault((room.name, top.offset), []).append((top, receipt, stretch))
    for (name, _), cases in late.items():
        top, receipt, stretch = cases[0]
        room = sightings.rooms[name]
        behind = {each[1].offset for each in cases}
        yield _problem(
            Guarantee.ORDERED, Trouble.OUT_OF_ORDER, room, receipt.id, receipt.offset,
            _clients(each[1] for each in cases),
            stretch.joins[0], *_origin(room, top), *_origin(room, receipt), top, receipt, also=len(behind) - 1,
        )  # fmt: skip


def _origin(room: RoomSeen, event: ClientHappening) -> list[Happening]:
    """The first attempt of the message that an event is about, if there is one."""
    id_ = getattr(event, "id", None)
    sent = None if id_ is None else room.messages[id_].first_sent
    return [] if sent is None else [sent]


def _clients(events: Iterable[ClientHappening]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.client for each in events))


def _at(event: Happening) -> int:
    return event.at


def _problem(
    guarantee: Guarantee, trouble: Trouble, room: RoomSeen, id_: str | None, offset: str | None,
    clients: tuple[str, ...], *evidence: Happening, also: int = 0,
) -> Problem:  # fmt: skip
    shown = sorted({each.at: each for each in evidence}.values(), key=_at)
    return Problem(
        guarantee=guarantee, trouble=trouble, room=room.name, clients=clients, id=id_, offset=offset,
        evidence=tuple(shown), began=shown[0].at, shown=shown[-1].at, also=also,
    )  # fmt: skip
