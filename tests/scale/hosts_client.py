"""Clients of a chat over several hosts, as programs of their own: they run on a host that the test is not on.

What lives here: one function for each scene, by its name on the command line. Each prints what it has seen, one line a
step, for the test to wait for. It must not know where the chat runs: that is its second argument.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from typing import Any

import aiohttp
from chat.serving import BOTH, Person, token
from deadlines import WAIT_S
from eventually import until
from yarl import URL

import rtlab.chat

ROOM, HARBOUR = "lobby", "harbour"
"""Each scene has a room and users of its own where two play at the same time."""
NAME = "rtlab_worker"
"""nginx's sticky cookie."""


def say(what: str, **more: Any) -> None:
    """Tell the test."""
    print(json.dumps([what, more]), flush=True)


async def visit(
    url: str, name: str, transport: str, *, beside: Person | None = None, apart: Person | None = None, **headers: str
) -> Person:
    """Somebody connects, who keeps the cookies of an IP address: on the same host as somebody else, or on another."""
    while True:
        jar = aiohttp.CookieJar(unsafe=True)
        if beside:
            jar.update_cookies({NAME: cookie_of(beside)}, URL(url))
        person = Person(name, http_session=aiohttp.ClientSession(cookie_jar=jar))
        auth = {"token": token(name)}
        await person.sio.connect(url, headers, auth, transports=[transport], namespaces=list(BOTH), wait_timeout=WAIT_S)
        if apart is None or cookie_of(apart) != cookie_of(person):
            return person
        await person.close()


def cookie_of(person: Person) -> str:
    """The sticky cookie; empty without nginx."""
    return next((each.value for each in person.sio.eio.http.cookie_jar if each.key == NAME), "")


async def hear(person: Person, sent: dict[str, Any]) -> dict[str, Any]:
    """The message that has been acknowledged so."""

    def find() -> list[dict[str, Any]]:
        return [data for _, name, data in person.heard if name == "chat:message" and data["id"] == sent["id"]]

    await until(find, lambda: (person.name, person.heard))
    (heard,) = find()  # once
    return heard


async def conversation(url: str) -> None:
    """A client with WebSocket and one with polling, each on a host of its own, and one that lies about its address."""
    alice = await visit(url, "alice", "websocket")
    bob = await visit(url, "bob", "polling", apart=alice if cookie_of(alice) else None)
    assert (await alice.join(ROOM))["members"] == ["alice"]
    assert (await bob.join(ROOM))["members"] == ["alice", "bob"]
    assert await alice.next("chat:userJoined") == {"username": "bob", "room": ROOM}
    for one, other in ((alice, bob), (bob, alice)):
        heard = await hear(other, await one.say(ROOM, f"from {one.name}"))
        assert (heard["text"], heard["username"]) == (f"from {one.name}", one.name)
    lies = {"X-Forwarded-For": "198.51.100.7", "Forwarded": "for=198.51.100.8", "X-Real-IP": "198.51.100.9"}
    liar = await visit(url, "liar", "websocket", **lies)
    assert (await liar.join(ROOM))["members"] == ["alice", "bob", "liar"]
    for each in (alice, bob):
        assert await each.next("chat:userJoined") == {"username": "liar", "room": ROOM}
    await liar.close()
    for each in (alice, bob):
        assert await each.next("chat:userLeft") == {"username": "liar", "room": ROOM}
    say("talked")


async def death(url: str) -> None:
    """One host is killed: who was on it and stays away leaves, who comes back at once has never left."""
    alice = await visit(url, "alice", "websocket")
    bob = await visit(url, "bob", "polling", apart=alice)
    dave = await visit(url, "dave", "websocket", beside=bob)
    cookie = {"headers": {"Cookie": f"{NAME}={cookie_of(alice)}"}}
    carol = await rtlab.chat.connect(
        url, token=token("carol"), transports=["websocket"], websocket_extra_options=cookie
    )
    for each in (alice, bob, carol, dave):
        await each.join(ROOM)
    session = (await alice.next("session"))["id"]
    say("kill the host of alice")
    assert await bob.next("chat:userLeft") == {"username": "alice", "room": ROOM}
    assert await dave.next("chat:userLeft") == {"username": "alice", "room": ROOM}
    sent = await carol.send(ROOM, "back again")  # her cookie still names the host that is dead
    for each in (bob, dave):
        await hear(each, {"id": sent.id})
    back = await visit(url, "alice", "websocket")
    assert (await back.ask("session:restore", session))["rooms"] == [ROOM]
    assert (await back.join(ROOM))["members"] == ["alice", "bob", "carol", "dave"]
    sent = await back.say(ROOM, "and I too")
    for each in (bob, dave):
        await hear(each, sent)
        assert await each.all("chat:userLeft") == [], "carol came back at once, and alice left once"
    say("restored")


def readiness(url: str) -> tuple[int, Any]:
    """Status and body of /health/ready."""
    try:
        with urllib.request.urlopen(f"{url}/health/ready", timeout=WAIT_S) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


async def without_redis(url: str) -> None:
    """A host of the chat loses Redis, and has it again; `url` is its own."""
    assert readiness(url)[0] == 200
    carol = await visit(url, "carol", "websocket")
    await carol.join(HARBOUR)
    await carol.say(HARBOUR, "before")
    say("cut it off")
    refused: list[dict[str, Any]] = []

    async def is_refused() -> bool:
        ack = await carol.say(HARBOUR, "meanwhile", clientId="meanwhile")
        if ack["status"] == "error":
            refused.append(ack)
        return bool(refused)

    await until(is_refused)
    assert refused[0]["code"] == "unavailable", refused
    await until(lambda: readiness(url)[0] == 503, lambda: readiness(url))
    assert (await carol.ask("chat:join", "elsewhere"))["code"] == "unavailable"
    say("lost", health=readiness(url)[1])
    await until(lambda: readiness(url)[0] == 200, lambda: readiness(url))
    after = await carol.say(HARBOUR, "after")
    assert after["status"] == "ok", after
    texts = [each["text"] for each in (await carol.join(HARBOUR))["history"]]
    assert texts[0] == "before", texts
    assert texts[-1] == "after", texts
    say("regained", members=(await carol.join(HARBOUR))["members"])


if __name__ == "__main__":
    asyncio.run(
        {"conversation": conversation, "death": death, "without_redis": without_redis}[sys.argv[1]](sys.argv[2])
    )
