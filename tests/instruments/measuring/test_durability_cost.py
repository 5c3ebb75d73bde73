"""What durability costs: the figures are whatever this machine gives; their shape is not."""

import pytest
from deadlines import WAIT_S

import rtlab
from rtlab.errors import MissingProgramError
from rtlab.instruments.measuring.durability_cost import (
    DurabilityCost,
    FailoverTimes,
    durability_cost,
    failover_times,
)
from rtlab.instruments.measuring.way import Way
from rtlab.servers import programs

try:
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

WAYS = ["told only", "stored first, in memory", "stored on disk", "stored by two servers"]
pytestmark = pytest.mark.timeout(WAIT_S * 6)


async def test_measured(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")  # not ours, so it is not measured
    said = []
    cost = await durability_cost(messages=20, rounds=2, progress=said.append)
    assert [way.name for way in cost.ways] == WAYS
    for way in cost.ways:
        assert way.per_second > 0
        assert len(way.round_trips_us) == 40
        assert list(way.round_trips_us) == sorted(way.round_trips_us)
    assert said == [f"{way}, round {number} of 2" for number in range(3) for way in WAYS]
    assert rtlab.resources() == ()


@pytest.mark.long
async def test_failover():
    said = []
    found = await failover_times(times=1, progress=said.append)
    assert len(found.seconds) == 1
    assert found.seconds[0] > 0
    assert said == ["failover 1 of 1"]
    assert rtlab.resources() == ()


def test_shown():
    trips = tuple(1000.0 * number for number in range(1, 201))
    ways = tuple(Way(name, 1000, trips) for name in WAYS)
    assert str(DurabilityCost(ways, 100, 2, "A machine")).splitlines()[:3] == [
        "Messages of 100 characters, 2 rounds of 100 messages on each way, in turns. A machine.",
        f"{'messages/s':>38}      p50      p90      p99      max   ms until it may be acknowledged, n = 200",
        "told only                        1,000   101.00   181.00   199.00   200.00",
    ]
    times = FailoverTimes((1.0, 2.0, 9.0), "A machine")
    assert str(times) == (
        "Failover, from the kill to the next acknowledgement: min 1.0, median 2.0, max 9.0 s, n = 3. A machine."
    )


@pytest.mark.parametrize("options", [{"messages": 0}, {"rounds": 0}])
async def test_nothing_to_measure(options):
    with pytest.raises(rtlab.UsageError, match="from 1"):
        await durability_cost(**options)


async def test_no_failover_to_measure():
    with pytest.raises(rtlab.UsageError, match="from 1"):
        await failover_times(times=0)
