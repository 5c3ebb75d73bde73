"""Short scenes, one for each safeguard: what it is there for happens in them, every time and not by luck.

With all safeguards the checker passes a scene; without the one that it is about, the checker fails it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from eventually import until
from pytest import MonkeyPatch  # noqa: PT013 - for its type
from redis.asyncio import Redis
from soak.stage import ROOM, Person, Stage

from rtlab.chat import Client
from rtlab.chat.stores.redis_keys import PREFIX
from rtlab.instruments.faults import processes

__all__ = ["SCENES", "Scene"]


@dataclass(frozen=True)
class Scene:
    """What happens, and what is wrong with it where the safeguard is missing."""

    play: Callable[[Stage], Awaitable[None]]
    """What happens."""
    breaks: frozenset[str]
    """The guarantees one of which a checker has to find broken."""
    workers: int = 1
    durability: str = "memory"
    without: dict[str, Any] = field(default_factory=dict)
    """How the cluster is started without the safeguard: a durability, or environment variables."""
    spoil: Callable[[MonkeyPatch], None] | None = None
    """What undoes the safeguard in the client."""


async def away(person: Person) -> None:
    """Somebody's connection is cut, and no other one comes through."""
    person.proxy.refuse()
    person.proxy.drop()
    await until(lambda: not person.client.connected)


async def back(person: Person) -> None:
    """The line is there again, and so is the client, with what the server has said to it."""
    person.proxy.healthy()
    await until(lambda: person.client.connected)
    await person.client.subscribe("news")  # it has joined its rooms before this is sent


async def an_ack_is_lost(stage: Stage) -> None:
    """A message is stored, its acknowledgement does not arrive, and it is sent again."""
    ann, bob = await stage.enter("ann"), await stage.enter("bob")
    ann.proxy.swallow_acks()
    saying = asyncio.create_task(ann.say("first"))
    await until(lambda: ann.proxy.swallowed)
    ann.proxy.pass_acks()
    await saying
    await ann.say("second")
    await bob.hears("second")


async def a_worker_dies_after_an_ack(stage: Stage) -> None:
    """A message is acknowledged, and the process that has acknowledged it is killed."""
    ann, bob = await stage.enter("ann"), await stage.enter("bob", worker=2)
    await ann.say("first")
    await stage.cluster.kill("worker-1")
    await stage.cluster.ready()
    await ann.say("second")
    await ann.say("third")
    await bob.hears("second")


async def redis_dies_after_an_ack(stage: Stage) -> None:
    """A message is acknowledged, Redis is killed and started again; somebody was away meanwhile."""
    ann, bob = await stage.enter("ann"), await stage.enter("bob")
    await ann.say("first")
    await bob.hears("first")
    await away(bob)
    await ann.say("second")
    await stage.cluster.broker.kill()
    await stage.cluster.broker.restart()
    await ann.say("third")
    await back(bob)
    await bob.hears("third")


async def a_failover_to_a_replica_that_was_behind(stage: Stage) -> None:
    """A message is on the primary alone, which dies: it was not acknowledged, or else it is lost."""
    ann, bob = await stage.enter("ann"), await stage.enter("bob")
    group = stage.cluster.broker
    await ann.say("first")
    await bob.hears("first")
    await away(bob)
    primary = await group.primary()
    (replica,) = (each for each in group.servers if each is not primary)
    await group.freeze(replica)
    async with stage.redis(primary.port) as redis:
        await redis.config_set("min-replicas-to-write", 0)  # ours refuses to write alone: not what this is about
        await redis.execute_command("CLIENT", "KILL", "TYPE", "REPLICA")
        saying = asyncio.create_task(ann.say("second"))
        await until(lambda: _holds(redis, 2))
        if not stage.replicas:
            await saying
    await group.kill(primary)
    await group.thaw(replica)
    await group.ready()
    await saying
    await ann.say("third")
    await back(bob)
    await bob.hears("third")


async def a_subscription_is_cut(stage: Stage) -> None:
    """A worker hears nothing for a moment, while a message is published."""
    ann, bob = await stage.enter("ann"), await stage.enter("bob", worker=2)
    async with stage.redis() as redis:
        await processes.stop(stage.cluster.workers[1])
        await redis.execute_command("CLIENT", "KILL", "TYPE", "PUBSUB")
        await until(lambda: _subscribers(redis, 1))
        await ann.say("first")
        await processes.continue_(stage.cluster.workers[1])
        await until(lambda: _subscribers(redis, 2))
    await ann.say("second")
    await bob.hears("second")


async def somebody_is_away_for_a_message(stage: Stage) -> None:
    """A connection is cut, something is said, and the client comes back."""
    ann, bob = await stage.enter("ann"), await stage.enter("bob")
    await ann.say("first")
    await bob.hears("first")
    await away(bob)
    await ann.say("second")
    await back(bob)
    await ann.say("third")
    await bob.hears("third")


async def somebody_leaves(stage: Stage) -> None:
    """Somebody leaves a room in which others go on."""
    ann, bob = await stage.enter("ann"), await stage.enter("bob")
    await ann.say("first")
    await bob.hears("first")
    await bob.client.leave(ROOM)
    await ann.say("second")
    await ann.hears("second")
    await bob.client.subscribe("news")  # what the server has sent to it before is here then
    await bob.join()
    await ann.say("third")
    await bob.hears("third")


def another_id_in_each_attempt(environment: MonkeyPatch) -> None:
    """The client makes up a new id whenever it sends a message again."""
    call = Client._call

    async def changed(self: Client, event: str, payload: Any, *more: Any) -> Any:
        if event == "chat:message":
            payload = {**payload, "clientId": uuid.uuid4().hex}
        return await call(self, event, payload, *more)

    environment.setattr(Client, "_call", changed)


async def _holds(redis: Redis, count: int) -> bool:
    """Whether the room's history has so many messages."""
    return bool(await redis.xlen(f"{PREFIX}history:room:{ROOM}") == count)


async def _subscribers(redis: Redis, count: int) -> bool:
    """Whether so many connections have subscribed to something."""
    return len(await redis.client_list(_type="pubsub")) == count


SCENES = {
    "duplicate check": Scene(an_ack_is_lost, frozenset({"once"})),
    "the id is kept": Scene(an_ack_is_lost, frozenset({"once"}), spoil=another_id_in_each_attempt),
    "storing first": Scene(a_worker_dies_after_an_ack, frozenset({"kept"}), workers=2),
    "persistence": Scene(
        redis_dies_after_an_ack, frozenset({"kept", "resumed"}), durability="disk", without={"durability": "memory"}
    ),
    "replicas": Scene(
        a_failover_to_a_replica_that_was_behind,
        frozenset({"kept", "resumed"}),
        durability="replica",
        without={"RTLAB_REPLICAS": "0"},
    ),
    "gap repair": Scene(a_subscription_is_cut, frozenset({"kept"}), workers=2),
    "resume": Scene(somebody_is_away_for_a_message, frozenset({"resumed"})),
    "members only": Scene(somebody_leaves, frozenset({"members_only"})),
}
"""By the safeguard that each is about."""
