"""One direction of a WebSocket connection, cut into frames and messages (RFC 6455 §5, RFC 7692), however it was cut.

What lives here: where a frame ends, and what it and its message say. It must not know rows or the other direction.
It is more patient than an endpoint may be: a frame that breaks the rules is given with the rule that it breaks, and
the next one is looked at as if nothing had happened. No I/O.

Every byte that is fed comes out in exactly one `raw`, or is in `unfinished` at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rtlab.errors import ProtocolError
from rtlab.wire.deflate import Deflate
from rtlab.wire.frames import LENGTH, LENGTH_16, LENGTH_64, MASK, Frame, FrameParser, Opcode

__all__ = ["LONG_BYTES", "MESSAGE_BYTES", "FrameReader", "FrameSeen"]

MESSAGE_BYTES = 1024 * 1024
"""Bytes of a message that is put together, inflated too. Longer ones are copied and counted, not shown."""
LONG_BYTES = 64 * 1024
"""Bytes that are kept of a frame that is longer than that."""


@dataclass(frozen=True)
class FrameSeen:
    """A frame that has gone by."""

    frame: Frame | None
    """None if it cannot be decoded. `problem` says why."""
    raw: bytes
    """As it was on the wire; the first bytes of a very long one."""
    size: int
    """Bytes on the wire."""
    content: str | bytes = b""
    """What its payload stands for: inflated, and text where it is text."""
    message: str | bytes | None = None
    """The message that it completes."""
    first: bool = True
    """Whether no fragments came before."""
    problem: str = ""


class FrameReader:
    """Turns the bytes of one direction into frames.

    Args:
        masked: whether the frames have to be masked: from a client, yes (§5.1).
        inflate: makes what decompresses this direction; None if no compression was agreed.
        forgets: whether each message is compressed without the ones before (RFC 7692 §7.1.1).
    """

    def __init__(self, *, masked: bool, inflate: Callable[[], Deflate] | None = None, forgets: bool = False) -> None:
        self._masked = masked
        self._inflate = inflate
        self._forgets = forgets
        self._deflate = inflate() if inflate else None
        self._lost = False  # a compressed message was not inflated, and the next ones refer to it
        self._parser = self._new_parser()
        self._buffer = bytearray()
        self._skipping = 0  # bytes of a very long frame that have not come yet
        self._long_size = 0
        self._long = b""
        self._message = _Message()

    @property
    def unfinished(self) -> bytes:
        """The beginning of a frame that is not whole."""
        return self._long if self._skipping else bytes(self._buffer)

    @property
    def unfinished_size(self) -> int:
        """Bytes that have come of it."""
        return self._long_size - self._skipping if self._skipping else len(self._buffer)

    @property
    def expecting(self) -> str:
        """What would have to come next, in words; empty between frames."""
        return "the rest of a WebSocket frame" if self.unfinished_size else ""

    @property
    def missing(self) -> int:
        """Bytes that the frame needs which has begun; 0 if that is not known."""
        if self._skipping:
            return self._skipping
        found = self._next_size()
        return 0 if found is None else max(0, found[0] - len(self._buffer))

    def feed(self, data: bytes) -> Iterator[FrameSeen]:
        """Take what has come; gives the frames that are whole, one by one. Never raises."""
        self._buffer += data
        while self._buffer:
            if self._skipping:
                part = bytes(self._buffer[: self._skipping])
                del self._buffer[: len(part)]
                self._skipping -= len(part)
                self._long += part[: max(0, LONG_BYTES - len(self._long))]
                if not self._skipping:
                    yield self._too_long()
                continue
            found = self._next_size()
            if found is None:
                return
            size, payload = found
            if payload > MESSAGE_BYTES:
                self._skipping = self._long_size = size
                self._long = b""
                continue
            if len(self._buffer) < size:
                return
            raw = bytes(self._buffer[:size])
            del self._buffer[:size]
            yield self._read(raw)

    def _next_size(self) -> tuple[int, int] | None:
        """How long the frame at the front is, and how long its payload (§5.2). None if its header is not whole."""
        if len(self._buffer) < 2:
            return None
        length = self._buffer[1] & LENGTH
        header = 2
        if length >= LENGTH_16:
            header += 8 if length == LENGTH_64 else 2
            if len(self._buffer) < header:
                return None
            length = int.from_bytes(self._buffer[2:header], "big")
        return header + length + (4 if self._buffer[1] & MASK else 0), length

    def _new_parser(self) -> FrameParser:
        return FrameParser(masked=self._masked, max_size=MESSAGE_BYTES, rsv1=self._deflate is not None)

    def _read(self, raw: bytes) -> FrameSeen:
        try:
            frame = next(self._parser.feed(raw))
        except ProtocolError as error:
            self._parser = self._new_parser()
            return FrameSeen(None, raw, len(raw), problem=str(error))
        if frame.opcode >= Opcode.CLOSE:
            return FrameSeen(frame, raw, len(raw), frame.payload)
        try:
            content, message, first = self._message.add(frame, self._payload(frame))
            return FrameSeen(frame, raw, len(raw), content, message, first)
        except ProtocolError as error:
            first = self._message.opcode is None
            self._message = _Message(lost=not frame.fin)
            return FrameSeen(frame, raw, len(raw), frame.payload, None, first, str(error))

    def _payload(self, frame: Frame) -> bytes:
        compressed = frame.rsv1 if frame.opcode is not Opcode.CONTINUATION else self._message.compressed
        if not compressed or self._deflate is None:
            return frame.payload
        if self._lost:
            raise ProtocolError("it refers to a compressed message that was not inflated", rule="RFC 7692 §7.2")
        try:
            return self._deflate.decompress(frame.payload, MESSAGE_BYTES - self._message.size, fin=frame.fin)
        except ProtocolError:
            self._lose()
            raise

    def _lose(self) -> None:
        if self._forgets and self._inflate is not None:
            self._deflate = self._inflate()
        else:
            self._lost = True

    def _too_long(self) -> FrameSeen:
        first, self._message = self._long[0], _Message(lost=True)
        opcode = first & 0b1111
        if self._deflate is not None:
            self._lose()
        name = Opcode(opcode).name if opcode in set(Opcode) else f"opcode {opcode:#x}"
        problem = f"{name} of {self._long_size:,} bytes: longer than the {MESSAGE_BYTES:,} that are decoded here"
        seen = FrameSeen(None, self._long, self._long_size, problem=problem)
        self._long = b""
        return seen


class _Message:
    """The message that is arriving (§5.4).

    Args:
        lost: its beginning was not kept, so its end cannot be told.
    """

    def __init__(self, *, lost: bool = False) -> None:
        self.opcode: Opcode | None = None
        self.compressed = False
        self.size = 0
        self._parts = bytearray()
        self._lost = lost

    def add(self, frame: Frame, payload: bytes) -> tuple[str | bytes, str | bytes | None, bool]:
        """The frame's content, the message if it ends here, and whether no fragments came before.

        Raises:
            ProtocolError: the frame breaks §5.4 or §8.1, or the message is too long.
        """
        first = frame.opcode is not Opcode.CONTINUATION
        if first:
            if self.opcode is not None:
                raise ProtocolError("a new message within a fragmented one", rule="RFC 6455 §5.4")
            self.opcode, self.compressed, self._lost = frame.opcode, frame.rsv1, False
        elif self.opcode is None and not self._lost:
            raise ProtocolError("a continuation of no message", rule="RFC 6455 §5.4")
        self.size += len(payload)
        if self.size > MESSAGE_BYTES:
            raise ProtocolError(
                f"a message longer than the {MESSAGE_BYTES:,} bytes decoded here", rule="RFC 6455 §10.4"
            )
        self._parts += payload
        text = self.opcode is Opcode.TEXT
        whole: str | bytes | None = None
        if frame.fin:
            if not self._lost:
                whole = _decode(bytes(self._parts)) if text else bytes(self._parts)
            self._clear()
            if first and whole is not None:
                return whole, whole, first
        return payload.decode(errors="replace") if text else payload, whole, first

    def _clear(self) -> None:
        self.opcode, self.compressed, self.size, self._lost = None, False, 0, False
        self._parts.clear()


def _decode(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        octets = data[error.start : error.start + 4].hex(" ")
        raise ProtocolError(f"text that is not UTF-8: {octets}", rule="RFC 6455 §8.1") from None
