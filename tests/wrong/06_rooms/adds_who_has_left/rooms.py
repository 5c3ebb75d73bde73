"""Fails: test_leaves_while_asked

What was true before `may_join` was asked need not be true afterwards.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import socketio

LONGEST_NAME = 50
"""Characters of a room's name. One that is longer, or empty, or no text, is no name."""
EVERYONE: Any = object()
"""An audience: whoever is connected. Compare with `is`."""

OK = {"status": "ok"}


def register(sio: socketio.AsyncServer, may_join: Callable[[str, str], Awaitable[bool]]) -> None:
    """Put the chat's four events, and `disconnect`, on a server."""
    members: dict[str, dict[str, str]] = {}
    """For each room that has any: the user of each connection in it."""

    async def depart(sid: str, room: str) -> None:
        user = members.get(room, {}).pop(sid, None)
        if user is None:
            return
        gone = user not in members[room].values()
        if not members[room]:
            del members[room]
        await sio.leave_room(sid, room)
        if gone:
            await sio.emit("chat:userLeft", {"username": user}, to=room)

    @sio.on("chat:join")
    async def join(sid: str, name: Any = None, *_: Any) -> dict[str, Any]:
        room = room_of(name)
        if room is None:
            return error("bad_request")
        user = (await sio.get_session(sid))["username"]
        if not await may_join(user, name):
            return error("forbidden")
        inside = members.setdefault(room, {})
        is_new = user not in inside.values()
        inside[sid] = user
        await sio.enter_room(sid, room)
        if is_new:
            await sio.emit("chat:userJoined", {"username": user}, to=room, skip_sid=sid)
        return {**OK, "room": name, "members": sorted(set(inside.values()))}

    @sio.on("chat:leave")
    async def leave(sid: str, name: Any = None, *_: Any) -> dict[str, Any]:
        room = room_of(name)
        if room is None:
            return error("bad_request")
        await depart(sid, room)
        return OK

    @sio.on("chat:message")
    async def message(sid: str, data: Any = None, *_: Any) -> dict[str, Any]:
        match data:
            case {"room": name, "text": str(text)} if room := room_of(name):
                if (user := members.get(room, {}).get(sid)) is None:
                    return error("not_a_member")
                await sio.emit("chat:message", {"username": user, "room": name, "text": text}, to=room)
                return OK
        return error("bad_request")

    @sio.on("chat:who")
    async def who(sid: str, name: Any = None, *_: Any) -> dict[str, Any]:
        room = room_of(name)
        if room is None:
            return error("bad_request")
        inside = members.get(room, {})
        return {**OK, "members": sorted(set(inside.values()))} if sid in inside else error("not_a_member")

    @sio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        for room in [room for room, inside in members.items() if sid in inside]:
            await depart(sid, room)


async def send(sio: socketio.AsyncServer, sender: str | None, audience: Iterable[Any], event: str, data: Any) -> None:
    """Send an event to those who are meant, once each, and to nobody else."""
    if audience is EVERYONE:
        await sio.emit(event, data, skip_sid=sender)
    elif rooms := [room for name in audience if (room := room_of(name))]:
        await sio.emit(event, data, to=rooms, skip_sid=sender)


def room_of(name: object) -> str | None:
    """The server's room for a name that a client uses, in a space where no id can be; None if it is no name."""
    return f"room:{name}" if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME else None


def error(code: str) -> dict[str, Any]:
    """What a client is told when its event cannot be done."""
    return {"status": "error", "code": code}
