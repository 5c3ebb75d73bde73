"""Fails: test_answers_whatever_comes

What comes after the first argument is ignored, although two arguments are another shape.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import socketio

LONGEST_NAME = 50
EVERYONE: Any = object()

OK = {"status": "ok"}


def register(sio: socketio.AsyncServer, may_join: Callable[[str, str], Awaitable[bool]]) -> None:
    members: dict[str, dict[str, str]] = {}

    async def depart(sid: str, *rooms: str) -> None:
        left = []
        for room in rooms:
            user = members[room].pop(sid)
            if user not in members[room].values():
                left.append((room, user))
            if not members[room]:
                del members[room]
        for room in rooms:
            await sio.leave_room(sid, room)
        for room, user in left:
            await sio.emit("chat:userLeft", {"username": user}, to=room)

    @sio.on("chat:join")
    async def join(sid: str, *args: Any) -> dict[str, Any]:
        room = only_room(args)
        if room is None:
            return error("bad_request")
        user = (await sio.get_session(sid))["username"]
        if not await may_join(user, args[0]) or not sio.manager.is_connected(sid, "/"):
            return error("forbidden")
        inside = members.setdefault(room, {})
        is_new = user not in inside.values()
        inside[sid] = user
        await sio.enter_room(sid, room)
        if is_new:
            await sio.emit("chat:userJoined", {"username": user}, to=room, skip_sid=sid)
        return {**OK, "room": args[0], "members": sorted(set(inside.values()))}

    @sio.on("chat:leave")
    async def leave(sid: str, *args: Any) -> dict[str, Any]:
        room = only_room(args)
        if room is None:
            return error("bad_request")
        if sid in members.get(room, {}):
            await depart(sid, room)
        return OK

    @sio.on("chat:message")
    async def message(sid: str, *args: Any) -> dict[str, Any]:
        match args:
            case [{"room": name, "text": str(text)}, *_] if room := room_of(name):
                if (user := members.get(room, {}).get(sid)) is None:
                    return error("not_a_member")
                await sio.emit("chat:message", {"username": user, "room": name, "text": text}, to=room)
                return OK
        return error("bad_request")

    @sio.on("chat:who")
    async def who(sid: str, *args: Any) -> dict[str, Any]:
        room = only_room(args)
        if room is None:
            return error("bad_request")
        inside = members.get(room, {})
        return {**OK, "members": sorted(set(inside.values()))} if sid in inside else error("not_a_member")

    @sio.on("disconnect")
    async def disconnect(sid: str, reason: str) -> None:
        await depart(sid, *[room for room, inside in members.items() if sid in inside])


async def send(sio: socketio.AsyncServer, sender: str | None, audience: Iterable[Any], event: str, data: Any) -> None:
    if audience is EVERYONE:
        await sio.emit(event, (data,), skip_sid=sender)
    elif rooms := [room for name in audience if (room := room_of(name))]:
        await sio.emit(event, (data,), to=rooms, skip_sid=sender)


def room_of(name: object) -> str | None:
    return f"room:{name}" if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME else None


def only_room(args: tuple[Any, ...]) -> str | None:
    return room_of(args[0]) if args else None


def error(code: str) -> dict[str, Any]:
    return {"status": "error", "code": code}
