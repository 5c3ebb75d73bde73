"""How somebody gets into a room and out again: on the server, in `presence`, and in what the others hear.

What lives here: `EventRefused`, and `Rooms`, the steps that the events of `events` share. It must not know payloads.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any
from weakref import WeakValueDictionary

from rtlab.chat.clock import Clock
from rtlab.chat.connections import Visitor
from rtlab.chat.costs import beyond_one_token, notice, wire_bytes
from rtlab.chat.limits import TYPING_S, Limits
from rtlab.chat.presence import Full, Presence
from rtlab.chat.stores.protocols import History, Saved

__all__ = ["EventRefused", "May", "Rooms", "chat_room", "plain_room"]

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


class Rooms:
    """The chat rooms and the plain rooms, with who is in them.

    Args:
        sio: the server, for its rooms and for what is emitted.
        limits: how much there may be.
        history: where messages are kept.
        may_join: who may enter which chat room.
        clock: for budgets, and for how often others hear that somebody types.
    """

    def __init__(self, sio: Any, limits: Limits, history: History, may_join: May, clock: Clock) -> None:
        self._sio = sio
        self._limits = limits
        self._history = history
        self._may_join = may_join
        self._clock = clock
        self.locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        """One for each chat room in which something is stored or given up just now."""
        self._typed: dict[tuple[str, str], float] = {}
        """When others were last told that a user types in a room, the longest ago first."""
        self.chat = Presence(limits)
        """Who is in which chat room."""
        self.plain = Presence(limits)
        """Who is in which plain room."""

    async def enter(self, who: Visitor, room: str) -> None:
        """Put somebody into a chat room and tell the others.

        Raises:
            EventRefused: it may not, or there is no place.
        """
        if not await self._may_join(who.identity.user, room):
            raise EventRefused("forbidden", "room: expected one that is open to you")
        first, evicted = await self._put(self.chat, who, room, chat_room(room))
        if evicted is not None:
            async with self.in_order(evicted):
                if self.chat.is_empty(evicted):  # still: somebody may have come while a message was on its way
                    await self._history.drop(evicted)
        if first and not who.gone:
            about = {"username": who.identity.username, "room": room}
            await self._tell(self.chat, "chat:userJoined", about, chat_room(room), who)

    async def leave(self, who: Visitor, room: str) -> None:
        """Take somebody out of a chat room and tell the others. A room with nothing in it is not kept."""
        gone = self.chat.leave(room, who.identity.user, who.sid)
        await self._sio.leave_room(who.sid, chat_room(room))
        if gone:
            await self._tell(self.chat, "chat:userLeft", {"username": gone, "room": room}, chat_room(room), who)
        if self.chat.is_empty(room):
            async with self.in_order(room):  # a message may be on its way into the store
                if not await self._history.holds(room):
                    self.chat.forget(room)

    async def plain_enter(self, who: Visitor, room: str) -> None:
        """Put somebody into a plain room and tell the others.

        Raises:
            EventRefused: there is no place.
        """
        first, _ = await self._put(self.plain, who, room, plain_room(room))
        if first:
            about = {"user": who.identity.username, "room": room}
            await self._tell(self.plain, "room:userJoined", about, plain_room(room), who)

    async def plain_leave(self, who: Visitor, room: str) -> None:
        """Take somebody out of a plain room and tell the others."""
        gone = self.plain.leave(room, who.identity.user, who.sid)
        await self._sio.leave_room(who.sid, plain_room(room))
        if gone:
            await self._tell(self.plain, "room:userLeft", {"user": gone, "room": room}, plain_room(room), who)
        if self.plain.is_empty(room):
            self.plain.forget(room)

    async def members(self, room: str) -> list[str]:
        """The names of who is in a chat room, sorted, one per user."""
        return self.chat.members(room)

    async def listeners(self, room: str) -> int:
        """How many hear what is said in a chat room."""
        return self.chat.size(room)

    async def tell_typing(self, who: Visitor, room: str) -> None:
        """Tell the other users in a chat room that somebody types, if it is time to."""
        member = self.chat.member(room, who.identity.user)
        if self.may_tell_typing(who.identity.user, room):
            about = {"username": member.username, "room": room}
            self.owe(who, beyond_one_token(wire_bytes(about), self.chat.size(room)))
            await self._sio.emit("chat:typing", about, to=chat_room(room), skip_sid=list(member.sockets))

    def pricing(self, who: Visitor) -> AbstractAsyncContextManager[Any]:
        """Where a store is asked for what decides the price of an event, until that is owed. In memory nothing comes
        between."""
        return nullcontext()

    def storing(self, room: str) -> AbstractAsyncContextManager[Any]:
        """Where a message of a room is stored and told: one after the other."""
        return self.in_order(room)

    def gave(self, who: Visitor, room: str, offset: str) -> None:
        """Somebody gets a page of a room's history that ends there. What is said comes after it by itself."""

    def owe(self, who: Visitor, tokens: float) -> None:
        """Something has cost a user more than the token that was taken for the event. The next ones wait for it."""
        who.user.bucket.debt(self._clock.steady(), tokens)

    def of(self, who: Visitor) -> Saved:
        """The rooms that somebody is in."""
        return Saved(self.chat.rooms_of(who.sid), self.plain.rooms_of(who.sid))

    def may_tell_typing(self, user: str, room: str) -> bool:
        """Whether it is long enough since others were told that this user types. Leaving and coming changes nothing."""
        now = self._clock.steady()
        while self._typed and now - next(iter(self._typed.values())) >= TYPING_S:
            del self._typed[next(iter(self._typed))]
        if (user, room) in self._typed:
            return False
        self._typed[user, room] = now
        return True

    def in_order(self, room: str) -> asyncio.Lock:
        """Where a store takes its time, two messages of a room must not overtake each other on the way to its members,
        and none may be stored while the room is given up.

        A lock lives as long as somebody has it or waits for it.
        """
        return self.locks.setdefault(room, asyncio.Lock())

    async def _tell(self, presence: Presence, event: str, about: dict[str, str], target: str, who: Visitor) -> None:
        """Tell the others in a room. The room is named: whoever is in two could not tell which one it is.

        Whoever comes and goes pays for it, also after it has left: so it is the next visit that waits.
        """
        hear = presence.size(about["room"]) - presence.has(about["room"], who.sid)
        self.owe(who, notice(wire_bytes(about), hear))
        await self._sio.emit(event, about, to=target, skip_sid=who.sid)

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
            evicted = presence.check(room, who.identity.user, who.sid)
        except Full as full:
            raise EventRefused(full.code, f"room: {full}") from None
        if not presence.knows(room) and not who.user.new_rooms.take(self._clock.steady()):
            raise self._too_many_new()
        await self._sio.enter_room(who.sid, target, namespace=who.namespace)
        if evicted is not None:
            presence.forget(evicted)
        return presence.enter(room, who.identity.user, who.identity.username, who.sid), evicted

    def too_much(self) -> EventRefused:
        """A user has done more than it may, or has to pay for it first."""
        return EventRefused(
            "rate_limited", f"events: expected at most {self._limits.events_per_s:g} a second of one user"
        )

    def _too_many_new(self) -> EventRefused:
        most = f"{self._limits.new_rooms_per_min:g}"
        return EventRefused("rate_limited", f"room: expected at most {most} new ones of one user in a minute")
