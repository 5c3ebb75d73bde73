"""Connecting to namespaces, being refused, and leaving (Socket.IO)."""

from realtime.conformance.behaviours import behaviour
from realtime.conformance.clients import CONNECT, DISCONNECT, EVENT, Client, same
from realtime.conformance.lab import Lab
from realtime.conformance.servers import CALM, MSGPACK, QUICK
from websockets.exceptions import ConnectionClosed

from rtlab.wire.engineio import EnginePacket
from rtlab.wire.engineio import EnginePacketType as EngineType
from rtlab.wire.socketio import Packet, PacketType

CONNECTION = "Socket.IO v5, Connection to a namespace"
DISCONNECTION = "Socket.IO v5, Disconnection from a namespace"
BOTH = (CALM, MSGPACK)


async def _bare(lab: Lab) -> Client:
    """A WebSocket session that is in no namespace."""
    return Client(lab, await lab.websocket())


@behaviour(CONNECTION, *BOTH)
async def connect_is_answered_with_an_id(lab: Lab) -> None:
    """CONNECT is answered with CONNECT and a sid, and with nothing else."""
    client = await _bare(lab)
    await client.send(Packet(CONNECT))
    answer = await client.receive()
    said = [name for name, value in answer.data.items() if value is not None]  # Node's MessagePack has an empty pid
    same("the answer", (answer.type, answer.namespace, said), (CONNECT, "/", ["sid"]))
    same("the sid is text", isinstance(answer.data["sid"], str), True)


@behaviour("Node's socket.io")
async def the_id_is_not_the_sessions(lab: Lab) -> None:
    """The id in a namespace is another one than that of the Engine.IO session, which is a secret."""
    client = await _bare(lab)
    sid = await client.connect()
    same("that they differ", sid != client.transport.handshake.sid, True)


@behaviour(CONNECTION, *BOTH)
async def connect_carries_data(lab: Lab) -> None:
    """The data of CONNECT reaches the app."""
    client = await lab.client(token="123", nested={"a": [None, True]})
    got = await client.request("auth")
    same("the data", got, [{"tag": lab.tag, "token": "123", "nested": {"a": [None, True]}}])


@behaviour(CONNECTION, *BOTH)
async def connect_without_data_is_an_empty_object(lab: Lab) -> None:
    """A CONNECT without data reaches the app as an empty object, or as nothing."""
    client = await _bare(lab)
    await client.send(Packet(CONNECT))
    await client.receive()
    same("the data", await client.request("auth"), [{}])


@behaviour(CONNECTION, *BOTH)
async def a_namespace_of_its_own(lab: Lab) -> None:
    """A custom namespace is connected to without the main one, with its own data."""
    client = await lab.client("/custom", token="abc")
    got = await client.request("auth", namespace="/custom")
    same("the data", got, [{"tag": lab.tag, "token": "abc"}])


@behaviour("Socket.IO v5 test suite, disconnect")
async def a_namespace_may_end_the_packet(lab: Lab) -> None:
    """A CONNECT for a namespace is understood without the comma too."""
    for text in ("0/custom", "0/custom,"):
        client = await _bare(lab)
        await client.say(text)
        answer = await client.receive()
        same(f"the answer to {text!r}", (answer.type, answer.namespace), (CONNECT, "/custom"))


@behaviour(CONNECTION, *BOTH)
async def namespaces_share_a_connection(lab: Lab) -> None:
    """One connection carries several namespaces, each with an id of its own, and events go where they belong."""
    client = await _bare(lab)
    main, custom = await client.connect(), await client.connect("/custom")
    same("that the ids differ", main != custom, True)
    await client.emit("message", 1, namespace="/custom")
    same("the namespace of the answer", (await client.receive()).namespace, "/custom")
    await client.emit("message", 2)
    same("the namespace of the answer", (await client.receive()).namespace, "/")


@behaviour("Socket.IO v5 test suite, connect", *BOTH)
async def an_unknown_namespace_is_refused(lab: Lab) -> None:
    """An unknown namespace is refused with CONNECT_ERROR and the message "Invalid namespace"."""
    client = await _bare(lab)
    await client.send(Packet(CONNECT, "/random"))
    got = await client.receive()
    same("the answer", got, Packet(PacketType.CONNECT_ERROR, "/random", {"message": "Invalid namespace"}))


@behaviour(CONNECTION, *BOTH)
async def a_refusal_carries_message_and_data(lab: Lab) -> None:
    """A namespace that refuses answers CONNECT_ERROR with a message and data."""
    client = await _bare(lab)
    await client.send(Packet(CONNECT, "/closed"))
    wanted = Packet(PacketType.CONNECT_ERROR, "/closed", {"message": "no entry", "data": {"code": 7}})
    same("the answer", await client.receive(), wanted)


@behaviour(CONNECTION, *BOTH)
async def a_refusal_leaves_the_other_namespaces(lab: Lab) -> None:
    """A refusal costs only the namespace that it is for."""
    client = await lab.client()
    for namespace in ("/closed", "/random"):
        await client.send(Packet(CONNECT, namespace))
        same("the answer", (await client.receive()).type, PacketType.CONNECT_ERROR)
        await client.is_there()


@behaviour(CONNECTION, *BOTH)
async def an_event_before_connect_closes(lab: Lab) -> None:
    """A client whose first packet is no CONNECT is closed."""
    client = await _bare(lab)
    await client.send(Packet(EVENT, "/", ["message", "too early"]))
    try:
        await client.connect()
    except ConnectionClosed:
        return
    raise AssertionError("the connection: expected it to be closed, and it is open")


@behaviour("Node's socket.io, client", *BOTH)
async def an_event_for_a_namespace_that_was_not_joined_closes(lab: Lab) -> None:
    """An event for a namespace that the client is not in closes the connection."""
    client = await lab.client()
    await client.send(Packet(EVENT, "/custom", ["message", "not there"]))
    await client.is_cut_off(after=())


@behaviour("Socket.IO v5 test suite, connect", QUICK)
async def a_client_that_never_connects_is_closed(lab: Lab) -> None:
    """A client that answers pings and never sends CONNECT is closed (Node's connectTimeout)."""
    socket = await lab.websocket()
    try:
        for _ in range(round(3 * lab.configuration.connect_timeout_s / lab.configuration.ping_interval_s)):
            same("the packet", await socket.receive(), EnginePacket(EngineType.PING))
            await socket.send(EnginePacket(EngineType.PONG))
    except ConnectionClosed:
        return
    raise AssertionError("the connection: expected it to be closed, and it is open after three times the limit")


@behaviour(DISCONNECTION, *BOTH)
async def a_client_leaves_one_namespace(lab: Lab) -> None:
    """DISCONNECT leaves one namespace; the connection and the others stay."""
    client = await lab.client()
    await client.connect("/custom")
    await client.send(Packet(DISCONNECT, "/custom"))
    await client.is_there()
    got = await lab.until_entry("disconnect", "/custom")
    same("what the app saw", got, [["connect", "/"], ["connect", "/custom"], ["disconnect", "/custom"]])


@behaviour(DISCONNECTION, *BOTH)
async def a_client_comes_back(lab: Lab) -> None:
    """A namespace that was left can be entered again, under another id."""
    client = await lab.client()
    first = await client.connect("/custom")
    await client.send(Packet(DISCONNECT, "/custom"))
    await lab.until_entry("disconnect", "/custom")  # Node closes a connection on which CONNECT comes right behind it
    second = await client.connect("/custom")
    same("that the ids differ", first != second, True)
    await client.is_there("/custom")


@behaviour("Socket.IO v5 test suite, disconnect", QUICK)
async def leaving_the_last_namespace_keeps_the_connection(lab: Lab) -> None:
    """A client that has left its only namespace still has its connection, and can enter again."""
    client = await lab.client()
    await client.send(Packet(DISCONNECT))
    same("the packet", await client.transport.receive(), EnginePacket(EngineType.PING))
    await client.transport.send(EnginePacket(EngineType.PONG))
    await client.connect()
    await client.is_there()


@behaviour(DISCONNECTION, *BOTH)
async def the_server_ends_one_namespace(lab: Lab) -> None:
    """A server that ends a namespace says DISCONNECT; the connection and the other namespaces stay."""
    client = await lab.client()
    await client.connect("/custom")
    await client.emit("let-go", namespace="/custom")
    same("the packet", await client.receive(), Packet(DISCONNECT, "/custom"))
    await client.is_there()
    await lab.until_entry("disconnect", "/custom")


@behaviour(DISCONNECTION)
async def the_end_of_a_connection_ends_its_namespaces(lab: Lab) -> None:
    """When a connection ends, the app hears it once for each namespace."""
    client = await lab.client()
    await client.connect("/custom")
    await client.transport.raw.close()
    await lab.until_entry("disconnect", "/")
    entries = await lab.until_entry("disconnect", "/custom")
    wanted = [["connect", "/"], ["connect", "/custom"], ["disconnect", "/"], ["disconnect", "/custom"]]
    same("what the app saw", sorted(entries), wanted)
