"""Engine.IO over several connections, byte for byte: which rows belong to which session, and what answers what."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.instruments.transcript.recording import Recording
from rtlab.instruments.transcript.transcript import Direction, Transcript
from rtlab.instruments.wiretap import session_reader
from rtlab.instruments.wiretap.decoding import ConnectionDecoder
from rtlab.instruments.wiretap.sessions_seen import SessionsSeen
from rtlab.wire.frames import Frame, Opcode, encode_frame
from rtlab.wire.handshake import accept_key

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SID = "lv_VI97HAXpY6yYWAAAC"
SOCKET = "wZX3oN0bSVIhsaknAAAI"
PATH = "/socket.io/?EIO=4&transport="
HOLE = '{"_placeholder":true,"num":0}'


def opening(sid: str = SID) -> str:
    return "0" + json.dumps({"sid": sid, "upgrades": ["websocket"], "pingInterval": 25000, "pingTimeout": 20000})


def get(sid: str = "", path: str = PATH) -> bytes:
    return f"GET {path}polling{sid and f'&sid={sid}'} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def post(body: str, sid: str = SID) -> bytes:
    length = len(body.encode())
    return f"POST {PATH}polling&sid={sid} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}".encode()


def ok(body: str | bytes = "ok", status: str = "200 OK") -> bytes:
    data = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def ask(sid: str = "") -> bytes:
    return (
        f"GET {PATH}websocket{sid and f'&sid={sid}'} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    ).encode()


GRANT = (
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Accept: {accept_key(KEY)}\r\n\r\n"
).encode()


def up(data: str | bytes) -> bytes:
    return encode_frame(frame(data), b"\1\2\3\4")


def down(data: str | bytes) -> bytes:
    return encode_frame(frame(data))


def frame(data: str | bytes) -> Frame:
    return Frame(Opcode.TEXT, data.encode()) if isinstance(data, str) else Frame(Opcode.BINARY, data)


def decode(*said, cut: int = 0, live: list | None = None) -> Transcript:
    """The transcript of what was said: the connection's number, the direction, and the bytes."""
    recording = Recording(on_row=None if live is None else live.append)
    known = SessionsSeen(lambda: recording.count)
    decoders: dict[int, ConnectionDecoder] = {}
    for connection, direction, data in said:
        if connection not in decoders:
            decoders[connection] = ConnectionDecoder(connection, recording.append, None, known)
        for start in range(0, len(data), cut or len(data)):
            decoders[connection].receive(direction, data[start : start + (cut or len(data))])
    return recording.transcript


LONG_POLLING = [
    (1, UP, get()), (1, DOWN, ok(opening())),
    (2, UP, post("40")), (1, UP, get(SID)), (2, DOWN, ok()),
    (1, DOWN, ok(f'40{{"sid":"{SOCKET}"}}')),
    (3, UP, get(SID)), (2, UP, post('421["chat:join"]\x1e42["hi"]')), (2, DOWN, ok()),
    (3, DOWN, ok(f'431["{SOCKET}"]')),
]  # fmt: skip


@pytest.mark.parametrize("cut", [0, 1, 7])
def test_long_polling(cut):
    found = decode(*LONG_POLLING, cut=cut)
    assert [[*row.lines[:1], *map(str, row.packets), *row.details[:1]] for row in found] == [
        ["GET /socket.io/?EIO=4&transport=polling"],
        ["200 OK, answers row 0: GET",
         "Engine.IO OPEN · session-1, upgrades to websocket, a PING every 25 s, 20 s for the PONG",
         f"body, 104 bytes: {opening('session-1')!r}"],
        ["POST /socket.io/?EIO=4&transport=polling&sid=session-1",
         "Engine.IO MESSAGE · Socket.IO CONNECT to /", "body '40'"],
        ["GET /socket.io/?EIO=4&transport=polling&sid=session-1"],
        ["200 OK, answers row 2: POST", "body 'ok'"],
        ["200 OK, answers row 3: GET",
         "Engine.IO MESSAGE · Socket.IO CONNECT to / as socket-1, answers row 2: CONNECT",
         "body '40{\"sid\":\"socket-1\"}'"],
        ["GET /socket.io/?EIO=4&transport=polling&sid=session-1"],
        ["POST /socket.io/?EIO=4&transport=polling&sid=session-1",
         "Engine.IO MESSAGE · Socket.IO EVENT 'chat:join' in /, asks for ack 1",
         "Engine.IO MESSAGE · Socket.IO EVENT 'hi' in /", "body '421[\"chat:join\"]\\x1e42[\"hi\"]'"],
        ["200 OK, answers row 7: POST", "body 'ok'"],
        ["200 OK, answers row 6: GET",
         "Engine.IO MESSAGE · Socket.IO ACK 1 in /, answers row 7: 'chat:join'",
         "body '431[\"socket-1\"]'"],
    ]  # fmt: skip
    assert [row.answers for row in found] == [None, 0, None, None, 2, 3, None, None, 7, 6]
    assert {row.client for row in found} == {"client-1"}, "one client, over three connections"
    assert not found.problems


def test_filters():
    found = decode(*LONG_POLLING)
    assert [row.clock for row in found.packets] == [1, 2, 5, 7, 9]
    assert [row.clock for row in found.only(event="chat:join")] == [7, 9]
    assert [row.clock for row in found.only(event={"hi", "there"})] == [7]
    assert len(found.only(session="session-1")) == len(found) - 1, "the first request has none yet"
    assert len(found.only(client="client-1", kind="request")) == 5
    assert not found.only(client="client-2")


UPGRADE = [
    *LONG_POLLING[:3], LONG_POLLING[4],
    (4, UP, ask(SID)), (4, DOWN, GRANT),
    (1, UP, get(SID)), (4, UP, up("2probe")), (4, DOWN, down("3probe")), (1, DOWN, ok("6")),
    (4, UP, up("5")), (4, UP, up('420["photo"]')), (4, DOWN, down(f"461-0[{HOLE}]")), (4, DOWN, down(b"\1\2")),
]  # fmt: skip


def test_the_upgrade():
    found = decode(*UPGRADE)
    assert [line for row in found for line in row.lines if line.startswith("= ")][2:] == [
        "= Engine.IO over WebSocket, the upgrade of a session",
        "= Engine.IO PING · upgrade: probe",
        "= Engine.IO PONG · upgrade: probe, answers row 7: PING",
        "= Engine.IO NOOP · ends a request that waits",
        "= Engine.IO UPGRADE · the session goes on over this WebSocket",
        "= Engine.IO MESSAGE · Socket.IO EVENT 'photo' in /, asks for ack 0",
        "= Engine.IO MESSAGE · Socket.IO BINARY_ACK 0 in /, 1 attachment, answers row 11: 'photo'",
        "= Engine.IO MESSAGE · attachment 1 of 1 of ack 0",
    ]
    assert {row.client for row in found} == {"client-1"}
    assert found[5].lines[0] == "101 Switching Protocols, answers row 4: GET"
    assert found[-2].answers == 11
    assert found[-2].asked == "'photo'"


def test_websocket_only():
    found = decode((1, UP, ask()), (1, DOWN, GRANT), (1, DOWN, down(opening())), (1, UP, up("40")), (1, UP, up("2")))
    assert found[0].note == "Engine.IO over WebSocket, a session without long-polling"
    assert [row.session for row in found] == ["", "", "session-1", "session-1", "session-1"]
    assert str(found[3].packets[0]) == "Engine.IO MESSAGE · Socket.IO CONNECT to /"


def test_several_clients_have_a_lane_each():
    other = "-_-_I97HAXpY6yYWAAAD"
    found = decode(
        (1, UP, get()), (1, DOWN, ok(opening())), (2, UP, get(SID)), (5, UP, get()), (5, DOWN, ok(opening(other))),
        (6, UP, post("40", other)), (2, DOWN, ok("6")), (7, UP, b"GET / HTTP/1.1\r\n\r\n"),
    )  # fmt: skip
    assert [row.client for row in found] == [f"client-{number}" for number in (1, 1, 1, 2, 2, 2, 1, 3)]
    assert [row.session for row in found if row.session] == [f"session-{number}" for number in (1, 1, 2, 2, 1)]
    svg = found._repr_svg_()
    assert svg.count(">client-3<") == 1
    assert ">client-4<" not in svg


def test_ids_are_labelled_wherever_they_stand():
    said = f'42["joined",{{"who":"{SOCKET}","room":"{SOCKET}:private"}},"{SID}"]'
    found = decode(*LONG_POLLING, (1, UP, get(SID)), (1, DOWN, ok(said)))
    assert found[-1].details[0].endswith('42["joined",{"who":"socket-1","room":"socket-1:private"},"session-1"]\'')
    assert SID not in str(found)
    assert SOCKET not in str(found)
    assert found[5].packets[0].socket == "socket-1"
    assert found[5].packets[0].data == '{"sid": "socket-1"}'


def test_a_listener_sees_what_is_there():
    """As they come, rows have no labels; what they answer is by the numbers that they have then."""
    live: list = []
    decode(*LONG_POLLING, live=live)
    assert [row.answers for row in live] == [None, 0, None, None, 2, 3, None, None, 7, 6]
    assert live[5].session == SID
    assert live[9].client == "client-1"


def test_broadcasts_over_long_polling_stand_by_client():
    """The order in which a server answers the requests that wait is nobody's business."""
    ids = [f"{number}" * 20 for number in range(3)]
    begin = [
        each for number, sid in enumerate(ids, 1) for each in ((number, UP, get()), (number, DOWN, ok(opening(sid))))
    ]
    wait = [(number + 3, UP, get(sid)) for number, sid in enumerate(ids, 1)]

    def news(order):
        return [(number + 3, DOWN, ok('42["news"]')) for number in order]

    assert decode(*begin, *wait, *news((1, 2, 3))) == decode(*begin, *wait, *news((3, 1, 2)))


def test_a_saved_transcript_keeps_the_packets(tmp_path):
    found = decode(*UPGRADE)
    found.save(tmp_path / "rows.jsonl")
    assert Transcript.load(tmp_path / "rows.jsonl") == found


def test_other_traffic_stays_as_it_is():
    for target in ("/?EIO=4", "/x?EIO=3&transport=polling", "/?transport=polling", "/?EIO=4&transport=polling&j=1"):
        found = decode((1, UP, f"GET {target} HTTP/1.1\r\n\r\n".encode()), (1, DOWN, ok(opening())))
        assert not found.packets
        assert found[1].lines[0] == "200 OK"
        assert found[1].answers == 0, "in the data it is always there"
    found = decode((1, UP, get().replace(b"GET", b"OPTIONS")), (1, DOWN, ok()))
    assert not found.packets


def test_engineio_alone():
    path = "/engine.io/?EIO=4&transport="
    found = decode((1, UP, get(path=path)), (1, DOWN, ok(opening())), (1, UP, get(SID, path)), (1, DOWN, ok("4hello")))
    assert str(found[3].packets[0]) == "Engine.IO MESSAGE · 5 characters"
    assert not found.problems


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("", "expected Engine.IO packets, got nothing (Engine.IO protocol v4, Packet encoding)"),
        (b"4\xff", "expected text, got other bytes (Engine.IO protocol v4, Packet encoding)"),
        ("9", "expected a packet type from 0 to 6, got '9' (Engine.IO protocol v4, Protocol)"),
        ("2\x1e\x1e2", "packet 2 of 3: an empty packet (Engine.IO protocol v4, Packet encoding)"),
        ("42[]\x1e9", "packet 1 of 2: expected an EVENT as a list that begins with a name, got an empty list"),
    ],
)
def test_a_payload_that_is_wrong(body, problem):
    found = decode(*LONG_POLLING[:2], (1, UP, get(SID)), (1, DOWN, ok(body)))
    assert found[3].problem.startswith(problem)
    assert found.problems[0] == found[3]


def test_a_frame_that_is_wrong():
    found = decode(
        (1, UP, ask()), (1, DOWN, GRANT), (1, DOWN, down(opening())), (1, UP, up('42["a"')), (1, UP, up("40"))
    )
    assert found[3].problem == "expected JSON, got '[\"a\"' (RFC 8259 §2)"
    assert found[4].problem == ""


def test_refusals():
    refusal = '{"code":1,"message":"SessionSeen ID unknown"}'
    found = decode((1, UP, get("gone")), (1, DOWN, ok(refusal, "400 Bad Request")), (2, UP, get()),
                   (2, DOWN, ok("busy", "503 Busy")), (3, UP, get()), (3, DOWN, ok("a page")))  # fmt: skip
    assert not found.packets
    assert not found.problems
    assert [row.lines[0] for row in found][1::2] == ["400 Bad Request, answers row 0: GET", "503 Busy", "200 OK"]
    assert found[0].summary.endswith("sid=session-1")


def test_many_packets_in_one_payload(monkeypatch):
    monkeypatch.setattr(session_reader, "PACKETS", 3)
    found = decode(*LONG_POLLING[:2], (1, UP, get(SID)), (1, DOWN, ok("\x1e".join(["2"] * 5))))
    assert len(found[3].packets) == 3
    assert found[3].note == "2 packets more, which were not decoded"


def test_a_body_that_was_not_kept():
    found = decode(*LONG_POLLING[:2], (1, UP, post(f'42["{"x" * 1_100_000}"]')))
    assert found[2].note == "Engine.IO, a body longer than is decoded here"
    assert not found.problems


def test_a_mistake_of_ours_does_not_spread(monkeypatch):
    monkeypatch.setattr(session_reader, "parse_qs", lambda *_, **__: 1 / 0)
    found = decode((1, UP, get()), (1, UP, get()))
    assert [row.summary for row in found] == ["GET /socket.io/?EIO=4&transport=polling"] * 2
    assert found[0].problem == "the tap could not read Engine.IO here: ZeroDivisionError: division by zero"


texts = st.sampled_from(["2", "3", "40", '421["a"]', "431[]", f'451-["a",{HOLE}]', "b", "bAQ==", "9", "", "4"])


@given(st.lists(st.one_of(
    st.tuples(st.integers(1, 3), st.just(UP), texts.map(post)),
    st.tuples(st.integers(1, 3), st.just(UP), st.sampled_from(["", SID, "x"]).map(get)),
    st.tuples(st.integers(1, 3), st.just(DOWN), texts.map(ok)),
    st.tuples(st.integers(1, 3), st.just(DOWN), st.just(ok(opening()))),
    st.tuples(st.integers(4, 5), st.just(UP), st.sampled_from([ask(), ask(SID), up("40"), up(b"\1"), up("2probe")])),
    st.tuples(st.integers(4, 5), st.just(DOWN), st.sampled_from([GRANT, down(opening()), down("431[]"), down("2")])),
), max_size=12), st.integers(0, 9))  # fmt: skip
def test_however_it_is_cut_and_whatever_it_is(said, cut):
    found = decode(*said, cut=cut)
    assert found == decode(*said)
    assert not [row for row in found if "the tap could not" in row.problem]
    for row in found:
        assert row.answers is None or row.answers < row.clock
        assert all(packet.answers is None or packet.answers < row.clock for packet in row.packets)
