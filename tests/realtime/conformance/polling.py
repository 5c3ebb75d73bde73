"""Sending and receiving over HTTP long-polling (Engine.IO)."""

import asyncio

from realtime.conformance.behaviours import behaviour
from realtime.conformance.clients import Client, Polling, same
from realtime.conformance.lab import Lab
from realtime.conformance.servers import MAX_BYTES, MSGPACK, QUICK

from rtlab.wire.engineio import EnginePacket, EnginePacketType

SENDING = "Engine.IO v4, HTTP long-polling, Sending data"
RECEIVING = "Engine.IO v4, HTTP long-polling, Receiving data"
ENCODING = "Engine.IO v4, Packet encoding, HTTP long-polling"


async def _client(lab: Lab) -> tuple[Polling, Client]:
    """A session that polls and is connected to the main namespace."""
    session = await lab.polling()
    client = Client(lab, session)
    await client.connect()
    return session, client


@behaviour(SENDING)
async def a_post_is_answered_ok(lab: Lab) -> None:
    """A POST is answered 200 with the text "ok"."""
    session, _ = await _client(lab)
    answer = await session.post('42["message",1]')
    same("the answer", (answer.status, answer.text), (200, "ok"))


@behaviour(RECEIVING)
async def a_get_brings_the_answer(lab: Lab) -> None:
    """What a POST asks for, the next GET brings."""
    session, client = await _client(lab)
    await session.post('42["message",1]')
    same("the body", (await session.get()).text, '42["message-back",1]')
    await session.post('42["message","été 🎈"]')
    same("the answer", (await client.receive()).data, ["message-back", "été 🎈"])  # JSON may escape it


@behaviour(RECEIVING)
async def a_get_waits(lab: Lab) -> None:
    """A GET with nothing to bring waits until there is something."""
    session, _ = await _client(lab)
    pending = await session.begin_get()
    await session.post('42["message",1]')
    answer = await pending.answer()
    same("the answer", (answer.status, answer.text), (200, '42["message-back",1]'))


@behaviour(ENCODING)
async def several_packets_in_one_body_are_kept_in_order(lab: Lab) -> None:
    """Several packets in one POST are taken in order, and come back in order."""
    session, client = await _client(lab)
    await session.post("\x1e".join(f'42["message",{number}]' for number in range(5)))
    got = [(await client.receive()).data for _ in range(5)]
    same("the answers", got, [["message-back", number] for number in range(5)])


@behaviour(ENCODING)
async def a_burst_in_one_body_is_taken(lab: Lab) -> None:
    """Forty packets in one POST, as the JavaScript client sends a burst, are all taken."""
    session, client = await _client(lab)
    answer = await session.post("\x1e".join(f'42["message",{number}]' for number in range(40)))
    same("the status", answer.status, 200)
    got = [(await client.receive()).data[1] for _ in range(40)]
    same("the answers", got, list(range(40)))


@behaviour(ENCODING)
async def what_waits_comes_in_one_body(lab: Lab) -> None:
    """What has gathered between two GETs comes with the second one, in one body."""
    session, client = await _client(lab)
    await client.is_there()
    # Two POSTs and no GET in between; the acknowledgement of the second says that both are handled.
    await session.post('42["message",1]\x1e42["message",2]')
    await lab.until_entry("connect", "/")  # on another connection: time for the server to have answered both
    packets = (await session.get()).packets
    while len(packets) < 2:  # a server may still have been writing the second
        packets += (await session.get()).packets
    same("the messages", [packet.data for packet in packets], ['2["message-back",1]', '2["message-back",2]'])


@behaviour(ENCODING)
async def binary_in_a_body_is_base64(lab: Lab) -> None:
    """Binary goes through HTTP in base64 after a b, in both directions."""
    session, client = await _client(lab)
    await session.post('451-["message",{"_placeholder":true,"num":0}]\x1ebAQIDBP8=')
    packets = []
    while len(packets) < 2:
        packets += (await session.get()).text.split("\x1e")
    same("the body", packets, ['451-["message-back",{"_placeholder":true,"num":0}]', "bAQIDBP8="])
    await client.is_there()


@behaviour(ENCODING, MSGPACK)
async def messagepack_goes_over_polling(lab: Lab) -> None:
    """A session that polls can carry binary messages alone."""
    _, client = await _client(lab)
    same("the answer", await client.request("message-with-ack", b"\x01\x02", [None]), [b"\x01\x02", [None]])


@behaviour("Engine.IO v4, HTTP long-polling, Headers")
async def a_body_without_a_content_type_is_text(lab: Lab) -> None:
    """A POST without a content type is taken as text."""
    session, client = await _client(lab)
    body = '42["message","ü"]'.encode()
    async with lab.http.post(lab.url, params=session.query, data=body, skip_auto_headers=["Content-Type"]) as response:
        same("the status", response.status, 200)
    same("the answer", (await client.receive()).data, ["message-back", "ü"])


@behaviour(SENDING)
async def a_malformed_body_closes_the_session(lab: Lab) -> None:
    """A POST with what is no packet closes the session."""
    for body in ("abc", "9", '42["message",1]\x1e'):
        session, _ = await _client(lab)
        await session.post(body)  # Node answers 200 all the same
        await session.is_gone()


@behaviour(SENDING)
async def a_second_post_closes_the_session(lab: Lab) -> None:
    """A second POST while the first is being sent is refused, and closes the session."""
    session, _ = await _client(lab)
    pending = await lab.begin("POST", b"4", 100, **session.query)
    same("the status of the second POST", (await session.post("4")).status, {0, 400, 500})
    same("the status of the next GET", (await session.get()).status, 400)
    await pending.abandon()


@behaviour(RECEIVING)
async def a_second_get_closes_the_session(lab: Lab) -> None:
    """A second GET while the first waits is refused, the first hears that the session is closed, and it is."""
    session, _ = await _client(lab)
    pending = await session.begin_get()
    same("the status of the second GET", (await session.get()).status, {400, 500})
    first = await pending.answer()
    same("the answer to the first GET", (first.status, first.text), (200, "1"))
    await session.is_gone()


@behaviour("Node's engine.io, polling", QUICK)
async def an_abandoned_get_closes_the_session(lab: Lab) -> None:
    """A GET that the client gives up closes the session, with the next PING at the latest: what it brought is lost."""
    session, _ = await _client(lab)
    await (await session.begin_get()).abandon()
    await lab.until_entry("disconnect", "/")
    await session.is_gone()


@behaviour("Engine.IO v4, Handshake, maxPayload")
async def a_body_that_is_too_large_is_refused(lab: Lab) -> None:
    """A POST of more than maxPayload bytes is refused."""
    session, _ = await _client(lab)
    answer = await session.post("4" + "x" * MAX_BYTES)
    same("the status", answer.status, {0, 400, 413})


@behaviour("Engine.IO v4, Protocol")
async def a_close_packet_ends_the_session(lab: Lab) -> None:
    """A CLOSE in a POST ends the session."""
    session, _ = await _client(lab)
    same("the status of the POST", (await session.post("1")).status, 200)
    await session.is_gone()
    await lab.until_entry("disconnect", "/")


@behaviour("Engine.IO v4 test suite, close")
async def a_close_packet_ends_the_waiting_get(lab: Lab) -> None:
    """A GET that waits when the client closes is answered with a NOOP."""
    session, _ = await _client(lab)
    pending = await session.begin_get()
    await session.post("1")
    answer = await pending.answer()
    same("the answer to the GET", (answer.status, answer.text), (200, "6"))


@behaviour("Engine.IO v4, Protocol")
async def the_server_closes_a_polling_session(lab: Lab) -> None:
    """A server that closes a session says so to the GET that waits."""
    session, client = await _client(lab)
    pending = await session.begin_get()
    await client.emit("hang-up")
    answer = await pending.answer()
    packets = answer.packets
    # A DISCONNECT may come before it, in the same body or in one of its own.
    while packets[-1].type is EnginePacketType.MESSAGE:
        packets = (await session.get()).packets
    same("the last packet", packets[-1], EnginePacket(EnginePacketType.CLOSE))
    await session.is_gone()


@behaviour("Engine.IO v4, Protocol")
async def two_sessions_do_not_meet(lab: Lab) -> None:
    """What one session asks for does not reach another."""
    (first, one), (second, two) = await asyncio.gather(_client(lab), _client(lab))
    await asyncio.gather(one.emit("message", "one"), two.emit("message", "two"))
    got = [(await one.receive()).data[1], (await two.receive()).data[1]]
    same("the answers", got, ["one", "two"])
    assert first.handshake.sid != second.handshake.sid
