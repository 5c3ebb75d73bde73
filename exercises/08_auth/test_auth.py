"""The checks of exercise 08. `rtlab grade 08` runs them: each starts a real server and connects real clients.

A grader may be read. It looks at what your code does on real connections, never at how it is written.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import inspect
import json
import logging
import time
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import jwt
import socketio
import websockets
from socketio.exceptions import ConnectionRefusedError as Refusal

import rtlab
from rtlab.grading import check, expect
from rtlab.grading.kept import forgotten
from rtlab.grading.results import time_scale
from rtlab.wire.socketio import Decoder, Packet, PacketType

DEMANDS = {
    "Its claims `sub` and `username` are texts and not empty.": "test_refuses_forged_tokens",
    "Its `exp` is a number (one that fits into a float), and that time is still to come.": (
        "test_refuses_tokens_out_of_time"
    ),
    "`nbf` and `iat`, where they are there, have come.": "test_refuses_tokens_out_of_time",
    "A token with an `aud` is meant for somebody else, and is not good here.": "test_refuses_forged_tokens",
    "There may be several guards, each with a secret of its own": (
        "test_lets_the_honest_in",
        "test_refuses_forged_tokens",
    ),
    "a guard may protect several servers": "test_a_stay_ends_with_its_token",
    "at least `SECRET_BYTES` in UTF-8": "test_signs_in",
    "ValueError: the secret is too short.": "test_signs_in",
    "Its `sub` and its `username` are the name.": "test_signs_in",
    "It lasts `LASTS_S` from now; its `exp` is a whole number, rounded down.": "test_signs_in",
    "The others stay as they are.": "test_lets_the_honest_in",
    "`namespaces` may be a generator": "test_asks_for_a_token",
    'The `connect_error` has the message "Authentication required" where there is none': "test_asks_for_a_token",
    'It has the message "Invalid token" where there is one that is not good, whatever it is: 0, False and []': (
        "test_refuses_forged_tokens",
        "test_refuses_tokens_out_of_time",
    ),
    "The connect_error has no data besides the message.": "test_refuses_forged_tokens",
    "A client that is refused hears nothing of the namespace, neither before nor after.": (
        "test_asks_for_a_token",
        "test_refuses_forged_tokens",
        "test_refuses_tokens_out_of_time",
    ),
    'becomes {"sub": …, "username": …}, both from the token': (
        "test_lets_the_honest_in",
        "test_believes_the_token_alone",
    ),
    "Only then is the application's own handler for `connect` called": "test_lets_the_honest_in",
    "it may refuse as well, by returning False or by raising": "test_the_application_may_refuse",
    "If it raises any other Exception": "test_the_application_may_refuse",
    "the exception is logged": "test_the_application_may_refuse",
    "It may take its time, longer than the token lasts, and longer than the client stays": (
        "test_the_application_may_take_its_time"
    ),
    "whoever has gone when it answers is not let in, and nothing is kept of them": (
        "test_the_application_may_take_its_time"
    ),
    "When the token's `exp` has come, the server disconnects the client from this namespace, and from no other.": (
        "test_a_stay_ends_with_its_token"
    ),
    "Neither makes a stay longer, gives it another name, or reaches the application's own handlers.": (
        "test_a_forged_farewell_changes_nothing",
        "test_believes_the_token_alone",
    ),
    "is called as before when a client leaves, with (sid, reason), or with (sid) if it takes only that": (
        "test_lets_the_honest_in",
        "test_calls_disconnect_as_before",
    ),
    "it may take its time, too": "test_the_application_may_take_its_time",
    "and it may raise": "test_keeps_nothing_of_who_has_left",
    "nothing waits for the token's end any more, and nothing is kept": (
        "test_keeps_nothing_of_who_has_left",
        "test_the_application_may_refuse",
    ),
}
"""What README.md and auth.py demand, and the check that looks at it."""
FORBIDDEN = {"rtlab.chat": "It has such a lock. PyJWT and the standard library have all that this one takes."}
BUDGET_S = 40

SECRET = "the secret of the checks: long enough for every HMAC that there is, SHA-512 included"  # noqa: S105
NEVER = "a secret that the server has never seen, and that is long enough for every HMAC too"
IN_TIME_S = 2
"""Seconds for one answer. On this machine's own network it takes a few thousandths of one."""
DOOR_S = 1
"""The same for the first answer, at the door."""
LATE_S = 1
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
        case PacketType.CONNECT_ERROR, {"message": message, **more}:
            return f"refused: {message}" + (f", and more data: {more}" if more else "")
        case PacketType.DISCONNECT, _:
            return "disconnected"
    return str(packet)


class Client:
    """A client that writes its own packets, and takes down what each namespace says."""

    def __init__(self, who: str, ws: websockets.ClientConnection) -> None:
        self.who = who
        self._ws = ws
        self.closed = False
        """Whether the WebSocket has ended. Each namespace is then said to be left."""
        self._heard: dict[str, asyncio.Queue[Packet]] = {name: asyncio.Queue() for name in (*DOORS, OPEN)}
        self._reading = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        try:
            async for text in self._ws:
                if text == "1":  # Engine.IO's CLOSE: python-engineio leaves the WebSocket open, a client ends it
                    break
                if text == "2":
                    await self._ws.send("3")
                else:
                    packet = Decoder().add(text[1:])
                    self._heard[packet.namespace].put_nowait(packet)
        except websockets.ConnectionClosed:
            pass
        self.closed = True
        for heard in self._heard.values():
            heard.put_nowait(Packet(PacketType.DISCONNECT))

    async def close(self) -> None:
        await self._ws.close()
        await self._reading

    async def send(self, kind: PacketType, namespace: str, text: str = "") -> None:
        self.is_connected()
        prefix = "" if namespace == "/" else f"{namespace},"
        await self._ws.send(f"4{kind.value}{prefix}{text}")

    def is_connected(self) -> None:
        expect.that(f"the WebSocket of {self.who} stays open", not self.closed, but="the server closed it")

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

    async def out(self, namespace: str) -> None:
        """Wait for being refused or disconnected. What comes before it is forgotten."""
        while (await self._heard[namespace].get()).type not in (PacketType.CONNECT_ERROR, PacketType.DISCONNECT):
            pass

    async def until_marked(self, namespace: str) -> list[Packet]:
        """What a namespace has said, up to the mark that comes in the open one."""
        while True:
            what = f"{self.who} to be served in {OPEN}"
            packet = await expect.arrives(what, self._heard[OPEN].get(), within_s=IN_TIME_S)
            self.is_connected()
            if packet.data == [MARK]:
                break
        heard = self._heard[namespace]
        return [heard.get_nowait() for _ in range(heard.qsize())]


async def nothing() -> None:
    """What an application does on most events."""


class Staff(socketio.AsyncNamespace):
    """A namespace that is a class."""

    def __init__(self, namespace: str, house: House) -> None:
        super().__init__(namespace)
        self.house = house

    async def on_connect(self, sid: str, environ: Any, auth: Any) -> Any:
        await asyncio.sleep(0)
        return await self.house.came(self.namespace, sid, environ, auth)

    async def on_disconnect(self, sid: str, reason: str) -> None:
        await self.house.farewell()
        self.house.went.put_nowait(self.namespace)

    async def on_whoami(self, sid: str) -> Any:
        return await self.get_session(sid)


class House:
    """A server with an application in five namespaces, four of which the submission protects."""

    def __init__(
        self, submission: Any, connect: Callable[[str], Any] = lambda _: None, *, takes_no_reason: bool = False
    ) -> None:
        self._takes_no_reason = takes_no_reason
        self.sio = socketio.AsyncServer(async_mode="aiohttp", namespaces=[*DOORS, OPEN])
        self.connect = connect
        self.calls: list[tuple[str, Any, bool, Any]] = []
        """(namespace, session, whether the environ is one, auth) for each call of the application's connect."""
        self.went: asyncio.Queue[str] = asyncio.Queue()
        """Of which namespaces the application's disconnect was called."""
        self.submission = submission
        self.farewell: Callable[[], Awaitable[None]] = nothing
        """What the class-based namespace does when somebody leaves."""
        for namespace in DOORS:
            self._furnish(namespace)
        self.guard = submission.Guard(SECRET)
        self.guard.protect(self.sio, (name for name in DOORS))
        self.stranger = submission.Guard(NEVER)
        self.stranger.protect(socketio.AsyncServer(async_mode="aiohttp"), ["/", "/chat"])
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

        async def disconnect_without_reason(sid: str) -> None:
            self.went.put_nowait(namespace)

        if namespace == "/staff":
            self.sio.register_namespace(Staff(namespace, self))
            return
        self.sio.on("whoami", whoami, namespace=namespace)
        if namespace != "/bare":
            self.sio.on("connect", connect if namespace == "/" else plain_connect, namespace=namespace)
            handler = disconnect_without_reason if self._takes_no_reason else disconnect
            self.sio.on("disconnect", handler, namespace=namespace)

    async def keeps_nothing(self, who: str, *sids: str) -> None:
        """Observe that the submission has forgotten sockets, by their ids."""
        handlers = [dict(handlers) for handlers in self.sio.handlers.values()]
        for sid in sids:
            await forgotten(self.submission, f"the id of {who}", sid, self.guard, *handlers)

    async def is_not_collected(self, waiting: list[weakref.ref[asyncio.Future[None]]]) -> None:
        """Observe that a handler for disconnect which waits is not thrown away meanwhile; let it go on."""
        while not waiting:
            await asyncio.sleep(0.005)
        gc.collect()
        future = waiting[0]()
        claim = "the application's own disconnect goes on after it has waited"
        expect.that(
            claim, future is not None, but="nobody holds the task in which it runs, and Python has collected it"
        )
        if future is not None:
            future.set_result(None)
        await expect.arrives("the end of the application's own disconnect", self.went.get(), within_s=IN_TIME_S)
        for _ in range(100):  # the server takes the client off its list after that
            await asyncio.sleep(0)

    def sids(self) -> list[str]:
        """The ids of all sockets in the protected namespaces."""
        return [sid for namespace in DOORS for sid, _ in self.sio.manager.get_participants(namespace, None)]

    async def came(self, namespace: str, sid: str, environ: Any, auth: Any) -> Any:
        session = await self.sio.get_session(sid, namespace=namespace)
        self.calls.append((namespace, dict(session), isinstance(environ, dict), auth))
        answer = self.connect(namespace)
        return await answer if inspect.isawaitable(answer) else answer

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
async def house(
    submission: Any, connect: Callable[[str], Any] = lambda _: None, *, takes_no_reason: bool = False
) -> AsyncIterator[House]:
    made = House(submission, connect, takes_no_reason=takes_no_reason)
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
        flaw, read = "", {}
        try:
            read = jwt.decode(made, SECRET, algorithms=["HS256"], options={"verify_exp": False})
        except jwt.InvalidTokenError as error:
            flaw = str(error)
        expect.that("the token is signed with the guard's secret", not flaw, but=f"PyJWT says: {flaw}")
        expect("its sub", read.get("sub"), equals=name)
        expect("its username", read.get("username"), equals=name)
        end = expect("its exp", read.get("exp"), is_a=int)
        expect("the seconds that it lasts", end - before, within=(900, 900 + int(time.time()) - before))
    for secret in ("ü" * 15, "x" * 31):
        with expect.raises(f"Guard with a secret of {len(secret.encode())} bytes", ValueError):
            submission.Guard(secret)
    expect("a guard with a secret of 32 bytes", submission.Guard("ü" * 16), is_a=submission.Guard)


@check(
    points=2,
    deadline_s=8,
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
        async with made.client("Zoë") as client:
            now = time.time()
            for who, good in {
                "a token whose end is a float": token(exp=now + 600.5),
                "a token whose end is far away": token(exp=10**15),
                "a token that says when it was issued and begins": token(
                    iat=now - 60.5, nbf=int(now) - 60, exp=now + 60
                ),
                "a token that says more": token(role="admin", iss="the shop", jti="7"),
                "a token of Zoë": token(sub="Zoë", username="Zoë 7"),
                "a token with a key's id in its header": jwt.encode(claims(), SECRET, "HS256", {"kid": "1"}),
            }.items():
                what = f"what a client with {who} hears at the door of /bare"
                expect(what, await client.enter("/bare", {"token": good}), equals="let in")
                await client.send(PacketType.DISCONNECT, "/bare")


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
    deadline_s=8,
    hints=(
        "Who chooses the algorithm: the server, or the token? And what does the signature cover?",
        "If a look at the token raises, it is no good. Not every text can be encoded; a name can be empty, or no text.",
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
        "the token 0": 0,
        "the token False": False,
        "the token []": [],
        "a token that is an empty object": {},
        "a token that is a blank": " ",
        "a token in bytes' clothing": f"b'{token()}'",
        "a token of another key": token(NEVER),
        "a token of another key and an expired one": token(NEVER, exp=1),
        "a token with a blank in front": f" {token()}!",
        "a token with an empty sub": token(sub=""),
        "a token for somebody else (aud)": token(aud="another application"),
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
        "a token that was issued in an hour": token(iat=now + 3600, exp=now + 7200),
        "a token whose end is a huge number": jwt.api_jws.encode(json.dumps(claims(exp=10**400)).encode(), SECRET),
        "a token whose end is true": jwt.api_jws.encode(json.dumps(claims(exp=True)).encode(), SECRET),
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
        (
            "A handler for `connect` can be called by whoever is inside, with an environ and an auth of their "
            "invention. The real `connect` gets the very object that `sio.get_environ(sid, namespace)` returns; JSON "
            "cannot make that."
        ),
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
            graces = {"token": token()}
            for claimed in ({"username": "Grace"}, {"token": "x", "sub": "u-17", "username": "Grace"}, graces):
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
    async with house(submission, lambda _: 0) as made, made.client("Grace") as grace, made.client("Eve") as eve:
        made.guard.protect(socketio.AsyncServer(async_mode="aiohttp"), ["/", "/other"])  # and a second server
        mine, end = short()
        for namespace in DOORS:
            expect("what Eve hears at the door", await eve.enter(namespace, {"token": mine}), equals="let in")
            expect("what Grace hears at the door", await grace.enter(namespace, {"token": token()}), equals="let in")
        for namespace in DOORS:
            await must_end(eve, namespace, end)
        eve.is_connected()
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
            calls = len(made.calls)
            await eve.send(PacketType.EVENT, namespace, '["disconnect","transport close"]')
            await eva.send(PacketType.EVENT, namespace, f'["connect",{{}},{longer}]')
            for client in (eve, eva):
                await client.ask(namespace, "whoami")
            what = f"the calls of the application's own connect and disconnect of {namespace} by forged events"
            expect(what, len(made.calls) - calls + made.went.qsize(), equals=0)
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
    deadline_s=8,
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
                sids = made.sids()
            for _ in range(3):
                await expect.arrives("a call of the application's own disconnect", made.went.get(), within_s=IN_TIME_S)
        expect.that(
            "nothing waits for clients that have left",
            (left := far_timers() - before) <= 0,
            but=f"{left} timers are still set for the ends of their tokens",
        )
        await made.keeps_nothing("a client that has left", *sids)
        made.farewell = broken_farewell
        async with made.client("the last client") as client:
            expect("what it hears", await client.enter("/staff", {"token": token()}), equals="let in")
            sids = made.sids()
        await made.keeps_nothing("a client that has left, where the application's own disconnect raises", *sids)


def broken(namespace: str) -> Any:
    raise LookupError("the application's database is down")


async def broken_farewell() -> None:
    raise LookupError("the application's database is down")


def unreachable(namespace: str) -> Any:
    raise ConnectionRefusedError("the application's database does not answer")


class Errors(logging.Handler):
    """The exceptions that are logged, with their tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1] is not None:
            self.seen.append(record.exc_info[1])


def words_of_its_own(namespace: str) -> Any:
    raise Refusal("full house")


def more_than_words(namespace: str) -> Any:
    raise Refusal("full house", {"until": 7})


@check(
    points=1,
    hints=(
        "The application's `connect` answers in three ways: by what it returns, by a refusal, by an error.",
        "Catch what is no refusal, log it with `logging.exception`, and refuse. Start the clock only after that.",
    ),
)
async def test_the_application_may_refuse(submission: Any) -> None:
    """The application's own connect refuses good tokens in three ways, and breaks: the client gets an answer."""
    connects: list[tuple[Callable[[str], Any], str]] = [
        (words_of_its_own, "refused: full house"),
        (more_than_words, "refused: full house, and more data: {'data': {'until': 7}}"),
        (lambda _: False, "refused: Connection rejected by server"),
        (broken, "refused: Try again later"),
        (unreachable, "refused: Try again later"),
    ]
    errors = Errors()
    logging.getLogger().addHandler(errors)
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
            expect.that(
                "nothing waits for clients that were refused",
                (left := far_timers()) == 0,
                but=f"{left} timers are still set for the ends of their tokens",
            )
    logging.getLogger().removeHandler(errors)
    seen = [type(error) for error in errors.seen]
    for kind in (LookupError, ConnectionRefusedError):
        what = f"how often the log has a {kind.__name__} that the application's connect raised in three namespaces"
        expect(what, seen.count(kind), equals=3)


@check(
    points=1,
    deadline_s=8,
    hints=(
        (
            "The application's `connect` may last longer than the token, or the connection. What becomes of a clock "
            "that rings meanwhile, and of one that is set for somebody who has gone?"
        ),
        (
            "Before the application's answer, `sio.disconnect` does nothing. After it, `sio.get_environ` tells who is "
            "still there. Hold each task that you start."
        ),
    ),
)
async def test_the_application_may_take_its_time(submission: Any) -> None:
    """The application's connect is slow. The token ends meanwhile, or the connection: the client is out at once."""
    end = 0

    async def slowly(namespace: str) -> None:
        await asyncio.sleep(max(0.0, end + 0.2 - time.time()))

    waiting: list[weakref.ref[asyncio.Future[None]]] = []

    async def waits() -> None:
        future = asyncio.get_running_loop().create_future()
        waiting.append(weakref.ref(future))
        await future

    async with house(submission, slowly) as made, made.client("Eve") as eve, made.client("Eva") as eva:
        made.farewell = waits
        mine, end = short()
        for client, namespace in ((eve, "/"), (eva, "/staff")):
            await client.send(PacketType.CONNECT, namespace, json.dumps({"token": mine}))
        for client, namespace in ((eve, "/"), (eva, "/staff")):
            limit = round(max(0.0, end - time.time()) / time_scale() + LATE_S, 1)
            what = f"{client.who} to be out of {namespace} within {LATE_S} s of the end of her token"
            await expect.arrives(what, client.out(namespace), within_s=limit)
            client.is_connected()
            if namespace == "/staff":
                await made.is_not_collected(waiting)
            on_the_list = len(list(made.sio.manager.get_participants(namespace, None)))
            expect(f"the connections on the list of {namespace} after that", on_the_list, equals=0)
    for namespace in ("/", "/staff"):
        await leaves_at_the_door(submission, namespace)


async def leaves_at_the_door(submission: Any, namespace: str) -> None:
    """A client whose requests overtake each other: the second one ends the connection while connect works at the first.

    On a WebSocket the server would read on only afterwards. A handler that takes longer than a ping may (45 s, where
    nothing else is said) sees the same on both.
    """
    asked, goes_on = asyncio.Event(), asyncio.Event()

    async def slowly(namespace: str) -> None:
        asked.set()
        await goes_on.wait()

    async with house(submission, slowly) as made, aiohttp.ClientSession() as web:
        url = f"{made.server.url}/socket.io/?EIO=4&transport=polling"

        async def post(text: str) -> None:
            async with web.post(url, data=text) as answer:
                await answer.read()

        async with web.get(url) as opened:
            url += f"&sid={json.loads((await opened.text())[1:])['sid']}"
        prefix = "" if namespace == "/" else f"{namespace},"
        entering = asyncio.ensure_future(post(f"4{PacketType.CONNECT.value}{prefix}{json.dumps({'token': token()})}"))
        await expect.arrives("a call of the application's own connect", asked.wait(), within_s=IN_TIME_S)
        sids = made.sids()
        await expect.arrives("the end of the connection", post("1"), within_s=IN_TIME_S)
        goes_on.set()
        await expect.arrives("the end of the application's own connect", entering, within_s=IN_TIME_S)
        who = f"a client that left while the application's own connect of {namespace} was at work"
        await made.keeps_nothing(who, *sids)
        on_the_list = len(list(made.sio.manager.get_participants(namespace, None)))
        expect(f"the connections on the list of {namespace}, where the only client left in time", on_the_list, equals=0)
        expect(f"the timers that are set for the end of the token of {who}", far_timers(), equals=0)


@check(
    points=1,
    hints=(
        "python-socketio calls the handler with (sid, reason), or with (sid) where it takes only that. So do you now.",
        "`inspect.signature(handler).bind(sid, reason)` raises TypeError where the handler does not take both.",
    ),
)
async def test_calls_disconnect_as_before(submission: Any) -> None:
    """The application's own disconnect takes a sid and no reason, in two namespaces: it is called all the same."""
    async with house(submission, takes_no_reason=True) as made:
        async with made.client("Grace") as grace:
            for namespace in ("/", "/chat"):
                expect(
                    "what Grace hears at the door", await grace.enter(namespace, {"token": token()}), equals="let in"
                )
        for number in range(2):
            what = f"call {number + 1} of 2 of the application's own disconnect(sid), after Grace left"
            await expect.arrives(what, made.went.get(), within_s=IN_TIME_S)
