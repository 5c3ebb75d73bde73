"""One line for people, of everything that goes over the wire.

What lives here: pure functions from what was decoded to the words that stand in a transcript. They must not know
how it was decoded. What differs from run to run is replaced by `labels` afterwards, and only then is a line cut: so
what is cut off cannot change the line.
"""

from __future__ import annotations

from collections.abc import Iterable

from rtlab.wire.frames import Frame, Opcode
from rtlab.wire.handshake import Headers, Request, Response

__all__ = ["DETAIL", "LINE", "SCANNED", "describe_body", "describe_fields", "describe_frame", "describe_head",
           "describe_raw", "printable", "quote", "shorten"]  # fmt: skip

LINE, DETAIL = 68, 120
"""Characters that are shown of the first line of a row, and of the others. The extensions that are agreed on take
about 100."""
SCANNED = 4096
"""Bytes of a text that are looked at for its line: labels make it shorter, and seldom by this much."""
RANDOM = 4
"""Bytes of a ping that are random: the `websockets` library tells its pings apart by them. They are shown in
hexadecimal always, for a label to take their place."""
HEX, CUT = 12, " …"
"""Bytes of binary data that are shown, and what stands for the others."""

HANDSHAKE_FIELDS = ("upgrade", "connection", "origin", "sec-websocket-", "allow", "location", "cookie", "authorization")
"""The header fields of a handshake that are shown; a name that ends with - stands for all that begin with it. Date,
Server, User-Agent and the like say nothing about the conversation, and differ from machine to machine."""
HTTP_FIELDS = ("origin", "access-control-", "content-type", "content-encoding", "location", "allow", "upgrade",
               "cookie", "set-cookie", "authorization", "last-event-id", "retry-after")  # fmt: skip
"""The same for any other HTTP message."""


def printable(text: str) -> str:
    """The text without anything that would move a terminal's cursor or break a picture: escapes stand for it."""
    return text if text.isprintable() else "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def shorten(line: str, width: int = LINE) -> str:
    """The line, or as much of it as is shown."""
    return line if len(line) <= width else line[: width - 1] + "…"


def quote(data: str | bytes) -> str:
    """What data looks like: text in quotes, other bytes in hexadecimal."""
    if isinstance(data, str):
        return repr(data[:SCANNED])
    head = data[:SCANNED]
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < SCANNED - 3:  # not just a character that the limit has cut
            return _hex(data)
        text = head[: error.start].decode()
    return repr(text) if all(each.isprintable() or each in "\r\n\t" for each in text) else _hex(data)


def describe_head(head: Request | Response) -> str:
    """The first line of an HTTP message."""
    if isinstance(head, Request):
        return printable(f"{head.method} {head.target[:SCANNED]}")
    return printable(f"{head.status} {head.reason[:SCANNED]}".rstrip())


def describe_fields(headers: Headers, *, handshake: bool) -> list[str]:
    """The header fields that are shown."""
    shown = HANDSHAKE_FIELDS if handshake else HTTP_FIELDS
    return [
        printable(f"{name}: {value[:SCANNED]}")
        for name, value in headers
        if any(name.lower() == each or (each[-1] == "-" and name.lower().startswith(each)) for each in shown)
    ]


def describe_body(body: str | bytes, size: int) -> str:
    """A body that is not empty.

    Args:
        body: its beginning, decoded as far as possible.
        size: bytes that it has, without chunks and compression.
    """
    return _with_size("body", quote(body), size)


def describe_frame(frame: Frame, content: str | bytes, message: str | bytes | None) -> str:
    """One frame.

    Args:
        frame: as it came.
        content: what its payload stands for: inflated, and text where it is text.
        message: the message that it completes, if it is more than this one frame.
    """
    words = [frame.opcode.name]
    if frame.rsv1:
        words.append("compressed")
    if frame.opcode is Opcode.CLOSE:
        return _describe_close(frame.payload)
    if frame.opcode is Opcode.CONTINUATION:
        words.append("the last part" if frame.fin else "more to come")
    elif not frame.fin:
        words.append("the first part")
    lead = ", ".join(words)
    size = len(content.encode()) if isinstance(content, str) else len(content)
    if frame.opcode in {Opcode.PING, Opcode.PONG}:
        if not size:
            return lead
        if size == RANDOM:
            return f"{lead}, {_count(size)}: {_hex(frame.payload)}"
    line = _with_size(lead, quote(content), size)
    return line if message is None else f"{line}, the whole: {quote(message)}"


def describe_raw(data: bytes, size: int) -> str:
    """Bytes that are nothing else."""
    return f"{_count(size)}: {quote(data)}"


def _describe_close(payload: bytes) -> str:
    if len(payload) < 2:
        return "CLOSE without a code" if not payload else f"CLOSE: {_hex(payload)}"
    reason = f" {quote(payload[2:])}" if payload[2:] else ""
    return f"CLOSE {int.from_bytes(payload[:2], 'big')}{reason}"


def _with_size(lead: str, quoted: str, size: int) -> str:
    """The size is said where the data is longer than what is shown of it."""
    if len(lead) + 2 + len(quoted) > LINE or size > SCANNED or quoted.endswith(CUT):
        return f"{lead}, {_count(size)}: {quoted}"
    return f"{lead}{', ' if ',' in lead else ' '}{quoted}"


def _count(size: int) -> str:
    return "1 byte" if size == 1 else f"{size:,} bytes"


def _hex(data: Iterable[int]) -> str:
    octets = bytes(data)
    return octets[:HEX].hex(" ") + (CUT if len(octets) > HEX else "")
