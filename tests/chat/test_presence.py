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


# Whose rooms


def make(presence: Presence, user: str, *rooms: str) -> None:
    """A user makes rooms, and leaves them."""
    for room in rooms:
        enter(presence, room, user, user)
        presence.leave(room, user, user)


def test_ones_own_empty_rooms_go_first():
    presence = Presence(Limits(rooms=4))
    make(presence, "alice", "a1", "a2")
    make(presence, "mallory", "m1", "m2")
    assert presence.check("m3", "mallory", "m") == "m1"
    assert presence.check("a3", "alice", "a") == "a1"
    assert presence.check("c", "carol", "c") == "a1", "both have as many: the one who was there first"
    make(presence, "mallory", "m3")
    assert len(presence) == 4
    presence.forget("a1")
    make(presence, "mallory", "m4")
    assert presence.check("c", "carol", "c") == "m2", "who has most loses the longest empty one"


def test_going_into_anothers_room_and_out_changes_nothing_of_whose_it_is():
    presence = Presence(Limits(rooms=3))
    make(presence, "alice", "a1")
    make(presence, "mallory", "m1", "m2", "a1")
    assert presence.check("m3", "mallory", "m") == "m1"
    make(presence, "mallory", "m3", "m4", "m5", "m6")
    assert presence.knows("a1")


def test_who_holds_many_gets_no_places_of_others():
    presence = Presence(Limits(rooms=30, rooms_per_user=20))
    make(presence, "alice", *(f"a{n}" for n in range(18)))
    for n in range(12):
        enter(presence, f"m{n}", "mallory", "m")
    with pytest.raises(Full) as error:
        presence.check("one more", "mallory", "m")
    assert error.value.code == "rooms_full"
    assert presence.check("one more", "bob", "b") == "a0", "who holds few does"


def test_rooms_of_one_user_are_bounded_over_all_its_sockets():
    presence = Presence(Limits(rooms=30, rooms_per_user=5, rooms_per_connection=4))
    for n in range(5):
        enter(presence, f"r{n}", "alice", f"a{n}")
    with pytest.raises(Full) as error:
        presence.check("r5", "alice", "a5")
    assert error.value.code == "too_many_rooms"
    assert presence.check("r0", "alice", "a5") is None, "with one more tab"
    presence.leave("r0", "alice", "a0")
    assert presence.check("r5", "alice", "a5") == "r0", "the empty one is hers as well"


def test_a_room_counts_users_and_not_their_connections():
    presence = Presence(Limits(members=2))
    for n in range(10):
        enter(presence, "r", "mallory", f"m{n}")
    enter(presence, "r", "alice", "a1")
    assert presence.size("r") == 11
    with pytest.raises(Full) as error:
        presence.check("r", "bob", "b1")
    assert error.value.code == "room_full"
    assert presence.check("r", "alice", "a2") is None
