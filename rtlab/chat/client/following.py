"""The rooms that a client follows: joining them, coming back to them, and giving each of their messages on once.

What lives here: `Following`, and what a join is answered, `Joined`. It must not know how a connection is made; it is
given a function that calls the server.

A live message may come before the history that precedes it. So while a room is being joined, its live messages are held
until the last page is there (`room_mark` says which of them are new).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from rtlab.chat.client.arrivals import Event
from rtlab.chat.client.room_mark import RoomMark
from rtlab.chat.client.watching import Watching
from rtlab.errors import ChatError, ChatUnansweredError

__all__ = ["Following", "Joined"]

SLOWER_S = 1.0
"""Seconds to wait before a room is joined again where the server says ``rate_limited``: 20 tokens, by default."""
PASSING = {"draining", "gone", "rate_limited", "server_error", "timeout", "unavailable"}
"""Why a room cannot be joined again just now: all connections of a user come back at once, or a store is away."""


@dataclass(frozen=True)
class Joined:
    """What a join was answered."""

    room: str
    members: list[str]
    """Names of who is there, sorted."""
    history: list[dict[str, Any]]
    """Messages, oldest first."""
    missed: int
    """How many messages after the given offset the server still had, all of which are in `history`; 0 without one. How
    many there were in all nobody knows: see `lost`."""
    complete: bool
    """Whether `history` is all that came after the given offset; always true without one."""
    lost: bool
    """Whether messages after the given offset are gone from the server, or may be."""
    offset: str
    """Where `history` ends. Give it as `after` the next time, and nothing is missed."""


@dataclass
class _Followed:
    """A room that is followed."""

    mark: RoomMark = field(default_factory=RoomMark)
    after: str | None = None
    """Where the fetching began that is going on, or was last: it may go over several pages and connections."""
    lost: bool = False
    """Whether the server said on the way that messages after `after` are gone."""
    fetching: bool = False
    """Whether its last page has not come yet."""


@dataclass(frozen=True)
class _Page:
    """What one ``chat:join`` brought."""

    members: list[str]
    history: list[dict[str, Any]]
    new: list[dict[str, Any]]
    """Those that were not seen before."""
    is_last: bool
    complete: bool
    lost: bool
    offset: str


class Following:
    """All rooms that a client follows.

    Args:
        call: calls the server: an event and its payload, to the acknowledgement. Raises ChatError.
        tell: gives an event to the script.
        watching: who is told of joins and of messages.
    """

    def __init__(
        self,
        call: Callable[[str, Any], Awaitable[dict[str, Any]]],
        tell: Callable[[Event], None],
        watching: Watching,
    ) -> None:
        self._call = call
        self._tell = tell
        self._watching = watching
        self._rooms: dict[str, _Followed] = {}
        self._held: dict[str, list[dict[str, Any]]] = {}
        """Messages of rooms that it is just joining: what came before them is still to come."""
        self._doubtful: set[str] = set()
        """Rooms that it is in perhaps: a first join was not answered. The script is not in them, so gets nothing."""
        self._history: list[dict[str, Any]] = []
        self._joins = asyncio.Lock()
        """One join at a time: a history does not say which join it belongs to."""

    @property
    def rooms(self) -> list[str]:
        """Their names, sorted."""
        return sorted(self._rooms)

    async def join(self, room: str, after: str | None) -> Joined:
        """Enter a room, and fetch its history to the last page. Between two pages it waits for what passes.

        Raises:
            ChatError: the server refuses, or does not answer. If the connection ended between two pages, the room is
                followed all the same: what had come, and the rest, come as events.
        """
        followed_before = room in self._rooms
        history: list[dict[str, Any]] = []
        new: list[dict[str, Any]] = []
        async with self._joins, self._holding(room):
            self._watching.joining(room)
            try:
                page = await self._page(room, after, begins=True)
                while True:
                    history += page.history
                    new += page.new
                    if page.is_last:
                        break
                    page = await self._further_page(room, page.offset)
            except BaseException as problem:
                self._break_off(room, new, stays=followed_before or _is_gone(problem))
                raise
            self._receive(new, live=False)
            complete, lost = self._arrive(room, page)
            return Joined(
                room, page.members, history, 0 if after is None else len(history), complete, lost, page.offset
            )

    async def leave(self, room: str) -> None:
        """Leave a room.

        Raises:
            ChatError: the server refuses, or does not answer. The room is followed as before.
        """
        await self._call("chat:leave", room)
        self._doubtful.discard(room)
        if self._rooms.pop(room, None) is not None:
            self._watching.left(room)

    def history(self, records: Any) -> None:
        """A ``chat:history`` has come."""
        self._history = list(records)

    def message(self, record: dict[str, Any]) -> None:
        """A ``chat:message`` has come."""
        name = record["room"]
        if name in self._held:
            self._held[name].append(record)
            return
        room = self._rooms.get(name)
        if name not in self._doubtful and (room is None or room.mark.see(record["offset"])):
            self._give_on([record], live=True)

    def lost(self, name: str, offset: str) -> None:
        """A ``chat:lost`` has come: messages up to there did not reach the server's process, and are gone."""
        room = self._rooms.get(name)
        if room is None or not room.mark.caught_up:
            return  # the pages that are still to come say the same
        after = room.mark.offset
        room.mark.page(offset, last=True)
        self._watching.joined(name, after, offset, False, True)
        self._tell_lost(name, after, offset)

    def restored(self, rooms: list[str]) -> None:
        """The server has put the client into these rooms again."""
        self._doubtful.difference_update(rooms)

    def away(self) -> None:
        """The connection has ended, and with it every membership that is not known here."""
        self._doubtful.clear()
        for room in self._rooms.values():
            room.mark.away()

    async def return_to_rooms(self) -> None:
        """Join again what had been joined, and give on what was said meanwhile, page by page.

        Raises:
            ChatUnansweredError: the connection has ended again.
        """
        for name, room in list(self._rooms.items()):
            async with self._joins, self._holding(name):
                if self._rooms.get(name) is room:
                    self._watching.joining(name)
                while self._rooms.get(name) is room and not await self._return_to(name, room):
                    pass

    async def _return_to(self, name: str, room: _Followed) -> bool:
        """One page more. Gives whether that is the end of it."""
        begins = not room.fetching
        after = room.mark.offset
        try:
            page = await self._page(name, after, begins=begins)
        except ChatError as problem:
            if _is_gone(problem):
                raise
            if problem.code in PASSING:
                await _pass(problem)
                return False
            if self._rooms.pop(name, None) is not None:
                self._watching.left(name)
            self._tell(Event("rejoin_refused", {"room": name, "code": problem.code, "message": problem.message}))
            return True
        if page.lost:
            self._tell_lost(name, after, page.history[0]["offset"] if page.history else page.offset)
        self._give_on(page.new, live=False)
        if page.is_last:
            self._arrive(name, page)
        return page.is_last

    async def _further_page(self, name: str, after: str) -> _Page:
        while True:
            try:
                return await self._page(name, after, begins=False)
            except ChatError as problem:
                if _is_gone(problem) or problem.code not in PASSING:
                    raise
                await _pass(problem)

    def _arrive(self, name: str, page: _Page) -> tuple[bool, bool]:
        """The last page is here. Gives whether all of them together are complete, and whether something is lost."""
        room = self._rooms[name]
        complete = page.complete and not room.lost
        self._watching.joined(name, room.after, page.offset, complete, room.lost)
        return complete, room.lost

    def _break_off(self, name: str, new: list[dict[str, Any]], *, stays: bool) -> None:
        """A join has failed, perhaps between two pages. If it stays followed, what had come is given on as events."""
        room = self._rooms.get(name)
        if room is None:
            return
        if not stays:
            del self._rooms[name]
        elif new:
            if room.lost:
                self._tell_lost(name, room.after, new[0]["offset"])
            self._give_on(new, live=False)

    def _receive(self, records: list[dict[str, Any]], *, live: bool) -> None:
        for record in records:
            self._watching.received(record["room"], record.get("clientId"), record["offset"], live)

    def _give_on(self, records: list[dict[str, Any]], *, live: bool) -> None:
        self._receive(records, live=live)
        for record in records:
            self._tell(Event("chat:message", record))

    def _tell_lost(self, name: str, after: str | None, offset: str) -> None:
        self._tell(Event("history_lost", {"room": name, "after": after, "offset": offset}))

    @contextlib.asynccontextmanager
    async def _holding(self, name: str) -> AsyncIterator[None]:
        """Inside, what is said in a room waits until its history is there, and so comes after it, and once."""
        held = self._held[name] = []
        try:
            yield
        except BaseException as problem:
            room = self._rooms.get(name)
            if room is not None and not room.mark.caught_up:
                held.clear()  # what comes before it has not come yet; both come again once the client is back
            elif room is None and not _is_refusal(problem):
                held.clear()
                if not _is_gone(problem):
                    self._doubtful.add(name)
            raise
        finally:
            del self._held[name]
            for record in held:
                self.message(record)

    async def _page(self, name: str, after: str | None, *, begins: bool) -> _Page:
        """One join and its page of history. Its messages count as seen; those that were not seen before are `new`."""
        self._history = []
        ack = await self._call("chat:join", name if after is None else {"room": name, "after": after})
        history = self._history
        try:
            offsets = [str(record["offset"]) for record in history]
            last = len(history) >= ack["missed"] or ack["offset"] == after  # the latter: a server that does not get on
            page = _Page(list(ack["members"]), history, [], last, ack["complete"], ack["lost"], ack["offset"])
        except (LookupError, TypeError) as fault:
            said = "expected an acknowledgement and a history as the contract has them"
            raise ChatUnansweredError("unknown", f"chat:join: {said}, got {fault!r}") from None
        self._doubtful.discard(name)
        room = self._rooms.setdefault(name, _Followed())
        if begins:
            room.after, room.lost = after, False
        room.lost = room.lost or page.lost
        page.new.extend(record for record, offset in zip(history, offsets, strict=True) if room.mark.see(offset))
        room.mark.page(page.offset, last=last)
        room.fetching = not last
        return page


async def _pass(problem: ChatError) -> None:
    """Wait before a join is tried again. One that was not answered in time has waited enough."""
    if not isinstance(problem, ChatUnansweredError):
        await asyncio.sleep(SLOWER_S)


def _is_gone(problem: BaseException) -> bool:
    """Whether the connection has ended before an answer came."""
    return isinstance(problem, ChatUnansweredError) and problem.code == "gone"


def _is_refusal(problem: BaseException) -> bool:
    """Whether the server has answered."""
    return isinstance(problem, ChatError) and not isinstance(problem, ChatUnansweredError)
