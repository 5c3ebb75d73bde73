"""Frames: the base framing protocol of RFC 6455 §5.

What lives here: the frame's header bit by bit, masking, and a parser that turns whatever bytes have arrived into
frames. It must not know what a message or a connection is; `protocol` does. No I/O, no clock; the masking key
arrives as an argument.

The strategy: `FrameParser.feed` appends to one buffer, and takes frames off its front for as long as they are whole.
A frame that is not whole yet is looked at all the same: its header is checked as soon as it is there, and what has
arrived of its payload is given to whoever wants to check text early.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from rtlab.errors import ProtocolError

__all__ = ["CloseCode", "Frame", "FrameParser", "Opcode", "apply_mask", "cut_reason", "encode_frame"]

FIN = 0b1000_0000
"""First octet: the final fragment of a message (§5.2)."""
RSV1, RSV2, RSV3 = 0b0100_0000, 0b0010_0000, 0b0001_0000
"""First octet: reserved for extensions; RSV1 marks a compressed message (RFC 7692 §6)."""
OPCODE = 0b0000_1111
"""First octet: what kind of frame it is (§5.2)."""
MASK = 0b1000_0000
"""Second octet: the payload is masked (§5.2)."""
CONTROL = 0b0000_1000
"""First octet, within the opcode: a control frame (§5.5)."""
LENGTH = 0b0111_1111
"""Second octet: the length, or which longer form follows (§5.2)."""
LENGTH_16, LENGTH_64 = 126, 127
"""Lengths that say: the real one follows in 16, or in 64 bits."""
CONTROL_LIMIT = 125
"""Bytes of payload that a control frame may carry (§5.5)."""
STRETCH = 4096
"""Bytes that are masked as one big integer: long ones pay for integers that no longer fit the processor's cache."""


class Opcode(enum.IntEnum):
    """What a frame carries (§5.2, §11.8)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class CloseCode(enum.IntEnum):
    """Why a connection is closed (§7.4.1, and the registry of §11.7)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED_DATA = 1003
    NO_STATUS = 1005
    """Never sent: the peer's close frame had no code."""
    ABNORMAL = 1006
    """Never sent: the connection ended without a close frame."""
    INVALID_DATA = 1007
    POLICY_VIOLATION = 1008
    TOO_BIG = 1009
    MANDATORY_EXTENSION = 1010
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012
    TRY_AGAIN_LATER = 1013
    BAD_GATEWAY = 1014


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    opcode: Opcode
    payload: bytes = b""
    """Unmasked."""
    fin: bool = True
    """Whether it ends its message."""
    rsv1: bool = False
    """Whether its message is compressed; meant for the first frame of a message only (RFC 7692 §6)."""

    def __str__(self) -> str:
        """One line for people: TEXT, FIN, 5 bytes, 'hello'."""
        if self.opcode is Opcode.TEXT and not self.rsv1:
            shown = repr(self.payload[:40].decode(errors="replace"))
        elif self.opcode is Opcode.CLOSE and len(self.payload) >= 2:
            code = int.from_bytes(self.payload[:2], "big")
            shown = f"{code} {self.payload[2:].decode(errors='replace')!r}"
        else:
            shown = self.payload[:16].hex(" ")
        flags = "".join(f", {name}" for name, is_set in (("FIN", self.fin), ("RSV1", self.rsv1)) if is_set)
        dots = "…" if len(self.payload) > 40 else ""
        return f"{self.opcode.name}{flags}, {len(self.payload)} bytes, {shown}{dots}"


_OPCODES = {int(opcode): opcode for opcode in Opcode}


def cut_reason(text: str) -> str:
    """As much of a text as fits into a close frame behind the code (§5.5.1): 123 bytes in UTF-8, whole characters."""
    return text.encode()[: CONTROL_LIMIT - 2].decode(errors="ignore")


def apply_mask(payload: bytes, key: bytes, offset: int = 0) -> bytes:
    """Mask or unmask (§5.3): octet i is XORed with octet (offset + i) modulo 4 of the key.

    Args:
        payload: what to transform.
        key: the 4 octets of the masking key.
        offset: how many octets of the same frame came before.
    """
    if offset & 3:
        key = key[offset & 3 :] + key[: offset & 3]
    size = len(payload)
    if size <= STRETCH:
        pad = (key * (size // 4 + 1))[:size]
        return (int.from_bytes(payload, "little") ^ int.from_bytes(pad, "little")).to_bytes(size, "little")
    pad_number = int.from_bytes(key * (STRETCH // 4), "little")
    whole = size - size % STRETCH
    out = [
        (int.from_bytes(payload[start : start + STRETCH], "little") ^ pad_number).to_bytes(STRETCH, "little")
        for start in range(0, whole, STRETCH)
    ]
    out.append(apply_mask(payload[whole:], key))
    return b"".join(out)


def encode_frame(frame: Frame, key: bytes | None = None) -> bytes:
    """The bytes of a frame (§5.2).

    Args:
        frame: what to send.
        key: 4 octets that nobody can predict, from a client; None from a server (§5.1).
    """
    size = len(frame.payload)
    first = (FIN if frame.fin else 0) | (RSV1 if frame.rsv1 else 0) | frame.opcode
    masked = 0 if key is None else MASK
    if size < LENGTH_16:
        header = bytes((first, masked | size))
    elif size < 1 << 16:
        header = struct.pack("!BBH", first, masked | LENGTH_16, size)
    else:
        header = struct.pack("!BBQ", first, masked | LENGTH_64, size)
    if key is None:
        return header + frame.payload
    return header + key + apply_mask(frame.payload, key)


class FrameParser:
    """Turns the bytes that arrive into frames, however they are cut.

    Args:
        masked: whether the frames have to be masked: True in a server, False in a client (§5.1).
        max_size: bytes of payload that a data frame may have; may be changed between frames. A header alone is enough
            to refuse a frame.
        rsv1: whether an extension has given RSV1 a meaning (RFC 7692 §6).
    """

    def __init__(self, *, masked: bool, max_size: int, rsv1: bool = False) -> None:
        self.masked = masked
        self.max_size = max_size
        self.rsv1 = rsv1
        self._rest = b""  # the beginning of a header, at most 13 octets
        self._first = 0  # the first octet of the frame whose payload is arriving
        self._key = b""
        self._offset = 0  # octets of its payload that have arrived
        self._missing = 0  # … and that have not
        self._payload = bytearray()  # those that have, unmasked

    @property
    def arriving(self) -> tuple[Opcode, bool, bytearray] | None:
        """The frame whose payload has arrived in part: its opcode, its RSV1, and that part. None between frames."""
        if not self._payload:
            return None
        return _OPCODES[self._first & OPCODE], bool(self._first & RSV1), self._payload

    def forget(self) -> None:
        """Let go of the frame that is arriving. The parser is of no use afterwards."""
        self._rest, self._payload = b"", bytearray()

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Take what has arrived; gives the frames that it completes, one by one, to the end.

        Raises:
            ProtocolError: the peer broke §5, with the close code to send. The frames before that have been given.
                The parser is of no use afterwards.
        """
        if self._rest:
            data = self._rest + data
            self._rest = b""
        position, end = 0, len(data)
        while True:
            if self._missing:
                part = data[position : position + self._missing]
                if not part:
                    break
                position += len(part)
                if self._key:
                    part = apply_mask(part, self._key, self._offset)
                self._offset += len(part)
                self._missing -= len(part)
                self._payload += part
                if self._missing:
                    break
                payload = bytes(self._payload)
                self._payload = bytearray()  # before the frame is given: it may be long until the next one is asked for
                yield _frame(self._first, payload)
                continue
            if end - position < 2:
                break
            first, second = data[position], data[position + 1]
            self._check_octets(first, second)
            size = second & LENGTH
            after = position + 2
            if size >= LENGTH_16:
                after += 2 if size == LENGTH_16 else 8
                if end < after:
                    break
                size = self._long_size(data[position + 2 : after])
            if size > self.max_size and not first & CONTROL:
                raise ProtocolError(
                    f"expected at most {self.max_size} bytes more, got a frame of {size}",
                    rule="RFC 6455 §10.4",
                    code=CloseCode.TOO_BIG,
                )
            key = b""
            if self.masked:
                key = data[after : after + 4]
                after += 4
                if end < after:
                    break
            if end - after >= size:
                position = after + size
                payload = data[after:position]
                yield _frame(first, apply_mask(payload, key) if key else payload)
            else:
                self._first, self._key, self._missing, self._offset = first, key, size, 0
                position = after
        self._rest = data[position:]

    def _check_octets(self, first: int, second: int) -> None:
        opcode = _OPCODES.get(first & OPCODE)
        if opcode is None:
            raise ProtocolError(f"opcode {first & OPCODE:#x} is reserved", rule="RFC 6455 §5.2")
        if first & (RSV2 | RSV3) or (first & RSV1 and (not self.rsv1 or first & CONTROL)):
            raise ProtocolError("a reserved bit is set that no extension has given a meaning", rule="RFC 6455 §5.2")
        if first & CONTROL:
            if not first & FIN:
                raise ProtocolError(f"a fragmented {opcode.name} frame", rule="RFC 6455 §5.5")
            if second & LENGTH > CONTROL_LIMIT:
                raise ProtocolError(f"a {opcode.name} frame longer than 125 bytes", rule="RFC 6455 §5.5")
        if bool(second & MASK) is not self.masked:
            came, wanted = ("an unmasked", "masked") if self.masked else ("a masked", "unmasked")
            raise ProtocolError(f"expected {wanted} frames, got {came} one", rule="RFC 6455 §5.1")

    @staticmethod
    def _long_size(octets: bytes) -> int:
        size = int.from_bytes(octets, "big")
        if size >> 63:
            raise ProtocolError("the most significant bit of a 64-bit length is set", rule="RFC 6455 §5.2")
        if size < LENGTH_16 or (len(octets) == 8 and size < 1 << 16):
            raise ProtocolError(f"length {size} is not written in the shortest form", rule="RFC 6455 §5.2")
        return size


def _frame(first: int, payload: bytes) -> Frame:
    return Frame(_OPCODES[first & OPCODE], payload, first >= FIN, bool(first & RSV1))
