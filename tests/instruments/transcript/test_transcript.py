"""Rows and transcripts: what they tell, how they are filtered, shown and kept."""

import dataclasses
import json
import os
import stat
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.errors import UsageError
from rtlab.instruments.transcript.packet_seen import PacketSeen
from rtlab.instruments.transcript.transcript import Direction, Kind, Row, Transcript
from rtlab.wire.frames import Frame, Opcode, encode_frame
from rtlab.wire.handshake import Request, Response

UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
KEY = b"\x01\x02\x03\x04"


def row(clock=0, connection=1, direction=UP, kind=Kind.FRAME, summary="", raw=b"", size=None, **more):
    size = len(raw) if size is None else size
    return Row(
        clock=clock, connection=connection, direction=direction, kind=kind, summary=summary, raw=raw, size=size, **more
    )


REQUEST = b"GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"
HELLO = encode_frame(Frame(Opcode.TEXT, b"hello"), KEY)
ROWS = [
    row(0, 1, UP, Kind.HANDSHAKE, "GET /chat", REQUEST, details=("Upgrade: websocket",)),
    row(1, 1, DOWN, Kind.HANDSHAKE, "101 Switching Protocols", b"HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    row(2, 1, UP, Kind.FRAME, "TEXT 'hello'", HELLO, opcode="TEXT", message="hello"),
    row(3, 12, DOWN, Kind.FRAME, "PING", encode_frame(Frame(Opcode.PING)), opcode="PING", note="are you there?"),
    row(4, 12, UP, Kind.FRAME, "BINARY 00", b"\x82\x01\x00", opcode="BINARY", message=b"\0", problem="not masked"),
    row(5, 2, UP, Kind.RAW, "3 bytes: '???'", b"???", size=9, problem="no HTTP"),
    row(6, 2, DOWN, Kind.REQUEST, "POST /", b"", body="{}"),
    row(7, 2, DOWN, Kind.END, "TCP was reset"),
]  # fmt: skip
TRANSCRIPT = Transcript(ROWS, dropped=3)


def clocks(transcript):
    return [each.clock for each in transcript]


def test_it_is_a_sequence():
    assert len(TRANSCRIPT) == 8
    assert TRANSCRIPT[2].message == "hello"
    assert TRANSCRIPT[-1] is ROWS[-1]
    assert list(TRANSCRIPT) == ROWS
    assert clocks(reversed(TRANSCRIPT)) == [7, 6, 5, 4, 3, 2, 1, 0]
    assert isinstance(TRANSCRIPT[2:4], Transcript)
    assert clocks(TRANSCRIPT[2:4]) == [2, 3]
    assert Transcript(ROWS, 3) == TRANSCRIPT
    assert hash(Transcript(ROWS, 3)) == hash(TRANSCRIPT)
    assert Transcript(ROWS) != TRANSCRIPT
    assert TRANSCRIPT != ROWS
    with pytest.raises(dataclasses.FrozenInstanceError):
        TRANSCRIPT[0].summary = "changed"


@pytest.mark.parametrize(
    ("filtered", "expected"),
    [
        (TRANSCRIPT.only(kind="frame"), [2, 3, 4]),
        (TRANSCRIPT.only(kind={"raw", Kind.END}), [5, 7]),
        (TRANSCRIPT.only(connection=12), [3, 4]),
        (TRANSCRIPT.only(connection=[1, 2], direction="to server"), [0, 2, 5]),
        (TRANSCRIPT.only(direction=Direction.TO_CLIENT), [1, 3, 6, 7]),
        (TRANSCRIPT.only(opcode=("PING", "PONG")), [3]),
        (TRANSCRIPT.only(lambda row: "o" in row.summary, kind="frame"), [2]),
        (TRANSCRIPT.only(), [0, 1, 2, 3, 4, 5, 6, 7]),
        (TRANSCRIPT.frames, [2, 3, 4]),
        (TRANSCRIPT.messages, [2, 4]),
        (TRANSCRIPT.http, [0, 1, 6]),
        (TRANSCRIPT.handshakes, [0, 1]),
        (TRANSCRIPT.problems, [4, 5]),
        (TRANSCRIPT.frames.messages.only(connection=1), [2]),
    ],
)
def test_filters(filtered, expected):
    assert clocks(filtered) == expected
    assert filtered.dropped == 3


def test_what_a_row_knows():
    request, response, text, ping, unmasked, raw, empty, _ = ROWS
    assert isinstance(request.head, Request)
    assert request.head.headers.get("upgrade") == "websocket"
    assert isinstance(response.head, Response)
    assert response.head.status == 101
    assert empty.head is None
    assert text.frame == Frame(Opcode.TEXT, b"hello")
    assert text.masking_key == KEY
    assert ping.frame == Frame(Opcode.PING)
    assert ping.masking_key is None
    assert unmasked.frame == Frame(Opcode.BINARY, b"\0")
    assert (raw.frame, raw.head, raw.masking_key) == (None, None, None)
    assert (raw.cut, text.cut) == (True, False)
    assert row(raw=b"\x83\x00").frame is None, "a broken frame"
    assert row(raw=b"\x81\x05he", size=7).frame is None, "only its beginning was kept"
    assert row(kind=Kind.REQUEST, raw=b"GET\r\n\r\n").head is None
    assert row(kind=Kind.REQUEST, raw=b"\r\nGET / HTTP/1.1\r\n\r\n").head.target == "/"
    assert repr(text) == "<Row 2  client-1 → server  TEXT 'hello'>"


def test_text():
    assert str(TRANSCRIPT) == repr(TRANSCRIPT)
    assert str(TRANSCRIPT).splitlines() == [
        "(3 earlier rows were not kept)",
        "0  client-1  → server  GET /chat",
        "                       Upgrade: websocket",
        "1  client-1  ← server  101 Switching Protocols",
        "2  client-1  → server  TEXT 'hello'",
        "3  client-12 ← server  PING",
        "                       = are you there?",
        "4  client-12 → server  BINARY 00",
        "                       ! not masked",
        "5  client-2  → server  3 bytes: '???'",
        "                       ! no HTTP",
        "6  client-2  ← server  POST /",
        "7  client-2  ← server  TCP was reset",
    ]
    assert str(Transcript()) == "(no rows)"


def test_a_reload_equals(tmp_path):
    path = tmp_path / "rows.jsonl"
    TRANSCRIPT.save(path)
    assert Transcript.load(path) == TRANSCRIPT
    assert str(Transcript.load(str(path))) == str(TRANSCRIPT)
    lines = path.read_text().splitlines()
    assert len(lines) == 9
    assert "holds tokens, cookies and messages" in json.loads(lines[0])["warning"]
    assert json.loads(lines[3])["message"] == "hello"
    assert json.loads(lines[1])["direction"] == "to server"


TEXTS = st.text(max_size=20)
DATA = st.none() | TEXTS | st.binary(max_size=20)


@given(
    st.lists(
        st.builds(
            Row, clock=st.integers(0), connection=st.integers(1), direction=st.sampled_from(Direction),
            kind=st.sampled_from(Kind), summary=TEXTS, details=st.lists(TEXTS, max_size=2).map(tuple), note=TEXTS,
            problem=TEXTS, opcode=TEXTS, message=DATA, body=DATA, size=st.integers(0), raw=st.binary(max_size=20),
        ),
        max_size=4,
    ),
    st.integers(0),
)  # fmt: skip
def test_any_transcript_can_be_saved_and_loaded(tmp_path_factory, rows, dropped):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    transcript = Transcript(rows, dropped)
    transcript.save(path)
    assert Transcript.load(path) == transcript


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is no transcript"),
        (b"hello\n", "is no transcript"),
        (b"[]\n", "is no transcript"),
        (b"\xff\xfe", "is no transcript"),
        (b'{"transcript": 1}\n', "is no transcript"),
        (b'{"transcript": 9, "dropped": 0}\n', "version 9; this rtlab reads version 1"),
        (b'{"transcript": 1, "dropped": 0}\n{"clock": 1}\n', "line 2: expected a row"),
        (b'{"transcript": 1, "dropped": 0}\n[1]\n', "line 2: expected a row"),
        (b'{"transcript": 1, "dropped": 0}\nnonsense\n', "line 2: expected a row"),
    ],
)
def test_what_is_no_transcript(tmp_path, content, problem):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=problem):
        Transcript.load(path)


@pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")
@pytest.mark.parametrize("before", [None, 0o644, 0o666, 0o600])
def test_only_its_owner_reads_a_saved_file(before, tmp_path):
    """Tokens are in it. So it is when the file was there, and open to all."""
    path = tmp_path / "talk.jsonl"
    if before is not None:
        path.write_text("what was there is longer than what comes\n" * 100)
        path.chmod(before)
    mask = os.umask(0)
    try:
        Transcript().save(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Transcript.load(path) == Transcript()


HOSTILE = "\x1b[2J\x1b]0;owned\x07\x9b31m\u202e\u2066\u200b\ud83d\r\n\x00"


def test_nothing_that_is_shown_moves_a_cursor():
    """Wherever it stands: in a file that somebody sends you, in what went over the wire."""
    packet = PacketSeen(says=HOSTILE, event=HOSTILE, asked=HOSTILE, answers=1)
    texts = dict.fromkeys(("summary", "note", "problem", "asked", "session"), HOSTILE)
    made = Row(connection=1, direction=Direction.TO_SERVER, kind=Kind.RAW, details=(HOSTILE,), packets=(packet,),
               answers=1, size=1, **texts)  # fmt: skip
    shown = Transcript([made])
    for line in [*made.lines, str(made), repr(made), *str(shown).split("\n"), *repr(shown).split("\n")]:
        assert line.isprintable(), repr(line)
        line.encode()
    assert "\\x1b[2J\\x1b]0;owned\\x07\\x9b31m\\u202e" in str(shown)
