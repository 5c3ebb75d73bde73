"""Work in turns: nobody waits for more than a step of each, and the loop comes in between."""

import asyncio

import pytest
from deadlines import WAIT_S

from rtlab.instruments import turns
from rtlab.instruments.turns import Turns

pytestmark = pytest.mark.timeout(WAIT_S * 2)


async def test_steps_take_turns_with_each_other_and_with_the_loop(monkeypatch):
    monkeypatch.setattr(turns, "TURN_S", 0)  # a step in each turn of the loop
    told, made = [], Turns()

    def worker(name, steps):
        def step():
            nonlocal steps
            told.append(name)
            steps -= 1
            return steps > 0

        return step

    made.join(worker("long", 5))
    made.join(worker("short", 1))
    for _ in range(4):
        await asyncio.sleep(0)
        told.append("loop")
    assert told == ["long", "loop", "short", "loop", "long", "loop", "long", "loop"]
    while told.count("long") < 5:
        await asyncio.sleep(0)
    assert not made._scheduled


async def test_many_short_steps_share_a_turn():
    left, made = [100], Turns()

    def step():
        left[0] -= 1
        return left[0] > 0

    made.join(step)
    turned = 0
    while left[0]:
        await asyncio.sleep(0)
        turned += 1
    assert turned < 50
