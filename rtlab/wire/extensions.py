"""The header in which extensions are negotiated: Sec-WebSocket-Extensions (RFC 6455 §9.1).

What lives here: its grammar, and the token of HTTP that it is made of. It must not know any extension; `deflate` is
one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from rtlab.errors import HandshakeError

__all__ = ["TOKEN", "Parameters", "parse_extensions"]

Parameters = Sequence[tuple[str, str | None]]
"""An extension's parameters, names and values; None for one without a value."""

TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 §5.6.2."""
_BETWEEN = re.compile(r"[ \t,]*")
_NAME = re.compile(rf"({TOKEN.pattern})[ \t]*")
_PARAMETER = re.compile(
    rf";[ \t]*(?P<name>{TOKEN.pattern})[ \t]*"
    rf'(?:=[ \t]*(?:(?P<plain>{TOKEN.pattern})|"(?P<quoted>(?:[^"\\]|\\.)*+)")[ \t]*)?'
)
"""RFC 6455 §9.1; what a quoted value holds once it is unquoted is for the extension to judge."""
_ESCAPED = re.compile(r"\\(.)")


def parse_extensions(value: str) -> list[tuple[str, Parameters]]:
    """The extensions in a Sec-WebSocket-Extensions field (RFC 6455 §9.1), several fields joined by commas.

    Raises:
        HandshakeError: it does not follow the grammar.
    """
    found: list[tuple[str, Parameters]] = []
    position = 0
    while (position := _past(_BETWEEN, value, position)) < len(value):
        start = position
        name = _NAME.match(value, position)
        if name is None:
            raise _malformed(value, start)
        position = name.end()
        read = []
        while (parameter := _PARAMETER.match(value, position)) is not None:
            quoted = parameter["quoted"]
            given = parameter["plain"] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            read.append((parameter["name"], given))
            position = parameter.end()
        if position < len(value) and value[position] != ",":
            raise _malformed(value, start)
        found.append((name[1], tuple(read)))
    return found


def _past(pattern: re.Pattern[str], value: str, position: int) -> int:
    """Where a pattern that may match nothing ends."""
    match = pattern.match(value, position)
    return position if match is None else match.end()


def _malformed(value: str, position: int) -> HandshakeError:
    shown = value[position : position + 60]
    return HandshakeError(f"Sec-WebSocket-Extensions is malformed from {shown!r} on", rule="RFC 6455 §9.1")
