"""Tokens that are none, at the door of every namespace, over both transports: refused, deaf, dumb, and without a trace.

Tokens are put together here byte by byte: no library of the server's refuses to make a bad one.
"""

import base64
import contextlib
import hashlib
import hmac
import io
import json
import time
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from chat.serving import NOTIFICATIONS, SECRET, chatting, fresh, token
from eventually import until
from realtime.conformance.clients import Client
from realtime.serving import lab_of
from websockets.exceptions import ConnectionClosed

from rtlab.chat import Limits
from rtlab.chat.clock import Clock
from rtlab.wire.socketio import Packet, PacketType

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOW = time.time()
KEY = SECRET.encode()
PEM = b"""-----BEGIN PUBLIC KEY-----
MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ==
-----END PUBLIC KEY-----
"""
HASHES = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
OTHER_KEY = b"another secret of the tests, longer than 32 bytes"


def part(value):
    """A part of a token. A string is taken as it is: JSON that no encoder would write."""
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()


def signature(said, key=KEY, digest=hashlib.sha256):
    return base64.urlsafe_b64encode(hmac.digest(key, said.encode(), digest)).rstrip(b"=").decode()


def made(header=..., key=KEY, digest=hashlib.sha256, payload=..., **claims):
    """A token: right, but for what is said."""
    about = {"alg": "HS256", "typ": "JWT"} if header is ... else header
    said = {"sub": "mallory", "username": "mallory", "exp": NOW + 3600} | claims
    kept = {name: value for name, value in said.items() if value is not ...}
    signed = f"{part(about)}.{part(kept if payload is ... else payload)}"
    return f"{signed}.{signature(signed, key, digest)}"


def unsigned(alg):
    return made({"alg": alg}).rpartition(".")[0] + "."


def with_jwk():
    """Signed with a key that the token itself brings along."""
    jwk = {"kty": "oct", "k": base64.urlsafe_b64encode(OTHER_KEY).decode().rstrip("=")}
    return made({"alg": "HS256", "jwk": jwk}, OTHER_KEY)


GOOD = made()
HEAD, BODY, SIGNATURE = GOOD.split(".")
MISSING = {
    "no auth": None,
    "an empty auth": {},
    "a name tag": {"username": "mallory", "admin": True},
    "null": {"token": None},
    "an empty string": {"token": ""},
    "another spelling": {"Token": GOOD},
}
INVALID = {
    "a number": 7,
    "true": True,
    "a list": [GOOD],
    "an object": {"token": GOOD},
    "garbage": "garbage",
    "dots": "..",
    "a dot": ".",
    "other scripts": "é🎈.\u0000.٢",
    "white space": " ",
    "too long": made(padding="x" * 4096),
    "very long": "x" * 8_000,
    "nested deep": f"{part('[' * 3000)}.{BODY}.{SIGNATURE}",
    "white space before": f" {GOOD}",
    "white space after": f"{GOOD}\n",
    "white space within": f"{HEAD}. {BODY}.{SIGNATURE}",
    "Bearer": f"Bearer {GOOD}",
    "quotes": f'"{GOOD}"',
    "wrong key": made(key=OTHER_KEY),
    "an empty key": made(key=b""),
    "no signature": f"{HEAD}.{BODY}.",
    "two parts": f"{HEAD}.{BODY}",
    "four parts": f"{GOOD}.{SIGNATURE}",
    "a truncated signature": GOOD[:-2],
    "half a signature": f"{HEAD}.{BODY}.{SIGNATURE[:22]}",
    "another token's signature": f"{HEAD}.{BODY}.{made(sub='alice').rpartition('.')[2]}",
    "another token's claims": f"{HEAD}.{made(sub='alice').split('.')[1]}.{SIGNATURE}",
    "alg none": unsigned("none"),
    "alg None": unsigned("None"),
    "alg NONE": unsigned("NONE"),
    "alg nOnE": unsigned("nOnE"),
    "alg none, signed": made({"alg": "none"}),
    "no alg": made({"typ": "JWT"}),
    "alg null": made({"alg": None}),
    "an empty alg": made({"alg": ""}),
    "alg as a list": made({"alg": ["HS256"]}),
    "alg as an object": made({"alg": {"HS256": 1}}),
    "alg in small letters": made({"alg": "hs256"}),
    "HS384 with the right secret": made({"alg": "HS384"}, digest=HASHES["HS384"]),
    "HS512 with the right secret": made({"alg": "HS512"}, digest=HASHES["HS512"]),
    "HS512 as HS256": made({"alg": "HS256"}, digest=HASHES["HS512"]),
    "HS256 with a public key as its secret": made(key=PEM),
    "RS256 with the secret as its key": made({"alg": "RS256"}),
    "RS256": made({"alg": "RS256"}, PEM)[:-43] + part("x" * 256),
    "ES256": made({"alg": "ES256"}),
    "crit of what nobody knows": made({"alg": "HS256", "crit": ["exp2"], "exp2": 1}),
    "crit of b64": made({"alg": "HS256", "crit": ["b64"], "b64": False}),
    "an empty crit": made({"alg": "HS256", "crit": []}),
    "crit as a string": made({"alg": "HS256", "crit": "exp"}),
    "kid that is a path": made({"alg": "HS256", "kid": "../../../dev/null"}, b""),
    "kid as a number": made({"alg": "HS256", "kid": 7}),
    "a jwk of its own": with_jwk(),
    "a jku of its own": made({"alg": "HS256", "jku": "http://127.0.0.1:9/keys"}, OTHER_KEY),
    "a header that is a list": made([]),
    "a header that is no JSON": made("{"),
    "claims that are a list": made(payload=[]),
    "claims that are a string": made(payload='"mallory"'),
    "claims that are null": made(payload="null"),
    "claims that are no JSON": made(payload="{"),
    "claims that are not UTF-8": f"{HEAD}.{base64.urlsafe_b64encode(bytes([123, 255])).decode()[:3]}.{SIGNATURE}",
    "claims that are nested deep": made(payload="[" * 2000),
    "not valid yet (nbf)": made(nbf=NOW + 3000),
    "not issued yet (iat)": made(iat=NOW + 3000),
    "nbf as a string": made(nbf="now"),
    "iat is NaN": made(iat=float("nan")),
    "iat is huge": made(iat=10**400),
    "for somebody else (aud)": made(aud="another service"),
    "no exp": made(exp=...),
    "exp null": made(exp=None),
    "exp as a string": made(exp=str(NOW + 3600)),
    "exp true": made(exp=True),
    "exp as a list": made(exp=[NOW + 3600]),
    "exp is NaN": made(exp=float("nan")),
    "exp is Infinity": made(exp=float("inf")),
    "exp is 1e999": made(payload='{"sub":"m","username":"m","exp":1e999}'),
    "exp is huge": made(exp=10**400),
    "exp is longer than a number may be": made(payload='{"sub":"m","username":"m","exp":%s}' % ("9" * 2900)),
    "no sub": made(sub=...),
    "sub null": made(sub=None),
    "sub as a number": made(sub=7),
    "sub as a list": made(sub=["alice"]),
    "sub empty": made(sub=""),
    "sub too long": made(sub="x" * 33),
    "sub with a control character": made(sub="alice\u0000"),
    "no username": made(username=...),
    "username null": made(username=None),
    "username as a number": made(username=7),
    "username empty": made(username=""),
    "username of blanks": made(username=" "),
    "username with a line break": made(username="alice\nadmin"),
    "username with NUL": made(username="al\u0000ice"),
    "username that turns the text round": made(username="\u202eecila"),
    "username with no width": made(username="alice\u200b"),
    "username too long": made(username="x" * 33),
    "username with half a surrogate pair": made(username="\ud800"),
}  # fmt: skip
EXPIRED = {
    "over": made(exp=NOW - 1),
    "over long ago": made(exp=0),
    "negative": made(exp=-(10**30)),
    "hugely negative": made(exp=-1e308),
    "over, and not valid yet": made(exp=NOW - 1, nbf=NOW + 3000),
}
ATTACKS = [
    *((name, auth, "Authentication required", "token_missing") for name, auth in MISSING.items()),
    *((name, {"token": each}, "Invalid token", "token_invalid") for name, each in INVALID.items()),
    *((name, {"token": each}, "Invalid token", "token_expired") for name, each in EXPIRED.items()),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place():
    async with chatting() as running:
        running.alice = await running.enter(fresh("alice"))
        await running.alice.join("lobby")
        await running.alice.ask("subscribe", ["news"], namespace=NOTIFICATIONS)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(place):
    async with lab_of(place.server) as opened:
        yield opened


@asynccontextmanager
async def calling(lab, transport):
    """A raw client at the door, who is gone at the end."""
    client = Client(lab, await (lab.polling() if transport == "polling" else lab.websocket()))
    yield client
    if transport == "polling":
        await client.transport.post("1")
    else:
        await client.transport.raw.close()


async def connect(client, namespace, auth):
    """Ask to be let in; gives the answer."""
    where = "" if namespace == "/" else f"{namespace},"
    await client.say(f"0{where}{'' if auth is None else json.dumps(auth)}")
    return await client.receive()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize(("auth", "message", "code"), [each[1:] for each in ATTACKS], ids=[each[0] for each in ATTACKS])
async def test_is_refused(place, lab, transport, auth, message, code):
    alice = place.alice
    before = await place.metrics()
    async with calling(lab, transport) as mallory:
        for namespace in (NOTIFICATIONS, "/"):
            answer = await connect(mallory, namespace, auth)
            assert answer == Packet(PacketType.CONNECT_ERROR, namespace, {"message": message, "data": {"code": code}})
            # It acts as if it were in, and the others go on. Had it been heard, or did it hear them, that came before
            # the answer to its next knock, with a good token.
            await mallory.emit("chat:join", "lobby", namespace=namespace)
            await mallory.emit("subscribe", ["news"], namespace=namespace)
            await alice.say("lobby", "among us")
            await place.chat.notify("news", {"secret": True})
            await place.chat.sio.emit("to all", {}, namespace=namespace)
            answer = await connect(mallory, namespace, {"token": token(fresh("honest"))})
            assert (answer.type, answer.namespace) == (PacketType.CONNECT, namespace)
            assert (await place.metrics())["rtlab_chat_connections"] == before["rtlab_chat_connections"] + 1
    await until(lambda: len(place.chat._connections) == 1, "only alice")
    after = await place.metrics()
    counter = f'rtlab_chat_refusals_total{{reason="{code}"}}'
    assert after[counter] == before.get(counter, 0) + 2
    assert await alice.all("chat:userJoined") == await alice.all("chat:userLeft") == []
    assert (await alice.join("lobby"))["members"] == [alice.name]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize("namespace", ["/", NOTIFICATIONS])
@pytest.mark.parametrize("auth", [[], [GOOD], GOOD, "", 7, True, False, float("nan")])
async def test_an_auth_that_is_no_object_is_against_the_protocol(place, lab, transport, namespace, auth):
    async with calling(lab, transport) as mallory:
        with pytest.raises((ConnectionClosed, AssertionError)):  # on a WebSocket, or as the status of the request
            raise AssertionError(await connect(mallory, namespace, auth))
    await until(lambda: len(place.chat.sio.eio.sockets) == 1, "only alice")
    assert len(place.chat._connections) == 1


@pytest.mark.parametrize("transport", ["websocket", "polling"])
@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        made(exp=2**53),
        made(exp=1e300),
        made(exp=NOW + 3600.5, iat=NOW + 5, nbf=0, more={"of": "whatever"}),
        made({"alg": "HS256", "jku": "http://127.0.0.1:9/keys", "x5u": "file:///etc/passwd"}),
        made(username="Žofie 👩‍🚀", sub="用户"),
    ],
    ids=["plain", "exp far away", "exp farther", "with more claims", "with what is ignored", "a name of any script"],
)
async def test_what_is_good_is_let_in(place, lab, transport, good):
    async with calling(lab, transport) as client:
        for namespace in ("/", NOTIFICATIONS):
            answer = await connect(client, namespace, {"token": good, "more": [1]})
            assert (answer.type, answer.namespace) == (PacketType.CONNECT, namespace)
            if namespace == "/":
                assert (await client.receive()).data[0] == "session"
        assert place.chat._connections  # alice and this one
    await until(lambda: len(place.chat._connections) == 1)


@pytest.mark.parametrize("size", [10_000, 1_100_000], ids=["than a stranger may send", "than a message"])
async def test_a_token_that_is_larger(place, lab, size):
    auth = {"token": "x" * size}
    mallory = Client(lab, await lab.websocket())
    with pytest.raises(ConnectionClosed):
        raise AssertionError(await connect(mallory, "/", auth))
    assert mallory.transport.raw.close_code == 1008
    async with calling(lab, "polling") as polling:
        status = (await polling.transport.post(io.BytesIO(f"40{json.dumps(auth)}".encode()))).status
        assert status == (400 if size == 10_000 else 413)
    await until(lambda: len(place.chat.sio.eio.sockets) == 1, "only alice")


async def test_half_a_surrogate_pair_is_no_token(place, lab):
    mallory = Client(lab, await lab.websocket())
    await mallory.say('0{"token":"\\ud800"}')
    answer = await mallory.receive()
    assert (answer.type, answer.data["data"]) == (PacketType.CONNECT_ERROR, {"code": "token_invalid"})
    await mallory.transport.raw.close()
    await until(lambda: len(place.chat.sio.eio.sockets) == 1, "only alice")


async def test_knocks_count_as_events_do_and_a_thousand_leave_nothing():
    attacks = [{"token": each} for each in INVALID.values() if not isinstance(each, str) or len(each) < 4000]
    knocks = 0
    still = Clock(steady=lambda: 1000.0)  # a loaded machine takes its time, and a rate would refill meanwhile
    async with chatting(limits=Limits(), clock=still) as place, lab_of(place.server) as lab:
        while knocks < 1000:
            async with calling(lab, "websocket") as mallory:
                refused = []
                with contextlib.suppress(ConnectionClosed):
                    while len(refused) < 1000:
                        knocks += 1
                        answer = await connect(
                            mallory, ("/", NOTIFICATIONS)[knocks % 2], attacks[knocks % len(attacks)]
                        )
                        refused.append(answer.data["message"])
                assert Limits().burst <= len(refused) < 1000
                assert refused[-1] == "Too many attempts"
            await until(lambda: not place.chat.sio.eio.sockets, "nobody")
            assert len(place.chat._connections) == 0
            assert not any(place.chat.sio.manager.rooms.values())


async def test_a_token_opens_its_own_namespace_only(place, lab):
    async with calling(lab, "websocket") as mallory:
        assert (await connect(mallory, "/", {"token": GOOD})).type is PacketType.CONNECT
        assert (await mallory.receive()).data[0] == "session"
        answer = await connect(mallory, NOTIFICATIONS, {})
        assert answer.data["message"] == "Authentication required"
        await mallory.emit("subscribe", ["news"], namespace=NOTIFICATIONS)
        await place.chat.notify("news", {"secret": True})
        assert (await mallory.request("chat:leave", "lobby")) == [{"status": "ok"}], "the first that it hears"
    await until(lambda: len(place.chat._connections) == 1)


async def test_refreshing_ones_own_token_is_nothing_to_another_user_of_the_connection(place, lab):
    async with calling(lab, "websocket") as client:
        assert (await connect(client, "/", {"token": GOOD})).type is PacketType.CONNECT
        assert (await client.receive()).data[0] == "session"
        short = token(fresh("bob"), expires_s=1)
        assert (await connect(client, NOTIFICATIONS, {"token": short})).type is PacketType.CONNECT
        (ack,) = await client.request("token:refresh", made(exp=NOW + 7200))
        assert ack == {"status": "ok", "exp": NOW + 7200}
        (ack,) = await client.request("token:refresh", made(exp=NOW + 7200), namespace=NOTIFICATIONS)
        assert (ack["status"], ack["code"]) == ("error", "token_invalid")
        assert await client.receive() == Packet(PacketType.DISCONNECT, NOTIFICATIONS)
        assert (await client.request("chat:leave", "lobby")) == [{"status": "ok"}]
    await until(lambda: len(place.chat._connections) == 1)


@pytest.mark.parametrize("namespace", ["/", NOTIFICATIONS])
async def test_a_token_that_ends_while_one_is_let_in(place, lab, namespace, monkeypatch):
    # later for who watches the end than for who looks at the token
    monkeypatch.setattr(place.chat._connections, "_clock", Clock(wall=lambda: time.time() + 7200))
    async with calling(lab, "websocket") as client:
        answer = await connect(client, namespace, {"token": GOOD})
        assert answer.data == {"message": "Invalid token", "data": {"code": "token_expired"}}
        assert len(place.chat._connections) == 1


async def test_every_attack_is_also_refused_as_a_newer_token(place, lab):
    async with calling(lab, "websocket") as mallory:
        assert (await connect(mallory, "/", {"token": GOOD})).type is PacketType.CONNECT
        await mallory.receive()
        expires = [each.identity.expires for each in place.chat._connections._visitors.values()]
        for name, each in (INVALID | EXPIRED).items():
            (ack,) = await mallory.request("token:refresh", each)
            assert (ack["status"], ack["code"]) in {
                ("error", code) for code in ("bad_payload", "token_invalid", "token_expired")
            }, name
        assert [each.identity.expires for each in place.chat._connections._visitors.values()] == expires
    await until(lambda: len(place.chat._connections) == 1)
