"""A value in a sentence, and the one difference between two of them.

What lives here: `show`, a value as a sentence shows it, and `compared`, which says what was expected and what came.
Where both are short, their reprs say it all. Where one is long, or the type is the difference, the sentence names the
place: the path to the first element that differs, or the index in a text or in bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from rtlab.grading.child.sameness import SETS, elements, is_of, same, table, text
from rtlab.grading.code_origin import shorten

__all__ = ["BESIDE", "CONTEXT", "compared", "show"]

CONTEXT = 20
"""Characters or bytes that are shown on each side of a difference."""
BESIDE = 80
"""Characters of a value above which the sentence names the place of the difference."""
KINDS: Mapping[type, str] = {
    bool: "bool", int: "number", float: "number", str: "text", bytes: "bytes", bytearray: "bytes", memoryview: "bytes",
    list: "list", tuple: "tuple", dict: "dict", **dict.fromkeys(SETS, "set"),
}  # fmt: skip
"""What the built-in types are called in sentences."""
UNITS = {"text": "characters", "bytes": "bytes"}
"""What a text and bytes are made of."""
SHOWN = 3
"""Elements of a set that a sentence names."""


def show(value: object) -> str:
    """A value as a sentence shows it: its repr, cut after 200 characters."""
    return shorten(_repr(value))


def compared(got: object, wanted: object) -> tuple[str, str]:
    """Two values that are not the same: "'pong'" and "'PING'", each with its type if that is the difference.

    Returns:
        What was expected, and what came. If one of the two is long, what came ends with the place of the first
        difference: "…, which differs at [2]['id']: expected 7 (number), got '7' (text)".
    """
    ours, theirs = _repr(wanted), _repr(got)
    long = max(len(ours), len(theirs)) > BESIDE
    try:
        path, part_got, part_wanted, sizes = _first(got, wanted)
        if not long and not (path and _other_kind(part_got, part_wanted)):
            return _leaves(got, wanted) if not path else (ours, theirs)
        in_wanted, in_got = _leaves(part_got, part_wanted)
        index, in_wanted, in_got = _index(part_got, part_wanted) or ("", in_wanted, in_got)
    except Exception:  # noqa: BLE001 - what cannot be walked through (nested too deeply, say) is shown as it is
        return show(wanted), show(got)
    place = ", ".join(filter(None, (path, index)))
    if not place:
        return in_wanted, in_got
    return _cut(ours), f"{_cut(theirs)}. The first difference is at {place}: expected {in_wanted}, got {in_got}{sizes}"


class _Nothing:
    """Stands for an element or a key that one of the two lacks."""

    def __repr__(self) -> str:
        return "nothing"


NOTHING = _Nothing()


def _first(got: Any, wanted: Any, path: str = "") -> tuple[str, Any, Any, str]:
    """The path to the first pair that differs, the pair, and in words how many elements both have if one lacks some."""
    for place, theirs, ours in _pairs(got, wanted):
        if theirs is NOTHING or ours is NOTHING:
            counted = is_of(got, list, tuple)
            sizes = f" ({len(elements(wanted))} elements expected, {len(elements(got))} came)" if counted else ""
            return f"{path}{place}", theirs, ours, sizes
        if not same(theirs, ours):
            return _first(theirs, ours, f"{path}{place}")
    return path, got, wanted, ""


def _pairs(got: Any, wanted: Any) -> list[tuple[str, Any, Any]]:
    """The parts of two containers of the same kind, side by side; none if they are no containers."""
    for kind in (list, tuple):
        if is_of(wanted, kind) and is_of(got, kind):
            theirs, ours = elements(got), elements(wanted)
            both = range(max(len(theirs), len(ours)))
            return [(f"[{i}]", theirs[i] if i < len(theirs) else NOTHING, ours[i] if i < len(ours) else NOTHING)
                    for i in both]  # fmt: skip
    if is_of(wanted, dict) and is_of(got, dict):
        theirs_by, ours_by = table(got), table(wanted)
        return [
            (f"[{_repr((ours_by.get(key) or theirs_by[key])[0])}]",
             theirs_by[key][1] if key in theirs_by else NOTHING, ours_by[key][1] if key in ours_by else NOTHING)
            for key in [*ours_by, *(key for key in theirs_by if key not in ours_by)]
        ]  # fmt: skip
    if is_dataclass(wanted) and type(got) is type(wanted):
        names = [field.name for field in fields(wanted) if field.compare]
        return [(f".{name}", getattr(got, name), getattr(wanted, name)) for name in names]
    return []


def _leaves(got: Any, wanted: Any) -> tuple[str, str]:
    """Two values that differ themselves, and not in a part: expected, came."""
    if is_of(got, *SETS) and is_of(wanted, *SETS) and len(_repr(got)) + len(_repr(wanted)) > BESIDE:
        return _sets(elements(got), elements(wanted))
    if _other_kind(got, wanted):
        return f"{show(wanted)} ({_kind(wanted)})", f"{show(got)} ({_kind(got)})"
    return show(wanted), show(got)


def _index(got: Any, wanted: Any) -> tuple[str, str, str] | None:
    """Where two long texts, or bytes, differ first, and what stands there: expected, came. None for anything else."""
    kind = _kind(wanted)
    if kind not in UNITS or _kind(got) != kind or max(len(_repr(got)), len(_repr(wanted))) <= BESIDE:
        return None
    ours, theirs = (text(wanted), text(got)) if kind == "text" else (bytes(wanted), bytes(got))
    if not ours or not theirs:
        return None
    pairs = enumerate(zip(ours, theirs, strict=False))
    index = next((place for place, (one, other) in pairs if one != other), min(len(ours), len(theirs)))
    sizes = [f" ({len(each)} {UNITS[kind]})" if len(ours) != len(theirs) else "" for each in (ours, theirs)]
    return f"index {index}", f"{_around(ours, index)}{sizes[0]}", f"{_around(theirs, index)}{sizes[1]}"


def _kind(value: object) -> str:
    return next((name for kind, name in KINDS.items() if is_of(value, kind)), type(value).__name__)


def _other_kind(got: object, wanted: object) -> bool:
    """Whether the type is the difference, and worth its name: None says enough, and so does another class's repr."""
    kinds = {_kind(got), _kind(wanted)}
    return len(kinds) > 1 and (kinds <= set(KINDS.values()) or _repr(got) == _repr(wanted))


def _around(value: Any, index: int) -> str:
    low, high = max(0, index - CONTEXT), index + CONTEXT
    if index >= len(value):
        return f"{'…' * (low > 0)}{value[low:]!r} and then its end"
    return f"{'…' * (low > 0)}{value[low:high]!r}{'…' * (high < len(value))}"


def _sets(got: list[Any], wanted: list[Any]) -> tuple[str, str]:
    """Two long sets, by what one of them lacks."""
    missing = [show(each) for each in wanted if not any(same(other, each) for other in got)][:SHOWN]
    more = [show(each) for each in got if not any(same(each, other) for other in wanted)][:SHOWN]
    lacks = f"lacks {', '.join(missing)}" if missing else ""
    holds = f"also holds {', '.join(more)}" if more else ""
    return f"a set of {len(wanted)} elements", f"one of {len(got)} that {' and '.join(filter(None, (lacks, holds)))}"


def _cut(shown: str) -> str:
    return shown if len(shown) <= BESIDE else f"{shown[:BESIDE]}…"


def _repr(value: object) -> str:
    """The repr as plain text."""
    try:
        return str.__str__(repr(value)).replace("\n", "\\n")
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply to be shown"
    except BaseException:  # noqa: BLE001 - a learner's __repr__ may raise anything, SystemExit included
        return f"a {type(value).__name__} whose repr raises"
