"""The rules of the Socket.IO server that are plain functions: names, targets, and what waits for a connect handler.

What lives here: each rule once, without I/O. `server` and `fanout` apply them; `guards` has the switches.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rtlab.errors import ProtocolError, ReservedRoomError
from rtlab.realtime.guards import Guards
from rtlab.realtime.limits import SOCKET_ID_PREFIX
from rtlab.realtime.message import Message
from rtlab.wire.socketio import RESERVED_EVENTS, Packet

__all__ = ["PendingMessages", "event_name", "match_arguments", "refuse_socket_id", "target_of"]


def refuse_socket_id(sid: str, room: Any) -> None:
    """Keep sockets out of rooms that are named like another socket: they would hear what is meant for that one.

    A room None is the namespace itself, and each socket is in the room of its own name.

    Raises:
        ReservedRoomError: the name belongs to another socket, wherever that one lives, or lived.
    """
    if isinstance(room, str) and room.startswith(SOCKET_ID_PREFIX) and room != sid:
        raise ReservedRoomError(
            f"cannot enter a sid room: {room!r} begins with {SOCKET_ID_PREFIX!r}, so it names a socket. "
            "Give rooms whose names come from clients a prefix of their own, like 'room:'."
        )


def target_of(to: Any, room: Any, guards: Guards) -> Any:
    """Whom an emit is for: None for everybody, a room, or a list of rooms. An empty list is for nobody.

    Args:
        to: as the application said it.
        room: the same under its other name.
        guards: whether an empty target is nobody, or everybody as in python-socketio.
    """
    if not guards.empty_target_is_nobody:
        return to or room
    target = room if to is None else to
    if target is None or (isinstance(target, str) and target):
        return target
    if isinstance(target, str):
        return []
    if isinstance(target, list | tuple | set | frozenset):
        return [each for each in target if each is not None]
    return target


def event_name(packet: Packet, guards: Guards) -> str:
    """The name of a client's event.

    Raises:
        ProtocolError: it is reserved: only a server says so (socket.io-parser 4.2, RESERVED_EVENTS).
    """
    name = packet.data[0]
    if guards.reserved_events and name in RESERVED_EVENTS:
        raise ProtocolError(f"expected an event of the application, got the reserved {name!r}", rule="socket.io-parser")
    if isinstance(name, str):
        return name
    return str(int(name)) if isinstance(name, int) or (name.is_integer() and abs(name) < 1e21) else repr(name)


def match_arguments(handler: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments that a connect handler takes: (sid, environ, auth), or without auth if it does not take that."""
    try:
        signature = inspect.signature(handler)
    except (TypeError, ValueError):
        return arguments
    try:
        signature.bind(*arguments)
    except TypeError:
        return arguments[:-1]
    return arguments


class PendingMessages:
    """What was sent to a socket while its connect handler runs.

    Args:
        limit: bytes of memory that may be held; None for any number.
        overflow: called when more would be.
    """

    def __init__(self, limit: int | None, overflow: Callable[[], None]) -> None:
        self.messages: list[Message] = []
        self._size = 0
        self._limit = limit
        self._overflow = overflow

    def add(self, message: Message) -> None:
        """Keep a message."""
        if self._limit is not None and self._size > self._limit:
            self._overflow()
        else:
            self.messages.append(message)
            self._size += message.held
