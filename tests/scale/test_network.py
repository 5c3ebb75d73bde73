"""Three hosts: two reach one Redis on the third, one reaches the other's server, and nothing of it is left."""

from __future__ import annotations

import json
import socket
import sys

import psutil
import pytest
from deadlines import WAIT_S
from eventually import until
from scale.network import needs_network, network
from scale.redis_servers import REDIS_SERVER

from rtlab.errors import ChildError, MissingProgramError
from rtlab.servers import programs

pytestmark = [needs_network, pytest.mark.timeout(WAIT_S * 4)]

SERVE = """
import asyncio, os, sys
from redis.asyncio import Redis
from rtlab.servers.websocket import serve

async def main(host):
    async with Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as redis:
        async def handler(websocket):
            async for key in websocket:
                await websocket.send(await redis.get(key) or "nothing")
                await redis.publish("asked", key)
        async with serve(handler, host, 8000):
            print("serving", flush=True)
            await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""
ASK = """
import asyncio, os, sys
from redis.asyncio import Redis
from rtlab.servers.websocket import connect

async def main(url):
    async with Redis.from_url(os.environ["REDIS_URL"], decode_responses=True) as redis, redis.pubsub() as asked:
        await asked.subscribe("asked")
        await redis.set("greeting", "hello over three hosts")
        async with connect(url) as websocket:
            await websocket.send("greeting")
            print(await websocket.recv(), websocket.remote_address[0])
        async for message in asked.listen():
            if message["type"] == "message":
                return print(message["data"])

asyncio.run(main(sys.argv[1]))
"""


def redis_program() -> str:
    try:
        return REDIS_SERVER or str(programs.valkey().path)
    except MissingProgramError as error:
        pytest.skip(str(error))


async def test_two_hosts_share_a_redis_on_a_third_and_one_reaches_the_others_server(tmp_path):
    async with network() as (one, two, three):
        config = tmp_path / "redis.conf"
        config.touch(0o600)
        config.write_text(f'bind {one.address}\nport 6379\nrequirepass secret\nsave ""\n')
        redis = one.start([redis_program(), config], name="redis")
        env = {"REDIS_URL": f"redis://:secret@{one.address}:6379", "PATH": "/usr/bin:/bin"}
        server = None
        try:
            await until(lambda: any("Ready to accept" in line for line in redis.log.tail()), redis.log.tail)
            server = two.start([sys.executable, "-c", SERVE, two.address], name="server", env=env)
            await until(lambda: server.log.tail() == ["serving"] or not server.running, server.log.tail)
            said = await three.run(sys.executable, "-c", ASK, f"ws://{two.address}:8000", env=env)
            assert said.splitlines() == [f"hello over three hosts {two.address}", "greeting"]
        finally:
            await redis.aclose()
            if server is not None:
                await server.aclose()


@pytest.mark.long
async def test_the_hosts_are_apart_from_this_machine_and_from_another_network():
    show = "import socket; print(socket.create_connection(('127.0.0.1', {port}), 5).recv(9))"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with network(2) as (one, two), network(2) as (other, _):
            for host in (one, two, other):
                with pytest.raises(ChildError, match="ConnectionRefusedError"):
                    await host.run(sys.executable, "-c", show.format(port=port))
            assert one.address == other.address
            links = json.loads(await one.run("ip", "-json", "address"))
            addresses = {each["local"] for link in links for each in link["addr_info"] if each["family"] == "inet"}
            assert addresses == {"127.0.0.1", one.address}


async def test_nothing_is_left():
    async with network() as hosts:
        sleeping = hosts[0].start(["sleep", "1000"], name="sleep")
        pids = [sleeping.pid, *(host.holder.pid for host in hosts)]
        await sleeping.aclose()
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
