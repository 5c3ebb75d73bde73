"""Fails: test_refuses_nonsense

The number is made of the digits of all scripts, and `int` reads them.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

OTHERS = set("012356")
BINARY = {5: 2, 6: 3}
HEAD = re.compile(r"4([0-6])(?:(?<=[56])([0-9]+)-)?(?:(/[^,]*)(?:,|\Z))?(\d*)")
WITH_DATA = {2, 3, 5, 6}


@dataclass
class Packet:
    type: int
    namespace: str = "/"
    data: Any = None
    id: int | None = None


class Assembler:
    def __init__(self) -> None:
        self._waiting: tuple[Packet, int, list[bytes]] | None = None

    def add(self, frame: str | bytes) -> Packet | None:
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
        count = int(head[2] or 0)
        if not count:
            return packet
        _fill(data, range(count), count)  # so that a number that cannot be right is found at once
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
    raise ValueError(f"expected JSON, got {name}")
