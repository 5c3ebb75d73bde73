"""A real kernel with Valkey, nginx and a Python worker under it, and every way in which a kernel can end."""

import asyncio
import contextlib
import json
import socket
import textwrap
import time
from pathlib import Path

import psutil
import pytest
from deadlines import WAIT_S
from eventually import until
from jupyter_client.manager import AsyncKernelManager
from quick import quick

pytestmark = pytest.mark.timeout(WAIT_S * 4)

APP = """
from aiohttp import web

async def hello(_):
    return web.Response(text="hello")

def create():
    app = web.Application()
    app.router.add_get("/", hello)
    return app
"""

CHILDREN = """
import json, rtlab, socket
from pathlib import Path
from rtlab.servers import programs
from rtlab.servers.ports import free_port
from rtlab.servers.supervisor import Child

valkey_port, nginx_port = free_port(), free_port()
options = ["--port", str(valkey_port), "--bind", "127.0.0.1", "--save", ""]
valkey = Child([*programs.valkey().command, *options], name="Valkey")
conf = Path("nginx.conf").absolute()
conf.write_text(f'''
    daemon off; worker_processes 2; pid nginx.pid; error_log stderr;
    events {{ }}
    http {{ access_log off; server {{ listen 127.0.0.1:{nginx_port}; location / {{ return 200; }} }} }}
''')
nginx = Child([*programs.nginx().command, "-p", conf.parent, "-c", conf], name="nginx")
worker = await rtlab.start("an_app:create", in_child=True)

def all_up():
    for port in (valkey_port, nginx_port, worker.port):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)):
                return False
    return True

import asyncio
while not all_up():
    await asyncio.sleep(0.01)
children = [valkey, nginx, worker.child]
print(json.dumps({
    "pids": [pid for each in children for pid in (each.pid, each.watchdog_pid)],
    "ports": [valkey_port, nginx_port, worker.port],
    "directories": [str(each.directory) for each in children],
}))
"""


class Kernel:
    """A kernel, and a client that runs code in it."""

    def __init__(self, manager, client):
        self.manager = manager
        self.client = client
        self.traceback = ""
        """What the last error looked like to the reader."""

    async def send(self, code: str, cell_id: str = "a-cell") -> str:
        """Start running a cell, as JupyterLab does; gives the id of the request."""
        message = self.client.session.msg(
            "execute_request",
            {"code": textwrap.dedent(code), "silent": False, "store_history": True, "user_expressions": {},
             "allow_stdin": False, "stop_on_error": True},
            metadata={"cellId": cell_id},
        )  # fmt: skip
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    async def result(self, request: str) -> tuple[str, str]:
        """Wait until a cell has ended. Gives what it printed, and the name of the error ('' for none)."""
        printed, error = "", ""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.client.get_iopub_msg()
                if message["parent_header"].get("msg_id") != request:
                    continue
                match message["msg_type"]:
                    case "stream":
                        printed += message["content"]["text"]
                    case "execute_result":
                        printed += message["content"]["data"]["text/plain"]
                    case "error":
                        error = message["content"]["ename"]
                        printed += message["content"]["evalue"]
                        self.traceback = "\n".join(message["content"]["traceback"])
                    case "status" if message["content"]["execution_state"] == "idle":
                        return printed, error

    async def speaks(self, request: str) -> None:
        """Wait until a cell has printed something: from then on the interrupt button is meant for its code."""
        async with asyncio.timeout(WAIT_S):
            while True:
                message = await self.client.get_iopub_msg()
                if message["parent_header"].get("msg_id") == request and message["msg_type"] == "stream":
                    return

    async def run(self, code: str, cell_id: str = "a-cell") -> str:
        """Run a cell that has no error. Gives what it printed."""
        printed, error = await self.result(await self.send(code, cell_id))
        assert not error, f"{error}: {printed}"
        return printed


@pytest.fixture
async def kernel(tmp_path):
    """A fresh kernel in a folder with an app; ended by force at the end."""
    (tmp_path / "an_app.py").write_text(APP)
    manager = AsyncKernelManager(kernel_name="python3")
    await manager.start_kernel(cwd=str(tmp_path))
    client = manager.client()
    client.start_channels()
    await client.wait_for_ready(timeout=WAIT_S)
    yield Kernel(manager, client)
    client.stop_channels()
    with contextlib.suppress(ProcessLookupError):
        await manager.shutdown_kernel(now=True)


async def wait_until_gone(started: dict) -> None:
    """Wait until the processes, ports and directories of the children are gone."""

    def what_is_left() -> list[str]:
        left = []
        for pid in started["pids"]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    left.append(f"process {pid} {process.name()}")
        for port in started["ports"]:
            with socket.socket() as client:
                if client.connect_ex(("127.0.0.1", port)) == 0:
                    left.append(f"port {port}")
        return left + [each for each in started["directories"] if Path(each).exists()]

    await until(lambda: not what_is_left(), lambda: f"nothing is left, and there is {what_is_left()}")


@pytest.mark.parametrize("end", quick(["SIGKILL", "restart", "shutdown", "crash"], ["SIGKILL", "restart"]))
async def test_nothing_outlives_the_kernel(kernel, end):
    started = json.loads(await kernel.run(CHILDREN))
    assert len(started["pids"]) == 6
    assert all(psutil.pid_exists(pid) for pid in started["pids"])
    match end:
        case "SIGKILL":
            await kernel.manager.signal_kernel(9)
        case "restart":
            await kernel.manager.restart_kernel()
        case "shutdown":
            await kernel.manager.shutdown_kernel()
        case "crash":
            await kernel.send("import ctypes; ctypes.string_at(0)")
    await wait_until_gone(started)


CLUSTER = """
import json, os, rtlab
cluster = await rtlab.start_cluster("an_app:create", 3)
children = [*(worker.child for worker in cluster.workers), cluster.balancer.child, cluster.broker.child]
print(json.dumps({
    "pids": [pid for each in children for pid in (each.pid, each.watchdog_pid)],
    "ports": [*(worker.port for worker in cluster.workers), cluster.port, int(cluster.broker.url.rpartition(":")[2])],
    "directories": [str(each.directory) for each in children],
}))
"""


@pytest.mark.parametrize("end", quick(["SIGKILL", "restart", "stop"], ["SIGKILL"]))
async def test_no_part_of_a_cluster_outlives_the_kernel(kernel, end):
    started = json.loads(await kernel.run(CLUSTER))
    assert len(started["pids"]) == 10, "three workers, nginx and Valkey, each with its watchdog"
    assert all(psutil.pid_exists(pid) for pid in started["pids"])
    started["pids"] += [child.pid for child in psutil.Process(kernel.manager.provisioner.pid).children(recursive=True)]
    match end:
        case "SIGKILL":
            await kernel.manager.signal_kernel(9)
        case "restart":
            await kernel.manager.restart_kernel()
        case "stop":
            await kernel.run("await cluster.stop()")
    await wait_until_gone(started)


async def test_a_second_run_of_the_cell_with_a_cluster_replaces_it(kernel):
    cell = "import rtlab\ncluster = await rtlab.start_cluster('an_app:create', 1, redis=False)\ncluster.port"
    first = await kernel.run(cell, cell_id="one")
    line, second = (await kernel.run(cell, cell_id="one")).splitlines()
    assert line == (
        f"Stopped <Cluster http://localhost:{first}, an_app:create, sticky over 1 worker, ready>, started by an "
        "earlier run of this cell."
    )
    assert second != first
    assert (await kernel.run("len(rtlab.resources())")) == "1"


async def test_a_cluster_whose_start_is_interrupted_leaves_nothing(kernel, tmp_path):
    (tmp_path / "slow_app.py").write_text("import signal, pathlib; pathlib.Path('importing').touch(); signal.pause()")
    running = await kernel.send("import rtlab; await rtlab.start_cluster('slow_app:app', 2)")
    await until((tmp_path / "importing").exists)
    children = psutil.Process(kernel.manager.provisioner.pid).children(recursive=True)
    await kernel.manager.interrupt_kernel()
    _, error = await kernel.result(running)
    assert error in {"CancelledError", "KeyboardInterrupt"}
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert not alive
    assert await kernel.run("rtlab.resources()") == "nothing is open"


async def test_the_interrupt_button_spares_what_runs(kernel):
    started = json.loads(await kernel.run(CHILDREN))
    running = await kernel.send("import asyncio; print('waiting', flush=True); await asyncio.sleep(1000)")
    await kernel.speaks(running)
    await kernel.manager.interrupt_kernel()
    _, error = await kernel.result(running)
    assert error in {"CancelledError", "KeyboardInterrupt"}
    assert await kernel.run("all_up(), worker.running") == "(True, True)"
    await kernel.run("await rtlab.resources().stop(); valkey.close(); nginx.close()")
    await wait_until_gone(started)


async def test_an_interrupted_start_leaves_nothing(kernel, tmp_path):
    (tmp_path / "slow_app.py").write_text("import signal, pathlib; pathlib.Path('importing').touch(); signal.pause()")
    running = await kernel.send("import rtlab; await rtlab.start('slow_app:app', in_child=True)")
    await until((tmp_path / "importing").exists)
    children = psutil.Process(kernel.manager.provisioner.pid).children(recursive=True)
    assert len(children) >= 2, "a watchdog and a worker"
    await kernel.manager.interrupt_kernel()
    _, error = await kernel.result(running)
    assert error in {"CancelledError", "KeyboardInterrupt"}
    _, alive = psutil.wait_procs(children, timeout=WAIT_S)
    assert not alive
    assert await kernel.run("rtlab.resources()") == "nothing is open"


async def test_the_interrupt_button_lands_at_once(kernel):
    """As quickly as in a cell that wakes up by itself every 0.1 s; measured in turns, in one run.

    The latency is bounded by the ticker's period. A bare sleep ends only when something else happens to wake the
    event loop, which takes seconds.
    """
    ticking = """
        import asyncio
        while True:
            await asyncio.sleep(0.1)
    """
    sleeping = "import asyncio; await asyncio.sleep(1000)"
    await kernel.run("import rtlab; server = await rtlab.start('an_app:create')", cell_id="start")

    async def latency(code: str) -> float:
        running = await kernel.send(f"print('go', flush=True)\n{textwrap.dedent(code)}")
        await kernel.speaks(running)
        began = time.perf_counter()
        await kernel.manager.interrupt_kernel()
        await kernel.result(running)
        return time.perf_counter() - began

    with_a_server, by_hand = [], []
    for _ in range(5):
        with_a_server.append(await latency(sleeping))
        by_hand.append(await latency(ticking))
    print(f"interrupt latency, n=5, worst: {max(with_a_server):.3f} s with a server open, {max(by_hand):.3f} s by hand")
    assert min(with_a_server) < 2 * max(by_hand)
    assert sorted(with_a_server)[2] < 0.1 + 2 * max(by_hand)


async def test_a_second_run_of_the_same_cell_replaces(kernel):
    cell = "import rtlab\nserver = await rtlab.start('an_app:create')\nserver.port"
    first = await kernel.run(cell, cell_id="one")
    second = await kernel.run(cell, cell_id="one")
    line, port = second.splitlines()
    assert line == (
        f"Stopped <Server http://127.0.0.1:{first}, aiohttp application, running>, "
        "started by an earlier run of this cell."
    )
    other = await kernel.run(cell, cell_id="two")
    assert len({first, port, other}) == 3
    assert "Stopped" not in other
    open_now = await kernel.run("rtlab.resources()")
    assert [first in open_now, port in open_now, other in open_now] == [False, True, True]


async def test_a_cell_that_fails_the_second_time_says_what_its_name_refers_to(kernel):
    start = "import rtlab; server = await rtlab.start(an_app)"
    await kernel.run("import an_app as module; an_app = module.create")
    await kernel.run(start, "the-cell")
    port = await kernel.run("server.port", "another")
    await kernel.run("an_app = lambda: None", "another")
    printed, error = await kernel.result(await kernel.send(start, "the-cell"))
    assert (error, "gave None" in printed) == ("UsageError", True), printed
    assert f"Nothing runs in the place of <Server http://127.0.0.1:{port}" in kernel.traceback
    assert "still refers to the stopped one" in kernel.traceback
    printed, error = await kernel.result(await kernel.send("server.url", "another"))
    assert (error, "was stopped" in printed) == ("UsageError", True), printed


async def test_names_and_await_in_a_kernel(kernel):
    printed, error = await kernel.result(await kernel.send("from rtlab import tapp"))
    assert (error, "Did you mean 'tap'" in printed) == ("ImportError", True), printed
    shown = await kernel.run("import rtlab; server = rtlab.start('an_app:create'); server")
    assert "not awaited. Write: server = await rtlab.start(…)" in shown
    assert "an_app" not in await kernel.run("server = await server; print(server.running); await server.stop()")
