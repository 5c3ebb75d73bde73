"""What a history says about each message and each client, put together in one pass.

What lives here: `Sightings` with its parts. They must not know what a server promises: the rules beside this module
(`delivery_rules`, `message_rules`) compare what is here with that.

A *stretch* is what a client followed of a room: from a join on, over any number of interruptions from which it came
back, to a leave or to the end of the history.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from rtlab.chat.stores.protocols import position
from rtlab.instruments.checking.happenings import (
    AskedToJoin,
    AttemptAcknowledged,
    AttemptRefused,
    AttemptSent,
    AttemptUnanswered,
    ClientDisconnected,
    ClientHappening,
    ClientSettled,
    FaultSeen,
    Happening,
    MessageReceived,
    RoomEntered,
    RoomLeft,
    is_definite,
)
from rtlab.instruments.checking.history import ObservedHistory

__all__ = ["BEGINNING", "Attempt", "MessageSeen", "Placing", "Position", "RoomSeen", "Sightings", "Stretch"]

Placing = AttemptAcknowledged | MessageReceived
"""What says that a message stands in a place."""
Position = tuple[int, int]
"""An offset as what can be compared."""
BEGINNING: Position = (-1, -1)
"""Before every offset."""


@dataclass(slots=True)
class Attempt:
    """One attempt to send a message."""

    sent: AttemptSent
    refused: AttemptRefused | None = None
    """Set where the server has said that this attempt surely did nothing."""


@dataclass(slots=True)
class MessageSeen:
    """A message with an id: all that was seen of it in its room."""

    id: str
    attempts: list[Attempt] = field(default_factory=list)
    acknowledged: list[AttemptAcknowledged] = field(default_factory=list)
    receipts: list[MessageReceived] = field(default_factory=list)
    placed: dict[str, Placing] = field(default_factory=dict)
    """Where it stands in the history, and who said so first. One place, if all is well."""
    senders: set[str] = field(default_factory=set)
    """The clients that have sent it."""
    owners: set[str] = field(default_factory=set)
    """Whose clients these are. One user's, if ids are what they have to be."""
    under_way: dict[str, Attempt] = field(default_factory=dict)
    """For each client the attempt that is not answered yet."""

    @property
    def first_sent(self) -> AttemptSent | None:
        """Its first attempt."""
        return self.attempts[0].sent if self.attempts else None

    @property
    def is_one(self) -> bool:
        """Whether it was sent, by one user: otherwise the id says nothing."""
        return len(self.owners) == 1

    @property
    def traces(self) -> set[str]:
        """What shows that a client has it: its id, or the places where it stands, as in `RoomSeen.got`."""
        return {_key(self.id), *self.placed}

    @property
    def may_exist(self) -> bool:
        """Whether the server may have stored it, as far as attempts and their answers tell."""
        return any(each.refused is None for each in self.attempts)

    @property
    def refused_first(self) -> list[Attempt]:
        """The attempts up to the first that was not refused for sure."""
        return list(takewhile(lambda each: each.refused is not None, self.attempts))


@dataclass(slots=True)
class Stretch:
    """What a client followed of a room, from a join to a leave."""

    client: str
    room: str
    joins: list[RoomEntered]
    """The join that began it, and each one with which the client came back."""
    receipts: list[MessageReceived]
    breaks: list[ClientDisconnected] = field(default_factory=list)
    ended: RoomLeft | None = None
    """None if it followed to the end of the history."""
    settled: ClientSettled | None = None
    """None if nobody has looked whether all had come."""
    unsure: list[MessageReceived] = field(default_factory=list)
    """Live messages from before the answer to the first join, where it is not known when the client asked."""


class RoomSeen:
    """A room: its messages, and who got what."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.messages: dict[str, MessageSeen] = {}
        """By id."""
        self.ids_at: dict[str, dict[str, Placing]] = {}
        """For each offset the ids that were seen there, and who said so first. One, if all is well."""
        self.positions: dict[str, Position] = {}
        """Of each offset that a message was seen at."""
        self.got: dict[str, set[str]] = {}
        """For each client the offsets and ids that were handed to it."""
        self.own: list[MessageReceived] = []
        """Live messages that a member got of its own."""
        self.first_sent_at: int | None = None
        self.old_end: Position = BEGINNING
        """Up to here the room's messages are from before the history: pages brought them before anybody sent any."""

    def message(self, id: str) -> MessageSeen:  # noqa: A002 - as the field is called
        """What was seen of a message up to now."""
        found = self.messages.get(id)
        if found is None:
            found = self.messages[id] = MessageSeen(id)
        return found

    def is_old(self, receipt: MessageReceived) -> bool:
        """Whether a message is from before the history."""
        if self.positions[receipt.offset] <= self.old_end:
            return True
        return not receipt.live and (self.first_sent_at is None or receipt.at < self.first_sent_at)

    def is_real(self, receipt: MessageReceived) -> bool:
        """Whether a message may be one that somebody sent, as far as its id tells."""
        return receipt.id is None or self.messages[receipt.id].may_exist or self.is_old(receipt)

    def most_between(self, low: Position, high: Position, at: int) -> int:
        """How many messages the server may have stored after `low`, up to `high`, before the time `at`: those that were
        seen there, and those that were sent, not surely refused, and seen nowhere."""
        places = self._places
        seen = bisect_right(places, high) - bisect_right(places, low)
        return seen + bisect_left(self._unplaced, at)

    @cached_property
    def echoes(self) -> bool:
        """Whether the server gives a live message to its sender too: it did so once, and with the right id."""
        return any(len(self.ids_at[each.offset]) == 1 for each in self.own)

    @cached_property
    def acknowledged(self) -> list[tuple[Position, AttemptAcknowledged]]:
        """Where each acknowledged message stands, and the first that said so, in that order."""
        told = (each.acknowledged[0] for each in self.messages.values() if each.acknowledged and each.is_one)
        return sorted(((self.positions[each.offset], each) for each in told), key=lambda pair: pair[0])

    @cached_property
    def _places(self) -> list[Position]:
        return sorted(set(self.positions.values()))

    @cached_property
    def _unplaced(self) -> list[int]:
        messages = self.messages.values()
        return sorted(each.attempts[0].sent.at for each in messages if not each.placed and each.may_exist)


class Sightings:
    """A whole history, put together.

    Args:
        history: what was seen.
    """

    def __init__(self, history: ObservedHistory) -> None:
        self.history = history
        self.rooms: dict[str, RoomSeen] = {}
        self.faults: list[FaultSeen] = []
        self.stretches: list[Stretch] = []
        """In the order in which they began."""
        self._by_room: dict[str, list[Stretch]] = {}
        self.leaks: list[MessageReceived] = []
        """Messages that were handed to a client that was no member."""
        self._seats: dict[tuple[str, str], _Seat] = {}
        for event in history:
            if isinstance(event, FaultSeen):
                self.faults.append(event)
            elif isinstance(event, ClientHappening):
                self._see(event)
        for seat in self._seats.values():
            self._end(seat)
        self.leaks.sort(key=_at)

    def stretches_in(self, room: str) -> list[Stretch]:
        """What clients followed of a room."""
        return self._by_room.get(room, [])

    def left_before(self, receipt: MessageReceived) -> list[ClientHappening]:
        """The last leave of this client in this room before it got a message, and before that the join that it ended,
        if there was one; nothing if it had never left."""
        seat = self._seats[receipt.client, receipt.room]
        return next((each for each in reversed(seat.left) if each[-1].at < receipt.at), [])

    def _see(self, event: ClientHappening) -> None:
        room = self.rooms.get(event.room)
        if room is None:
            room = self.rooms[event.room] = RoomSeen(event.room)
        seat = self._seats.get((event.client, event.room))
        if seat is None:
            seat = self._seats[event.client, event.room] = _Seat()
        match event:
            case AttemptSent():
                _sent(room, event)
            case AttemptAcknowledged():
                message = room.message(event.id)
                message.acknowledged.append(event)
                _answered(message, event.client)
                _placed(room, message, event)
            case AttemptRefused():
                _answered(room.message(event.id), event.client, event if is_definite(event.code) else None)
            case AttemptUnanswered():
                _answered(room.message(event.id), event.client)
            case MessageReceived():
                self._received(room, seat, event)
            case _:
                self._moved(seat, event)

    def _received(self, room: RoomSeen, seat: _Seat, event: MessageReceived) -> None:
        room.positions.setdefault(event.offset, position(event.offset))
        room.got.setdefault(event.client, set()).add(event.offset)
        if event.id is not None:
            message = room.message(event.id)
            message.receipts.append(event)
            _placed(room, message, event)
            room.got[event.client].add(_key(event.id))
        if room.first_sent_at is None and not event.live:
            room.old_end = max(room.old_end, room.positions[event.offset])
        if seat.stretch is not None:
            seat.stretch.receipts.append(event)
            if event.live and event.id is not None and event.client in room.messages[event.id].senders:
                room.own.append(event)
        else:
            (seat.waiting if seat.asked else seat.early).append(event)

    def _moved(self, seat: _Seat, event: ClientHappening) -> None:
        stretch = seat.stretch
        match event:
            case AskedToJoin():
                if stretch is None and not seat.asked:
                    self.leaks += seat.early
                    seat.early = []
                    seat.asked = True
            case RoomEntered() if stretch is not None:
                stretch.joins.append(event)
            case RoomEntered():
                unsure = [each for each in seat.early if each.live]
                seat.stretch = Stretch(event.client, event.room, [event], [*seat.early, *seat.waiting], unsure=unsure)
                self.stretches.append(seat.stretch)
                self._by_room.setdefault(event.room, []).append(seat.stretch)
                seat.early, seat.waiting, seat.asked = [], [], False
            case RoomLeft():
                if stretch is not None:
                    stretch.ended, seat.stretch = event, None
                self._end(seat)
                seat.left.append([event] if stretch is None else [stretch.joins[0], event])
            case ClientDisconnected() if stretch is not None:
                stretch.breaks.append(event)
            case ClientSettled() if stretch is not None:
                stretch.settled = event

    def _end(self, seat: _Seat) -> None:
        """No answer to a join comes any more. What came while the client waited for one is no leak: it may have been a
        member."""
        self.leaks += seat.early
        seat.early, seat.waiting, seat.asked = [], [], False


@dataclass(slots=True)
class _Seat:
    """A client in a room, while the history is read."""

    stretch: Stretch | None = None
    """What it follows now."""
    asked: bool = False
    """Whether it has asked to join, and is not answered yet."""
    early: list[MessageReceived] = field(default_factory=list)
    """What came while it was no member and is not known to have asked."""
    waiting: list[MessageReceived] = field(default_factory=list)
    """What came after it had asked, before the answer."""
    left: list[list[ClientHappening]] = field(default_factory=list)
    """Each leave, and before it the join that it ended."""


def _sent(room: RoomSeen, event: AttemptSent) -> None:
    message, attempt = room.message(event.id), Attempt(event)
    message.attempts.append(attempt)
    message.under_way[event.client] = attempt  # a client tries again when it has given up the last attempt
    message.senders.add(event.client)
    message.owners.add(event.owner)
    if room.first_sent_at is None:
        room.first_sent_at = event.at


def _answered(message: MessageSeen, client: str, refused: AttemptRefused | None = None) -> None:
    """The answer to the attempt that is under way. One that comes too late says nothing about another attempt."""
    attempt = message.under_way.pop(client, None)
    if attempt is not None:
        attempt.refused = refused


def _placed(room: RoomSeen, message: MessageSeen, event: Placing) -> None:
    room.positions.setdefault(event.offset, position(event.offset))
    room.ids_at.setdefault(event.offset, {}).setdefault(message.id, event)
    message.placed.setdefault(event.offset, event)


def _key(id: str) -> str:  # noqa: A002 - as the field is called
    """An id among offsets: it begins with what no offset begins with."""
    return f"#{id}"


def _at(event: Happening) -> int:
    return event.at
