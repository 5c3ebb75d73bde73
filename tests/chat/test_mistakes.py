"""Beginners' mistakes with the chat: each gets one sentence that says what to do."""

import asyncio
import inspect
import logging

import engineio
import pytest
from chat.serving import SECRET, chatting, token
from deadlines import SCALE, WAIT_S

import rtlab
from rtlab.chat import CHAT, ChatError, ChatRefusedError, Limits, connect, create_app, issue_token, show
from rtlab.chat.client.options import BELOW, OURS
from rtlab.chat.stores.memory import MemoryHistory
from rtlab.errors import UsageError

HERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        (HERE, {"token": None}, "connect(token=): expected a token, or a function that gives one, got None. Make one"),
        (HERE, {"token": 7}, "got int. Make one with rtlab.chat.issue_token('alice', secret)"),
        ("127.0.0.1:9", {}, "got '127.0.0.1:9'. Try 'http://127.0.0.1:9'."),
        ("localhost:8000", {}, "got 'localhost:8000'. Try 'http://localhost:8000'."),
        ("chat.example", {}, "expected one that begins with http:// or https://, got 'chat.example'"),
        ("htp://chat.example", {}, "Try 'http://chat.example'."),
        ("", {}, "expected one that begins with http://"),
        (None, {}, "expected a string such as 'http://127.0.0.1:8000', got None"),
        (HERE, {"transports": "websocket"}, "expected a list, got the string 'websocket'. Try ['websocket']."),
        (HERE, {"transports": ["websockets"]}, "got 'websockets'. Did you mean 'websocket'?"),
        (HERE, {"transports": []}, "expected 'polling', 'websocket' or both, got an empty list"),
        (HERE, {"reconnect": False}, "connect(reconnect=…): there is no such option. Did you mean 'reconnection'"),
        (HERE, {"transport": ["polling"]}, "Did you mean 'transports'?"),
        (HERE, {"recconection_delay": 1}, "Did you mean 'reconnection_delay'"),
        (HERE, {"guards": {}}, "connect(guards=…): there is no such option. There are: "),
        (HERE, {"handle_sigint": True}, "this one the chat's client sets itself. Leave it out."),
    ],
)
def test_connecting(url, options, said):
    with pytest.raises(UsageError) as error:
        connect(url, **{"token": token("alice"), **options})
    assert said in str(error.value)


def test_the_options_are_those_of_the_library():
    taken = set(inspect.signature(engineio.AsyncClient).parameters) - {"logger", "json"} - OURS
    assert BELOW - {"engineio_logger"} == taken
    for name in BELOW:
        connect(HERE, token=token("alice"), **{name: None})


async def test_a_server_instead_of_its_url():
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        with pytest.raises(UsageError, match=r"Give its url: connect\(server\.url"):
            connect(server, token=token("alice"))


async def test_a_function_that_gives_no_token():
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        with pytest.raises(UsageError, match="expected a function that gives a token, it gave None"):
            await connect(server.url, token=lambda: None)
        with pytest.raises(ZeroDivisionError):
            await connect(server.url, token=lambda: str(1 / 0))


async def test_a_client_that_nobody_awaited():
    client = connect(HERE, token=token("alice"))
    for name in ("send", "join", "next", "events", "session", "close", "connected"):
        with pytest.raises(AttributeError, match=f"no {name}: write `client = await rtlab.chat.connect"):
            getattr(client, name)
    assert "not connected yet" in repr(client)
    assert not hasattr(client, "_repr_html_")
    assert not hasattr(client, "frobnicate")
    with pytest.raises(UsageError, match="has to be `async with"), client:
        pass


async def test_waiting_in_vain_says_what_did_come():
    async with rtlab.serve(create_app(secret=SECRET)) as server, connect(server.url, token=token("alice")) as alice:
        await alice.join("lobby")
        await alice.send("lobby", "hello")
        with pytest.raises(TimeoutError) as error:
            await alice.next("chat:message", room="den", within_s=0.05)
        assert str(error.value) == (
            "next(chat:message, room='den'): nothing came within 0.05 s. "
            "Waiting to be taken: connect (1), chat:message (1). The client is connected."
        )


async def test_why_a_connection_is_over():
    app = create_app(secret=SECRET, limits=Limits(events_per_s=5, burst=5, breaches=3))
    async with rtlab.serve(app) as server:

        async def over(client, why):
            with pytest.raises(ChatError, match=f"The connection is over: {why}"):
                await client.next("never", within_s=WAIT_S)

        closed = await connect(server.url, token=token("alice"))
        await closed.close()
        await over(closed, "it was closed here")

        expired = await connect(server.url, token=token("bob", expires_s=3 * SCALE))
        await over(expired, "its token has expired. Give connect")
        await expired.close()

        loud = await connect(server.url, token=token("carol"))
        answers = await asyncio.gather(*(loud.typing("lobby") for _ in range(40)), return_exceptions=True)
        assert answers
        await over(loud, "the server ended it, for one that sends too much")
        await loud.close()

        cut = await connect(server.url, token=token("dora"), reconnection=False)
        for session in list(app[CHAT].sio.eio.sockets):
            await app[CHAT].sio.eio.disconnect(session)
        await over(cut, r"it broke \(transport \w+\), and reconnection=False")
        await cut.close()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cors_allowed_origins": ["x"]}, "no option 'cors_allowed_origins'. Use origins=[\"https://chat.example\"]."),
        ({"guards": {}}, "The chat sets its guards itself; how much it takes is limits=Limits(…)."),
        ({"orgins": []}, "no option 'orgins'. Did you mean origins?"),
        ({"max_http_buffer_size": 1}, "Use limits=Limits(payload_bytes=…)."),
        ({"frobnicate": 1}, "It has secret, redis, min_replicas, node, origins, limits"),
        ({"origins": "https://chat.example"}, "origins=: expected a list, got the string"),
        ({"origins": ["chat.example"]}, "Expected an origin such as https://chat.example"),
        ({"origins": ["*"]}, "Expected an origin such as https://chat.example"),
        ({"trusted_proxies": "127.0.0.1"}, "trusted_proxies=: expected a list, got the string '127.0.0.1'"),
        ({"trusted_proxies": "127.0.0.1", "dev": True}, "trusted_proxies=: expected a list"),
        ({"frame_ancestors": "'self'"}, "frame_ancestors=: expected a list"),
        ({"limits": {"text": 5}}, "limits=: expected rtlab.chat.Limits(…), got dict"),
        ({"secret": None}, "needs secret=…, at least 32 bytes"),
        ({"secret": ""}, "expected at least 32 bytes, got 0"),
        ({"redis": 7}, "redis=: expected a URL such as 'redis://127.0.0.1:6379', got int"),
        ({"redis": ""}, "redis=: expected a URL"),
        ({"redis": "http://127.0.0.1"}, "Expected a URL like redis://HOST:PORT"),
        ({"redis": "redis://127.0.0.1", "history": MemoryHistory(5)}, "history=: with redis=… all nodes share"),
        ({"node": ""}, "node=: expected a name such as 'worker-1', got ''"),
        ({"secret": b"x" * 32}, "expected a string of at least 32 bytes, got bytes"),
        ({"may_join": lambda user, room: True}, "expected `async def may_join(user, name)"),
        ({"may_subscribe": ["news"]}, "may_subscribe=: expected `async def"),
    ],
)
def test_making_a_chat(options, said):
    with pytest.raises(UsageError) as error:
        create_app(**{"secret": SECRET, **options})
    assert said in str(error.value)


def test_what_the_environment_says(monkeypatch):
    monkeypatch.setenv("RTLAB_SECRET", SECRET)
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    assert create_app()[CHAT].node is None, "the Redis of the lab is none of a chat of one process"
    monkeypatch.setenv("RTLAB_WORKER", "worker-3")
    chat = create_app()[CHAT]
    assert chat.node.name == "worker-3"
    assert "127.0.0.1" in chat.sio.guards.trusted_proxies, "where the balancer is"
    assert create_app(node="another")[CHAT].node.name == "another"
    monkeypatch.setenv("RTLAB_SECRET", "short")
    with pytest.raises(UsageError, match="at least 32 bytes, got 5"):
        create_app()


def test_a_chat_without_a_secret(monkeypatch):
    monkeypatch.delenv("RTLAB_SECRET", raising=False)
    with pytest.raises(UsageError, match=r"needs secret=…, at least 32 bytes: secrets\.token_urlsafe"):
        create_app()
    with pytest.raises(UsageError, match="got None"):
        issue_token("alice", None)


def test_showing_what_is_no_server():
    with pytest.raises(UsageError, match=r"expected what `await rtlab\.start\(app\)` gives, got str"):
        show("http://127.0.0.1:8000")


REFUSED = {
    "missing": (None, "refused: token_missing (auth: expected an object with a token, got nothing)"),
    "no token in it": (
        {"username": "a"},
        "refused: token_missing (auth: expected an object with a token, got no \"token\" in it)",
    ),
    "forged": (
        {"token": issue_token("alice", "another secret, long enough as it is")},
        "refused: token_invalid (Signature verification failed)",
    ),
    "no token": ({"token": "x"}, "refused: token_invalid (Not enough segments)"),
    "expired": ({"token": token("alice", expires_s=60, now=1.0)}, "refused: token_expired (it ended "),
}  # fmt: skip


@pytest.mark.parametrize("namespaces", [("/",), ("/notifications",)])
@pytest.mark.parametrize("kind", REFUSED)
async def test_a_refused_token_has_a_line_in_the_log_as_logging_is_by_default(caplog, kind, namespaces):
    auth, said = REFUSED[kind]
    async with chatting() as place:
        with pytest.raises(Exception, match="namespaces failed to connect"):
            await place.enter("alice", auth=auth, namespaces=namespaces)
    (record,) = [each for each in caplog.records if each.name == "rtlab.chat" and each.levelno >= logging.WARNING]
    assert record.getMessage().startswith(said)
    assert (record.peer, record.namespace) == ("127.0.0.1", namespaces[0])
    if auth and "token" in auth and len(auth["token"]) > 1:
        assert auth["token"] not in str(vars(record)), "never the token itself"


async def test_who_is_ended_has_a_line_in_the_log_too(caplog):
    async with chatting(limits=Limits(events_per_s=5, burst=5, breaches=3, connections_per_user=1)) as place:
        await place.enter("bob", auth={"token": token("bob", expires_s=3 * SCALE)})
        alice = await place.enter("alice")
        with pytest.raises(Exception, match="namespaces failed to connect"):
            await place.enter("alice")
        async with asyncio.timeout(WAIT_S):
            while alice.sio.connected:
                await asyncio.gather(*(alice.sio.emit("x", None) for _ in range(10)), return_exceptions=True)
                await asyncio.sleep(0)
        async with asyncio.timeout(WAIT_S):
            while place.chat._connections._visitors:
                await asyncio.sleep(0.01)
    said = {each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING}
    assert "thrown out: 4 events over the limit of 5 a second" in said
    assert {"ended: rate_limited (user 'alice')", "ended: token_expired (user 'bob')"} <= said
    assert "refused: too_many_connections (user 'alice')" in said


async def test_a_refresh_that_is_refused_has_one_as_well(caplog):
    async with chatting() as place:
        alice = await place.enter("alice")
        ack = await alice.ask("token:refresh", "x")
        assert ack["message"] == "token: expected a valid one, but Not enough segments"
    assert "refused: token_invalid (Not enough segments)" in {each.getMessage() for each in caplog.records}


async def test_the_client_hears_a_code_and_not_the_reason():
    """The reason is the log's: it would help whoever forges tokens."""
    async with rtlab.serve(create_app(secret=SECRET)) as server:
        with pytest.raises(ChatRefusedError) as error:
            await connect(server.url, token=issue_token("alice", "another secret, long enough as it is"))
    assert (error.value.code, error.value.message) == ("token_invalid", "Invalid token")
