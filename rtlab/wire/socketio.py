"""Socket.IO packets: events, acknowledgements, namespaces and binary attachments (Socket.IO protocol v5).

What lives here: the packet, its text encoding, and the decoder that puts a packet and its attachments together. It
must not know Engine.IO, which carries it, nor what an application does with an event. No I/O, no clock.

The strategy: one regular expression takes the head of a packet, the JSON behind it goes to `json` unsliced, and
nothing walks over the characters. Data is walked over only where something in it calls for it: more brackets than may
be nested, attachments, escaped surrogates. A server runs this on everything that anybody sends.

Where it is stricter than the JavaScript parser (socket.io-parser 4.2), it is to keep out what that one lets through
and nobody can have meant: an event without data, an id of white space, an attachment that is used twice, what JSON
cannot say again. Its one leniency: which event names are reserved is left to the server (`RESERVED_EVENTS`).
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from rtlab.errors import ProtocolError, UsageError
from rtlab.wire.socketio_packets import (
    ENCODING,
    EXCHANGE,
    MAX_DEPTH,
    MAX_ID,
    RESERVED_EVENTS,
    Packet,
    PacketType,
    check,
    from_fields,
    refuse_depth,
    show,
    too_deep,
)

__all__ = ["MAX_ATTACHMENTS", "MAX_DEPTH", "MAX_ID_DIGITS", "RESERVED_EVENTS", "Decoder", "Packet", "PacketType",
           "check", "encode", "from_fields", "namespace_of"]  # fmt: skip

MAX_ATTACHMENTS = 10
"""Attachments that a packet may announce: the default of socket.io-parser 4.2. Each is held until the last is here."""
MAX_ID_DIGITS = len(str(MAX_ID))
"""Digits that an acknowledgement id may have. More are refused before anybody makes a number of them."""
PARSER = "socket.io-parser 4.2"

_TYPES = {str(int(each)): each for each in PacketType}
_BINARY = {PacketType.EVENT: PacketType.BINARY_EVENT, PacketType.ACK: PacketType.BINARY_ACK}
_PLAIN = {binary: plain for plain, binary in _BINARY.items()}


def encode(packet: Packet) -> list[str | bytes]:
    """A packet as Engine.IO messages: one text, and after it the attachments (Packet encoding, Format).

    Raises:
        UsageError: the packet has a shape that it must not have, or holds what JSON cannot say.
    """
    try:
        check(packet)
    except ProtocolError as error:
        raise UsageError(f"This packet cannot be sent: {error.problem}.") from None
    namespace = packet.namespace
    if "," in namespace:
        raise UsageError(f"The namespace {namespace!r} cannot be sent: a comma ends it, and there is no escape for it.")
    attachments: list[bytes] = []

    def place(value: object) -> dict[str, object]:
        """What stands for bytes in the JSON."""
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"JSON has no {type(value).__name__}")
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}

    try:
        body = "" if packet.data is None else _encoder(place).encode(packet.data)
        if not body.isascii() or not namespace.isascii():
            f"{namespace}{body}".encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"The data of this packet cannot be sent as JSON: {error}.") from None
    kind: PacketType = packet.type
    head = ""
    if attachments:
        if kind not in _BINARY:
            raise UsageError(f"A {kind.name} cannot carry bytes: only an EVENT and an ACK have attachments.")
        if body.count('{"_placeholder":true') != len(attachments):
            raise UsageError(
                "The data holds bytes, and a dict with _placeholder, which would be taken for more of them."
            )
        kind = _BINARY[kind]
        head = f"{len(attachments)}-"
    shown = "" if namespace == "/" else f"{namespace},"
    number = "" if packet.id is None else packet.id
    return [f"{kind:d}{head}{shown}{number}{body}", *attachments]


def _encoder(place: Any) -> json.JSONEncoder:
    """JSON as JavaScript writes it: no blanks, and other scripts as they are."""
    return json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=place)


_HEAD = re.compile(r"([0-6])(?:(?<=[56])([0-9]{1,9})-)?(?:(/[^,]*)(?:,|\Z))?([0-9]*)")
"""Type, attachments, namespace, id (Packet encoding, Format). ASCII digits: \\d would take those of every script."""
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def namespace_of(text: str) -> str | None:
    """The namespace that a packet names, read from its head alone; None if it has no head of a packet.

    It costs as much as the head is long, whatever the packet carries, and says nothing about the rest: where `Decoder`
    gives a packet, it has this namespace.
    """
    head = _HEAD.match(text)
    return None if head is None else head[3] or "/"


class Decoder:
    """Turns Engine.IO messages into packets: a text alone, or a text and the attachments that it announces.

    One per connection and direction. After an error it is ready for the next text; what it had of a packet is gone.

    Args:
        max_attachments: that a packet may have.
        max_id_digits: that an acknowledgement id may have.
        lone_surrogates: whether data may hold half a surrogate pair as JSON escapes it, ``"\\ud83d"``: valid JSON
            (RFC 8259 §8.2), which a client makes by cutting a text through an emoji. A server that takes it can refuse
            that one packet, where an error would cost the client its connection; it must not send it on as it is.
    """

    def __init__(
        self,
        *,
        max_attachments: int = MAX_ATTACHMENTS,
        max_id_digits: int = MAX_ID_DIGITS,
        lone_surrogates: bool = False,
    ) -> None:
        self.max_attachments = max_attachments
        self.max_id_digits = max_id_digits
        self.lone_surrogates = lone_surrogates
        self._packet: Packet | None = None  # whose attachments are missing
        self._places: list[tuple[Any, Any]] = []  # where each of them belongs: a container, and a key or an index
        self._received = 0

    @property
    def pending(self) -> int:
        """Attachments that are still missing."""
        return len(self._places) - self._received

    @property
    def incomplete(self) -> Packet | None:
        """The packet whose attachments are missing, with placeholders where they are. For those who look on."""
        return self._packet

    def add(self, frame: str | bytes) -> Packet | None:
        """Take one message; gives the packet that it completes, or None while attachments are missing.

        Raises:
            ProtocolError: it is no packet, or does not belong here.
        """
        if isinstance(frame, str):
            if self._packet is not None:
                missing = self.pending
                self._forget()
                raise ProtocolError(f"expected {_attachments(missing)}, got text", rule=ENCODING)
            return self._text(frame)
        if not isinstance(frame, bytes | bytearray | memoryview):
            raise ProtocolError(f"expected text or bytes, got {show(frame)}", rule=ENCODING)
        packet = self._packet
        if packet is None:
            raise ProtocolError("expected text, got bytes that no packet has announced", rule=ENCODING)
        holder, key = self._places[self._received]
        holder[key] = bytes(frame)
        self._received += 1
        if self._received < len(self._places):
            return None
        self._forget()
        return packet

    def _forget(self) -> None:
        self._packet = None
        self._places = []
        self._received = 0

    def _text(self, text: str) -> Packet | None:
        head = _HEAD.match(text)
        if head is None:
            if not text:
                raise ProtocolError("an empty packet", rule=ENCODING)
            raise ProtocolError(f"expected a packet type from 0 to 6, got {show(text[0])}", rule=EXCHANGE)
        kind, count, namespace, digits = head.groups()
        type_ = _TYPES[kind]
        if type_ in _PLAIN and (count is None or not 0 < int(count) <= self.max_attachments):
            raise ProtocolError(
                f"expected the number of attachments, from 1 to {self.max_attachments}, got {show(count or text[1:])}",
                rule=f"{PARSER}, maxAttachments",
            )
        if len(digits) > self.max_id_digits:
            raise ProtocolError(
                f"expected an id of at most {self.max_id_digits} digits, got {len(digits)}", rule=EXCHANGE
            )
        end = head.end()
        if not text.isascii():
            _refuse_surrogates(text)
        plain = _PLAIN.get(type_, type_)
        data = _parse(text, end, lone_surrogates=self.lone_surrogates) if end < len(text) else None
        packet = Packet(plain, namespace or "/", data, int(digits) if digits else None)
        check(packet)
        if count is not None:
            self._places = _places(data, int(count))
            self._packet = packet
            return None
        return packet


def _finite(digits: str) -> float:
    """A JSON number with a fraction or an exponent: one that is too large for a float would become Infinity."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError(digits)
    return number


def _no_constant(name: str) -> float:
    """NaN, Infinity and -Infinity, which Python takes for JSON and nobody else does."""
    raise ValueError(name)


_JSON = json.JSONDecoder(parse_float=_finite, parse_constant=_no_constant)


def _parse(text: str, start: int, *, lone_surrogates: bool) -> Any:
    """The JSON from there to the end; `lone_surrogates` allows half a surrogate pair in it."""
    if text[start] not in '[{"':
        raise ProtocolError(f"expected a list or an object, got {show(text[start:])}", rule=ENCODING)
    try:
        data, end = _JSON.raw_decode(text, start)
    except RecursionError:
        raise too_deep() from None
    except ValueError:
        raise ProtocolError(f"expected JSON, got {show(text[start:])}", rule="RFC 8259 §2") from None
    if end != len(text) and text[end:].strip(" \t\r\n"):
        raise ProtocolError(f"expected nothing after the JSON, got {show(text[end:])}", rule="RFC 8259 §2")
    if text.count("[", start) + text.count("{", start) > MAX_DEPTH:
        refuse_depth(data)
    if not lone_surrogates and "\\" in text and _ESCAPED_SURROGATE.search(text, start):
        _refuse_surrogates(json.dumps(data, ensure_ascii=False))
    return data


def _refuse_surrogates(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ProtocolError(
            f"half a surrogate pair, U+{ord(text[error.start]):04X}: no text of UTF-8 can say it", rule="RFC 8259 §8.2"
        ) from None


def _places(data: Any, count: int) -> list[tuple[Any, Any]]:
    """Where each attachment belongs (Packet encoding): every number once. `data` is not nested too deep."""
    found: dict[int, tuple[Any, Any]] = {}
    waiting = [data]
    while waiting:
        holder = waiting.pop()
        for key, value in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if isinstance(value, dict) and value.get("_placeholder") is True:
                number = value.get("num")
                if type(number) is not int or not 0 <= number < count:
                    raise ProtocolError(
                        f"expected an attachment from 0 to {count - 1}, got {show(number)}", rule=ENCODING
                    )
                if number in found:
                    raise ProtocolError(f"attachment {number} stands in two places", rule=ENCODING)
                found[number] = holder, key
            elif isinstance(value, dict | list):
                waiting.append(value)
    for number in range(count):
        if number not in found:
            raise ProtocolError(f"attachment {number} stands nowhere in the data", rule=ENCODING)
    return [found[number] for number in range(count)]


def _attachments(count: int) -> str:
    return "an attachment" if count == 1 else f"{count} attachments"
