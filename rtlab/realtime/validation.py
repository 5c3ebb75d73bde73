"""Events that are checked where they come in, and always acknowledged: `checked`, and the rules that it takes.

What lives here: rules, each with its words, and the decorator that applies them. It works on `rtlab.realtime.Server`
and on a plain `socketio.AsyncServer`, on functions and on methods of a `socketio.AsyncNamespace`. It must not know an
application.

What a client sends is input. Whatever it is, the client is answered ``{"status": "error", "code", "message"}`` where it
does not fit, and the handler is not called. A handler that raises answers "internal" and is in the log; the client
learns nothing of our mistakes. A rule that no value could keep to is our mistake, too: it is a UsageError where it is
made. ::

    @sio.on("chat:message")
    @checked(room=string(32), text=string(500))
    async def message(sid, room, text):
        if room not in sio.rooms(sid):
            raise AckError("not_a_member", "expected a room that you have joined")
        await sio.emit("chat:message", {"text": text}, to=room)

    sio.on("*", unknown_event)
"""

from __future__ import annotations

import copy
import functools
import inspect
import json
import logging
import reprlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtlab.errors import UsageError
from rtlab.servers.repeats import RepeatLog

__all__ = [
    "AckError",
    "Rule",
    "binary",
    "boolean",
    "checked",
    "error_ack",
    "listed",
    "number",
    "one_of",
    "optional",
    "string",
    "unknown_event",
]

SHOWN = 60
"""Characters of a wrong value that its sender gets back: a megabyte of nonsense does not come back as a megabyte."""
LEVELS = 3
"""Lists in lists, and objects, that are shown of a wrong value. Deeper ones are ``[...]``."""

_log = RepeatLog(logging.getLogger("rtlab.realtime.errors"))
_REQUIRED = object()
_BY_NAME, _BY_NAME_ONLY = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
_short = reprlib.Repr()
_short.maxlevel = LEVELS
_short.maxstring = _short.maxother = _short.maxlong = SHOWN


@dataclass(frozen=True)
class Rule:
    """What a field of an event has to be."""

    words: str
    """In words, after "expected": "a whole number from 1 to 50"."""
    holds: Callable[[Any], bool]
    """Whether a value is that. Never raises, whatever a client sends."""
    default: Any = _REQUIRED
    """What a handler gets where the field is missing; such a field has to be there unless `optional` has set it."""


class AckError(Exception):
    """Raised by a handler; its client gets the code and the message as the acknowledgement. Never leaves `checked`."""

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        """One word for the client's program: "not_a_member"."""
        self.message = message
        """A sentence for whoever mends that program."""
        super().__init__(f"{message} ({code})")


def string(longest: int, shortest: int = 1) -> Rule:
    """A string of so many characters, without lone surrogates: UTF-8 has none, so a file or a database refuses it."""
    _bounds("string", shortest, longest, 0)
    words = f"a string of {shortest} to {longest} characters of Unicode"
    return Rule(words, lambda value: isinstance(value, str) and shortest <= len(value) <= longest and _is_utf8(value))


def number(least: int, most: int) -> Rule:
    """A whole number in these bounds. True is none (though Python says that it equals 1), and neither is 1.0."""
    _bounds("number", least, most)
    return Rule(f"a whole number from {least} to {most}", lambda value: type(value) is int and least <= value <= most)


def boolean() -> Rule:
    """True or False, and not 1 or "yes"."""
    return Rule("true or false", lambda value: isinstance(value, bool))


def binary(longest: int, shortest: int = 1) -> Rule:
    """So many bytes."""
    _bounds("binary", shortest, longest, 0)
    words = f"{shortest} to {longest} bytes"
    return Rule(words, lambda value: isinstance(value, bytes) and shortest <= len(value) <= longest)


def one_of(*values: str) -> Rule:
    """One of these strings."""
    if not values or not all(isinstance(value, str) for value in values):
        raise UsageError(f"one_of{_call(values)}: expected strings, one by one, like one_of('red', 'green').")
    return Rule(f"one of {', '.join(values)}", lambda value: isinstance(value, str) and value in values)


def listed(rule: Rule, most: int, least: int = 0) -> Rule:
    """A list of so many values, each of which keeps to the rule."""
    _rule("listed", rule)
    _bounds("listed", least, most, 0)
    words = f"a list of {least} to {most}, each {rule.words}"
    return Rule(
        words, lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(rule.holds, value))
    )


def optional(rule: Rule, default: Any = None) -> Rule:
    """A field that may be missing. What is there keeps to the rule: None is not the same as missing."""
    _rule("optional", rule)
    return Rule(rule.words, rule.holds, default)


def error_ack(code: str, message: str) -> dict[str, str]:
    """The acknowledgement of an event that was not done."""
    return {"status": "error", "code": code, "message": message}


def checked(
    *misplaced: object, **rules: Rule
) -> Callable[[Callable[..., Any]], Callable[..., Coroutine[Any, Any, Any]]]:
    """Check the one object that an event brings, and hand its fields to the handler by name.

    The handler takes the socket id and its fields (a method `self` before, a catch-all the event's name). Other fields
    are passed over. What it returns is the acknowledgement; ``{"status": "ok"}`` where it returns nothing.

    Args:
        *misplaced: nothing; a rule without the name of its field is refused.
        **rules: by field.

    Raises:
        UsageError: what stands there is no rule, or the handler does not take these fields. At once, and not when the
            first event comes.
    """
    if misplaced:
        raise UsageError(
            "@checked takes rules by the names of their fields: @checked(text=string(500)), or @checked()."
        )
    for field, rule in rules.items():
        _rule("checked", rule, f"{field}=")

    def decorate(handler: Callable[..., Any]) -> Callable[..., Coroutine[Any, Any, Any]]:
        before = _arguments_before(handler, rules)

        @functools.wraps(handler)
        async def answered(*arguments: Any) -> Any:
            first, sent = arguments[:before], arguments[before:]
            try:
                fields = _fields(sent, rules)
                result = handler(*first, **fields)
                if inspect.isawaitable(result):
                    result = await result
                return {"status": "ok"} if result is None else _encodable(result)
            except AckError as refused:
                return error_ack(refused.code, refused.message)
            except Exception:  # noqa: BLE001 - it is logged, and the client gets an answer
                name = handler.__qualname__
                _log.exception(f"handler {name}", "the handler %s failed; its client was answered 'internal'", name)
                return error_ack("internal", "it is our fault, and is in the log")

        return answered

    return decorate


async def unknown_event(event: str, *_: Any) -> dict[str, str]:
    """Answers an event that nobody handles: ``sio.on("*", unknown_event)``."""
    return error_ack("unknown_event", f"no such event: {_shown(event)}")


def _fields(sent: Sequence[Any], rules: Mapping[str, Rule]) -> dict[str, Any]:
    """The fields of what a client has sent. Raises AckError."""
    payload = sent[0] if len(sent) == 1 else {} if not sent and all(map(_may_be_missing, rules.values())) else None
    if not isinstance(payload, dict):
        kinds = ", ".join(type(each).__name__ for each in sent[:LEVELS]) or "nothing"
        raise AckError("invalid", f"payload: expected one object, got {kinds}{', …' if len(sent) > LEVELS else ''}")
    found = {}
    for field, rule in rules.items():
        if field not in payload:
            if rule.default is _REQUIRED:
                raise AckError("invalid", f"{field}: expected {rule.words}, got nothing")
            found[field] = copy.deepcopy(rule.default)  # a list would be every event's
        elif rule.holds(payload[field]):
            found[field] = payload[field]
        else:
            raise AckError("invalid", f"{field}: expected {rule.words}, got {_shown(payload[field])}")
    return found


def _bounds(rule: str, least: object, most: object, lowest: int | None = None) -> None:
    """Refuse bounds between which there is nothing: every event would be answered as wrong."""
    for bound in (least, most):
        if type(bound) is not int or (lowest is not None and bound < lowest):
            kind = "whole numbers" if lowest is None else "whole numbers that are not negative"
            raise UsageError(f"{rule}(…): expected {kind} as bounds, got {bound!r}.")
    if least > most:  # type: ignore[operator]
        raise UsageError(f"{rule}(…): nothing is at least {least} and at most {most}.")


def _rule(call: str, rule: object, name: str = "") -> None:
    """Refuse what is no rule. A name without its call is what is forgotten most often."""
    if not isinstance(rule, Rule):
        called = getattr(rule, "__name__", "")
        hint = f" Call it: {called}(…)." if called in __all__ else ""
        raise UsageError(f"{call}({name}{rule!r}): expected a rule, like string(32) or number(1, 50).{hint}")


def _call(arguments: tuple[object, ...]) -> str:
    return f"({', '.join(map(repr, arguments))})"


def _may_be_missing(rule: Rule) -> bool:
    return rule.default is not _REQUIRED


def _arguments_before(handler: Any, rules: Mapping[str, Rule]) -> int:
    """How many arguments a handler has before its fields: 1, or 2 with `self` or the event's name."""
    if not callable(handler) or inspect.isclass(handler):
        raise UsageError(f"Expected a handler below @checked(…), got {handler!r}.")
    parameters = inspect.signature(handler).parameters
    named = [parameters[name].kind in (_BY_NAME, _BY_NAME_ONLY) for name in rules if name in parameters]
    before = [name for name in parameters if name not in rules]
    right = f"{handler.__name__}({', '.join([*(['self'] if before[:1] == ['self'] else []), 'sid', *rules])})"
    if [*parameters] != [*before, *(name for name in parameters if name in rules)] or not (
        1 <= len(before) <= 2 and all(named)
    ):
        raise UsageError(f"{handler.__name__}{inspect.signature(handler)}: expected {right}, as @checked(…) has it.")
    missing = [name for name in rules if name not in parameters]
    if missing:
        raise UsageError(f"{handler.__name__} does not take {', '.join(missing)}: expected {right}.")
    return len(before)


def _encodable(result: Any) -> Any:
    """What can be sent. A result that cannot be would be an exception after the handler, and no acknowledgement."""
    json.dumps(result, allow_nan=False, default=_only_bytes)  # NaN is no JSON: a browser would give up the connection
    return result


def _shown(value: Any) -> str:
    """A value as the sender of it reads it, cut, and in letters that everything can encode."""
    try:
        return _short.repr(value)[:SHOWN]
    except Exception:  # noqa: BLE001 - a value is a client's: too deep, a number with too many digits
        return f"a {type(value).__name__}"


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _only_bytes(value: object) -> None:
    """For `json`: what is no JSON can be sent where it is bytes, as an attachment."""
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"expected JSON or bytes, got {type(value).__name__}")
