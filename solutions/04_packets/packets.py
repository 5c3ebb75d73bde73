"""Exercise 04: from frames to packets."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OTHERS = set("012356")
"""What Engine.IO sends for itself: open, close, ping, pong, upgrade, noop."""
BINARY = {5: 2, 6: 3}
"""A binary event is an event, a binary ack an ack."""
HEAD = re.compile(r"4([0-6])(?:(?<=[56])([0-9]+)-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)")
"""Message and type, how many attachments, namespace, id. What follows is JSON."""
WITH_DATA = {2, 3, 5, 6}
"""Events and acks: JSON has to follow. It may follow the others."""


@dataclass
class Packet:
    """One Socket.IO packet, as the other end meant it."""

    type: int
    """0 connect, 1 disconnect, 2 event, 3 ack, 4 connect error. With attachments it is still an event or an ack."""
    namespace: str = "/"
    data: Any = None
    """What JSON and attachments say together; None if the packet carries nothing."""
    id: int | None = None
    """The number of the acknowledgement that is asked for, or given."""


class Assembler:
    """Turns the messages of one end of one Engine.IO WebSocket into Socket.IO packets.

    The strategy: the head of a packet is read from left to right, and what is left is JSON. A packet that waits for
    attachments is kept with them; the last one completes it.
    """

    def __init__(self) -> None:
        self._waiting: tuple[Packet, int, list[bytes]] | None = None
        """The packet whose attachments are missing, how many it has in all, and those that have come."""

    def add(self, frame: str | bytes) -> Packet | None:
        """Take the next message; gives the packet that it completes, or None.

        Raises:
            ValueError: the message cannot be right.
        """
        if isinstance(frame, bytes):
            return self._attach(frame)
        if frame[:1] in OTHERS:
            return None
        if self._waiting is not None:
            raise ValueError("expected an attachment, got text")
        try:
            return self._read(frame)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None

    def _read(self, text: str) -> Packet | None:
        head = HEAD.match(text)
        if head is None:
            raise ValueError(f"expected a packet, got {text[:20]!r}")
        kind, body = int(head[1]), text[head.end() :]
        if kind in BINARY and head[2] is None:
            raise ValueError("expected a number of attachments")
        data = json.loads(body, parse_constant=_refuse) if body or kind in WITH_DATA else None
        packet = Packet(BINARY.get(kind, kind), head[3] or "/", data, int(head[4]) if head[4] else None)
        if kind not in BINARY:
            return packet
        count = int(head[2])
        _fill(data, range(count), count)  # so that a number that cannot be right is found at once
        if not count:
            return packet
        self._waiting = packet, count, []
        return None

    def _attach(self, attachment: bytes) -> Packet | None:
        if self._waiting is None:
            raise ValueError("expected text, got an attachment")
        packet, count, attachments = self._waiting
        attachments.append(attachment)
        if len(attachments) < count:
            return None
        self._waiting = None
        packet.data = _fill(packet.data, attachments, count)
        return packet


def _fill(value: Any, attachments: Sequence[Any], count: int) -> Any:
    """The value with attachments for placeholders, each by its number."""
    match value:
        case {"_placeholder": True}:
            number = value.get("num")
            if type(number) is not int or number not in range(count):
                raise ValueError(f"there is no attachment {number!r} of {count}")
            return attachments[number]
        case dict():
            return {key: _fill(item, attachments, count) for key, item in value.items()}
        case list():
            return [_fill(item, attachments, count) for item in value]
    return value


def _refuse(name: str) -> None:
    """What Python's `json` calls for NaN, Infinity and -Infinity, which JSON does not have."""
    raise ValueError(f"expected JSON, got {name}")
