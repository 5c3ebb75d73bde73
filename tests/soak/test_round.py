"""Rounds of the soak: messages are written while everything is disturbed, and nothing is lost."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from deadlines import SCALE, WAIT_S
from quick import quick
from soak.unsafe_app import unsafe

from rtlab.chat.client.arrivals import Messages
from rtlab.errors import MissingProgramError
from rtlab.instruments.soaking.plan import SoakPlan
from rtlab.instruments.soaking.round import SoakRound
from rtlab.servers import programs, registry

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(WAIT_S * 15)
SEEDS = (1, 2, 3, 4, 5)
QUICK = ("worker_killed", "redis_killed", "subscription_cut", "connections_cut", "acks_swallowed", "half_closed")
"""The faults of the sample: all groups, and none that lasts."""


async def test_a_short_round():
    plan = SoakPlan(messages=100, workers=2, clients=3, durability="disk", kinds=QUICK)
    outcome = await SoakRound(plan).run()
    print(outcome)
    assert outcome.result == "pass", outcome
    assert set(outcome.faults) == set(QUICK)
    assert outcome.counts["acknowledged"] == outcome.counts["written"] == 100
    assert outcome.counts["received live"] > 100
    assert {each.result for each in outcome.verdict.findings} == {"pass"}


@pytest.mark.parametrize("seed", quick(SEEDS, SEEDS[:1]))
async def test_everything_fails_and_nothing_is_lost(seed):
    outcome = await SoakRound(SoakPlan(messages=2_000, seed=seed)).run()
    print(outcome, outcome.schedule, sep="\n")
    assert outcome.result == "pass", outcome
    assert outcome.counts["acknowledged"] >= 2_000
    assert len(outcome.faults) == 12


@pytest.mark.long
async def test_a_disk_alone():
    outcome = await SoakRound(SoakPlan(messages=1_000, durability="disk")).run()
    print(outcome, outcome.schedule, sep="\n")
    assert outcome.result == "pass", outcome


@pytest.mark.long
@pytest.mark.parametrize("without", ["duplicate check", "resume"])
async def test_without_a_safeguard_a_round_fails(without):
    """The scenes show it on purpose; here it happens by itself.

    For the gap repair there is the scene alone: that a message is published while nobody subscribes is luck.
    """
    kinds = ("acks_swallowed", "connections_cut", "subscription_cut", "worker_killed")
    plan = SoakPlan(
        messages=600,
        workers=2,
        durability="memory",
        kinds=kinds,
        app="soak.unsafe_app:create",
        env=unsafe(without),
    )
    outcome = await SoakRound(plan).run()
    print(outcome)
    assert outcome.result == outcome.verdict.result == "fail", outcome


@pytest.mark.long
async def test_what_an_application_is_not_given_is_found_although_the_observer_was_told(monkeypatch):
    given = Messages.__anext__
    numbers = itertools.count(1)

    async def all_but_the_fifth(self):
        if next(numbers) == 5:
            await given(self)
        return await given(self)

    monkeypatch.setattr(Messages, "__anext__", all_but_the_fifth)
    outcome = await SoakRound(SoakPlan(messages=50, workers=1, clients=2, durability="memory", kinds=())).run()
    assert outcome.verdict.result == "pass", outcome
    assert outcome.result == "fail"
    assert "One that differs" in str(outcome)


@pytest.mark.long
async def test_a_round_that_is_stopped_is_judged():
    this = SoakRound(SoakPlan(messages=100_000, workers=2, clients=3, durability="memory", kinds=("worker_frozen",)))
    running = asyncio.create_task(this.run())
    while this.written < 50:
        await asyncio.sleep(0.05)
    this.stop()
    outcome = await running
    assert outcome.result == "pass", outcome
    assert 50 <= outcome.counts["acknowledged"] < 5_000 * SCALE


@pytest.mark.long
@pytest.mark.parametrize("when", ["at once", "while it writes"])
async def test_a_round_that_is_cancelled_leaves_nothing(when):
    this = SoakRound(SoakPlan(messages=100_000, workers=2, clients=3, durability="disk", kinds=("redis_frozen",)))
    running = asyncio.create_task(this.run())
    if when == "at once":
        await asyncio.sleep(0)
    else:
        while this.written < 50:
            await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not registry.resources()
