"""One direction of an HTTP/1.1 connection, cut into messages (RFC 9112), whatever way the bytes are cut.

What lives here: where a message ends, and what its body is without chunks and compression. It must not know rows or
the other direction; whoever feeds it says which method a response answers. Nothing is enforced that is not needed to
find the end of a message: this is an instrument, not a server. No I/O.

Every byte that is fed comes out in exactly one `raw`, or is in `unfinished` at the end.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rtlab.errors import HandshakeError
from rtlab.wire.handshake import Request, Response, parse_request, parse_response

__all__ = ["BODY_BYTES", "HEAD_BYTES", "HttpMessage", "HttpReader", "StreamEvent", "decompress"]

HEAD_BYTES = 64 * 1024
"""Bytes of a head. More than any server accepts: a head that is refused is to be seen all the same."""
HEAD_LINES = 1_000
"""Lines of it."""
BODY_BYTES = 1024 * 1024
"""Bytes of a body that are kept, before and after decompression. What is longer is copied and counted."""
CHUNK_LINE = 4096
"""Bytes of the line before a chunk, extensions included (RFC 9112 §7.1.1)."""

BEGINNING = 1024
"""Bytes of the first line that are looked at before its end has come, each time that more of it comes."""

_BEGINS_REQUEST = re.compile(rb"[!#$%&'*+\-.^_`|~\w]{1,32}( [!-~]*( [HTP/.\d]*\r?)?)?")
_BEGINS_RESPONSE = re.compile(rb"HTTP/\d\.\d \d{3}( [^\r\n]*)?\r?")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(;.*)?\r?\n")
_EVENT_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


@dataclass(frozen=True)
class HttpMessage:
    """A request or a response, whole; or the head of an event stream, whose events follow."""

    head: Request | Response
    body: bytes
    """Without chunks, still compressed; the first `BODY_BYTES` of it."""
    body_size: int
    """Bytes of the whole body, without chunks."""
    raw: bytes
    """What it was made of on the wire; the first bytes of it."""
    size: int
    """Bytes on the wire."""
    streaming: bool = False
    """Whether events follow."""


@dataclass(frozen=True)
class StreamEvent:
    """One event of a ``text/event-stream``; None as its data is the end of the stream."""

    data: bytes | None
    raw: bytes
    size: int


class HttpReader:
    """Turns the bytes of one direction into messages.

    Args:
        method: gives the method that the next final response answers; None if this reads requests.
    """

    def __init__(self, method: Callable[[], str] | None = None) -> None:
        self._method = method
        self._buffer = bytearray()
        self._raw = bytearray()  # what has been consumed since the last message, or the beginning of that
        self._size = 0
        # a function, and no method of this object: it would keep itself until the cyclic collector comes
        self._step: Callable[[HttpReader], Iterator[HttpMessage | StreamEvent] | None] = HttpReader._read_head
        self._begun = False  # whether the first line of the head is whole, and was looked at
        self._head: Request | Response | None = None
        self._body = bytearray()
        self._body_size = 0
        self._searched = 0  # bytes of the buffer in which no head ends, or of the body in which no event does
        self._left = 0  # bytes of the body or the chunk that have not come yet
        self._streaming = False

    @property
    def arriving(self) -> Request | Response | None:
        """The head of the message whose body is arriving; None between messages, and in a head."""
        return self._head

    @property
    def unfinished(self) -> bytes:
        """The beginning of what has come of a message that is not whole."""
        return bytes(self._raw + self._buffer)

    @property
    def unfinished_size(self) -> int:
        """Bytes that have come of it."""
        return self._size + len(self._buffer)

    @property
    def expecting(self) -> str:
        """What would have to come next, in words; empty between messages."""
        if self._head is None:
            return "the rest of an HTTP head" if self.unfinished_size else ""
        if self._step is HttpReader._read_until_end:
            return ""
        return "the rest of an event stream" if self._streaming else "the rest of an HTTP body"

    @property
    def missing(self) -> int:
        """Bytes that the body needs which has begun, or the chunk; 0 if that is not known, or if events are in it."""
        return 0 if self._streaming else self._left

    def feed(self, data: bytes) -> Iterator[HttpMessage | StreamEvent]:
        """Take what has come; gives what is whole, one by one. Stop after a message, and `take_rest` has what follows.

        Raises:
            HandshakeError: this is no HTTP. What has not come out is in `unfinished`.
        """
        self._buffer += data
        while (found := self._step(self)) is not None:
            yield from found

    def take_rest(self) -> bytes:
        """What follows the message that was given last; this reader forgets it."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        return rest

    def end(self) -> HttpMessage | None:
        """TCP has ended: gives the response whose body goes to the end, if there is one (RFC 9112 §6.3)."""
        if self._step is HttpReader._read_until_end and not self._streaming:
            return self._finish()
        return None

    # Each step consumes something and gives what it made of it, or None if more has to come.

    def _read_head(self) -> Iterator[HttpMessage | StreamEvent] | None:
        while self._buffer[:2] == b"\r\n":  # RFC 9112 §2.2: allowed before a request line
            self._consume(2)
        if not self._buffer or self._buffer == b"\r":
            return None
        self._check_beginning()
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        if end < 0 and len(self._buffer) <= HEAD_BYTES:
            self._searched = max(0, len(self._buffer) - 3)  # an end may have begun
            return None
        self._searched = 0
        head = bytes(self._buffer[: end + 4] if end >= 0 else self._buffer)
        parse = parse_request if self._method is None else parse_response
        parsed = parse(head, max_bytes=HEAD_BYTES, max_lines=HEAD_LINES)
        assert parsed is not None  # it has its end, or it is too long and was refused
        self._head = parsed[0]
        self._consume(len(head))
        return self._begin_body(self._head)

    def _begin_body(self, head: Request | Response) -> Iterator[HttpMessage | StreamEvent]:
        """RFC 9112 §6.3: how long the body is."""
        codings, lengths = head.headers.tokens("Transfer-Encoding"), set(head.headers.tokens("Content-Length"))
        if isinstance(head, Response):
            interim = head.status < 200 and head.status != 101
            method = "" if interim or self._method is None else self._method()
            if (
                interim
                or head.status in {101, 204, 304}
                or method == "HEAD"
                or (method == "CONNECT" and head.status < 300)
            ):
                return iter((self._finish(),))
        if codings:
            chunked = codings[-1] == "chunked"
            self._step = HttpReader._read_chunk_size if chunked else HttpReader._read_until_end
        elif lengths:
            text = lengths.pop()
            if lengths or not re.fullmatch(r"[0-9]{1,18}", text):
                raise HandshakeError(f"expected one Content-Length, got {text[:20]!r}", rule="RFC 9112 §6.3")
            self._left = int(text)
            if not self._left:
                return iter((self._finish(),))
            self._step = HttpReader._read_length
        elif isinstance(head, Response):
            self._step = HttpReader._read_until_end
        else:
            return iter((self._finish(),))
        content_type = (head.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
        if content_type == "text/event-stream" and head.headers.get("Content-Encoding") is None:
            self._streaming = isinstance(head, Response)
        return iter((HttpMessage(head, b"", 0, *self._take_raw(), streaming=True),) if self._streaming else ())

    def _read_length(self) -> Iterator[HttpMessage | StreamEvent] | None:
        if not self._buffer:
            return None
        taken = self._consume(min(self._left, len(self._buffer)))
        self._left -= len(taken)
        return self._add(taken, done=not self._left)

    def _read_until_end(self) -> Iterator[HttpMessage | StreamEvent] | None:
        return self._add(self._consume(len(self._buffer)), done=False) if self._buffer else None

    def _read_chunk_size(self) -> Iterator[HttpMessage | StreamEvent] | None:
        end = self._buffer.find(b"\n", 0, CHUNK_LINE)
        if end < 0 and len(self._buffer) < CHUNK_LINE:
            return None
        match = _CHUNK_SIZE.fullmatch(self._buffer[: end + 1])
        if not match:
            shown = bytes(self._buffer[:20])
            raise HandshakeError(f"expected the size of a chunk, got {shown!r}", rule="RFC 9112 §7.1")
        self._consume(end + 1)
        self._left = int(match[1], 16)
        self._step = HttpReader._read_chunk if self._left else HttpReader._read_trailer
        return iter(())

    def _read_chunk(self) -> Iterator[HttpMessage | StreamEvent] | None:
        if not self._buffer:
            return None
        taken = self._consume(min(self._left, len(self._buffer)))
        self._left -= len(taken)
        if not self._left:
            self._step = HttpReader._read_chunk_end
        return self._add(taken, done=False)

    def _read_chunk_end(self) -> Iterator[HttpMessage | StreamEvent] | None:
        if len(self._buffer) < 2:
            return None
        if self._buffer[:2] != b"\r\n":
            raise HandshakeError("expected the end of a chunk", rule="RFC 9112 §7.1")
        self._consume(2)
        self._step = HttpReader._read_chunk_size
        return iter(())

    def _read_trailer(self) -> Iterator[HttpMessage | StreamEvent] | None:
        end = self._buffer.find(b"\n", 0, HEAD_BYTES)
        if end < 0:
            if len(self._buffer) >= HEAD_BYTES:
                raise HandshakeError("expected the end of the trailer section", rule="RFC 9112 §7.1.2")
            return None
        line = self._consume(end + 1)
        return iter(()) if line.strip() else self._add(b"", done=True)

    def _add(self, data: bytes, *, done: bool) -> Iterator[HttpMessage | StreamEvent]:
        """More of the body."""
        self._body_size += len(data)
        self._body += data[: max(0, BODY_BYTES - len(self._body))]
        if not self._streaming:
            return iter((self._finish(),) if done else ())
        return self._events(done)

    def _events(self, done: bool) -> Iterator[StreamEvent]:
        found = []
        while (match := _EVENT_END.search(self._body, self._searched)) is not None:
            event = bytes(self._body[: match.start()])
            del self._body[: match.end()]
            self._searched = 0
            found.append(StreamEvent(event, *self._take_raw()))  # several at once: the first has all their bytes
        self._searched = max(0, len(self._body) - 3)  # an end may have begun
        if len(self._body) >= BODY_BYTES:  # too long to wait for its end
            found.append(StreamEvent(bytes(self._body), *self._take_raw()))
            self._body.clear()
            self._searched = 0
        if done:
            found.append(StreamEvent(None, *self._take_raw()))
            self._reset()
        return iter(found)

    def _finish(self) -> HttpMessage:
        assert self._head is not None
        message = HttpMessage(self._head, bytes(self._body), self._body_size, *self._take_raw())
        self._reset()
        return message

    def _reset(self) -> None:
        self._head = None
        self._body.clear()
        self._body_size = self._searched = 0
        self._begun = self._streaming = False
        self._step = HttpReader._read_head

    def _consume(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        self._size += count
        self._raw += taken[: max(0, HEAD_BYTES + BODY_BYTES - len(self._raw))]
        return taken

    def _take_raw(self) -> tuple[bytes, int]:
        raw, size = bytes(self._raw), self._size
        self._raw.clear()
        self._size = 0
        return raw, size

    def _check_beginning(self) -> None:
        """Notice at once what cannot become HTTP, before its end comes."""
        if self._begun:
            return
        length = self._buffer.find(b"\n", 0, HEAD_BYTES)
        end = self._begun = length >= 0
        line = bytes(self._buffer[: length if end else BEGINNING])
        if self._method is None:
            fits = _BEGINS_REQUEST.fullmatch(line) and (not end or re.search(rb" HTTP/\d\.\d\r$", line))
        elif end:
            fits = _BEGINS_RESPONSE.fullmatch(line)
        else:
            fits = line[:5] == b"HTTP/"[: len(line)]  # type: ignore[assignment]
        if not fits:
            raise HandshakeError("no HTTP", rule="RFC 9112 §2.1")


def decompress(body: bytes, encoding: str | None) -> tuple[bytes, str]:
    """A body without its Content-Encoding, and what went wrong with that, in words. At most `BODY_BYTES` come out."""
    for coding in reversed([each.strip().lower() for each in (encoding or "").split(",") if each.strip()]):
        windows = {"gzip": (31,), "x-gzip": (31,), "deflate": (15, -15), "identity": ()}.get(coding)
        if windows is None:
            return body, f"the coding {coding[:20]} is not decoded here"
        problem = ""
        for window in windows:  # "deflate" means zlib's format (RFC 9110 §8.4.1.2), and some send it without the frame
            try:
                body = zlib.decompressobj(window).decompress(body, BODY_BYTES)
                break
            except zlib.error as error:
                problem = str(error)
        else:
            if problem:
                return body, f"expected the coding {coding}: {problem}"
    return body, ""
