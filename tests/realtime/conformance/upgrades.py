"""From polling to WebSocket (Engine.IO v4, Upgrade)."""

from realtime.conformance.behaviours import behaviour
from realtime.conformance.clients import Client, Polling, WebSocket, same
from realtime.conformance.lab import Lab
from websockets.exceptions import ConnectionClosed

from rtlab.wire.engineio import EnginePacket, EnginePacketType

UPGRADE = "Engine.IO v4, Upgrade"
PROBE = EnginePacket(EnginePacketType.PING, "probe")
PROBED = EnginePacket(EnginePacketType.PONG, "probe")
DONE = EnginePacket(EnginePacketType.UPGRADE)


async def _probed(lab: Lab, session: Polling) -> WebSocket:
    """A WebSocket for the session that has had the answer to its probe."""
    socket = await lab.upgrading(session)
    await socket.send(PROBE)
    same("the answer to the probe", await socket.receive(), PROBED)
    return socket


async def _upgraded(lab: Lab) -> tuple[Polling, Client]:
    """A session that has gone over, and is connected to the main namespace."""
    session = await lab.polling()
    await Client(lab, session).connect()
    socket = await _probed(lab, session)
    await socket.send(DONE)
    client = Client(lab, socket)
    await client.is_there()
    return session, client


@behaviour(UPGRADE)
async def a_session_goes_over_to_websocket(lab: Lab) -> None:
    """Probe, answer, upgrade: from then on the session is on the WebSocket, with its namespaces."""
    _, client = await _upgraded(lab)
    same("the answer", await client.request("message-with-ack", 1), [1])


@behaviour(UPGRADE)
async def the_websocket_brings_messages_only(lab: Lab) -> None:
    """The NOOP that ends polling goes to a GET, and never over the WebSocket."""
    session = await lab.polling()
    await Client(lab, session).connect()
    socket = await _probed(lab, session)
    await socket.send(DONE, EnginePacket(EnginePacketType.MESSAGE, '2["message",1]'))
    same("the first packet", await socket.receive(), EnginePacket(EnginePacketType.MESSAGE, '2["message-back",1]'))


@behaviour(UPGRADE)
async def a_waiting_get_is_let_go(lab: Lab) -> None:
    """A GET that waits during the upgrade is answered with a NOOP."""
    session = await lab.polling()
    await Client(lab, session).connect()
    pending = await session.begin_get()
    socket = await _probed(lab, session)
    answer = await pending.answer()
    same("the answer to the GET", (answer.status, answer.text), (200, "6"))
    await socket.send(DONE)
    await Client(lab, socket).is_there()


@behaviour("Engine.IO v4 test suite, upgrade")
async def a_get_after_the_probe_does_not_wait(lab: Lab) -> None:
    """A GET that comes after the probe is answered with a NOOP, and the upgrade goes on."""
    session = await lab.polling()
    await Client(lab, session).connect()
    socket = await _probed(lab, session)
    answer = await session.get()
    same("the answer to the GET", (answer.status, answer.text), (200, "6"))
    await socket.send(DONE)
    await Client(lab, socket).is_there()


@behaviour(UPGRADE)
async def nothing_is_lost_in_an_upgrade(lab: Lab) -> None:
    """What waits when the upgrade completes comes over the WebSocket, in order."""
    session = await lab.polling()
    client = Client(lab, session)
    await client.connect()
    socket = await _probed(lab, session)
    for number in range(20):
        await client.emit("message", number)
    await socket.send(DONE)
    upgraded = Client(lab, socket)
    got = []
    try:
        await upgraded.emit("message", "last")
        while "last" not in got:
            got.append((await upgraded.receive()).data[1])
    except ConnectionClosed:
        got.append("the end of the connection")
    same("what came over the WebSocket", got, [*range(20), "last"])


@behaviour("Engine.IO v4 test suite, upgrade")
async def polling_is_over_after_an_upgrade(lab: Lab) -> None:
    """A GET after the upgrade is answered 400, and the session goes on."""
    session, client = await _upgraded(lab)
    same("the status of the GET", (await session.get()).status, 400)
    await client.is_there()


@behaviour("Engine.IO v4, WebSocket")
async def a_second_websocket_is_closed(lab: Lab) -> None:
    """A second WebSocket for a session is closed, and the first goes on."""
    session, client = await _upgraded(lab)
    await lab.refuses_websocket(EIO="4", transport="websocket", sid=session.handshake.sid)
    await client.is_there()


@behaviour("Engine.IO v4, WebSocket")
async def a_second_websocket_during_an_upgrade_is_closed(lab: Lab) -> None:
    """A second WebSocket while the first is being tried is closed, and the first takes over."""
    session = await lab.polling()
    await Client(lab, session).connect()
    socket = await _probed(lab, session)
    await lab.refuses_websocket(EIO="4", transport="websocket", sid=session.handshake.sid)
    await socket.send(DONE)
    await Client(lab, socket).is_there()


@behaviour("Engine.IO v4, WebSocket")
async def a_websocket_session_has_no_second_websocket(lab: Lab) -> None:
    """A WebSocket for a session that began on one is closed, and the first goes on."""
    client = await lab.client()
    await lab.refuses_websocket(EIO="4", transport="websocket", sid=client.transport.handshake.sid)
    await client.is_there()


@behaviour(UPGRADE)
async def an_upgrade_that_is_given_up_costs_nothing(lab: Lab) -> None:
    """A WebSocket that goes away after the probe leaves the session on polling, and another may be tried."""
    session = await lab.polling()
    client = Client(lab, session)
    await client.connect()
    socket = await _probed(lab, session)
    await socket.raw.close()
    await client.emit("message", 1)
    packet = await session.receive()
    while packet.type is EnginePacketType.NOOP:  # until the server has seen it go
        packet = await session.receive()
    same("what the next GET brings", packet.data, '2["message-back",1]')
    second = await _probed(lab, session)
    await second.send(DONE)
    await Client(lab, second).is_there()


@behaviour("Node's engine.io, socket")
async def a_close_waits_for_the_upgrade(lab: Lab) -> None:
    """A session that is closed during an upgrade lets it finish: a client that has stopped polling hears it then."""
    session = await lab.polling()
    client = Client(lab, session)
    await client.connect()
    socket = await _probed(lab, session)
    await client.emit("hang-up")
    await lab.entries()  # takes longer than what the server does about the event
    await socket.send(DONE)
    try:
        while (await socket.receive()).type is not EnginePacketType.CLOSE:
            pass  # the goodbye of a namespace
    except ConnectionClosed as error:
        same("whether the WebSocket was closed, and not cut", error.rcvd is not None, True)


@behaviour(UPGRADE)
async def an_upgrade_begins_with_a_probe(lab: Lab) -> None:
    """A WebSocket whose first packet is no probe is closed, and the session stays on polling."""
    session = await lab.polling()
    client = Client(lab, session)
    await client.connect()
    socket = await lab.upgrading(session)
    await socket.send(EnginePacket(EnginePacketType.MESSAGE, '2["message","too early"]'))
    await socket.ends()
    await client.is_there()
