"""The chat's page over long-polling where the line breaks between a request and its answer.

A browser sends a request again whose connection ended before the first byte of an answer, if that connection had
carried another one before. Scripts do not hear of it: a GET comes twice whose first answer has taken messages away, and
a POST that was done comes twice.
"""

from __future__ import annotations

import re

import pytest
from browser.chat_windows import SECRET, Windows, address
from deadlines import SCALE
from eventually import until
from playwright.async_api import expect

import rtlab
from rtlab.chat import connect, issue_token
from rtlab.instruments.direction import Direction
from rtlab.instruments.faults.proxy import FaultProxy

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(120 * SCALE),
    pytest.mark.xdist_group("browser"),
]
NO_SESSION = re.compile("responded with a status of 400")
"""What the browser says when a session is over that it polls."""
MESSAGES = 12
"""That each of the two says while answers are lost."""
LOST = ((0,), (-1,), (0, -1), ())
"""Which answers, in turns, of those that the proxy holds: the oldest connection's, the newest one's."""


@pytest.fixture
async def windows(windows: Windows) -> Windows:
    windows.expected = NO_SESSION
    return windows


@pytest.fixture
async def proxy(server):
    async with rtlab.fault_proxy(server) as proxy:
        yield proxy


@pytest.fixture
async def carol(server):
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        yield carol


def hold_answers(proxy: FaultProxy) -> None:
    """What the server says from now on stays in the proxy."""
    proxy.delay(60, "to client")


async def lose_answers(proxy: FaultProxy, *which: int, of: int = 1) -> None:
    """Once the proxy holds so many answers, reset the connections of some; the others' go on, and all is well."""

    def held():
        found = [each for each in proxy.connections if each.waiting[Direction.TO_CLIENT]]
        return found if len(found) >= of else None

    found = await until(held)
    for number in which:
        found[number].drop()
    proxy.healthy()


async def test_a_message_whose_get_was_answered_in_vain_is_shown(windows, proxy, carol):
    alice = await windows.open(address(proxy), websocket=False)
    await alice.sees_people("alice", "carol")
    hold_answers(proxy)
    await carol.send("lobby", "lost on its way")
    await lose_answers(proxy, 0)
    await alice.sees("lost on its way")
    await carol.send("lobby", "after it")
    await alice.sees("lost on its way", "after it")
    await expect(alice["#messages > li.notice"]).to_have_count(0)
    await alice.sees_people("alice", "carol")


ANSWERS = pytest.mark.parametrize("which", [(0,), (1,), (0, 1)], ids=["one", "the other", "both"])
"""Of the two answers that the proxy holds, the POST's and the GET's: those that are lost."""


@ANSWERS
async def test_a_message_that_was_posted_in_vain_is_there_once(windows, proxy, carol, which):
    alice = await windows.open(address(proxy), websocket=False)
    await alice.sees_people("alice", "carol")
    await alice["#text"].fill("once")
    await carol.next("chat:typing")  # that was another POST
    hold_answers(proxy)
    await alice["#text"].press("Enter")
    await lose_answers(proxy, *which, of=2)
    await alice.sees("once")
    await alice.say("after it")
    await alice.sees("once", "after it")
    for text in ("once", "after it"):
        assert (await carol.next("chat:message")).data["text"] == text


@ANSWERS
async def test_a_room_that_was_joined_in_vain_is_joined(windows, proxy, carol, which):
    alice = await windows.open(address(proxy), websocket=False)
    await alice.sees_people("alice", "carol")
    await carol.join("garden")
    await carol.send("garden", "before")
    hold_answers(proxy)
    await alice["#join-name"].fill("garden")
    await alice["#join-name"].press("Enter")
    await lose_answers(proxy, *which, of=2)
    await alice.sees_people("alice", "carol")
    await carol.send("garden", "after")
    await alice.sees("before", "after")


async def test_whatever_answers_are_lost_each_message_is_there_once_and_in_order(windows, server, proxy, carol):
    alice = await windows.open(address(proxy), websocket=False)
    await alice.sees_people("alice", "carol")
    for number in range(MESSAGES):
        hold_answers(proxy)
        await alice.say(f"alice {number}")
        await carol.send("lobby", f"carol {number}")
        await lose_answers(proxy, *LOST[number % len(LOST)])
    await expect(alice["#messages .text"]).to_have_count(2 * MESSAGES)
    async with connect(server.url, token=issue_token("dave", SECRET)) as dave:
        said = [each["text"] for each in (await dave.join("lobby")).history]
    for name in ("alice", "carol"):
        assert [each for each in said if each.startswith(name)] == [f"{name} {number}" for number in range(MESSAGES)]
    await alice.sees(*said)
    await expect(alice["#messages > li.notice"]).to_have_count(0)
