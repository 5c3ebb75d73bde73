"""A history: what may be in it, how it is shown and picked from, and its file, read strictly."""

import json
import threading
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from instruments.checking.simulated import simulated
from instruments.checking.written import written

import rtlab
from rtlab.errors import UsageError
from rtlab.instruments.checking import recorder as recorder_module
from rtlab.instruments.checking.happenings import DEFINITE, HAPPENINGS, LONGEST_NAME, is_definite
from rtlab.instruments.checking.history import SHOWN, ObservedHistory
from rtlab.instruments.checking.history_file import LONGEST_LINE, MOST_EVENTS
from rtlab.instruments.checking.recorder import HistoryRecorder

HEAD = {"format": "rtlab history", "version": 1, "bound": 5, "dropped": 0, "events": 1}
EVENT = {"kind": "sent", "at": 1, "client": "alice", "room": "lobby", "id": "m1"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "history.json"


def put(path, *lines):
    path.write_text("".join(each if isinstance(each, str) else json.dumps(each) + "\n" for each in lines))
    return path


def test_the_recorder_writes_down_what_it_is_told():
    recorder = HistoryRecorder(100)
    alice, phone = recorder.client("alice"), recorder.client("bob-phone", user="bob")
    alice.joining("lobby")
    alice.joined("lobby", None, "1-0", True, False)
    alice.sent("lobby", "m1")
    alice.refused("lobby", "m1", "rate_limited")
    alice.unanswered("lobby", "m1")
    alice.acknowledged("lobby", "m1", "2-0")
    phone.received("lobby", None, "2-0", True)
    recorder.fault("killed", "worker-1", "begin")
    phone.joined("lobby", "1-0", "2-0", False, True)
    phone.joined("garden", "1-0", "2-0", False, True)
    phone.left("garden")
    phone.disconnected()
    phone.settled("lobby", "2-0")
    history = recorder.history
    assert [each.kind for each in history] == [
        "joining", "joined", "sent", "refused", "unanswered", "acknowledged", "received", "fault", "joined", "joined",
        "left", "disconnected", "settled",
    ]  # fmt: skip
    assert [each.at for each in history] == list(range(1, 14))
    assert set(HAPPENINGS) == {each.kind for each in history}
    assert history[6].owner == "bob"
    assert history[2].owner == "alice"
    assert history[11].room == "lobby", "of the rooms that it is in"
    assert sorted(each.seconds for each in history) == [each.seconds for each in history]
    assert history.clients == ("alice", "bob-phone")
    assert rtlab.HistoryRecorder is HistoryRecorder
    assert rtlab.History is ObservedHistory


def test_a_history_does_not_change_when_the_recorder_goes_on():
    recorder = HistoryRecorder(5)
    recorder.sent("alice", "lobby", "m1")
    before = recorder.history
    recorder.sent("alice", "lobby", "m2")
    assert (len(before), len(recorder.history)) == (1, 2)


def test_a_full_recorder_counts_what_it_does_not_keep():
    recorder = HistoryRecorder(5, most=3)
    for number in range(10):
        recorder.sent("alice", "lobby", f"m{number}")
    assert (len(recorder.history), recorder.history.dropped) == (3, 7)
    assert "(7 later events not kept)" in str(recorder.history)


def test_no_recorder_keeps_more_than_a_file_may_hold(monkeypatch):
    monkeypatch.setattr(recorder_module, "MOST_EVENTS", 2)
    recorder = HistoryRecorder(5, most=100)
    for number in range(3):
        recorder.sent("alice", "lobby", f"m{number}")
    assert (len(recorder.history), recorder.dropped) == (2, 1)


def test_seconds_begin_with_the_recorder_and_never_before():
    clock = iter([1000.0, 1000.25, 999.0])
    recorder = HistoryRecorder(5, clock=lambda: next(clock))
    recorder.sent("alice", "lobby", "m1")
    recorder.fault("killed", "worker-1")
    assert [each.seconds for each in recorder.history] == [0.25, 0.0]


def test_a_client_can_be_away_from_one_room_alone():
    recorder = HistoryRecorder(5)
    for room in ("lobby", "garden"):
        recorder.joined("alice", room, None, "1-0", True, False)
    recorder.joined("bob", "lobby", None, "1-0", True, False)
    recorder.disconnected("alice", "garden")
    recorder.disconnected("alice")
    recorder.disconnected("carol")
    assert [(each.client, each.room) for each in recorder.history.only(kind="disconnected")] == [
        ("alice", "garden"), ("alice", "lobby"), ("alice", "garden"),
    ]  # fmt: skip


def test_a_recorder_belongs_to_one_thread():
    recorder, said = HistoryRecorder(5), []

    def elsewhere():
        try:
            recorder.sent("alice", "lobby", "m1")
        except UsageError as error:
            said.append(str(error))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert said == ["A recorder belongs to the thread that made it: only there is one order of events."]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda r: r.sent("alice", "lobby", ""), "sent: expected id to be text of 1 to 1,000 characters, got ''"),
        (lambda r: r.sent("alice", "lobby", "x" * (LONGEST_NAME + 1)), "sent: expected id to be text"),
        (lambda r: r.sent(None, "lobby", "m1"), "expected client to be text"),
        (lambda r: r.acknowledged("alice", "lobby", "m1", "17"), "offset to be an offset such as \"1700-0\", got '17'"),
        (lambda r: r.acknowledged("alice", "lobby", "m1", "1-0\n"), "expected offset"),
        (lambda r: r.acknowledged("alice", "lobby", "m1", "\N{ARABIC-INDIC DIGIT ONE}-0"), "expected offset"),
        (lambda r: r.received("alice", "lobby", 7, "1-0", True), "expected id to be text"),
        (lambda r: r.received("alice", "lobby", None, "1-0", 1), "expected live to be true or false, got 1"),
        (lambda r: r.joined("alice", "lobby", "", "1-0", True, False), "expected after to be an offset"),
        (lambda r: r.fault("killed", "worker-1", "middle"), 'fault: expected its phase to be "begin", "end" or ""'),
        (lambda r: HistoryRecorder(0), "bound: expected the number of messages that the server keeps of a room, got 0"),
        (lambda r: HistoryRecorder(True), "bound: expected the number"),
    ],
)
def test_a_wrong_call_is_told(call, said):
    recorder = HistoryRecorder(5)
    with pytest.raises(UsageError) as caught:
        call(recorder)
    assert said in str(caught.value)
    assert len(recorder.history) == 0


def test_which_refusals_are_definite():
    assert all(map(is_definite, [*DEFINITE, "token_expired", "token_missing"]))
    assert not any(map(is_definite, ["unavailable", "server_error", "timeout", "token", "", "not_a_member "]))


def test_it_is_picked_from():
    history = simulated(5, bound=5)
    assert {each.kind for each in history.only(kind={"sent", "left"})} <= {"sent", "left"}
    assert all(each.client == "alice" and each.room == "lobby" for each in history.only(client="alice", room="lobby"))
    assert history.only(lambda each: each.at < 4) == history[:3]
    assert history[:3].bound == 5
    with pytest.raises(UsageError, match=r"kind: expected one of sent, acknowledged, .* got 'send'"):
        history.only(kind="send")


def test_time_goes_on():
    events = list(simulated(5))
    with pytest.raises(UsageError, match="expected `at` to grow, got 1 after 2"):
        ObservedHistory([events[1], events[0]], bound=5)


def test_its_text():
    history = written("alice joins 1-0\nbob-phone gets m1 2-0\n! w-1 killed begin\nalice returns 1-0 2-0 lost")
    assert str(history).splitlines() == [
        "1  alice      joins: up to 1-0",
        "2  bob-phone  receives m1 at 2-0",
        "3  !          begins: w-1 killed",
        "4  alice      joins after 1-0: up to 2-0, told that something is lost",
    ]
    assert str(ObservedHistory(bound=1)) == "(no events)"
    long = str(simulated(7, steps=4000)).splitlines()
    assert len(long) == SHOWN + 1
    assert "events not shown" in long[SHOWN * 3 // 4]


def test_its_text_cannot_write_to_the_terminal():
    recorder = HistoryRecorder(5)
    recorder.sent("al\x1b[31mice\n", "lobby", "m\x07" + "x" * 500)
    assert str(recorder.history).isprintable()
    assert len(str(recorder.history)) < 120


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**9), dropped=st.integers(0, 3))
def test_a_file_holds_all_of_it(tmp_path_factory, seed, dropped):
    path = tmp_path_factory.mktemp("history") / "history.json"
    history = ObservedHistory(simulated(seed, bound=7), bound=7, dropped=dropped)
    history.save(path)
    assert ObservedHistory.load(path) == history
    assert hash(ObservedHistory.load(path)) == hash(history)
    for line in path.read_text().splitlines():
        json.loads(line)


def test_a_file_says_nothing_that_goes_without_saying(path):
    recorder = HistoryRecorder(5, clock=lambda: 0.0)
    recorder.sent("alice", "lobby", "m1")
    recorder.history.save(path)
    assert path.read_text() == json.dumps(HEAD) + "\n" + json.dumps(EVENT) + "\n"


def test_a_file_holds_any_name(path):
    recorder = HistoryRecorder(5)
    recorder.sent("\N{GRINNING FACE}\n\x00", "\u2028", "\\\"'")
    recorder.history.save(path)
    assert ObservedHistory.load(path) == recorder.history


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "is no history: expected its first line to say so"),
        (["[]\n"], "is no history"),
        (["{" * 100_000], "is no history"),
        (["[" * 1_000_000], "is no history"),
        (["\xff\n"], "is no history"),
        ([{"transcript": 1, "dropped": 0}], "is no history"),
        ([HEAD | {"version": 2}], "is a history of version 2; this rtlab reads 1"),
        ([HEAD | {"bound": 0}], "line 1: expected bound to be a whole number from 1 on, got 0"),
        ([HEAD | {"bound": True}], "line 1: expected bound"),
        ([HEAD | {"dropped": 1.5}], "line 1: expected dropped"),
        ([HEAD | {"events": MOST_EVENTS + 1}], "expected at most 500,000 events, got 500,001"),
        ([HEAD | {"more": 1}], "line 1: expected nothing but what this version knows, got 'more'"),
        ([HEAD], "is cut off: expected 1 events, as its first line says, got 0"),
        ([HEAD, EVENT, EVENT | {"at": 2}], "line 3: expected 1 events, as the first line says; got more"),
        ([HEAD, EVENT | {"kind": "said"}], "line 2: expected kind to be one of sent, acknowledged"),
        ([HEAD, EVENT | {"kind": ["sent"]}], "line 2: expected kind to be one of"),
        ([HEAD, EVENT | {"text": "secret"}], "line 2: sent: there is no field 'text'; there are at, client"),
        ([HEAD, {"kind": "sent", "at": 1, "client": "a", "room": "r"}], "line 2: sent: expected a field 'id'"),
        ([HEAD, EVENT | {"at": 0}], "line 2: sent: expected at to be a whole number from 1 to"),
        ([HEAD, EVENT | {"at": True}], "line 2: sent: expected at"),
        ([HEAD, EVENT | {"seconds": -1}], "line 2: sent: expected seconds"),
        ([HEAD, json.dumps(EVENT)[:-1] + ', "seconds": NaN}\n'], "line 2: expected an event in JSON"),
        ([HEAD, json.dumps(EVENT)[:-1] + ', "seconds": 1e999}\n'], "line 2: sent: expected seconds"),
        ([HEAD, json.dumps(EVENT)[:-1] + ', "at": 2}\n'], "(a name stands in it twice)"),
        ([HEAD, json.dumps(EVENT)[:-1] + ', "seconds": ' + "9" * 5000 + "}\n"], "line 2: expected an event in JSON"),
        ([HEAD, "[" * 90_000 + "\n"], "line 2: expected an event in JSON, got '[[["),
        ([HEAD, " " * (LONGEST_LINE + 1) + "\n"], "(a line has at most 100,000 characters)"),
        ([HEAD | {"events": 2}, EVENT, EVENT], "line 3: expected `at` to grow, got 1 after 1"),
    ],
)
def test_a_file_that_is_no_history(path, lines, said):
    with pytest.raises(UsageError) as caught:
        ObservedHistory.load(put(path, *lines))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 400


def test_a_file_that_is_no_text(path):
    path.write_bytes(json.dumps(HEAD).encode() + b"\n\xff\xfe\n")
    with pytest.raises(UsageError, match="is no history: expected UTF-8"):
        ObservedHistory.load(path)


def test_a_file_cut_anywhere_is_noticed(path):
    simulated(5, bound=5, steps=40).save(path)
    whole = path.read_bytes()
    for end in range(0, len(whole) - 1, 37):
        path.write_bytes(whole[:end])
        with pytest.raises(UsageError):
            ObservedHistory.load(path)


@pytest.mark.parametrize("first", [[HEAD | {"events": MOST_EVENTS}], []], ids=["an event", "the first line"])
def test_a_hostile_file_takes_no_more_memory_than_a_line(path, first):
    put(path, *first, "[" * 5_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError):
            ObservedHistory.load(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * LONGEST_LINE
    finally:
        tracemalloc.stop()
