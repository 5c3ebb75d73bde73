"""Fails: test_says_who_types

A notice that nobody hears does not count: the next one goes out at once when somebody else comes.
"""

import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import socketio

LONGEST_NAME = 64
"""Characters of a room's name. One that is longer, or empty, or no text, is no name."""
LONGEST_TEXT = 1000
"""Characters of a message. One that is longer, or empty, or no text, is no message."""
TYPING_S = 2.0
"""Seconds from one notice that a user types in a room to the next one."""

Ack = dict[str, Any]


class RefusedError(Exception):
    """An event that is not done. The client hears why."""

    def __init__(self, code: str, message: str) -> None:
        self.ack = {"status": "error", "code": code, "message": message}


class Room:
    """What is known of a room."""

    def __init__(self, history: int) -> None:
        self.messages: deque[dict[str, Any]] = deque(maxlen=history)
        self.users: dict[str, str] = {}
        """The user of each connection in it."""
        self.typed: dict[str, float] = {}
        """When others were told that a user types, in the last seconds."""


class House:
    """All rooms. Those in which nobody is stand in the order in which they became empty."""

    def __init__(self, history: int, rooms: int) -> None:
        self.history = history
        self.limit = rooms
        self.rooms: dict[str, Room] = {}

    def opened(self, name: str) -> Room:
        """The room of that name: the one that is there, or a new one."""
        if name not in self.rooms:
            if len(self.rooms) >= self.limit:
                self._make_place()
            self.rooms[name] = Room(self.history)
        return self.rooms[name]

    def _make_place(self) -> None:
        longest_empty = next((name for name, room in self.rooms.items() if not room.users), None)
        if longest_empty is None:
            raise RefusedError("rooms_full", f"there are {self.limit} rooms, and somebody is in every one")
        del self.rooms[longest_empty]

    def joined(self, name: str, sid: str) -> Room:
        """The room, for one of its members."""
        room = self.rooms.get(name)
        if room is None or sid not in room.users:
            raise RefusedError("not_a_member", "join the room first")
        return room

    def left(self, name: str, sid: str) -> str | None:
        """Take a connection out. Gives its user if that was the user's last one in the room."""
        room = self.rooms.get(name)
        if room is None or sid not in room.users:
            return None
        user = room.users.pop(sid)
        if not room.users:
            del self.rooms[name]
            if room.messages:
                self.rooms[name] = room  # behind all that were empty before
        return None if user in room.users.values() else user


def register(sio: socketio.AsyncServer, *, history: int = 50, rooms: int = 100) -> None:
    """Put a chat on a server: four events, and `disconnect`."""
    house = House(history, rooms)

    def on(event: str) -> Callable[[Callable[[str, Any], Awaitable[Ack]]], None]:
        def register_it(handler: Callable[[str, Any], Awaitable[Ack]]) -> None:
            async def answered(sid: str, *arguments: Any) -> Ack:
                try:
                    match arguments:
                        case (payload,):
                            return await handler(sid, payload)
                    raise RefusedError("bad_payload", f"expected one argument, got {len(arguments)}")
                except RefusedError as refused:
                    return refused.ack

            sio.on(event, answered)

        return register_it

    async def depart(sid: str, name: str) -> None:
        user = house.left(name, sid)
        await sio.leave_room(sid, target(name))
        if user is not None:
            await sio.emit("chat:userLeft", {"username": user, "room": name}, to=target(name))

    @on("chat:join")
    async def join(sid: str, payload: Any) -> Ack:
        name = name_in(payload)
        user = (await sio.get_session(sid))["username"]
        room = house.opened(name)
        is_new = user not in room.users.values()
        room.users[sid] = user
        await sio.enter_room(sid, target(name))
        # Nothing has been waited for since the room was looked up: no message stands between history and live.
        await sio.emit("chat:history", list(room.messages), to=sid)
        if is_new:
            await sio.emit("chat:userJoined", {"username": user, "room": name}, to=target(name), skip_sid=sid)
        return {"status": "ok", "room": name, "members": sorted(set(room.users.values()))}

    @on("chat:leave")
    async def leave(sid: str, payload: Any) -> Ack:
        await depart(sid, name_in(payload))
        return {"status": "ok"}

    @on("chat:message")
    async def message(sid: str, payload: Any) -> Ack:
        if not isinstance(payload, dict):
            raise RefusedError("bad_payload", "expected an object with room and text")
        name = name_in(payload.get("room"))
        text = text_in("text", payload.get("text"), LONGEST_TEXT)
        room = house.joined(name, sid)
        said = {
            "id": uuid.uuid4().hex,
            "username": room.users[sid],
            "room": name,
            "text": text,
            "timestamp": int(time.time() * 1000),
        }
        room.messages.append(said)
        await sio.emit("chat:message", said, to=target(name))
        return {"status": "ok", "id": said["id"]}

    @on("chat:typing")
    async def typing(sid: str, payload: Any) -> Ack:
        name = name_in(payload)
        room = house.joined(name, sid)
        user, now = room.users[sid], time.monotonic()
        room.typed = {each: told for each, told in room.typed.items() if now - told < TYPING_S}
        if user not in room.typed:
            own = [each for each, owner in room.users.items() if owner == user]
            if len(own) < len(room.users):
                room.typed[user] = now
            await sio.emit("chat:typing", {"username": user, "room": name}, to=target(name), skip_sid=own)
        return {"status": "ok"}

    @sio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        for name in [name for name, room in house.rooms.items() if sid in room.users]:
            await depart(sid, name)


def target(name: str) -> str:
    """The server's room for a name that a client uses, in a space where no id can be."""
    return f"chat:{name}"


def name_in(value: Any) -> str:
    """A room's name."""
    return text_in("room", value, LONGEST_NAME)


def text_in(what: str, value: Any, longest: int) -> str:
    """A text within its bounds."""
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise RefusedError("bad_payload", f"{what}: expected a text of 1 to {longest} characters")
    return value
