"""Who is in which room: by user for people, by socket for the wire.

What lives here: `Presence`, for one kind of rooms. It must not know what is said there, nor send anything.

A user may have several connections, tabs say. The first that enters a room and the last that leaves it are what others
hear of.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

__all__ = ["Full", "Member", "Presence"]


class Full(Exception):  # noqa: N818 - an answer, not an error
    """Somebody cannot enter. Never leaves rtlab.chat."""

    def __init__(self, code: str, problem: str) -> None:
        self.code = code
        """``rooms_full``, ``room_full`` or ``too_many_rooms``."""
        super().__init__(problem)


@dataclass(slots=True)
class Member:
    """A user in a room."""

    username: str
    """As it was announced. A newer token may say another name; others know this one until the user has left."""
    sockets: set[str] = field(default_factory=set)


class Presence:
    """The rooms of one kind, occupied ones and those that are kept although nobody is there.

    Args:
        rooms: how many there may be.
        members: sockets in one of them.
        per_socket: rooms that one socket is in.
    """

    def __init__(self, rooms: int, members: int, per_socket: int) -> None:
        self._limits = (rooms, members, per_socket)
        self._rooms: dict[str, dict[str, Member]] = {}
        self._sizes: dict[str, int] = {}
        self._empty: OrderedDict[str, None] = OrderedDict()
        self._of: dict[str, set[str]] = {}

    def __len__(self) -> int:
        """How many rooms there are."""
        return len(self._rooms) + len(self._empty)

    def check(self, room: str, socket: str) -> str | None:
        """Whether a socket may enter a room. Nothing changes.

        Returns:
            The room that has to be forgotten first: the one that has been empty for the longest.

        Raises:
            Full: it may not.
        """
        rooms, members, per_socket = self._limits
        if self.has(room, socket):
            return None
        if len(self._of.get(socket, ())) >= per_socket:
            raise Full("too_many_rooms", f"expected at most {per_socket} rooms of one connection: leave one first")
        if self._sizes.get(room, 0) >= members:
            raise Full("room_full", f"expected at most {members} connections in one room")
        if room in self._rooms or room in self._empty or len(self) < rooms:
            return None
        if not self._empty:
            raise Full("rooms_full", f"expected at most {rooms} rooms, and every one of them is occupied")
        return next(iter(self._empty))

    def enter(self, room: str, user: str, username: str, socket: str) -> bool:
        """Put a socket in.

        Returns:
            Whether its user was not there before.
        """
        self._empty.pop(room, None)
        users = self._rooms.setdefault(room, {})
        first = user not in users
        member = users.setdefault(user, Member(username))
        if socket not in member.sockets:
            member.sockets.add(socket)
            self._sizes[room] = self._sizes.get(room, 0) + 1
            self._of.setdefault(socket, set()).add(room)
        return first

    def leave(self, room: str, user: str, socket: str) -> str | None:
        """Take a socket out. It need not be in.

        Returns:
            The name under which its user was there; None if the user still is, or was not.
        """
        member = self._rooms.get(room, {}).get(user)
        if member is None or socket not in member.sockets:
            return None
        member.sockets.discard(socket)
        self._sizes[room] -= 1
        self._of[socket].discard(room)
        if not self._of[socket]:
            del self._of[socket]
        if member.sockets:
            return None
        del self._rooms[room][user]
        if not self._rooms[room]:
            del self._rooms[room], self._sizes[room]
            self._empty[room] = None
        return member.username

    def forget(self, room: str) -> None:
        """An empty room is not kept any longer."""
        self._empty.pop(room, None)

    def is_empty(self, room: str) -> bool:
        """Whether nobody is in it."""
        return room not in self._rooms

    def has(self, room: str, socket: str) -> bool:
        """Whether a socket is in a room."""
        return room in self._of.get(socket, ())

    def member(self, room: str, user: str) -> Member:
        """A user who is in a room."""
        return self._rooms[room][user]

    def members(self, room: str) -> list[str]:
        """The names of who is there, sorted, one per user."""
        return sorted(member.username for member in self._rooms.get(room, {}).values())

    def rooms_of(self, socket: str) -> frozenset[str]:
        """The rooms that a socket is in."""
        return frozenset(self._of.get(socket, ()))
