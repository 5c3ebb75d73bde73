"""Between the server and a client: what the server has sent, and nobody has got."""

from __future__ import annotations

import pytest
from deadlines import WAIT_S
from eventually import until
from soak.stage import staged

from rtlab.errors import MissingProgramError
from rtlab.servers import programs

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = [pytest.mark.timeout(WAIT_S * 6), pytest.mark.long]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_what_was_on_its_way_when_a_connection_was_reset(transport):
    """Over long-polling the session survives that, and the server has forgotten what was in the answer."""
    async with staged() as stage:
        ann, bob = await stage.enter("ann"), await stage.enter("bob", transport=transport)
        await ann.say("first")
        await bob.hears("first")
        bob.proxy.delay(60, "to client")
        await ann.say("second")
        await until(lambda: any(sum(each.waiting.values()) for each in bob.proxy.connections))
        bob.proxy.drop()
        bob.proxy.healthy()
        await ann.say("third")
        await bob.hears("third")
        verdict = await stage.judge()
    assert verdict.result == "pass", verdict
