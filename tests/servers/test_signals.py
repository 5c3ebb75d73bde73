"""One way to be told to end, for every program of rtlab."""

import asyncio
import os
import signal

import pytest
from deadlines import WAIT_S

from rtlab.servers.signals import until_signal


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_says_which_signal_came(number):
    asked = until_signal()
    os.kill(os.getpid(), number)
    async with asyncio.timeout(WAIT_S):
        assert await asked == number


async def test_a_second_call_waits_for_the_next_signal():
    first = until_signal()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(WAIT_S):
        await first
        second = until_signal()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert await second in {signal.SIGINT, signal.SIGTERM}
        assert await first == signal.SIGTERM
