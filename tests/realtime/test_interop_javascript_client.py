"""The official JavaScript client, in each way that it can be set up, with our server and with Node's.

The scenarios stand in ``interop_client.js``. One Node process plays all that a run asks for, at the same time. Node's
own server is there to show that a scenario is right.
"""

import contextlib
import re
from pathlib import Path

import pytest
import pytest_asyncio
from deadlines import WAIT_S
from realtime.interop_app import KINDS, serve

import rtlab

SCRIPT = Path(__file__).with_name("interop_client.js").read_text(encoding="utf-8")
SCENARIOS = re.findall(r"^  async (\w+)\(", SCRIPT, re.MULTILINE)
WAYS = re.findall(r'^  "([\w ]+)": \{', SCRIPT, re.MULTILINE)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def played(request) -> dict[tuple[str, str, str], str | None]:
    """What came of every scenario that the tests of this run ask for."""
    items = [item for item in request.session.items if item.path == request.path and "played" in item.fixturenames]
    plays = [[item.callspec.params[each] for each in ("scenario", "kind", "way")] for item in items]
    async with contextlib.AsyncExitStack() as stack:
        servers = {kind: await stack.enter_async_context(serve(kind)) for kind in KINDS}
        run = await rtlab.node(SCRIPT, within_s=2 * WAIT_S, servers=servers, plays=plays, limit=1000 * WAIT_S)
    return {(scenario, kind, way): error for scenario, kind, way, error in run.value}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", KINDS)
async def test_javascript_client(played, scenario, kind, way):
    error = played[scenario, kind, way]
    assert error is None, error


def test_the_scenarios_were_found():
    assert len(SCENARIOS) >= 20
    assert len(WAYS) == 5
