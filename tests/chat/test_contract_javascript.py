"""The chat's contract with the official JavaScript client, in each way that it can be set up.

The scenarios stand in ``contract_client.js``. One Node process plays all that a run asks for, at the same time.
"""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import web
from chat.serving import SECRET, chatting
from deadlines import SCALE, WAIT_S

import rtlab
from rtlab.chat import CHAT

SCRIPT = Path(__file__).with_name("contract_client.js").read_text(encoding="utf-8")
SCENARIOS = re.findall(r"^  async (\w+)\(", SCRIPT, re.MULTILINE)
WAYS = re.findall(r'^  "([\w ]+)": \{', SCRIPT, re.MULTILINE)
LEAVING = "a_server_that_goes_says_so"
PING_TIMEOUT_S = 10 * SCALE
"""Node ends before its last requests are out: those who polled are gone after this."""


def notifying(app):
    """Let a test send notifications."""

    async def notify(request):
        body = await request.json()
        await app[CHAT].notify(body["topic"], body["data"])
        return web.Response()

    app.router.add_post("/test/notify", notify)


async def leaving(stack, **options):
    """Where a chat listens that goes when it is asked to."""
    asked = asyncio.Event()

    def finish(app):
        async def leave(_):
            asked.set()
            return web.Response()

        app.router.add_post("/test/leave", leave)

    place = await stack.enter_async_context(chatting(finish=finish, ping_timeout=PING_TIMEOUT_S, **options))

    async def go():
        await asked.wait()
        await place.chat.drain(3 * SCALE)  # also who is between two polls hears of it
        await place.server.stop()

    going = asyncio.create_task(go())

    async def end():
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)

    stack.push_async_callback(end)
    return place.url


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(request) -> dict[tuple[str, str], str | None]:
    """What came of every scenario that the tests of this run ask for."""
    items = [item for item in request.session.items if item.path == request.path and "played" in item.fixturenames]
    plays = [[item.callspec.params[each] for each in ("scenario", "way")] for item in items]
    async with AsyncExitStack() as stack:
        servers = {
            each: (
                await stack.enter_async_context(
                    chatting(serializer=each, finish=notifying, ping_timeout=PING_TIMEOUT_S)
                )
            ).url
            for each in ("default", "msgpack")
        }
        for scenario, way in plays:
            if scenario == LEAVING:
                serializer = "msgpack" if way == "MessagePack" else "default"
                servers[f"leaving, {way}"] = await leaving(stack, serializer=serializer)
        run = await rtlab.node(
            SCRIPT,
            within_s=6 * WAIT_S,
            servers=servers,
            plays=plays,
            secret=SECRET,
            short=4 * SCALE,
            limit=5000 * WAIT_S,  # of all of them at once
        )
    return {(scenario, way): error for scenario, way, error in run.value}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("way", WAYS)
async def test_the_contract(played, scenario, way):
    error = played[scenario, way]
    assert error is None, error


def test_the_scenarios_were_found():
    assert len(SCENARIOS) >= 20
    assert len(WAYS) == 4
