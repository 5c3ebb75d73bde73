"""What may come over the channel: each message is held to its size, its depth and its types before anybody acts on it.

What lives here: the form of python-socketio's messages between nodes (`AsyncPubSubManager`, python-socketio 5), as
plain functions. Whoever can publish on the channel is as mighty as the application; what is held off here is nonsense,
and what would harm clients that it is not meant for.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Callable
from typing import Any

from socketio.packet import Packet

from rtlab.errors import ProtocolError
from rtlab.realtime.limits import NAMESPACE_LENGTH, SOCKET_ID_PREFIX
from rtlab.wire.socketio import MAX_DEPTH, RESERVED_EVENTS
from rtlab.wire.socketio_packets import refuse_depth

__all__ = ["MAX_MESSAGE_BYTES", "NONSENSE", "NonsenseError", "checked"]

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Bytes of one message: what a client may send (1 MB), as JSON in ASCII, which takes up to three times as many."""
NAME_LENGTH = 1024
"""Characters of a room, a socket id, a host id or an event, each of which is kept or looked up."""
NONSENSE = (
    "too_large",
    "not_utf8",
    "not_json",
    "too_deep",
    "not_an_object",
    "method",
    "host_id",
    "namespace",
    "event",
    "room",
    "skip_sid",
    "data",
    "binary",
    "callback",
    "prev",
    "sid",
    "id",
    "args",
    "reserved_room",
    "unknown_callback",
    "failed",
)
"""What can be wrong with a message, as it is counted."""
Message = dict[str, Any]


class NonsenseError(Exception):
    """A message is none. Never leaves `rtlab.realtime.nodes`: it is counted there."""

    def __init__(self, kind: str, problem: str) -> None:
        self.kind = kind
        """One of `NONSENSE`."""
        super().__init__(problem)


def checked(
    raw: bytes, loads: Callable[[str], Any], most_bytes: int = MAX_MESSAGE_BYTES, *, finite: bool = True
) -> Message:
    """The message in these bytes, with only those fields that its method has, each of its type.

    Args:
        raw: what was published.
        loads: of the JSON module of the server.
        most_bytes: the longest.
        finite: whether numbers have to be: Python's JSON has NaN and Infinity, and others have not (RFC 8259 §6).

    Raises:
        NonsenseError: it is none.
    """
    if len(raw) > most_bytes:
        raise NonsenseError("too_large", f"expected at most {most_bytes} bytes, got {len(raw)}")
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise NonsenseError("not_utf8", f"expected UTF-8, got: {error.reason}") from None
    try:
        message = loads(text)
    except RecursionError:
        raise NonsenseError("too_deep", f"expected at most {MAX_DEPTH} levels, got more") from None
    except (ValueError, TypeError) as error:
        raise NonsenseError("not_json", f"expected JSON, got: {error}") from None
    if not isinstance(message, dict):
        raise NonsenseError("not_an_object", f"expected an object, got {type(message).__name__}")
    method = message.get("method")
    if not isinstance(method, str) or method not in METHODS:
        raise NonsenseError("method", f"expected one of {', '.join(METHODS)}, got {_short(method)}")
    host = message.get("host_id")
    if host is not None and not _is_name(host):
        raise NonsenseError("host_id", f"expected host_id as a text, got {_short(host)}")
    namespace = message.get("namespace", "/")
    if not isinstance(namespace, str) or len(namespace) > NAMESPACE_LENGTH:
        raise NonsenseError("namespace", f"expected namespace as a short text, got {_short(namespace)}")
    fields = METHODS[method](message)
    if finite:
        _refuse_infinite(fields)
    return {"method": method, "host_id": host, "namespace": namespace, **fields}


def _emit(message: Message) -> Message:
    event, room, skip, callback, prev = (
        message.get(name) for name in ("event", "room", "skip_sid", "callback", "prev")
    )
    if not isinstance(event, str) or event in RESERVED_EVENTS or len(event) > NAME_LENGTH:
        raise NonsenseError("event", f"expected the name of an event of an application, got {_short(event)}")
    if room is not None and not _is_room(room) and not (isinstance(room, list) and all(map(_is_room, room))):
        raise NonsenseError("room", f"expected a room, a list of them or null, got {_short(room)}")
    if skip is not None and not _is_name(skip) and not (isinstance(skip, list) and all(map(_is_skipped, skip))):
        raise NonsenseError("skip_sid", f"expected a socket id, a list of them or null, got {_short(skip)}")
    if callback is not None:
        if message.get("host_id") is None or not isinstance(callback, list) or len(callback) != 3:
            raise NonsenseError("callback", "expected callback as [room, namespace, id] of a host")
        room_of, namespace, number = callback
        if not _is_room(room_of) or not isinstance(namespace, str) or not _is_id(number):
            raise NonsenseError("callback", f"expected callback as [room, namespace, id], got {_short(callback)}")
    if prev is not None and not _is_name(prev):
        raise NonsenseError("prev", f"expected prev as a text, got {_short(prev)}")
    return {
        "event": event,
        "data": _data(message),
        "binary": False,
        "room": room,
        "skip_sid": skip,
        "callback": callback,
        # no field of python-socketio's: what an application's `RedisManager.admit` goes by
        **({} if prev is None else {"prev": prev}),
    }


def _data(message: Message) -> list[Any]:
    """The arguments of an event, with its attachments in their places."""
    data = message.get("data")
    if not isinstance(data, list):
        raise NonsenseError("data", f"expected data as a list, got {_short(data)}")
    for each in data:
        _refuse_levels(each)
    if not message.get("binary"):
        return data
    if not data or not isinstance(data[0], list):
        raise NonsenseError("binary", "expected data as a list and its attachments")
    try:
        attachments = dict(enumerate(base64.b64decode(each, validate=True) for each in data[1:]))
        rebuilt: list[Any] = Packet.reconstruct_binary(data[0], attachments)
    except (binascii.Error, ValueError, TypeError, LookupError) as error:
        raise NonsenseError("binary", f"expected attachments, got: {type(error).__name__}") from None
    return rebuilt


def _callback(message: Message) -> Message:
    sid, number, args = message.get("sid"), message.get("id"), message.get("args")
    if not _is_room(sid):
        raise NonsenseError("sid", f"expected sid as a text, got {_short(sid)}")
    if not _is_id(number):
        raise NonsenseError("id", f"expected id as a positive number, got {_short(number)}")
    if not isinstance(args, list):
        raise NonsenseError("args", f"expected args as a list, got {_short(args)}")
    for each in args:
        _refuse_levels(each)
    return {"sid": sid, "id": number, "args": args}


def _disconnect(message: Message) -> Message:
    if not _is_name(sid := message.get("sid")):
        raise NonsenseError("sid", f"expected sid as a text, got {_short(sid)}")
    return {"sid": sid}


def _enter_room(message: Message) -> Message:
    return {**_disconnect(message), **_room(message, message.get("sid"))}


def _leave_room(message: Message) -> Message:
    return {**_disconnect(message), **_room(message, None)}


def _close_room(message: Message) -> Message:
    return _room(message, None)


def _room(message: Message, own: Any) -> Message:
    """A room of the application. The namespace itself (null) is none, nor is one of a socket, save its own to enter."""
    room = message.get("room")
    if not _is_room(room):
        raise NonsenseError("room", f"expected a room, got {_short(room)}")
    if isinstance(room, str) and room != own and (room.startswith(SOCKET_ID_PREFIX) or room == message.get("sid")):
        raise NonsenseError("reserved_room", f"expected a room of the application, got a socket's: {_short(room)}")
    return {"room": room}


METHODS: dict[str, Callable[[Message], Message]] = {
    "emit": _emit,
    "callback": _callback,
    "disconnect": _disconnect,
    "enter_room": _enter_room,
    "leave_room": _leave_room,
    "close_room": _close_room,
}
"""What one node may ask of another, and what reads it."""


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= NAME_LENGTH


def _is_room(value: Any) -> bool:
    return _is_name(value) or (isinstance(value, int) and not isinstance(value, bool))


def _is_skipped(value: Any) -> bool:
    return value is None or _is_name(value)


def _is_id(value: Any) -> bool:
    """An id from 1 on: python-socketio keeps its counter under 0, and a message could call it away."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _refuse_levels(value: Any) -> None:
    try:
        refuse_depth(value)
    except ProtocolError as error:
        raise NonsenseError("too_deep", error.problem) from None


def _refuse_infinite(fields: Message) -> None:
    rest: list[Any] = [fields]
    while rest:
        value = rest.pop()
        if isinstance(value, float) and not math.isfinite(value):
            raise NonsenseError("not_json", f"expected JSON, got the number {value}")
        if isinstance(value, dict):
            rest.extend(value.values())
        elif isinstance(value, list):
            rest.extend(value)


def _short(value: Any) -> str:
    return f"{value[:40]!r}" if isinstance(value, str) else type(value).__name__
