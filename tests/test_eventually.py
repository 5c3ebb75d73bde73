"""The loop that the tests wait with: it ends, whatever it waits for."""

import asyncio

import eventually as module
import pytest
from eventually import eventually, until


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(module, "WAIT_S", 0.05)


def test_it_gives_what_the_condition_gave():
    answers = iter([0, "", None, 5])
    assert eventually(lambda: next(answers)) == 5


async def test_it_awaits_too():
    answers = iter([0, "", None, 5])

    async def ask():
        return next(answers)

    assert await until(ask) == 5
    assert await until(lambda: 3) == 3


@pytest.mark.usefixtures("soon")
async def test_what_never_comes_is_a_failure_that_says_what():
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the moon"):
        eventually(lambda: False, "the moon")
    with pytest.raises(AssertionError, match="as far as this"):
        await until(lambda: False, lambda: "as far as this")


@pytest.mark.usefixtures("soon")
async def test_a_condition_that_hangs_is_one_too():
    with pytest.raises(TimeoutError):
        await until(asyncio.Event().wait)
