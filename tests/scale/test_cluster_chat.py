"""The chat as a cluster of three, with the official JavaScript client: balancing, presence, a death, Redis away."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from deadlines import SCALE, WAIT_S
from eventually import until
from redis.asyncio import Redis
from scale.redis_servers import needs_redis_server, use_as_valkey

import rtlab
from rtlab.chat.node import BEAT_S, PRESENCE_S
from rtlab.chat.stores.redis_keys import PREFIX, parted
from rtlab.errors import MissingProgramError
from rtlab.realtime.nodes.link import ANSWER_S, LOOK_S
from rtlab.servers import programs
from rtlab.servers.course import javascript_packages

try:
    programs.nginx()
    programs.node()
    javascript_packages()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = pytest.mark.timeout(WAIT_S * 10)

SCRIPT = Path(__file__).with_name("cluster_chat.js").read_text(encoding="utf-8")
TESTS = Path(__file__).parents[1]
NINE, NOBODY = 9, 0
LATER_S = 5 * SCALE
"""What a machine with neighbours may add to a named time."""
TABLE = {
    "round_robin": {"websocket": NINE, "websocket with cookies": NINE},
    "ip_hash": dict.fromkeys(
        [kind + cookies for kind in ("polling", "default", "websocket") for cookies in ("", " with cookies")], NINE
    ),
    "sticky": {
        "polling with cookies": NINE, "default with cookies": NINE, "websocket": NINE, "websocket with cookies": NINE
    },
    "websocket_only": {"websocket": NINE, "websocket with cookies": NINE},
}  # fmt: skip
"""How many of nine get in; of the kinds that are not named, nobody does."""
BOTH = [
    pytest.param("Valkey", marks=pytest.mark.long),
    pytest.param("Redis", marks=[pytest.mark.long, needs_redis_server]),
]
Deed = Callable[[dict[str, Any]], Awaitable[Any]]


class Scene:
    """A cluster of three, and scripts that play in it."""

    def __init__(self, cluster: Any, redis: Redis) -> None:
        self.cluster = cluster
        self._redis = redis

    async def play(self, name: str, **deeds: Deed) -> Any:
        """Play a scene; gives what the script returned.

        Args:
            name: of the scene.
            deeds: what the script can ask for besides.
        """
        known = {"where": self.where, "connections": self.connections, "health": self.health, **deeds}

        async def answer(request: web.Request) -> web.Response:
            return web.json_response(await known[request.match_info["what"]](json.loads(await request.text())))

        app = web.Application()
        app.router.add_post("/{what}", answer)
        async with rtlab.serve(app) as control:
            run = await rtlab.node(
                SCRIPT,
                within_s=WAIT_S * 6,
                scene=name,
                url=self.cluster.url,
                workers=[worker.url for worker in self.cluster.workers],
                control=control.url,
                secret=self.cluster.secret,
                limit=WAIT_S * 5000,
            )
        return run.value

    async def nodes_of(self, user: str) -> list[str]:
        """The workers that hold a user's connections, one for each connection."""
        found = []
        for node in await self._redis.zrange(f"{PREFIX}nodes", 0, -1):
            connections = await self._redis.smembers(f"{PREFIX}node:conns:{node}")
            (worker,) = (each.name for each in self.cluster.workers if node.startswith(each.name))
            found += [worker for holder, _ in map(parted, connections) if holder == user]
        return found

    async def where(self, about: dict[str, Any]) -> dict[str, Any]:
        """The worker that a user is on; `but` is one that is dead."""
        found: list[str] = []

        async def look() -> list[str]:
            found[:] = [each for each in await self.nodes_of(about["user"]) if each != about.get("but")]
            return found

        await until(look)
        return {"worker": found[0]}

    async def connections(self, about: dict[str, Any]) -> dict[str, Any]:
        """How many connections a user has."""
        return {"count": len(await self.nodes_of(about["user"]))}

    async def health(self, _: dict[str, Any]) -> dict[str, Any]:
        """What each worker answers at /health/ready."""
        async with aiohttp.ClientSession() as http:

            async def status(url: str) -> int:
                async with http.get(f"{url}/health/ready") as answer:
                    return answer.status

            return {"ready": await asyncio.gather(*(status(worker.url) for worker in self.cluster.workers))}


@contextlib.asynccontextmanager
async def scene(balancing: str = "sticky") -> AsyncIterator[Scene]:
    """The chat without a rate, on three workers."""
    env = {"PYTHONPATH": str(TESTS)}
    async with rtlab.cluster("chat.node_app:generous", 3, balancing, env=env) as cluster:
        async with Redis.from_url(cluster.broker.url, decode_responses=True) as redis:
            yield Scene(cluster, redis)


@pytest.mark.parametrize(
    "balancing", [pytest.param(each, marks=() if each == "sticky" else pytest.mark.long) for each in TABLE]
)
async def test_the_balancing_table(balancing, monkeypatch):
    use_as_valkey("Valkey", monkeypatch)
    spreads: dict[str, list[int]] = {}
    async with scene(balancing) as here:

        async def spread(about: dict[str, Any]) -> dict[str, Any]:
            nodes = Counter([node for user in about["users"] for node in await here.nodes_of(user)])
            spreads[about["kind"]] = sorted(nodes.values(), reverse=True)
            return {}

        found = await here.play("table", spread=spread)
    for kind, names in found.items():
        print(f"| {balancing} | {kind} | {len(names)} of {NINE} | {'/'.join(map(str, spreads[kind]))} |")
    assert {kind: len(names) for kind, names in found.items() if names} == TABLE[balancing]
    for kind, names in found.items():
        assert sum(spreads[kind]) == len(names)
        assert len(spreads[kind]) == (0 if not names else 1 if balancing == "ip_hash" else 3), (kind, spreads)


@pytest.mark.parametrize("kind", ["Valkey", BOTH[1]])
async def test_a_user_with_connections_on_several_workers_comes_and_leaves_once(kind, monkeypatch):
    use_as_valkey(kind, monkeypatch)
    async with scene() as here:
        await here.play("presence")


@pytest.mark.parametrize("kind", BOTH)
async def test_a_worker_is_killed(kind, monkeypatch):
    use_as_valkey(kind, monkeypatch)
    async with scene() as here:

        async def kill(about: dict[str, Any]) -> dict[str, Any]:
            await here.cluster.kill(about["worker"], restart=False)
            return {}

        found = await here.play("death", kill=kill)
    print(f"{kind}: told after {found['told']:.1f} s")
    assert found["told"] < (PRESENCE_S + 2 * BEAT_S) * SCALE + LATER_S


@pytest.mark.parametrize("kind", BOTH)
@pytest.mark.parametrize("how", ["frozen", "killed", "read-only", "full"])
async def test_redis_is_away_under_all_workers(how, kind, monkeypatch):
    use_as_valkey(kind, monkeypatch)
    async with scene() as here:
        broker = here.cluster.broker

        async def take(_: dict[str, Any]) -> dict[str, Any]:
            deeds = {"frozen": broker.freeze, "read-only": broker.read_only, "full": broker.out_of_memory}
            await deeds.get(how, broker.kill)()
            return {}

        async def give(_: dict[str, Any]) -> dict[str, Any]:
            deeds = {"frozen": broker.thaw, "killed": broker.restart}
            await deeds.get(how, broker.recover)()
            return {}

        found = await here.play("without_redis", **{"take away": take, "give back": give})
    print(f"{kind} {how}: {found}")
    assert set(found["codes"]) == {"unavailable"}
    assert found["longest"] < ANSWER_S + LATER_S
    assert found["regained"] < ANSWER_S + LOOK_S + LATER_S
    assert found["lost"]["meanwhile"] == found["lost"]["after"] == 0
    if how != "killed":  # ours keeps nothing on disk
        assert found["lost"]["before"] == found["lost"]["between"] == 0
