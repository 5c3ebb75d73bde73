"""The rules of the Socket.IO server that are plain functions."""

import pytest

from rtlab.errors import ProtocolError, ReservedRoomError
from rtlab.realtime import Guards
from rtlab.realtime.limits import SOCKET_ID_PREFIX
from rtlab.realtime.message import PACKET_BYTES, Message
from rtlab.realtime.rules import PendingMessages, event_name, match_arguments, refuse_socket_id, target_of
from rtlab.wire.socketio import Packet, PacketType

MINE, THEIRS = f"{SOCKET_ID_PREFIX}mine", f"{SOCKET_ID_PREFIX}theirs"


@pytest.mark.parametrize(
    ("to", "room", "guarded", "open_"),
    [
        (None, None, None, None),
        ("lobby", None, "lobby", "lobby"),
        (None, "lobby", "lobby", "lobby"),
        ("a", "b", "a", "a"),
        ("", None, [], None),
        ("", "lobby", [], "lobby"),
        ([], None, [], None),
        (None, [], [], []),
        ((), None, [], None),
        ([None], None, [], [None]),
        (["a", None], None, ["a"], ["a", None]),
        (("a", "b"), None, ["a", "b"], ("a", "b")),
        ({"a"}, None, ["a"], {"a"}),
        (7, None, 7, 7),
        (0, None, 0, None),
    ],
)
def test_whom_an_emit_is_for(to, room, guarded, open_):
    assert target_of(to, room, Guards()) == guarded
    assert target_of(to, room, Guards.none()) == open_
    assert target_of(target_of(to, room, Guards()), None, Guards()) == guarded, "asked twice it says the same"


def test_a_socket_enters_no_room_of_another_socket():
    for room in (THEIRS, SOCKET_ID_PREFIX):
        with pytest.raises(ReservedRoomError, match="names a socket"):
            refuse_socket_id(MINE, room)
    for room in (MINE, "lobby", "", None, 7, f" {THEIRS}"):
        refuse_socket_id(MINE, room)


@pytest.mark.parametrize("name", ["connect", "connect_error", "disconnect", "disconnecting", "newListener"])
def test_reserved_names(name):
    packet = Packet(PacketType.EVENT, data=[name])
    with pytest.raises(ProtocolError, match="reserved"):
        event_name(packet, Guards())
    assert event_name(packet, Guards.none()) == name


@pytest.mark.parametrize(
    ("said", "name"),
    [("hello", "hello"), ("", ""), (7, "7"), (7.0, "7"), (7.5, "7.5"), (1e300, "1e+300")],
)
def test_a_name_that_is_a_number_is_spelled_as_javascript_would(said, name):
    assert event_name(Packet(PacketType.EVENT, data=[said]), Guards()) == name


@pytest.mark.parametrize(
    ("handler", "takes"),
    [
        (lambda sid, environ, auth: 0, 3),
        (lambda sid, environ: 0, 2),
        (lambda sid, environ, auth=None: 0, 3),
        (lambda *arguments: 0, 3),
        (print, 3),
        (lambda sid: 0, 2),
    ],
)
def test_a_connect_handler_gets_what_it_takes(handler, takes):
    assert len(match_arguments(handler, ("sid", {}, None))) == takes


def test_what_is_held_has_a_bound():
    overflows = []
    held = PendingMessages(PACKET_BYTES + 10, lambda: overflows.append(1))
    for _ in range(5):
        held.add(Message("4" * 6))
    assert len(held.messages) == 2, "the one that passes the limit is the last"
    assert len(overflows) == 3
    unbounded = PendingMessages(None, lambda: overflows.append(1))
    for _ in range(100):
        unbounded.add(Message("4" * 1_000))
    assert (len(unbounded.messages), len(overflows)) == (100, 3)
