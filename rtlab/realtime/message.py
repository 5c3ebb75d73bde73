"""What is said to a client, encoded once however many hear it.

What lives here: `Message`, some Engine.IO packets that belong together, as a WebSocket's frames and as the body of a
poll. It must not know who hears it.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Sequence

from rtlab.wire.deflate import TAIL
from rtlab.wire.engineio import BASE64, SEPARATOR
from rtlab.wire.frames import Frame, Opcode, encode_frame

__all__ = ["CLOSE", "NOOP", "PACKET_BYTES", "PING", "Message"]

PACKET_BYTES = 300
"""Bytes of memory that a packet takes besides its payload: the objects around it, and its place in a queue."""


class Message:
    """Encoded Engine.IO packets that no other may come between: text, or bytes for a binary message.

    Args:
        packets: each as one WebSocket message would carry it.
    """

    __slots__ = ("_frames", "_payloads", "held")

    def __init__(self, *packets: str | bytes) -> None:
        self._payloads = [
            (Opcode.TEXT, each.encode()) if isinstance(each, str) else (Opcode.BINARY, bytes(each)) for each in packets
        ]
        self.held = sum(PACKET_BYTES + len(payload) for _, payload in self._payloads)
        """Bytes of memory that it takes while it waits."""
        self._frames: dict[int, bytes] | None = None

    @classmethod
    def of(cls, encoded: str | bytes | Sequence[str | bytes]) -> Message:
        """The Engine.IO messages that carry an encoded Socket.IO packet (a text, bytes, or a text and attachments)."""
        parts = [encoded] if isinstance(encoded, str | bytes) else encoded
        return cls(*(f"4{part}" if isinstance(part, str) else part for part in parts))

    def __len__(self) -> int:
        """How many packets."""
        return len(self._payloads)

    def frames(self, window_bits: int = 0, threshold: int = 0) -> bytes:
        """The WebSocket frames, one per packet, as a server sends them (RFC 6455 §5.2).

        They are made once, and kept until `forget_frames`: a broadcast is encoded once.

        Args:
            window_bits: of the deflate window that the connection has agreed on; 0 if it has none.
            threshold: packets of at least so many bytes are compressed then.
        """
        if self._frames is None:
            self._frames = {}
        known = self._frames.get(window_bits)
        if known is None:
            known = b"".join(_frame(opcode, payload, window_bits, threshold) for opcode, payload in self._payloads)
            self._frames[window_bits] = known
        return known

    def forget_frames(self) -> None:
        """Everybody with a WebSocket has had them. What waits for clients that poll needs no second form in memory."""
        self._frames = None

    @property
    def body(self) -> bytes:
        """The packets for the body of a poll."""
        return _SEPARATOR.join(
            payload if opcode is Opcode.TEXT else _BASE64 + b64encode(payload) for opcode, payload in self._payloads
        )

    @staticmethod
    def bodies(messages: Sequence[Message]) -> bytes:
        """The body of a poll that takes several of them."""
        return _SEPARATOR.join(message.body for message in messages)


_SEPARATOR, _BASE64 = SEPARATOR.encode(), BASE64.encode()


def _frame(opcode: Opcode, payload: bytes, window_bits: int, threshold: int) -> bytes:
    if not window_bits or len(payload) < threshold:
        return encode_frame(Frame(opcode, payload))
    # Every message has a window of its own. The peer need not know: a compressor may always forget (RFC 7692 §7.1.1).
    # So one compressed frame serves all who agreed on the same window, and no connection holds a compressor.
    deflate = zlib.compressobj(wbits=-window_bits)
    packed = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return encode_frame(Frame(opcode, packed.removesuffix(TAIL), rsv1=True))


CLOSE, PING, NOOP = Message("1"), Message("2"), Message("6")
