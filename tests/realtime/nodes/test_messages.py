"""What may come over the channel: python-socketio's own messages pass as they are, and nothing else does."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab.realtime.nodes.messages import METHODS, NONSENSE, NonsenseError, checked

HOST = "0123456789abcdef"
EMIT = {"method": "emit", "event": "news", "data": [1], "namespace": "/", "host_id": HOST}
CALLBACK = {"method": "callback", "host_id": HOST, "sid": "sid:1", "namespace": "/", "id": 1, "args": []}
LEAVE = {"method": "leave_room", "sid": "sid:1", "namespace": "/", "room": "a", "host_id": HOST}
ENTER = {**LEAVE, "method": "enter_room"}
CLOSE = {"method": "close_room", "namespace": "/", "room": "a", "host_id": HOST}


def taken(message):
    return checked(json.dumps(message).encode(), json.loads)


@pytest.mark.parametrize("message", [CALLBACK, LEAVE, ENTER, CLOSE, {**ENTER, "room": "sid:1"}, {**ENTER, "room": 7}])
def test_what_a_node_says_passes_as_it_is(message):
    assert taken(message) == message


@pytest.mark.parametrize("room", [None, "a", 7, ["a", 7], [], "sid:1"])
@pytest.mark.parametrize("skip", [None, "sid:1", ["sid:1", None]])
@pytest.mark.parametrize("callback", [None, ["sid:1", "/", 3]])
def test_so_does_an_emit(room, skip, callback):
    message = {**EMIT, "binary": False, "room": room, "skip_sid": skip, "callback": callback}
    assert taken(message) == message


def test_attachments_are_put_into_their_places():
    data = [[{"a": {"_placeholder": True, "num": 1}}, {"_placeholder": True, "num": 0}]]
    data += [base64.b64encode(each).decode() for each in (b"0", b"\xff")]
    assert taken({**EMIT, "binary": True, "data": data})["data"] == [{"a": b"\xff"}, b"0"]


def test_numbers_that_json_has_not_pass_where_clients_speak_messagepack():
    (number,) = checked(json.dumps({**EMIT, "data": [float("inf")]}).encode(), json.loads, finite=False)["data"]
    assert number == float("inf")


def test_fields_that_a_method_does_not_have_are_left_out():
    assert taken({**CLOSE, "sid": [], "more": 1}) == CLOSE


WRONG = [
    ("too_large", b"x" * 10_000_000),
    ("not_utf8", b'{"method": "emit\xff"}'),
    ("not_utf8", json.dumps(EMIT).encode("utf-16")),
    ("not_json", b"{"),
    ("not_json", b""),
    ("not_json", b"9" * 5000),
    ("not_json", {**EMIT, "data": [{"a": [float("nan")]}]}),
    ("not_json", b'{"method": "emit", "event": "e", "data": [1e999]}'),
    ("too_deep", b"[" * 100_000),
    ("too_deep", b'{"method":"emit","event":"e","data":[' + b"[" * 300 + b"]" * 300 + b"]}"),
    ("too_deep", b'{"a":' * 100_000),
    ("not_an_object", b"[1]"),
    ("not_an_object", b"null"),
    ("not_an_object", b'"method"'),
    ("method", {}),
    ("method", {**EMIT, "method": "shutdown"}),
    ("method", {**EMIT, "method": ["emit"]}),
    ("method", {**EMIT, "method": {}}),
    ("host_id", {**EMIT, "host_id": 1}),
    ("host_id", {**EMIT, "host_id": "x" * 2000}),
    ("namespace", {**EMIT, "namespace": None}),
    ("namespace", {**EMIT, "namespace": []}),
    ("namespace", {**EMIT, "namespace": "/" * 300}),
    ("event", {**EMIT, "event": None}),
    ("event", {**EMIT, "event": ["news"]}),
    ("event", {**EMIT, "event": "disconnect"}),
    ("event", {**EMIT, "event": "connect"}),
    ("room", {**EMIT, "room": {}}),
    ("room", {**EMIT, "room": [["a"]]}),
    ("room", {**EMIT, "room": [None]}),
    ("room", {**EMIT, "room": True}),
    ("room", {**EMIT, "room": 1.5}),
    ("skip_sid", {**EMIT, "skip_sid": 1}),
    ("skip_sid", {**EMIT, "skip_sid": [[]]}),
    ("prev", {**EMIT, "prev": 1}),
    ("prev", {**EMIT, "prev": "x" * 2000}),
    ("data", {**EMIT, "data": "text"}),
    ("data", {**EMIT, "data": {"a": 1}}),
    ("data", {**EMIT, "data": None}),
    ("binary", {**EMIT, "binary": True, "data": []}),
    ("binary", {**EMIT, "binary": True, "data": ["x"]}),
    ("binary", {**EMIT, "binary": True, "data": [[], "no base64"]}),
    ("binary", {**EMIT, "binary": True, "data": [[], 7]}),
    ("binary", {**EMIT, "binary": True, "data": [[{"_placeholder": True, "num": 0}]]}),
    ("binary", {**EMIT, "binary": True, "data": [[{"_placeholder": True, "num": -1}], "eA=="]}),
    ("binary", {**EMIT, "binary": True, "data": [[{"_placeholder": True, "num": []}], "eA=="]}),
    ("callback", {**EMIT, "callback": 1}),
    ("callback", {**EMIT, "callback": ["sid:1", "/"]}),
    ("callback", {**EMIT, "callback": [["sid:1"], "/", 1]}),
    ("callback", {**EMIT, "callback": ["sid:1", None, 1]}),
    ("callback", {**EMIT, "callback": ["sid:1", "/", 0]}),
    ("callback", {**EMIT, "callback": ["sid:1", "/", "1"]}),
    ("callback", {**EMIT, "callback": ["sid:1", "/", 1], "host_id": None}),
    ("sid", {**CALLBACK, "sid": []}),
    ("sid", {**CALLBACK, "sid": None}),
    ("sid", {**LEAVE, "sid": {}}),
    ("sid", {"method": "disconnect", "sid": None}),
    ("sid", {"method": "disconnect", "sid": 1}),
    ("id", {**CALLBACK, "id": 0}),
    ("id", {**CALLBACK, "id": True}),
    ("id", {**CALLBACK, "id": -1}),
    ("id", {**CALLBACK, "id": [1]}),
    ("args", {**CALLBACK, "args": None}),
    ("args", {**CALLBACK, "args": "text"}),
    ("room", {**CLOSE, "room": None}),
    ("room", {**LEAVE, "room": ["a"]}),
    ("room", {**ENTER, "room": None}),
    ("reserved_room", {**CLOSE, "room": "sid:1"}),
    ("reserved_room", {**LEAVE, "room": "sid:1"}),
    ("reserved_room", {**LEAVE, "sid": "plain", "room": "plain"}),
    ("reserved_room", {**ENTER, "room": "sid:2"}),
]


@pytest.mark.parametrize(("kind", "message"), WRONG, ids=[f"{kind}-{n}" for n, (kind, _) in enumerate(WRONG)])
def test_nothing_else_does(kind, message):
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    with pytest.raises(NonsenseError) as caught:
        checked(raw, json.loads)
    assert caught.value.kind == kind
    assert len(str(caught.value)) < 300


def test_every_kind_that_a_message_can_be_wrong_in_is_shown_here():
    assert {kind for kind, _ in WRONG} == set(NONSENSE) - {"unknown_callback", "failed"}


@given(st.binary())
def test_of_any_bytes_only_nonsense_comes(raw):
    try:
        assert checked(raw, json.loads)["method"] in METHODS
    except NonsenseError as error:
        _ = NONSENSE.index(error.kind)


SINGLE = st.sampled_from([None, True, False, 0, 1, -1, 1.5, "", "sid:1", "/", "a", "eA==", 10**400, float("nan")])
VALUES = (
    SINGLE | st.lists(SINGLE | st.lists(SINGLE, max_size=2), max_size=3) | st.just({"_placeholder": True, "num": 0})
)
FIELDS = (
    "host_id",
    "namespace",
    "event",
    "data",
    "binary",
    "room",
    "skip_sid",
    "callback",
    "prev",
    "sid",
    "id",
    "args",
)


@given(st.sampled_from(sorted(METHODS)), st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
def test_fields_of_any_type_raise_nothing_but_nonsense(method, fields):
    try:
        message = taken({**EMIT, **CALLBACK, **LEAVE, **fields, "method": method})
    except NonsenseError as error:
        _ = NONSENSE.index(error.kind)
    else:
        room = message.get("room")
        hash(tuple(room) if isinstance(room, list) else room)
        hash((message.get("sid"), message["namespace"], message["host_id"], message.get("id")))
