"""Stable labels: the same conversation reads the same, whatever ports, keys and ids it got this time.

What lives here: what is replaced, as a table of patterns, and `Labels`, which gives each value its label and remembers
it. Only what is shown is changed; the raw bytes of a row stay what they were.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from rtlab.errors import UsageError

__all__ = ["PATTERNS", "REMEMBERED", "Labels", "make_labels"]

PATTERNS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("KEY", r"(?i)sec-websocket-key: ([\w+/=]+)", ("-",)),
    ("ACCEPT", r"(?i)sec-websocket-accept: ([\w+/=]+)", ("-",)),
    ("ACCEPT", r", got ([\w+/=]{20,}) \(RFC 6455", (", got ",)),
    ("DATA", r"^P[IO]NG, 4 bytes: ([0-9a-f ]{11})$", ("4 bytes: ",)),
    ("TOKEN", r"\b(eyJ[\w-]+\.[\w-]+\.[\w-]*)", ("eyJ",)),
    ("SID", r"""\bsid(?:=|['"]: ?['"])([\w.:-]+)""", ("sid",)),
    ("ID", r"\b([0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12})\b", ("-",)),
    ("PORT", r"""(?:127\.0\.0\.\d+|localhost|::1\]?)(?::|['"], ?)(\d{1,5})\b""", ("127.0.0.", "localhost", "::1")),
    ("TIME", r"\b(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?)", ("-",)),
    ("TIME", r"(?<![\d.])(1[6-9]\d{8}(?:\d{3})?(?:\.\d+)?)(?![\d.])", ("16", "17", "18", "19")),
    ("TIME", r"[?&]t=([\w.-]+)", ("t=",)),
)
"""Name of the label; a pattern whose one group is what it stands for; and texts of which one is in all that the pattern
finds, because to look for those is ten times faster. A time gets no number: it never comes again. The last but one is a
Unix time in seconds or milliseconds; the last one what Engine.IO clients put into a URL to get around caches."""
UNNUMBERED = {"TIME"}
_LONG = re.compile(r"(?:sid:)?[\w-]{16,}")
"""What may be a marked value: Engine.IO and Socket.IO make ids of 20 characters from this alphabet, and
`rtlab.realtime` puts a prefix before them."""
_MARK = re.compile(r"(?:session|socket)-\d+")
"""The label of one, where a session id would stand."""
REMEMBERED = 20_000
"""Labels. Older ones are forgotten: a value that comes back after so many others gets a new one."""


class Labels:
    """Gives labels: KEY-1 for the first key that is seen, KEY-2 for the next. `make_labels` makes one."""

    def __init__(
        self,
        patterns: Sequence[tuple[str, re.Pattern[str], tuple[str, ...]]],
        given: dict[tuple[str, str], str],
        counts: Counter[str],
    ) -> None:
        self._patterns = patterns
        self._given = given
        self._counts = counts
        self._marked: dict[str, str] = {}
        self._clients: dict[int, int] = {}
        self._last_client = 0

    def ahead(self) -> Labels:
        """The same labels, for a look ahead: what it gives is not remembered here."""
        ahead = Labels(self._patterns, self._given.copy(), self._counts.copy())
        ahead._marked = self._marked.copy()
        ahead._clients = self._clients.copy()
        ahead._last_client = self._last_client
        return ahead

    def client(self, number: int) -> int:
        """The client whose first connection has this number: 1 for the first that is seen, 2 for the next."""
        label = self._clients.get(number)
        if label is None:
            self._last_client += 1
            label = self._clients[number] = self._last_client
            if len(self._clients) > REMEMBERED:
                del self._clients[next(iter(self._clients))]
        return label

    def mark(self, name: str, value: str) -> str:
        """From now on this value has a label wherever it stands: an id in a message's data, in the name of a room.

        Args:
            name: of the label: "session".
            value: a long random one. A short one gets its label too, but could be a word of any text, and stays there.
        """
        label = self._marked.get(value)
        if label is None:
            self._counts[name] += 1
            label = self._marked[value] = f"{name}-{self._counts[name]}"
            if len(self._marked) > REMEMBERED:
                del self._marked[next(iter(self._marked))]
        return label

    def apply(self, text: str) -> str:
        """The text with labels in it."""
        if not text:
            return text
        if self._marked:
            text = _LONG.sub(lambda match: self._marked.get(match[0], match[0]), text)
        for name, pattern, signs in self._patterns:
            for sign in signs:
                if sign in text:
                    text = pattern.sub(lambda match, name=name: self._replace(name, match), text)  # type: ignore[misc]
                    break
        return text

    def _replace(self, name: str, match: re.Match[str]) -> str:
        whole, start = match[0], match.start()
        label = self._label(name, match[1])
        return whole[: match.start(1) - start] + label + whole[match.end(1) - start :]

    def _label(self, name: str, value: str) -> str:
        if name in UNNUMBERED:
            return name
        if name == "SID" and (value in self._marked or _MARK.fullmatch(value)):
            return self._marked.get(value, value)
        label = self._given.get((name, value))
        if label is None:
            self._counts[name] += 1
            label = self._given[name, value] = f"{name}-{self._counts[name]}"
            if len(self._given) > REMEMBERED:
                del self._given[next(iter(self._given))]
        return label


def make_labels(extra: Mapping[str, str] | None = None, known: Mapping[tuple[str, str], str] | None = None) -> Labels:
    """Labels for a new recording.

    Args:
        extra: patterns of one's own, by the name of the label; each has one group.
        known: values that have a label from the start: ``{("PORT", "50123"): "TAP"}``.

    Raises:
        UsageError: a pattern is no regular expression, or has not exactly one group.
    """
    patterns = []
    own = [(name, pattern, ("",)) for name, pattern in (extra or {}).items()]
    for name, pattern, signs in [*own, *PATTERNS]:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise UsageError(f"The pattern for the label {name} is {pattern!r}: {error}.") from None
        if compiled.groups != 1:
            raise UsageError(
                f"Expected one group in the pattern for the label {name}, which holds what is replaced; "
                f"got {compiled.groups} in {pattern!r}."
            )
        patterns.append((name, compiled, signs))
    return Labels(patterns, dict(known or {}), Counter())
