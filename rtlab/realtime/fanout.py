"""One message to many sockets: encoded once, written to each, in order with everything else.

What lives here: `Fanout`, the part of a manager of python-socketio that decides who hears an emit and tells them, and
`guarded`, which gives it to any manager. It must not know transports.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import socketio
from socketio import packet as kinds

from rtlab.errors import UsageError
from rtlab.realtime.message import Message
from rtlab.realtime.rules import refuse_socket_id, target_of

__all__ = ["Fanout", "guarded"]


class Fanout(socketio.AsyncManager):  # type: ignore[misc]
    """Delivers an emit to the sockets of this process. Everything else of the manager is as it was."""

    async def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: Any = None,
        callback: Any = None,
        to: Any = None,
        **_: Any,
    ) -> None:
        """Send an event to the members of a room, of several rooms, or of the namespace.

        Args:
            event: its name.
            data: its argument; a tuple for several, None for none.
            namespace: where.
            room: a room or several; None for everybody.
            skip_sid: a socket or several that do not get it.
            callback: called with what a client acknowledges.
            to: another name for `room`.
        """
        # Once more than in Server.emit: what another process emits, or an application on the manager, comes in here.
        target = target_of(to, room, self.server.guards)
        if target != [] and namespace in self.rooms:
            self._deliver(event, data, namespace, target, skip_sid, callback)
        # One turn of the loop for each emit, so that a long run of them starves neither heartbeats nor the writing.
        await asyncio.sleep(0)

    def _deliver(self, event: str, data: Any, namespace: str, target: Any, skip_sid: Any, callback: Any) -> None:
        skip = {skip_sid} if skip_sid is None or isinstance(skip_sid, str) else set(skip_sid)
        skip.update(self.pending_disconnect.get(namespace, ()))
        arguments = list(data) if isinstance(data, tuple) else [] if data is None else [data]
        hears = (pair for pair in self.get_participants(namespace, target) if pair[0] not in skip)
        if callback is None:
            self._tell(hears, self._encode(namespace, [event, *arguments]))
        else:
            for sid, eio_sid in hears:
                number = self._generate_ack_id(sid, callback)
                self._tell([(sid, eio_sid)], self._encode(namespace, [event, *arguments], number))

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> Any:
        """Enter a room. A request of another node comes in here, so what is refused there is refused here too.

        Raises:
            ReservedRoomError: the room is named like another socket.
            ValueError: the socket is gone, as it may be where a handler still works. A room made for it would stay.
        """
        if self.server.guards.reserve_socket_ids:
            refuse_socket_id(sid, room)
        if eio_sid is None and sid not in self.rooms.get(namespace, {}).get(None, ()):
            raise ValueError(f"sid is not connected to requested namespace: {sid!r} is not in {namespace!r}")
        return super().basic_enter_room(sid, namespace, room, eio_sid=eio_sid)

    def _encode(self, namespace: str, data: list[Any], number: int | None = None) -> Message:
        packet = self.server.packet_class(kinds.EVENT, namespace=namespace, data=data, id=number)
        return Message.of(packet.encode())

    def _tell(self, hears: Iterable[tuple[str, str]], message: Message) -> None:
        sockets, held = self.server.eio.sockets, self.server.gate.held
        for sid, eio_sid in hears:
            if held and sid in held:
                held[sid].add(message)
            elif (session := sockets.get(eio_sid)) is not None:
                session.send(message)
        message.forget_frames()


def guarded(manager: Any) -> Any:
    """The same manager, with `Fanout` for the deliveries in this process.

    Raises:
        UsageError: it is no asyncio manager of python-socketio.
    """
    if not isinstance(manager, socketio.AsyncManager):
        raise UsageError(
            f"Expected client_manager=socketio.AsyncManager() or one like it (AsyncRedisManager …), got {manager!r}."
        )
    if not isinstance(manager, Fanout):
        manager.__class__ = _with_fanout(type(manager))
    return manager


def _with_fanout(kind: type) -> type:
    # behind the class itself, so that a manager for several processes keeps its own emit and delivers through this one
    bases = (Fanout,) if kind is socketio.AsyncManager else (kind, Fanout)
    return type(kind.__name__, bases, {"__doc__": kind.__doc__, "__module__": kind.__module__})
