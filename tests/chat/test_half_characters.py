"""Half of a surrogate pair, wherever a client can put it: it is refused, and nobody else notices.

The handlers are called as `rtlab.realtime` calls them: what a connection that sends such a thing is answered is its
business.
"""

import itertools

import pytest
from chat.serving import BOTH, NOTIFICATIONS, chatting, token
from socketio.exceptions import ConnectionRefusedError as ConnectRefused

HALF = "\ud83d"
HALVES = [HALF, f"a{HALF}", "\udc00", f"\udf88{HALF}"]
PLACES = {
    "chat:join": [lambda half: half, lambda half: {"room": half}, lambda half: {"room": "hall", "after": half}],
    "chat:leave": [lambda half: half],
    "chat:message": [
        lambda half: {"room": "hall", "text": half},
        lambda half: {"room": half, "text": "x"},
        lambda half: {"room": "hall", "text": "x", "clientId": half},
        lambda half: {"room": "hall", "text": "x", half: 1},
        lambda half: {half: half},
    ],
    "chat:typing": [lambda half: half],
    "room:join": [lambda half: half],
    "room:leave": [lambda half: half],
    "session:restore": [lambda half: half],
    "token:refresh": [lambda half: half, lambda half: token("alice") + half],
}
TOPICS = {
    name: [lambda half: [half], lambda half: ["news", half], lambda half: half] for name in ("subscribe", "unsubscribe")
}


@pytest.mark.parametrize("half", HALVES, ids=ascii)
async def test_is_refused_by_every_handler(half):
    async with chatting() as place:
        alice, mallory = await place.enter(), await place.enter()
        for person in (alice, mallory):
            await person.join("hall")
        await alice.all("chat:userJoined")
        heard = len(alice.heard)
        for namespace, places in (("/", PLACES), (NOTIFICATIONS, TOPICS)):
            sid = mallory.sio.get_sid(namespace)
            for name, makes in places.items():
                for make in makes:
                    ack = await place.chat._handle(name, sid, namespace, (make(half),))
                    assert (ack["status"], ack["code"]) == ("error", "bad_payload"), (name, ack)
                    ack["message"].encode()
        for namespace, name in itertools.product(BOTH, (half, f"chat:join{half}")):
            ack = await place.chat._handle(name, mallory.sio.get_sid(namespace), namespace, ("hall",))
            assert ack["code"] == "unknown_event"
            ack["message"].encode()
        await alice.all("chat:message")
        assert alice.heard[heard:] == []
        assert len(place.chat._events.rooms.chat) == 1
        assert 'event="unknown"' in (await place.chat.metrics(None)).body.decode()


@pytest.mark.parametrize(
    "auth", [{"token": HALF}, {"token": "x.y." + HALF}, {HALF: HALF}, {"token": {HALF: 1}}, HALF, [HALF]]
)
async def test_is_refused_at_the_door(auth, caplog):
    caplog.set_level("INFO")
    async with chatting() as place:
        alice = await place.enter()
        (session,) = place.chat.sio.eio.sockets
        sid = await place.chat.sio.manager.pre_connect("elsewhere", "/")
        with pytest.raises(ConnectRefused) as refused:
            await place.chat._let_in(sid, "/", {}, auth)
        assert refused.value.error_args["data"]["code"] in {"token_invalid", "token_missing"}
        for record in caplog.records:
            str(vars(record)).encode()  # a log can be written
        await place.chat.sio.manager.disconnect(sid, "/", ignore_queue=True)
        assert (await alice.ask("chat:leave", "x"))["status"] == "ok"
        assert [*place.chat.sio.eio.sockets] == [session]
