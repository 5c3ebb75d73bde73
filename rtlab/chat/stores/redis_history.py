"""The messages of the rooms in Redis Streams: the same for all nodes, and there when all nodes have gone.

What lives here: `RedisHistory`. It must not know who is in a room. Its scripts stand in `history_scripts`; what it
keeps, key by key, in `redis_keys`.

An offset is the id of an entry of the room's stream. The ids grow over all rooms, so that a room that was dropped and
comes again goes on after what it had. The milliseconds in them are those of Redis's clock: all nodes have the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import Any

from rtlab.chat.limits import Limits
from rtlab.chat.stores.history_scripts import AFTER, APPEND, DROP, HOLDS, LAST, LATE, TAILS, TELL
from rtlab.chat.stores.protocols import Page, Record
from rtlab.chat.stores.redis_keys import PREFIX, telling
from rtlab.chat.stores.redis_link import EventLink

__all__ = ["AROUND_ENTRY", "LATE_S", "REFUSED_S", "ROOMS_AT_ONCE", "RedisHistory"]

AROUND_ENTRY = 600
"""Bytes that Redis takes around a packed message: its place in the stream, what finds it by its ``clientId``, and what
its allocator rounds up."""
LATE_S = 1.0
"""Seconds after which any node tells what is stored and not told: the one that has stored it is dead, or waits for
replicas longer than it may. Telling twice does nothing."""
REFUSED_S = 2.0
"""Seconds after which a room with such messages takes no further one, until they are told: while no replica is there,
what nobody may see must not push what everybody has seen out of the history."""
ROOMS_AT_ONCE = 500
"""Rooms that one script looks at: 500 take Redis half a millisecond (`tests/chat/test_history.py` prints it)."""


class RedisHistory:
    """A `History` in Redis.

    A message is stored, found by its ``clientId`` when it comes again, and published to all nodes in one script: each
    node hears the messages of a room in the order of their offsets. With `replicas` it is stored, and published in a
    second script when so many replicas have it.

    Args:
        link: the way to Redis.
        per_room: messages that are kept of each room.
        max_bytes: for all rooms. Beyond that, the room that takes most loses its oldest message; each keeps one at
            least.
        channel: where python-socketio's managers hear of messages; nobody is told if not given.
        clock: gives seconds since 1970; Redis's own clock if not given.
        replicas: that have to have a message before it is told and acknowledged.
        heard: gives the offset up to which this node has delivered a room; empty if it does not follow it.
    """

    tells = True
    """Whether `append` tells the members itself."""

    def __init__(
        self,
        link: EventLink,
        per_room: int,
        max_bytes: int = Limits.history_bytes,
        channel: str = "",
        clock: Callable[[], float] | None = None,
        replicas: int = 0,
        heard: Callable[[str], str] = lambda room: "",
    ) -> None:
        self._link = link
        self._per_room = per_room
        self._max_bytes = max_bytes
        self._channel = channel
        self._clock = clock
        self._replicas = replicas
        self._heard = heard

    async def append(self, room: str, record: Record, user: str) -> tuple[Record, bool]:
        """As `History` says.

        Raises:
            RedisUnavailable: it may be stored or not, and be told or not.
        """
        key = _key(user, record["clientId"]) if "clientId" in record else ""
        packed = json.dumps(dict(record), ensure_ascii=False, separators=(",", ":"))
        about = self._channel, *telling("chat:message", f"chat:{room}")
        arguments = room, user, key, packed, self._per_room, self._max_bytes, *about, self._replicas, _ms(REFUSED_S)
        answer = await self._run(APPEND, *arguments, replicas=self._replicas)
        if not answer:
            raise self._link.unavailable("messages of this room that wait for replicas")
        offset, kept, new, told = answer
        if not told:
            await self._tell(room, offset)
        return _record(offset, kept), bool(new)

    async def last(self, room: str, count: int) -> Page:
        """As `History` says. Raises RedisUnavailable."""
        found, end = await self._run(LAST, room, count, self._heard(room))
        return Page([_entry(each) for each in reversed(found)], 0, False, end)

    async def after(self, room: str, offset: str, count: int) -> Page:
        """As `History` says. Raises RedisUnavailable."""
        found, missed, lost, end, floor = await self._run(AFTER, room, count, offset, self._heard(room))
        return Page([_entry(each) for each in found], missed, bool(lost), end, floor)

    async def holds(self, room: str) -> bool:
        """As `History` says. Raises RedisUnavailable."""
        return bool(await self._link.act(HOLDS, [PREFIX], [room]))

    async def drop(self, room: str) -> None:
        """As `History` says. Raises RedisUnavailable."""
        await self._link.act(DROP, [PREFIX], [room])

    async def tails(self, rooms: Sequence[str]) -> tuple[list[str], str]:
        """Up to which offset each of these rooms is told, `ROOMS_AT_ONCE` at most; and the newest offset of all rooms.
        Raises RedisUnavailable.
        """
        last, tails = await self._run(TAILS, *rooms)
        return tails, last

    async def tell_late(self) -> int:
        """Tell what should have been told `LATE_S` ago; gives in how many rooms there was such.

        Raises:
            RedisUnavailable: it may still be untold.
        """
        if not await self._link.ask(lambda redis: redis.exists(f"{PREFIX}history:untold")):
            return 0
        found = await self._run(LATE, _ms(LATE_S), ROOMS_AT_ONCE, replicas=self._replicas)
        for room, offset in found:
            await self._tell(room, offset)
        return len(found)

    async def _tell(self, room: str, offset: str) -> None:
        """Tell a room's messages up to this one, as far as they are not told. Replicas must have them."""
        await self._run(TELL, room, offset, self._channel, *telling("chat:message", f"chat:{room}"))

    async def _run(self, script: str, *arguments: Any, replicas: int = 0) -> Any:
        now = "" if self._clock is None else _ms(self._clock())
        return await self._link.act(script, [PREFIX], [AROUND_ENTRY, now, *arguments], replicas=replicas)


def _ms(seconds: float) -> int:
    return int(seconds * 1000)


def _key(user: str, client_id: str) -> str:
    """Of fixed size, whatever characters they have. Neither can be chosen so that two are the same."""
    return hashlib.blake2b(json.dumps([user, client_id]).encode(), digest_size=16).hexdigest()


def _record(offset: str, packed: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(packed)
    return {**record, "offset": offset}


def _entry(entry: Any) -> dict[str, Any]:
    offset, (_, packed, *_) = entry
    return _record(offset, packed)
