"""What the chat does with each event.

What lives here: `Events`, one method for each event of the contract. What a payload may be stands in `payloads`, who is
where in `presence`, and `app` brings them here and sends what they give back. It must not know transports or tokens.

A method gives the acknowledgement, or raises `EventRefused`.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from weakref import WeakValueDictionary

from rtlab.chat import payloads
from rtlab.chat.clock import Clock
from rtlab.chat.connections import Visitor
from rtlab.chat.limits import TYPING_S, Limits
from rtlab.chat.presence import Full, Presence
from rtlab.chat.stores.protocols import History, Saved, Sessions

__all__ = ["NOTIFICATIONS", "Ack", "EventRefused", "Events", "May", "topic_room"]

NOTIFICATIONS = "/notifications"
"""The namespace of the notifications."""
Ack = dict[str, Any]
May = Callable[[str, str], Awaitable[bool]]
"""Whether a user (the claim ``sub``) may enter a room, or subscribe to a topic."""


class EventRefused(Exception):  # noqa: N818 - an answer to a client, not an error of ours
    """An event is not done. The client hears why. Never leaves rtlab.chat."""

    def __init__(self, code: str, problem: str) -> None:
        self.code = code
        """One word for programs."""
        super().__init__(problem)


def chat_room(room: str) -> str:
    """A chat room's name among the server's rooms."""
    return f"chat:{room}"


def plain_room(room: str) -> str:
    """A plain room's name among the server's rooms."""
    return f"room:{room}"


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
        may_join: who may enter which chat room.
        may_subscribe: who may subscribe to which topic.
        clock: for timestamps, and for how often others hear that somebody types.
    """

    def __init__(
        self,
        sio: Any,
        limits: Limits,
        history: History,
        sessions: Sessions,
        may_join: May,
        may_subscribe: May,
        clock: Clock,
    ) -> None:
        self._sio = sio
        self._limits = limits
        self._history = history
        self._sessions = sessions
        self._may_join = may_join
        self._may_subscribe = may_subscribe
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._typed: dict[tuple[str, str], float] = {}
        """When others were last told that a user types in a room, the longest ago first."""
        bounds = (limits.rooms, limits.members, limits.rooms_per_connection)
        self.chat = Presence(*bounds)
        """Who is in which chat room."""
        self.plain = Presence(*bounds)
        """Who is in which plain room."""
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
        await self._enter(who, asked.room)
        # The socket is in the room before the history is read: what is said meanwhile comes twice rather than never.
        count = self._limits.history_on_join
        if asked.after is None:
            page = await self._history.last(asked.room, count)
        else:
            page = await self._history.after(asked.room, asked.after, count)
        await self._sio.emit("chat:history", page.records, to=who.sid)
        await self._save(who)
        return {
            "status": "ok", "room": asked.room, "members": self.chat.members(asked.room),
            "missed": page.missed, "complete": page.complete,
        }  # fmt: skip

    async def leave(self, who: Visitor, payload: Any) -> Ack:
        """``chat:leave``. Whoever is not there has nothing to leave, and that is fine."""
        room = payloads.room(payload, self._limits)
        await self._leave(who, room)
        await self._save(who)
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
        async with self._in_order(said.room):
            self._must_be_in(who, said.room)  # also after waiting: nothing is stored in a room that may be given up
            kept, new = await self._history.append(said.room, record, who.identity.user)
            if new:
                await self._sio.emit("chat:message", kept, to=chat_room(said.room))
        return {"status": "ok", "id": kept["id"], "offset": kept["offset"]}

    async def typing(self, who: Visitor, payload: Any) -> Ack:
        """``chat:typing``."""
        room = payloads.room(payload, self._limits)
        self._must_be_in(who, room)
        member = self.chat.member(room, who.identity.user)
        if self._may_tell(who.identity.user, room, self._clock.steady()):
            notice = {"username": member.username, "room": room}
            await self._sio.emit("chat:typing", notice, to=chat_room(room), skip_sid=list(member.sockets))
        return {"status": "ok"}

    # Plain rooms

    async def plain_join(self, who: Visitor, payload: Any) -> Ack:
        """``room:join``."""
        await self._plain_enter(who, payloads.room(payload, self._limits))
        await self._save(who)
        return {"status": "ok"}

    async def plain_leave(self, who: Visitor, payload: Any) -> Ack:
        """``room:leave``."""
        await self._plain_leave(who, payloads.room(payload, self._limits))
        await self._save(who)
        return {"status": "ok"}

    # Sessions

    async def restore(self, who: Visitor, payload: Any) -> Ack:
        """``session:restore``: of one's own sessions only. What cannot be entered any more is left out."""
        saved = await self._sessions.restore(who.identity.user, payloads.session_id(payload))
        if saved is None:
            raise EventRefused("unknown_session", "session: expected one of your own that has not ended, got another")
        restored = set()
        for enter, rooms in ((self._enter, saved.chat), (self._plain_enter, saved.plain)):
            for room in sorted(rooms):
                try:
                    await enter(who, room)
                except EventRefused:
                    continue
                restored.add(room)
        await self._save(who)
        await self._sio.emit("session:restored", {"rooms": sorted(restored)}, to=who.sid)
        return {"status": "ok", "rooms": sorted(restored)}

    # Notifications

    async def subscribe(self, who: Visitor, payload: Any) -> Ack:
        """``subscribe``: to these topics besides those that there are."""
        topics = payloads.topics(payload, self._limits)
        if len(who.topics.union(topics)) > self._limits.topics:
            raise EventRefused("bad_payload", f"topics: expected at most {self._limits.topics} in all")
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

    async def gone(self, who: Visitor) -> None:
        """A client has left, on purpose or not."""
        rooms = self._rooms_of(who)
        async with AsyncExitStack() as steps:  # the last one first, and each even if a store fails in another
            if who.session_id:
                steps.push_async_callback(self._sessions.save, who.identity.user, who.session_id, rooms)
            for room in sorted(rooms.plain, reverse=True):
                steps.push_async_callback(self._plain_leave, who, room)
            for room in sorted(rooms.chat, reverse=True):
                steps.push_async_callback(self._leave, who, room)

    # Steps

    async def _enter(self, who: Visitor, room: str) -> None:
        """Put somebody into a chat room and tell the others.

        Raises:
            EventRefused: it may not, or there is no place.
        """
        if not await self._may_join(who.identity.user, room):
            raise EventRefused("forbidden", "room: expected one that is open to you")
        first, evicted = await self._put(self.chat, who, room, chat_room(room))
        if evicted is not None:
            async with self._in_order(evicted):
                if self.chat.is_empty(evicted):  # still: somebody may have come while a message was on its way
                    await self._history.drop(evicted)
        if first and not who.gone:
            await self._tell("chat:userJoined", {"username": who.identity.username}, chat_room(room), who, room)

    async def _leave(self, who: Visitor, room: str) -> None:
        """Take somebody out of a chat room and tell the others. A room with nothing in it is not kept."""
        gone = self.chat.leave(room, who.identity.user, who.sid)
        await self._sio.leave_room(who.sid, chat_room(room))
        if gone:
            await self._tell("chat:userLeft", {"username": gone}, chat_room(room), who, room)
        if self.chat.is_empty(room):
            async with self._in_order(room):  # a message may be on its way into the store
                if not await self._history.holds(room):
                    self.chat.forget(room)

    async def _plain_enter(self, who: Visitor, room: str) -> None:
        first, _ = await self._put(self.plain, who, room, plain_room(room))
        if first:
            await self._tell("room:userJoined", {"user": who.identity.username}, plain_room(room), who, room)

    async def _plain_leave(self, who: Visitor, room: str) -> None:
        gone = self.plain.leave(room, who.identity.user, who.sid)
        await self._sio.leave_room(who.sid, plain_room(room))
        if gone:
            await self._tell("room:userLeft", {"user": gone}, plain_room(room), who, room)
        if self.plain.is_empty(room):
            self.plain.forget(room)

    async def _tell(self, event: str, about: dict[str, str], target: str, who: Visitor, room: str) -> None:
        """Tell the others in a room. The room is named: whoever is in two could not tell which one it is."""
        await self._sio.emit(event, {**about, "room": room}, to=target, skip_sid=who.sid)

    async def _put(self, presence: Presence, who: Visitor, room: str, target: str) -> tuple[bool, str | None]:
        """Put a socket into a room, here and on the server.

        Returns:
            Whether its user was not there before, and the room that was given up for this one.

        Raises:
            EventRefused: there is no place, or the client has left meanwhile: nobody would take it out again.
        """
        if who.gone:
            raise EventRefused("gone", "expected a client that is still here")
        try:
            evicted = presence.check(room, who.sid)
        except Full as full:
            raise EventRefused(full.code, f"room: {full}") from None
        await self._sio.enter_room(who.sid, target, namespace=who.namespace)
        if evicted is not None:
            presence.forget(evicted)
        return presence.enter(room, who.identity.user, who.identity.username, who.sid), evicted

    def _may_tell(self, user: str, room: str, now: float) -> bool:
        """Whether it is long enough since others were told that this user types. Leaving and coming changes nothing."""
        while self._typed and now - next(iter(self._typed.values())) >= TYPING_S:
            del self._typed[next(iter(self._typed))]
        if (user, room) in self._typed:
            return False
        self._typed[user, room] = now
        return True

    def _must_be_in(self, who: Visitor, room: str) -> None:
        if not self.chat.has(room, who.sid):
            raise EventRefused("not_a_member", f"room: expected one that you have joined, got {payloads.quoted(room)}")

    def _in_order(self, room: str) -> asyncio.Lock:
        """Where a store takes its time, two messages of a room must not overtake each other on the way to its members,
        and none may be stored while the room is given up.

        A lock lives as long as somebody has it or waits for it.
        """
        return self._locks.setdefault(room, asyncio.Lock())

    async def _save(self, who: Visitor) -> None:
        if not who.gone:  # what a client had when it left is saved already
            await self._sessions.save(who.identity.user, who.session_id, self._rooms_of(who))

    def _rooms_of(self, who: Visitor) -> Saved:
        return Saved(self.chat.rooms_of(who.sid), self.plain.rooms_of(who.sid))
