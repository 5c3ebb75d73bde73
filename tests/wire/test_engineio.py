"""Engine.IO packets: golden ones in both directions, and agreement with python-engineio and the JavaScript parser."""

import json

import engineio.packet
import engineio.payload
import pytest
from hypothesis import given
from hypothesis import strategies as st
from official_parsers import ask_javascript

from rtlab.errors import ProtocolError, UsageError
from rtlab.wire.engineio import (
    MAX_PACKETS,
    SEPARATOR,
    EnginePacket,
    EnginePacketType,
    Handshake,
    decode_packet,
    decode_payload,
    encode_packet,
    encode_payload,
)

OPEN, CLOSE, PING, PONG, MESSAGE, UPGRADE, NOOP = EnginePacketType
GOLDEN = [
    (EnginePacket(MESSAGE, "hello"), "4hello"),
    (EnginePacket(MESSAGE), "4"),
    (EnginePacket(MESSAGE, '2["€","\N{WAVING HAND SIGN}"]'), '42["€","\N{WAVING HAND SIGN}"]'),
    (EnginePacket(MESSAGE, b"\x01\x02\x03\x04"), b"\x01\x02\x03\x04"),
    (EnginePacket(MESSAGE, b""), b""),
    (EnginePacket(PING), "2"),
    (EnginePacket(PING, "probe"), "2probe"),
    (EnginePacket(PONG, "probe"), "3probe"),
    (EnginePacket(UPGRADE), "5"),
    (EnginePacket(NOOP), "6"),
    (EnginePacket(CLOSE), "1"),
    (EnginePacket(OPEN, '{"sid":"x"}'), '0{"sid":"x"}'),
]
PAYLOADS = [
    ([EnginePacket(MESSAGE, "hello"), EnginePacket(PING), EnginePacket(MESSAGE, "world")], "4hello\x1e2\x1e4world"),
    ([EnginePacket(MESSAGE, "hello"), EnginePacket(MESSAGE, b"\x01\x02\x03\x04")], "4hello\x1ebAQIDBA=="),
    ([EnginePacket(MESSAGE, b"")], "b"),
    ([EnginePacket(NOOP)], "6"),
]

texts = st.text(st.characters(exclude_characters=SEPARATOR, exclude_categories=["Cs"]), max_size=60)
packets = st.builds(EnginePacket, st.sampled_from(EnginePacketType), texts) | st.builds(
    EnginePacket, st.just(MESSAGE), st.binary(max_size=60)
)


@pytest.mark.parametrize(("packet", "encoded"), GOLDEN)
def test_golden(packet, encoded):
    assert encode_packet(packet) == encoded
    assert decode_packet(encoded) == packet


@pytest.mark.parametrize(("packets", "text"), PAYLOADS)
def test_golden_payload(packets, text):
    assert encode_payload(packets) == text
    assert decode_payload(text) == packets


@given(packets)
def test_round_trip(packet):
    assert decode_packet(encode_packet(packet)) == packet


@given(st.lists(packets, min_size=1, max_size=20))
def test_round_trip_of_a_payload(several):
    assert decode_payload(encode_payload(several)) == several


@given(st.text(max_size=60) | st.text(f"0123456b{SEPARATOR}=AQ{{}}", max_size=60))
def test_whatever_comes_only_the_documented_error(text):
    for read in (decode_packet, decode_payload, Handshake.decode):
        try:
            read(text)
        except ProtocolError as caught:
            error = caught
        else:
            continue
        assert error.rule.startswith("Engine.IO protocol v4, ")
        assert len(error.problem.encode()) <= 123, "fits a close frame"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "an empty packet"),
        ("7", "from 0 to 6, got '7'"),
        ("x", "from 0 to 6, got 'x'"),
        ("٤hello", "from 0 to 6"),  # a digit four, but not ASCII
        (" 4", "from 0 to 6"),
        ("bAQ", "expected base64"),
        ("bA===", "expected base64"),
        ("bAQ==AQ==", "expected base64"),
        ("bAQ=\n", "expected base64"),
        ("b\xff\xff\xff\xff", "expected base64"),
    ],
)
def test_refused(text, said):
    with pytest.raises(ProtocolError, match=said):
        decode_packet(text)


@pytest.mark.parametrize("text", ["", SEPARATOR, f"2{SEPARATOR}", f"{SEPARATOR}2", f"2{SEPARATOR}{SEPARATOR}2"])
def test_a_payload_has_no_empty_packet(text):
    with pytest.raises(ProtocolError, match="an empty packet"):
        decode_payload(text)


def test_a_limit_of_packets():
    text = SEPARATOR.join(["2"] * MAX_PACKETS)
    assert len(decode_payload(text, max_packets=MAX_PACKETS)) == MAX_PACKETS
    assert len(decode_payload(f"{text}{SEPARATOR}2")) == MAX_PACKETS + 1
    with pytest.raises(ProtocolError, match="at most 16 packets in a payload, got 17"):
        decode_payload(f"{text}{SEPARATOR}2", max_packets=MAX_PACKETS)


def test_what_cannot_be_sent():
    with pytest.raises(UsageError, match="a PING"):
        encode_packet(EnginePacket(PING, b"x"))
    with pytest.raises(UsageError, match=r"U\+001E"):
        encode_payload([EnginePacket(MESSAGE, f"a{SEPARATOR}b")])
    with pytest.raises(UsageError, match="no empty payload"):
        encode_payload([])


def test_any_bytes_will_do():
    assert decode_packet(bytearray(b"\x01")) == EnginePacket(MESSAGE, b"\x01")
    assert decode_packet(memoryview(b"\x01")) == EnginePacket(MESSAGE, b"\x01")


SAMPLE = Handshake("lv_VI97HAXpY6yYWAAAC", ("websocket",), 25_000, 20_000, 1_000_000)


def test_handshake():
    text = (
        '{"sid":"lv_VI97HAXpY6yYWAAAC","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,'
        '"maxPayload":1000000}'
    )
    assert SAMPLE.encode() == text
    assert Handshake.decode(text) == SAMPLE


def test_an_older_handshake_has_no_max_payload():
    old = Handshake("x", (), 1, 2)
    assert "maxPayload" not in old.encode()
    assert Handshake.decode(old.encode()) == old


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sid": None}, "expected a sid in the handshake, got None"),
        ({"sid": ""}, "expected a sid"),
        ({"upgrades": "websocket"}, "expected upgrades"),
        ({"upgrades": [1]}, "expected upgrades"),
        ({"pingInterval": "25000"}, "expected pingInterval as a whole number, got '25000'"),
        ({"pingInterval": True}, "got True"),
        ({"pingTimeout": -1}, "expected pingTimeout"),
        ({"maxPayload": None}, "expected maxPayload"),
        ({"pingTimeout": [9] * 100}, "got a list"),
        ({"sid": {"a": 1}}, "got an object"),
        ({"pingTimeout": "ü" * 100}, r"\.\.\."),
    ],
)
def test_no_handshake(change, said):
    with pytest.raises(ProtocolError, match=said):
        Handshake.decode(json.dumps(json.loads(SAMPLE.encode()) | change))


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 100_000])
def test_no_json(text):
    with pytest.raises(ProtocolError, match="as a JSON object"):
        Handshake.decode(text)


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (EnginePacket(NOOP), "NOOP"),
        (EnginePacket(PING, "probe"), "PING, 5 characters, 'probe'"),
        (EnginePacket(MESSAGE, "a" * 50), f"MESSAGE, 50 characters, {'a' * 40!r}…"),
        (EnginePacket(MESSAGE, b"\x01"), "MESSAGE, 1 byte, 01"),
        (EnginePacket(MESSAGE, b"\x01" * 17), f"MESSAGE, 17 bytes, {'01 ' * 16}…"),
    ],
)
def test_one_line_for_people(packet, line):
    assert str(packet) == line


# --- The others ------------------------------------------------------------------------------------------------------


@given(st.lists(packets, min_size=1, max_size=MAX_PACKETS))
def test_agrees_with_python_engineio(several):
    theirs = [engineio.packet.Packet(packet.type, packet.data) for packet in several]
    text = engineio.payload.Payload(packets=theirs).encode()
    assert text == encode_payload(several)
    assert [each.packet_type for each in engineio.payload.Payload(encoded_payload=text).packets] == [
        packet.type for packet in decode_payload(text)
    ]


def test_python_engineio_is_laxer():
    """What it takes for packets and we do not. It also reads the data of a message as JSON, and hands that on."""
    read = engineio.packet.Packet
    assert read(encoded_packet="9").packet_type == 9, "types that there are not"
    assert read(encoded_packet="٤hi").packet_type == 4, "digits of other scripts"
    assert read(encoded_packet="bAQ==!").data == b"\x01", "base64 with something else in it"
    assert engineio.payload.Payload(encoded_payload="").packets == [], "an empty payload"
    for text in ("9", "٤hi", "bAQ==!", ""):
        with pytest.raises(ProtocolError):
            decode_payload(text)


async def test_agrees_with_javascript():
    answers = await ask_javascript("engineio", [text for _, text in PAYLOADS] + ["2probe", "b"])
    for text, answer in zip([text for _, text in PAYLOADS] + ["2probe", "b"], answers, strict=True):
        ours = [
            {"type": packet.type.name.lower(), "text": packet.data}
            if isinstance(packet.data, str)
            else {"type": "message", "hex": packet.data.hex()}
            for packet in decode_payload(text)
        ]
        assert answer == {"packets": ours, "again": text}


async def test_javascript_is_laxer():
    """It passes over what is no base64. What it refuses, it refuses by a packet of the type "error"."""
    lax, *refused = await ask_javascript("engineio", ["bAQ==!", "", "7", "x", "٤hello"])
    assert lax["packets"] == [{"type": "message", "hex": "01"}]
    for answer in refused:
        assert [packet["type"] for packet in answer["packets"]] == ["error"]
