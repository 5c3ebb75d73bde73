"""What clients may say, and how they hear what is wrong with it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.chat import payloads
from rtlab.chat.limits import Limits
from rtlab.chat.payloads import BadPayload, JoinPayload, MessagePayload

LIMITS = Limits(text=20, room_name=10, topics=2)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
FIELDS = st.dictionaries(st.sampled_from(["room", "text", "after", "clientId", "x"]), JSON, max_size=5)


def test_a_join():
    assert payloads.join("lobby", LIMITS) == JoinPayload("lobby", None)
    assert payloads.join({"room": "lobby"}, LIMITS) == JoinPayload("lobby", None)
    assert payloads.join({"room": "lobby", "after": None}, LIMITS) == JoinPayload("lobby", None)
    assert payloads.join({"room": "lobby", "after": "12-0"}, LIMITS) == JoinPayload("lobby", "12-0")


def test_a_message():
    assert payloads.message({"room": "lobby", "text": " hi\n"}, LIMITS) == MessagePayload("lobby", " hi\n", None)
    assert payloads.message({"room": "r", "text": "x", "clientId": "c"}, LIMITS) == MessagePayload("r", "x", "c")


STRING = "expected a string of 1 to"


@pytest.mark.parametrize(
    ("read", "payload", "said"),
    [
        ("join", 7, "payload: expected a room's name, or an object with room and after, got a number"),
        ("join", {}, "room: expected this field, got none"),
        ("join", {"room": "r", "after": "7"}, "after: expected an offset such as '1764000000000-0', got '7'"),
        ("join", {"room": "r", "after": 7}, f"after: {STRING} 40 characters, got a number"),
        ("join", {"room": "r", "after": "\u0661-\u0660"}, "after: expected an offset"),
        ("room", None, f"room: {STRING} 10 characters, got nothing"),
        ("room", "", f"room: {STRING} 10 characters, got one of 0"),
        ("room", "x" * 11, f"room: {STRING} 10 characters, got one of 11"),
        ("room", "a ", "room: expected no blanks at its ends, got 'a '"),
        ("room", "a\x1bb", "room: expected characters that can be seen, got U+001B"),
        ("room", "a\u202eb", "room: expected characters that can be seen, got U+202E"),
        ("room", "e\u0301", r"room: expected composed characters (Unicode NFC), got 'e\u0301'"),
        ("room", "a\ud83d", "room: expected text that UTF-8 can carry, got half of a surrogate pair"),
        ("message", "hi", "payload: expected an object with room and text, got a string"),
        ("message", {"room": "r"}, "text: expected this field, got none"),
        ("message", {"room": "r", "text": True}, f"text: {STRING} 20 characters, got true or false"),
        ("message", {"room": "r", "text": b"hi"}, f"text: {STRING} 20 characters, got binary data"),
        ("message", {"room": "r", "text": " \n"}, "text: expected something that can be seen, got white space only"),
        (
            "message",
            {"room": "r", "text": "\u200b\ufeff"},
            "something that can be seen, got characters without ink only",
        ),
        ("message", {"room": "r", "text": "\u3164"}, "something that can be seen, got characters without ink only"),
        ("message", {"room": "r", "text": "\u00a0"}, "something that can be seen, got white space only"),
        ("message", {"room": "r", "text": "\x00"}, "no control characters but tabs and line ends, got U+0000"),
        ("message", {"room": "r", "text": "a\x1b[2J"}, "no control characters but tabs and line ends, got U+001B"),
        ("message", {"room": "r", "text": "a\rb"}, "no control characters but tabs and line ends, got U+000D"),
        ("message", {"room": "r", "text": "a\x85"}, "no control characters but tabs and line ends, got U+0085"),
        ("message", {"room": "\u3164", "text": "a"}, "room: expected characters that can be seen, got U+3164"),
        ("topics", ["a\u200d"], "topics[0]: expected joiners only in emoji that Unicode recommends, got U+200D"),
        ("join", {"room": "a  b"}, "room: expected one blank between two words, got 'a  b'"),
        (
            "message",
            {"room": "r", "text": "x", "to": "*"},
            "'to': expected one of the fields clientId, room, text, got an unknown one",
        ),
        ("message", {"room": "r", "text": "x", "clientId": {}}, f"clientId: {STRING} 64 characters, got an object"),
        ("topics", "x", "topics: expected a list of at most 2 names, got a string"),
        ("topics", ["a", "b", "c"], "topics: expected a list of at most 2 names, got 3"),
        ("topics", ["a", None], f"topics[1]: {STRING} 10 characters, got nothing"),
    ],
)
def test_what_is_wrong_is_named(read, payload, said):
    with pytest.raises(BadPayload) as error:
        getattr(payloads, read)(payload, LIMITS)
    assert said in str(error.value)


def test_what_is_wrong_with_ids():
    with pytest.raises(BadPayload, match=f"session: {STRING} 64 characters, got a list"):
        payloads.session_id([])
    with pytest.raises(BadPayload, match=f"token: {STRING} 4096 characters, got nothing"):
        payloads.token(None)


@pytest.mark.parametrize(
    "text", ["a\r\n\tb\n", "👩\u200d👩\u200d👧", "\u202ea", "\u0301", "a\u200b", "\u0378", "🏴\U000e0067"]
)
def test_a_text_may_hold_what_cannot_be_seen_beside_what_can(text):
    assert payloads.message({"room": "r", "text": text}, LIMITS).text == text


def test_names_of_many_scripts_and_families_of_emoji_are_names():
    for name in ("zoë", "Οδυσσέας", "王小明", "👩‍👩‍👧", "a b"):
        assert payloads.room(name, LIMITS) == name


@given(JSON | FIELDS)
def test_whatever_comes_is_taken_or_refused_in_a_short_sentence(payload):
    said = []
    for read in (payloads.join, payloads.message, payloads.room, payloads.topics):
        try:
            read(payload, LIMITS)
        except BadPayload as error:
            said.append(str(error))
    assert all(len(each.encode()) < 250 for each in said)
