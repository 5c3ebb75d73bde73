"""The file of a history: JSON lines, a line about the file and then a line for each event.

What lives here: writing and reading it, strictly. It must not know what a history is good for.

Whoever reads one may have got it from somebody else. So it is read line by line, and each line, their number and what
may stand in them are bounded; the first line says how many there are, so that a file that was cut off is not taken for
a short history in which nothing went wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

from rtlab.errors import UsageError
from rtlab.instruments.checking.happenings import HAPPENINGS, Happening

__all__ = ["FORMAT", "LONGEST_LINE", "MOST_EVENTS", "VERSION", "read_history", "write_history"]

FORMAT, VERSION = "rtlab history", 1
"""What the first line says."""
MOST_EVENTS = 500_000
"""Events of a history: about 40,000 messages among five clients, some 400 MB of memory while they are judged."""
LONGEST_LINE = 100_000
"""Characters of a line: five fields of 1,000 characters, each of which JSON may spell with twelve, and their names."""


def write_history(path: str | os.PathLike[str], events: Sequence[Happening], bound: int, dropped: int) -> None:
    """Write a history: its events, what the server keeps, and how many events were not kept."""
    head = {"format": FORMAT, "version": VERSION, "bound": bound, "dropped": dropped, "events": len(events)}
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.write(json.dumps(head) + "\n")
        file.writelines(json.dumps({"kind": each.kind, **_kept(each)}) + "\n" for each in events)


def _kept(event: Happening) -> dict[str, object]:
    """The fields of an event; what has its default is left out."""
    values = {each.name: getattr(event, each.name) for each in fields(event)}
    left_out = {each.name: each.default for each in fields(event) if each.default is not MISSING}
    return {name: value for name, value in values.items() if name not in left_out or value != left_out[name]}


def read_history(path: str | os.PathLike[str]) -> tuple[list[Happening], int, int]:
    """The events in a file, what the server keeps of a room, and how many events were not kept.

    Raises:
        UsageError: the file is no history, or not all of one; the message names the line.
        OSError: it cannot be read.
    """
    events: list[Happening] = []
    with Path(path).open(encoding="utf-8", newline="\n") as file:
        try:
            bound, dropped, count = _head(path, file.readline(LONGEST_LINE))
            while line := file.readline(LONGEST_LINE + 1):
                number = len(events) + 2
                if len(events) == count:
                    raise UsageError(
                        f"{path}, line {number}: expected {count:,} events, as the first line says; got more."
                    )
                events.append(_event(path, number, line, events[-1].at if events else 0))
        except UnicodeDecodeError as error:
            raise UsageError(f"{path} is no history: expected UTF-8 ({error.reason}).") from None
    if len(events) < count:
        raise UsageError(f"{path} is cut off: expected {count:,} events, as its first line says, got {len(events):,}.")
    return events, bound, dropped


def _head(path: object, line: str) -> tuple[int, int, int]:
    try:
        head = _parsed(line)
    except ValueError:
        head = {}
    if head.get("format") != FORMAT:
        raise UsageError(f"{path} is no history: expected its first line to say so. `History.save` writes one.")
    if head.get("version") != VERSION:
        raise UsageError(f"{path} is a history of version {head.get('version')!r:.20}; this rtlab reads {VERSION}.")
    for name, least in (("bound", 1), ("dropped", 0), ("events", 0)):
        value = head.get(name)
        if type(value) is not int or value < least:
            raise UsageError(
                f"{path}, line 1: expected {name} to be a whole number from {least} on, got {value!r:.40}."
            )
    if extra := sorted(head.keys() - {"format", "version", "bound", "dropped", "events"}):
        raise UsageError(f"{path}, line 1: expected nothing but what this version knows, got {extra[0]!r:.40}.")
    if head["events"] > MOST_EVENTS:
        raise UsageError(f"{path}: expected at most {MOST_EVENTS:,} events, got {head['events']:,}.")
    return head["bound"], head["dropped"], head["events"]


def _event(path: object, number: int, line: str, last: int) -> Happening:
    try:
        values = _parsed(line)
        kind = values.pop("kind", None)
        if not isinstance(kind, str) or kind not in HAPPENINGS:
            raise UsageError(f"expected kind to be one of {', '.join(HAPPENINGS)}, got {kind!r:.40}.")
        known, needed = _names(kind)
        if extra := sorted(values.keys() - known):
            raise UsageError(f"{kind}: there is no field {extra[0]!r:.40}; there are {', '.join(sorted(known))}.")
        if missing := sorted(needed - values.keys()):
            raise UsageError(f"{kind}: expected a field {missing[0]!r}.")
        event = HAPPENINGS[kind](**values)
        if event.at <= last:
            raise UsageError(f"expected `at` to grow, got {event.at} after {last}.")
    except UsageError as error:
        raise UsageError(f"{path}, line {number}: {error}") from None
    except ValueError as error:
        raise UsageError(f"{path}, line {number}: expected an event in JSON, got {line[:40]!r} ({error}).") from None
    return event


@cache  # there are as many as there are kinds
def _names(kind: str) -> tuple[frozenset[str], frozenset[str]]:
    """The fields of an event, and those without a default."""
    known = fields(HAPPENINGS[kind])
    return frozenset(each.name for each in known), frozenset(each.name for each in known if each.default is MISSING)


def _parsed(line: str) -> dict[str, Any]:
    """A line's object.

    Raises:
        ValueError: it is none, is too long or too deep, says a thing twice, or holds what JSON does not know.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"a line has at most {LONGEST_LINE:,} characters")
    try:
        value = json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("a name stands in it twice")
    return values


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
