"""The balancing table: what each kind of client gets from each kind of balancing, with real ones of both."""

from __future__ import annotations

import sys

import aiohttp
import pytest
from balanced_workers import connect_all, three_workers

from rtlab.errors import MissingProgramError
from rtlab.scale.balancer import open_balancer
from rtlab.servers import programs

try:
    programs.nginx()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

NINE = 9
NEIGHBOURS = [f"127.0.0.{last}" for last in range(1, 31)]
EVENLY, ALL_ON_ONE, NOBODY = [3, 3, 3], [9], []
TABLE = {
    ("round_robin", "polling"): NOBODY,
    ("round_robin", "default"): NOBODY,
    ("round_robin", "websocket"): EVENLY,
    ("ip_hash", "polling"): ALL_ON_ONE,
    ("ip_hash", "default"): ALL_ON_ONE,
    ("ip_hash", "websocket"): ALL_ON_ONE,
    ("sticky", "polling"): EVENLY,
    ("sticky", "default"): EVENLY,
    ("sticky", "websocket"): EVENLY,
    ("websocket_only", "polling"): NOBODY,
    ("websocket_only", "default"): NOBODY,
    ("websocket_only", "websocket"): EVENLY,
}


@pytest.mark.parametrize(("balancing", "kind"), TABLE)
async def test_the_balancing_table(balancing, kind):
    async with (
        three_workers() as workers,
        open_balancer([worker.address for worker in workers], balancing) as balancer,
    ):
        found = await connect_all(balancer.url, kind, NINE, NEIGHBOURS)
        spread = sorted(found.values(), reverse=True)
        print(f"| {balancing} | {kind} | {sum(spread)} of {NINE} | {'/'.join(map(str, spread))} |")
        assert spread == TABLE[balancing, kind]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8")
async def test_clients_of_different_networks_spread_under_ip_hash():
    async with (
        three_workers() as workers,
        open_balancer([worker.address for worker in workers], "ip_hash") as balancer,
    ):
        found = await connect_all(balancer.url, "default", NINE, [f"127.0.{third}.1" for third in range(NINE)])
        assert sum(found.values()) == NINE
        assert len(found) > 1, found


async def test_websocket_only_tells_polling_clients_what_to_do_and_serves_plain_pages():
    async with (
        three_workers() as workers,
        open_balancer([worker.address for worker in workers], "websocket_only") as balancer,
        aiohttp.ClientSession() as session,
    ):
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        for query, headers in [
            ("?EIO=4&transport=polling", {}),
            ("?EIO=4&transport=polling", upgrade),
            ("?EIO=4&transport=websocket", {}),
            ("?EIO=4", {}),
            ("", {}),
        ]:
            for path in ("/socket.io/", "/socket.io", "//socket.io/", "/a/../socket.io/", "/socket%2Eio/"):
                async with session.get(f"{balancer.url}{path}{query}", headers=headers) as answer:
                    assert answer.status == 400, (path, query)
                    assert answer.content_type == "application/json"
                    told = await answer.json()
                    assert told["code"] == 0
                    assert "transports: ['websocket']" in told["message"]
        async with session.post(f"{balancer.url}/socket.io/?EIO=4&transport=polling&sid=a", data=b"40") as answer:
            assert answer.status == 400
        for path in ("/", "/health", "/socket.iox", "/other/socket.io/"):
            async with session.get(f"{balancer.url}{path}") as answer:
                assert answer.status == 200, path
        assert not any(worker.environs for worker in workers)


async def test_socketio_may_be_served_elsewhere():
    async with (
        three_workers(1) as workers,
        open_balancer([workers[0].address], "websocket_only", path="/live/io/") as balancer,
        aiohttp.ClientSession() as session,
    ):
        async with session.get(f"{balancer.url}/live/io/?EIO=4&transport=polling") as answer:
            assert answer.status == 400
        async with session.get(f"{balancer.url}/socket.iox/") as answer:
            assert answer.status == 200


async def test_the_sticky_cookie_is_the_balancers_own_and_hidden_from_scripts():
    async with (
        three_workers() as workers,
        open_balancer([worker.address for worker in workers], "sticky") as one,
        open_balancer([worker.address for worker in workers], "sticky", tls=True) as other,
    ):
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            numbers = []
            for _ in range(3):
                async with session.get(f"{one.url}/") as answer:
                    numbers.append((await answer.json())["worker"])
                    plain = answer.cookies[f"rtlab_worker_{one.port}"]
            assert len(set(numbers)) == 1
            assert (plain["httponly"], plain["samesite"].lower(), plain["path"]) == (True, "lax", "/")
            assert not plain["secure"]
            async with session.get(f"{other.url}/", ssl=False) as answer:
                safe = answer.cookies[f"rtlab_worker_{other.port}"]
            assert safe["secure"]
            assert safe["httponly"]


async def test_a_forged_cookie_chooses_a_worker_and_nothing_else():
    async with (
        three_workers() as workers,
        open_balancer([worker.address for worker in workers], "sticky") as balancer,
        aiohttp.ClientSession() as session,
    ):
        for value in ("", "x" * 4000, "../../etc/passwd", "%00", '"', "0" * 32):
            headers = {"Cookie": f"rtlab_worker_{balancer.port}={value}"}
            async with session.get(f"{balancer.url}/", headers=headers) as answer:
                assert answer.status == 200
