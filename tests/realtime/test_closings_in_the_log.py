"""Who wonders why a client was cut off finds one line, also where nobody has set up Python's logging."""

import asyncio
import logging
import subprocess
import sys
import textwrap

import aiohttp
import pytest
from deadlines import WAIT_S
from eventually import until
from realtime.conformance.lab import Client
from realtime.serving import EVENT, lab_of, serving
from websockets.exceptions import ConnectionClosed

import rtlab
from rtlab.realtime import Guards, Server
from rtlab.servers.repeats import LINES
from rtlab.wire.socketio import Packet


def warnings_in(caplog) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]


async def ended(client: Client) -> None:
    """Wait until the server has closed a WebSocket."""
    async with asyncio.timeout(WAIT_S):
        try:
            async for _ in client.transport.raw:
                pass
        except ConnectionClosed:
            pass


GUARDED = {
    "connect_timeout_s": (Guards(connect_timeout_s=0.1), False, (), "connect timeout: in no namespace for 0.1 s"),
    "strict_packets": (Guards(), True, ("4", "49"), "parse error: "),
    "an unknown namespace": (Guards(), True, ('42/other,["a"]',), "parse error: expected a CONNECT first, got EVENT"),
    "max_attachments": (Guards(max_attachments=1), True, ('452-["a"]',), "parse error: expected the number of attach"),
    "attachments_timeout_s": (
        Guards(attachments_timeout_s=0.1), True, ('451-["a",{"_placeholder":true,"num":0}]',), "attachments_timeout_s"
    ),
    "reserved_events": (Guards(), True, ('42["disconnect"]',), "parse error: expected an event of the application"),
    "bound_unadmitted, bytes": (Guards(), False, ("4" + "x" * 9000,), "Guards.bound_unadmitted"),
    "bound_unadmitted, packets": (Guards(), False, ("40/nowhere",) * 101, "Guards.bound_unadmitted"),
    "max_http_buffer_size": (Guards(), True, ('42["a","' + "x" * 20_000 + '"]',), "transport error: "),
}  # fmt: skip


@pytest.mark.parametrize(("guards", "admitted", "messages", "why"), GUARDED.values(), ids=GUARDED)
async def test_a_guard_that_closes_a_client_says_so_once(guards, admitted, messages, why, caplog):
    async with serving(guards=guards, max_http_buffer_size=10_000) as (sio, lab, _):
        client = await lab.client() if admitted else Client(lab, await lab.websocket())
        try:
            for message in messages:
                await client.transport.raw.send(message)
        except ConnectionClosed:
            pass
        await ended(client)
        await until(lambda: not sio.eio.sockets)
        (line,) = warnings_in(caplog)
        assert ": closed, " in line
        assert why in line


async def test_a_client_that_reads_too_slowly(caplog):
    async with serving(guards=Guards(max_queued_bytes=1000)) as (sio, lab, _):
        await Client(lab, await lab.polling()).connect()
        for _ in range(3):
            await sio.emit("news", "x" * 1000)
        await until(lambda: not sio.eio.sockets)
        (line,) = warnings_in(caplog)
        assert "closed, slow consumer: " in line
        assert "Guards.max_queued_bytes" in line


async def test_too_many_packets_in_one_body(caplog):
    async with serving(guards=Guards(max_packets_per_payload=3)) as (sio, lab, _):
        client = Client(lab, await lab.polling())
        await client.connect()
        assert (await client.transport.post("\x1e".join(['42["a"]'] * 4))).status == 413
        await until(lambda: not sio.eio.sockets)
        (line,) = warnings_in(caplog)
        assert "more than 3 packets in one body (Guards.max_packets_per_payload)" in line


async def test_a_client_that_leaves_is_no_warning(caplog):
    async with serving() as (sio, lab, _):
        for how in ("1", None):
            client = await lab.client()
            await (client.transport.raw.send(how) if how else client.transport.raw.close())
            await until(lambda: not sio.eio.sockets)
        assert warnings_in(caplog) == []


async def test_warnings_are_summed_up_and_below_them_each_guest_has_a_line(caplog):
    caplog.set_level(logging.INFO, "rtlab.realtime")
    async with serving() as (sio, lab, _):
        for _ in range(LINES + 10):
            client = await lab.client()
            await client.send(Packet(EVENT, "/other", data=["a"]))
            await ended(client)
        await until(lambda: not sio.eio.sockets)
        levels = [each.levelno for each in caplog.records if "parse error" in each.getMessage()]
        assert levels == [logging.WARNING] * LINES + [logging.INFO] * 10


@pytest.mark.parametrize(
    ("options", "headers", "said"),
    [
        ({}, {"Origin": "https://evil.example"}, "refused: Forbidden ('https://evil.example' is not in cors_allowed"),
        ({"guards": Guards(max_head_bytes=1000)}, {"X": "x" * 1000}, "(Guards.max_head_bytes)"),
        ({"guards": Guards(max_unadmitted_per_address=1)}, {}, "(Guards.max_unadmitted_per_address)"),
    ],
)
async def test_a_client_that_is_refused_by_a_setting(options, headers, said, caplog):
    async with rtlab.serve(Server(**options)) as server, lab_of(server) as lab, aiohttp.ClientSession() as http:
        await lab.websocket()
        url = f"{server.url}/socket.io/?EIO=4&transport=polling"
        async with http.get(url, headers=headers) as response:
            assert response.status >= 400
        (line,) = warnings_in(caplog)
        assert said in line


SCRIPT = """
    import asyncio, aiohttp, rtlab

    async def main():
        sio = rtlab.realtime.Server()
        async with rtlab.serve(sio) as server, aiohttp.ClientSession() as http:
            async with http.ws_connect(server.ws_url + "/socket.io/?EIO=4&transport=websocket") as ws:
                await ws.receive_str()
                await ws.send_str('42["hello"]')
                while not (await ws.receive()).type is aiohttp.WSMsgType.CLOSE:
                    pass

    asyncio.run(main())
"""


def test_it_is_seen_where_nobody_has_set_up_logging():
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(SCRIPT)], check=True, capture_output=True, text=True)
    (line,) = found.stderr.splitlines()
    assert ": closed, parse error: expected a CONNECT first, got " in line
