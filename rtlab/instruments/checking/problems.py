"""What can be wrong with a history: one value for each place where it breaks a guarantee.

What lives here: `Guarantee`, `Trouble` and `Problem`. They must not know how problems are found (`delivery_rules`,
`message_rules`), nor how they are told (`story`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rtlab.instruments.checking.happenings import Happening

__all__ = ["MISSED", "Guarantee", "Problem", "Trouble"]


class Guarantee(StrEnum):
    """What a chat promises."""

    KEPT = "kept"
    """A member gets every message that was acknowledged while it followed the room, within the server's bound."""
    ONCE = "once"
    """A message has one place in the history, however often it was sent, and a client gets it once."""
    ORDERED = "ordered"
    """Messages come in the order of their offsets, and what is sent after an acknowledgement stands after it."""
    MEMBERS_ONLY = "members_only"
    """Nobody receives what is said in a room that it is not in."""
    RESUMED = "resumed"
    """Whoever comes back gets what was acknowledged meanwhile, or is told that it is gone, and then it really is."""
    TRUE = "true"
    """Nobody receives, and nothing acknowledges, what nobody sent or what was surely refused."""


class Trouble(StrEnum):
    """How a guarantee can be broken."""

    NEVER_CAME = "never came"
    TOLD_LOST = "told of a loss that there was not"
    NOT_BROUGHT = "not brought on the return"
    TOLD_TOO_MUCH = "told to be lost within the bound"
    STORED_TWICE = "stored twice"
    HANDED_TWICE = "handed over twice"
    OUT_OF_ORDER = "out of order"
    BEHIND_TIME = "placed before what was there already"
    STRANGER = "received without having joined"
    AFTER_LEAVING = "received after leaving"
    NEVER_SENT = "received, and never sent"
    REFUSED = "received, and refused"
    NEVER_ASKED = "acknowledged, and never sent"
    TWO_IDS = "two messages in one place"


MISSED = frozenset({Trouble.NEVER_CAME, Trouble.NOT_BROUGHT, Trouble.TOLD_TOO_MUCH})
"""What is wrong where a message did not come."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A guarantee is broken here."""

    guarantee: Guarantee
    trouble: Trouble
    room: str
    clients: tuple[str, ...]
    """To whom it happened."""
    id: str | None = None
    """Of the message."""
    offset: str | None = None
    """Of the message."""
    evidence: tuple[Happening, ...]
    """What shows it, in the order of time: about the first of the clients."""
    proof: Happening | None = None
    """Of a message that never came: the event that shows that it should have come by then."""
    began: int
    """From when on a fault may have caused it."""
    shown: int
    """When it could be seen."""
    also: int = 0
    """To how many further messages the same happened."""
