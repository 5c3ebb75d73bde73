"""Who is where: by user, by socket, and within bounds."""

import pytest

from rtlab.chat.limits import Limits
from rtlab.chat.presence import Full, Presence


def enter(presence: Presence, room: str, user: str, socket: str) -> bool:
    evicted = presence.check(room, user, socket)
    if evicted is not None:
        presence.forget(evicted)
    return presence.enter(room, user, user.title(), socket)


def test_the_first_socket_of_a_user_comes_and_the_last_one_goes():
    presence = Presence(Limits())
    assert enter(presence, "r", "alice", "a1")
    assert not enter(presence, "r", "alice", "a2")
    assert not enter(presence, "r", "alice", "a2"), "twice is once"
    assert enter(presence, "r", "bob", "b1")
    assert presence.members("r") == ["Alice", "Bob"]
    assert not presence.leave("r", "alice", "a2")
    assert not presence.leave("r", "alice", "a2")
    assert presence.leave("r", "alice", "a1") == "Alice"
    assert presence.members("r") == ["Bob"]
    assert presence.rooms_of("a1") == frozenset()


def test_who_is_not_there_leaves_nothing():
    presence = Presence(Limits())
    assert not presence.leave("r", "alice", "a1")
    enter(presence, "r", "alice", "a1")
    assert not presence.leave("r", "alice", "stranger")
    assert not presence.leave("r", "bob", "a1")
    assert presence.has("r", "a1")


def test_bounds():
    presence = Presence(Limits(rooms=2, members=2, rooms_per_connection=1))
    enter(presence, "r", "alice", "a1")
    with pytest.raises(Full) as error:
        presence.check("s", "alice", "a1")
    assert error.value.code == "too_many_rooms"
    enter(presence, "r", "bob", "b1")
    with pytest.raises(Full) as error:
        presence.check("r", "carol", "c1")
    assert error.value.code == "room_full"
    enter(presence, "s", "carol", "c1")
    with pytest.raises(Full) as error:
        presence.check("t", "dave", "d1")
    assert error.value.code == "rooms_full"
    assert presence.check("r", "alice", "a1") is None, "who is in is in"


def test_only_empty_rooms_make_place_the_longest_empty_first():
    presence = Presence(Limits(rooms=3))
    for room in ("r", "s", "t"):
        enter(presence, room, "alice", "a1")
    presence.leave("s", "alice", "a1")
    presence.leave("r", "alice", "a1")
    assert presence.check("u", "alice", "a1") == "s"
    enter(presence, "u", "alice", "a1")
    assert len(presence) == 3
    enter(presence, "r", "alice", "a1")
    with pytest.raises(Full):
        presence.check("v", "alice", "a1")
    assert presence.is_empty("s")
    assert not presence.is_empty("r")


def test_nothing_is_left_of_who_has_gone():
    presence = Presence(Limits())
    enter(presence, "r", "alice", "a1")
    presence.leave("r", "alice", "a1")
    presence.forget("r")
    assert len(presence) == 0
    assert not any(vars(presence)[name] for name in ("_rooms", "_sizes", "_owners", "_empty", "_of", "_of_user"))


def test_a_user_is_known_by_the_name_that_was_announced():
    presence = Presence(Limits())
    presence.enter("r", "u-1", "Alice", "a1")
    presence.enter("r", "u-1", "Alicia", "a2")
    assert presence.members("r") == ["Alice"]
    presence.leave("r", "u-1", "a1")
    assert presence.leave("r", "u-1", "a2") == "Alice"
