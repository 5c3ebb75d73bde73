"""Every behaviour, on three servers. Ours and Node's have all of them; what plain python-socketio lacks is a table."""

import pytest
import pytest_asyncio
from deadlines import WAIT_S
from realtime.conformance.behaviours import Behaviour, Outcomes, outcomes
from realtime.conformance.catalogue import BEHAVIOURS
from realtime.conformance.clients import SOON_S
from realtime.conformance.known_gaps import KNOWN_GAPS
from realtime.conformance.servers import KINDS, QUICK, serve


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(request) -> dict[str, Outcomes]:
    """What came of all behaviours that the tests of this run ask for, by the kind of server."""
    found = {}
    asked = [
        item.callspec.params
        for item in request.session.items
        if item.path == request.path and "kind" in item.fixturenames
    ]
    for kind in KINDS:
        behaviours = [params["behaviour"] for params in asked if params["kind"] == kind]
        if behaviours:
            async with serve(kind) as url:
                found[kind] = await outcomes(
                    url, behaviours, lambda each, gaps=KNOWN_GAPS[kind]: soon_s(each) if each.name in gaps else WAIT_S
                )
    return found


def soon_s(behaviour: Behaviour) -> float:
    """Seconds for what is known to be missing and waited for in vain: as many as it takes where it is not."""
    quick = behaviour.configuration
    return SOON_S + (quick.ping_interval_s + quick.ping_timeout_s if quick is QUICK else 0)


def case(kind: str, behaviour: Behaviour):
    gap = KNOWN_GAPS[kind].get(behaviour.name)
    marks = [pytest.mark.xfail(reason=gap, strict=True)] if gap else []
    return pytest.param(kind, behaviour, id=f"{kind}-{behaviour.name}", marks=marks)


CASES = [case(kind, behaviour) for kind in KINDS for behaviour in BEHAVIOURS]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("kind", "behaviour"), CASES)
async def test_behaviour(shown, kind: str, behaviour: Behaviour):
    error = shown[kind][behaviour.name]
    if error is not None:
        raise error


def test_every_known_gap_is_a_behaviour():
    names = {each.name for each in BEHAVIOURS}
    assert not [name for gaps in KNOWN_GAPS.values() for name in gaps if name not in names]


def test_no_two_behaviours_have_the_same_name():
    names = [each.name for each in BEHAVIOURS]
    assert len(names) == len(set(names))
