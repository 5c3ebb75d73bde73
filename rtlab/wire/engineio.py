"""Engine.IO packets: what Socket.IO stands on, over WebSocket and over HTTP long-polling (Engine.IO protocol v4).

What lives here: the packet, its two encodings, and the handshake that the first packet carries. It must not know what
a message says; `socketio` does. Nor does it know sessions or heartbeats. No I/O, no clock.

One leniency, because clients use it: a packet that begins with b is base64 over WebSocket too. The document has that
for HTTP only; the JavaScript client sends it over both with its option forceBase64.
"""

from __future__ import annotations

import binascii
import enum
import json
from collections.abc import Iterable
from dataclasses import dataclass

from rtlab.errors import ProtocolError, UsageError

__all__ = [
    "MAX_PACKETS",
    "SEPARATOR",
    "EnginePacket",
    "EnginePacketType",
    "Handshake",
    "decode_packet",
    "decode_payload",
    "encode_packet",
    "encode_payload",
]

SEPARATOR = "\x1e"
"""Between the packets of an HTTP body (Packet encoding, HTTP long-polling). JSON never contains it unescaped."""
BASE64 = "b"
"""Begins a binary message where only text can go (Packet encoding, HTTP long-polling)."""
MAX_PACKETS = 16
"""Packets that python-engineio takes from one HTTP body. The document has no limit, and the JavaScript client knows
none: see `decode_payload`."""

PROTOCOL = "Engine.IO protocol v4, Protocol"
ENCODING = "Engine.IO protocol v4, Packet encoding"
HANDSHAKE = "Engine.IO protocol v4, Handshake"


class EnginePacketType(enum.IntEnum):
    """What a packet is for (Protocol)."""

    OPEN = 0
    """The server's first packet: the handshake."""
    CLOSE = 1
    """This transport can be closed."""
    PING = 2
    """The server asks for a sign of life; with the data "probe", a client tries out a WebSocket."""
    PONG = 3
    """The answer, with the same data."""
    MESSAGE = 4
    """Something for the protocol above."""
    UPGRADE = 5
    """The client goes over to the WebSocket that it has tried out."""
    NOOP = 6
    """Nothing: ends a waiting GET during an upgrade."""


_TYPES = {str(int(each)): each for each in EnginePacketType}
"""By the character that stands for it: ASCII only, which int() would not insist on."""


@dataclass(frozen=True, slots=True)
class EnginePacket:
    """One packet."""

    type: EnginePacketType
    data: str | bytes = ""
    """Bytes in a MESSAGE only."""

    def __str__(self) -> str:
        """One line for people: MESSAGE, 11 characters, '2["hello"]'."""
        if not self.data:
            return self.type.name
        if isinstance(self.data, str):
            dots = "…" if len(self.data) > 40 else ""
            return f"{self.type.name}, {_plural(len(self.data), 'character')}, {self.data[:40]!r}{dots}"
        dots = " …" if len(self.data) > 16 else ""
        return f"{self.type.name}, {_plural(len(self.data), 'byte')}, {self.data[:16].hex(' ')}{dots}"


@dataclass(frozen=True, slots=True)
class Handshake:
    """What the server says first (Handshake): the data of its OPEN packet."""

    sid: str
    """The session's id. The client names it in each request from then on."""
    upgrades: tuple[str, ...]
    """Transports that the client may go over to: ("websocket",) or none."""
    ping_interval_ms: int
    """Milliseconds between two pings of the server."""
    ping_timeout_ms: int
    """Milliseconds that the server waits for the pong."""
    max_payload: int | None = None
    """Bytes that an HTTP body may have. None from servers that were written before the document had it."""

    def encode(self) -> str:
        """The JSON of it, to be sent as ``EnginePacket(EnginePacketType.OPEN, handshake.encode())``."""
        fields: dict[str, object] = {
            "sid": self.sid,
            "upgrades": list(self.upgrades),
            "pingInterval": self.ping_interval_ms,
            "pingTimeout": self.ping_timeout_ms,
        }
        if self.max_payload is not None:
            fields["maxPayload"] = self.max_payload
        return json.dumps(fields, separators=(",", ":"))

    @classmethod
    def decode(cls, data: str | bytes) -> Handshake:
        """Read the data of an OPEN packet. Keys that the document does not know are passed over.

        Raises:
            ProtocolError: it is no handshake.
        """
        try:
            fields = json.loads(data)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            raise ProtocolError("expected a handshake as a JSON object", rule=HANDSHAKE)
        sid, upgrades = fields.get("sid"), fields.get("upgrades")
        if not isinstance(sid, str) or not sid:
            raise ProtocolError(f"expected a sid in the handshake, got {_shown(sid)}", rule=HANDSHAKE)
        if not isinstance(upgrades, list) or not all(isinstance(each, str) for each in upgrades):
            raise ProtocolError(f"expected upgrades as a list of names, got {_shown(upgrades)}", rule=HANDSHAKE)

        def number(name: str) -> int:
            value = fields.get(name)
            if type(value) is not int or value < 0:
                raise ProtocolError(f"expected {name} as a whole number, got {_shown(value)}", rule=HANDSHAKE)
            return value

        max_payload = number("maxPayload") if "maxPayload" in fields else None
        return cls(sid, tuple(upgrades), number("pingInterval"), number("pingTimeout"), max_payload)


def encode_packet(packet: EnginePacket) -> str | bytes:
    """A packet as one WebSocket message: text, or the bare bytes of a binary message (Packet encoding, WebSocket).

    Raises:
        UsageError: bytes in a packet that is no MESSAGE.
    """
    data = packet.data
    if isinstance(data, str):
        return f"{packet.type:d}{data}"
    if packet.type is not EnginePacketType.MESSAGE:
        raise UsageError(f"Only a MESSAGE can carry bytes, and this is a {packet.type.name}.")
    return data


def decode_packet(data: str | bytes) -> EnginePacket:
    """The packet in one WebSocket message.

    Raises:
        ProtocolError: there is no such packet.
    """
    if not isinstance(data, str):
        return EnginePacket(EnginePacketType.MESSAGE, bytes(data))
    kind = _TYPES.get(data[:1])
    if kind is not None:
        return EnginePacket(kind, data[1:])
    if not data:
        raise ProtocolError("an empty packet", rule=ENCODING)
    if data[0] != BASE64:
        raise ProtocolError(f"expected a packet type from 0 to 6, got {_shown(data[0])}", rule=PROTOCOL)
    try:
        return EnginePacket(EnginePacketType.MESSAGE, binascii.a2b_base64(data[1:], strict_mode=True))
    except ValueError:
        raise ProtocolError(f"expected base64 after the b, got {_shown(data[1:])}", rule=ENCODING) from None


def encode_payload(packets: Iterable[EnginePacket]) -> str:
    """Packets as the body of one HTTP message (Packet encoding, HTTP long-polling).

    Raises:
        UsageError: no packet at all, bytes in a packet that is no MESSAGE, or text that contains the separator.
    """
    encoded = []
    for packet in packets:
        whole = encode_packet(packet)
        if isinstance(whole, bytes):
            whole = BASE64 + binascii.b2a_base64(whole, newline=False).decode("ascii")
        elif SEPARATOR in whole:
            raise UsageError("Text with U+001E cannot go over long-polling, where it ends a packet. JSON escapes it.")
        encoded.append(whole)
    if not encoded:
        raise UsageError("Expected one packet at least: there is no empty payload. A NOOP says nothing.")
    return SEPARATOR.join(encoded)


def decode_payload(text: str, *, max_packets: int | None = None) -> list[EnginePacket]:
    """The packets in the body of one HTTP message, in order.

    Args:
        text: the body.
        max_packets: how many it may hold; None for any number. Whoever sets it to `MAX_PACKETS`, as python-engineio
            does, loses the whole body of a JavaScript client that sends 17 at once.

    Raises:
        ProtocolError: one of them is no packet, or there are too many.
    """
    if max_packets is not None and text.count(SEPARATOR) >= max_packets:
        count = text.count(SEPARATOR) + 1
        raise ProtocolError(f"expected at most {max_packets} packets in a payload, got {count}", rule=ENCODING)
    return [decode_packet(each) for each in text.split(SEPARATOR)]


def _shown(value: object) -> str:
    """A value from the wire, short enough for a close frame's reason and in ASCII."""
    if isinstance(value, dict | list):  # its repr would be as long and as deep as the peer likes
        return "an object" if isinstance(value, dict) else "a list"
    shown = ascii(value[:30] if isinstance(value, str) else value)
    return shown if len(shown) <= 40 else f"{shown[:37]}..."


def _plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
