"""Whether what came is what was expected.

What lives here: `same`, by which `expect` compares, and what it reads values with. They go through the built-in types
and never ask a value about itself: a class of the submission's may define ``__eq__``, ``__class__`` or ``__len__`` as
it likes, or derive from `str` or `int`. Where two values differ is the business of `differences`.

The law: numbers equal numbers (1 and 1.0), True equals only True, text never equals bytes, a list never equals a tuple.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any

__all__ = ["BYTES", "SETS", "elements", "is_of", "number", "same", "table", "text"]

BYTES = (bytes, bytearray, memoryview)
SETS: tuple[type, ...] = (set, frozenset, type({}.keys()))
SEQUENCES = (list, tuple)


def is_of(value: object, *types: type) -> bool:
    """Whether a value is of one of these types. Unlike `isinstance` it does not ask the value's ``__class__``."""
    return issubclass(type(value), types)


def number(value: object) -> float | None:
    """A number as a plain `int` or `float`; None for anything else, True and False included."""
    if is_of(value, bool):
        return None
    if is_of(value, int):
        return int.__int__(value)  # type: ignore[arg-type]
    return float.__float__(value) if is_of(value, float) else None  # type: ignore[arg-type]


def same(got: object, wanted: object) -> bool:
    """Whether they are equal, all the way down.

    Args:
        got: what came. It may lie about itself.
        wanted: what was expected. It does not.

    Raises:
        Exception: they cannot be compared, for example because they are nested too deeply.
    """
    if wanted is None or is_of(wanted, bool):
        return got is wanted
    if (figure := number(wanted)) is not None:
        return number(got) == figure
    if is_of(wanted, str):
        return is_of(got, str) and text(got) == text(wanted)
    if is_of(wanted, *BYTES):
        return is_of(got, *BYTES) and bytes(memoryview(got)) == bytes(memoryview(wanted))  # type: ignore[arg-type]
    for kinds in ((list,), (tuple,)):
        if is_of(wanted, *kinds):
            ours, theirs = elements(wanted), elements(got) if is_of(got, *kinds) else None
            return theirs is not None and len(ours) == len(theirs) and all(map(same, theirs, ours))
    if is_of(wanted, dict):
        if not is_of(got, dict):
            return False
        came, meant = table(got), table(wanted)
        return came.keys() == meant.keys() and all(same(came[key][1], meant[key][1]) for key in meant)
    if is_of(wanted, *SETS):
        return is_of(got, *SETS) and set(map(_plain, elements(got))) == set(map(_plain, elements(wanted)))
    return _same_objects(got, wanted)


def elements(value: Any) -> list[Any]:
    """The elements of a list, a tuple or a set, or of something derived from them."""
    base = next(kind for kind in (*SEQUENCES, *SETS) if is_of(value, kind))
    return list(base.__iter__(value))  # type: ignore[attr-defined]


def table(value: Any) -> dict[Any, tuple[Any, Any]]:
    """The keys and values of a dict, found by keys that do not lie."""
    return {_plain(key): (key, content) for key, content in dict.items(value)}


def _plain(key: Any) -> tuple[object, object]:
    """What stands for a key or an element of a set, with its kind: True is not 1, and no other class is text."""
    if is_of(key, str):
        return str, text(key)
    figure = number(key)
    return (float, figure) if figure is not None else (type(key), key)


def _same_objects(got: Any, wanted: Any) -> bool:
    """Two values of a type that is not built in: the same one, equal dataclasses, or what the expected one says."""
    if got is wanted:
        return True
    if is_dataclass(wanted) and type(got) is type(wanted):
        return all(same(getattr(got, each.name), getattr(wanted, each.name)) for each in fields(wanted) if each.compare)
    return type(wanted).__eq__(wanted, got) is True  # type: ignore[call-arg]


def text(value: Any) -> str:
    """Text, or something derived from it, as plain text."""
    return str.__str__(value)
