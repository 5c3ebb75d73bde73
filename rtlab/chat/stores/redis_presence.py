"""Who is in which room over all nodes, and which nodes there are, in Redis.

What lives here: `RedisPresence`. It must not know sockets beyond their ids, nor when it is asked: `rtlab.chat.node`
keeps the time. Its scripts stand in `presence_scripts`.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from typing import Any

from rtlab.chat.limits import FEW_ROOMS, Limits
from rtlab.chat.stores.presence_scripts import ARRIVE, BEAT, BURY, DEPART, ENTER, LEAVE, TYPING
from rtlab.chat.stores.redis_keys import PREFIX, emission, parted
from rtlab.chat.stores.redis_link import EventLink

__all__ = ["BURIED_AT_ONCE", "Beat", "Entered", "RedisPresence"]

BURIED_AT_ONCE = 200
"""Entries of a dead node that one script takes out: Redis does nothing else for a few milliseconds."""
ALL_OF_THEM = 1_000_000
"""Instead of a limit, for who was in before."""


@dataclass(frozen=True)
class Entered:
    """What came of a wish to enter a room."""

    answer: str
    """``ok``; ``make`` where the room has to be made and may not be; or which limit stands against it."""
    first: bool = False
    """Whether the user was on no node in it."""
    members: int = 0
    """How many users are in it now."""
    tail: str = ""
    """Of a chat room: the offset up to which its messages are told."""


@dataclass(frozen=True)
class Beat:
    """What Redis answers a node that says that it lives."""

    known: bool
    """Whether it was known. Not so at its start, after it was taken for dead, and where Redis has forgotten all."""
    epoch: str
    """Another one when Redis has forgotten all."""
    entries: int
    """How many rooms and connections count for this node."""
    dead: list[str]
    """Nodes that have said nothing for long."""
    at: float
    """Seconds since 1970, by the clock of Redis."""


class RedisPresence:
    """The rooms of all nodes. Every method raises RedisUnavailable, and may then have done it or not.

    Args:
        link: the way to Redis.
        node: what this process is called, unlike any other one and any earlier one.
        limits: how much there may be.
        channel: where python-socketio's managers hear of it.
    """

    def __init__(self, link: EventLink, node: str, limits: Limits, channel: str) -> None:
        self._link = link
        self._node = node
        self._limits = limits
        self._channel = channel

    async def enter(
        self,
        kind: str,
        user: str,
        name: str,
        room: str,
        *,
        skip: str = "",
        make: bool = True,
        forced: bool = False,
        quiet: bool = False,
    ) -> Entered:
        """A user is in a room on this node from now on.

        Args:
            kind: of `KINDS`.
            user: who.
            name: as others see it.
            room: where.
            skip: the socket that does not hear of it.
            make: whether a room may be made for it.
            forced: whether no limit holds: it is there already, and only Redis does not know.
            quiet: whether nobody hears of it.
        """
        limits = self._limits
        most = [ALL_OF_THEM] * 3 if forced else [limits.rooms_per_user, limits.members, limits.rooms]
        channel = "" if quiet else self._channel
        arguments = [channel, self._node, kind, user, name, room, skip, int(make), *most, FEW_ROOMS]
        answer = await self._act(ENTER, *arguments)
        return Entered(answer[0], bool(answer[1]), *answer[2:]) if answer[0] == "ok" else Entered(answer[0])

    async def leave(self, kind: str, user: str, room: str, skip: str = "") -> tuple[bool, int]:
        """A user is no longer in a room on this node; gives whether it was the last node, and how many members stay."""
        last, members = await self._act(LEAVE, self._channel, self._node, kind, user, room, skip)
        return bool(last), members

    async def members(self, kind: str, room: str) -> list[str]:
        """The names of who is there, sorted."""
        values: Any = await self._link.ask(lambda redis: redis.hvals(f"{PREFIX}{kind}:room:{room}"))
        return sorted(each.partition(":")[2] for each in values)

    async def size(self, kind: str, room: str) -> int:
        """How many users are in a room."""
        size: Any = await self._link.ask(lambda redis: redis.hlen(f"{PREFIX}{kind}:room:{room}"))
        return int(size)

    async def arrive(self, user: str, connection: str, socket: str, *, forced: bool = False) -> bool:
        """A connection is here; gives whether its user may have one more.

        Args:
            user: whose.
            connection: its Engine.IO session.
            socket: its socket in ``/``; empty if it has none yet.
            forced: whether no limit holds: it is there already, and only Redis does not know.
        """
        most = ALL_OF_THEM if forced else self._limits.connections_per_user
        return bool(await self._act(ARRIVE, self._node, user, connection, socket, most))

    async def depart(self, user: str, connection: str) -> None:
        """A connection is gone."""
        await self._act(DEPART, self._node, user, connection)

    async def typing(self, user: str, name: str, room: str) -> int:
        """Tell the other users in a chat room that somebody types; gives how many users are in it."""
        message = emission("chat:typing", f"chat:{room}") | {"data": [{"username": name, "room": room}]}
        head = json.dumps(message)[:-1] + ', "skip_sid": '
        return int(await self._act(TYPING, self._channel, user, room, head, "}"))

    async def beat(self, gone_s: float) -> Beat:
        """This node lives. Those that have said nothing for `gone_s` are in the answer."""
        answer = await self._act(BEAT, self._node, int(gone_s * 1000), uuid.uuid4().hex)
        known, epoch, counts, dead, now = answer
        return Beat(bool(known), epoch, sum(counts), dead, now / 1000)

    async def bury(self, node: str, gone_s: float | None) -> bool:
        """Take out what counts for a node, and tell the rooms; gives whether there is more.

        However many nodes do this at the same time, each entry is taken out once, and told once.

        Args:
            node: which one.
            gone_s: does nothing if it has said something since; None in any case, for the node itself.
        """
        since = "" if gone_s is None else int(gone_s * 1000)
        return bool(await self._act(BURY, self._channel, node, since, BURIED_AT_ONCE))

    async def entries(self, kind: str) -> set[tuple[str, str]]:
        """What Redis counts for this node: users with their rooms of a kind, or with their connections (``conns``)."""
        found: Any = await self._link.ask(lambda redis: redis.smembers(f"{PREFIX}node:{kind}:{self._node}"))
        return {parted(each) for each in found}

    async def _act(self, script: str, *arguments: Any) -> Any:
        return await self._link.act(script, [PREFIX], list(arguments))
