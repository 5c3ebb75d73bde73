"""What the chat does with each event.

What lives here: `Events`, one method for each event of the contract. What a payload may be stands in `payloads`, how
one gets into a room in `rooms`, and `chat` brings events here and sends what they give back. It must not know
transports or tokens.

A method gives the acknowledgement, or raises `EventRefused`. One token of the user's budget is taken before it is
called; what it costs beyond that, it owes (`costs`).
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from rtlab.chat import payloads
from rtlab.chat.clock import Clock
from rtlab.chat.connections import Visitor
from rtlab.chat.costs import ROOM, beyond_one_token, wire_bytes
from rtlab.chat.limits import Limits
from rtlab.chat.rooms import EventRefused, May, Rooms, chat_room
from rtlab.chat.stores.protocols import History, Record, Sessions

__all__ = ["NOTIFICATIONS", "Ack", "Events", "topic_room"]

NOTIFICATIONS = "/notifications"
"""The namespace of the notifications."""
Ack = dict[str, Any]


def topic_room(topic: str) -> str:
    """A topic's name among the server's rooms."""
    return f"topic:{topic}"


class Events:
    """The chat.

    Args:
        sio: the server, for its rooms and for what is emitted.
        limits: how much there may be.
        history: where messages are kept.
        sessions: where the rooms of sessions are kept.
        rooms: who is where.
        may_subscribe: who may subscribe to which topic.
        clock: for timestamps.
    """

    def __init__(
        self,
        sio: Any,
        limits: Limits,
        history: History,
        sessions: Sessions,
        rooms: Rooms,
        may_subscribe: May,
        clock: Clock,
    ) -> None:
        self._sio = sio
        self._limits = limits
        self._history = history
        self._sessions = sessions
        self._may_subscribe = may_subscribe
        self._clock = clock
        # A store of several nodes tells the members of a message itself, and keeps sessions of clients that are here.
        self._store_tells = bool(getattr(history, "tells", False))
        self._keep = getattr(sessions, "keep", sessions.save)
        self.rooms = rooms
        """Who is where."""
        self.handlers: dict[tuple[str, str], Callable[[Visitor, Any], Awaitable[Ack]]] = {
            ("/", "chat:join"): self.join,
            ("/", "chat:leave"): self.leave,
            ("/", "chat:message"): self.message,
            ("/", "chat:typing"): self.typing,
            ("/", "room:join"): self.plain_join,
            ("/", "room:leave"): self.plain_leave,
            ("/", "session:restore"): self.restore,
            (NOTIFICATIONS, "subscribe"): self.subscribe,
            (NOTIFICATIONS, "unsubscribe"): self.unsubscribe,
        }
        """By namespace and event."""

    # Chat rooms

    async def join(self, who: Visitor, payload: Any) -> Ack:
        """``chat:join``."""
        asked = payloads.join(payload, self._limits)
        count = self._limits.history_on_join
        async with self.rooms.pricing(who):
            await self.rooms.enter(who, asked.room)
            members = await self.rooms.members(asked.room)
            # It is in the room before the history is read: what is said meanwhile comes twice rather than never.
            if asked.after is None:
                page = await self._history.last(asked.room, count)
            else:
                page = await self._history.after(asked.room, asked.after, count)
            records, size = within(page.records, self._limits.page_bytes, newest=asked.after is None)
            self.rooms.owe(who, beyond_one_token(size + wire_bytes(members)))
        whole = asked.after is None or len(records) == len(page.records)
        offset = page.offset if whole else records[-1]["offset"]
        self.rooms.gave(who, asked.room, offset)
        await self._sio.emit("chat:history", records, to=who.sid, ignore_queue=True)
        await self.keep(who)
        return {
            "status": "ok", "room": asked.room, "members": members, "missed": page.missed,
            "complete": page.complete and whole, "lost": page.lost, "offset": offset,
        }  # fmt: skip

    async def leave(self, who: Visitor, payload: Any) -> Ack:
        """``chat:leave``. Whoever is not there has nothing to leave, and that is fine."""
        room = payloads.room(payload, self._limits)
        await self.rooms.leave(who, room)
        await self.keep(who)
        return {"status": "ok"}

    async def message(self, who: Visitor, payload: Any) -> Ack:
        """``chat:message``."""
        said = payloads.message(payload, self._limits)
        record: dict[str, Any] = {
            "id": uuid.uuid4().hex, "username": who.identity.username, "text": said.text, "room": said.room,
            "timestamp": int(self._clock.wall() * 1000),
        }  # fmt: skip
        if said.client_id is not None:
            record["clientId"] = said.client_id
        self._must_be_in(who, said.room)
        async with self.rooms.pricing(who):
            self.rooms.owe(who, beyond_one_token(wire_bytes(record), await self.rooms.listeners(said.room)))
        async with self.rooms.storing(said.room):
            self._must_be_in(who, said.room)  # also after waiting: nothing is stored in a room that may be given up
            kept, new = await self._history.append(said.room, record, who.identity.user)
            if new and not self._store_tells:
                await self._sio.emit("chat:message", kept, to=chat_room(said.room))
        return {"status": "ok", "id": kept["id"], "offset": kept["offset"]}

    async def typing(self, who: Visitor, payload: Any) -> Ack:
        """``chat:typing``."""
        room = payloads.room(payload, self._limits)
        self._must_be_in(who, room)
        await self.rooms.tell_typing(who, room)
        return {"status": "ok"}

    # Plain rooms

    async def plain_join(self, who: Visitor, payload: Any) -> Ack:
        """``room:join``."""
        await self.rooms.plain_enter(who, payloads.room(payload, self._limits))
        await self.keep(who)
        return {"status": "ok"}

    async def plain_leave(self, who: Visitor, payload: Any) -> Ack:
        """``room:leave``."""
        await self.rooms.plain_leave(who, payloads.room(payload, self._limits))
        await self.keep(who)
        return {"status": "ok"}

    # Sessions

    async def restore(self, who: Visitor, payload: Any) -> Ack:
        """``session:restore``: of one's own sessions only. What cannot be entered any more is left out."""
        saved = await self._sessions.restore(who.identity.user, payloads.session_id(payload))
        if saved is None:
            raise EventRefused("unknown_session", "session: expected one of your own that has not ended, got another")
        restored = set()
        for enter, rooms in ((self.rooms.enter, saved.chat), (self.rooms.plain_enter, saved.plain)):
            for room in sorted(rooms):
                self.rooms.owe(who, ROOM)
                try:
                    await enter(who, room)
                except EventRefused:
                    continue
                restored.add(room)
        await self.keep(who)
        await self._sio.emit("session:restored", {"rooms": sorted(restored)}, to=who.sid, ignore_queue=True)
        return {"status": "ok", "rooms": sorted(restored)}

    # Notifications

    async def subscribe(self, who: Visitor, payload: Any) -> Ack:
        """``subscribe``: to these topics besides those that there are."""
        topics = payloads.topics(payload, self._limits)
        for there, most in ((who.topics, self._limits.topics), (who.user.topics(), self._limits.topics_per_user)):
            if (count := len(there.union(topics))) > most and not there.issuperset(topics):
                whose = "one connection" if there is who.topics else "one user"
                raise EventRefused("bad_payload", f"topics: expected at most {most} of {whose}, got {count}")
        for topic in topics:
            if not await self._may_subscribe(who.identity.user, topic):
                raise EventRefused("forbidden", "topics: expected topics that are open to you")
        if who.gone:
            raise EventRefused("gone", "expected a client that is still here")
        for topic in topics:
            await self._sio.enter_room(who.sid, topic_room(topic), namespace=NOTIFICATIONS)
            who.topics.add(topic)
        return {"status": "ok", "topics": sorted(who.topics)}

    async def unsubscribe(self, who: Visitor, payload: Any) -> Ack:
        """``unsubscribe``: from these topics."""
        for topic in payloads.topics(payload, self._limits):
            await self._sio.leave_room(who.sid, topic_room(topic), namespace=NOTIFICATIONS)
            who.topics.discard(topic)
        return {"status": "ok", "topics": sorted(who.topics)}

    # The ends of a visit

    def new_session_id(self) -> str:
        """An id that nobody can guess, under which a client's rooms are kept."""
        return secrets.token_urlsafe(24)

    async def keep(self, who: Visitor) -> None:
        """The rooms of a client's session are what they are now."""
        if not who.gone:  # what a client had when it left is saved already
            await self._keep(who.identity.user, who.session_id, self.rooms.of(who))

    async def gone(self, who: Visitor) -> None:
        """A client has left, on purpose or not."""
        rooms = self.rooms.of(who)
        async with AsyncExitStack() as steps:  # the last one first, and each even if a store fails in another
            if who.session_id:
                steps.push_async_callback(self._sessions.save, who.identity.user, who.session_id, rooms)
            for room in sorted(rooms.plain, reverse=True):
                steps.push_async_callback(self.rooms.plain_leave, who, room)
            for room in sorted(rooms.chat, reverse=True):
                steps.push_async_callback(self.rooms.leave, who, room)

    # Steps

    def _must_be_in(self, who: Visitor, room: str) -> None:
        if not self.rooms.chat.has(room, who.sid):
            raise EventRefused("not_a_member", f"room: expected one that you have joined, got {payloads.quoted(room)}")


def within(records: list[Record], most: int, *, newest: bool) -> tuple[list[Record], int]:
    """As many messages as fit, one at least.

    Args:
        records: the messages, oldest first.
        most: bytes of JSON that they may take.
        newest: whether to keep the last ones; the first ones if not.

    Returns:
        The messages, oldest first, and the bytes that they take.
    """
    kept: list[Record] = []
    size = 0
    for record in reversed(records) if newest else records:
        more = wire_bytes(record)
        if kept and size + more > most:
            break
        kept.append(record)
        size += more
    return (kept[::-1] if newest else kept), size
