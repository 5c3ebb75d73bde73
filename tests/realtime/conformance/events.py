"""Events, acknowledgements and binary (Socket.IO)."""

from realtime.conformance.behaviours import behaviour
from realtime.conformance.clients import ACK, EVENT, Client, same
from realtime.conformance.lab import Lab
from realtime.conformance.servers import CALM, MSGPACK

from rtlab.wire.socketio import Packet

DATA = "Socket.IO v5, Sending and receiving data"
ACKNOWLEDGEMENT = "Socket.IO v5, Acknowledgement"
BOTH = (CALM, MSGPACK)
SAMPLES = [None, True, False, 0, -1, 2**53 - 1, 1.5, "", "été 🎈 \u2028", [], {}, [[1], {"a": [None]}]]


@behaviour(DATA, *BOTH)
async def an_event_goes_there_and_back(lab: Lab) -> None:
    """An event carries any number of arguments of any JSON type."""
    client = await lab.client()
    for args in ([], SAMPLES, [1, "2", {"3": [True]}]):
        await client.emit("message", *args)
        same("the answer", await client.receive(), Packet(EVENT, "/", ["message-back", *args]))


@behaviour(DATA)
async def the_encoding_is_the_documents(lab: Lab) -> None:
    """An event is encoded without blanks, as the document shows it."""
    client = await lab.client()
    await client.say('2["message",1,"2",{"3":[true]}]')
    same("the message", await client.transport.raw.recv(), '42["message-back",1,"2",{"3":[true]}]')


@behaviour(DATA, *BOTH)
async def events_keep_their_order(lab: Lab) -> None:
    """A hundred events of one client are answered in order."""
    client = await lab.client()
    for number in range(100):
        await client.emit("message", number)
    got = [(await client.receive()).data[1] for _ in range(100)]
    same("the answers", got, list(range(100)))


@behaviour(DATA, *BOTH)
async def an_unknown_event_is_passed_over(lab: Lab) -> None:
    """An event that nobody listens to costs nothing."""
    client = await lab.client()
    await client.emit("nobody listens", 1)
    await client.is_there()


@behaviour(ACKNOWLEDGEMENT, *BOTH)
async def an_event_is_acknowledged(lab: Lab) -> None:
    """An event with an id is acknowledged with the same id, in the same namespace, with any number of arguments."""
    client = await lab.client()
    await client.connect("/custom")
    for namespace in ("/", "/custom"):
        for args in ([], [1], [None], [[1, 2]], SAMPLES):
            got = await client.request("message-with-ack", *args, namespace=namespace)
            same("the answer", got, args)


@behaviour(ACKNOWLEDGEMENT, *BOTH)
async def the_clients_id_is_kept(lab: Lab) -> None:
    """The client chooses the id: 0 and large numbers come back as they are."""
    client = await lab.client()
    for number in (0, 456, 2**31, 2**53 - 1):
        await client.send(Packet(EVENT, "/", ["message-with-ack", "x"], number))
        same("the answer", await client.receive(), Packet(ACK, "/", ["x"], number))


@behaviour(ACKNOWLEDGEMENT, *BOTH)
async def the_server_asks_for_an_acknowledgement(lab: Lab) -> None:
    """The server's event has an id too, and what the client acknowledges reaches the app."""
    client = await lab.client()
    for answer in ([], ["yes"], [1, {"b": 2}]):
        await client.emit("call-me", "arg")
        call = await client.receive()
        same("the event", (call.type, call.data, type(call.id)), (EVENT, ["call", "arg"], int))
        await client.send(Packet(ACK, "/", answer, call.id))
        same("what reached the app", (await client.receive()).data, ["called", *answer])


@behaviour(ACKNOWLEDGEMENT, *BOTH)
async def an_acknowledgement_that_nobody_waits_for_is_passed_over(lab: Lab) -> None:
    """An acknowledgement of an unknown id, or a second one, costs nothing."""
    client = await lab.client()
    await client.send(Packet(ACK, "/", ["nobody asked"], 999))
    await client.emit("call-me")
    call = await client.receive()
    for _ in range(2):
        await client.send(Packet(ACK, "/", ["once"], call.id))
    same("what reached the app", (await client.receive()).data, ["called", "once"])
    await client.is_there()


@behaviour(DATA, *BOTH)
async def binary_goes_there_and_back(lab: Lab) -> None:
    """Bytes may stand anywhere in the data of an event, several times, and empty."""
    client = await lab.client()
    data = [b"\x01\x02\x03", {"deep": [b"", {"x": b"\xff" * 1000}]}, "text", b"\x04"]
    await client.emit("message", *data)
    same("the answer", (await client.receive()).data, ["message-back", *data])


@behaviour(ACKNOWLEDGEMENT, *BOTH)
async def binary_is_acknowledged(lab: Lab) -> None:
    """An acknowledgement can carry bytes, in each direction."""
    client = await lab.client()
    same("the answer", await client.request("message-with-ack", b"\x01", {"b": b"\x02"}), [b"\x01", {"b": b"\x02"}])
    await client.emit("call-me", b"\x03")
    call = await client.receive()
    same("the event", call.data, ["call", b"\x03"])
    await client.send(Packet(ACK, "/", [b"\x04", 1], call.id))
    same("what reached the app", (await client.receive()).data, ["called", b"\x04", 1])


@behaviour("Socket.IO v5, Packet encoding")
async def binary_is_encoded_as_the_document_shows(lab: Lab) -> None:
    """A binary event has a count, placeholders, and then its attachments; so has a binary acknowledgement."""
    client = await lab.client("/custom")
    raw = client.transport.raw
    await client.say('52-/custom,["message",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]', b"\1", b"\2")
    got = [await raw.recv() for _ in range(3)]
    text = '452-/custom,["message-back",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
    same("the event", got, [text, b"\1", b"\2"])
    await client.say('51-/custom,789["message-with-ack",{"_placeholder":true,"num":0}]', b"\3")
    got = [await raw.recv() for _ in range(2)]
    same("the acknowledgement", got, ['461-/custom,789[{"_placeholder":true,"num":0}]', b"\3"])


@behaviour(DATA, *BOTH)
async def binary_works_in_a_namespace(lab: Lab) -> None:
    """Bytes go through a custom namespace while another one is in use."""
    client = Client(lab, await lab.websocket())
    await client.connect()
    await client.connect("/custom")
    await client.emit("message", b"\x01", namespace="/custom")
    await client.emit("message", "text")
    got = [await client.receive() for _ in range(2)]
    wanted = [Packet(EVENT, "/custom", ["message-back", b"\x01"]), Packet(EVENT, "/", ["message-back", "text"])]
    same("the answers", got, wanted)
