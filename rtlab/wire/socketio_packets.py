"""Socket.IO packets as an application means them: what each type may hold (Socket.IO protocol v5).

What lives here: the packet, the shape that its type gives it, its line for people, and how a MessagePack parser's
packet becomes one. It must not know the text encoding; `socketio` does. No I/O, no clock.
"""

from __future__ import annotations

import enum
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rtlab.errors import ProtocolError

__all__ = ["ENCODING", "EXCHANGE", "MAX_DEPTH", "MAX_ID", "RESERVED_EVENTS", "Packet", "PacketType", "check",
           "from_fields", "refuse_depth", "say", "show", "too_deep"]  # fmt: skip

MAX_ID = 2**53 - 1
"""The largest integer that JavaScript counts exactly; an id beyond it is answered with another number."""
MAX_DEPTH = 200
"""Levels of lists and objects. RFC 8259 §9 allows a limit; Python's stack, of 1000 calls, would set one by accident."""
_CONTAINERS, _NESTED = (dict, list), (dict, list, tuple)
RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Event names that JavaScript refuses to send and to receive. A client hears connect and connect_error when it is
connected or refused, a server disconnecting, both disconnect; the last two belong to Node's EventEmitter. A server that
lets them through calls the handler that it has for the real thing."""

EXCHANGE = "Socket.IO protocol v5, Exchange protocol"
ENCODING = "Socket.IO protocol v5, Packet encoding"


class PacketType(enum.IntEnum):
    """What a packet is for (Exchange protocol)."""

    CONNECT = 0
    """Asks for a namespace, or grants it."""
    DISCONNECT = 1
    """Leaves a namespace, or ends it."""
    EVENT = 2
    """A name and arguments."""
    ACK = 3
    """The answer to the event with the same id."""
    CONNECT_ERROR = 4
    """The namespace is not granted."""
    BINARY_EVENT = 5
    """On the wire only: an EVENT whose attachments follow."""
    BINARY_ACK = 6
    """On the wire only: an ACK whose attachments follow."""


CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, *_ = PacketType


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet, as an application means it: the type says nothing of attachments, the data holds the bytes."""

    type: PacketType
    namespace: str = "/"
    """Begins with a slash."""
    data: Any = None
    """EVENT: a list, the name first. ACK: a list. CONNECT: None or a dict. CONNECT_ERROR: a dict or a str."""
    id: int | None = None
    """Of an EVENT that asks for an acknowledgement, and of the ACK that gives it."""

    def __str__(self) -> str:
        """One line for people: EVENT 'chat:join' in /, asks for ack 3: "lobby"."""
        return _describe(self)


def check(packet: Packet) -> None:
    """Hold a packet to the shape that its type has (Exchange protocol).

    Raises:
        ProtocolError: it has another one.
    """
    kind, data = packet.type, packet.data
    if kind is EVENT:
        # The JavaScript parser takes a number for a name too. bool is an int in Python, and no number in JSON.
        if type(data) is not list or not data or type(data[0]) not in (str, int, float):
            raise ProtocolError(f"expected an EVENT as a list that begins with a name, got {show(data)}", rule=EXCHANGE)
    elif kind is ACK:
        if type(data) is not list:
            raise ProtocolError(f"expected the data of an ACK as a list, got {show(data)}", rule=EXCHANGE)
        if packet.id is None:
            raise ProtocolError("expected the id of an event in an ACK, got none", rule=EXCHANGE)
    elif kind is CONNECT:
        if data is not None and type(data) is not dict:
            raise ProtocolError(f"expected the data of a CONNECT as an object, got {show(data)}", rule=EXCHANGE)
    elif kind is DISCONNECT:
        if data is not None:
            raise ProtocolError(f"expected a DISCONNECT without data, got {show(data)}", rule=EXCHANGE)
    elif kind is CONNECT_ERROR:
        if type(data) is not dict and type(data) is not str:
            raise ProtocolError(f"expected a CONNECT_ERROR as an object or a text, got {show(data)}", rule=EXCHANGE)
    else:
        raise ProtocolError(f"expected a packet type from 0 to 4, got {show(kind)}", rule=EXCHANGE)
    if type(packet.namespace) is not str or packet.namespace[:1] != "/":
        raise ProtocolError(f"expected a namespace with a slash first, got {show(packet.namespace)}", rule=ENCODING)
    if packet.id is not None and (type(packet.id) is not int or not 0 <= packet.id <= MAX_ID):
        raise ProtocolError(f"expected an id from 0 to 2**53 - 1, got {show(packet.id)}", rule=EXCHANGE)


def from_fields(fields: object) -> Packet:
    """The packet in what a MessagePack parser has read: a dict with type, nsp, and where there are any data and id.

    JavaScript says undefined as an extension of type 0 with one byte (notepack.io); it becomes None here, wherever it
    stands. The data may hold bytes and what else MessagePack has, but no more levels than JSON may have here.

    Raises:
        ProtocolError: it is no packet.
    """
    if not isinstance(fields, dict):
        raise ProtocolError(f"expected a packet as an object, got {show(fields)}", rule=EXCHANGE)
    number = fields.get("type")
    # MessagePack carries bytes as they are, and so needs no BINARY_EVENT: the JavaScript parser refuses 5 and 6 too.
    if type(number) is not int or not 0 <= number <= CONNECT_ERROR:
        raise ProtocolError(f"expected a packet type from 0 to 4, got {show(number)}", rule=EXCHANGE)
    refuse_depth(fields.get("data"))
    holder = [fields.get("data"), fields.get("id")]
    waiting: list[Any] = [holder]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            for key in each:
                if not isinstance(key, str):
                    raise ProtocolError(f"expected text as a key, got {show(key)}", rule=ENCODING)
        # most values are leaves, and those are left out before anything is done for each
        pairs = each.items() if isinstance(each, dict) else enumerate(each)
        for key, value in [pair for pair in pairs if isinstance(pair[1], _NESTED) and pair[1]]:
            if isinstance(value, dict | list):
                waiting.append(value)
            elif value[:1] == (0,) and value[1:] == (b"\0",):
                each[key] = None
    packet = Packet(PacketType(number), fields.get("nsp"), *holder)  # type: ignore[arg-type]
    check(packet)
    return packet


def refuse_depth(data: object) -> None:
    """Refuse data of more than `MAX_DEPTH` levels, without recursion.

    Raises:
        ProtocolError: it is nested deeper.
    """
    level = [data]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each if isinstance(each, list) else ())
            if isinstance(child, _CONTAINERS)
        ]
        if not level:
            return
    raise too_deep()


def too_deep() -> ProtocolError:
    """What is raised for data that is nested too deep."""
    return ProtocolError(f"data of more than {MAX_DEPTH} levels", rule="RFC 8259 §9")


def show(value: object) -> str:
    """A value from the wire, short enough for a close frame's reason and in ASCII."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        if not value:
            return "an empty list"
        return "a list in a list" if isinstance(value[0], list) else f"a list that begins with {show(value[0])}"
    shown = ascii(value[:30] if isinstance(value, str | bytes) else value)
    return shown if len(shown) <= 36 else f"{shown[:33]}..."


def say(values: Sequence[object]) -> str:
    """What a packet carries, for people: JSON, one value after the other, with the number of bytes for bytes."""
    return ", ".join(map(_say, values))


def _describe(packet: Packet) -> str:
    kind, data, where = packet.type, packet.data, packet.namespace
    if kind is EVENT and isinstance(data, list) and data:
        asks = "" if packet.id is None else f", asks for ack {packet.id}"
        return f"EVENT {data[0]!r} in {where}{asks}{': ' if data[1:] else ''}{say(data[1:])}"
    if kind is ACK and isinstance(data, list):
        return f"ACK {packet.id} in {where}{': ' if data else ''}{say(data)}"
    said = "" if data is None else f": {say([data])}"
    words = {CONNECT: "CONNECT to", DISCONNECT: "DISCONNECT from", CONNECT_ERROR: "CONNECT_ERROR for"}
    return f"{words.get(kind, kind.name + ' in')} {where}{said}"


def _say(value: object) -> str:
    """A value as JSON, with bytes as their number."""
    if isinstance(value, bytes):
        return f"<{len(value):,} {'byte' if len(value) == 1 else 'bytes'}>"
    try:
        return json.dumps(value, ensure_ascii=False, default=_stand_in)
    except (ValueError, TypeError, RecursionError):
        return ascii(type(value).__name__)


def _stand_in(value: object) -> str:
    return _say(value) if isinstance(value, bytes) else repr(value)
