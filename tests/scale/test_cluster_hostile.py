"""Somebody who means harm to a chat of three workers: with one good token, or with none at all."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest
import socketio
from chat.serving import Person
from deadlines import SCALE, WAIT_S
from eventually import until
from redis.asyncio import Redis

import rtlab
from rtlab.chat import Limits, issue_token
from rtlab.chat.stores.redis_keys import PREFIX
from rtlab.errors import MissingProgramError
from rtlab.servers import programs

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = [pytest.mark.long, pytest.mark.timeout(WAIT_S * 8)]

FIFTY = 50
FLOOD = 600
POLLING = "/socket.io/?EIO=4&transport=polling"
PACE_S = 0.2 * SCALE
ANSWER_S = 5 * SCALE
"""Whoever is thrown out gets no answer."""
SLOWEST_S = WAIT_S / 4
"""An honest message takes less, whatever is done beside it. It takes a fraction of a second; the rest is for machines
that do much else."""


class Town:
    """A cluster, two honest users who talk through nginx, and a look into Redis."""

    def __init__(self, cluster: Any, redis: Redis, stack: AsyncExitStack) -> None:
        self.cluster = cluster
        self.redis = redis
        self._stack = stack
        self.slowest = 0.0
        self.said = 0

    async def enter(self, name: str, url: str | None = None, *, wait: bool = True, **options: Any) -> Person:
        """Somebody connects: to a worker, or through nginx."""
        http = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        self._stack.push_async_callback(http.close)
        person = Person(name, http_session=http)
        self._stack.push_async_callback(person.close)
        auth = {"token": issue_token(name, self.cluster.secret, expires_s=900)}
        options = {"transports": ["websocket"], "wait_timeout": WAIT_S} | options
        await person.sio.connect(url or self.cluster.url, auth=auth, namespaces=["/"], **options)
        return person

    @contextlib.asynccontextmanager
    async def talking(self) -> AsyncIterator[None]:
        """Meanwhile the honest ones talk, and each message arrives."""
        one, other = await self.enter("honest one"), await self.enter("honest other")
        for each in (one, other):
            await each.join("square")
        over = asyncio.Event()

        async def talk() -> None:
            while not over.is_set():
                begun = time.monotonic()
                ack = await one.say("square", "good morning")
                assert ack["status"] == "ok", ack
                while (await other.next("chat:message"))["id"] != ack["id"]:
                    pass
                self.slowest = max(self.slowest, time.monotonic() - begun)
                self.said += 1
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), PACE_S)

        task = asyncio.create_task(talk())
        try:
            yield
        finally:
            over.set()
            await task
        print(f"{self.said} honest messages meanwhile, the slowest took {self.slowest:.2f} s")
        assert self.slowest < SLOWEST_S
        assert self.said

    async def connections(self, user: str) -> int:
        """What Redis counts."""
        return await self.redis.hlen(f"{PREFIX}conns:{user}")

    async def members(self, room: str) -> set[str]:
        """Who is in a room, as Redis has it."""
        return set(await self.redis.hkeys(f"{PREFIX}chat:room:{room}"))

    async def sessions(self) -> list[float]:
        """Engine.IO sessions of each worker."""
        found = []
        async with aiohttp.ClientSession() as http:
            for worker in self.cluster.workers:
                async with http.get(f"{worker.url}/metrics") as answer:
                    lines = (await answer.text()).splitlines()
                found += [float(line.split()[-1]) for line in lines if line.startswith("rtlab_chat_sessions ")]
        return found


@contextlib.asynccontextmanager
async def town(balancing: str = "sticky") -> AsyncIterator[Town]:
    """The chat as everybody runs it, with the limits that it has."""
    async with rtlab.cluster(balancing=balancing) as cluster, AsyncExitStack() as stack:
        redis = await stack.enter_async_context(Redis.from_url(cluster.broker.url, decode_responses=True))
        yield Town(cluster, redis, stack)
        assert all(worker.restarts == 0 for worker in cluster.workers)


@pytest.fixture(autouse=True)
def _a_redis_of_our_own(monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)


async def test_a_user_with_fifty_connections_over_three_workers():
    most = Limits().connections_per_user
    async with town() as here:
        async with here.talking():
            urls = [worker.url for worker in here.cluster.workers]
            coming = [here.enter("mallory", urls[number % 3]) for number in range(FIFTY)]
            came = await asyncio.gather(*coming, return_exceptions=True)
            inside = [each for each in came if isinstance(each, Person)]
            refused = [each for each in came if not isinstance(each, Person)]
            assert all(isinstance(each, socketio.exceptions.ConnectionError) for each in refused), refused
            assert len(inside) == most == await here.connections("mallory"), "at once, and not one more"
            asked = [
                each.sio.call("chat:join", f"room {number} {n}", timeout=ANSWER_S)
                for number, each in enumerate(inside)
                for n in range(100)
            ]
            answers = await asyncio.gather(*asked, return_exceptions=True)
            codes = Counter(each.get("code", "ok") if isinstance(each, dict) else "ended" for each in answers)
            print(f"{len(asked)} joins: {dict(codes)}")
            assert await here.redis.scard(f"{PREFIX}chat:of:mallory") <= Limits().rooms_per_user
            for each in inside:
                await each.close()
            await until(lambda: _none(here.connections("mallory")))
        assert await here.redis.exists(f"{PREFIX}chat:of:mallory") == 0
        await here.enter("mallory")


async def _none(counting: Any) -> bool:
    return not await counting


async def test_floods_without_a_token_through_nginx():
    async with town() as here:
        base = await here.sessions()
        async with here.talking(), aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=100)) as http:

            async def poll(number: int) -> str:
                """A handshake, and a CONNECT with a token that is none."""
                async with http.get(f"{here.cluster.url}{POLLING}") as answer:
                    if answer.status != 200:
                        return f"handshake {answer.status}"
                    sid = json.loads((await answer.text())[1:])["sid"]
                    cookies = {name: each.value for name, each in answer.cookies.items()}
                if number % 2:
                    return "left open"
                body = '40{"token":"' + "x" * 300 + '"}'
                async with http.post(f"{here.cluster.url}{POLLING}&sid={sid}", data=body, cookies=cookies) as answer:
                    return f"POST {answer.status}"

            async def websocket(number: int) -> str:
                try:
                    async with http.ws_connect(f"{here.cluster.ws_url}/socket.io/?EIO=4&transport=websocket") as ws:
                        await ws.receive()
                        for _ in range(5):
                            await ws.send_str(("42" if number % 2 else "40") + '["chat:join","square"]')
                        received = [await ws.receive(WAIT_S * 2)]
                        return f"ws {received[0].type.name}"
                except (aiohttp.ClientError, TimeoutError) as error:
                    return type(error).__name__

            got = await asyncio.gather(
                *(poll(n) for n in range(FLOOD)), *(websocket(n) for n in range(FLOOD)), return_exceptions=True
            )
            print(Counter(str(each) for each in got))
        await until(lambda: _same(here, base), here.cluster.log.tail)


async def _same(here: Town, base: list[float]) -> bool:
    return sum(await here.sessions()) <= sum(base) + 2  # the honest two


async def test_a_session_belongs_to_its_worker_and_a_forged_cookie_opens_nothing():
    async with town() as here:
        alice = await here.enter("alice", transports=["polling"])
        await alice.join("square")
        sid = alice.sio.eio.sid
        (cookie,) = alice.sio.eio.http.cookie_jar
        values = set()
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as http:
            for _ in range(6):
                async with http.get(here.cluster.url) as answer:
                    values |= {each.value for each in answer.cookies.values()}
            assert len(values) == 3
            statuses = Counter()
            for value in [*values - {cookie.value}, "", "x" * 4000, "../worker", '"', "0" * 32]:
                headers = {"Cookie": f"{cookie.key}={value}"}
                for method, body in (("POST", "1"), ("POST", '42["chat:leave","square"]'), ("GET", None)):
                    if value not in values and method == "GET":
                        continue  # chance decides where it goes
                    url = f"{here.cluster.url}{POLLING}&sid={'x' if value not in values else sid}"
                    async with http.request(method, url, data=body, headers=headers) as answer:
                        statuses[answer.status] += 1
                if value in values:
                    with pytest.raises(aiohttp.WSServerHandshakeError):
                        await http.ws_connect(
                            f"{here.cluster.ws_url}/socket.io/?EIO=4&transport=websocket&sid={sid}", headers=headers
                        )
            assert set(statuses) == {400}, statuses
        assert (await alice.say("square", "still here"))["status"] == "ok"
        assert await here.members("square") == {"alice"}


async def test_one_session_on_three_workers_at_once():
    """The same id is restored on each of them while its rooms change: in the end all are right."""
    async with town() as here:
        people = [await here.enter("alice", worker.url) for worker in here.cluster.workers]
        watcher = await here.enter("watcher")
        ids = [(await each.next("session"))["id"] for each in people]
        await watcher.join("hall")
        async with here.talking():

            async def hammer(person: Person, number: int) -> Counter[str]:
                codes: Counter[str] = Counter()
                for turn in range(30):
                    for event, about in (
                        ("session:restore", ids[turn % 3]),
                        ("chat:join" if (turn + number) % 2 else "chat:leave", "hall"),
                    ):
                        ack = await person.ask(event, about)
                        codes[ack.get("code", "ok")] += 1
                        await asyncio.sleep(0.3 if ack.get("code") == "rate_limited" else 0)
                return codes

            codes = await asyncio.gather(*(hammer(each, number) for number, each in enumerate(people)))
            print(codes)
            assert all(each.keys() <= {"ok", "rate_limited", "unknown_session", "not_in_room"} for each in codes), codes
            thief = await here.enter("mallory")
            for each in ids:
                assert (await thief.ask("session:restore", each))["code"] == "unknown_session"
        for each in people:
            await each.close()
        await until(lambda: _none(here.connections("alice")))
        assert await here.members("hall") == {"watcher"}
        told = [
            (event, data["username"])
            for _, event, data in watcher.heard
            if event in {"chat:userJoined", "chat:userLeft"} and data["room"] == "hall"
        ]
        names = [event for event, name in told if name == "alice"]
        assert names == ["chat:userJoined", "chat:userLeft"] * (len(names) // 2), names
