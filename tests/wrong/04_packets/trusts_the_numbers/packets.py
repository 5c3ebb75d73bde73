"""Fails: test_refuses_attachments

A placeholder's number is used as an index as it comes: -1 is the last, 7 an IndexError.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

OTHERS = set("012356")
BINARY = {5: 2, 6: 3}
HEAD = re.compile(r"4([0-6])(?:(?<=[56])([0-9]+)-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)")


@dataclass
class Packet:
    type: int
    namespace: str = "/"
    data: Any = None
    id: int | None = None


class Assembler:
    def __init__(self) -> None:
        self._packet: Packet | None = None
        self._count = 0
        self._attachments: list[bytes] = []

    def add(self, frame: str | bytes) -> Packet | None:
        if isinstance(frame, bytes):
            return self._attach(frame)
        if frame[:1] in OTHERS:
            return None
        if self._packet is not None:
            raise ValueError("expected an attachment, got text")
        return self._read(frame)

    def _read(self, text: str) -> Packet | None:
        head = HEAD.match(text)
        if head is None:
            raise ValueError(f"expected a packet, got {text[:20]!r}")
        kind, count = int(head[1]), int(head[2] or 0)
        if kind in BINARY and head[2] is None:
            raise ValueError("expected a number of attachments")
        data = json.loads(text[head.end() :]) if head.end() < len(text) else None
        packet = Packet(BINARY.get(kind, kind), head[3] or "/", data, int(head[4]) if head[4] else None)
        if not count:
            return packet
        _fill(data, [b""] * count)  # so that a number that cannot be right is found at once
        self._packet, self._count, self._attachments = packet, count, []
        return None

    def _attach(self, attachment: bytes) -> Packet | None:
        if self._packet is None:
            raise ValueError("expected text, got an attachment")
        self._attachments.append(attachment)
        if len(self._attachments) < self._count:
            return None
        packet, self._packet = self._packet, None
        packet.data = _fill(packet.data, self._attachments)
        return packet


def _fill(value: Any, attachments: list[bytes]) -> Any:
    match value:
        case {"_placeholder": True, "num": number}:
            return attachments[number]
        case dict():
            return {key: _fill(item, attachments) for key, item in value.items()}
        case list():
            return [_fill(item, attachments) for item in value]
    return value
