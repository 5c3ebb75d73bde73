"""What a tap costs: the figures are whatever this machine gives; their shape is not."""

import pytest

import rtlab
from rtlab.instruments.measuring.tap_cost import TapCost, tap_cost
from rtlab.instruments.measuring.way import Way


async def test_measured():
    said = []
    cost = await tap_cost(messages=20, rounds=2, progress=said.append)
    assert (cost.messages, cost.rounds) == (20, 2)
    for way in (cost.straight, cost.tapped):
        assert way.per_second > 0
        assert len(way.round_trips_us) == 40
        assert list(way.round_trips_us) == sorted(way.round_trips_us)
    assert said == [f"{way}, round {number} of 2" for number in range(3) for way in ("straight", "tapped")]
    assert rtlab.resources() == ()
    assert str(cost).startswith("Echo of 100 bytes, 2 rounds of 20 messages on each way, in turns. Python 3.")


def test_shown():
    trips = tuple(float(number) for number in range(1, 201))
    cost = TapCost(Way("straight", 10_000, trips), Way("tapped", 8_000, trips), 100, 2, "A machine")
    assert str(cost).splitlines() == [
        "Echo of 100 bytes, 2 rounds of 100 messages on each way, in turns. A machine.",
        "              messages/s      p50      p90      p99      max   µs of a round trip, n = 200",
        "straight          10,000      101      181      199      200",
        "tapped             8,000      101      181      199      200",
        "Through the tap: 80% of the rate, 25 µs more for each echo.",
    ]
    assert repr(cost) == str(cost)


@pytest.mark.parametrize("options", [{"messages": 0}, {"rounds": 0}])
async def test_nothing_to_measure(options):
    with pytest.raises(rtlab.UsageError, match="from 1"):
        await tap_cost(**options)
