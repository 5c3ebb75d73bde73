"""A client shows a newer token before the old one ends, whatever the function does that gives them."""

import asyncio
import time

import pytest
from chat.client.wilful import wilful
from chat.serving import GENEROUS, SECRET, token
from deadlines import SCALE, WAIT_S
from eventually import until
from hypothesis import given, settings
from hypothesis import strategies as st

import rtlab
from rtlab.chat import connect, create_app, issue_token
from rtlab.chat.client import refreshing
from rtlab.chat.client.refreshing import REFRESH_S, TokenSource, claims
from rtlab.errors import UsageError

FAST = {"transports": ["websocket"], "reconnection_delay": 0.01, "randomization_factor": 0}
SOON_S = (2 * SCALE, 8 * SCALE)
"""Seconds that a token lasts. A fresh one has to come in the last quarter: a machine that is too slow for the first has
a second."""


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(refreshing, "AGAIN_S", 0.05)


async def test_it_outlives_its_first_token():
    names = await outlived(SOON_S[0])
    if names != NEVER_CUT:
        names = await outlived(SOON_S[1])
    assert names == NEVER_CUT


NEVER_CUT = {"connect", "chat:message"}
"""And nothing failed."""


async def outlived(lasts_s):
    """What a client hears that goes on after the end of its first token."""
    given = []

    async def fresh():
        given.append(token("alice", expires_s=lasts_s if len(given) < 2 else 3600))
        return given[-1]

    async with rtlab.serve(create_app(secret=SECRET, limits=GENEROUS)) as server:
        async with connect(server.url, token=fresh) as alice:
            await alice.join("lobby")
            first_ends = time.time() + lasts_s
            await until(lambda: len(given) >= 3)
            await until(lambda: time.time() > first_ends)
            assert (await alice.send("lobby", "still here")).id
            names = {event.name for event in alice._arrivals._events}
            assert alice._tokens.left() > 3600 - REFRESH_S
            return names


async def test_a_function_that_fails_is_said_once_and_ends_nothing(monkeypatch):
    """It raises, hangs, gives no string, gives the same token again; then it works."""
    monkeypatch.setattr(refreshing, "TOKEN_S", 0.1)
    lasting = issue_token("alice", SECRET, expires_s=20 * SCALE)
    calls = 0

    async def failing():
        nonlocal calls
        calls += 1
        if calls == 2:
            raise RuntimeError("the identity provider is away")
        if calls == 3:
            await asyncio.Event().wait()
        if calls == 4:
            return None
        return lasting if calls < 7 else token("alice", expires_s=3600)

    async with rtlab.serve(create_app(secret=SECRET, limits=GENEROUS)) as server:
        monkeypatch.setattr(refreshing, "AGAIN_MAX_S", 0.05)
        monkeypatch.setattr(refreshing, "REFRESH_SHARE", 0.99)
        async with connect(server.url, token=failing) as alice:
            await until(lambda: calls >= 7)
            await until(lambda: alice._tokens.left() > 60)
            told = [event.data for event in alice._arrivals._events if event.name == "refresh_failed"]
            assert told == [{"code": "token_function", "message": "RuntimeError: the identity provider is away"}]
            assert alice.connected


async def test_each_connection_shows_a_fresh_token_and_a_function_that_fails_then_is_asked_again():
    calls = 0

    def fresh():
        nonlocal calls
        calls += 1
        if calls in {2, 3}:
            raise RuntimeError("away")
        return token("alice", expires_s=3600 + calls)

    async with wilful() as server, connect(server.url, token=fresh, **FAST) as alice:
        await alice.join("lobby")
        await server.cut()
        await until(lambda: len(server.tokens) == 2)
        assert (await alice.send("lobby", "back")).id
        assert len(set(server.tokens)) == 2
        told = [event.data["message"] for event in alice._arrivals._events if event.name == "refresh_failed"]
        assert told == ["RuntimeError: away"], "of two attempts to come back"


async def test_a_function_that_hangs_while_it_comes_back(monkeypatch):
    monkeypatch.setattr(refreshing, "TOKEN_S", 0.1)
    calls = 0

    async def hangs():
        nonlocal calls
        calls += 1
        if calls == 2:
            await asyncio.Event().wait()
        return "t"

    async with wilful() as server, connect(server.url, token=hangs, **FAST) as alice:
        await server.cut()
        await until(lambda: len(server.tokens) == 2)
        assert (await alice.join("lobby")).members


async def test_a_function_that_hangs_from_the_start(monkeypatch):
    monkeypatch.setattr(refreshing, "TOKEN_S", 0.05)

    async def hangs():
        await asyncio.Event().wait()

    async with wilful() as server:
        with pytest.raises(TimeoutError, match=r"connect\(token=\): the function gave no token within 0.05 s"):
            await connect(server.url, token=hangs, **FAST)


async def test_a_function_that_closes_its_client():
    ends = iter([1.0 * SCALE, 3600.0])

    async def closes():
        lasts = next(ends)
        if lasts == 3600.0:
            await alice.close()
        return token("alice", expires_s=lasts)

    async with wilful() as server:
        alice = await connect(server.url, token=closes, **FAST)
        replacing = alice._refresher.task
        async with asyncio.timeout(WAIT_S):
            assert [event.name async for event in alice.events()] == ["connect", "disconnect"]
        await until(lambda: replacing.done(), "it does not go on without a connection")
        await alice.close()


async def test_a_token_alone_is_never_replaced():
    async with wilful() as server, connect(server.url, token=token("alice", expires_s=1), **FAST) as alice:
        assert alice._refresher.task is None
        with pytest.raises(UsageError, match="one token only"):
            await alice.refresh()


async def test_close_and_a_cut_end_what_waits_for_the_time():
    async with wilful() as server, connect(server.url, token=lambda: token("alice"), **FAST) as alice:
        first = alice._refresher.task
        assert not first.done()
        await server.cut()
        await until(lambda: alice._refresher.task not in {first, None})
        assert first.done()
        last = alice._refresher.task
        await alice.close()
        assert last.done()


@pytest.mark.parametrize(
    ("ahead", "lasts", "left"),
    [(0, 600, 600), (-300, 600, 600), (300, 600, 300), (700, 600, 600), (-5000, 600, 600)],
    ids=["right", "slow", "fast", "so fast that it would be over", "an hour slow"],
)
def test_a_clock_that_is_wrong(ahead, lasts, left):
    source = TokenSource(lambda: "", wall=lambda: 10_000.0 + ahead, steady=lambda: 0.0)
    source.shown(issue_token("alice", SECRET, now=10_000.0, expires_s=lasts))
    assert source.left() == left


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=60) | st.just("a.eyJleHAiOiAxZTMwMH0.b") | st.just("a.bnVsbA.b"))
def test_what_is_no_token_has_no_end(text):
    found = claims(text)
    assert found in ({}, {"exp": 1e300})
    source = TokenSource(lambda: text)
    source.shown(text)
    assert found or source.left() is None


async def test_without_a_token_no_connection_is_opened():
    """The library would leave it open."""
    calls = 0

    def fails():
        nonlocal calls
        calls += 1
        if calls in {2, 3, 4}:
            raise RuntimeError("away")
        return "t"

    async with wilful() as server, connect(server.url, token=fails, **FAST) as alice:
        await server.cut()
        await until(lambda: server.connected == 2)
        assert (await alice.join("lobby")).members
        assert calls == 5
