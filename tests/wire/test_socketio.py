"""Socket.IO packets: golden ones in both directions, what is refused, and agreement with the official parsers."""

import json

import msgpack
import pytest
import socketio.packet
from hypothesis import given
from hypothesis import strategies as st
from official_parsers import ask_javascript

from rtlab.errors import ProtocolError, UsageError
from rtlab.wire.socketio import (
    MAX_ATTACHMENTS,
    MAX_DEPTH,
    MAX_ID_DIGITS,
    RESERVED_EVENTS,
    Decoder,
    Packet,
    PacketType,
    check,
    encode,
    from_fields,
    namespace_of,
)

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = PacketType
HOLE = '{"_placeholder":true,"num":0}'
GOLDEN = [
    (Packet(CONNECT), ["0"]),
    (Packet(CONNECT, "/admin"), ["0/admin,"]),
    (Packet(CONNECT, "/admin", {"sid": "oSO0"}), ['0/admin,{"sid":"oSO0"}']),
    (Packet(CONNECT, "/admin?token=1234&x=/a"), ["0/admin?token=1234&x=/a,"]),
    (Packet(CONNECT_ERROR, "/", {"message": "Not authorized"}), ['4{"message":"Not authorized"}']),
    (Packet(CONNECT_ERROR, "/", "Not authorized"), ['4"Not authorized"']),
    (Packet(DISCONNECT), ["1"]),
    (Packet(DISCONNECT, "/admin"), ["1/admin,"]),
    (Packet(EVENT, "/", ["foo"]), ['2["foo"]']),
    (Packet(EVENT, "/admin", ["bar"]), ['2/admin,["bar"]']),
    (Packet(EVENT, "/", ["foo"], 12), ['212["foo"]']),
    (Packet(EVENT, "/", ["foo"], 0), ['20["foo"]']),
    (Packet(EVENT, "/", [5, None, True, 1.5]), ["2[5,null,true,1.5]"]),
    (Packet(EVENT, "/", ["€", "\N{WAVING HAND SIGN}", "a\x1eb\n"]), ['2["€","\N{WAVING HAND SIGN}","a\\u001eb\\n"]']),
    (Packet(EVENT, "/", ["a", {"_placeholder": True, "num": 0}]), [f'2["a",{HOLE}]']),
    (Packet(ACK, "/", [], 2**53 - 1), ["39007199254740991[]"]),
    (Packet(ACK, "/admin", ["bar"], 13), ['3/admin,13["bar"]']),
    (Packet(EVENT, "/", ["baz", b"\1\2\3\4"]), [f'51-["baz",{HOLE}]', b"\1\2\3\4"]),
    (
        Packet(EVENT, "/admin", ["baz", b"\1\2", {"deep": [b""]}]),
        [f'52-/admin,["baz",{HOLE},{{"deep":[{{"_placeholder":true,"num":1}}]}}]', b"\1\2", b""],
    ),
    (Packet(ACK, "/", ["bar", b"\1\2\3\4"], 15), [f'61-15["bar",{HOLE}]', b"\1\2\3\4"]),
    (Packet(EVENT, "/a", ["baz", b"\1"], 7), [f'51-/a,7["baz",{HOLE}]', b"\1"]),
]


def decode(frames, max_attachments: int = MAX_ATTACHMENTS) -> Packet:
    """All frames; the last one completes the packet."""
    decoder = Decoder(max_attachments=max_attachments)
    *before, last = frames
    for number, frame in enumerate(before):
        assert decoder.add(frame) is None
        assert decoder.pending == len(before) - number
    packet = decoder.add(last)
    assert packet is not None
    assert decoder.pending == 0
    assert decoder.incomplete is None
    return packet


@pytest.mark.parametrize(("packet", "frames"), GOLDEN)
def test_golden(packet, frames):
    assert encode(packet) == frames
    assert decode(frames) == packet


MANY = 100
"""Attachments: more than are generated below."""
words = st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)
# No dict of these is taken for the place of an attachment, which nobody can tell from one.
values = st.recursive(
    json_values | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=MAX_ATTACHMENTS,
)
namespaces = st.just("/") | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=","), max_size=8
).map(lambda name: f"/{name}")  # fmt: skip
ids = st.integers(0, 2**53 - 1)
events = st.builds(
    lambda namespace, name, data, id_: Packet(EVENT, namespace, [name, *data], id_),
    namespaces, words, st.lists(values, max_size=3), st.none() | ids,
)  # fmt: skip
others = st.one_of(
    st.builds(Packet, st.just(ACK), namespaces, st.lists(values, max_size=3), ids),
    st.builds(Packet, st.just(CONNECT), namespaces, st.none() | st.dictionaries(words, json_values, max_size=3)),
    st.builds(Packet, st.just(CONNECT_ERROR), namespaces, words | st.dictionaries(words, json_values, max_size=3)),
    st.builds(Packet, st.just(DISCONNECT), namespaces),
)


@given(events | others)
def test_round_trip(packet):
    assert decode(encode(packet), MANY) == packet


@given(st.lists(events | others, max_size=4))
def test_one_decoder_for_many_packets(packets):
    decoder = Decoder(max_attachments=MANY)
    got = [decoder.add(frame) for packet in packets for frame in encode(packet)]
    assert [packet for packet in got if packet is not None] == packets


pieces = st.lists(
    st.sampled_from(["5", "2", "1-", "2-", "/a", ",", "7", "[", "]", '"a"', "{", "}", HOLE, ":", "NaN", "\\ud800", "٣"])
    | st.text(max_size=3),
    max_size=10,
).map("".join)


@given(st.lists(pieces | st.text(st.characters(exclude_categories=[]), max_size=9) | st.binary(max_size=3), max_size=4))
def test_whatever_comes_only_the_documented_error(frames):
    decoder = Decoder()
    for frame in frames:
        try:
            packet = decoder.add(frame)
        except ProtocolError as caught:
            error = caught
        else:
            if packet is not None:
                assert decode(encode(packet)) == packet, "what is taken can be said again"
            continue
        assert len(error.problem.encode()) <= 123, "fits a close frame"
        assert error.rule
        assert decoder.pending == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty packet"),
        ("7", "from 0 to 6, got '7'"),
        (" ", "from 0 to 6"),
        ("٢[]", "from 0 to 6"),
        # CONNECT, DISCONNECT, CONNECT_ERROR
        ("0[]", "data of a CONNECT as an object, got an empty list"),
        ('0"x"', "data of a CONNECT as an object"),
        ("0null", "expected a list or an object, got 'null'"),
        ("1{}", "DISCONNECT without data"),
        ("1[]", "DISCONNECT without data"),
        ("4", "CONNECT_ERROR as an object or a text, got None"),
        ("4[1]", "CONNECT_ERROR as an object or a text"),
        # EVENT and ACK
        ("2", "list that begins with a name, got None"),
        ("2[]", "list that begins with a name, got an empty list"),
        ("2{}", "got an object"),
        ("2[null]", "got a list that begins with None"),
        ("2[true]", "got a list that begins with True"),
        ("2[[1]]", "got a list in a list"),
        ("3[]", "the id of an event in an ACK"),
        ("31{}", "data of an ACK as a list"),
        ("31", "data of an ACK as a list"),
        # ids
        ('29007199254740992["a"]', "an id from 0 to 2"),
        ('2' + "9" * 17 + '["a"]', "at most 16 digits, got 17"),
        ('2-1["a"]', "expected a list or an object"),
        ('21.5["a"]', "expected a list or an object"),
        ('2 1["a"]', "expected a list or an object"),
        ('2 ["a"]', "expected a list or an object"),
        ('2٣["a"]', "expected a list or an object"),
        ('2²["a"]', "expected a list or an object"),
        # namespaces
        ('2/chat["a"]', "list that begins with a name, got None"),
        ('2chat,["a"]', "expected a list or an object"),
        # attachments
        ('5["a"]', "number of attachments, from 1 to 10"),
        ('50-["a"]', "from 1 to 10, got '0'"),
        (f'511-["a",{HOLE}]', "from 1 to 10, got '11'"),
        (f'599999999999999999999-["a",{HOLE}]', "number of attachments"),
        (f'5-1-["a",{HOLE}]', "number of attachments"),
        (f'51e0-["a",{HOLE}]', "number of attachments"),
        (f'5٣-["a",{HOLE}]', "number of attachments"),
        (f'21-["a",{HOLE}]', "expected a list or an object"),
        ('51-["a"]', "attachment 0 stands nowhere"),
        (f'52-["a",{HOLE}]', "attachment 1 stands nowhere"),
        (f'51-["a",{HOLE},{HOLE}]', "attachment 0 stands in two places"),
        ('51-["a",{"_placeholder":true,"num":1}]', "from 0 to 0, got 1"),
        ('51-["a",{"_placeholder":true,"num":-1}]', "got -1"),
        ('51-["a",{"_placeholder":true,"num":false}]', "got False"),
        ('51-["a",{"_placeholder":true,"num":"0"}]', "got '0'"),
        ('51-["a",{"_placeholder":true,"num":0.0}]', "got 0.0"),
        ('51-["a",{"_placeholder":true}]', "got None"),
        ('51-["a",{"_placeholder":1,"num":0}]', "attachment 0 stands nowhere"),
        (f"51-[{HOLE}]", "list that begins with a name, got a list that begins with an object"),
        # JSON
        ('2["a"', "expected JSON"),
        ("2['a']", "expected JSON"),
        ('2["a"]]', "nothing after the JSON"),
        ('2["a"]\x00', "nothing after the JSON"),
        ('2["a",NaN]', "expected JSON"),
        ('2["a",-Infinity]', "expected JSON"),
        ('2["a",1e400]', "expected JSON"),
        ('2["a",' + "9" * 5000 + "]", "expected JSON"),
        ('2["a\n"]', "expected JSON"),
        ('2["\\ud800"]', r"half a surrogate pair, U\+D800"),
        ('2[{"\\uDFFF":1}]', "list that begins with a name|half a surrogate"),
        ('2["\ud800"]', "half a surrogate pair"),
        ("0/\udfff,", "half a surrogate pair"),
        ('2["a",' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]", f"more than {MAX_DEPTH} levels"),
        ('2["a",' + '{"a":' * MAX_DEPTH + "1" + "}" * MAX_DEPTH + "]", f"more than {MAX_DEPTH} levels"),
        ('2["a",' + "[" * 100_000 + "]" * 100_000 + "]", f"more than {MAX_DEPTH} levels"),
    ],
)  # fmt: skip
def test_refused(text, said):
    with pytest.raises(ProtocolError, match=said) as caught:
        Decoder().add(text)
    assert len(caught.value.problem.encode()) <= 123


def test_taken():
    """What looks odd, and is a packet all the same."""
    assert decode(['2007["a"]']).id == 7
    assert decode(['2["a"] \n']).data == ["a"]
    assert decode(["0/chat"]) == Packet(CONNECT, "/chat"), "the end of the text ends a namespace too"
    assert decode(['2["\\ud83d\\ude00"]']).data == ["\N{GRINNING FACE}"], "both halves of a pair"
    assert decode(['2["\\\\ud800"]']).data == ["\\ud800"], "a backslash, and no escape"
    assert decode(['2["a",' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "]"]).type is EVENT
    assert decode(['2["a",' + "[],{}," * 5000 + "0]"]).type is EVENT, "many brackets, but not deep"


HALF = '"\\ud83d"'


@pytest.mark.parametrize("text", [f"2[{HALF}]", f'2/a,7["a",{HALF}]', f'2["a",{{{HALF}:1}}]', '2["a","x\\uDE00y"]'])
def test_half_a_surrogate_pair_is_let_through_where_it_is_asked_for(text):
    with pytest.raises(ProtocolError, match="half a surrogate pair, U\\+D"):
        Decoder().add(text)
    packet = Decoder(lone_surrogates=True).add(text)
    assert packet.type is EVENT
    assert packet.data == json.loads(text[text.index("[") :])
    with pytest.raises(UsageError):
        encode(packet)


def test_half_a_surrogate_pair_in_an_event_with_attachments():
    decoder = Decoder(lone_surrogates=True)
    assert decoder.add(f"51-[{HALF},{HOLE}]") is None
    assert decoder.add(b"x").data == ["\ud83d", b"x"]


@pytest.mark.parametrize(("text", "data"), [(f"3/a,1[{HALF}]", ["\ud83d"]), (f'0{{"a":{HALF}}}', {"a": "\ud83d"})])
def test_half_a_surrogate_pair_is_let_through_in_other_packets_too(text, data):
    assert Decoder(lone_surrogates=True).add(text).data == data


@pytest.mark.parametrize("text", ['2["\ud83d"]', '2/\ud83d,["a"]'])
def test_half_a_surrogate_pair_is_let_through_only_as_json_escapes_it(text):
    with pytest.raises(ProtocolError, match="half a surrogate pair"):
        Decoder(lone_surrogates=True).add(text)


@pytest.mark.parametrize(("packet", "frames"), GOLDEN)
def test_the_namespace_of_golden_packets(packet, frames):
    assert namespace_of(frames[0]) == packet.namespace


@pytest.mark.parametrize("text", ["", "7", "x", "/a,", "[]", "٢[]", "-1"])
def test_no_head_no_namespace(text):
    assert namespace_of(text) is None


@pytest.mark.parametrize(
    ("text", "namespace"),
    [
        ("2/a", "/a"),
        ("2/a,[broken", "/a"),
        ("5/a,", "/a"),
        ("2nonsense", "/"),
        ("599999999-/a,[", "/a"),
        ("2/a/b?c,/d,", "/a/b?c"),
    ],
)
def test_the_namespace_says_nothing_about_the_rest(text, namespace):
    assert namespace_of(text) == namespace


@given(
    st.one_of(
        st.from_regex(r"[0-7]([0-9]-)?(/[a-z,/]*)?,?[0-9]{0,3}(\[.*\]|\{\})?", fullmatch=True), st.text(max_size=20)
    )
)
def test_the_namespace_agrees_with_the_decoder(text):
    decoder = Decoder()
    try:
        packet = decoder.add(text) or decoder.incomplete
    except ProtocolError:
        return
    assert namespace_of(text) == packet.namespace


@given(events | others)
def test_the_namespace_of_whatever_is_encoded(packet):
    assert namespace_of(encode(packet)[0]) == packet.namespace


def test_text_where_an_attachment_is_due():
    decoder = Decoder()
    assert decoder.add(f'51-["a",{HOLE}]') is None
    assert decoder.incomplete is not None
    assert decoder.incomplete.data[0] == "a"
    with pytest.raises(ProtocolError, match="expected an attachment, got text"):
        decoder.add('2["b"]')
    assert decoder.add('2["c"]') == Packet(EVENT, "/", ["c"]), "the decoder begins anew"


def test_an_attachment_that_nobody_announced():
    with pytest.raises(ProtocolError, match="bytes that no packet has announced"):
        Decoder().add(b"\1")


@pytest.mark.parametrize("frame", [None, 5, ["a"], {"a": 1}])
def test_neither_text_nor_bytes(frame):
    with pytest.raises(ProtocolError, match="expected text or bytes"):
        Decoder().add(frame)


def test_attachments_may_come_as_any_bytes():
    decoder = Decoder()
    decoder.add(f'51-["a",{HOLE}]')
    assert decoder.add(bytearray(b"\1")) == Packet(EVENT, "/", ["a", b"\1"])


def test_limits_are_arguments():
    many = ["a", *(bytes([each]) for each in range(MAX_ATTACHMENTS + 1))]
    frames = encode(Packet(EVENT, "/", many))
    decoder = Decoder(max_attachments=MAX_ATTACHMENTS + 1)
    assert [decoder.add(frame) for frame in frames][-1] == Packet(EVENT, "/", many)
    assert MAX_ID_DIGITS == 16
    with pytest.raises(ProtocolError, match="at most 2 digits"):
        Decoder(max_id_digits=2).add('2123["a"]')


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (Packet(EVENT, "/", ["a", float("nan")]), "cannot be sent as JSON"),
        (Packet(EVENT, "/", ["a", object()]), "JSON has no object"),
        (Packet(EVENT, "/", ["a", {(1,): 2}]), "cannot be sent as JSON"),
        (Packet(EVENT, "/", ["a", {b"k": 2}]), "cannot be sent as JSON"),
        (Packet(EVENT, "/", ["\ud800"]), "surrogates not allowed"),
        (Packet(EVENT, "/", []), "list that begins with a name"),
        (Packet(EVENT, "/", ("a",)), "list that begins with a name"),
        (Packet(EVENT, "chat", ["a"]), "a slash first"),
        (Packet(EVENT, "/a,b", ["a"]), "a comma ends it"),
        (Packet(EVENT, "/", ["a"], True), "an id from 0"),
        (Packet(EVENT, "/", ["a"], -1), "an id from 0"),
        (Packet(ACK, "/", []), "the id of an event"),
        (Packet(BINARY_EVENT, "/", ["a"]), "from 0 to 4"),
        (Packet(CONNECT, "/", {"a": b"x"}), "only an EVENT and an ACK have attachments"),
        (Packet(EVENT, "/", ["a", b"x", {"_placeholder": True, "num": 0}]), "taken for more of them"),
    ],
)
def test_what_cannot_be_sent(packet, said):
    with pytest.raises(UsageError, match=said):
        encode(packet)


def test_circles_cannot_be_sent():
    circle = ["a"]
    circle.append(circle)
    with pytest.raises(UsageError, match="Circular"):
        encode(Packet(EVENT, "/", circle))


def test_reserved_names_are_the_servers_business():
    for name in RESERVED_EVENTS:
        assert decode([f'2["{name}"]']).data == [name]


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (Packet(CONNECT), "CONNECT to /"),
        (Packet(CONNECT, "/admin", {"token": "x"}), 'CONNECT to /admin: {"token": "x"}'),
        (Packet(DISCONNECT, "/admin"), "DISCONNECT from /admin"),
        (Packet(CONNECT_ERROR, "/", "no"), 'CONNECT_ERROR for /: "no"'),
        (Packet(EVENT, "/", ["hi"]), "EVENT 'hi' in /"),
        (Packet(EVENT, "/", ["chat:join", "é", 1], 3), "EVENT 'chat:join' in /, asks for ack 3: \"é\", 1"),
        (Packet(EVENT, "/", ["photo", b"12", {"a": b"1"}]), 'EVENT \'photo\' in /: <2 bytes>, {"a": "<1 byte>"}'),
        (Packet(ACK, "/a", [], 3), "ACK 3 in /a"),
        (Packet(ACK, "/a", [{"ok": True}], 3), 'ACK 3 in /a: {"ok": true}'),
        (Packet(BINARY_ACK), "BINARY_ACK in /"),
    ],
)
def test_one_line_for_people(packet, line):
    assert str(packet) == line


# --- MessagePack -----------------------------------------------------------------------------------------------------

UNDEFINED = msgpack.ExtType(0, b"\0")


@pytest.mark.parametrize(
    ("fields", "packet"),
    [
        ({"type": 0, "nsp": "/"}, Packet(CONNECT)),
        ({"type": 0, "nsp": "/a", "data": UNDEFINED}, Packet(CONNECT, "/a")),
        ({"type": 1, "nsp": "/", "data": None, "id": None}, Packet(DISCONNECT)),
        ({"type": 2, "nsp": "/", "data": ["a", b"x", [UNDEFINED]], "id": UNDEFINED, "options": {}},
         Packet(EVENT, "/", ["a", b"x", [None]])),
        ({"type": 2, "nsp": "/", "data": ["a", {"b": UNDEFINED}], "id": 3}, Packet(EVENT, "/", ["a", {"b": None}], 3)),
        ({"type": 3, "nsp": "/", "data": [], "id": 3}, Packet(ACK, "/", [], 3)),
        ({"type": 4, "nsp": "/", "data": {"message": "no"}}, Packet(CONNECT_ERROR, "/", {"message": "no"})),
    ],
)  # fmt: skip
def test_from_fields(fields, packet):
    assert from_fields(fields) == packet
    check(packet)


def test_dates_stay_what_they_are():
    date = msgpack.ExtType(0, bytes(8))  # notepack.io's Date
    assert from_fields({"type": 2, "nsp": "/", "data": ["a", date]}).data == ["a", date]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (None, "a packet as an object, got None"),
        ([2], "a packet as an object"),
        ({}, "from 0 to 4, got None"),
        ({"type": True, "nsp": "/"}, "got True"),
        ({"type": 2.0, "nsp": "/", "data": ["a"]}, "got 2.0"),
        ({"type": 5, "nsp": "/", "data": ["a"]}, "got 5"),
        ({"type": 2, "nsp": None, "data": ["a"]}, "a slash first, got None"),
        ({"type": 2, "nsp": "chat", "data": ["a"]}, "a slash first, got 'chat'"),
        ({"type": 2, "nsp": "/", "data": ["a"], "id": "1"}, "an id from 0 to"),
        ({"type": 2, "nsp": "/", "data": ["a", {1: 2}]}, "expected text as a key, got 1"),
        ({"type": 2, "nsp": "/", "data": [b"a"]}, "begins with a name, got a list that begins with b'a'"),
        ({"type": 2, "nsp": "/", "data": UNDEFINED}, "begins with a name, got None"),
    ],
)
def test_no_packet_in_fields(fields, said):
    with pytest.raises(ProtocolError, match=said):
        from_fields(fields)


def test_fields_that_are_nested_too_deep():
    data = ["a"]
    for _ in range(MAX_DEPTH):
        data = ["a", data]
    with pytest.raises(ProtocolError, match="levels"):
        from_fields({"type": 2, "nsp": "/", "data": data})


@given(st.recursive(values | ids | st.just(UNDEFINED), lambda inner: st.dictionaries(
    st.sampled_from(["type", "nsp", "data", "id"]) | words, inner), max_leaves=6))  # fmt: skip
def test_from_whatever_fields_only_the_documented_error(fields):
    try:
        check(from_fields(fields))
    except ProtocolError as caught:
        error = caught
    else:
        return
    assert len(error.problem.encode()) <= 123


async def test_messagepack_of_javascript():
    packets = [packet for packet, _ in GOLDEN]
    fields = [{"type": packet.type, "nsp": packet.namespace, "data": packet.data} for packet in packets]
    for packet, each in zip(packets, fields, strict=True):
        each.update({} if packet.id is None else {"id": packet.id})
    for packet, frames in zip(packets, await ask_javascript("encodeMsgpack", fields), strict=True):
        assert [from_fields(msgpack.unpackb(frame)) for frame in frames] == [packet]


# --- The others ------------------------------------------------------------------------------------------------------


def theirs(packet: Packet) -> list[str | bytes]:
    """What python-socketio makes of a packet."""
    made = socketio.packet.Packet(int(packet.type), packet.data, packet.namespace, packet.id).encode()
    return made if isinstance(made, list) else [made]


def read_theirs(frames) -> tuple:
    """What python-socketio reads."""
    packet = socketio.packet.Packet(encoded_packet=frames[0])
    for frame in frames[1:]:
        packet.add_attachment(frame)
    plain = {BINARY_EVENT: EVENT, BINARY_ACK: ACK}.get(packet.packet_type, packet.packet_type)
    return plain, packet.namespace or "/", packet.data, packet.id


# It cuts a namespace at a question mark, and takes a dict that has _placeholder for an attachment in any packet.
@given((events | others).filter(lambda packet: "?" not in packet.namespace))
def test_agrees_with_python_socketio(packet):
    assert decode(theirs(packet), MANY) == packet
    assert read_theirs(encode(packet)) == (packet.type, packet.namespace, packet.data, packet.id)


def test_python_socketio_is_laxer():
    """What it takes for a packet, and we do not. Each of these reaches its server's handlers, or raises there."""
    for text in ('5["a"]', '50-["a"]', "2", "2[]", "2{}", "2[NaN]", "3[]", "1{}", '0"x"', '2["\\ud800"]', "7"):
        read_theirs([text])
        with pytest.raises(ProtocolError):
            decode([text])
    hole = socketio.packet.Packet(encoded_packet='51-["a",{"_placeholder":1,"num":-1}]')
    assert hole.add_attachment(b"x"), "an attachment from the end of the list"
    assert hole.data == ["a", b"x"]
    with pytest.raises(ValueError, match="invalid literal") as caught:
        read_theirs(['2²["a"]'])
    assert not isinstance(caught.value, json.JSONDecodeError), "a digit, but none that int() reads"
    assert read_theirs(["0/admin?token=1,"])[1] == "/admin", "it cuts off what JavaScript's client no longer sends"
    assert decode(["0/admin?token=1,"]).namespace == "/admin?token=1", "a codec gives what was sent"


def js_packet(packet: Packet) -> dict:
    fields = {"type": int(packet.type), "nsp": packet.namespace}
    fields.update({} if packet.data is None else {"data": packet.data})
    fields.update({} if packet.id is None else {"id": packet.id})
    return fields


def same(answer: list, packet: Packet) -> bool:
    """Whether JavaScript has read exactly this packet."""
    [got] = answer
    wanted = js_packet(packet) | {"undefined": packet.data is None}
    return got == wanted


async def test_agrees_with_javascript():
    packets, frames = zip(*GOLDEN, strict=True)
    assert await ask_javascript("encode", [js_packet(packet) for packet in packets]) == list(frames)
    answers = await ask_javascript("decode", list(frames))
    assert all(map(same, answers, packets))


# JavaScript counts exactly up to 2**53, and says -0.0 as 0. Its own names, like __proto__, would need care there.
plain = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(lambda name: name != "__proto__")
simple = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**31), 2**31) | plain | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(plain, inner, max_size=3),
    max_leaves=6,
)
generated = st.one_of(
    st.builds(
        lambda namespace, name, data, id_: Packet(EVENT, namespace, [name, *data], id_),
        namespaces, plain.filter(lambda name: name not in RESERVED_EVENTS), st.lists(simple, max_size=3),
        st.none() | ids,
    ),
    st.builds(Packet, st.just(ACK), namespaces, st.lists(simple, max_size=3), ids),
)  # fmt: skip


async def test_agrees_with_javascript_on_generated_packets():
    packets: list[Packet] = []

    @given(generated)
    def collect(packet):
        packets.append(packet)

    collect()
    frames = [encode(packet) for packet in packets]
    readable = [index for index, each in enumerate(frames) if len(each) <= MAX_ATTACHMENTS + 1]
    answers = await ask_javascript("decode", [frames[index] for index in readable])
    assert all(same(answer, packets[index]) for answer, index in zip(answers, readable, strict=True))
    for packet, made in zip(packets, await ask_javascript("encode", list(map(js_packet, packets))), strict=True):
        # Its objects have keys like "2" first, whatever order they came in; so its text is read, not compared.
        decoder = Decoder(max_attachments=MANY)
        assert [decoder.add(frame) for frame in made][-1] == packet


REFUSED_BY_BOTH = [
    "7", "0[]", '0"x"', "1{}", "4[1]", "2[]", "2{}", "2[null]", "2[true]", "31{}", '5["a"]', '50-["a"]',
    f'511-["a",{HOLE}]', '2["a"', '2["a",NaN]', '2chat,["a"]', f"51-[{HOLE}]", "0null",
]  # fmt: skip


async def test_javascript_refuses_the_same():
    for text, answer in zip(
        REFUSED_BY_BOTH, await ask_javascript("decode", [[text] for text in REFUSED_BY_BOTH]), strict=True
    ):
        assert "error" in answer, text
        with pytest.raises(ProtocolError):
            decode([text])


async def test_javascript_is_laxer():
    """What it takes for a packet, and we do not: each is something that nobody meant."""
    frames = {
        "the empty text": [""],
        "white space": [" "],
        "an event without data": ["2"],
        "a refusal without a reason": ["4"],
        "an acknowledgement of nothing": ["3[]"],
        "an id of white space": ['2 ["a"]'],
        "an id that it cannot count": ["2" + "9" * 20 + '["a"]'],
        "a number of attachments with an exponent": [f'51e0-["a",{HOLE}]', b"x"],
        "an attachment in two places": [f'51-["a",{HOLE},{HOLE}]', b"x"],
        "an attachment in no place": ['51-["a"]', b"x"],
        "an attachment between two": ['52-["a",{"_placeholder":true,"num":0.5}]', b"x", b"y"],
        "half a surrogate pair": ['2["\\ud800"]'],
        "a number that becomes Infinity": ['2["a",1e400]'],
        "nesting": ['2["a",' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "]"],
    }
    for what, answer in zip(frames, await ask_javascript("decode", list(frames.values())), strict=True):
        assert "error" not in answer, what
        with pytest.raises(ProtocolError):
            decode(frames[what])


async def test_javascript_refuses_reserved_names():
    """Its parser does; ours leaves them to the server, which knows its side of the conversation."""
    names = sorted(RESERVED_EVENTS)
    for answer in await ask_javascript("decode", [[f'2["{name}"]'] for name in names]):
        assert answer == {"error": "invalid payload"}
