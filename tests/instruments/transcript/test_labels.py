"""What differs from run to run gets a label; what does not stays."""

import pytest

from rtlab.errors import UsageError
from rtlab.instruments.transcript import labels
from rtlab.instruments.transcript.labels import make_labels


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Key: KEY-1"),
        ("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "sec-websocket-accept: ACCEPT-1"),
        ("'GET /\\r\\nSec-WebSocket-Key: ab==\\r\\nHost'", "'GET /\\r\\nSec-WebSocket-Key: KEY-1\\r\\nHost'"),
        ("Origin: http://127.0.0.1:45123", "Origin: http://127.0.0.1:PORT-1"),
        ("http://localhost:8000/x", "http://localhost:PORT-1/x"),
        ("http://[::1]:8000/x", "http://[::1]:PORT-1/x"),
        ("""['127.0.0.1', 45123]""", """['127.0.0.1', PORT-1]"""),
        ('["127.0.0.1",45123]', '["127.0.0.1",PORT-1]'),
        ("/socket.io/?EIO=4&sid=ab-C_1&t=OqRs1", "/socket.io/?EIO=4&sid=SID-1&t=TIME"),
        ("""0{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":[]}""", """0{"sid":"SID-1","upgrades":[]}"""),
        ("id 123e4567-e89b-12d3-a456-426614174000.", "id ID-1."),
        ("Bearer eyJhbGciOi.eyJzdWIi.abc-_1", "Bearer TOKEN-1"),
        ("at 2026-01-31T12:00:00.123Z,", "at TIME,"),
        ("at 2026-01-31 12:00:00+01:00,", "at TIME,"),
        ('"timestamp":1760000000000}', '"timestamp":TIME}'),
        ("1760000000.25", "TIME"),
        ("PING, 4 bytes: 0a 1b 2c 3d", "PING, 4 bytes: DATA-1"),
        ("TEXT 'hello 12345, side 1, 12:30, 5.1760000000'", "TEXT 'hello 12345, side 1, 12:30, 5.1760000000'"),
        ("", ""),
    ],
)
def test_patterns(text, shown):
    assert make_labels().apply(text) == shown


def test_a_value_keeps_its_label():
    ours = make_labels()
    assert ours.apply("sid=a sid=b sid=a") == "sid=SID-1 sid=SID-2 sid=SID-1"
    ahead = ours.ahead()
    assert ahead.apply("sid=c sid=b") == "sid=SID-3 sid=SID-2"
    assert ours.apply("sid=d") == "sid=SID-3", "a look ahead is not remembered"


def test_known_values_and_patterns_of_ones_own():
    ours = make_labels({"ORDER": r"order (\d+)"}, {("PORT", "8000"): "TAP"})
    assert ours.apply("order 17 on 127.0.0.1:8000") == "order ORDER-1 on 127.0.0.1:TAP"


def test_what_is_remembered_is_bounded(monkeypatch):
    monkeypatch.setattr(labels, "REMEMBERED", 2)
    ours = make_labels()
    assert ours.apply("sid=a sid=b sid=c sid=a") == "sid=SID-1 sid=SID-2 sid=SID-3 sid=SID-4"


@pytest.mark.parametrize(("pattern", "problem"), [("(", "missing"), ("x", "got 0"), ("(x)(y)", "got 2")])
def test_patterns_that_cannot_be_used(pattern, problem):
    with pytest.raises(UsageError, match=problem):
        make_labels({"X": pattern})


def test_marked_values_are_labelled_wherever_they_stand():
    ours = make_labels()
    assert ours.mark("session", "lv_VI97HAXpY6yYWAAAC") == "session-1"
    assert ours.mark("socket", "wZX3oN0bSVIhsaknAAAI") == "socket-1"
    assert ours.mark("session", "lv_VI97HAXpY6yYWAAAC") == "session-1"
    assert ours.mark("session", "short") == "session-2"
    assert ours.apply("?sid=lv_VI97HAXpY6yYWAAAC") == "?sid=session-1", "no second label for it"
    assert ours.apply('"wZX3oN0bSVIhsaknAAAI:room"') == '"socket-1:room"'
    assert ours.apply("a short word, ?sid=short") == "a short word, ?sid=session-2"
    assert ours.apply("xwZX3oN0bSVIhsaknAAAI") == "xwZX3oN0bSVIhsaknAAAI", "another word"
    assert ours.mark("session", "sid:wZX3oN0bSVIhsaknAAAJ") == "session-3"
    assert ours.apply('{"sid":"sid:wZX3oN0bSVIhsaknAAAJ"}') == '{"sid":"session-3"}', "its prefix belongs to it"
    ahead = ours.ahead()
    assert ahead.mark("socket", "another") == "socket-2"
    assert ours.mark("socket", "yet another") == "socket-2", "a look ahead is not remembered"


def test_marks_are_bounded(monkeypatch):
    monkeypatch.setattr(labels, "REMEMBERED", 2)
    ours = make_labels()
    assert [ours.mark("socket", value) for value in "abca"] == ["socket-1", "socket-2", "socket-3", "socket-4"]


def test_clients_are_counted_as_they_come():
    ours = make_labels()
    assert [ours.client(connection) for connection in (7, 3, 7, 9)] == [1, 2, 1, 3]
    assert ours.ahead().client(5) == 4
    assert ours.client(6) == 4
