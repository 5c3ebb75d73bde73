"""The words for what happened, for people.

What lives here: pure functions from events to a few words, and from names to what may stand in a terminal, a story or
a picture. They must not know what is shown where.
"""

from __future__ import annotations

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
)
from rtlab.instruments.transcript.wording import printable, shorten

__all__ = ["NAME_SHOWN", "counted", "describe", "fault_words", "listed", "named", "who"]

NAME_SHOWN = 40
"""Characters that are shown of a name or an id: a random UUID has 36."""
LISTED = 4
"""Names in a list before the others are only counted."""


def named(name: str, width: int = NAME_SHOWN) -> str:
    """A name without what would move a terminal's cursor, and not too long."""
    return shorten(printable(name[: 2 * width]), width)


def counted(count: int, one: str, many: str = "") -> str:
    """How many there are: "1 message", "2,000 messages"."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or one + 's'}"


def listed(names: list[str]) -> str:
    """Names in a sentence: "alice, bob and carol"."""
    shown = [named(each) for each in names[:LISTED]]
    if len(names) > LISTED:
        shown.append(counted(len(names) - LISTED, "other"))
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def who(event: Happening) -> str:
    """Whom it happened to."""
    return named(event.client) if isinstance(event, ClientHappening) else ""


def fault_words(fault: FaultSeen) -> str:
    """What was done to what, without its phase: "worker-2 killed"."""
    return f"{named(fault.target)} {named(fault.what)}"


def describe(event: Happening) -> str:
    """What happened, in a few words, without the time and without the client."""
    match event:
        case AttemptSent():
            return f"sends {named(event.id)}"
        case AttemptAcknowledged():
            return f"{named(event.id)} is acknowledged at {event.offset}"
        case AttemptRefused():
            return f"{named(event.id)} is refused: {named(event.code)}"
        case AttemptUnanswered():
            return f"{named(event.id)} is not answered"
        case AskedToJoin():
            return "asks to join"
        case RoomEntered():
            asked = "joins" if event.after is None else f"joins after {event.after}"
            lost = ", told that something is lost" if event.lost else "" if event.complete else ", not complete"
            return f"{asked}: up to {event.offset}{lost}"
        case MessageReceived():
            message = "a message" if event.id is None else named(event.id)
            return f"receives {message} at {event.offset}{'' if event.live else ', in a page'}"
        case RoomLeft():
            return "leaves"
        case ClientDisconnected():
            return "is disconnected"
        case ClientSettled():
            return f"has received all up to {event.offset}"
        case FaultSeen():
            return {"begin": "begins: ", "end": "ends: "}.get(event.phase, "") + fault_words(event)
    return event.kind
