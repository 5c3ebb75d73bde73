"""A cluster of real processes: ready when it says so, whole again after each death, and gone without a trace."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from pathlib import Path

import aiohttp
import pytest
import socketio
from deadlines import SCALE, WAIT_S
from eventually import until
from processes import below, runs
from scale.cluster_apps import HERE, KINDS

import rtlab
from rtlab.errors import MissingProgramError
from rtlab.scale import crew, readiness, workers
from rtlab.scale.broker import open_broker
from rtlab.servers import programs

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(WAIT_S * 6)


@pytest.fixture(autouse=True)
def _everything_ours(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    monkeypatch.delenv("RTLAB_SECRET", raising=False)


@contextlib.asynccontextmanager
async def pages(app="pages", count=2, **options):
    """A cluster of workers without Socket.IO, which start quickly."""
    env = {**HERE, **options.pop("env", {})}
    async with rtlab.cluster(f"cluster_apps:{app}", count, "round_robin", redis=False, env=env, **options) as cluster:
        yield cluster


async def get(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        assert response.status == 200, response.status
        return await response.text()


def refuses(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) != 0


@pytest.fixture(autouse=True)
def _nothing_is_left():
    before = {each.pid for each in below()}
    yield
    assert {each.pid for each in below()} <= before
    assert rtlab.resources() == ()


async def said(cluster, url: str, text: str) -> bool:
    """Whether what is said at one worker is heard at each."""
    heard: list[str] = []
    clients = []
    for worker in cluster.workers:
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False, serializer=worker.offer.serializer)
        client.on("said", heard.append)
        await client.connect(worker.url, socketio_path=worker.offer.path, transports=["websocket"])
        clients.append(client)
    await clients[0].emit("say", text)
    await until(lambda: len(heard) == len(clients))
    for client in clients:
        await client.disconnect()
    return heard == [text] * len(clients)


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=() if kind in {"guarded", "echo"} else pytest.mark.long) for kind in KINDS],
)
async def test_each_kind_of_app(kind):
    async with rtlab.cluster(f"cluster_apps:{kind}", 2, env=HERE) as cluster:
        assert cluster.state == "ready"
        assert [worker.offer.path for worker in cluster.workers] == [KINDS[kind]] * 2
        if KINDS[kind] is not None:
            assert await said(cluster, cluster.url, "hello"), "at once: that is what ready means"
        assert all(worker.running for worker in cluster.workers)
        ports = [cluster.port, *(worker.port for worker in cluster.workers)]
    assert all(map(refuses, ports))
    assert cluster.state == "stopped"
    assert not cluster.broker.running


async def test_it_shows_it_all():
    async with pages() as cluster:
        shown = repr(cluster)
        head, columns, first, second, nginx = shown.splitlines()
        assert head == f"<Cluster {cluster.url}, cluster_apps:pages, round_robin over 2 workers, ready>"
        assert columns.split() == ["process", "address"]
        for line, worker in ((first, cluster.workers[0]), (second, cluster.workers[1])):
            assert line.split() == [worker.name, "ready", str(worker.pid), worker.url]
        assert nginx.split() == ["nginx", "running", str(cluster.balancer.child.pid), cluster.url, "round_robin"]
        assert rtlab.resources() == (cluster,)
        html = cluster._repr_html_()
        assert all(text in html for text in (cluster.workers[1].url, "&lt;Cluster", "round_robin", "<table>"))
        assert repr(cluster.workers[0]).startswith(f"<Worker worker-1, {cluster.workers[0].url}, process ")
        seen = {(await get(cluster.url)).split()[0] for _ in range(4)}
        assert seen == {"worker-1", "worker-2"}
        assert cluster.ws_url == f"ws://localhost:{cluster.port}"
        assert (cluster.ca, cluster.broker, cluster.balancing, cluster.running) == (None, None, "round_robin", True)
    assert "stopped>" in repr(cluster).splitlines()[0]
    await cluster.stop()
    for call in (cluster.ready(), cluster.kill("worker-1"), cluster.restart("worker-1"), cluster.rolling_restart()):
        with pytest.raises(rtlab.UsageError, match="was stopped"):
            await call


@pytest.mark.long
async def test_what_a_worker_finds_in_its_environment(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/a-redis-that-nobody-asked-for")
    async with pages(count=1, env={"COLOUR": "blue"}) as cluster:
        async with aiohttp.ClientSession() as http, http.get(f"{cluster.url}/environment") as response:
            found = await response.json()
    assert (found["RTLAB_WORKER"], found["COLOUR"]) == ("worker-1", "blue")
    assert found["RTLAB_SECRET"] == cluster.secret
    assert len(cluster.secret) >= 32
    assert "RTLAB_READY" not in found, "the key to the cluster's namespace goes no further"
    assert "REDIS_URL" not in found
    monkeypatch.setenv("RTLAB_SECRET", "the secret of all hosts, which has 32 bytes and more")
    async with pages(count=1) as cluster:
        assert cluster.secret == os.environ["RTLAB_SECRET"]


async def test_a_killed_worker_is_started_again_on_its_port():
    async with pages() as cluster:
        worker = cluster.workers[1]
        port, pid = worker.port, worker.pid
        await cluster.kill("worker-2")
        assert not runs(pid)
        assert {(await get(cluster.url)).split()[0] for _ in range(4)} >= {"worker-1"}, "the other one serves"
        await cluster.ready()
        assert worker.pid not in {None, pid}
        assert (worker.port, worker.restarts, worker.state) == (port, 1, "ready")
        assert await get(worker.url) == f"worker-2 {worker.pid}"
        texts = [str(event).partition(" ")[2] for event in cluster.events]
        assert texts == [
            f"worker-2 was killed (process {pid}, SIGKILL)",
            f"worker-2 was started again and is ready (process {worker.pid})",
        ]
        assert [line.text for line in cluster.log.lines("cluster")] == texts
        assert texts[0] in repr(cluster)
        assert "started again once" in repr(cluster)


@pytest.mark.long
async def test_a_worker_that_is_killed_for_good_stays_so_until_it_is_restarted():
    async with pages() as cluster:
        worker = cluster.workers[0]
        await cluster.kill(worker, restart=False)
        assert refuses(worker.port), "so that nginx asks the next one at once"
        assert {await get(cluster.url) for _ in range(5)} == {f"worker-2 {cluster.workers[1].pid}"}
        assert cluster.state == "not ready: worker-1 killed"
        await cluster.ready()
        with pytest.raises(rtlab.UsageError, match="worker-1 has no process that could be killed: killed"):
            await cluster.kill("worker-1")
        assert worker.pid is None
        await cluster.restart("worker-1")
        assert await get(worker.url) == f"worker-1 {worker.pid}"


async def test_a_worker_that_dies_by_itself_is_started_again_and_said_so(caplog):
    async with pages() as cluster:
        with contextlib.suppress(aiohttp.ClientError, AssertionError):
            await get(f"{cluster.workers[0].url}/die")
        await until(lambda: "worker-1 ended with exit status 3 by itself" in caplog.text)
        await cluster.ready()
        assert "worker-1 ended with exit status 3 by itself" in repr(cluster)
        assert caplog.records[0].levelname == "WARNING"


@pytest.mark.long
async def test_a_worker_that_dies_again_and_again_is_started_more_and_more_slowly(tmp_path, monkeypatch):
    monkeypatch.setattr(crew, "FIRST_DELAY_S", 0.05)
    monkeypatch.setattr(crew, "MOST_DELAY_S", 0.2)
    switch = tmp_path / "broken"
    async with pages("broken_by_a_file", env={"BREAKS": str(switch)}) as cluster:
        switch.touch()
        await cluster.kill("worker-1")
        await until(lambda: len(cluster.events) >= 4)
        delays = [event.text.rpartition(" in ")[2] for event in cluster.events if "attempt" in event.text]
        assert delays[:3] == ["0.2 s"] * 3
        assert (
            "worker-1 (cluster_apps:broken_by_a_file) ended with exit status 1; the next attempt"
            in cluster.events[1].text
        )
        assert "it is broken now" in cluster.workers[0].tail(), "and why"
        assert "starting" in cluster.state
        switch.unlink()
        await cluster.ready()
        assert cluster.state == "ready"


async def test_a_restart_drains_and_the_port_stays():
    async with pages() as cluster:
        worker = cluster.workers[0]
        port, pid = worker.port, worker.pid
        await cluster.restart("worker-1")
        assert worker.port == port
        assert worker.pid != pid
        assert worker.tail() == ["draining", "drained"]
        assert [event.text for event in cluster.events] == [
            "is restarted: it drains",
            f"is ready (process {worker.pid})",
        ]


async def test_a_rolling_restart_and_a_reload_lose_no_request():
    async with pages() as cluster:
        before = {worker.pid for worker in cluster.workers}
        lost, answered = [], 0

        async def ask() -> None:
            nonlocal answered
            async with aiohttp.ClientSession() as http:
                while True:
                    try:
                        async with http.get(cluster.url) as response:
                            await response.read()
                            answered += response.status == 200
                            if response.status != 200:
                                lost.append(response.status)
                    except aiohttp.ClientError as error:
                        lost.append(error)

        asking = [asyncio.create_task(ask()) for _ in range(3)]
        await cluster.rolling_restart()
        await cluster.reload()
        await cluster.rolling_restart()
        for task in asking:
            task.cancel()
        await asyncio.wait(asking)
        assert lost == []
        assert answered > 50
        assert before.isdisjoint({worker.pid for worker in cluster.workers})
        order = [event.name for event in cluster.events if "drains" in event.text]
        assert order == ["worker-1", "worker-2"] * 2


@pytest.mark.long
async def test_a_restart_that_fails_says_why_and_a_rolling_one_goes_no_further(tmp_path):
    switch = tmp_path / "broken"
    async with pages("broken_by_a_file", env={"BREAKS": str(switch)}) as cluster:
        switch.touch()
        pid = cluster.workers[1].pid
        with pytest.raises(rtlab.ChildError, match=r"(?s)worker-1 .*exit status 1.*it is broken now"):
            await cluster.rolling_restart()
        assert cluster.workers[1].pid == pid, "the others go on with the code that they have"
        assert any("was not restarted as it should" in event.text for event in cluster.events)
        switch.unlink()
        await cluster.ready()


async def test_a_frozen_worker_is_restarted_and_stopped():
    async with pages() as cluster:
        os.kill(cluster.workers[0].pid, signal.SIGSTOP)
        await cluster.restart("worker-1")
        assert await get(cluster.workers[0].url)
        os.kill(cluster.workers[0].pid, signal.SIGSTOP)
    assert cluster.workers[0].tail()[-1] == "drained", "it hears SIGTERM all the same"


@pytest.mark.long
async def test_nginx_that_dies_is_started_again_on_its_port():
    async with pages() as cluster:
        url, first = cluster.url, cluster.balancer
        os.kill(cluster.balancer.child.pid, signal.SIGKILL)
        await until(lambda: cluster.balancer is not first)
        assert cluster.url == url
        assert await get(url)
        assert [event.name for event in cluster.events] == ["nginx", "nginx"]


async def test_a_redis_that_dies_is_told_of():
    async with rtlab.cluster("cluster_apps:plain", 2, env=HERE) as cluster:
        await cluster.broker.kill()
        await until(lambda: cluster.events)
        assert cluster.state == "not ready: Redis is gone"
        assert "redis ended with signal SIGKILL; until `await cluster.broker.restart()`" in str(cluster.events[0])
        await cluster.broker.restart()
        await until(lambda: len(cluster.events) == 2)
        password = cluster.broker.url.partition("@")[0].rpartition(":")[2]
        for shown in (repr(cluster), cluster._repr_html_(), str(cluster.log), *map(str, cluster.events)):
            assert password not in shown
            assert cluster.secret not in shown


@pytest.mark.long
async def test_two_clusters_on_a_redis_of_ones_own(monkeypatch):
    async with open_broker() as yours:
        monkeypatch.setenv("REDIS_URL", yours.url)
        async with (
            rtlab.cluster("cluster_apps:plain", 2, env=HERE) as one,
            rtlab.cluster("cluster_apps:guarded", 2, env=HERE) as two,
        ):
            for cluster in (one, two):
                assert cluster.broker.child is None
                redis = next(line for line in repr(cluster).splitlines() if line.startswith("  redis"))
                assert redis.split()[1:3] == ["running", "-"]
                assert "your own" in redis
            await one.restart("worker-2")
        assert yours.running
        assert rtlab.resources() == (yours,)


@pytest.mark.long
async def test_two_clusters_at_the_same_time():
    async with pages() as one, pages(count=1) as two:
        assert rtlab.resources() == (one, two)
        assert {(await get(one.url)).split()[1] for _ in range(4)} == {str(worker.pid) for worker in one.workers}
        assert await get(two.url) == f"worker-1 {two.workers[0].pid}"
        await one.kill("worker-1")
        assert two.events == ()
        await one.ready()


@pytest.mark.long
async def test_a_cluster_of_the_same_name_takes_its_place(capsys):
    first = await rtlab.start_cluster("cluster_apps:pages", 1, redis=False, env=HERE, name="mine")
    second = await rtlab.start_cluster("cluster_apps:pages", 1, redis=False, env=HERE, name="mine")
    assert (first.running, second.running) == (False, True)
    assert capsys.readouterr().out == (
        f"Stopped <Cluster http://localhost:{first.port}, cluster_apps:pages, sticky over 1 worker, ready>, started "
        "under the name 'mine'.\n"
    )
    await second.stop()


async def test_a_worker_that_fails_to_import_fails_the_start_at_once(monkeypatch):
    monkeypatch.setattr(workers, "READY_S", 1000 * SCALE)
    with pytest.raises(rtlab.ChildError) as caught:
        await rtlab.start_cluster("cluster_apps:broken", 2, redis=False, env=HERE)
    assert "worker-2 (cluster_apps:broken) ended with exit status 1" in str(caught.value)
    assert "RuntimeError: no database" in str(caught.value)


@pytest.mark.parametrize(
    ("app", "said"),
    [
        pytest.param(
            "nonesuch_module:app",
            "There is no module 'nonesuch_module', which 'nonesuch_module:app' asks for",
            marks=pytest.mark.long,
        ),
        ("cluster_apps:nonesuch", "Module 'cluster_apps' has no 'nonesuch'"),
        pytest.param("cluster_apps:HERE", "Expected an aiohttp web.Application", marks=pytest.mark.long),
    ],
)
async def test_an_app_that_is_none_fails_the_start(app, said):
    with pytest.raises(rtlab.ChildError, match=said):
        await rtlab.start_cluster(app, 1, redis=False, env=HERE)


@pytest.mark.long
async def test_a_worker_that_is_never_ready_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "READY_S", 2.0)
    with pytest.raises(rtlab.ChildError, match=r"worker-1 \(cluster_apps:slow\) did not listen within 2 s"):
        await rtlab.start_cluster("cluster_apps:slow", 1, redis=False, env={**HERE, "IMPORTING": str(tmp_path)})


@pytest.mark.parametrize(
    ("app", "said"),
    [
        pytest.param(
            "alone",
            r"its client manager is AsyncManager, which knows one process\. Expected socketio\.AsyncServer\(",
            marks=pytest.mark.long,
        ),
        ("deaf", r"worker-1 .* no message crossed within 1 s from worker-1 to worker-2, from worker-2 to worker-1"),
        pytest.param("closed", "did not let the cluster in", marks=pytest.mark.long),
    ],
)
async def test_messages_that_do_not_cross(app, said, monkeypatch):
    if app == "deaf":
        monkeypatch.setattr(readiness, "CROSS_S", 1.0)
    with pytest.raises(rtlab.ChildError, match=said) as caught:
        await rtlab.start_cluster(f"cluster_apps:{app}", 2, env=HERE)
    assert "crosses=False" in str(caught.value)


@pytest.mark.long
async def test_messages_that_need_not_cross():
    async with rtlab.cluster("cluster_apps:alone", 2, env=HERE, crosses=False) as cluster:
        assert cluster.state == "ready"


@pytest.mark.parametrize(
    "when", [pytest.param("Valkey starts", marks=pytest.mark.long), "workers import", "messages cross"]
)
async def test_a_start_that_is_cancelled_leaves_nothing(when, tmp_path, monkeypatch):
    app = {"messages cross": "deaf"}.get(when, "slow")
    env = {**HERE, "IMPORTING": str(tmp_path)}
    starting = asyncio.create_task(rtlab.start_cluster(f"cluster_apps:{app}", 2, env=env))
    match when:
        case "Valkey starts":
            await until(below)
        case "workers import":
            await until(lambda: len(list(tmp_path.iterdir())) == 2)
        case "messages cross":
            crossing = asyncio.Event()
            check = readiness.Crossing._client

            def noted(*given):
                crossing.set()
                return check(*given)

            monkeypatch.setattr(readiness.Crossing, "_client", noted)
            await crossing.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert below() == {}


@pytest.mark.long
async def test_a_taken_port_fails_the_start():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        with pytest.raises(rtlab.UsageError, match="is taken"):
            await rtlab.start_cluster("cluster_apps:pages", 1, redis=False, env=HERE, port=taken.getsockname()[1])


@pytest.mark.long
async def test_a_stop_in_the_middle_of_a_restart():
    cluster = await rtlab.start_cluster("cluster_apps:pages", 2, redis=False, env=HERE)
    restarting = asyncio.create_task(cluster.rolling_restart())
    await until(lambda: cluster.events)
    await cluster.stop()
    await asyncio.wait([restarting])
    assert restarting.cancelled() or restarting.exception()


@pytest.mark.long
async def test_the_chat_loses_no_message_that_it_has_acknowledged():
    """Through a rolling restart, a reload and a SIGKILL: who wrote it tries again, and who reads it comes back."""
    async with rtlab.cluster(workers=2) as cluster:

        async def come(name: str):
            token = rtlab.chat.issue_token(name, cluster.secret, expires_s=600)
            client = await rtlab.chat.connect(cluster.url, token=token)
            await client.join("lobby")
            return client

        alice, bob = await come("alice"), await come("bob")
        acknowledged: list[str] = []
        over = asyncio.Event()

        async def write() -> None:
            while not over.is_set():
                with contextlib.suppress(rtlab.chat.ChatError):  # not acknowledged: nobody was promised anything
                    acknowledged.append((await alice.send("lobby", f"message {len(acknowledged)}")).id)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), 0.1)  # ten a second, which the chat lets a user send

        writing = asyncio.create_task(write())
        await cluster.rolling_restart()
        await cluster.reload()
        await cluster.kill("worker-1")
        await cluster.ready()
        over.set()
        await writing
        last = (await alice.send("lobby", "the last one")).id
        heard: list[str] = []
        async with asyncio.timeout(WAIT_S):
            while last not in heard:
                heard.append((await bob.next("chat:message", within_s=WAIT_S)).data["id"])
        assert len(acknowledged) > 5
        assert [each for each in heard if each in {*acknowledged, last}] == [*acknowledged, last], "once, and in order"
        await alice.close()
        await bob.close()


async def test_tls(tmp_path):
    import ssl

    async with pages(count=1, tls=True) as cluster:
        assert (cluster.url[:8], cluster.ws_url[:6]) == ("https://", "wss://")
        context = ssl.create_default_context(cafile=cluster.ca)
        async with aiohttp.ClientSession() as http, http.get(cluster.url, ssl=context) as response:
            assert (await response.text()).startswith("worker-1 ")
        assert Path(cluster.ca).exists()
