"""Every event with every field spoilt, over a real connection: the answer names the field that is wrong."""

import pytest
from chat.serving import BOTH, chatting

from rtlab.chat import Limits, create_app
from rtlab.chat.app import CHAT

NOT_TEXT = {
    "null": None,
    "a number": 7,
    "a list": [],
    "an object": {"x": 1},
    "true": True,
    "": "",
    "too long": "x" * 5000,
}
NOT_A_NAME = {**NOT_TEXT, "a control character": "a\x1bb", "blanks at its ends": " a "}

ROOM = "a room"
PAYLOADS = {
    ("/", "chat:join"): (ROOM, {"room": ROOM, "after": "12-0"}),
    ("/", "chat:leave"): (ROOM,),
    ("/", "chat:message"): ({"room": ROOM, "text": "hello", "clientId": "c1"},),
    ("/", "chat:typing"): (ROOM,),
    ("/", "room:join"): (ROOM,),
    ("/", "room:leave"): (ROOM,),
    ("/", "session:restore"): ("an id",),
    ("/", "token:refresh"): ("a token",),
    ("/notifications", "token:refresh"): ("a token",),
    ("/notifications", "subscribe"): (["news"],),
    ("/notifications", "unsubscribe"): (["news"],),
}
"""A good payload of each shape that an event takes."""
WHOLE = {
    "session:restore": "session", "token:refresh": "token", "subscribe": "topics", "unsubscribe": "topics",
}  # fmt: skip
"""How the payload is called where it is a single value; otherwise it is a room."""
NEEDED = {"room", "text"}


def spoilt(event, payload):
    """What is sent, and the field that the answer has to begin with."""
    if isinstance(payload, str):
        field = WHOLE.get(event, "room")
        bad = NOT_A_NAME if field == "room" else NOT_TEXT
        for value in bad.values():
            named = {"room", "payload"} if event == "chat:join" and not isinstance(value, str) else {field}
            yield value, named
        return
    if isinstance(payload, list):
        for value in NOT_A_NAME.values():
            if not isinstance(value, list):
                yield value, {"topics"}
            yield ["news", value], {"topics[1]"}
        yield ["news"] * 1000, {"topics"}
        return
    for value in (None, 7, [], True):
        yield value, {"payload"}
    for field in payload:
        for value in (NOT_A_NAME if field == "room" else NOT_TEXT).values():
            if value is None and field not in NEEDED:
                continue  # null is how JavaScript says that there is none
            yield {**payload, field: value}, {field}
    for field in NEEDED & set(payload):
        yield {name: value for name, value in payload.items() if name != field}, {field}
    yield {**payload, "roomm": "x"}, {"'roomm'"}


CASES = [
    (namespace, event, sent, named)
    for (namespace, event), payloads in PAYLOADS.items()
    for payload in payloads
    for sent, named in spoilt(event, payload)
]


def test_no_event_is_forgotten():
    chat = create_app(secret="x" * 32, limits=Limits())[CHAT]
    assert set(PAYLOADS) == set(chat.handlers)


async def test_each_bad_field_is_named():
    wrong = []
    async with chatting() as place:
        alice = await place.enter(namespaces=BOTH)
        for namespace, event, sent, named in CASES:
            ack = await alice.ask(event, sent, namespace=namespace)
            field = ack["message"].partition(": ")[0]
            if (ack["status"], ack["code"]) != ("error", "bad_payload") or field not in named:
                wrong.append((namespace, event, sent, named, ack))
        assert not wrong, "\n".join(map(repr, wrong))
        assert len(CASES) > 120


@pytest.mark.parametrize("arguments", [(), ("a room", "and more")])
async def test_the_number_of_arguments_is_named(arguments):
    async with chatting() as place:
        alice = await place.enter()
        for namespace, event in PAYLOADS:
            ack = await alice.ask(event, *arguments, namespace=namespace)
            assert ack == {
                "status": "error", "code": "bad_payload",
                "message": f"payload: expected one argument, got {len(arguments)}",
            }  # fmt: skip
