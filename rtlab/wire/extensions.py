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
_PARAMETER = re.compile(
    rf';\s*(?P<name>{TOKEN.pattern})\s*(?:=\s*(?:(?P<plain>{TOKEN.pattern})|"(?P<quoted>(?:[^"\\]|\\.)*)")\s*)?'
)
"""RFC 6455 §9.1; what a quoted value holds once it is unquoted is for the extension to judge."""
_EXTENSION = re.compile(rf"\s*({TOKEN.pattern})\s*((?:{re.sub('[?]P<[a-z]+>', '?:', _PARAMETER.pattern)})*)(?:,|$)")


def parse_extensions(value: str) -> list[tuple[str, Parameters]]:
    """The extensions in a Sec-WebSocket-Extensions field (RFC 6455 §9.1), several fields joined by commas.

    Raises:
        HandshakeError: it does not follow the grammar.
    """
    found: list[tuple[str, Parameters]] = []
    position = 0
    while value[position:].strip(" \t,"):
        position += len(value[position:]) - len(value[position:].lstrip(" \t,"))
        match = _EXTENSION.match(value, position)
        if not match:
            shown = value[position : position + 60]
            raise HandshakeError(f"Sec-WebSocket-Extensions is malformed from {shown!r} on", rule="RFC 6455 §9.1")
        read = []
        for parameter in _PARAMETER.finditer(match[2]):
            quoted = parameter["quoted"]
            given = parameter["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            read.append((parameter["name"], given))
        found.append((match[1], tuple(read)))
        position = match.end()
    return found
