"""The client for scripts, against the chat itself and through cuts."""

import asyncio
import time

import pytest
from deadlines import SCALE, WAIT_S
from eventually import until

import rtlab
from rtlab.chat import CHAT, ChatError, ChatRefusedError, Client, Limits, connect, create_app, issue_token
from rtlab.errors import UsageError

SECRET = "a secret of the tests, longer than 32 bytes"
SOON_S = 4 * SCALE
"""Seconds in which a connection is made, and after which a test does not wait long."""


def token(name: str = "alice", **options: float) -> str:
    return issue_token(name, SECRET, **options)


async def cut(client: Client) -> None:
    """Tear its line, as a tunnel would, and wait until both ends know."""
    client._sio.eio.ws._response.connection.transport.abort()
    await client.next("disconnect", within_s=WAIT_S)


@pytest.fixture
async def server():
    async with rtlab.serve(create_app(secret=SECRET)) as running:
        yield running


async def test_two_talk(server):
    async with connect(server.url, token=token()) as alice:
        bob = await connect(server.url, token=token("bob"))
        assert (await alice.join("lobby")).members == ["alice"]
        joined = await bob.join("lobby")
        assert (joined.members, joined.history, joined.missed, joined.complete) == (["alice", "bob"], [], 0, True)
        assert (await alice.next("chat:userJoined")).data == {"username": "bob", "room": "lobby"}
        sent = await alice.send("lobby", "hello")
        heard = await bob.next("chat:message", room="lobby")
        assert (heard.data["text"], heard.data["id"], heard.data["offset"]) == ("hello", sent.id, sent.offset)
        await bob.typing("lobby")
        assert (await alice.next("chat:typing")).data["username"] == "bob"
        await bob.leave("lobby")
        assert (await alice.next("chat:userLeft")).data["username"] == "bob"
        assert (await bob.join("lobby", after=sent.offset)).history == []
        await bob.close()
        await bob.close()
        assert "closed" in repr(bob)


async def test_notifications(server):
    app = create_app(secret=SECRET)
    async with rtlab.serve(app) as other, connect(other.url, token=token()) as alice:
        assert await alice.subscribe("weather", "news") == ["news", "weather"]
        assert await alice.unsubscribe("news") == ["weather"]
        await app[CHAT].notify("news", {"n": 1})
        await app[CHAT].notify("weather", {"n": 2})
        assert (await alice.next("notification")).data == {"topic": "weather", "n": 2}
        with pytest.raises(UsageError, match="topic: expected a string"):
            await app[CHAT].notify("", {})


async def test_what_the_server_refuses(server):
    async with connect(server.url, token=token()) as alice:
        with pytest.raises(ChatError, match="expected one that you have joined, got 'elsewhere'") as error:
            await alice.send("elsewhere", "hello")
        assert error.value.code == "not_a_member"
        with pytest.raises(ChatError, match="text: expected something that can be seen"):
            await alice.send("elsewhere", " ")
        with pytest.raises(ChatError) as error:
            await alice.restore("nobody's")
        assert error.value.code == "unknown_session"


async def test_what_utf_8_cannot_carry_is_not_sent(server):
    """A server that cannot read it may end the connection, and a client that comes back would send it again."""
    async with connect(server.url, token=token()) as alice:
        await alice.join("lobby")
        half = "x\ud83d"
        for call, where in (
            (alice.send("lobby", half), "chat:message: text"),
            (alice.send("lobby", "x", client_id=half), "chat:message: clientId"),
            (alice.join(half), "chat:join"),
            (alice.join("lobby", after=half), "chat:join: after"),
            (alice.leave(half), "chat:leave"),
            (alice.typing(half), "chat:typing"),
            (alice.subscribe("news", half), "subscribe"),
            (alice.unsubscribe(half), "unsubscribe"),
            (alice.restore(half), "session:restore"),
        ):
            with pytest.raises(UsageError, match=f"^{where}: expected text that UTF-8 can carry, got U.D83D"):
                await call
        assert (await alice.send("lobby", "whole: 🎈")).id
        assert (await alice.next()).name == "connect"
        assert (await alice.next()).data["text"] == "whole: 🎈", "nothing came between: it was never cut"
    with pytest.raises(UsageError, match=r"^token: expected text"):
        await connect(server.url, token="\ud83d")


@pytest.mark.parametrize(
    ("given", "message", "code"),
    [
        ("", "Authentication required", "token_missing"),
        ("garbage", "Invalid token", "token_invalid"),
        (token(expires_s=60, now=1.0), "Invalid token", "token_expired"),
    ],
)
async def test_a_client_that_is_refused_hears_why(server, given, message, code):
    with pytest.raises(ChatRefusedError, match=message) as error:
        await connect(server.url, token=given)
    assert error.value.code == code


async def test_nobody_there():
    with pytest.raises(ChatError, match=r"There is no chat at http://127\.0\.0\.1:9") as error:
        async with connect("http://127.0.0.1:9", token=token()):
            pass
    assert error.value.code == "unreachable"


async def test_a_cut_line_comes_back_and_what_was_missed_comes_once_and_in_order():
    async with (
        rtlab.serve(create_app(secret=SECRET, limits=Limits(burst=200))) as server,
        connect(server.url, token=token(), reconnection_delay=0.1) as alice,
        connect(server.url, token=token("bob")) as bob,
    ):
        await alice.join("lobby")
        await bob.join("lobby")
        await bob.send("lobby", "before")
        await cut(alice)
        for number in range(70):  # more than one page
            await bob.send("lobby", f"m{number}")
        await alice.next("connect", within_s=WAIT_S)
        texts = []
        while texts[-1:] != ["m69"]:
            texts.append((await alice.next("chat:message", within_s=WAIT_S)).data["text"])
        assert texts == ["before", *(f"m{number}" for number in range(70))]
        await alice.send("lobby", "back")
        assert (await bob.next("chat:message", text="back")).data["username"] == "alice"


async def test_what_is_said_while_it_is_away_waits_for_it(server):
    async with connect(server.url, token=token(), reconnection_delay=0.1) as alice:
        await alice.join("lobby")
        await cut(alice)
        assert not alice.connected
        assert (await alice.send("lobby", "from afar")).id, "it is sent once the client is back, and in its rooms"


async def test_a_message_has_one_effect_however_often_it_is_sent(server):
    async with connect(server.url, token=token()) as alice:
        await alice.join("lobby")
        first = await alice.send("lobby", "hello", client_id="c-1")
        assert await alice.send("lobby", "hello", client_id="c-1") == first
        await alice.next("chat:message")
        await alice.send("lobby", "the end")
        assert (await alice.next("chat:message")).data["text"] == "the end"


async def test_the_end_of_a_token_is_the_end_and_a_function_gives_a_newer_one(server):
    ends = iter([SOON_S, 3600.0])

    async def fresh() -> str:
        return token(expires_s=next(ends))

    async with (
        connect(server.url, token=token("bob", expires_s=SOON_S)) as bob,
        connect(server.url, token=fresh) as alice,
    ):
        await alice.refresh()
        with pytest.raises(UsageError, match="one token only"):
            await bob.refresh()
        assert (await bob.next("disconnect", within_s=WAIT_S)).data == "server disconnect"
        with pytest.raises(ChatError, match="The connection is over"):
            await bob.join("lobby")
        with pytest.raises(ChatError, match="The connection is over"):
            await bob.next("chat:message")
        assert [event async for event in bob.events("chat:message")] == []
        assert (await alice.join("lobby")).members == ["alice"], "hers goes on"


async def test_a_token_that_is_over_when_the_line_is_cut_ends_the_attempts(server):
    async with connect(server.url, token=token(expires_s=SOON_S), reconnection_delay=0.1) as alice:
        client = alice._sio
        deadline = time.time() + SOON_S
        await client.eio.disconnect(abort=True)
        await until(lambda: time.time() >= deadline)
        with pytest.raises(ChatError):
            await alice.next("chat:message", within_s=WAIT_S)


async def test_a_session_is_restored_by_its_owner_only(server):
    alice = await connect(server.url, token=token())
    await alice.join("lobby")
    session = alice.session
    await alice.close()
    async with connect(server.url, token=token()) as again, connect(server.url, token=token("mallory")) as mallory:
        with pytest.raises(ChatError, match="one of your own"):
            await mallory.restore(session)
        assert await again.restore(session) == ["lobby"]
        assert (await again.send("lobby", "I am in")).id


async def test_waiting_ends(server):
    async with connect(server.url, token=token()) as alice:
        with pytest.raises(TimeoutError):
            await alice.next("chat:message", within_s=0.05)
        waiting = asyncio.create_task(alice.next("chat:message", within_s=None))
        await asyncio.sleep(0)
        await alice.close()
        with pytest.raises(ChatError):
            await waiting


async def test_polling_only(server):
    async with connect(server.url, token=token(), transports=["polling"]) as alice:
        assert (await alice.join("lobby")).members == ["alice"]


async def test_events_as_they_come():
    async with rtlab.serve(create_app(secret=SECRET, limits=Limits(burst=100))) as server:
        async with connect(server.url, token=token()) as alice:
            await alice.join("lobby")
            for number in range(3):
                await alice.send("lobby", str(number))
            texts = []
            async for event in alice.events("chat:message", room="lobby"):
                texts.append(event.data["text"])
                if len(texts) == 3:
                    break
            assert texts == ["0", "1", "2"]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"]])
@pytest.mark.parametrize("allowed", [False, True])
async def test_the_largest_payload_is_a_limit(transports, allowed):
    limits = Limits(payload_bytes=20_000 if allowed else 2_000)
    async with (
        rtlab.serve(create_app(secret=SECRET, limits=limits)) as server,
        connect(server.url, token=token(), transports=transports, reconnection=False) as alice,
    ):
        await alice.join("lobby")
        if allowed:
            with pytest.raises(ChatError, match="bad_payload"):
                await alice.send("lobby", "x" * 5_000)
            assert alice.connected
        else:
            sending = asyncio.create_task(alice.send("lobby", "x" * 5_000))
            reason = (await alice.next("disconnect", within_s=WAIT_S)).data
            assert reason in {"transport close", "transport error"}, "so that a client comes back"
            sending.cancel()


@pytest.mark.parametrize(("transports", "arrives"), [(["polling"], True), (["websocket"], False)])
async def test_over_websocket_a_client_of_python_socketio_reads_4_mib(transports, arrives):
    """What the docstring of `rtlab.chat.connect` says."""
    app = create_app(secret=SECRET)
    async with (
        rtlab.serve(app) as server,
        connect(server.url, token=token(), transports=transports, reconnection=False) as alice,
    ):
        await app[rtlab.chat.CHAT].notify("news", {"text": "to nobody"})
        await alice.subscribe("news")
        await app[rtlab.chat.CHAT].notify("news", {"text": "x" * 4_000_000})
        assert len((await alice.next("notification", within_s=WAIT_S)).data["text"]) == 4_000_000
        await app[rtlab.chat.CHAT].notify("news", {"text": "x" * 4_190_000 if arrives else "x" * 4_200_000})
        event = await alice.next("notification" if arrives else "disconnect", within_s=WAIT_S)
        assert arrives or event.data.startswith("transport")
