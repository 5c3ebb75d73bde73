"""Handshakes of Engine.IO, and each way in which one is refused."""

import json

from realtime.conformance.behaviours import behaviour
from realtime.conformance.clients import same
from realtime.conformance.lab import Lab
from realtime.conformance.servers import MAX_BYTES, QUICK

from rtlab.wire.engineio import EnginePacketType, Handshake

HANDSHAKE = "Engine.IO v4, Handshake"
POLLING = "Engine.IO v4, HTTP long-polling, Query parameters"
WEBSOCKET = "Engine.IO v4, WebSocket"
NODE = "Node's engine.io, Server.errors"


@behaviour(HANDSHAKE)
async def a_session_opens_by_polling(lab: Lab) -> None:
    """A GET without a sid is answered with one OPEN packet: sid, upgrades, times in milliseconds, maxPayload."""
    answer = await lab.request(EIO="4", transport="polling")
    (packet,) = answer.packets
    same("the packet's type", packet.type, EnginePacketType.OPEN)
    handshake = Handshake.decode(packet.data)
    expected = Handshake(handshake.sid, ("websocket",), 25_000, 20_000, MAX_BYTES)
    same("the handshake", handshake, expected)


@behaviour("Engine.IO v4, HTTP long-polling, Headers")
async def text_is_sent_as_text(lab: Lab) -> None:
    """The answer to a GET is text in UTF-8, and says so."""
    answer = await lab.request(EIO="4", transport="polling")
    same("the content type", answer.content_type.replace(" ", "").lower(), "text/plain;charset=utf-8")


@behaviour(HANDSHAKE)
async def a_session_opens_by_websocket(lab: Lab) -> None:
    """A WebSocket without a sid opens a session of its own, with nothing to upgrade to."""
    handshake = (await lab.websocket()).handshake
    same("the handshake", handshake, Handshake(handshake.sid, (), 25_000, 20_000, MAX_BYTES))


@behaviour(HANDSHAKE, QUICK)
async def fractions_of_a_second_are_told(lab: Lab) -> None:
    """An interval of less than a second is advertised in milliseconds, not as 0."""
    handshake = (await lab.polling()).handshake
    wanted = round(1000 * QUICK.ping_interval_s), round(1000 * QUICK.ping_timeout_s)
    same("interval and timeout", (handshake.ping_interval_ms, handshake.ping_timeout_ms), wanted)


@behaviour(HANDSHAKE)
async def each_session_has_its_own_id(lab: Lab) -> None:
    """No two sessions have the same id."""
    ids = {(await lab.polling()).handshake.sid for _ in range(5)} | {(await lab.websocket()).handshake.sid}
    same("how many ids", len(ids), 6)


async def _refused(lab: Lab, method: str = "GET", **query: str) -> None:
    same(f"the status of {method} {query}", (await lab.request(method, **query)).status, 400)


@behaviour(POLLING)
async def polling_without_a_version_is_refused(lab: Lab) -> None:
    """A GET without EIO is answered 400."""
    await _refused(lab, transport="polling")


@behaviour(POLLING)
async def polling_with_another_version_is_refused(lab: Lab) -> None:
    """A GET with an EIO other than 4 is answered 400."""
    for version in ("abc", "3", "5", ""):
        await _refused(lab, EIO=version, transport="polling")


@behaviour(POLLING)
async def polling_without_a_transport_is_refused(lab: Lab) -> None:
    """A GET without transport is answered 400."""
    await _refused(lab, EIO="4")


@behaviour(POLLING)
async def an_unknown_transport_is_refused(lab: Lab) -> None:
    """A GET with an unknown transport is answered 400."""
    await _refused(lab, EIO="4", transport="abc")
    await _refused(lab, EIO="4", transport="")


@behaviour(HANDSHAKE)
async def a_handshake_by_post_is_refused(lab: Lab) -> None:
    """A POST without a sid is answered 400."""
    await _refused(lab, "POST", EIO="4", transport="polling")


@behaviour(HANDSHAKE)
async def a_handshake_by_put_is_refused(lab: Lab) -> None:
    """A PUT without a sid is answered 400."""
    await _refused(lab, "PUT", EIO="4", transport="polling")


@behaviour(HANDSHAKE)
async def a_websocket_handshake_needs_an_upgrade(lab: Lab) -> None:
    """A plain GET with transport=websocket is answered 400."""
    await _refused(lab, EIO="4", transport="websocket")


@behaviour("Engine.IO v4, HTTP long-polling, Sending and receiving data")
async def an_unknown_session_is_refused(lab: Lab) -> None:
    """GET and POST with an unknown sid are answered 400."""
    for method in ("GET", "POST"):
        await _refused(lab, method, EIO="4", transport="polling", sid="nobody")


@behaviour("Engine.IO v4, HTTP long-polling, Sending data")
async def a_post_to_a_closed_session_is_refused(lab: Lab) -> None:
    """A POST to a session that the client has closed is answered 400."""
    session = await lab.polling()
    await session.post("1")
    same("the status", (await session.post("4")).status, 400)


@behaviour(NODE)
async def a_refusal_says_why(lab: Lab) -> None:
    """A refusal is JSON with a code and a message, which the JavaScript client hands on."""
    wanted = {
        (0, "Transport unknown"): {"EIO": "4", "transport": "abc"},
        (1, "Session ID unknown"): {"EIO": "4", "transport": "polling", "sid": "nobody"},
        (5, "Unsupported protocol version"): {"EIO": "5", "transport": "polling"},
    }
    for (code, message), query in wanted.items():
        answer = await lab.request(**query)
        try:
            said = json.loads(answer.text)
        except ValueError:
            said = answer.text
        same("the body of a refusal", said, {"code": code, "message": message})


@behaviour(WEBSOCKET)
async def a_websocket_without_a_version_is_refused(lab: Lab) -> None:
    """A WebSocket without EIO is closed."""
    await lab.refuses_websocket(transport="websocket")


@behaviour(WEBSOCKET)
async def a_websocket_with_another_version_is_refused(lab: Lab) -> None:
    """A WebSocket with an EIO other than 4 is closed."""
    await lab.refuses_websocket(EIO="abc", transport="websocket")


@behaviour(WEBSOCKET)
async def a_websocket_without_a_transport_is_refused(lab: Lab) -> None:
    """A WebSocket without transport is closed."""
    await lab.refuses_websocket(EIO="4")


@behaviour(WEBSOCKET)
async def a_websocket_with_an_unknown_transport_is_refused(lab: Lab) -> None:
    """A WebSocket with an unknown transport is closed."""
    await lab.refuses_websocket(EIO="4", transport="abc")


@behaviour(WEBSOCKET)
async def a_websocket_for_an_unknown_session_is_refused(lab: Lab) -> None:
    """A WebSocket with an unknown sid is closed."""
    await lab.refuses_websocket(EIO="4", transport="websocket", sid="nobody")
