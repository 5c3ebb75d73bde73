"""What stands in the rows of a timeline: which events of a long history are shown, and in what few words.

What lives here: `chosen` and `brief`, pure functions, and `Missing`. They must not know pixels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from rtlab.instruments.checking.happenings import (
    AskedToJoin,
    AttemptAcknowledged,
    AttemptRefused,
    AttemptSent,
    AttemptUnanswered,
    ClientDisconnected,
    ClientHappening,
    ClientSettled,
    MessageReceived,
    RoomEntered,
    RoomLeft,
)
from rtlab.instruments.checking.wording import named

__all__ = ["BRIEF", "LANES", "ROWS_SHOWN", "Missing", "brief", "chosen", "lanes", "state_after"]

ROWS_SHOWN = 60
"""Events in a picture. It would be too long to look at otherwise."""
LANES = 6
"""Clients that get a lane. The events of the others are not shown."""
BRIEF = 10
"""Characters of an id in a box: of a random one, the first."""
_ABOUT_MESSAGE = AttemptSent | AttemptAcknowledged | AttemptRefused | AttemptUnanswered | MessageReceived


@dataclass(frozen=True)
class Missing:
    """A message that a client should have got by some time, and did not."""

    client: str
    id: str
    at: int


def lanes(events: Sequence[ClientHappening], first: Sequence[str]) -> list[str]:
    """The clients that get a lane, in the order in which they come up.

    Args:
        events: what may be shown.
        first: clients that need a lane.
    """
    busy = [client for client, _ in Counter(each.client for each in events).most_common()]
    wanted = set(list(dict.fromkeys([*first, *busy]))[:LANES])
    return [client for client in dict.fromkeys(each.client for each in events) if client in wanted]


def chosen(events: Sequence[ClientHappening], marked: Collection[int]) -> list[ClientHappening]:
    """The events to show: all, if there are few; otherwise those that are marked, what else was seen of their messages,
    and what happened around them.

    Args:
        events: of the clients that have a lane.
        marked: the times of those that are marked.
    """
    if len(events) <= ROWS_SHOWN:
        return list(events)
    places = [place for place, each in enumerate(events) if each.at in marked][:ROWS_SHOWN]
    if not places:
        first = ROWS_SHOWN * 3 // 4
        return [*events[:first], *events[first - ROWS_SHOWN :]]
    ids = {each.id for place in places if isinstance(each := events[place], _ABOUT_MESSAGE)} - {None}

    def distance(place: int) -> int:
        after = bisect_left(places, place)
        return min(abs(place - each) for each in places[max(0, after - 1) : after + 1])

    about = (place for place, each in enumerate(events) if isinstance(each, _ABOUT_MESSAGE) and each.id in ids)
    kept = set(places)
    for place in (*about, *sorted(range(len(events)), key=distance)):
        if len(kept) >= ROWS_SHOWN:
            break
        kept.add(place)
    return [events[place] for place in sorted(kept)]


def brief(event: ClientHappening) -> str:
    """What happened, in one or two words, for a narrow box."""
    match event:
        case AttemptSent():
            return f"→ {named(event.id, BRIEF)}"
        case AttemptAcknowledged():
            return f"✓ {named(event.id, BRIEF)}"
        case AttemptRefused():
            return f"✗ {named(event.id, BRIEF)}"
        case AttemptUnanswered():
            return f"? {named(event.id, BRIEF)}"
        case MessageReceived():
            return "no id" if event.id is None else named(event.id, BRIEF)
        case AskedToJoin():
            return "may I join?"
        case RoomEntered():
            return "told: lost" if event.lost else "joined" if event.after is None else "came back"
        case RoomLeft():
            return "left"
        case ClientDisconnected():
            return "cut off"
        case ClientSettled():
            return "settled"
    return event.kind


def state_after(event: ClientHappening, before: str) -> str:
    """How a client's lifeline goes on after an event: "in", "away" or "out" of the room."""
    match event:
        case RoomEntered():
            return "in"
        case ClientDisconnected():
            return "away"
        case RoomLeft():
            return "out"
    return before
