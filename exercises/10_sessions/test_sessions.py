"""The checks of exercise 10. `rtlab grade 10` runs them: each starts a Valkey of its own.

A grader may be read. It looks at what your code does, at what Valkey holds and for how long, never at how it is
written: one key for each session, a hash for each user, texts or sets are all the same to it.
"""

from __future__ import annotations

import asyncio
import math
import os
import random
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import socketio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError

from rtlab.grading import check, expect
from rtlab.grading.harness import Guest, House, open_house
from rtlab.grading.kept import forgotten
from rtlab.scale.broker import Broker, open_broker

DEMANDS = {
    "any other process with the same Redis restores what this one has saved": (
        "test_another_process_restores",
        "test_rooms_work_again",
    ),
    "Nothing of it is kept in this process": "test_another_process_restores",
    "Several objects may share one Redis, each with a `ttl_s` of its own.": ("test_lives", "test_ends"),
    "What redis-py raises goes through as it is": "test_redis_does_not_answer",
    "User and rooms are any texts that UTF-8 can hold": ("test_comes_back", "test_refuses_others"),
    "There may be no room at all. `rooms` may be a generator.": "test_comes_back",
    "Its id has 64 random bits or more, and does not hold the user's name.": "test_cannot_be_guessed",
    "it is that session again: the rooms are replaced": "test_comes_back",
    "its life begins anew": "test_lives",
    "an expired session is there again": "test_ends",
    "Each session lives for `ttl_s` seconds after its own last save, whatever else is saved.": (
        "test_lives",
        "test_ends",
    ),
    "Then nothing of it is left in Redis.": "test_ends",
    "when the connection to Redis breaks in the middle of `save`, no key may be left without a life": (
        "test_a_cut_leaves_nothing_for_ever"
    ),
    "The session stays as it is: it can be restored again": "test_comes_back",
    "and lives no longer for that": "test_lives",
    "whatever a client has sent: most likely a text, possibly anything that JSON can hold": "test_refuses_nonsense",
    "LookupError: this user has no such session.": ("test_refuses_others", "test_refuses_nonsense"),
    "It says the same where the session has expired, belongs to another user, or never was.": "test_ends",
    "none of the user's sessions can be restored any more. Nobody else's is touched.": ("test_forgets", "test_ends"),
    "What is saved afterwards is a session like any other.": "test_forgets",
}
"""What README.md and sessions.py demand, and the check that looks at it."""
FORBIDDEN = {"rtlab.chat": "It has such sessions. redis-py and the standard library have all that yours take."}
BUDGET_S = 30

CLOCKS_S = 0.1
"""Seconds that a life may be short of what is expected: Valkey has a clock of its own."""
GONE_S = 4
"""Seconds within which a session that lives for one has to be gone."""
BITS = 58
"""Random bits that ids have to show. Of 64, a sample of `SAMPLE` ids shows a few less."""
SAMPLE = 64
ROOMS = {"team", "a,b", "", 'say "hi"', "chat:lobby", "两个 字", "*", "line\nbreak"}


def client(url: str, **options: Any) -> Redis:
    """As the stub says: it answers in texts. It tries once."""
    return Redis.from_url(url, decode_responses=True, retry=Retry(NoBackoff(), 0), **options)


@asynccontextmanager
async def valkey() -> AsyncIterator[tuple[Broker, Redis]]:
    """A Valkey of the check's own, and a client. (Your REDIS_URL is left alone: checks look at all keys there are.)"""
    os.environ.pop("REDIS_URL", None)
    async with open_broker() as broker, client(broker.url) as redis:
        yield broker, redis


async def lives(redis: Redis) -> dict[str, float]:
    """Seconds until each key goes; of a hash whose fields have lives of their own, each field. -0.001: never."""
    found: dict[str, float] = {}
    async for key in redis.scan_iter(count=1000):
        left_ms = await redis.pttl(key)
        if left_ms == -1 and await redis.type(key) == "hash":
            found |= await lives_in(redis, key)
        elif left_ms != -2:  # it is not gone meanwhile
            found[key] = left_ms / 1000
    return found


async def lives_in(redis: Redis, key: str) -> dict[str, float]:
    """The same for the fields of a hash. None: all have expired, and Valkey has yet to take the key away."""
    fields = await redis.hkeys(key)
    try:
        left_ms = await redis.hpttl(key, *fields) if fields else []
    except ResponseError:  # Redis before 7.4: fields have no lives
        left_ms = [-1] * len(fields)
    return {f"{key} {field}": ms / 1000 for field, ms in zip(fields, left_ms, strict=True) if ms != -2}


async def all_live(redis: Redis, when: str, ttl_s: float, since: float) -> None:
    """Observe the life of everything in Valkey: so many seconds, less those that have passed since `since`."""
    found = await lives(redis)
    low_s = ttl_s - (time.monotonic() - since) - CLOCKS_S
    expect.that(f"Valkey holds something {when}", found, but="it holds no key at all")
    for name, left_s in found.items():
        what = f"the life of {name} {when}, in seconds,"
        if left_s < 0:
            expect.that(f"{what} is {ttl_s:g} at most", False, but="it has none: TTL -1, it stays for ever")
        expect(what, left_s, within=(round(low_s, 1), ttl_s))


async def saves(sessions: Any, user: str, rooms: Iterable[str], session_id: str | None = None) -> str:
    """Save, with and without an id as applications do; gives the id."""
    saving = sessions.save(user, rooms) if session_id is None else sessions.save(user, rooms, session_id)
    return expect(f"what save({user!r}, …) gives", await saving, is_a=str)


async def gives(sessions: Any, user: str, session_id: str, wanted: set[str], *, when: str = "") -> None:
    """Observe that a session is restored."""
    what = f"what restore gives to {user!r}, whose session it is{when}"
    try:
        rooms = await sessions.restore(user, session_id)
    except LookupError as error:
        expect.that(f"{what}, is {wanted!r}", False, but=f"it raised {error!r}")
    else:
        expect(what, rooms, equals=wanted)


async def refuses(sessions: Any, user: str, session_id: object, why: str) -> str:
    """Observe that a session is not restored; gives what the error says."""
    shown = repr(session_id)
    words = shown if len(shown) < 60 else f"{shown[:40]}… ({len(shown)} characters)"
    with expect.raises(f"restore({user!r}, {words}), {why},", LookupError) as raised:
        await sessions.restore(user, session_id)
    return str(raised.error)


@check(
    points=2,
    hints=(
        "Several tabs of one user are several sessions. Which values does your way of storing rooms not survive?",
        "No room is also a set of rooms, and Redis keeps no empty set. Who knows a session from none that is empty?",
    ),
)
async def test_comes_back(submission: Any) -> None:
    """Two users save several sessions, with rooms of all kinds and with none; each is restored, twice."""
    async with valkey() as (_, redis):
        sessions = submission.Sessions(redis)
        wanted: dict[tuple[str, str], set[str]] = {}
        for user in ("grace", "grace:hopper", "", "格蕾丝"):
            for rooms in (ROOMS, set(), {"team"}):
                wanted[user, await saves(sessions, user, (room for room in rooms))] = rooms
        expect("the number of different ids", len({session_id for _, session_id in wanted}), equals=len(wanted))
        for when in ("", ", a second time"):
            for (user, session_id), rooms in wanted.items():
                await gives(sessions, user, session_id, set(rooms), when=when)
        (user, session_id), *others = wanted
        for rooms in ({"team", "new"}, set()):
            again = await saves(sessions, user, rooms, session_id)
            expect("the id that save gives for a session that has one", again, equals=session_id)
            await gives(sessions, user, session_id, rooms, when=", after it was saved again")
        for user, other in others:
            await gives(sessions, user, other, set(wanted[user, other]), when=", after another one was saved again")


@check(
    points=1,
    hints=(
        "What can somebody work out who knows a few ids, the time, and who is there?",
        "The module `random` says in its documentation what it is not for, and which module is.",
    ),
)
async def test_cannot_be_guessed(submission: Any) -> None:
    """64 sessions of one user: their ids are random, and say nothing about the user."""
    async with valkey() as (_, redis):
        sessions, ids = submission.Sessions(redis), []
        for _ in range(SAMPLE):
            random.seed(10)  # whoever knows the state of `random` knows what comes
            ids.append(await saves(sessions, "marguerite", ["team"]))
        expect("the number of different ids, with the same random.seed() before each", len(set(ids)), equals=SAMPLE)
        expect.that("no id holds the user's name", not any("marguerite" in each.lower() for each in ids), but=ids[0])
        bits = sum(math.log2(len(set(column))) for column in zip(*ids, strict=False))
        expect.that("ids have 64 random bits", bits >= BITS, but=f"{SAMPLE} ids differ in {bits:.0f} bits or so")


@check(
    points=3,
    hints=(
        "Look with `await redis.ttl(key)` for each key after a save, and after a second save of the same session.",
        "SET without `ex` takes a life away. EXPIRE on a key changes the life of all that is in that key.",
    ),
)
async def test_lives(submission: Any) -> None:
    """Lives are read from Valkey: by default, with other ttl_s, after another save, and after a restore."""
    async with valkey() as (_, redis):
        start = time.monotonic()
        await saves(submission.Sessions(redis), "grace", ["team"])
        await all_live(redis, "after a save with the default ttl_s", 300, start)
        await redis.flushall()
        short, long = submission.Sessions(redis, 70), submission.Sessions(redis, 900)
        start = time.monotonic()
        session_id = await saves(short, "grace", ["team"])
        await gives(long, "grace", session_id, {"team"}, when=", by an object with ttl_s=900")
        await all_live(redis, "after a save with ttl_s=70 and a restore by an object with ttl_s=900", 70, start)
        start = time.monotonic()
        await saves(long, "grace", ["team", "tea"], session_id)
        await all_live(redis, "after the session was saved again, with ttl_s=900", 900, start)


@check(
    points=2,
    deadline_s=8,
    hints=(
        "Each session has a life of its own, and another one's save has nothing to do with it.",
        "What has one life in Redis: a key, or what is in it? What does EXPIRE do to a second session in the same key?",
    ),
)
async def test_ends(submission: Any) -> None:
    """Sessions of a second beside some that live longer, of one user: the former end, the latter stay until forget."""
    async with valkey() as (_, redis):
        brief, usual = submission.Sessions(redis, 1), submission.Sessions(redis)
        before = await saves(usual, "grace", ["before"])
        ending = await saves(brief, "grace", ["brief"])
        after = await saves(usual, "grace", ["after"])
        alone = await saves(brief, "alone", ["brief"])
        stays = await saves(usual, "linus", ["usual"])
        ends = await saves(brief, "linus", ["brief"])

        async def gone(user: str, session_id: str) -> str:
            while True:
                try:
                    await brief.restore(user, session_id)
                except LookupError as error:
                    return str(error)
                await asyncio.sleep(0.02)

        told = set()
        for user, session_id in (("grace", ending), ("alone", alone), ("linus", ends)):
            what = f"the session of {user!r} that lives for 1 s to be gone"
            told.add(await expect.arrives(what, gone(user, session_id), within_s=GONE_S))
        for session_id, rooms in ((before, {"before"}), (after, {"after"})):
            await gives(usual, "grace", session_id, rooms, when=f" and was saved with 300 s, {min(rooms)} one of 1 s")
        told.add(await refuses(usual, "eve", before, "another user's session"))
        told.add(await refuses(usual, "eve", "never was", "a session that never was"))
        expect("the number of different texts of the LookupErrors", len(told), equals=1)
        await saves(usual, "grace", ["again"], ending)
        await gives(usual, "grace", ending, {"again"}, when=", which had expired and was saved again")
        for user in ("grace", "linus"):
            await usual.forget(user)
        await refuses(usual, "linus", stays, "after forget('linus'), whose later session had expired before")
        expect("what is left in Valkey when all have expired or were forgotten", await lives(redis), equals={})


@check(
    points=3,
    hints=(
        "Who asks is known from the token, and the id from the client. Which of them decides what is looked up?",
        "Put `user` and `session_id` beside each other: which other pair makes the same text? And what does a star do?",
    ),
)
async def test_refuses_others(submission: Any) -> None:
    """Eve has everybody's ids, and a name that she chose herself: she gets nobody's session."""
    async with valkey() as (_, redis):
        sessions = submission.Sessions(redis)
        ada = await saves(sessions, "ada", ["secret"])
        for name in ("eve", "", "*", "a*", "?da", "[a]da", "Ada", "ada ", "ad", "adam", "ada:", "a\u0308da"):
            await refuses(sessions, name, ada, "the id of ada's session")
        for sign in ":/,|-_. \n\x00*":
            victim = f"ada{sign}lovelace"
            session_id = await saves(sessions, victim, ["secret"])
            for name, asked in (
                ("ada", f"lovelace{sign}{session_id}"),
                ("ada", session_id),
                (f"ada{sign}", f"lovelace{sign}{session_id}"),
                (f"ada{sign}", f"lovelace{session_id}"),
                ("", f"{victim}{sign}{session_id}"),
            ):
                await refuses(sessions, name, asked, f"of a session of {victim!r}")
            await gives(sessions, victim, session_id, {"secret"})
        long = "x" * 300
        await refuses(sessions, f"{long}b", await saves(sessions, f"{long}a", ["secret"]), "of another long name")
        for pattern in ("*", "?" * len(ada), f"{ada[:-1]}?", f"{ada[:-1]}*", f"{ada[:-1]}[{ada[-1]}]", ada.swapcase()):
            await refuses(sessions, "ada", pattern, "which only resembles her session's id")
        keys = [key async for key in redis.scan_iter()]
        for asked in {part for key in keys for part in (key, *key.split(":"))} - {ada}:
            await refuses(sessions, "eve", asked, "a key of Valkey's or a part of one")
        await gives(sessions, "ada", ada, {"secret"}, when=", after Eve has tried")


@check(
    points=2,
    hints=(
        "`session_id` comes from a client. What does your code do with it before Redis sees it?",
        "JSON has numbers, lists, null, and half a character: what cannot be encoded is nobody's id, and no crash.",
    ),
)
async def test_refuses_nonsense(submission: Any) -> None:
    """Whatever JSON can hold is asked for as a session: a LookupError each time, and the session stays."""
    async with valkey() as (_, redis):
        sessions = submission.Sessions(redis)
        ada = await saves(sessions, "ada", ["team"])
        nonsense: list[object] = [
            None,
            True,
            0,
            7.5,
            -1,
            10**400,
            [],
            [ada],
            {},
            {"id": ada},
            "",
            " ",
            ada + " ",
            f" {ada}",
        ]
        nonsense += ["\ud83d", f"{ada}\udc80", "\x00", f"{ada}\x00", "x" * 100_000, "None", "null", "*\r\nFLUSHALL\r\n"]
        for asked in nonsense:
            await refuses(sessions, "ada", asked, "which is no id of hers")
        await gives(sessions, "ada", ada, {"team"}, when=", after all that nonsense")


@check(
    points=2,
    hints=(
        "Which sessions does a user have? Something in Redis has to know, or the keys have to tell.",
        "SCAN and KEYS take a pattern, and a name can look like one. A name can also be the beginning of another.",
    ),
)
async def test_forgets(submission: Any) -> None:
    """Users are signed out everywhere, by names that are patterns or beginnings of others: nobody else is."""
    async with valkey() as (_, redis):
        sessions = submission.Sessions(redis)
        users = ("ada", "adam", "ada:", "ada:b", "ad", "", "*", "a*", "a?a", "[a]da", "a\\da", "格蕾丝")
        ids = {user: [await saves(sessions, user, [f"of {user}"]) for _ in range(3)] for user in users}
        for number in range(50):
            await saves(sessions, f"user {number}", ["crowd"])
        left = dict(ids)
        for user in ("nobody", "a?a", "a\\da", "*", "ada", "", "格蕾丝"):
            expect(f"what forget({user!r}) gives", await sessions.forget(user), equals=None)
            for session_id in left.pop(user, []):
                await refuses(sessions, user, session_id, f"after forget({user!r})")
            for other, kept in left.items():
                for session_id in kept:
                    await gives(sessions, other, session_id, {f"of {other}"}, when=f", after forget({user!r})")
        new = await saves(sessions, "ada", ["new"])
        await gives(sessions, "ada", new, {"new"}, when=", saved after forget")
        await refuses(sessions, "ada", ids["ada"][0], "forgotten before another was saved,")


class Line:
    """What stands between a client and Valkey, and breaks when it has been told to.

    Args:
        url: of Valkey.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._server: asyncio.Server | None = None
        self.breaks_after = 0
        """The answer of Valkey's, counted from now, that no client gets any more. 0: none."""

    async def open(self) -> str:
        """Listen; gives the URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        return self._parts._replace(netloc=self._parts.netloc.replace(f":{self._parts.port}", f":{port}")).geturl()

    def close(self) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        up = asyncio.ensure_future(self._pump(reader, ours))
        while data := await theirs.read(65536):
            self.breaks_after -= 1
            if self.breaks_after == 0:
                break
            writer.write(data)
        up.cancel()
        writer.transport.abort()
        ours.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@check(
    points=2,
    hints=(
        "Between two commands a process can be killed, and a connection can break. What does Redis hold then?",
        "Redis carries out one command whole, or not at all. And what of several, in a transaction (MULTI)?",
    ),
)
async def test_a_cut_leaves_nothing_for_ever(submission: Any) -> None:
    """The connection breaks after the first, the second, … answer within save: no key is there without a life."""
    async with valkey() as (broker, redis):
        line = Line(broker.url)
        url = await line.open()
        try:
            for answer in range(1, 6):
                async with client(url) as fragile:
                    await fragile.ping()
                    line.breaks_after = answer
                    sessions = submission.Sessions(fragile)
                    session_id = None
                    with suppress(RedisError):
                        session_id = await sessions.save("grace", ["team", f"number {answer}"])
                    line.breaks_after = 0
                    if session_id is not None:
                        await gives(sessions, "grace", session_id, {"team", f"number {answer}"})
                for name, left_s in (await lives(redis)).items():
                    claim = f"{name} has a life after the connection broke at answer {answer} to a save"
                    expect.that(claim, left_s >= 0, but="it has none: TTL -1, it stays for ever")
        finally:
            line.close()


@check(
    points=1,
    hints=(
        "What does a client do that hears 'no such session', and what should it do while Redis is away?",
        "Catch what you can name a reason for, and nothing else.",
    ),
)
async def test_redis_does_not_answer(submission: Any) -> None:
    """Valkey is stopped: what redis-py raises comes out of save, restore and forget."""
    async with valkey() as (broker, redis):
        sessions = submission.Sessions(redis)
        session_id = await saves(sessions, "grace", ["team"])
        await gives(sessions, "grace", session_id, {"team"})
        await broker.stop()
        with expect.raises("restore, while Valkey is away,", RedisError):
            await sessions.restore("grace", session_id)
        with expect.raises("save, while Valkey is away,", RedisError):
            await sessions.save("grace", ["team"])
        with expect.raises("forget, while Valkey is away,", RedisError):
            await sessions.forget("grace")


@check(
    points=1,
    hints=(
        "A client comes back to any of your processes, or to the same one after a restart.",
        "What stands in a variable of the class or the module is in one process only. Redis has all that is needed.",
    ),
)
async def test_another_process_restores(submission: Any) -> None:
    """Another object with a connection of its own restores; when Valkey has lost all, nothing is restored."""
    async with valkey() as (broker, redis), client(broker.url) as second, client(broker.url, db=1) as elsewhere:
        first, other = submission.Sessions(redis), submission.Sessions(second)
        session_id = await saves(first, "grace", ["team"])
        await gives(other, "grace", session_id, {"team"}, when=", by another object")
        await saves(other, "grace", ["tea"], session_id)
        await gives(first, "grace", session_id, {"tea"}, when=", after another object has saved it again")
        await refuses(submission.Sessions(elsewhere), "grace", session_id, "in another database of Valkey's")
        await forgotten(submission, "a session's id", session_id, first, other)
        await redis.flushall()
        await refuses(first, "grace", session_id, "after Valkey has lost all that it held")
        await other.forget("grace")
        await gives(other, "grace", await saves(first, "grace", ["new"]), {"new"}, when=", after Valkey had lost all")


class Application:
    """A server that saves sessions when rooms change and when connections end, and restores them.

    Args:
        sessions: of the submission.
    """

    def __init__(self, sessions: Any) -> None:
        self.sessions = sessions
        self.sio: Any = None
        self.ids: dict[str, str] = {}
        """By socket id: the session's."""
        self.saved: asyncio.Queue[str] = asyncio.Queue()
        """The session ids of connections that have ended, once they are saved."""

    def register(self, sio: socketio.AsyncServer) -> None:
        """Its events."""
        self.sio = sio
        for handler in (self.join, self.say, self.restore, self.disconnect):
            sio.on(handler.__name__, handler)

    async def user(self, sid: str) -> str:
        """Who it is, as the connect handler knows."""
        return str((await self.sio.get_session(sid))["username"])

    async def save(self, sid: str) -> str:
        """Save the rooms that a socket is in."""
        rooms = set(self.sio.rooms(sid)) - {sid}
        self.ids[sid] = await saves(self.sessions, await self.user(sid), rooms, self.ids.get(sid))
        return self.ids[sid]

    async def join(self, sid: str, room: str) -> str:
        await self.sio.enter_room(sid, room)
        return await self.save(sid)

    async def say(self, sid: str, room: str, text: str) -> None:
        await self.sio.emit("said", text, to=room, skip_sid=sid)

    async def restore(self, sid: str, session_id: object) -> Any:
        try:
            rooms = await self.sessions.restore(await self.user(sid), session_id)
        except LookupError:
            return "unknown session"
        for room in rooms:
            await self.sio.enter_room(sid, room)
        return sorted(rooms)

    async def disconnect(self, sid: str, reason: str) -> None:
        self.saved.put_nowait(await self.save(sid))


@check(
    points=3,
    deadline_s=8,
    hints=(
        "This check uses all the others' parts on two real servers. Make those pass first.",
        "Grace's connection is cut. Her rooms are saved then, by one server, and restored by another one.",
    ),
)
async def test_rooms_work_again(submission: Any) -> None:
    """On two servers with one Valkey: Grace is cut off, returns to the other one, and hears her rooms; Eve not."""
    async with valkey() as (broker, redis), client(broker.url) as second:
        old, new = (Application(submission.Sessions(each)) for each in (redis, second))
        async with open_house(House(old.register, Guest)) as here, open_house(House(new.register, Guest)) as there:
            grace = await here.guest("Grace", "grace")
            for room in ("team", "a,b"):
                session_id = await grace.ask("join", room)
            here.sio.get_environ(grace.sid)["aiohttp.request"].transport.abort()
            saved = await expect.arrives(
                "Grace's session to be saved, after she was cut off", old.saved.get(), within_s=2
            )
            expect("the id of the session that is saved then", saved, equals=session_id)
            bob, eve = await there.all_of("Bob", "Eve")
            returned = await there.guest("Grace, who is back,", "grace")
            expect("what Grace is told: her rooms", await returned.ask("restore", session_id), equals=["a,b", "team"])
            refused = await eve.ask("restore", session_id)
            expect("what Eve is told, who has Grace's session id", refused, equals="unknown session")
            for room in ("team", "a,b"):
                await bob.ask("say", room, f"hello, {room}")
            said = [("said", "hello, team"), ("said", "hello, a,b")]
            await there.hears("when Bob speaks in Grace's rooms", **{returned.name: said})
