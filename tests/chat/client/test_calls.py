"""Calls end with their connection, and a connection that is cut while it is being made is noticed."""

import asyncio
import time

import pytest
from chat.client.wilful import wilful
from deadlines import WAIT_S
from eventually import until

from rtlab.chat import ChatUnansweredError, connect

FAST = {"transports": ["websocket"], "reconnection_delay": 0.01, "randomization_factor": 0}


@pytest.mark.parametrize("over", ["cut", "closed"])
async def test_a_call_ends_with_its_connection(over):
    async with wilful() as server, connect(server.url, token="t", ack_s=10 * WAIT_S, **FAST) as alice:
        await alice.join("lobby")
        server.fate = lambda message, attempt: "silent"
        sending = asyncio.create_task(alice.send("lobby", "x"))
        await until(lambda: server.came)
        await (server.cut() if over == "cut" else alice.close())
        async with asyncio.timeout(WAIT_S):
            with pytest.raises(ChatUnansweredError, match="the connection ended before the answer") as error:
                await sending
        assert error.value.code == "gone"
        assert not alice._calls._waiting


async def test_a_connection_that_is_cut_between_its_namespaces_is_made_again():
    """The library would wait for the second one for 10 s, or take the dead connection for a good one."""
    async with wilful() as server, connect(server.url, token="t", **FAST) as alice:
        await alice.join("lobby")
        server.notifications = False
        began = time.monotonic()
        await server.cut()
        await until(lambda: server.connected >= 4)
        server.notifications = True
        assert (await alice.send("lobby", "here again")).offset
        assert alice.connected
        assert time.monotonic() - began < WAIT_S / 5
        names = [event.name for event in alice._arrivals._events if event.name in {"connect", "disconnect"}]
        assert names == ["connect", "disconnect"] * (len(names) // 2) + ["connect"], "each end is told"
