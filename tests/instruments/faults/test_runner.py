"""A schedule applied to a real cluster and its proxies: each fault comes, and each is undone, whatever happens."""

import asyncio
import contextlib
import logging
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from deadlines import WAIT_S
from eventually import eventually, until
from redis.exceptions import ConnectionError as RedisConnectionError
from scale.cluster_apps import HERE

import rtlab
from rtlab.errors import MissingProgramError
from rtlab.instruments.faults.runner import Faults
from rtlab.instruments.faults.schedule import FaultKind, Schedule
from rtlab.scale.redis_url import client_of
from rtlab.servers import programs

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(WAIT_S * 6)
LONG_S = WAIT_S * 2


@pytest.fixture(autouse=True)
def _everything_ours(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)


@contextlib.asynccontextmanager
async def running(redis=True, workers=2):
    """A cluster of workers that start quickly, and a proxy for each of two clients."""
    async with (
        rtlab.cluster("cluster_apps:pages", workers, "round_robin", redis=redis, env=HERE, crosses=False) as cluster,
        rtlab.fault_proxy(cluster) as alice,
        rtlab.fault_proxy(cluster) as bob,
    ):
        yield cluster, {"alice": alice, "bob": bob}


def status(process):
    return psutil.Process(process.child.pid).status()


def is_frozen(process):
    return status(process) == psutil.STATUS_STOPPED


async def test_each_kind_comes_and_is_undone():
    said = []
    schedule = Schedule.parse("""
        at 1: worker_frozen worker-1 for 9
        at 1: stalled alice to client for 9
        at 1: delayed bob for 9
        at 1: redis_frozen redis for 9
        at 20: worker_killed worker-1 for 9
        at 20: redis_killed redis for 9
        at 20: acks_swallowed * for 9
        at 40: subscription_cut redis
        at 40: connections_cut alice
        at 40: half_closed bob to client for 9
        at 40: worker_drained worker-2
    """)
    async with running() as (cluster, proxies):
        alice, bob = proxies["alice"], proxies["bob"]
        one, two = cluster.workers
        first, second = one.pid, two.pid
        async with Faults(
            schedule, cluster=cluster, proxies=proxies, on=lambda *it: said.append(it), most_s=LONG_S
        ) as faults:
            faults.reached(0)
            assert faults.active == faults.done == ()
            faults.reached(5)
            assert [str(each) for each in faults.active] == [str(each) for each in schedule.steps[:4]]
            await until(lambda: is_frozen(one) and is_frozen(cluster.broker))
            assert (alice.state, bob.state) == ("stalled to client", "to server 0.2 s late, to client 0.2 s late")
            faults.reached(3)  # is past
            faults.reached(13)
            assert len(faults.active) == 4
            faults.reached(14)
            await until(lambda: not faults.active)
            assert not is_frozen(one)
            assert not is_frozen(cluster.broker)
            assert alice.state == bob.state == "healthy"
            assert cluster.broker.running

            faults.reached(20)
            await until(lambda: not one.running and not cluster.broker.running)
            assert alice.state == bob.state == "without acks"
            faults.reached(30)
            await until(lambda: not faults.active)
            assert one.state == "ready"
            assert one.pid != first
            assert cluster.broker.running

            async with client_of(cluster.broker.url) as client, client.pubsub() as subscribed:
                await subscribed.subscribe("news")
                await subscribed.get_message(timeout=WAIT_S)
                writers = [(await asyncio.open_connection("127.0.0.1", each.port))[1] for each in (alice, bob)]
                for proxy in (alice, bob):
                    await until(lambda proxy=proxy: [each.state for each in proxy.connections] == ["healthy"])
                faults.reached(45)
                await until(lambda: not alice.connections)
                await until(lambda: [each.state for each in bob.connections] == ["half closed to client"])
                with pytest.raises(RedisConnectionError):
                    await subscribed.get_message(timeout=WAIT_S)
                faults.reached(54)
                await until(lambda: not bob.connections)
                for writer in writers:
                    writer.close()
        assert two.pid != second
        assert cluster.state == "ready"
    assert [each.problem for each in faults.done] == [""] * len(schedule.steps)
    assert [each.step for each in faults.done] == list(schedule.steps)
    assert {each.began for each in faults.done} == {5, 20, 45}
    assert said.count(("cut off from its subscribers", "redis", "")) == said.count(("cut off", "alice", "")) == 1
    lasted = {(what, target) for what, target, phase in said if phase == "begin"}
    assert lasted >= {("frozen", "worker-1"), ("drained", "worker-2"), ("killed", "redis"), ("left without acks", "*")}
    for what, target in lasted:
        assert said.index((what, target, "begin")) < said.index((what, target, "end"))


ALL_AT_ONCE = """
at 1: worker_frozen worker-1 for 1000
at 1: redis_frozen redis for 1000
at 1: worker_killed worker-2 for 1000
at 1: stalled alice to server for 1000
at 1: acks_swallowed bob for 1000
at 500: worker_frozen worker-2 for 1000
"""


async def test_what_is_cancelled_in_the_middle_is_undone_all_the_same():
    async with running() as (cluster, proxies):
        one, two = cluster.workers
        began = asyncio.Event()

        async def spoil():
            async with Faults(Schedule.parse(ALL_AT_ONCE), cluster=cluster, proxies=proxies, most_s=LONG_S) as faults:
                faults.reached(1)
                await until(lambda: is_frozen(one) and is_frozen(cluster.broker) and not two.running)
                began.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(spoil())
        await began.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not is_frozen(one)
        assert not is_frozen(cluster.broker)
        assert [each.state for each in proxies.values()] == ["healthy", "healthy"]
        await until(lambda: cluster.state == "ready", lambda: cluster)


@pytest.mark.long
async def test_whoever_is_cancelled_a_second_time_waits_no_longer_and_it_is_undone():
    async with running(redis=False, workers=1) as (cluster, proxies):
        schedule = Schedule.parse("at 1: worker_killed worker-1 for 99\nat 1: stalled alice to server for 99")
        faults = Faults(schedule, cluster=cluster, proxies=proxies, most_s=LONG_S)
        faults.reached(1)
        await until(lambda: not cluster.workers[0].running)
        healing = asyncio.create_task(faults.heal())
        await until(lambda: proxies["alice"].state == "healthy")
        healing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await healing
        assert faults.active
        await faults.heal()
        assert not faults.active
        assert cluster.state == "ready"
        faults.reached(1000)
        assert len(faults.done) == 2, "nothing begins any more"


async def test_a_fault_ends_without_messages_too(monkeypatch):
    """While nothing gets through, nobody sends, and so its messages would never come."""
    monkeypatch.setattr("rtlab.instruments.faults.runner.MOST_S", 10 * LONG_S)  # it is for whoever says nothing else
    async with rtlab.fault_proxy("http://127.0.0.1:1") as proxy:
        faults = Faults(Schedule.parse("at 1: stalled alice to server for 1000"), proxies={"alice": proxy}, most_s=0.05)
        faults.reached(1)
        await until(lambda: proxy.state == "stalled to server")
        await until(lambda: proxy.state == "healthy")
        await faults.heal()
        assert str(faults.done[0]) == "at 1: stalled alice to server for 1000: undone at 1"


async def test_what_goes_wrong_with_a_fault_is_noted_and_ends_nothing(caplog):
    caplog.set_level(logging.CRITICAL, "rtlab")

    def on(what, target, phase):
        if target == "bob":
            raise ValueError("a recorder that is full")

    schedule = Schedule.parse("""
        at 1: worker_frozen worker-1 for 5
        at 1: stalled alice to server for 5
        at 1: stalled bob to server for 5
    """)
    async with running(redis=False, workers=1) as (cluster, proxies):
        await cluster.kill("worker-1", restart=False)
        async with Faults(schedule, cluster=cluster, proxies=proxies, on=on) as faults:
            faults.reached(1)
            await until(lambda: proxies["bob"].state == "stalled to server")
            await proxies["alice"].stop()
        assert proxies["bob"].state == "healthy"
        worker, alice, bob = faults.done
        assert "worker-1" in worker.problem
        assert "cannot be stopped: it has ended" in worker.problem
        assert alice.problem == ""
        assert bob.problem == "; ".join(["ValueError: a recorder that is full"] * 2)


async def test_faults_of_one_target_wait_for_each_other():
    schedule = Schedule.parse("at 1: stalled * to server for 100\nat 2: delayed * for 1\nat 3: connections_cut *")
    async with rtlab.fault_proxy("http://127.0.0.1:1") as proxy:
        faults = Faults(schedule, proxies={"alice": proxy}, most_s=LONG_S)
        faults.reached(3)
        await until(lambda: proxy.state == "stalled to server")
        assert proxy.state == "stalled to server"
        await faults.heal()
        assert [each.problem for each in faults.done] == ["", *["not begun: the schedule was ended before"] * 2]
        assert proxy.state == "healthy"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        ("at 1: stalled carol to server", "there is no 'carol' to hit. There are: *, alice, bob."),
        ("at 1: worker_killed worker-3", "there is no 'worker-3' to hit. There are: worker-1, worker-2."),
        ("at 1: worker_killed redis", "there is no 'redis' to hit"),
        ("at 1: redis_killed redis", "there is no 'redis' to hit. Give a cluster that has one."),
    ],
)
async def test_what_is_not_there_is_refused_before_anything_begins(step, said):
    class Names:  # no cluster is needed to know that
        def __init__(self, name):
            self.name = name

    class Named:
        workers = (Names("worker-1"), Names("worker-2"))
        broker = None

    with pytest.raises(rtlab.UsageError) as caught:
        Faults(Schedule.parse(step), cluster=Named(), proxies={"alice": None, "bob": None})
    assert said in str(caught.value)
    with pytest.raises(rtlab.UsageError, match=r"Give (a cluster|cluster=|proxies=)"):
        Faults(Schedule.parse(step))


async def test_a_redis_that_could_not_be_killed_is_not_started_again(monkeypatch):
    from rtlab.scale.broker import Broker, open_broker

    async def kill(broker):
        raise OSError("it does not die")

    async with open_broker() as broker:

        class Named:
            workers = ()

        Named.broker, before = broker, broker.child.pid
        with monkeypatch.context() as patched:
            patched.setattr(Broker, "kill", kill)
            async with Faults(Schedule.parse("at 1: redis_killed redis for 1"), cluster=Named()) as faults:
                faults.reached(1)
                await until(lambda: faults.done)
                await until(lambda: faults.done[0].problem or not faults.active)
        assert broker.running
        assert broker.child.pid == before
        assert faults.done[0].problem == "OSError: it does not die"


async def test_a_single_redis_cannot_fail_over_and_one_of_your_own_is_not_disturbed(monkeypatch):
    from rtlab.scale.broker import open_broker

    async with open_broker() as broker:

        class Named:
            workers = ()

        Named.broker = broker
        if not hasattr(broker, "failover"):
            with pytest.raises(rtlab.UsageError, match="one Redis alone has no replica"):
                Faults(Schedule.parse("at 1: failover redis"), cluster=Named())
        monkeypatch.setenv("REDIS_URL", broker.url)
        async with open_broker() as foreign:
            Named.broker = foreign
            with pytest.raises(rtlab.UsageError, match="your own, named by REDIS_URL, and the lab never disturbs it"):
                Faults(Schedule.parse("at 1: redis_frozen redis"), cluster=Named())


SCRIPT = """
import asyncio, sys, rtlab
from rtlab.instruments.faults.runner import Faults
from rtlab.instruments.faults.schedule import Schedule

async def main():
    env = {"PYTHONPATH": sys.argv[1]}
    async with rtlab.cluster("cluster_apps:pages", 1, "round_robin", env=env, crosses=False) as cluster:
        schedule = Schedule.parse("at 1: worker_frozen worker-1 for 9\\nat 1: redis_frozen redis for 9")
        async with Faults(schedule, cluster=cluster, most_s=1000) as faults:
            faults.reached(1)
            print(cluster.workers[0].pid, cluster.broker.child.pid, flush=True)
            await asyncio.sleep(1000)

asyncio.run(main())
"""


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_stopped_when_we_end_in_the_middle(number):
    command = [sys.executable, "-c", SCRIPT, str(Path(__file__).parents[2] / "scale")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as ours:
        pids = [int(each) for each in ours.stdout.readline().split()]
        assert len(pids) == 2
        eventually(lambda: all(psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids))
        ours.send_signal(number)
        ours.wait(WAIT_S)
    eventually(lambda: not any(map(psutil.pid_exists, pids)), pids)


def test_every_kind_is_made():
    """A new kind is not forgotten: each one is in the schedules above, or needs a group of Redis servers."""
    text = Path(__file__).read_text()
    assert [kind for kind in FaultKind if f": {kind} " not in text] == []
