"""Processes of ours: stopped until they are continued, and never for longer than we live."""

import asyncio
import signal
import subprocess
import sys

import psutil
import pytest
from deadlines import WAIT_S
from eventually import eventually
from quick import quick

from rtlab.errors import UsageError
from rtlab.instruments.faults.processes import continue_, kill, stop
from rtlab.scale.broker import Broker, open_broker
from rtlab.servers.supervisor import Child

pytestmark = pytest.mark.timeout(WAIT_S * 3)

SCRIPT = """
import asyncio, sys
from rtlab.instruments.faults.processes import stop
from rtlab.servers.supervisor import Child

async def main():
    child = Child(["sleep", "1000"], name="sleeper")
    try:
        await stop(child)
        print(child.pid, child.watchdog_pid, flush=True)
        await asyncio.sleep(1000)
    finally:
        child.close()

asyncio.run(main())
"""


@pytest.fixture
def sleeper():
    child = Child(["sleep", "1000"], name="sleeper")
    yield child
    child.close()


def state(child):
    return psutil.Process(child.pid).status()


async def test_a_stopped_one_is_stopped_when_that_is_said(sleeper):
    await stop(sleeper)
    assert state(sleeper) == psutil.STATUS_STOPPED
    await stop(sleeper)
    await continue_(sleeper)
    eventually(lambda: state(sleeper) == psutil.STATUS_SLEEPING)
    await continue_(sleeper)


async def test_a_killed_one_is_dead_when_that_is_said(sleeper):
    await stop(sleeper)
    await kill(sleeper)
    assert sleeper.returncode == -signal.SIGKILL
    for act, word in ((stop, "stopped"), (continue_, "continued"), (kill, "killed")):
        with pytest.raises(UsageError, match=f"sleeper cannot be {word}: it has ended with signal SIGKILL"):
            await act(sleeper)


async def test_a_stopped_one_can_be_closed(sleeper):
    await stop(sleeper)
    async with asyncio.timeout(WAIT_S):
        await sleeper.aclose()
    assert sleeper.returncode == -signal.SIGTERM, "it was woken, and not killed"


async def test_a_broker_knows_that_it_is_frozen():
    async with open_broker() as broker:
        await stop(broker)
        assert repr(broker).endswith(", frozen>")
        await continue_(broker)
        assert repr(broker).endswith(", running>")
        await kill(broker)
        assert not broker.running
        await broker.restart()


class HasNone:
    child = None

    def __repr__(self):
        return "<Worker worker-1>"


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (1234, "Expected a process that the lab has started, such as cluster.workers"),
        ("worker-1", "got 'worker-1'"),
        (HasNone(), "<Worker worker-1> cannot be stopped: it has no process of its own now"),
        (Broker("redis://127.0.0.1:1", "your own"), "is a server of your own, named by REDIS_URL"),
    ],
)
async def test_what_is_no_process_of_ours(what, said):
    with pytest.raises(UsageError, match=said):
        await stop(what)


@pytest.mark.parametrize("number", quick([signal.SIGINT, signal.SIGKILL], [signal.SIGKILL]))
def test_no_stopped_process_outlives_us(number):
    """Ctrl-C, and no chance to do anything: its watchdog wakes it and ends it."""
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ours:
        pids = [int(each) for each in ours.stdout.readline().split()]
        assert len(pids) == 2
        assert psutil.Process(pids[0]).status() == psutil.STATUS_STOPPED
        ours.send_signal(number)
        ours.wait(WAIT_S)
    eventually(lambda: not any(map(psutil.pid_exists, pids)), pids)
