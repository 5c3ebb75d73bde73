"""Which of the packets that a server sends are acks (Socket.IO protocol v5, in Engine.IO protocol v4).

What lives here: `AckPackets`, which is asked about each packet of one session in turn, from its first bytes, and
remembers which attachments belong to an ack. It must not know how packets are transported. No I/O.

An ack is recognised without reading it: over text it begins with 43, or with 46 and the number of its attachments; a
MessagePack parser sends an object whose `type` is 3.
"""

from __future__ import annotations

import binascii
import re

from msgpack import Unpacker

from rtlab.wire.socketio_packets import PacketType

__all__ = ["AckPackets"]

ACK = b"43"
"""A MESSAGE of Engine.IO (4) with an ACK of Socket.IO (3)."""
ATTACHED = re.compile(rb"4([56])([0-9]{1,9})-")
"""A MESSAGE with a BINARY_EVENT or a BINARY_ACK, and how many attachments follow."""
LONGEST_HEAD = 12
"""Bytes after which such a head has ended, or is none."""
BASE64 = b"b"
"""Begins a binary packet where it goes as text."""
TYPE = b"\xa4type"
"""How MessagePack says the key: a text of four bytes."""
MAPS = range(0x80, 0x90)
"""First byte of a map of up to 15 pairs, as MessagePack says it."""


class AckPackets:
    """Tells which packets of one session are to be swallowed."""

    def __init__(self) -> None:
        self.swallowed = 0
        """Acks that were."""
        self._attached = 0  # attachments of the last packet that are still to come
        self._with_ack = False  # whether they go where a swallowed ack has gone

    @property
    def idle(self) -> bool:
        """Whether nothing has to be remembered of this session."""
        return not self._attached

    def text(self, begin: bytes, *, whole: bool, swallowing: bool) -> bool | None:
        """Whether a packet that goes as text is to be swallowed; None if that cannot be said yet. Then ask again.

        Args:
            begin: the packet's first bytes.
            whole: whether these are all that it has.
            swallowing: whether acks are swallowed now.
        """
        if begin[:1] == BASE64:
            if self._attached:
                return self.binary(b"", whole=whole, swallowing=swallowing)
            return self.binary(_decoded(begin), whole=True, swallowing=swallowing) if whole else None
        if not whole and len(begin) < 2:
            return None
        if begin[:1] != b"4":
            return False  # Engine.IO's own: a ping may come between a packet and its attachments
        if begin[:2] in {b"45", b"46"}:
            return self._announcing(begin, whole=whole, swallowing=swallowing)
        self._attached = 0
        return self._swallow(begin[:2] == ACK and swallowing)

    def binary(self, begin: bytes, *, whole: bool, swallowing: bool) -> bool | None:
        """The same for a binary packet: an attachment, or what a MessagePack parser has written."""
        if self._attached:
            self._attached -= 1
            return self._with_ack
        if not swallowing:
            return False
        kind = _type_in(begin, whole=whole)
        return None if kind is None else self._swallow(kind == PacketType.ACK)

    def _announcing(self, begin: bytes, *, whole: bool, swallowing: bool) -> bool | None:
        match = ATTACHED.match(begin)
        if match is None:
            return False if whole or len(begin) >= LONGEST_HEAD else None
        self._attached = int(match[2])
        self._with_ack = self._swallow(match[1] == b"6" and swallowing)
        return self._with_ack

    def _swallow(self, swallowed: bool) -> bool:
        self.swallowed += swallowed
        return swallowed


def _type_in(begin: bytes, *, whole: bool) -> int | None:
    """What a MessagePack parser's packet says as its type; -1 if it says none, None if more has to come."""
    if begin and begin[0] not in MAPS:
        return -1
    if begin[1:6] == TYPE and len(begin) > 6:
        return begin[6]
    if not whole:
        return None
    try:
        unpacker = Unpacker(strict_map_key=False, max_buffer_size=len(begin) or 1)
        unpacker.feed(begin)
        for _ in range(unpacker.read_map_header()):
            if unpacker.unpack() == "type":
                kind = unpacker.unpack()
                return kind if type(kind) is int else -1
            unpacker.skip()
    except Exception:  # noqa: BLE001 - msgpack raises many things for bytes that are not its own; those are no ack
        return -1
    return -1


def _decoded(text: bytes) -> bytes:
    """What base64 stands for; nothing if it is none."""
    try:
        return binascii.a2b_base64(text[1:])
    except ValueError:
        return b""
