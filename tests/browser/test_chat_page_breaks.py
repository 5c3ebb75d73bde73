"""The chat's page in a real browser when the line breaks: nothing is lost, nothing comes twice, and people see why."""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import pytest
from browser.chat_windows import GENEROUS, SECRET, address, both_in
from chat.resuming import EXPECTED, Restless
from deadlines import WAIT_S
from playwright.async_api import WebSocketRoute, expect

import rtlab
from rtlab.chat import CHAT, connect, create_app, issue_token
from rtlab.chat.events import EventRefused
from rtlab.chat.rooms import chat_room
from rtlab.chat.stores.memory import MemoryHistory
from rtlab.realtime import Server
from rtlab.servers.ports import free_port

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.timeout(6 * WAIT_S),
    pytest.mark.xdist_group("browser"),
]


def record(room: str, text: str, username: str = "carol") -> dict[str, object]:
    """A message as a history keeps it."""
    return {"id": text, "username": username, "text": text, "room": room, "timestamp": int(time.time() * 1000)}


async def test_a_restart_loses_nothing_that_the_history_holds(windows):
    history = MemoryHistory(200)

    def app():
        return create_app(secret=SECRET, limits=GENEROUS, history=history)

    server = await rtlab.start(app(), port=free_port())
    alice, bob = await both_in(windows, server)
    await alice.say("before")
    await bob.sees("before")
    await server.stop()
    for window in (alice, bob):
        await window.away()
        await expect(window["#trouble"]).to_contain_text("Trying again")
        await expect(window["#trouble"]).to_contain_text("attempt")
    missed = [f"missed {number}" for number in range(120)]  # three pages
    for text in missed:
        await history.append("lobby", record("lobby", text), "carol")
    await alice.say("written meanwhile")
    await alice.say("and this")
    await expect(alice["#pending .text"]).to_have_text(["written meanwhile", "and this"])
    await expect(alice["#pending .fate"].first).to_have_text("Waits for the connection")
    server = await rtlab.start(app(), port=server.port)
    try:
        for window in (alice, bob):
            await window.connected()
            await window.sees("before", *missed, "written meanwhile", "and this")
            await window.sees_people("alice", "bob")
            await expect(window["#trouble"]).to_be_hidden()
        async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
            said = [each["text"] for each in (await carol.join("lobby")).history]
            assert said[-2:] == ["written meanwhile", "and this"]
            assert said.count("written meanwhile") == 1
    finally:
        await server.stop()


@pytest.mark.parametrize("said_before", [["before"], []], ids=["with a message", "in an empty room"])
async def test_60_missed_one_live_before_the_history_and_a_cut_between_the_pages(windows, said_before):
    history = Restless()
    app = create_app(secret=SECRET, limits=GENEROUS, history=history)
    history.sio = app[CHAT].sio
    async with rtlab.serve(app) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        for text in said_before:
            await alice.say(text)
        await alice.sees(*said_before)
        await history.cut_all()
        await alice.sees(*said_before, *EXPECTED)
        await expect(alice["#messages > li.notice"]).to_have_count(0)
        await alice.connected()
        await alice.say("the end")
        await alice.sees(*said_before, *EXPECTED, "the end")
        assert len(history.asked) == 3, "a page, the cut, and on from where that page ended"


async def test_where_messages_may_be_missing_it_says_so(windows):
    server = await rtlab.start(create_app(secret=SECRET), port=free_port())
    alice, bob = await both_in(windows, server)
    await alice.say("before")
    for window in (alice, bob):
        await window.sees("before")
    await server.stop()
    await alice.away()
    await alice.say("meanwhile")
    server = await rtlab.start(create_app(secret=SECRET), port=server.port)
    try:
        for window in (alice, bob):
            await window.sees("before", "meanwhile")
            rows = window["#messages > li"]
            await expect(rows).to_have_count(3)
            await expect(rows.nth(1)).to_contain_text("messages may be missing here")
            await expect(window["#messages .day:not([hidden])"]).to_have_count(1)
    finally:
        await server.stop()


async def test_one_does_not_have_to_wait_for_the_next_attempt(windows):
    server = await rtlab.start(create_app(secret=SECRET), port=free_port())
    alice = await windows.open(address(server))
    await alice.connected()
    await server.stop()
    await alice.away()
    await expect(alice["#trouble"]).to_contain_text("attempt 3")
    server = await rtlab.start(create_app(secret=SECRET), port=server.port)
    try:
        await alice["#trouble-button"].click()
        await alice.connected()
        await alice.sees_people("alice")
        await expect(alice["#text"]).to_be_focused()
    finally:
        await server.stop()


async def test_what_the_server_has_lost_is_said_where_it_is_missing(windows):
    app = create_app(secret=SECRET, dev=True, limits=GENEROUS)
    async with rtlab.serve(app) as server:
        alice, bob = await both_in(windows, server)
        await alice.say("before")
        await bob.sees("before")
        about = {"room": "lobby", "after": "0-0", "offset": f"{int(time.time() * 1000)}-0"}
        await app[CHAT].sio.emit("chat:lost", about, to=chat_room("lobby"))
        await expect(bob["#log .notice"]).to_contain_text("The server has missed messages and no longer has them")
        await alice.say("after")
        await bob.sees("before", "after")
        await expect(bob["#log .notice"]).to_have_count(1)


async def test_a_message_whose_acknowledgement_was_lost_is_there_once(windows, server):
    """The server takes it, and the line is cut before it can say so. The second attempt has the same id."""
    alice = await windows.open()
    lossy = asyncio.Event()
    sent: list[str] = []

    def passes(socket: WebSocketRoute) -> None:
        upstream = socket.connect_to_server()

        def to_page(message: str | bytes) -> None:
            if lossy.is_set() and "offset" in str(message):  # the echo, and the acknowledgement
                asyncio.get_running_loop().create_task(socket.close(code=1011))
            else:
                socket.send(message)

        def to_server(message: str | bytes) -> None:
            if "chat:message" in str(message):
                sent.append(str(message))
            upstream.send(message)

        upstream.on_message(to_page)
        socket.on_message(to_server)

    await alice.page.route_web_socket(re.compile("socket.io"), passes)
    async with connect(server.url, token=issue_token("carol", SECRET)) as carol:
        await carol.join("lobby")
        async with alice.page.expect_websocket() as upgraded:
            await alice.page.goto(address(server))
        assert await upgraded.value
        await alice.sees_people("alice", "carol")
        lossy.set()
        await alice.say("once")
        assert (await carol.next("chat:message")).data["text"] == "once"
        await alice.was("Not connected")
        lossy.clear()
        await alice.connected()
        await alice.say("twice")
        assert (await carol.next("chat:message")).data["text"] == "twice"
        await alice.sees("once", "twice")


class CutBy(MemoryHistory):
    """A history whose server ends every connection on a certain message, as if it could not read it."""

    def __init__(self, text: str, how: str) -> None:
        super().__init__(100)
        self._text = text
        self._how = how
        self.attempts = 0
        """How often that message has come."""
        self.sio: Server | None = None

    async def append(self, room: str, record: dict[str, Any], user: str) -> tuple[dict[str, Any], bool]:
        if record["text"] != self._text:
            return await super().append(room, record, user)
        self.attempts += 1
        self._ending = asyncio.create_task(self._end_all())  # who leaves waits for the message that is on its way
        raise EventRefused("gone", "expected a client that is still here")

    async def _end_all(self) -> None:
        assert self.sio is not None
        for session in list(self.sio.eio.sockets):
            if self._how == "the connection":
                await self.sio.eio.disconnect(session)
            else:
                await self.sio.disconnect(self.sio.manager.sid_from_eio_sid(session, "/"))


@pytest.mark.parametrize("how", ["the connection", "the session"])
async def test_a_message_on_which_the_connection_ends_is_given_up_and_the_next_arrives(windows, how):
    history = CutBy("poison", how)
    app = create_app(secret=SECRET, limits=GENEROUS, history=history)
    history.sio = app[CHAT].sio
    async with rtlab.serve(app) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        await alice.say("poison")
        await alice.say("after it")
        pending = alice["#pending li"]
        await expect(alice["#messages .text"]).to_have_text(["after it"])
        await expect(pending).to_have_count(1)
        await expect(pending.locator(".fate")).to_contain_text("Each time this was sent, the connection ended.")
        assert history.attempts == 3
        await alice.connected()
        await pending.get_by_role("button", name="Edit").click()
        await expect(alice["#text"]).to_have_value("poison")
        await alice.say("remedy")
        await alice.sees("after it", "remedy")
        assert history.attempts == 3


async def test_the_innocent_of_other_rooms_are_not_given_up_with_it(windows):
    """Each room has a message on its way when the connection ends on one of them."""
    history = CutBy("poison", "the connection")
    app = create_app(secret=SECRET, limits=GENEROUS, history=history)
    history.sio = app[CHAT].sio
    server = await rtlab.start(app, port=free_port())
    try:
        rooms = ["lobby", "garden", "kitchen"]
        alice = await windows.open(address(server))
        for room in rooms[1:]:
            await alice.join(room)
        await alice.page.context.set_offline(True)
        await history._end_all()
        await alice.away()
        await alice.go_to("lobby")
        await alice.say("poison")
        for room in rooms[1:]:
            await alice.go_to(room)
            await alice.say(f"from {room}")
        await alice.page.context.set_offline(False)
        for room in rooms[1:]:
            await alice.go_to(room)
            await alice.sees(f"from {room}")
        await alice.go_to("lobby")
        await expect(alice["#pending .fate"]).to_contain_text("Each time this was sent, the connection ended.")
        assert history.attempts == 3
    finally:
        await server.stop()


async def test_an_outbox_that_is_full_keeps_the_text_in_the_input(windows):
    server = await rtlab.start(create_app(secret=SECRET, limits=GENEROUS), port=free_port())
    alice = await windows.open(address(server))
    await alice.sees_people("alice")
    await server.stop()
    await alice.away()
    await alice.page.evaluate(
        """count => {
          for (let number = 0; number < count; number += 1) {
            document.getElementById("text").value = `number ${number}`;
            document.getElementById("compose").requestSubmit();
          }
        }""",
        200,
    )
    await expect(alice["#pending li"]).to_have_count(200)
    await alice.say("one more")
    await expect(alice["#problem"]).to_contain_text("As many messages wait to be sent as can be kept.")
    await expect(alice["#text"]).to_have_value("one more")
    await expect(alice["#pending li"]).to_have_count(200)
    server = await rtlab.start(create_app(secret=SECRET, limits=GENEROUS), port=server.port)
    try:
        await alice.connected()
        await expect(alice["#pending li"]).to_have_count(0)
        await alice["#text"].press("Enter")
        await expect(alice["#messages .text"].last).to_have_text("one more")
    finally:
        await server.stop()


class FailsAtFirst(MemoryHistory):
    """A history that fails over a message as often as is said."""

    def __init__(self, times: int) -> None:
        super().__init__(100)
        self.left = times

    async def append(self, room: str, record: dict[str, Any], user: str) -> tuple[dict[str, Any], bool]:
        if self.left:
            self.left -= 1
            raise EventRefused("server_error", "This is our fault and not yours. It is logged.")
        return await super().append(room, record, user)


@pytest.mark.parametrize("times", [2, 3])
async def test_a_server_that_fails_over_a_message_is_asked_three_times(windows, times):
    history = FailsAtFirst(times)
    async with rtlab.serve(create_app(secret=SECRET, limits=GENEROUS, history=history)) as server:
        alice = await windows.open(address(server))
        await alice.sees_people("alice")
        await alice.say("here")
        if times == 3:
            await expect(alice["#pending .fate"]).to_contain_text("The server failed.")
            await alice["#pending"].get_by_role("button", name="Try again").click()
        await alice.sees("here")
        assert history.left == 0


async def test_a_text_that_utf_8_cannot_carry_is_mended_before_it_is_sent(windows, server):
    """A JavaScript string may hold half of a pair; the first connection brings the message over."""
    alice = await windows.open(address(server))
    await alice.sees_people("alice")
    await alice["#text"].evaluate("field => { field.value = 'one\\ud83d \\u001b[2J'; }")
    await alice["#text"].press("Enter")
    await alice.say("two")
    await alice.sees("one\ufffd [2J", "two")
    await expect(alice["#state"]).to_have_text("Connected")


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_server_that_drains_says_so_and_the_page_comes_back(windows, transport):
    app = create_app(secret=SECRET)
    server = await rtlab.start(app, port=free_port())
    alice = await windows.open(address(server), websocket=transport == "websocket")
    await alice.sees_people("alice")
    sio = app[CHAT].sio
    assert {session.transport.name for session in sio.eio.sockets.values()} <= {"polling", transport}
    await app[CHAT].drain(0)
    await expect(alice["#trouble"]).to_contain_text("about to restart")
    await server.stop()
    await alice.away()
    server = await rtlab.start(create_app(secret=SECRET), port=server.port)
    try:
        await alice.connected()
        await expect(alice["#trouble"]).to_be_hidden()
        await alice.say("back again")
        await alice.sees("back again")
    finally:
        await server.stop()
