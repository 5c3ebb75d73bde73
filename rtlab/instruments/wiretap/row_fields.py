"""What has been read, as the fields of a row: HTTP messages, events of a stream, frames.

What lives here: pure functions. They must not know connections, nor what came before.
"""

from __future__ import annotations

from typing import Any

from rtlab.instruments.transcript.rows import Kind
from rtlab.instruments.transcript.wording import (
    describe_body,
    describe_fields,
    describe_frame,
    describe_head,
    describe_raw,
    quote,
)
from rtlab.instruments.wiretap.frame_reader import FrameSeen
from rtlab.instruments.wiretap.http_messages import HttpMessage, StreamEvent, decompress
from rtlab.wire.handshake import Request

__all__ = ["event_fields", "frame_fields", "http_fields"]


def http_fields(message: HttpMessage, *, handshake: bool) -> tuple[dict[str, Any], bool]:
    """An HTTP message, and whether its whole body could be read.

    Args:
        message: as it was read.
        handshake: whether it asks for a WebSocket, or answers that.
    """
    head = message.head
    coding = head.headers.get("Content-Encoding")
    body, trouble = decompress(message.body, coding)
    details = describe_fields(head.headers, handshake=handshake)
    shown = _text(body)
    whole = len(message.body) == message.body_size
    if message.body_size:
        details.append(describe_body(shown, message.body_size if whole and coding is None else len(body)))
    kind = Kind.REQUEST if isinstance(head, Request) else Kind.RESPONSE
    fields = {
        "kind": Kind.HANDSHAKE if handshake else kind,
        "summary": describe_head(head) + (", an event stream begins" if message.streaming else ""),
        "details": tuple(details),
        "problem": trouble,
        "body": shown if message.body_size else None,
        "size": message.size,
        "raw": message.raw,
    }
    return fields, whole and not trouble


def event_fields(event: StreamEvent) -> dict[str, Any]:
    """One event of a stream, or its end."""
    fields: dict[str, Any] = {"kind": Kind.EVENT, "size": event.size, "raw": event.raw}
    if event.data is None:
        return fields | {"summary": "the event stream ends"}
    text = event.data.decode(errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    data = [line[5:].removeprefix(" ") for line in lines if line.startswith("data:")]
    message = "\n".join(data) if data else None
    return fields | {"summary": f"EVENT {quote(' '.join(lines) if message is None else message)}", "message": message}


def frame_fields(seen: FrameSeen) -> dict[str, Any]:
    """A frame."""
    if seen.frame is None:
        summary, opcode = f"a frame of {describe_raw(seen.raw, seen.size)}", ""
    else:
        opcode = seen.frame.opcode.name
        summary = describe_frame(seen.frame, seen.content, seen.message if not seen.first else None)
    return {
        "kind": Kind.FRAME,
        "summary": summary,
        "opcode": opcode,
        "message": seen.message,
        "problem": seen.problem,
        "size": seen.size,
        "raw": seen.raw,
    }


def _text(body: bytes) -> str | bytes:
    """Text where it is UTF-8."""
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
