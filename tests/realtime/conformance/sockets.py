"""WebSocket as the transport, the heartbeat on either transport, and the end (Engine.IO)."""

import asyncio

from realtime.conformance.behaviours import behaviour
from realtime.conformance.clients import Client, same
from realtime.conformance.lab import Lab
from realtime.conformance.servers import MAX_BYTES, QUICK
from websockets.exceptions import ConnectionClosed

from rtlab.wire.engineio import EnginePacket, EnginePacketType

WEBSOCKET = "Engine.IO v4, Packet encoding, WebSocket"
HEARTBEAT = "Engine.IO v4, Heartbeat"
BEATS = 3
"""How many pings are waited for: one could be luck."""


@behaviour(WEBSOCKET)
async def each_packet_is_one_message(lab: Lab) -> None:
    """Each packet is one WebSocket message, text as text and binary as it is."""
    client = await lab.client()
    await client.say('2["message","x"]', '51-["message",{"_placeholder":true,"num":0}]', b"\x01\xff")
    raw = client.transport.raw
    got = [await raw.recv() for _ in range(3)]
    wanted = [
        '42["message-back","x"]',
        '451-["message-back",{"_placeholder":true,"num":0}]',
        b"\x01\xff",
    ]
    same("the messages", got, wanted)


@behaviour("Engine.IO v4, Packet encoding")
async def what_is_no_packet_closes_the_websocket(lab: Lab) -> None:
    """What is no packet closes the WebSocket."""
    for message in ("abc", "9", ""):
        socket = await lab.websocket()
        await socket.raw.send(message)
        await socket.raw.send("40")
        try:
            packet = await socket.receive()
        except ConnectionClosed:
            continue
        raise AssertionError(f"after {message!r}: expected the connection to be closed, got {packet}")


@behaviour("Engine.IO v4, Handshake, maxPayload")
async def a_message_that_is_too_large_closes_the_websocket(lab: Lab) -> None:
    """A message of more than maxPayload bytes closes the WebSocket, with code 1009."""
    client = await lab.client()
    try:
        await client.emit("message", "x" * MAX_BYTES)
        packet = await client.receive()
    except ConnectionClosed as error:
        same("the close code", error.rcvd and error.rcvd.code, 1009)
    else:
        raise AssertionError(f"expected the connection to be closed, got {packet.type.name}")


@behaviour("Engine.IO v4, Handshake, maxPayload")
async def a_large_message_goes_through(lab: Lab) -> None:
    """A message of nearly maxPayload bytes goes there and back."""
    text = "x" * (MAX_BYTES - 100)
    same("the answer", await (await lab.client()).request("message-with-ack", text), [text])


@behaviour("Node's engine.io, socket")
async def a_ping_of_the_client_closes(lab: Lab) -> None:
    """A client that sends a PING, as clients did until version 3, is closed."""
    client = await lab.client()
    await client.transport.send(EnginePacket(EnginePacketType.PING))
    await client.is_cut_off(after=())


@behaviour(HEARTBEAT, QUICK)
async def the_server_pings_over_websocket(lab: Lab) -> None:
    """Over WebSocket the server sends a PING, and after the PONG another one."""
    client = await lab.client()
    for _ in range(BEATS):
        same("the packet", await client.transport.receive(), EnginePacket(EnginePacketType.PING))
        await client.transport.send(EnginePacket(EnginePacketType.PONG))
    await client.is_there()


@behaviour(HEARTBEAT, QUICK)
async def the_server_pings_over_polling(lab: Lab) -> None:
    """Over polling a GET brings a PING, and after the PONG another one."""
    session = await lab.polling()
    await Client(lab, session).connect()
    for _ in range(BEATS):
        same("the body", (await session.get()).text, "2")
        same("the status of the POST", (await session.post("3")).status, 200)


async def _not_before_the_timeout(lab: Lab, begun: float) -> None:
    """Counted from before the connection, so that a client that sees the PING late does not blame the server."""
    lived = asyncio.get_running_loop().time() - begun
    configuration = lab.configuration
    if lived < 0.9 * (configuration.ping_interval_s + configuration.ping_timeout_s):
        raise AssertionError(f"expected the server to wait for the PONG, and it closed after {lived:.1f} s")


@behaviour(HEARTBEAT, QUICK)
async def silence_closes_the_websocket(lab: Lab) -> None:
    """A WebSocket client that does not answer is closed after the timeout, and not before."""
    begun = asyncio.get_running_loop().time()
    client = await lab.client()
    same("the packet", await client.transport.receive(), EnginePacket(EnginePacketType.PING))
    await client.transport.ends()
    await _not_before_the_timeout(lab, begun)
    await lab.until_entry("disconnect", "/")


@behaviour(HEARTBEAT, QUICK)
async def silence_closes_a_polling_session(lab: Lab) -> None:
    """A polling client that does not answer is closed after the timeout: its next request is refused."""
    session = await lab.polling()
    await Client(lab, session).connect()
    same("the body", (await session.get()).text, "2")
    await lab.until_entry("disconnect", "/")
    await session.is_gone()


@behaviour(HEARTBEAT, QUICK)
async def a_session_that_is_never_polled_is_closed(lab: Lab) -> None:
    """A polling client that never comes back is closed without its help."""
    session = await lab.polling()
    await session.post(f'40{{"tag":"{lab.tag}"}}')
    await lab.until_entry("disconnect", "/")


@behaviour("Engine.IO v4, Protocol")
async def a_close_packet_ends_the_websocket(lab: Lab) -> None:
    """A CLOSE over WebSocket ends the connection."""
    client = await lab.client()
    await client.transport.send(EnginePacket(EnginePacketType.CLOSE))
    await client.transport.ends()
    await lab.until_entry("disconnect", "/")


@behaviour("Engine.IO v4, WebSocket")
async def a_lost_websocket_ends_the_session(lab: Lab) -> None:
    """A WebSocket that goes away ends the session: the app hears of it."""
    client = await lab.client()
    client.transport.raw.transport.abort()
    await lab.until_entry("disconnect", "/")


@behaviour("Engine.IO v4, Protocol")
async def the_server_closes_the_websocket(lab: Lab) -> None:
    """A server that closes a session says CLOSE, or closes the WebSocket at once."""
    client = await lab.client()
    await client.emit("hang-up")
    try:
        while (await client.transport.receive()).type is not EnginePacketType.CLOSE:
            pass
    except ConnectionClosed:
        pass
    await lab.until_entry("disconnect", "/")
