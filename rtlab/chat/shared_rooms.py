"""How somebody gets into a room and out again where several nodes have the room.

What lives here: `SharedRooms`, the `Rooms` of a node. The sockets of this process are in its own `Presence`; who is in
a room over all nodes is in Redis, whose scripts also tell the members. It must not know when Redis comes and goes:
`node` does.

What a client asks for is done in Redis first, then here; where Redis is away, nothing is done. A client that is gone is
taken out here first. What Redis could not be told then, or may have done without saying so, makes a `doubt`: the node
then compares what Redis counts for it with what it has, and settles each difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from typing import Any
from weakref import WeakValueDictionary

from rtlab.chat.clock import Clock
from rtlab.chat.connections import Visitor
from rtlab.chat.costs import beyond_one_token, notice, wire_bytes
from rtlab.chat.delivery import Delivery
from rtlab.chat.limits import Limits
from rtlab.chat.presence import (
    Full,
    Presence,
    no_more_members,
    no_more_of_socket,
    no_more_of_user,
    no_more_rooms,
)
from rtlab.chat.rooms import EventRefused, May, Rooms, chat_room, plain_room
from rtlab.chat.stores.protocols import History
from rtlab.chat.stores.redis_presence import RedisPresence
from rtlab.errors import RedisUnavailable
from rtlab.realtime.nodes.link import ANSWER_S

__all__ = ["Entry", "SharedRooms"]

Entry = tuple[str, str, str]
"""A kind of rooms, a user, and a room."""
FULL = {"of_user": no_more_of_user, "in_room": no_more_members, "all_rooms": no_more_rooms}
"""What the limits are called in Redis."""


class SharedRooms(Rooms):
    """The rooms of a chat that runs as several nodes. Every method for a client that is here raises RedisUnavailable.

    Args:
        sio: the server, for its rooms and for what is emitted.
        limits: how much there may be, over all nodes.
        history: where messages are kept, in the same Redis.
        may_join: who may enter which chat room.
        clock: for budgets, and for how often others hear that somebody types.
        shared: who is in which room over all nodes.
        delivery: of the messages of rooms with members here.
    """

    def __init__(
        self,
        sio: Any,
        limits: Limits,
        history: History,
        may_join: May,
        clock: Clock,
        shared: RedisPresence,
        delivery: Delivery,
    ) -> None:
        super().__init__(sio, limits, history, may_join, clock)
        self._shared = shared
        self._delivery = delivery
        self._turns: WeakValueDictionary[Entry, asyncio.Lock] = WeakValueDictionary()
        self.doubt = False
        """Whether Redis may count something for this node that is not so."""
        self.owed: dict[Entry, str] = {}
        """Who has gone while Redis was away, by the name under which it was there. None comes in meanwhile, so there
        are no more than were here."""

    async def members(self, room: str) -> list[str]:
        """The names of who is in a chat room on any node."""
        return await self._shared.members("chat", room)

    async def listeners(self, room: str) -> int:
        """How many hear what is said in a chat room: the sockets here, or the users on all nodes if those are more."""
        return max(self.chat.size(room), await self._shared.size("chat", room))

    async def tell_typing(self, who: Visitor, room: str) -> None:
        """Tell the other users in a chat room, on all nodes, that somebody types."""
        user = who.identity.user
        member = self.chat.member(room, user)
        if self.may_tell_typing(user, room):
            hear = await self._shared.typing(user, member.username, room)
            about = {"username": member.username, "room": room}
            self.owe(who, beyond_one_token(wire_bytes(about), max(hear, self.chat.size(room))))

    @asynccontextmanager
    async def pricing(self, who: Visitor) -> AsyncIterator[None]:
        """One event of a user after the other, and none once it owes: else all that it sends at once is done before
        the first of them has its price.

        Raises:
            EventRefused: it owes for what it sent before, or that waits for Redis.
        """
        try:
            async with asyncio.timeout(ANSWER_S):
                await who.user.pricing.acquire()
        except TimeoutError:
            raise EventRefused("unavailable", "events: expected those before this one to be answered by now") from None
        try:
            if who.user.bucket.debt(self._clock.steady(), 0):
                raise self.too_much()
            yield
        finally:
            who.user.pricing.release()

    def storing(self, room: str) -> AbstractAsyncContextManager[Any]:
        """Nothing to wait for: what is stored is told in the same step, and Redis makes one step after the other."""
        return nullcontext()

    def gave(self, who: Visitor, room: str, offset: str) -> None:
        """What is in a page is not delivered once more to whoever gets it."""
        if self.chat.has(room, who.sid):
            self._delivery.gave(room, who.sid, offset)

    async def leave(self, who: Visitor, room: str) -> None:
        """Take somebody out of a chat room. The others hear of it when its user is on no other node there."""
        await self._take("chat", who, room, chat_room(room))

    async def plain_leave(self, who: Visitor, room: str) -> None:
        """The same for a plain room."""
        await self._take("plain", who, room, plain_room(room))

    async def settle(self, kind: str, user: str, room: str, *, quiet: bool = False) -> None:
        """Have Redis count what is so here.

        Args:
            kind: of rooms.
            user: who is in a room, or is not.
            room: where.
            quiet: whether nobody hears of it, as where Redis has forgotten what was told before.

        Raises:
            RedisUnavailable: it may not.
        """
        async with self._turn(kind, user, room):
            presence = self._of_kind(kind)
            if presence.has_user(room, user):
                name = presence.member(room, user).username
                await self._shared.enter(kind, user, name, room, forced=True, quiet=quiet)
            else:
                await self._shared.leave(kind, user, room)

    def pairs(self, kind: str) -> set[tuple[str, str]]:
        """Every user that is here, with every room of a kind that it is in."""
        return self._of_kind(kind).pairs()

    # Steps

    async def _put(self, presence: Presence, who: Visitor, room: str, target: str) -> tuple[bool, str | None]:
        """Put a socket into a room: in Redis, which tells the others, then on the server and here."""
        kind, user = "chat" if presence is self.chat else "plain", who.identity.user
        async with self._turn(kind, user, room):
            if who.gone:
                raise EventRefused("gone", "expected a client that is still here")
            if presence.has(room, who.sid):
                return False, None
            if len(presence.rooms_of(who.sid)) >= self._limits.rooms_per_connection:
                raise _refused(no_more_of_socket(self._limits))
            new = not presence.has_user(room, user)
            tail = await self._enter(kind, who, room) if new else ""
            try:
                if who.gone:  # meanwhile: nobody would take it out again
                    raise EventRefused("gone", "expected a client that is still here")
                await self._sio.enter_room(who.sid, target, namespace=who.namespace)
            except BaseException:
                if new:
                    await self._leave_gone(kind, who, room, who.identity.username)
                raise
            presence.enter(room, user, who.identity.username, who.sid)
            if new and kind == "chat":
                self._delivery.follow(room, tail)
        return False, None  # whoever has to hear of it has been told, and the room that made way is gone

    async def _enter(self, kind: str, who: Visitor, room: str) -> str:
        """Enter a room in Redis; gives the offset up to which its messages are told.

        Raises:
            EventRefused: there is no place.
            RedisUnavailable: it may not be done.
        """
        user, name, make = who.identity.user, who.identity.username, False
        while True:
            with self._doubting():
                entered = await self._shared.enter(kind, user, name, room, skip=who.sid, make=make)
            if entered.answer == "ok":
                break
            if entered.answer != "make":
                raise _refused(FULL[entered.answer](self._limits))
            if not who.user.new_rooms.take(self._clock.steady()):
                raise self._too_many_new()
            make = True
        if entered.first:
            self._owe_notice(who, name, room, entered.members - 1)
        return entered.tail

    async def _take(self, kind: str, who: Visitor, room: str, target: str) -> None:
        presence, user = self._of_kind(kind), who.identity.user
        async with self._turn(kind, user, room):
            if not presence.has(room, who.sid):
                return
            member = presence.member(room, user)
            if who.gone:
                if self._out(presence, room, who):
                    await self._leave_gone(kind, who, room, member.username)
                return
            if member.sockets == {who.sid}:
                with self._doubting():
                    last, members = await self._shared.leave(kind, user, room, who.sid)
                if last:
                    self._owe_notice(who, member.username, room, members)
            self._out(presence, room, who)
            if not who.gone:  # else the server has taken it out of everything
                await self._sio.leave_room(who.sid, target)

    async def _leave_gone(self, kind: str, who: Visitor, room: str, name: str) -> None:
        """Somebody is no longer here. Never fails for Redis: what it could not be told is owed to it."""
        try:
            with self._doubting():
                last, members = await self._shared.leave(kind, who.identity.user, room, who.sid)
        except BaseException as error:
            self.owed[kind, who.identity.user, room] = name
            if not isinstance(error, RedisUnavailable):
                raise
        else:
            if last:
                self._owe_notice(who, name, room, members)

    def _out(self, presence: Presence, room: str, who: Visitor) -> str | None:
        """Take a socket out of a room here. Whose rooms are kept although they are empty, Redis knows."""
        gone = presence.leave(room, who.identity.user, who.sid)
        if presence is self.chat:
            self._delivery.left(room, who.sid)
        if presence.is_empty(room):
            presence.forget(room)
            if presence is self.chat:
                self._delivery.forget(room)
        return gone

    def _owe_notice(self, who: Visitor, name: str, room: str, hear: int) -> None:
        self.owe(who, notice(wire_bytes({"username": name, "room": room}), hear))

    def _of_kind(self, kind: str) -> Presence:
        return self.chat if kind == "chat" else self.plain

    @asynccontextmanager
    async def _turn(self, kind: str, user: str, room: str) -> AsyncIterator[None]:
        """One step of one user in one room after the other: what Redis counts must not overtake what is so here."""
        lock = self._turns.setdefault((kind, user, room), asyncio.Lock())
        async with lock:
            yield

    @contextmanager
    def _doubting(self) -> Iterator[None]:
        """A question to Redis: whatever ends it without an answer, may have been done."""
        try:
            yield
        except BaseException:
            self.doubt = True
            raise


def _refused(full: Full) -> EventRefused:
    return EventRefused(full.code, f"room: {full}")
