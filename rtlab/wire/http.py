"""The two HTTP messages of the opening handshake, as values and as bytes (RFC 9112).

What lives here: reading and writing the head of a request and of a response, within limits. It must not know what
makes an upgrade; `handshake` does.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from http import HTTPStatus

from rtlab.errors import HandshakeError
from rtlab.wire.extensions import TOKEN

__all__ = [
    "HEADER_BYTES",
    "HEADER_LINES",
    "HeadBuffer",
    "Headers",
    "Request",
    "Response",
    "parse_request",
    "parse_response",
    "shown",
]

HEADER_BYTES = 16 * 1024
"""Bytes that the head of a message may have. Browsers send one or two thousand, cookies included."""
HEADER_LINES = 100
"""Lines that it may have. Browsers send about 20."""

_END = b"\r\n\r\n"
"""What ends a head: the end of its last line, and an empty one (RFC 9112 §2.1)."""
_REQUEST_LINE = re.compile(rf"(?P<method>{TOKEN.pattern}) (?P<target>[!-~]+) HTTP/(?P<version>\d\.\d)")
_STATUS_LINE = re.compile(r"HTTP/(?P<version>\d\.\d) (?P<status>\d{3})(?: (?P<reason>[^\x00-\x08\x0a-\x1f\x7f]*))?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""What a field's value must not contain (RFC 9110 §5.5)."""
_ORIGIN_OF_TARGET = re.compile(r"https?://(?P<authority>[^/?#]*)", re.IGNORECASE)
"""What an absolute-form target has before its path (RFC 9112 §3.2.2)."""


class Headers(tuple[tuple[str, str], ...]):
    """Header fields in their order. Names are compared without regard to case (RFC 9110 §5.1)."""

    __slots__ = ()

    def all(self, name: str) -> list[str]:
        """The values of every field of that name."""
        return [value for each, value in self if each.lower() == name.lower()]

    def get(self, name: str) -> str | None:
        """The values joined by commas, as RFC 9110 §5.3 allows; None if there is no such field."""
        values = self.all(name)
        return ", ".join(values) if values else None

    def tokens(self, name: str) -> list[str]:
        """The elements of a comma-separated field, in lower case."""
        return [token for token in (each.strip().lower() for each in (self.get(name) or "").split(",")) if token]


@dataclass(frozen=True)
class Request:
    """The client's half (§4.1)."""

    target: str
    """The request target: "/chat?room=lobby"."""
    headers: Headers
    method: str = "GET"
    version: str = "1.1"
    """Of HTTP."""

    @property
    def authority(self) -> str | None:
        """The host and port in an absolute-form target; None in one that begins with a path (RFC 9112 §3.2)."""
        absolute = _ORIGIN_OF_TARGET.match(self.target)
        return absolute["authority"] if absolute else None

    @property
    def path(self) -> str:
        """The path in the target, in either form, without the query."""
        absolute = _ORIGIN_OF_TARGET.match(self.target)
        return (self.target[absolute.end() :] if absolute else self.target).partition("?")[0] or "/"

    def __bytes__(self) -> bytes:
        return _encode(f"{self.method} {self.target} HTTP/{self.version}", self.headers)


@dataclass(frozen=True)
class Response:
    """The server's half (§4.2.2), or its refusal."""

    status: int
    """101 or a refusal (RFC 9110 §15)."""
    headers: Headers
    body: bytes = b""
    reason: str = ""
    """Empty takes the usual phrase for the status."""

    def __bytes__(self) -> bytes:
        phrase = self.reason or HTTPStatus(self.status).phrase
        return _encode(f"HTTP/1.1 {self.status} {phrase}", self.headers) + self.body


def parse_request(
    data: bytes, *, max_bytes: int = HEADER_BYTES, max_lines: int = HEADER_LINES
) -> tuple[Request, bytes] | None:
    """Read the head of a request from what has arrived.

    Returns:
        The request and the bytes that follow it, or None if its end has not arrived.

    Raises:
        HandshakeError: it is no HTTP/1.x request (400, 505), or too long (431, 414).
    """
    split = _head(data, max_bytes, max_lines)
    if split is None:
        return None
    line, headers, rest = split
    match = _REQUEST_LINE.fullmatch(line)
    if not match:
        raise HandshakeError(f"expected a request line, got {shown(line)}", rule="RFC 9112 §3")
    if match["version"] not in {"1.0", "1.1"}:
        raise HandshakeError(f"expected HTTP/1.1, got HTTP/{match['version']}", rule="RFC 9112 §2.3", status=505)
    return Request(match["target"], headers, match["method"], match["version"]), rest


def parse_response(
    data: bytes, *, max_bytes: int = HEADER_BYTES, max_lines: int = HEADER_LINES
) -> tuple[Response, bytes] | None:
    """Read the head of a response from what has arrived. Its body, if any, is in the bytes that follow.

    Raises:
        HandshakeError: it is no HTTP/1.x response, or too long.
    """
    split = _head(data, max_bytes, max_lines)
    if split is None:
        return None
    line, headers, rest = split
    match = _STATUS_LINE.fullmatch(line)
    if not match:
        raise HandshakeError(f"expected a status line, got {shown(line)}", rule="RFC 9112 §4")
    return Response(int(match["status"]), headers, reason=match["reason"] or ""), rest


class HeadBuffer:
    """The head of a message while it arrives. Every byte is looked at once, however the head is cut.

    What it holds at most: `max_bytes` and what was added last.
    """

    def __init__(self, *, max_bytes: int = HEADER_BYTES, max_lines: int = HEADER_LINES) -> None:
        self.max_bytes = max_bytes
        self.max_lines = max_lines
        self._arrived = bytearray()
        self._lines = 0

    def add(self, data: bytes) -> bytes | None:
        """Take what has arrived next; gives all of it once the head is whole, None before.

        Raises:
            HandshakeError: the head is too long (431). The buffer is empty afterwards.
        """
        new = max(0, len(self._arrived) - len(_END) + 1)  # the end may have begun in what was there before
        self._arrived += data
        end = self._arrived.find(_END, new)
        if end < 0:
            self._lines += data.count(b"\n")
        if end > self.max_bytes or (end < 0 and len(self._arrived) > self.max_bytes):
            self._arrived = bytearray()
            raise _too_many_bytes(self.max_bytes)
        if end < 0 and self._lines > self.max_lines:
            self._arrived = bytearray()
            raise _too_many_lines(self.max_lines)
        if end < 0:
            return None
        whole, self._arrived = bytes(self._arrived), bytearray()
        return whole


def _head(data: bytes, max_bytes: int, max_lines: int) -> tuple[str, Headers, bytes] | None:
    """The first line, the fields and what follows; None if the empty line has not arrived."""
    head, end, rest = data.partition(_END)
    if len(head) > max_bytes:
        raise _too_many_bytes(max_bytes)
    if not end:
        if head.count(b"\n") > max_lines:
            raise _too_many_lines(max_lines)
        return None
    line, *lines = head.decode("latin-1").split("\r\n")
    if len(lines) > max_lines:
        raise _too_many_lines(max_lines)
    return line, Headers(map(_field, lines)), rest


def _field(line: str) -> tuple[str, str]:
    """Name and value of a field (RFC 9112 §5): no space before the colon, no control characters in the value.

    No pattern does this at once: blanks may stand around the value and in it, and a pattern that has to find out which
    is which tries every division of a row of blanks.
    """
    name, colon, value = line.partition(":")
    if not colon or not TOKEN.fullmatch(name) or _CONTROL.search(value):
        raise HandshakeError(f"expected a header field, got {shown(line)}", rule="RFC 9112 §5")
    return name, value.strip(" \t")


def _too_many_bytes(most: int) -> HandshakeError:
    return HandshakeError(f"expected at most {most} bytes of header", rule="RFC 6585 §5", status=431)


def _too_many_lines(most: int) -> HandshakeError:
    return HandshakeError(f"expected at most {most} lines of header", rule="RFC 6585 §5", status=431)


def _encode(line: str, headers: Headers) -> bytes:
    return "\r\n".join([line, *(f"{name}: {value}" for name, value in headers), "", ""]).encode("latin-1")


def shown(text: str) -> str:
    """A piece of what came, for a message: its repr, cut after 60 characters."""
    return repr(text if len(text) <= 60 else text[:60] + "…")
