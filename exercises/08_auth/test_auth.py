"""The checks of exercise 08. `rtlab grade 08` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import jwt
import socketio
import websockets
from socketio.exceptions import ConnectionRefusedError as Refusal

import rtlab
from rtlab.grading import check, expect
from rtlab.grading.results import time_scale
from rtlab.wire.socketio import Decoder, Packet, PacketType

FORBIDDEN = {"rtlab.chat": "It has such a lock. PyJWT and the standard library have all that this one takes."}
BUDGET_S = 40

SECRET = "the secret of the checks: long enough for every HMAC that there is, SHA-512 included"  # noqa: S105
NEVER = "a secret that the server has never seen, and that is long enough for every HMAC too"
IN_TIME_S = 2
"""Seconds for one answer. On this machine's own network it takes a few thousandths of one."""
DOOR_S = 1
"""The same for the first answer, at the door."""
LATE_S = 2
"""Seconds after its token's end by which a client has to be out."""
EARLY_S = 0.1
"""Seconds before it: two clocks are involved."""
DOORS = ("/", "/chat", "/staff", "/bare")
"""The namespaces that the submission protects."""
OPEN = "/public"
"""One that it does not."""
NONE, INVALID = "refused: Authentication required", "refused: Invalid token"
MARK = "the mark of the check"
NEWS = "news"


def claims(**changes: Any) -> dict[str, Any]:
    """What the token of an honest client says, with changes; ``...`` leaves one out."""
    honest = {"sub": "u-17", "username": "Grace", "exp": int(time.time()) + 600} | changes
    return {name: value for name, value in honest.items() if value is not ...}


def token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    """A token, good unless something is changed."""
    return jwt.encode(claims(**changes), secret, algorithm=algorithm)


def part(value: Any) -> str:
    """One of the three parts of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def words(packet: Packet) -> str:
    """A packet as the sentences of the checks call it."""
    match packet.type, packet.data:
        case PacketType.CONNECT, _:
            return "let in"
        case PacketType.CONNECT_ERROR, {"message": message}:
            return f"refused: {message}"
        case PacketType.DISCONNECT, _:
            return "disconnected"
    return str(packet)


class Client:
    """A client that writes its own packets, and takes down what each namespace says."""

    def __init__(self, who: str, ws: websockets.ClientConnection) -> None:
        self.who = who
        self._ws = ws
        self._heard: dict[str, asyncio.Queue[Packet]] = {name: asyncio.Queue() for name in (*DOORS, OPEN)}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for text in self._ws:
                if text == "2":
                    await self._ws.send("3")
                else:
                    packet = Decoder().add(text[1:])
                    self._heard[packet.namespace].put_nowait(packet)
        except websockets.ConnectionClosed:
            pass
        for heard in self._heard.values():
            heard.put_nowait(Packet(PacketType.DISCONNECT))

    async def close(self) -> None:
        await self._ws.close()
        await self._reading

    async def send(self, kind: PacketType, namespace: str, text: str = "") -> None:
        prefix = "" if namespace == "/" else f"{namespace},"
        await self._ws.send(f"4{kind.value}{prefix}{text}")

    async def enter(self, namespace: str, auth: Any) -> str:
        """What the door of a namespace answers."""
        await self.send(PacketType.CONNECT, namespace, "" if auth is None else json.dumps(auth))
        return await self.answer(namespace)

    async def answer(self, namespace: str) -> str:
        waiting = self._heard[namespace].get()
        return words(
            await expect.arrives(f"an answer to {self.who} at the door of {namespace}", waiting, within_s=DOOR_S)
        )

    async def ask(self, namespace: str, event: str) -> Any:
        """The answer to an event. What comes before it is forgotten."""
        await self.send(PacketType.EVENT, namespace, f'7["{event}"]')
        what = f"an ack for {event!r} of {self.who} in {namespace}"
        packet = await expect.arrives(what, self._ack(namespace), within_s=IN_TIME_S)
        expect.that(f"{self.who} is served in {namespace}", packet.type is PacketType.ACK, but=f"it is {words(packet)}")
        return packet.data[0] if packet.data else None

    async def _ack(self, namespace: str) -> Packet:
        while (packet := await self._heard[namespace].get()).type is PacketType.EVENT:
            pass
        return packet

    async def end(self, namespace: str) -> None:
        """Wait for being disconnected from a namespace. What comes before it is forgotten."""
        while (await self._heard[namespace].get()).type is not PacketType.DISCONNECT:
            pass

    async def until_marked(self, namespace: str) -> list[Packet]:
        """What a namespace has said, up to the mark that comes in the open one."""
        while (
            await expect.arrives(f"{self.who} to be served in {OPEN}", self._heard[OPEN].get(), within_s=2)
        ).data != [MARK]:
            pass
        heard = self._heard[namespace]
        return [heard.get_nowait() for _ in range(heard.qsize())]


class Staff(socketio.AsyncNamespace):
    """A namespace that is a class."""

    def __init__(self, namespace: str, house: House) -> None:
        super().__init__(namespace)
        self.house = house

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> Any:
        await asyncio.sleep(0)
        return await self.house.came(self.namespace, sid, environ, auth)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.house.went.put_nowait(self.namespace)

    async def on_whoami(self, sid: str) -> Any:
        return await self.get_session(sid)


class House:
    """A server with an application in five namespaces, four of which the submission protects."""

    def __init__(self, submission: Any, connect: Callable[[str], Any] = lambda _: None) -> None:
        self.sio = socketio.AsyncServer(async_mode="aiohttp", namespaces=[*DOORS, OPEN])
        self.connect = connect
        self.calls: list[tuple[str, Any, bool, Any]] = []
        """(namespace, session, whether the environ is one, auth) for each call of the application's connect."""
        self.went: asyncio.Queue[str] = asyncio.Queue()
        """Of which namespaces the application's disconnect was called."""
        for namespace in DOORS:
            self._furnish(namespace)
        self.guard = submission.Guard(SECRET)
        self.guard.protect(self.sio, list(DOORS))
        self.server: Any = None

    def _furnish(self, namespace: str) -> None:
        async def whoami(sid: str) -> Any:
            return await self.sio.get_session(sid, namespace=namespace)

        async def connect(sid: str, environ: Any, auth: Any) -> Any:
            return await self.came(namespace, sid, environ, auth)

        def plain_connect(sid: str, environ: Any, auth: Any) -> Any:
            self.calls.append((namespace, "not looked at", isinstance(environ, dict), auth))
            return self.connect(namespace)

        def disconnect(sid: str, reason: str) -> None:
            self.went.put_nowait(namespace)

        if namespace == "/staff":
            self.sio.register_namespace(Staff(namespace, self))
            return
        self.sio.on("whoami", whoami, namespace=namespace)
        if namespace != "/bare":
            self.sio.on("connect", connect if namespace == "/" else plain_connect, namespace=namespace)
            self.sio.on("disconnect", disconnect, namespace=namespace)

    async def came(self, namespace: str, sid: str, environ: Any, auth: Any) -> Any:
        session = await self.sio.get_session(sid, namespace=namespace)
        self.calls.append((namespace, dict(session), isinstance(environ, dict), auth))
        return self.connect(namespace)

    @asynccontextmanager
    async def client(self, who: str) -> AsyncIterator[Client]:
        """A client that is in the open namespace."""
        url = self.server.ws_url + "/socket.io/?EIO=4&transport=websocket"
        ws = await expect.arrives(f"the connection of {who}", websockets.connect(url), within_s=IN_TIME_S)
        await ws.recv()
        client = Client(who, ws)
        try:
            expect(f"what {who} hears at the open door of {OPEN}", await client.enter(OPEN, None), equals="let in")
            yield client
        finally:
            await client.close()

    async def attack(self, who: str, auth: Any, answer: str, doors: tuple[str, ...] = DOORS) -> None:
        """Somebody comes to each door, speaks before there is an answer, is refused, and hears nothing else."""
        async with self.client(who) as eve:
            for namespace in doors:
                telling = asyncio.ensure_future(self.news(namespace))
                await eve.send(PacketType.CONNECT, namespace, "" if auth is None else json.dumps(auth))
                await eve.send(PacketType.EVENT, namespace, '1["whoami"]')
                try:
                    heard = await eve.answer(namespace)
                finally:
                    telling.cancel()
                expect(f"what {who} hears first at the door of {namespace}", heard, equals=answer)
                await self.sio.emit(NEWS, "for those inside", namespace=namespace)
                await self.sio.emit(MARK, namespace=OPEN)
                more = list(map(words, await eve.until_marked(namespace)))
                expect.that(f"{who}, refused at {namespace}, hears nothing more", not more, but=f"then came {more[:1]}")

    async def news(self, namespace: str) -> None:
        """Tell those inside something, all the time."""
        while True:
            await self.sio.emit(NEWS, "for those inside", namespace=namespace)
            await asyncio.sleep(0)


@asynccontextmanager
async def house(submission: Any, connect: Callable[[str], Any] = lambda _: None) -> AsyncIterator[House]:
    made = House(submission, connect)
    async with rtlab.serve(made.sio) as made.server:
        yield made


@check(
    points=1,
    hints=(
        "PyJWT's `encode` takes a dict of claims. `exp` is in seconds since 1970.",
        "Count bytes and not characters, and look at the secret where the guard is made.",
    ),
)
def test_signs_in(submission: Any) -> None:
    """Two tokens say who, until when, and are signed with the secret; two short secrets are refused."""
    for name in ("Grace", "Jürgen"):
        before = int(time.time())
        made = expect(f"sign_in({name!r})", submission.Guard(SECRET).sign_in(name), is_a=str)
        expect("the header's alg", jwt.get_unverified_header(made)["alg"], equals="HS256")
        read = jwt.decode(made, SECRET, algorithms=["HS256"])
        expect("its sub", read.get("sub"), equals=name)
        expect("its username", read.get("username"), equals=name)
        left = read.get("exp", 0) - before
        expect("the seconds that it lasts", left, within=(submission.LASTS_S, submission.LASTS_S + 5))
    for secret in ("ü" * 15, "x" * 31):
        with expect.raises(f"Guard with a secret of {len(secret.encode())} bytes", ValueError):
            submission.Guard(secret)
    expect("a guard with a secret of 32 bytes", submission.Guard("ü" * 16), is_a=submission.Guard)


@check(
    points=2,
    hints=(
        "What happens to a handler that is registered already when you register another one for the same event?",
        "A function made in a loop sees the loop's variables as they are later. And a class is in another dict.",
    ),
)
async def test_lets_the_honest_in(submission: Any) -> None:
    """Two clients enter four protected namespaces: sessions, the application's own handlers, and an open namespace."""
    async with house(submission) as made:
        auths = {"Grace": {"token": token()}, "Ada": {"token": made.guard.sign_in("Ada"), "theme": "dark"}}
        for name, auth in auths.items():
            who = {"sub": "u-17" if name == "Grace" else name, "username": name}
            async with made.client(name) as client:
                for namespace in DOORS:
                    what = f"what {name} hears at the door of {namespace}"
                    expect(what, await client.enter(namespace, auth), equals="let in")
                    expect(f"the session of {name} in {namespace}", await client.ask(namespace, "whoami"), equals=who)
                for namespace, seen in (("/", who), ("/chat", "not looked at"), ("/staff", who)):
                    calls = [call for call in made.calls if call[0] == namespace]
                    what = f"the calls of the application's own connect of {namespace}"
                    expect(what, len(calls), equals=1)
                    expect(f"the session that the application's connect of {namespace} sees", calls[0][1], equals=seen)
                    what = f"the application's connect of {namespace} gets the environ and the auth of the client"
                    expect.that(what, calls[0][2:] == (True, auth), but="it got something else")
                made.calls.clear()
            gone = []
            for number in range(3):
                what = f"call {number + 1} of 3 of the application's own disconnect, after {name} left"
                gone.append(await expect.arrives(what, made.went.get(), within_s=IN_TIME_S))
            expect("the namespaces whose disconnect was called", sorted(gone), equals=["/", "/chat", "/staff"])


@check(
    points=2,
    hints=(
        "Each namespace asks for itself, before it lets anybody in. What does `auth` hold if a client sends none?",
        "`auth` is whatever the client sent. What becomes of a client whose door raises something else than a refusal?",
    ),
)
async def test_asks_for_a_token(submission: Any) -> None:
    """First attack: eight clients without a token come to four doors, and act before they are answered."""
    auths: list[Any] = [None, {}, {"token": None}, {"token": ""}, {"username": "Grace"}, "token", 7, ["token"]]
    async with house(submission) as made:
        for auth in auths:
            await made.attack(f"a client with auth {auth!r}", auth, NONE)


@check(
    points=3,
    hints=(
        "Who chooses the algorithm: the server, or the token? And what does the signature cover?",
        "If anything at all goes wrong while a token is looked at, it is not good. Not every text can be encoded.",
    ),
)
async def test_refuses_forged_tokens(submission: Any) -> None:
    """Attacks two to six: nonsense, an unsigned token, another algorithm, another key, a changed name."""
    head, body, signature = token().split(".")
    unsigned = jwt.encode(claims(), "", algorithm="none")
    confused = part({"alg": "RS256", "typ": "JWT"})
    attacks = {
        "a token that is a number": 7,
        "a token that is a list": [token()],
        "a token that is an object": {"alg": "none"},
        "'a.b.c'": "a.b.c",
        "a token that is half a character": "\ud83d",
        "a token with a very deep header": f"{part(b'[' * 20_000)}.{body}.{signature}",
        "a token without its signature": f"{head}.{body}.",
        "an unsigned token (alg none)": unsigned,
        "an unsigned token (alg nOnE)": f"{part({'alg': 'nOnE', 'typ': 'JWT'})}.{body}.",
        "a token of HS512": token(algorithm="HS512"),
        "a token that says RS256": f"{confused}.{body}.{signature}",
        "a token of another key": token(NEVER),
        "a token with a changed name": f"{head}.{part(claims(username='Ada'))}.{signature}",
        "a token with a number for a name": token(username=7),
        "a token with an empty name": token(username=""),
        "a token without a name": token(username=...),
        "a token without a sub": token(sub=...),
    }
    async with house(submission) as made:
        for number, (who, forged) in enumerate(attacks.items()):
            doors = (DOORS[number % 4], DOORS[(number + 1) % 4])
            await made.attack(f"a client with {who}", {"token": forged}, INVALID, doors)


@check(
    points=2,
    hints=(
        "A token without an end is good for ever, also for whoever has stolen it.",
        "PyJWT looks at `exp` where it is there; to want it is an option. What can `exp` be besides a number?",
    ),
)
async def test_refuses_tokens_out_of_time(submission: Any) -> None:
    """Attacks seven to nine: tokens that are over, that have not begun, and that have no end."""
    now = int(time.time())
    attacks = {
        "a token that ended an hour ago": token(exp=now - 3600),
        "a token that ended a second ago": token(exp=now - 1),
        "a token that begins in an hour": token(nbf=now + 3600, exp=now + 7200),
        "a token without an end": token(exp=...),
        "a token whose end is null": jwt.api_jws.encode(json.dumps(claims(exp=None)).encode(), SECRET),
        "a token whose end is a text": jwt.api_jws.encode(json.dumps(claims(exp=str(now + 600))).encode(), SECRET),
        "a token whose end is infinite": jwt.api_jws.encode(json.dumps(claims(exp=float("inf"))).encode(), SECRET),
    }
    async with house(submission) as made:
        for who, bad in attacks.items():
            await made.attack(f"a client with {who}", {"token": bad}, INVALID)


@check(
    points=1,
    hints=(
        "Beside the token, `auth` can hold anything. Who has signed that?",
        "A handler for `connect` can be called by whoever is inside, with a session and an auth of their invention.",
    ),
)
async def test_believes_the_token_alone(submission: Any) -> None:
    """Tenth attack: a client with a good token claims somebody else's name, beside it and in a forged event."""
    auth = {"token": token(sub="u-13", username="Eve"), "sub": "u-17", "username": "Grace", "user": "Grace"}
    eve = {"sub": "u-13", "username": "Eve"}
    async with house(submission) as made, made.client("Eve") as client:
        for namespace in DOORS:
            expect(f"what Eve hears at the door of {namespace}", await client.enter(namespace, auth), equals="let in")
            what = f"the session of Eve in {namespace}, who has Eve's token and says that she is Grace"
            expect(what, await client.ask(namespace, "whoami"), equals=eve)
            for claimed in ({"username": "Grace"}, {"token": "x", "sub": "u-17", "username": "Grace"}):
                await client.send(PacketType.EVENT, namespace, f'["connect",{{}},{json.dumps(claimed)}]')
                what = f"the session of Eve in {namespace} after a forged event connect"
                expect(what, await client.ask(namespace, "whoami"), equals=eve)


def short() -> tuple[str, int]:
    """A token that lasts for a second or so, and its end."""
    end = int(time.time() + 0.7 * time_scale()) + 1
    return token(sub="u-13", username="Eve", exp=end), end


async def must_end(eve: Client, namespace: str, end: int) -> None:
    """She is disconnected in time, and not too early."""
    limit = round(max(0.0, end - time.time()) / time_scale() + LATE_S, 1)
    what = f"{eve.who} to be disconnected from {namespace} within {LATE_S} s of the end of her token"
    await expect.arrives(what, eve.end(namespace), within_s=limit)
    left = round(end - time.time(), 2)
    expect.that(f"{eve.who} may stay in {namespace} until her token ends", left < EARLY_S, but=f"it had {left} s left")


@check(
    points=3,
    deadline_s=8,
    hints=(
        "`connect` is asked once. Who looks at the clock after that?",
        "An event loop can call a function later. Which method of the server ends a client's stay in one namespace?",
    ),
)
async def test_a_stay_ends_with_its_token(submission: Any) -> None:
    """A token of a second or so, in four namespaces: the stay ends then, and somebody else's goes on."""
    async with house(submission) as made, made.client("Grace") as grace, made.client("Eve") as eve:
        made.guard.protect(socketio.AsyncServer(async_mode="aiohttp"), ["/", "/other"])  # and a second server
        mine, end = short()
        for namespace in DOORS:
            expect("what Eve hears at the door", await eve.enter(namespace, {"token": mine}), equals="let in")
            expect("what Grace hears at the door", await grace.enter(namespace, {"token": token()}), equals="let in")
        for namespace in DOORS:
            await must_end(eve, namespace, end)
        gone = [
            await expect.arrives("a call of the application's own disconnect", made.went.get(), within_s=2)
            for _ in range(3)
        ]
        expect("the namespaces whose disconnect was called", sorted(gone), equals=["/", "/chat", "/staff"])
        for namespace in DOORS:
            expect(f"what Eve hears at {namespace} later", await eve.enter(namespace, {"token": mine}), equals=INVALID)
            who = await grace.ask(namespace, "whoami")
            expect(f"the session of Grace in {namespace}", who, equals={"sub": "u-17", "username": "Grace"})
        expect("what Eve hears at a door with a newer token", await eve.enter("/", {"token": token()}), equals="let in")


@check(
    points=1,
    deadline_s=8,
    hints=(
        "An event that a client calls `disconnect` runs the handler for `disconnect`, and the client is still there.",
        "When somebody really leaves, what does the server know about the connection that it does not know here?",
    ),
)
async def test_a_forged_farewell_changes_nothing(submission: Any) -> None:
    """Clients with short tokens forge a farewell, or a connect with a longer token: the stay ends all the same."""
    async with house(submission) as made, made.client("Eve") as eve, made.client("Eva") as eva:
        mine, end = short()
        longer = json.dumps({"token": token(sub="u-13", username="Eve")})
        for namespace in DOORS:
            for client in (eve, eva):
                expect("what Eve hears at the door", await client.enter(namespace, {"token": mine}), equals="let in")
            await eve.send(PacketType.EVENT, namespace, '["disconnect","transport close"]')
            await eva.send(PacketType.EVENT, namespace, f'["connect",{{}},{longer}]')
        for namespace in DOORS:
            limit = round(max(0.0, end - time.time()) / time_scale() + LATE_S, 1)
            what = f"Eve to be disconnected from {namespace} within {LATE_S} s of the end of her token"
            await expect.arrives(f"{what}, whatever she said", eve.end(namespace), within_s=limit)
            await expect.arrives(f"{what}, whatever `connect` she forged", eva.end(namespace), within_s=LATE_S)


def far_timers() -> int:
    """How many timers in this process are set for later than in a minute."""
    horizon = asyncio.get_running_loop().time() + 60
    timers = [each for each in gc.get_objects() if issubclass(type(each), asyncio.TimerHandle)]
    return sum(not timer.cancelled() and timer.when() > horizon for timer in timers)


@check(
    points=1,
    hints=(
        "A client's hour is not over when the client leaves. What of yours still waits for it?",
        "Both a timer of the event loop and a task can be cancelled, by whoever has kept them.",
    ),
)
async def test_keeps_nothing_of_who_has_left(submission: Any) -> None:
    """Ten clients come with tokens of ten minutes, and leave: nothing waits for the end of their tokens."""
    async with house(submission) as made:
        before = far_timers()
        for number in range(10):
            async with made.client(f"client {number}") as client:
                for namespace in DOORS:
                    expect("what it hears", await client.enter(namespace, {"token": token()}), equals="let in")
            for _ in range(3):
                await expect.arrives("a call of the application's own disconnect", made.went.get(), within_s=IN_TIME_S)
        expect.that(
            "nothing waits for clients that have left",
            (left := far_timers() - before) <= 0,
            but=f"{left} timers are still set for the ends of their tokens",
        )


def broken(namespace: str) -> Any:
    raise LookupError("the application's database is down")


def words_of_its_own(namespace: str) -> Any:
    raise Refusal("full house")


@check(
    points=1,
    hints=(
        "The application's `connect` answers in three ways: by what it returns, by a refusal, by an error.",
        "What does python-socketio do with a client whose `connect` raised? Chapter 07 has a door that breaks.",
    ),
)
async def test_the_application_may_refuse(submission: Any) -> None:
    """The application's own connect refuses good tokens in two ways, and breaks: the client gets an answer."""
    connects: list[tuple[Callable[[str], Any], str]] = [
        (words_of_its_own, "refused: full house"),
        (lambda _: False, "refused: Connection rejected by server"),
        (broken, "refused: Try again later"),
    ]
    for connect, answer in connects:
        async with house(submission, connect) as made:
            for namespace in ("/", "/chat", "/staff"):
                async with made.client("Grace") as grace:
                    what = f"what Grace hears at {namespace}, where the application says so"
                    expect(what, await grace.enter(namespace, {"token": token()}), equals=answer)
                    await made.sio.emit(MARK, namespace=OPEN)
                    await grace.until_marked(namespace)
                    on_the_list = len(list(made.sio.manager.get_participants(namespace, None)))
                    expect(f"the connections on the list of {namespace} after that", on_the_list, equals=0)
