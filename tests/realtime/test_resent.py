"""A request of a client that polls, which its HTTP layer sends again since the answer was lost."""

import json

import pytest
from realtime.conformance.lab import Client
from realtime.serving import serving

from rtlab.realtime.limits import UNADMITTED_BYTES
from rtlab.realtime.resent import Resent

OF_ITS_OWN = ["i05f80xx", "OkVc3f1", "a" * 64]
"""As engine.io-client writes it: since 6.6, and before; and the longest that is kept."""
CLOCKS = ["1796057064.4216552", "1796057064", "", "a" * 65, "\u00e4", "a b"]
"""What two requests may share, and what nobody has to keep."""


@pytest.fixture
async def lab():
    async with serving() as (_, lab, journal):
        client = Client(lab, await lab.polling())
        await client.connect()

        async def ask(method, t, body=None):
            answer = await lab.request(method, body, t=t, **client.transport.query)
            return answer.status, answer.text

        yield ask, journal


@pytest.mark.parametrize("t", OF_ITS_OWN)
async def test_a_get_that_comes_again_ends_the_session(lab, t):
    """Its messages are gone. A client that went on without them would not know."""
    ask, journal = lab
    await ask("POST", "a1", '421["echo",1]')
    assert await ask("GET", t) == (200, "431[1]")
    await ask("POST", "a2", '422["echo",2]')
    status, body = await ask("GET", t)
    assert (status, json.loads(body)) == (400, {"code": 1, "message": "Session ID unknown"})
    await journal.until("disconnect", "transport close")


async def test_only_the_last_get_is_what_comes_again(lab):
    ask, _ = lab
    for number, t in enumerate(("first", "second", "first")):
        await ask("POST", f"a{number}", f'42{number + 1}["echo"]')
        assert await ask("GET", t) == (200, f"43{number + 1}[]")


@pytest.mark.parametrize("t", CLOCKS)
async def test_two_requests_with_one_time_are_two(lab, t):
    ask, _ = lab
    for _ in range(2):
        assert await ask("POST", t, '421["echo"]') == (200, "ok")
        assert await ask("GET", t) == (200, "431[]")


@pytest.mark.parametrize("t", OF_ITS_OWN)
async def test_a_post_that_comes_again_is_done_once(lab, t):
    ask, _ = lab
    for _ in range(3):
        assert await ask("POST", t, '421["echo","once"]') == (200, "ok")
    assert await ask("POST", t, '422["echo","another"]') == (200, "ok")
    heard = ""
    while "another" not in heard:
        heard += (await ask("GET", f"get{len(heard)}"))[1]
    assert heard.replace("\x1e", "") == '431["once"]432["another"]'


async def test_a_post_that_comes_again_costs_what_it_costs():
    """Somebody without a token may send little, however often it is the same."""
    async with serving() as (_, lab, _):
        session = await lab.polling()
        pong = "3" + "x" * 2000
        for _ in range(UNADMITTED_BYTES // len(pong)):
            assert (await lab.request("POST", pong, t="same", **session.query)).status == 200
        assert (await lab.request("POST", pong, t="same", **session.query)).status == 413
        await session.is_gone()


def test_what_is_kept_of_a_client_is_small():
    resent = Resent()
    assert not resent.get({"t": "a" * 8000})
    assert not resent.post({"t": "a" * 64}, b"x" * 1_000_000)
    kept = [resent._get, *resent._post]
    assert sum(map(len, kept)) <= 64 + 16
