"""The frames of a WebSocket that a server sends, without those that carry an ack (RFC 6455 §5).

What lives here: `FrameSieve`, which cuts a stream of frames, and lets each message through or not, frame by frame and
as it was. It must not know what an ack is; `ack_packets` does. No I/O.

A message is let through as soon as its first bytes say what it is, and so its frames wait no longer than those. What
comes between the frames of a message goes on at once: pings, pongs and closes.
"""

from __future__ import annotations

from rtlab.instruments.faults.ack_packets import AckPackets
from rtlab.wire.frames import CONTROL, FIN, LENGTH, LENGTH_16, LENGTH_64, MASK, OPCODE, RSV1, RSV2, RSV3, Opcode

__all__ = ["HELD_BYTES", "FrameSieve"]

HELD_BYTES = 1024 * 1024
"""Bytes of frames that wait until one can say what they are. More, and they go on: no ack of a lesson is as long."""

BEGINNING = 16
"""Bytes of a message that are looked at while it is not whole, each time that more of it comes."""


class FrameSieve:
    """Takes the acks out of what a server sends.

    Args:
        packets: knows the session.
    """

    def __init__(self, packets: AckPackets) -> None:
        self._packets = packets
        self._header = b""  # the beginning of one
        self._missing = 0  # bytes of the payload that have not come yet
        self._control = False  # whether this is a control frame
        self._ends = False  # whether this frame ends its message
        self._opcode: int | None = None  # of the message that is arriving
        self._known = False  # whether its frames can be read: they are neither masked nor compressed
        self._swallowed: bool | None = False  # what becomes of it; None: nobody knows yet
        self._begin = bytearray()  # of its payload
        self._held = bytearray()  # its frames, while nobody knows

    @property
    def unfinished(self) -> bytes:
        """What waits: frames of which nobody knows yet what they are, or a header that is not whole."""
        return bytes(self._held) + self._header

    @property
    def missing(self) -> int:
        """Bytes that the frame needs which has begun."""
        return self._missing

    def feed(self, data: bytes, *, swallowing: bool) -> bytes:
        """Take what has come; gives what goes on."""
        out = bytearray()
        data, self._header = self._header + data, b""
        position = 0
        while position < len(data):
            if self._missing:
                part = data[position : position + self._missing]
                self._missing -= len(part)
                position += len(part)
                self._pass(out, part, b"" if self._control else part, swallowing)
            else:
                after = self._after_header(data, position)
                if after is None:
                    self._header = data[position:]
                    break
                self._pass(out, data[position:after], b"", swallowing)
                position = after
            if not self._missing and not self._control and self._ends:
                self._end(out, swallowing)
        return bytes(out)

    def _after_header(self, data: bytes, position: int) -> int | None:
        """Read a header; gives where it ends, or None if it is not whole."""
        if len(data) - position < 2:
            return None
        first, second = data[position], data[position + 1]
        length = second & LENGTH
        after = position + 2
        if length >= LENGTH_16:
            after += 8 if length == LENGTH_64 else 2
            length = int.from_bytes(data[position + 2 : after], "big")
        end = after + (4 if second & MASK else 0)
        if len(data) < end:
            return None
        self._missing = length
        self._control = bool(first & CONTROL)
        self._ends = bool(first & FIN)
        if not self._control and first & OPCODE != Opcode.CONTINUATION:
            self._opcode = first & OPCODE
            self._known = not (first & (RSV1 | RSV2 | RSV3) or second & MASK)
            self._swallowed = None
        return end

    def _pass(self, out: bytearray, raw: bytes, payload: bytes, swallowing: bool) -> None:
        """Some bytes of a frame: they go on, are held, or go nowhere."""
        if self._control or self._swallowed is False:
            out += raw
        elif self._swallowed is None:
            self._held += raw
            self._begin += payload
            self._decide(out, swallowing, whole=False)

    def _end(self, out: bytearray, swallowing: bool) -> None:
        """The message is whole."""
        if self._swallowed is None:
            self._decide(out, swallowing, whole=True)
        self._opcode, self._swallowed = None, False
        self._ends = False

    def _decide(self, out: bytearray, swallowing: bool, *, whole: bool) -> None:
        if not self._known or self._opcode not in {Opcode.TEXT, Opcode.BINARY}:
            self._swallowed = False
        else:
            ask = self._packets.text if self._opcode == Opcode.TEXT else self._packets.binary
            if whole or self._begin:
                begin = bytes(self._begin if whole else self._begin[:BEGINNING])
                self._swallowed = ask(begin, whole=whole, swallowing=swallowing)
            if self._swallowed is None and (whole or len(self._held) > HELD_BYTES):
                self._swallowed = False
        if self._swallowed is not None:
            if not self._swallowed:
                out += self._held
            self._held.clear()
            self._begin.clear()
