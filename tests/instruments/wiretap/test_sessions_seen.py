"""One Engine.IO session: packets in words, what answers what, and nothing that could stop the tap."""

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.direction import Direction
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.wiretap import sessions_seen
from rtlab.instruments.wiretap.sessions_seen import SessionSeen, SessionsSeen

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
HOLE = '{"_placeholder":true,"num":%d}'
OPEN = '0{"sid":"abc","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}'


def session(*, plain: bool = False, whole: bool = True) -> SessionSeen:
    return SessionSeen("abc", 1, plain=plain, whole=whole)


def read(*said, made: SessionSeen | None = None) -> list[tuple[PacketSeen, str]]:
    """What each of these is, in the rows 0, 1, 2 …: pairs of direction and data."""
    made = made or session()
    return [made.read(direction, data, number) for number, (direction, data) in enumerate(said)]


def lines(*said, made: SessionSeen | None = None) -> list[str]:
    found = read(*said, made=made)
    assert [problem for _, problem in found] == [""] * len(found)
    return [str(seen).removeprefix("Engine.IO ") for seen, _ in found]


def test_engineio():
    assert lines(
        (DOWN, OPEN), (UP, "2probe"), (DOWN, "3probe"), (UP, "5"), (DOWN, "6"), (DOWN, "2"), (UP, "3"), (DOWN, "1"),
        (DOWN, "2x"), (UP, "3"),
    ) == [
        "OPEN · abc, upgrades to websocket, a PING every 25 s, 20 s for the PONG",
        "PING · upgrade: probe",
        "PONG · upgrade: probe, answers row 1: PING",
        "UPGRADE · the session goes on over this WebSocket",
        "NOOP · ends a request that waits",
        "PING · heartbeat",
        "PONG · heartbeat, answers row 5: PING",
        "CLOSE · the session ends",
        "PING 'x'",
        "PONG · heartbeat",
    ]  # fmt: skip


def test_a_handshake_without_upgrades():
    [(seen, problem)] = read((DOWN, '0{"sid":"abc","upgrades":[],"pingInterval":1500,"pingTimeout":1000}'))
    assert seen.says == "Engine.IO OPEN · abc, no upgrades, a PING every 1.5 s, 1 s for the PONG"
    assert not problem


def test_socketio():
    said = [
        (UP, '40{"token":"x","n":1}'),
        (DOWN, '40{"sid":"s1"}'),
        (UP, "40/admin,"),
        (DOWN, '44/admin,{"message":"Not authorized"}'),
        (UP, '420["chat:join","lobby"]'),
        (UP, '42/chat,0["hi"]'),
        (DOWN, '430[{"ok":true}]'),
        (DOWN, '43/chat,0["HI"]'),
        (DOWN, '421["question"]'),
        (UP, "431[]"),
        (UP, '42["bye"]'),
        (DOWN, '44"no"'),
        (UP, "41/chat,"),
    ]
    assert lines(*said) == [
        "MESSAGE · Socket.IO CONNECT to / with 'token', 'n'",
        "MESSAGE · Socket.IO CONNECT to / as s1, answers row 0: CONNECT",
        "MESSAGE · Socket.IO CONNECT to /admin",
        "MESSAGE · Socket.IO CONNECT_ERROR for /admin: 'Not authorized', answers row 2: CONNECT",
        "MESSAGE · Socket.IO EVENT 'chat:join' in /, asks for ack 0",
        "MESSAGE · Socket.IO EVENT 'hi' in /chat, asks for ack 0",
        "MESSAGE · Socket.IO ACK 0 in /, answers row 4: 'chat:join'",
        "MESSAGE · Socket.IO ACK 0 in /chat, answers row 5: 'hi'",
        "MESSAGE · Socket.IO EVENT 'question' in /, asks for ack 1",
        "MESSAGE · Socket.IO ACK 1 in /, answers row 8: 'question'",
        "MESSAGE · Socket.IO EVENT 'bye' in /",
        "MESSAGE · Socket.IO CONNECT_ERROR for /: 'no'",
        "MESSAGE · Socket.IO DISCONNECT from /chat",
    ]


def test_what_a_packet_holds():
    found = [seen for seen, _ in read((UP, '42/chat,3["say","é",[1,null]]'), (DOWN, '43/chat,3["ok"]'))]
    assert found == [
        PacketSeen(engineio="MESSAGE", socketio="EVENT", namespace="/chat", event="say", ack=3, data='"é", [1, null]',
                   says="Engine.IO MESSAGE · Socket.IO EVENT 'say' in /chat, asks for ack 3"),
        PacketSeen(engineio="MESSAGE", socketio="ACK", namespace="/chat", event="say", ack=3, data='"ok"',
                   says="Engine.IO MESSAGE · Socket.IO ACK 3 in /chat", answers=0, asked="'say'"),
    ]  # fmt: skip
    [(granted, _)] = read((DOWN, '40{"sid":"s1"}'))
    assert granted.socket == "s1"
    assert granted.data == '{"sid": "s1"}'


def test_attachments():
    said = [
        (UP, f'452-7["photo",{HOLE % 0},{HOLE % 1}]'),
        (DOWN, '42["meanwhile"]'),
        (UP, b"\1\2\3"),
        (UP, b""),
        (DOWN, f"461-7[{HOLE % 0}]"),
        (DOWN, b"\1"),
        (DOWN, '42["afterwards"]'),
    ]
    assert lines(*said) == [
        "MESSAGE · Socket.IO BINARY_EVENT 'photo' in /, asks for ack 7, 2 attachments",
        "MESSAGE · Socket.IO EVENT 'meanwhile' in /",
        "MESSAGE · attachment 1 of 2 of 'photo'",
        "MESSAGE · attachment 2 of 2 of 'photo'",
        "MESSAGE · Socket.IO BINARY_ACK 7 in /, 1 attachment, answers row 0: 'photo'",
        "MESSAGE · attachment 1 of 1 of ack 7",
        "MESSAGE · Socket.IO EVENT 'afterwards' in /",
    ]
    found = [seen for seen, _ in read(*said)]
    assert [seen.data for seen in found[:4]] == ["", "", "", "<3 bytes>, <0 bytes>"], "once all of it is here"
    assert [seen.event for seen in found] == ["photo", "meanwhile", "photo", "photo", "photo", "photo", "afterwards"]


def test_attachments_that_never_come():
    made = session()
    read((UP, f'451-["photo",{HOLE % 0}]'), made=made)
    [(seen, problem)] = read((UP, '42["next"]'), made=made)
    assert seen.event == "next"
    assert problem == "1 of the attachments before it never came (Socket.IO protocol v5, Packet encoding)"
    read((UP, f'451-["photo",{HOLE % 0}]'), made=made)
    [(seen, problem)] = read((UP, "42[]"), made=made)
    assert problem.startswith("1 of the attachments before it never came")
    assert "list that begins with a name" in problem


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("", "an empty packet (Engine.IO protocol v4, Packet encoding)"),
        ("9", "expected a packet type from 0 to 6"),
        ("b!", "expected base64"),
        ("0{}", "expected a sid in the handshake"),
        ("4", "an empty packet (Socket.IO protocol v5, Packet encoding)"),
        ("42[]", "a list that begins with a name"),
        ('42["a",NaN]', "expected JSON"),
        ("431[]", "no event waits for ack 1 (Socket.IO protocol v5, Acknowledgement)"),
        (b"\1\2", "bytes that no packet has announced"),
        (msgpack.packb({"a": 1}), "bytes that no packet has announced"),
        (msgpack.packb({"type": 9, "nsp": "/"}), "from 0 to 4, got 9"),
        (msgpack.packb({"type": 2, "nsp": "/", "data": {}}), "got an object"),
    ],
)
def test_what_is_wrong_is_said(data, said):
    [(seen, problem)] = read((UP, data))
    assert said in problem
    assert seen.says


def test_an_ack_twice():
    found = read((UP, '421["a"]'), (DOWN, "431[]"), (DOWN, "431[]"))
    assert [problem for _, problem in found][:2] == ["", ""]
    assert "no event waits for ack 1" in found[2][1]


def test_who_came_late_cannot_judge():
    """Somebody may have asked before the tap was there."""
    assert lines((DOWN, "431[]"), made=session(whole=False)) == ["MESSAGE · Socket.IO ACK 1 in /"]


def test_engineio_alone():
    assert lines((UP, "4hello"), (DOWN, b"\1\2"), (UP, "3"), made=session(plain=True)) == [
        "MESSAGE · 5 characters",
        "MESSAGE · 2 bytes",
        "PONG · heartbeat",
    ]


def test_messagepack():
    def packed(**fields):
        return msgpack.packb(fields)

    undefined = msgpack.ExtType(0, b"\0")
    assert lines(
        (UP, packed(type=0, nsp="/", data=undefined)),
        (DOWN, packed(type=0, nsp="/", data={"sid": "s1"})),
        (UP, packed(type=2, nsp="/", data=["photo", b"12", 5], id=0)),
        (DOWN, packed(type=3, nsp="/", data=[], id=0)),
    ) == [
        "MESSAGE · Socket.IO CONNECT to / (MessagePack)",
        "MESSAGE · Socket.IO CONNECT to / as s1 (MessagePack), answers row 0: CONNECT",
        "MESSAGE · Socket.IO EVENT 'photo' in /, asks for ack 0 (MessagePack: <2 bytes>, 5)",
        "MESSAGE · Socket.IO ACK 0 in / (MessagePack), answers row 2: 'photo'",
    ]


def test_without_msgpack(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "msgpack", None)
    assert lines((UP, b"\x80")) == ["MESSAGE · bytes, not read: the Python package msgpack is missing"]


def test_nothing_moves_the_cursor():
    evil = "\x1b[2J"
    said = [
        (UP, f'40/{evil},{{"{evil}":1}}'), (DOWN, f'40{{"sid":"{evil}"}}'.replace("\x1b", "\\u001b")),
        (UP, f'42/{evil},["\\u001b","\\u001b"]'), (UP, msgpack.packb({"type": 2, "nsp": "/", "data": ["a", evil]})),
        (DOWN, '0{"sid":"\\u001b","upgrades":["\\u001b"],"pingInterval":1,"pingTimeout":1}'), (DOWN, f"2{evil}"),
    ]  # fmt: skip
    for seen, problem in read(*said):
        assert f"{seen}{problem}".isprintable()
        assert seen.data.isprintable()


pieces = st.one_of(
    st.text(max_size=20),
    st.binary(max_size=20),
    st.sampled_from([OPEN, '420["a"]', "430[]", f'451-1["a",{HOLE % 0}]', f"461-0[{HOLE % 0}]", b"\1", "2", "3", "40"]),
    st.dictionaries(st.sampled_from(["type", "nsp", "data", "id"]), st.integers(0, 4) | st.just("/") | st.just(["a"]))
    .map(msgpack.packb),
)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(Direction), pieces), max_size=10), st.booleans())
def test_whatever_comes_it_never_raises(said, plain):
    for seen, problem in read(*said, made=session(plain=plain)):
        assert isinstance(seen.says, str)
        assert isinstance(problem, str)


def test_only_so_many_wait(monkeypatch):
    monkeypatch.setattr(sessions_seen, "UNANSWERED", 2)
    made = session()
    read((UP, '421["a"]'), (UP, '422["b"]'), (UP, '423["c"]'), made=made)
    assert lines((DOWN, "431[]"), (DOWN, "433[]"), made=made) == [
        "MESSAGE · Socket.IO ACK 1 in /",
        "MESSAGE · Socket.IO ACK 3 in /, answers row 2: 'c'",
    ]
    read(*((UP, f"40/{name},") for name in "abc"), made=made)
    assert lines((DOWN, '40/a,{"sid":"s"}'), (DOWN, '40/c,{"sid":"s"}'), made=made) == [
        "MESSAGE · Socket.IO CONNECT to /a as s",
        "MESSAGE · Socket.IO CONNECT to /c as s, answers row 2: CONNECT",
    ]


def test_only_so_many_sessions(monkeypatch):
    monkeypatch.setattr(sessions_seen, "SESSIONS", 2)
    known = SessionsSeen(lambda: 0)
    first = known.of("a", 1, plain=False)
    assert known.of("a", 9, plain=False) is first
    assert first.client == 1
    known.of("b", 2, plain=False)
    known.of("a", 3, plain=False)
    known.of("c", 4, plain=False)
    assert known.of("a", 5, plain=False) is first, "who speaks stays"
    assert known.of("b", 6, plain=False).client == 6


def test_long_names_are_not_remembered():
    sessions = SessionsSeen(lambda: 0)
    sessions.of("s" * 1000, 1, plain=False)
    assert not sessions._known
    session = sessions.of("s", 1, plain=False, begins=True)
    for number in range(2000):
        session.read(UP, f"2{number}", 0)
        session.read(UP, "2" + "p" * 1000, 0)
        session.read(UP, f"40/{'n' * 1000}{number},", 0)
        session.read(UP, f'42/{"n" * 1000}{number},1["x"]', 0)
    assert len(session._pings) == 1000
    assert not session._connects
    assert not session._events
