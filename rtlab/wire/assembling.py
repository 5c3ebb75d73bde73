"""Whole messages out of data frames: fragments, decompression, UTF-8 (RFC 6455 §5.4 and §8.1, RFC 7692 §6).

What lives here: `MessageAssembler`, which keeps the message that is arriving, and its limits. It must not know control
frames nor the closing handshake; `protocol` does.
"""

from __future__ import annotations

import codecs

from rtlab.errors import ProtocolError
from rtlab.wire.deflate import Deflate
from rtlab.wire.events import BinaryMessage, TextMessage
from rtlab.wire.frames import CloseCode, Frame, FrameParser, Opcode

__all__ = ["MAX_FRAGMENTS", "MAX_MESSAGE_SIZE", "MessageAssembler", "not_utf8"]

MAX_MESSAGE_SIZE = 1024 * 1024
"""Bytes that a message may have on the wire, and after decompression. As a `str` it may take four times that."""
MAX_FRAGMENTS = 1024
"""Frames that a message may consist of: each costs an object, however little it carries."""


class MessageAssembler:
    """The message that is arriving.

    What it holds at most, in bytes of memory: `max_size` of decompressed fragments, and the parser as much again of
    the frame that arrives. While a message is put together there are for a moment its fragments, its bytes and its
    `str` side by side, seven times `max_size`.

    Args:
        parser: gives the frames; it is told how large the next one may be.
        deflate: the compression that the handshake has agreed on.
        max_size: bytes; a longer message is refused with 1009.
        max_fragments: frames of one message; more are refused with 1008.
    """

    def __init__(self, parser: FrameParser, deflate: Deflate | None, max_size: int, max_fragments: int) -> None:
        self.deflate = deflate
        self.max_size = max_size
        self.max_fragments = max_fragments
        self._parser = parser
        self._opcode: Opcode | None = None
        self._compressed = False
        self._fragments: list[bytes] = []
        self._count = 0
        self._size = 0
        # How far its text has been checked before its end: whole fragments, and bytes of the frame that is arriving.
        self._checker: codecs.IncrementalDecoder | None = None
        self._checked = (0, 0)
        self._discarding = False

    def discard(self) -> None:
        """Nobody wants messages any more: from now on frames are held to their order and size, and nothing is kept,
        decompressed or decoded. For good: the decompressor does not know what it has missed (RFC 7692 §7.2.2)."""
        self._discarding = True
        self._forget()

    def add(self, frame: Frame) -> TextMessage | BinaryMessage | None:
        """Take the next data frame; gives the message if it ends there.

        Raises:
            ProtocolError: the frame has no place here, or the message is too long or no UTF-8.
        """
        if frame.opcode is Opcode.CONTINUATION:
            if self._opcode is None:
                raise ProtocolError("a continuation of no message", rule="RFC 6455 §5.4")
            if frame.rsv1:
                raise ProtocolError("RSV1 on a continuation", rule="RFC 7692 §6.1")
        else:
            if self._opcode is not None:
                raise ProtocolError("a new message within a fragmented one", rule="RFC 6455 §5.4")
            self._opcode, self._compressed = frame.opcode, frame.rsv1
        payload = frame.payload
        if self._discarding:
            if frame.fin:
                self._opcode = None
            return None
        if self._compressed:
            assert self.deflate is not None  # else the parser refuses RSV1
            payload = self.deflate.decompress(payload, self.max_size - self._size, fin=frame.fin)
        if not frame.fin:
            self._count += 1
            if self._count >= self.max_fragments:
                raise ProtocolError(
                    f"expected messages of at most {self.max_fragments} frames",
                    rule="RFC 6455 §10.4",
                    code=CloseCode.POLICY_VIOLATION,
                )
            self._fragments.append(payload)
            self._size += len(payload)
            self._parser.max_size = self.max_size - (0 if self._compressed else self._size)
            return None
        if self._fragments:
            payload = b"".join([*self._fragments, payload])
        opcode = self._opcode
        if self._count or self._checker is not None:
            self._forget()
        self._opcode = None
        if opcode is Opcode.BINARY:
            return BinaryMessage(payload)
        try:
            return TextMessage(payload.decode())
        except UnicodeDecodeError as error:
            raise not_utf8(error) from None

    def check_early(self) -> None:
        """Check what has arrived of a text message (§8.1): bad UTF-8 is answered before the message ends.

        Raises:
            ProtocolError: 1007.
        """
        if self._discarding or (self._opcode is None and self._parser.arriving is None):
            return
        opcode, compressed, arrived = self._parser.arriving or (Opcode.CONTINUATION, False, bytearray())
        if opcode is Opcode.TEXT or (opcode is Opcode.CONTINUATION and self._opcode is Opcode.TEXT):
            if compressed or self._compressed:
                arrived = bytearray()
        elif self._opcode is Opcode.TEXT:
            arrived = bytearray()  # a control frame is arriving between fragments
        else:
            return
        if self._checker is None:
            self._checker = codecs.getincrementaldecoder("utf-8")()
        fragments, size = self._checked
        try:
            for fragment in self._fragments[fragments:]:
                self._checker.decode(fragment[size:])
                size = 0
            self._checker.decode(arrived[size:])
        except UnicodeDecodeError as error:
            raise not_utf8(error) from None
        self._checked = (len(self._fragments), max(size, len(arrived)))

    def _forget(self) -> None:
        self._fragments.clear()
        self._count = self._size = 0
        self._parser.max_size = self.max_size
        self._checker = None
        self._checked = (0, 0)


def not_utf8(error: UnicodeDecodeError) -> ProtocolError:
    """The error for octets that are no text (§8.1)."""
    octets = error.object[error.start : error.start + 4].hex(" ")
    return ProtocolError(
        f"text that is not UTF-8: {octets} ({error.reason})"[:123], rule="RFC 6455 §8.1", code=CloseCode.INVALID_DATA
    )
