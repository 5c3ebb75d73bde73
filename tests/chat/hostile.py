"""Hostile clients and honest ones: who says anything, and who must not notice."""

from __future__ import annotations

import asyncio
import itertools
import statistics
from collections import Counter
from contextlib import asynccontextmanager

import aiohttp
import msgpack
from chat.serving import BOTH, Place, fresh, token
from deadlines import WAIT_S
from eventually import until
from realtime.conformance.clients import Client

from rtlab.wire.socketio import Packet, PacketType

__all__ = ["Elsewhere", "Raw", "flood", "honest", "hostile", "shown"]


class Raw:
    """A client without a library, who says what it likes and reads only answers."""

    def __init__(self, client, serializer):
        self.client = client
        self.serializer = serializer
        self.numbers = itertools.count(1)

    async def enter(self, name):
        for namespace in BOTH:
            await self.client.send(Packet(PacketType.CONNECT, namespace, {"token": token(name)}))
            answer = await self.until(PacketType.CONNECT, PacketType.CONNECT_ERROR)
            assert (answer.type, answer.namespace) == (PacketType.CONNECT, namespace), answer.data

    async def until(self, *kinds):
        """The next packet of these kinds."""
        async with asyncio.timeout(WAIT_S):
            while (packet := await self.client.receive()).type not in kinds:
                pass
            return packet

    async def say(self, namespace, name, arguments):
        """Send an event; gives the id that its acknowledgement will have."""
        number = next(self.numbers)
        if self.serializer == "msgpack":
            fields = {"type": 2, "nsp": namespace, "data": [name, *arguments], "id": number}
            await self.client.say(msgpack.packb(fields))
        else:
            await self.client.send(Packet(PacketType.EVENT, namespace, [name, *arguments], number))
        return number

    async def ask(self, namespace, name, arguments):
        """Send an event; gives its acknowledgement."""
        number = await self.say(namespace, name, arguments)
        answer = await self.until(PacketType.ACK)
        assert (answer.namespace, answer.id) == (namespace, number)
        (ack,) = answer.data
        return ack


@asynccontextmanager
async def hostile(place, lab, serializer="default", transport="websocket", name=None):
    """A raw client who has been let in, as somebody new if no name is given."""
    client = Client(lab, await (lab.polling() if transport == "polling" else lab.websocket()))
    raw = Raw(client, serializer)
    try:
        await raw.enter(name or fresh("mallory"))
    except AssertionError:
        await client.transport.raw.close()
        raise
    yield raw
    if transport == "websocket":
        await client.transport.raw.close()
    else:
        await client.transport.post("1")


@asynccontextmanager
async def honest(place, pace_s=0.0, **options):
    """Two who talk in a room of their own; at the end each has heard all of it, once and in order."""
    room = fresh("honest")
    people = [
        await place.enter(transports=["websocket"], **options),
        await place.enter(transports=["polling"], **options),
    ]
    for person in people:
        await person.join(room)
    over, said = asyncio.Event(), Counter()

    said.delays, said.room = [], room
    loop = asyncio.get_running_loop()

    async def talk(person):
        while not over.is_set():
            began = loop.time()
            ack = await person.say(room, str(said[person.name]), clientId=str(said[person.name]))
            said.delays.append(loop.time() - began)
            assert ack["status"] == "ok", ack
            said[person.name] += 1
            await asyncio.sleep(pace_s)  # as fast as people who keep to the rate

    talking = [asyncio.create_task(talk(person)) for person in people]
    try:
        yield said
    finally:
        over.set()
        await asyncio.gather(*talking)
    heard = [await person.all("chat:message") for person in people]
    assert heard[0] == heard[1]
    for person in people:
        assert [int(each["text"]) for each in heard[0] if each["username"] == person.name] == [
            *range(said[person.name])
        ]
        assert said[person.name] > 0
        assert await person.all("chat:userLeft") == []
    await asyncio.gather(*(person.close() for person in people))


def shown(said):
    """How long the honest ones waited for their acknowledgements."""
    delays = sorted(said.delays)
    median, worst = statistics.median(delays), delays[-1]
    return f"{len(delays)} acks, median {median * 1000:.0f} ms, worst {worst * 1000:.0f} ms"


async def flood(mallory, events, at_once=200):
    """Say many things without waiting for each; gives how often each answer came."""
    answers = Counter()
    events = iter(events)
    while some := list(itertools.islice(events, at_once)):
        for name, payload in some:
            await mallory.say("/", name, [payload])
        for _ in some:
            (ack,) = (await mallory.until(PacketType.ACK)).data
            answers[ack.get("code", "ok")] += 1
    return answers


class Elsewhere:
    """A chat in a process of its own."""

    def __init__(self, server):
        self.server = server
        self.url = server.url
        self.people = []

    async def enter(self, **options):
        return await Place.enter(self, **options)

    async def metrics(self):
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}/metrics") as response:
            lines = (line.rpartition(" ") for line in (await response.text()).splitlines() if not line.startswith("#"))
            return {name: float(value) for name, _, value in lines}

    async def until_empty(self):
        async def empty():
            return (await self.metrics())["rtlab_chat_connections"] == 0

        await until(empty)
