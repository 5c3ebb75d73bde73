"""What is said to a client, encoded once however many hear it.

What lives here: `Message`, some Engine.IO packets that belong together, as a WebSocket's frames and as the text of a
polling body. It must not know who hears it.
"""

from __future__ import annotations

import zlib
from base64 import b64encode
from collections.abc import Sequence

from rtlab.wire.deflate import TAIL
from rtlab.wire.engineio import SEPARATOR
from rtlab.wire.frames import Frame, Opcode, encode_frame

__all__ = ["CLOSE", "NOOP", "PING", "Message"]


class Message:
    """Encoded Engine.IO packets that no other may come between: text, or bytes for a binary message.

    Every form is made when it is first asked for, and kept: a broadcast is encoded once.

    Args:
        packets: each as one WebSocket message would carry it.
    """

    __slots__ = ("_body", "_frames", "_payloads", "packets", "size")

    def __init__(self, *packets: str | bytes) -> None:
        self.packets = packets
        self._payloads = [
            (Opcode.TEXT, each.encode()) if isinstance(each, str) else (Opcode.BINARY, bytes(each)) for each in packets
        ]
        self.size = sum(len(payload) for _, payload in self._payloads)
        """Bytes of all packets, before any compression."""
        self._frames: dict[int, bytes] = {}
        self._body: str | None = None

    @classmethod
    def of(cls, encoded: str | bytes | Sequence[str | bytes]) -> Message:
        """The Engine.IO messages that carry an encoded Socket.IO packet (a text, bytes, or a text and attachments)."""
        parts = [encoded] if isinstance(encoded, str | bytes) else encoded
        return cls(*(f"4{part}" if isinstance(part, str) else part for part in parts))

    def frames(self, window_bits: int = 0, threshold: int = 0) -> bytes:
        """The WebSocket frames, one per packet, as a server sends them (RFC 6455 §5.2).

        Args:
            window_bits: of the deflate window that the connection has agreed on; 0 if it has none.
            threshold: packets of at least so many bytes are compressed then.
        """
        known = self._frames.get(window_bits)
        if known is None:
            known = b"".join(_frame(opcode, payload, window_bits, threshold) for opcode, payload in self._payloads)
            self._frames[window_bits] = known
        return known

    @property
    def body(self) -> str:
        """The text for the body of a poll."""
        if self._body is None:
            self._body = SEPARATOR.join(
                each if isinstance(each, str) else "b" + b64encode(each).decode() for each in self.packets
            )
        return self._body


def _frame(opcode: Opcode, payload: bytes, window_bits: int, threshold: int) -> bytes:
    if not window_bits or len(payload) < threshold:
        return encode_frame(Frame(opcode, payload))
    # Every message has a window of its own. The peer need not know: a compressor may always forget (RFC 7692 §7.1.1).
    # So one compressed frame serves all who agreed on the same window, and no connection holds a compressor.
    deflate = zlib.compressobj(wbits=-window_bits)
    packed = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return encode_frame(Frame(opcode, packed.removesuffix(TAIL), rsv1=True))


CLOSE, PING, NOOP = Message("1"), Message("2"), Message("6")
