"""What can happen to a client of a chat, as one observer sees it.

What lives here: a frozen value for each thing that can happen. It must not know histories, nor what any of it is worth:
`checker` judges, and `wording` has the words for people.

A *client* here is one connection that comes back, with what it remembers: one window, one process. A user may have
several. A client that forgets everything and starts anew is another client, with another name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, ClassVar, cast

from rtlab.errors import UsageError

__all__ = [
    "DEFINITE",
    "HAPPENINGS",
    "LATEST",
    "LONGEST_NAME",
    "AskedToJoin",
    "AttemptAcknowledged",
    "AttemptRefused",
    "AttemptSent",
    "AttemptUnanswered",
    "ClientDisconnected",
    "ClientHappening",
    "ClientSettled",
    "FaultSeen",
    "Happening",
    "MessageReceived",
    "RoomEntered",
    "RoomLeft",
    "is_definite",
]

LONGEST_NAME = 1_000
"""Characters of a name, an id or a code: a chat's own are 64 at most, and a picture has to hold them."""
DEFINITE = frozenset({"bad_payload", "not_a_member", "unknown_event", "rate_limited", "forbidden", "gone"})
"""Codes with which a server says that it has surely not done what was asked. So do all that begin with ``token_``. Any
other code, one that is not known included, leaves open whether it was done."""
LATEST = 2**53
"""Where the logical clock ends: JSON's numbers are exact up to here."""
OFFSET = re.compile(r"[0-9]{1,16}-[0-9]{1,16}", re.ASCII)
"""As Redis spells the id of an entry in a stream; 16 digits hold all that JavaScript counts exactly."""


def is_definite(code: str) -> bool:
    """Whether a refusal with this code says that the message was surely not stored."""
    return code in DEFINITE or code.startswith("token_")


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """Something that happened: one of `HAPPENINGS`."""

    kind: ClassVar[str] = ""
    """How it is called in files and in calls of the recorder."""

    at: int
    """The observer's logical clock: 1, 2, 3 …"""
    seconds: float = 0.0
    """Since the observer began. For pictures only: nothing is judged by it."""

    def __post_init__(self) -> None:
        """Hold each field to what it may be.

        Raises:
            UsageError: one is not; the message names it.
        """
        for name, is_fine, wanted in _rules(self.kind):
            if not is_fine(value := getattr(self, name)):
                raise UsageError(f"{self.kind}: expected {name} to be {wanted}, got {value!r:.60}.")


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientHappening(Happening):
    """Something that happened to a client in a room."""

    client: str
    """Its name."""
    room: str
    """Where."""
    user: str = ""
    """Whose client it is; the client's own name if not given."""

    @property
    def owner(self) -> str:
        """Whose client it is."""
        return self.user or self.client


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptSent(ClientHappening):
    """An attempt to send a message leaves the client. Recorded before the first byte goes out."""

    kind = "sent"
    id: str
    """The sender's own id, the same in every attempt, and no other message's in this room."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptAcknowledged(ClientHappening):
    """The server has said that the message is stored."""

    kind = "acknowledged"
    id: str
    """As in `AttemptSent`."""
    offset: str
    """Where it stands in the room's history."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptRefused(ClientHappening):
    """The server has said no."""

    kind = "refused"
    id: str
    """As in `AttemptSent`."""
    code: str
    """Why. `is_definite` knows whether the message may be stored all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptUnanswered(ClientHappening):
    """No answer came: a time-out, or the connection was cut. The message may be stored."""

    kind = "unanswered"
    id: str
    """As in `AttemptSent`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AskedToJoin(ClientHappening):
    """The client asks to enter a room. Recorded before the first byte goes out. What it receives from now on is no
    leak: a live message may come before the answer."""

    kind = "joining"


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomEntered(ClientHappening):
    """A join, the first or a later one, was answered, and its last page is here.

    Each message of its pages is a `MessageReceived` of its own, before or after this.
    """

    kind = "joined"
    after: str | None
    """The offset after which the client asked, in the request for the first page; None if it asked for the last
    messages. If pages broke off because the connection did, the first page is that of the first connection."""
    offset: str
    """Where the last page ends."""
    complete: bool
    """Whether the server said that nothing is left to fetch."""
    lost: bool
    """Whether the server said, with any of the pages, that messages after `after` are gone."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageReceived(ClientHappening):
    """A message was handed to the application."""

    kind = "received"
    id: str | None
    """Its sender's id; None if it came without one."""
    offset: str
    """Where it stands in the room's history."""
    live: bool
    """Whether it came by itself; a page of history brought it otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoomLeft(ClientHappening):
    """A leave was acknowledged; or the client is no member any more for another reason that it was told."""

    kind = "left"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientDisconnected(ClientHappening):
    """The connection is over. The client follows the room all the same: it will come back for what it missed."""

    kind = "disconnected"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClientSettled(ClientHappening):
    """The observation of a client in a room ends: all that was acknowledged before this has been handed over, if ever.

    `offset` is where its last page ends. That page was asked for when every message was answered and nothing was on
    its way any more: otherwise a message that comes too late would count as lost.
    """

    kind = "settled"
    offset: str
    """Where the last page ends."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultSeen(Happening):
    """Somebody broke something, or mended it."""

    kind = "fault"
    what: str
    """What was done: "killed"."""
    target: str
    """To what: "worker-2"."""
    phase: str = ""
    """"begin" or "end" of something that lasts; "" for what is over at once."""

    def __post_init__(self) -> None:
        Happening.__post_init__(self)  # `super()` does not find its class where a dataclass has slots
        if self.phase not in {"", "begin", "end"}:
            raise UsageError(f'fault: expected its phase to be "begin", "end" or "", got {self.phase[:40]!r}.')


HAPPENINGS: dict[str, type[Happening]] = {
    each.kind: each
    for each in (
        AttemptSent, AttemptAcknowledged, AttemptRefused, AttemptUnanswered, AskedToJoin, RoomEntered, MessageReceived,
        RoomLeft, ClientDisconnected, ClientSettled, FaultSeen,
    )
}  # fmt: skip
"""The class of each kind."""


@cache  # there are as many as there are kinds
def _rules(kind: str) -> tuple[tuple[str, Callable[[Any], bool], str], ...]:
    """What the fields of an event may be: a name, a test, and the test in words."""
    return tuple((each.name, *_rule(each.name, str(each.type))) for each in fields(HAPPENINGS[kind]))


def _rule(name: str, type_name: str) -> tuple[Callable[[Any], bool], str]:
    if name == "at":
        return lambda value: type(value) is int and 1 <= value <= LATEST, f"a whole number from 1 to {LATEST:,}"
    if name == "seconds":
        return _is_seconds, "a number of seconds, 0 or more"
    if type_name == "bool":
        return lambda value: type(value) is bool, "true or false"
    if name == "after":
        return lambda value: value is None or _is_offset(value), 'an offset such as "1700-0", or nothing'
    if name == "offset":
        return _is_offset, 'an offset such as "1700-0"'
    if name in {"user", "phase"}:
        return (
            lambda value: type(value) is str and len(value) <= LONGEST_NAME,
            f"text of {LONGEST_NAME:,} characters at most",
        )
    if "None" in type_name:
        return lambda value: value is None or _is_name(value), f"text of 1 to {LONGEST_NAME:,} characters, or nothing"
    return _is_name, f"text of 1 to {LONGEST_NAME:,} characters"


def _is_name(value: object) -> bool:
    return type(value) is str and 0 < len(value) <= LONGEST_NAME


def _is_offset(value: object) -> bool:
    return type(value) is str and OFFSET.fullmatch(value) is not None


def _is_seconds(value: object) -> bool:
    return type(value) in {int, float} and 0 <= cast("float", value) < math.inf
