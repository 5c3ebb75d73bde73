"""What clients may say: every field of every event, typed and bounded, in one place.

What lives here: one function per payload that gives what it means or raises `BadPayload`, whose text names the field,
what was expected and what came. It must not know rooms or sockets: whether a room exists is not its business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rtlab.chat.limits import CLIENT_ID_LENGTH, OFFSET_LENGTH, SESSION_ID_LENGTH, TOKEN_LENGTH, Limits
from rtlab.chat.writing.characters import is_blank
from rtlab.chat.writing.names import fault_in
from rtlab.errors import PeerError

__all__ = [
    "BadPayload",
    "JoinPayload",
    "MessagePayload",
    "join",
    "message",
    "name_of",
    "offset",
    "room",
    "session_id",
    "token",
    "topics",
]

CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
"""What a terminal or a log obeys instead of showing it: C0 and C1 but for a tab and the ends of lines (LF, CR LF)."""


class BadPayload(PeerError):  # noqa: N818 - a client's, not an error of ours
    """A payload is not as it has to be. Never leaves rtlab.chat."""

    def __init__(self, field: str, expected: str, got: str) -> None:
        self.field = field
        """Which field: ``text``, or ``payload`` for the whole."""
        self.expected = expected
        """What it has to be."""
        self.got = got
        """What came, in words."""
        super().__init__(f"{field}: expected {expected}, got {self.got}")


@dataclass(frozen=True)
class JoinPayload:
    """The payload of ``chat:join``."""

    room: str
    after: str | None
    """The offset of the last message that the client has."""


@dataclass(frozen=True)
class MessagePayload:
    """The payload of ``chat:message``."""

    room: str
    text: str
    client_id: str | None
    """What the client itself calls this message, the same in every attempt to send it."""


def join(payload: object, limits: Limits) -> JoinPayload:
    """A room, or ``{room, after}``.

    Raises:
        BadPayload: it is neither.
    """
    if isinstance(payload, str):
        return JoinPayload(name_of("room", payload, limits.room_name), None)
    fields = _fields(payload, "a room's name, or an object with room and after", {"room", "after"}, {"room"})
    after = fields.get("after")
    after = None if after is None else offset("after", after)
    return JoinPayload(name_of("room", fields["room"], limits.room_name), after)


def message(payload: object, limits: Limits) -> MessagePayload:
    """``{room, text, clientId?}``. Something of the text can be seen; the rest may be joiners, directions and the like.

    Raises:
        BadPayload: it is not.
    """
    wanted = "an object with room and text"
    fields = _fields(payload, wanted, {"room", "text", "clientId"}, {"room", "text"})
    client_id = fields.get("clientId")
    if client_id is not None:
        client_id = _string("clientId", client_id, CLIENT_ID_LENGTH)
    text = _string("text", fields["text"], limits.text)
    if control := CONTROLS.search(text):
        raise BadPayload("text", "no control characters but tabs and line ends", f"U+{ord(control[0]):04X}")
    if is_blank(text):
        got = "white space only" if text.isspace() else "characters without ink only"
        raise BadPayload("text", "something that can be seen", got)
    return MessagePayload(name_of("room", fields["room"], limits.room_name), text, client_id)


def room(payload: object, limits: Limits) -> str:
    """A room's name.

    Raises:
        BadPayload: it is none.
    """
    return name_of("room", payload, limits.room_name)


def topics(payload: object, limits: Limits) -> list[str]:
    """A list of topics' names.

    Raises:
        BadPayload: it is no list, too long, or holds something else.
    """
    expected = f"a list of at most {limits.topics} names"
    if not isinstance(payload, list):
        raise BadPayload("topics", expected, described(payload))
    if len(payload) > limits.topics:
        raise BadPayload("topics", expected, f"{len(payload)}")
    return [name_of(f"topics[{number}]", each, limits.room_name) for number, each in enumerate(payload)]


def session_id(payload: object) -> str:
    """A session's id, as the event ``session`` brought it.

    Raises:
        BadPayload: it cannot be one.
    """
    return _string("session", payload, SESSION_ID_LENGTH)


def token(payload: object) -> str:
    """A token.

    Raises:
        BadPayload: it cannot be one.
    """
    return _string("token", payload, TOKEN_LENGTH)


def offset(field: str, value: object) -> str:
    """An offset: two numbers and a dash between, as a Redis stream has them.

    Raises:
        BadPayload: it is none.
    """
    text = _string(field, value, OFFSET_LENGTH)
    first, dash, second = text.partition("-")
    if not (dash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
        raise BadPayload(field, "an offset such as '1764000000000-0'", quoted(text))
    return text


def name_of(field: str, value: object, longest: int) -> str:
    """A name: people see all of it, and no other name is made of the same with something unseen besides.

    `fault_in` says what that means, and what it does not defend against.

    Raises:
        BadPayload: it is no such string.
    """
    text = _string(field, value, longest)
    if fault := fault_in(text):
        expected, got = fault
        raise BadPayload(field, expected, quoted(text) if got is None else got)
    return text


def _fields(payload: object, expected: str, known: set[str], needed: set[str]) -> Mapping[str, Any]:
    if not isinstance(payload, Mapping):
        raise BadPayload("payload", expected, described(payload))
    for name in sorted(needed):
        if name not in payload:
            raise BadPayload(name, "this field", "none")
    for name in payload:
        if name not in known:
            raise BadPayload(quoted(str(name)), f"one of the fields {', '.join(sorted(known))}", "an unknown one")
    return payload


def _string(field: str, value: object, longest: int) -> str:
    expected = f"a string of 1 to {longest} characters"
    if not isinstance(value, str):
        raise BadPayload(field, expected, described(value))
    if not 1 <= len(value) <= longest:
        raise BadPayload(field, expected, f"one of {len(value)}")
    if any("\ud800" <= each <= "\udfff" for each in value):
        raise BadPayload(field, "text that UTF-8 can carry", "half of a surrogate pair")
    return value


def quoted(text: str) -> str:
    """A text from a client for a message: short, and with everything invisible written out."""
    return ascii(text if len(text) <= 40 else text[:39] + "…")


KINDS = {
    type(None): "nothing", bool: "true or false", int: "a number", float: "a number", str: "a string",
    list: "a list", dict: "an object", bytes: "binary data",
}  # fmt: skip


def described(value: object) -> str:
    """What kind of thing a client sent, in JSON's words. Not the value: it may be long, or secret."""
    return KINDS.get(type(value), "something else")
