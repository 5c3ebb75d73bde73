"""A cluster whose Redis dies: what the chat has acknowledged is there afterwards, and it acknowledges again."""

from __future__ import annotations

import time

import pytest
from deadlines import WAIT_S

import rtlab
from rtlab.errors import MissingProgramError
from rtlab.scale.broker import Broker
from rtlab.servers import programs

try:
    programs.nginx()
    programs.valkey()
except MissingProgramError as error:
    pytest.skip(str(error), allow_module_level=True)

pytestmark = [pytest.mark.timeout(WAIT_S * 6), pytest.mark.long]


@pytest.mark.parametrize("durability", ["disk", "replica"])
async def test_what_was_acknowledged_is_there_after_its_redis_was_killed(durability, monkeypatch):
    monkeypatch.delenv("REDIS_URL", raising=False)
    async with rtlab.cluster(workers=2, durability=durability) as cluster:

        async def come(name: str):
            token = rtlab.chat.issue_token(name, cluster.secret, expires_s=600)
            client = await rtlab.chat.connect(cluster.url, token=token)
            await client.join("lobby")
            return client

        alice, bob = await come("alice"), await come("bob")
        ids = [(await alice.send("lobby", "before")).id]
        for turn in ("once", "twice"):
            killed = time.monotonic()
            await cluster.broker.kill()
            if isinstance(cluster.broker, Broker):
                await cluster.broker.restart()  # a group does that itself
            ids.append((await alice.post("lobby", turn)).id)
            print(f"{durability}: {time.monotonic() - killed:.1f} s from the kill to an acknowledgement")
            if not isinstance(cluster.broker, Broker):
                await cluster.broker.ready()
        carol = await come("carol")
        joined = await carol.join("lobby")
        assert [each["id"] for each in joined.history] == ids
        heard = []
        while ids[-1] not in heard:
            heard.append((await bob.next("chat:message", within_s=WAIT_S)).data["id"])
        assert heard == ids
        for client in (alice, bob, carol):
            await client.close()
