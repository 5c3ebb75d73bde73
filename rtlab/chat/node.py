"""One process of a chat that runs as several: it says that it lives, and sees to it that Redis counts what is so.

What lives here: `Node`, with what it shares with the others, and its clock. What is shared stands in ``stores/``, who
is in a room here in `shared_rooms`. It must not know payloads.

Each node beats once in `BEAT_S`. Whoever has said nothing for `GONE_S` is dead: the others take its members out of the
rooms and say so, each of them once, whoever is first. A node that finds that it was taken for dead (it was stopped for
a while, say) brings its members in again. None is judged by a node that has itself not had Redis for all of `GONE_S`:
where Redis was away, nobody could beat.

When Redis is there again after it was away: what it counts for this node is compared with what is here, and each
difference is settled. Where Redis has forgotten everything, nobody is told that the others are still there; who left
meanwhile is put in again first, and taken out after `SETTLE_S`, when the other nodes have said who is there.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from rtlab.chat.delivery import MESSAGE, Delivery
from rtlab.chat.limits import Limits
from rtlab.chat.shared_rooms import SharedRooms
from rtlab.chat.stores.redis_history import RedisHistory
from rtlab.chat.stores.redis_keys import KINDS
from rtlab.chat.stores.redis_link import EventLink
from rtlab.chat.stores.redis_presence import Beat, RedisPresence
from rtlab.chat.stores.redis_sessions import RENEW_S, RedisSessions
from rtlab.errors import RedisUnavailable
from rtlab.realtime.nodes.link import ANSWER_S
from rtlab.realtime.nodes.manager import RedisManager
from rtlab.servers.repeats import RepeatLog

if TYPE_CHECKING:
    from rtlab.chat.clock import Clock
    from rtlab.chat.connections import Connections, Visitor
    from rtlab.chat.rooms import May

__all__ = ["BEAT_S", "GONE_S", "PRESENCE_S", "SETTLE_S", "Node"]

BEAT_S = 1.0
"""Seconds between two signs of life."""
GONE_S = 5.0
"""Seconds without one after which a node is dead. More than a process that works hard is ever silent for, and more than
a script that Redis has put off (`rtlab.realtime.nodes.link.ANSWER_S`) and a beat together."""
PRESENCE_S = GONE_S + 2 * BEAT_S
"""Seconds after which members of a killed node have left all rooms, for everybody to hear."""
SETTLE_S = 3 * BEAT_S
"""Seconds until all nodes have said who is there, after Redis has forgotten it."""
ODD_BEATS = 5
"""Beats in a row that count otherwise than this node before it compares. One such may be an event at work."""
AT_ONCE = 16
"""Differences that are settled at the same time: as many as `RedisLink` has connections."""

logger = logging.getLogger("rtlab.chat")


class Node:
    """What one process shares with the others.

    Args:
        url: of their Redis.
        name: what people call it.
        limits: how much there may be, over all nodes.
        replicas: of that Redis, that have to have a message before anybody sees it.

    Raises:
        UsageError: the URL is none.
    """

    def __init__(self, url: str, name: str, limits: Limits, replicas: int = 0) -> None:
        self.name = name
        self.id = f"{name}:{uuid.uuid4().hex[:12]}"
        """Unlike any other process's, also one of the same name before."""
        self.manager = RedisManager(url, answer_s=ANSWER_S)
        """Carries an emit to the other nodes."""
        self.redis = self.manager.link
        """Whether Redis is there."""
        self.link = EventLink(self.redis, self.manager.subscription.subscribed)
        """What asks it for the clients of this node."""
        channel = self.manager.channel
        self._log = RepeatLog(logger)
        self.history = RedisHistory(
            self.link, limits.history, limits.history_bytes, channel, replicas=replicas, heard=self._heard
        )
        self.delivery = Delivery(self.history, self._log)
        """What the members of its rooms get."""
        self.manager.admit[MESSAGE] = self.delivery.admit
        self.manager.subscription.on_subscribed(self.delivery.look_soon)
        self.sessions = RedisSessions(self.link)
        self.presence = RedisPresence(self.link, self.id, limits, channel)
        self.doubt = False
        """Whether Redis may count a connection that is not here, or miss one."""
        self._rooms: SharedRooms
        self._connections: Connections
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()
        self._beating: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._again = asyncio.Event()
        self._ended = asyncio.Event()
        self._epoch = ""
        self._forgotten = False
        self._unknown = False
        self._odd = 0
        self._steady_since = self._beaten = 0.0
        self._renewed = 0.0
        self.redis.on_change(self._changed)

    def rooms(self, sio: Any, limits: Limits, may_join: May, clock: Clock, connections: Connections) -> SharedRooms:
        """The rooms of this node, for these clients."""
        self._connections = connections
        self.delivery.to(sio)
        self._rooms = SharedRooms(sio, limits, self.history, may_join, clock, self.presence, self.delivery)
        return self._rooms

    async def living(self, _: object = None) -> AsyncIterator[None]:
        """From its start to its end it says that it lives (`aiohttp.web.Application.cleanup_ctx`)."""
        await self.start()
        yield
        await self.stop()

    async def start(self) -> None:
        """Begin to beat."""
        self._ended.clear()
        self._renewed = time.monotonic()
        self._beating = asyncio.create_task(self._beat_on(), name=f"beats for {self.name}")
        await self.delivery.start()

    async def stop(self) -> None:
        """This node is no more: nothing counts for it any longer."""
        self._ended.set()
        self._again.set()
        await self.delivery.stop()
        going = [task for task in (self._beating, self._mending) if task is not None]
        if going:  # what they have asked must not come to Redis after the last words
            await asyncio.wait(going, timeout=ANSWER_S)
            for task in going:
                task.cancel()
            await asyncio.wait(going)
        with contextlib.suppress(RedisUnavailable):
            await self.sessions.pay()
            while await self.presence.bury(self.id, None):
                pass
        self._log.sum_up()

    async def is_ready(self) -> bool:
        """Whether Redis does what it is asked, and this node hears the others."""
        return await self.redis.look() and self.manager.subscription.subscribed.is_set()

    async def arrive(self, visitor: Visitor) -> bool:
        """Somebody is here; gives whether its user may have one more connection, over all nodes.

        Raises:
            RedisUnavailable: nobody knows.
        """
        user, connection = visitor.identity.user, visitor.connection.eio_sid
        async with self._turn_of(user, connection):
            try:
                socket = visitor.sid if visitor.namespace == "/" else ""
                visitor.counted = await self.presence.arrive(user, connection, socket)
            except BaseException:
                self.doubt = True
                raise
        return visitor.counted

    async def depart(self, visitor: Visitor) -> None:
        """Somebody is gone. Where Redis is away it is told later."""
        user, connection = visitor.identity.user, visitor.connection
        async with self._turn_of(user, connection.eio_sid):
            if any(each.identity.user == user for each in connection.visitors):
                return  # the connection is here with its other namespace
            try:
                await self.presence.depart(user, connection.eio_sid)
            except BaseException as error:
                self.doubt = True
                if not isinstance(error, RedisUnavailable):
                    raise

    def _turn_of(self, user: str, connection: str) -> asyncio.Lock:
        """One step of one connection after the other: what Redis counts must not overtake what is so here."""
        return self._turns.setdefault((user, connection), asyncio.Lock())

    def _heard(self, room: str) -> str:
        return self.delivery.mark(room)

    def _changed(self, up: bool) -> None:
        """Redis was lost or found."""
        if up:
            self._again.set()
            self.delivery.look_soon()

    # The clock

    async def _beat_on(self) -> None:
        while not self._ended.is_set():
            self._again.clear()
            try:
                await self._turn()
            except RedisUnavailable:
                self._beaten = 0.0
            except Exception:  # noqa: BLE001 - logged; the next beat comes
                self._log.exception("beat failed", "the node could not say that it lives")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._again.wait(), BEAT_S)

    async def _turn(self) -> None:
        beat = await self.presence.beat(GONE_S)
        if beat.at - self._beaten > GONE_S:  # by the clock of Redis, so that a machine that slept counts as away
            self._steady_since = beat.at
        self._beaten = beat.at
        self._compare(beat)
        if beat.at - self._steady_since >= GONE_S:
            await self._bury([each for each in beat.dead if each != self.id])
        if time.monotonic() - self._renewed >= RENEW_S:
            self._renewed = time.monotonic()
            await self._renew()
        with contextlib.suppress(RedisUnavailable):  # no replica is there: they wait
            await self.history.tell_late()
        if self._mending is None and (self._unknown or self.doubt or self._rooms.doubt):
            self._mending = asyncio.create_task(self._mend(), name=f"mends {self.name}")

    def _compare(self, beat: Beat) -> None:
        """Find out whether Redis knows this node, and has of it what it should."""
        if not beat.known:
            self._unknown = True
            if self._epoch and beat.epoch != self._epoch:
                self._forgotten = True
                self._log.log(logging.WARNING, "forgotten", "Redis has forgotten who is here: it is told again")
            elif self._epoch:
                self._log.log(logging.WARNING, "taken for dead", "this node was taken for dead: its members come again")
        self._epoch = beat.epoch
        here = self._rooms.chat.places() + self._rooms.plain.places() + len(self._connections.present())
        self._odd = self._odd + 1 if here != beat.entries else 0
        if self._odd >= ODD_BEATS:
            self.doubt, self._odd = True, 0

    async def _bury(self, dead: Iterable[str]) -> None:
        for node in dead:
            while await self.presence.bury(node, GONE_S):
                pass
            self._log.log(logging.WARNING, "buried", "node %s is dead: its members have left", node)

    async def _renew(self) -> None:
        """Keep the sessions of those that are connected."""
        await self.sessions.pay()
        here = {(who.identity.user, who.session_id): who for who in self._connections.with_session()}
        for user, session_id in await self.sessions.renew(list(here)):
            who = here[user, session_id]
            if not who.gone:
                await self.sessions.keep(user, session_id, self._rooms.of(who))

    # What Redis counts, and what is so

    async def _mend(self) -> None:
        """Settle each difference. What fails for Redis is begun anew with the next beat."""
        try:
            await self._settle_all()
        except RedisUnavailable:
            self.doubt = True
        except Exception:  # noqa: BLE001 - logged, and tried again
            self.doubt = True
            self._log.exception("mending failed", "the node could not compare itself with Redis")
        finally:
            self._mending = None

    async def _settle_all(self) -> None:
        epoch, forgotten = self._epoch, self._forgotten
        self.doubt = self._rooms.doubt = False
        owed = dict(self._rooms.owed)
        if forgotten:
            for (kind, user, room), name in owed.items():
                await self.presence.enter(kind, user, name, room, forced=True, quiet=True)
        for kind in KINDS:
            there, here = await self.presence.entries(kind), self._rooms.pairs(kind)
            late = {(user, room) for each, user, room in owed if each == kind} if forgotten else set()
            settle = functools.partial(self._rooms.settle, kind, quiet=forgotten)
            await self._each((there ^ here) - late, settle)
        counted = await self.presence.entries("conns")
        await self._each(counted ^ set(self._connections.present()), self._settle_connection)
        if epoch == self._epoch:  # else Redis has forgotten once more
            self._unknown = self._forgotten = False
        await self.sessions.pay()
        if forgotten and owed:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), SETTLE_S)
        for kind, user, room in owed:
            if forgotten:
                await self._rooms.settle(kind, user, room)
            self._rooms.owed.pop((kind, user, room), None)

    async def _settle_connection(self, user: str, connection: str) -> None:
        async with self._turn_of(user, connection):
            socket = self._connections.present().get((user, connection))
            if socket is None:
                await self.presence.depart(user, connection)
            else:
                await self.presence.arrive(user, connection, socket, forced=True)

    async def _each(self, pairs: set[tuple[str, str]], settle: Callable[..., Awaitable[None]]) -> None:
        ordered = sorted(pairs)
        for start in range(0, len(ordered), AT_ONCE):
            await asyncio.gather(*(settle(*each) for each in ordered[start : start + AT_ONCE]))
