"""Who is in which room: by user for people, by socket for the wire; and whose room it is.

What lives here: `Presence`, for one kind of rooms. It must not know what is said there, nor send anything.

A user may have several connections, tabs say. The first that enters a room and the last that leaves it are what others
hear of.

A room belongs to the user who made it. An empty one counts as that user's; an occupied one, as long as its owner is in
it: others who sit there pay for it with their own share. Where places are out, a user's own empty rooms go first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from rtlab.chat.limits import FEW_ROOMS, Limits

__all__ = ["Full", "Member", "Presence", "no_more_members", "no_more_of_socket", "no_more_of_user", "no_more_rooms"]


class Full(Exception):  # noqa: N818 - an answer, not an error
    """Somebody cannot enter. Never leaves rtlab.chat."""

    def __init__(self, code: str, problem: str) -> None:
        self.code = code
        """``rooms_full``, ``room_full`` or ``too_many_rooms``."""
        super().__init__(problem)


def no_more_of_socket(limits: Limits) -> Full:
    """One connection is in as many rooms as it may be."""
    return Full("too_many_rooms", f"expected at most {limits.rooms_per_connection} rooms of one connection: leave one")


def no_more_of_user(limits: Limits) -> Full:
    """One user is in as many rooms as it may be."""
    return Full("too_many_rooms", f"expected at most {limits.rooms_per_user} rooms of one user: leave one")


def no_more_members(limits: Limits) -> Full:
    """A room has as many members as it may have."""
    return Full("room_full", f"expected at most {limits.members} users in one room")


def no_more_rooms(limits: Limits) -> Full:
    """There are as many rooms as there may be."""
    problem = f"expected at most {limits.rooms} rooms, and there is no empty one that you may replace"
    return Full("rooms_full", problem)


@dataclass(slots=True)
class Member:
    """A user in a room."""

    username: str
    """As it was announced. A newer token may say another name; others know this one until the user has left."""
    sockets: set[str] = field(default_factory=set)


class Presence:
    """The rooms of one kind, occupied ones and those that are kept although nobody is there.

    Args:
        limits: how many rooms there may be, users in one, and rooms of a socket and of a user.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._rooms: dict[str, dict[str, Member]] = {}
        """The members of each occupied room, by user."""
        self._sizes: dict[str, int] = {}
        self._owners: dict[str, str] = {}
        """Who made each room, occupied or empty."""
        self._empty: dict[str, OrderedDict[str, None]] = {}
        """The empty rooms of each owner, the longest empty first."""
        self._of: dict[str, set[str]] = {}
        """The rooms of each socket."""
        self._of_user: dict[str, set[str]] = {}
        """The rooms of each user."""

    def __len__(self) -> int:
        """How many rooms there are."""
        return len(self._owners)

    def check(self, room: str, user: str, socket: str) -> str | None:
        """Whether a socket may enter a room. Nothing changes.

        Returns:
            The empty room that has to be forgotten first, if one has to.

        Raises:
            Full: it may not.
        """
        limits = self._limits
        if self.has(room, socket):
            return None
        if len(self._of.get(socket, ())) >= limits.rooms_per_connection:
            raise no_more_of_socket(limits)
        users = self._rooms.get(room, {})
        if user not in users:
            if len(self._of_user.get(user, ())) >= limits.rooms_per_user:
                raise no_more_of_user(limits)
            if len(users) >= limits.members:
                raise no_more_members(limits)
        return None if self.knows(room) else self._place_for(user)

    def _place_for(self, user: str) -> str | None:
        """Which room makes place for a new one of a user; None if there is a place.

        Raises:
            Full: none does.
        """
        rooms, own = self._limits.rooms, self._empty.get(user)
        held = self._held_by(user)
        if own and (held >= self._limits.rooms_per_user or len(self) >= rooms):
            return next(iter(own))
        if len(self) < rooms:
            return None
        if not self._empty or held >= FEW_ROOMS:
            raise no_more_rooms(self._limits)
        most = max(self._empty, key=lambda owner: len(self._empty[owner]))
        return next(iter(self._empty[most]))

    def _held_by(self, user: str) -> int:
        """How many rooms count as a user's."""
        inside = sum(self._owners[room] == user for room in self._of_user.get(user, ()))
        return inside + len(self._empty.get(user, ()))

    def enter(self, room: str, user: str, username: str, socket: str) -> bool:
        """Put a socket in.

        Returns:
            Whether its user was not there before.
        """
        self._fill(room)
        self._owners.setdefault(room, user)
        users = self._rooms.setdefault(room, {})
        first = user not in users
        member = users.setdefault(user, Member(username))
        if socket not in member.sockets:
            member.sockets.add(socket)
            self._sizes[room] = self._sizes.get(room, 0) + 1
            self._of.setdefault(socket, set()).add(room)
            self._of_user.setdefault(user, set()).add(room)
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
        _discard(self._of, socket, room)
        if member.sockets:
            return None
        _discard(self._of_user, user, room)
        del self._rooms[room][user]
        if not self._rooms[room]:
            del self._rooms[room], self._sizes[room]
            self._empty.setdefault(self._owners[room], OrderedDict())[room] = None
        return member.username

    def forget(self, room: str) -> None:
        """An empty room is not kept any longer."""
        if self._fill(room):
            del self._owners[room]

    def _fill(self, room: str) -> bool:
        """A room is not among the empty ones any longer. Whether it was."""
        owner = self._owners.get(room)
        own = self._empty.get(owner) if owner is not None else None
        if owner is None or own is None or room not in own:
            return False
        del own[room]
        if not own:
            del self._empty[owner]
        return True

    def knows(self, room: str) -> bool:
        """Whether there is such a room, occupied or empty."""
        return room in self._owners

    def is_empty(self, room: str) -> bool:
        """Whether nobody is in it."""
        return room not in self._rooms

    def has(self, room: str, socket: str) -> bool:
        """Whether a socket is in a room."""
        return room in self._of.get(socket, ())

    def has_user(self, room: str, user: str) -> bool:
        """Whether a user is in a room, with any socket."""
        return user in self._rooms.get(room, ())

    def pairs(self) -> set[tuple[str, str]]:
        """Every user with every room that it is in."""
        return {(user, room) for user, rooms in self._of_user.items() for room in rooms}

    def places(self) -> int:
        """How many `pairs` there are."""
        return sum(map(len, self._of_user.values()))

    def member(self, room: str, user: str) -> Member:
        """A user who is in a room."""
        return self._rooms[room][user]

    def members(self, room: str) -> list[str]:
        """The names of who is there, sorted, one per user."""
        return sorted(member.username for member in self._rooms.get(room, {}).values())

    def size(self, room: str) -> int:
        """How many sockets are in a room."""
        return self._sizes.get(room, 0)

    def rooms_of(self, socket: str) -> frozenset[str]:
        """The rooms that a socket is in."""
        return frozenset(self._of.get(socket, ()))


def _discard(sets: dict[str, set[str]], key: str, value: str) -> None:
    """Take a value out of a set of a table, and the set with it if that was all."""
    sets[key].discard(value)
    if not sets[key]:
        del sets[key]
