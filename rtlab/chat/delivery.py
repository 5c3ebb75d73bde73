"""What a node delivers to the members of its rooms: each message once, in order, whatever Pub/Sub loses.

What lives here: `Delivery`. It must not know how messages are stored, nor who is in a room; `stores.redis_history` and
`shared_rooms` do.

Redis keeps each room's messages in a stream. It also publishes each of them, and that is fast, and may be lost: with a
subscription that breaks, with a node that is stopped, with a Redis that is killed between the two. The stream decides
what was said; what is published is only news of it.

1. A message is *told* when it may be delivered: at once, or when replicas have it. Each room has one mark in Redis, the
   offset up to which it is told. The mark only goes forward, over one message after the other (`history_scripts`). What
   is not told is in no page and no delivery: a failover may lose it, and nobody will have seen it.
2. What is published names the offset that was told before it, ``prev``.
3. A node has one mark too, for each room with members here: up to there it has delivered. The mark begins where the
   room was told when the first member entered; Redis says so in the same step.
4. A message comes whose offset is not beyond the mark: it was delivered, and is dropped. Its ``prev`` is not beyond the
   mark: nothing lies between, and it is delivered. Else something is missing, and the room is *behind*. So it is when
   an offset is more than `AHEAD_S` ahead of the clock: only the stream is believed that.
5. A room that is behind is repaired: the node reads the stream from its mark on, page by page, and delivers that, until
   nothing was published while it read the last one. Meanwhile what is published is not delivered, only noted: the
   stream has it. So nothing overtakes anything, and nothing waits in memory. Between two pages of a room it is the turn
   of the others that are behind.
6. Every `FOLLOW_S`, and whenever it has subscribed or found Redis again, a node compares all its marks with those of
   Redis, `ROOMS_AT_ONCE` rooms with one question. A mark behind Redis's makes the room behind. So does a mark beyond
   all that Redis ever gave: then Redis has lost its data, and its offsets begin anew.
7. What the stream no longer has (it was trimmed, or Redis has lost it) is said to the members of the room here:
   ``chat:lost``, in its place between the messages.
8. A page of history can end beyond the mark. Whoever got it is left out of what was in it.
9. What stays untold because its node died is told by any other (`RedisHistory.tell_late`), with every beat of a node.

After a failover Redis's mark may be behind a node's: the message was kept, the mark was not. So what a node has heard
of counts as told in the pages that it asks for. The message is told once more, and is dropped by 4 where it was heard.

`MAY_BE_UNHEARD_S` is how long a message may be on its way to a member whose node lives and has Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from dataclasses import dataclass, field
from typing import Any

from rtlab.chat.rooms import chat_room
from rtlab.chat.stores.protocols import Page, position, spelled
from rtlab.chat.stores.redis_history import ROOMS_AT_ONCE, RedisHistory
from rtlab.errors import RedisUnavailable
from rtlab.realtime.nodes.link import ANSWER_S
from rtlab.servers.repeats import RepeatLog

__all__ = ["AHEAD_S", "FOLLOW_S", "MAY_BE_UNHEARD_S", "MESSAGE", "PAGE", "REPAIRS", "Delivery"]

MESSAGE = "chat:message"
"""The event that is followed."""
FOLLOW_S = 5.0
"""Seconds between two looks whether something is missing that nothing tells of. One costs Redis a millisecond for 1,000
rooms: `ROOMS_AT_ONCE`, twice."""
MAY_BE_UNHEARD_S = FOLLOW_S + 2 * ANSWER_S
"""Seconds after which a message is with every member, whatever Pub/Sub has lost: a look, and what is read then."""
AHEAD_S = 60.0
"""Seconds that what is published may be ahead of this machine's clock. Beyond them the stream is asked: one forged
offset of the year 9999 would silence its room. Where clocks differ by more, a message after a quiet time costs one
question."""
PAGE = 100
"""Messages that one question reads: as many as `Limits.history` keeps."""
REPAIRS = 4
"""Rooms that are read at the same time, of the 16 connections of `RedisLink`: who asks for clients goes on."""
OFFSET = re.compile(r"[0-9]{1,16}-[0-9]{1,16}")
"""As Redis spells it. Milliseconds have 13 digits until the year 2286."""

Place = tuple[int, int]


@dataclass(slots=True, eq=False)
class _Delivered:
    """A room with members here."""

    mark: Place
    """Up to here all is delivered."""
    behind: bool = False
    """Whether it is to be read: what is published is only noted."""
    noted: bool = False
    """Whether something was published since its reading began."""
    ahead: dict[str, Place] = field(default_factory=dict)
    """Sockets that have got more in a page, and up to where."""

    def move(self, place: Place) -> None:
        """All is delivered up to there, or told as gone."""
        self.mark = place
        if self.ahead:
            self.ahead = {socket: upto for socket, upto in self.ahead.items() if upto > place}


class Delivery:
    """The messages of all rooms with members in this process.

    Args:
        history: where they are.
        log: where it says what it cannot do.
    """

    def __init__(self, history: RedisHistory, log: RepeatLog) -> None:
        self._history = history
        self._log = log
        self._sio: Any
        self._rooms: dict[str, _Delivered] = {}
        self._waiting: dict[str, None] = {}
        """Rooms that are behind and that nobody reads just now, first come first served."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._following: asyncio.Task[None] | None = None
        self._now = asyncio.Event()
        self.repaired_total = 0
        """Messages that came from the stream, and not from Pub/Sub."""
        self.lost_total = 0
        """How often the stream did not have what was missing."""

    def to(self, sio: Any) -> None:
        """Deliver to this server's clients."""
        self._sio = sio

    # Who is here

    def follow(self, room: str, tail: str) -> None:
        """A room has members here from now on.

        Args:
            room: which one.
            tail: up to where it was told when the first of them entered. What came since is in that one's page.
        """
        if room not in self._rooms:
            self._rooms[room] = _Delivered(_place(tail))

    def left(self, room: str, socket: str) -> None:
        """A socket has left a room."""
        if room in self._rooms:
            self._rooms[room].ahead.pop(socket, None)

    def forget(self, room: str) -> None:
        """A room has no members here any more."""
        self._rooms.pop(room, None)
        self._waiting.pop(room, None)

    def gave(self, room: str, socket: str, offset: str) -> None:
        """A socket gets a page that ends there."""
        followed, place = self._rooms.get(room), position(offset)
        if followed is not None and place > followed.mark:
            followed.ahead[socket] = place

    def mark(self, room: str) -> str:
        """Up to where a room is delivered here; empty if it has no members here."""
        return spelled(self._rooms[room].mark) if room in self._rooms else ""

    # What comes

    def admit(self, message: dict[str, Any]) -> bool:
        """A message was published: gives whether to deliver it now. Whom to leave out, it writes into the message."""
        prev = message.get("prev")
        if prev is None:
            return True  # an emit of somebody else, who has no part in this
        record = message["data"][0]
        followed = self._rooms.get(record["room"])
        if followed is None:
            return False
        place = _place(record["offset"])
        if place <= followed.mark:
            return False
        if followed.behind or _place(prev) > followed.mark or _is_from_the_future(place, followed.mark):
            followed.noted = True
            self._repair_soon(record["room"], followed)
            return False
        message["skip_sid"] = self._pass(followed, place)
        return True

    def _pass(self, followed: _Delivered, place: Place) -> list[str] | None:
        """A message is delivered now; gives who has it already."""
        has = [socket for socket, upto in followed.ahead.items() if upto >= place] if followed.ahead else None
        followed.move(place)
        return has

    # What is missing

    def look_soon(self) -> None:
        """Compare all rooms now: something may have been missed."""
        self._now.set()

    async def look(self) -> None:
        """Compare all rooms with Redis.

        Raises:
            RedisUnavailable: some may not be.
        """
        names = list(self._rooms)
        for start in range(0, len(names), ROOMS_AT_ONCE):
            before = {name: self._rooms[name] for name in names[start : start + ROOMS_AT_ONCE] if name in self._rooms}
            marks = [followed.mark for followed in before.values()]
            tails, last = await self._history.tails(list(before))
            newest = _place(last)
            for (name, followed), mark, tail in zip(before.items(), marks, tails, strict=True):
                if self._rooms.get(name) is followed and (_place(tail) > followed.mark or mark > newest):
                    self._repair_soon(name, followed)
        self._work()

    def _repair_soon(self, room: str, followed: _Delivered) -> None:
        """A room is behind: nothing is delivered until that is mended."""
        if not followed.behind:
            followed.behind = True
            self._waiting[room] = None
        self._work()

    def _work(self) -> None:
        if self._following is not None and self._waiting and len(self._tasks) < REPAIRS:
            task = asyncio.create_task(self._repair_all(), name="reads what was missed")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _repair_all(self) -> None:
        while self._waiting:
            room = next(iter(self._waiting))
            del self._waiting[room]
            followed = self._rooms.get(room)
            if followed is None:
                continue
            try:
                caught_up = await self._repair(room, followed)
            except BaseException as error:
                if self._rooms.get(room) is followed:
                    self._waiting[room] = None  # with the next look, or the next message
                if isinstance(error, RedisUnavailable):
                    return
                if isinstance(error, Exception):
                    self._log.exception("repair failed", "messages of a room could not be read")
                    return
                raise
            if not caught_up and self._rooms.get(room) is followed:
                self._waiting[room] = None  # behind those that wait: a room that is flooded holds up nobody else's

    async def _repair(self, room: str, followed: _Delivered) -> bool:
        """Deliver one page of what is missing. Gives whether that is all."""
        followed.noted = False
        page = await self._history.after(room, spelled(followed.mark), PAGE)
        if page.lost:
            await self._tell_lost(room, followed, page)
        for record in page.records:
            if self._rooms.get(room) is not followed:
                return True
            skip = self._pass(followed, _place(record["offset"]))
            self.repaired_total += 1
            await self._sio.emit(MESSAGE, record, to=chat_room(room), skip_sid=skip, ignore_queue=True)
        followed.move(max(followed.mark, _place(page.offset)))
        followed.behind = len(page.records) < page.missed or followed.noted
        return not followed.behind

    async def _tell_lost(self, room: str, followed: _Delivered, page: Page) -> None:
        """The stream does not have all that is missing here."""
        if self._rooms.get(room) is not followed:
            return
        self.lost_total += 1
        about = {"room": room, "after": spelled(followed.mark), "offset": page.floor}
        knows = self._pass(followed, _place(page.floor))  # their pages have said so
        self._log.log(logging.ERROR, "messages lost", "messages of a room are gone before they were delivered here")
        await self._sio.emit("chat:lost", about, to=chat_room(room), skip_sid=knows, ignore_queue=True)

    # From start to stop

    async def start(self) -> None:
        """Begin to look."""
        self._following = asyncio.create_task(self._follow(), name="follows the rooms")

    async def stop(self) -> None:
        """Look no more, and read nothing more."""
        going = [task for task in (self._following, *self._tasks) if task is not None]
        self._following = None
        for task in going:
            task.cancel()
        if going:
            await asyncio.wait(going)

    async def _follow(self) -> None:
        while True:
            self._now.clear()
            try:
                await self.look()
            except RedisUnavailable:
                pass  # it says when it is there again
            except Exception:  # noqa: BLE001 - logged; the next look comes
                self._log.exception("look failed", "rooms could not be compared with Redis")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._now.wait(), FOLLOW_S)


def _is_from_the_future(place: Place, mark: Place) -> bool:
    return place[0] > max(time.time() * 1000, mark[0]) + AHEAD_S * 1000


def _place(offset: str) -> Place:
    """An offset that comes over the channel. Raises ValueError if it is none."""
    if not OFFSET.fullmatch(offset):
        raise ValueError(f"expected an offset, got {offset[:40]!r}")
    return position(offset)
