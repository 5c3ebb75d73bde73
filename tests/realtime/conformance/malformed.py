"""What is no packet: each closes the connection ("the receiver MUST close the connection", Socket.IO v5)."""

import json
from typing import Any

import msgpack
from realtime.conformance.behaviours import BEHAVIOURS, Behaviour
from realtime.conformance.lab import Lab
from realtime.conformance.servers import CALM, MSGPACK, Configuration

DATA = "Socket.IO v5, Sending and receiving data"
ACKNOWLEDGEMENT = "Socket.IO v5, Acknowledgement"
FORMAT = "Socket.IO v5, Packet encoding, Format"
NODE = "Node's socket.io-parser"
MANY = 1000
MANY_PLACES = ["message", *({"_placeholder": True, "num": number} for number in range(MANY))]
ONE = '["message",{"_placeholder":true,"num":0}]'

TEXTS: dict[str, tuple[str, str | tuple[str | bytes, ...]]] = {
    "an_unknown_type": ("Socket.IO v5, Exchange protocol", "abc"),
    "type_7": ("Socket.IO v5, Exchange protocol", '7["message"]'),
    "an_event_without_data": (DATA, "2"),
    "an_event_with_an_object": (DATA, "2{}"),
    "an_event_with_a_text": (DATA, '2"message"'),
    "an_event_with_an_empty_list": (DATA, "2[]"),
    "an_event_whose_name_is_null": (NODE, "2[null]"),
    "an_event_whose_name_is_an_object": (NODE, '2[{"a":1}]'),
    "an_event_with_broken_json": (FORMAT, '2["message"'),
    "an_event_with_something_after_the_json": (FORMAT, '2["message"]x'),
    "an_id_that_is_no_number": (FORMAT, '2abc["message-with-ack",1]'),
    "an_acknowledgement_with_an_object": (ACKNOWLEDGEMENT, "31{}"),
    "an_acknowledgement_with_a_text": (ACKNOWLEDGEMENT, '31"x"'),
    "a_connect_with_a_list": (NODE, "0/custom,[1]"),
    "a_connect_with_broken_json": (FORMAT, '0/custom,{"a"'),
    "a_disconnect_with_data": (NODE, '1{"a":1}'),
    "a_binary_event_without_a_count": (FORMAT, f"5{ONE}"),
    "a_count_that_is_no_number": (FORMAT, f"5x-{ONE}"),
    "an_attachment_that_nobody_announced": (FORMAT, (b"\x01\x02",)),
    "text_in_the_place_of_an_attachment": (FORMAT, (f"51-{ONE}", '2["message",1]')),
    "a_placeholder_beyond_the_attachments": (
        FORMAT,
        ('51-["message",{"_placeholder":true,"num":1}]', b"\x01"),
    ),
    "a_placeholder_that_is_no_number": (
        FORMAT,
        ('51-["message",{"_placeholder":true,"num":"splice"}]', b"\x01"),
    ),
    "more_attachments_than_anybody_needs": (
        "socket.io-parser 4.2, maxAttachments",
        f"5{MANY}-{json.dumps(MANY_PLACES)}",
    ),
}
"""By name: the rule, and what the client says in Engine.IO messages."""

for _name in ("connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"):
    TEXTS[f"an_event_called_{_name}"] = ("Node's socket.io, reserved events", f'2["{_name}","x"]')


def _packed(**fields: Any) -> bytes:
    packed: bytes = msgpack.packb(fields)
    return packed


PACKED: dict[str, tuple[str, str | bytes]] = {
    "text_where_messagepack_is_spoken": (NODE, '2["message","x"]'),
    "bytes_that_are_no_messagepack": (NODE, b"\xc1"),
    "messagepack_that_is_no_object": (NODE, msgpack.packb([2, "/", ["message"]])),
    "a_packet_without_a_namespace": (NODE, _packed(type=2, data=["message"])),
    "a_packet_without_a_type": (NODE, _packed(nsp="/", data=["message"])),
    "an_unknown_type": (NODE, _packed(type=7, nsp="/", data=["message"])),
    "an_event_without_data": (DATA, _packed(type=2, nsp="/")),
    "an_event_with_an_empty_list": (DATA, _packed(type=2, nsp="/", data=[])),
    "an_event_with_an_object": (DATA, _packed(type=2, nsp="/", data={})),
    "an_acknowledgement_with_an_object": (ACKNOWLEDGEMENT, _packed(type=3, nsp="/", data={}, id=1)),
    "an_id_that_is_no_number": (NODE, _packed(type=2, nsp="/", data=["message-with-ack", 1], id="abc")),
    "a_disconnect_with_data": (NODE, _packed(type=1, nsp="/", data={"a": 1})),
}


def _register(name: str, rule: str, said: Any, configuration: Configuration) -> None:
    async def show(lab: Lab) -> None:
        client = await lab.client()
        await client.is_cut_off(after=said)

    words, _, event = name.partition("_called_")
    title = words.replace("_", " ").replace("messagepack", "MessagePack").replace("json", "JSON")
    show.__name__ = name
    show.__doc__ = f"{title[0].upper()}{title[1:]}{f' called {event}' if event else ''}: the connection is closed"
    BEHAVIOURS.append(Behaviour(show, rule, configuration))


for _name, (_rule, _said) in TEXTS.items():
    _register(_name, _rule, _said, CALM)
for _name, (_rule, _bytes) in PACKED.items():
    _register(_name, _rule, _bytes, MSGPACK)
