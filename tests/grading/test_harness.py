"""What graders of Socket.IO exercises share: it hears everything, in order, and a wrong answer is never a right one."""

import asyncio

import pytest
import socketio
from deadlines import WAIT_S

from rtlab.grading import harness
from rtlab.grading.child.expectations import UnmetError
from rtlab.grading.harness import OK, Guest, House, open_house, show, unregistered

pytestmark = pytest.mark.timeout(WAIT_S * 3)


def register(sio):
    """A submission that knows how to greet, to refuse and to say nothing."""

    @sio.event
    async def greet(sid, *data):
        name = (await sio.get_session(sid))["username"]
        await sio.emit("greeting", {"from": name}, skip_sid=sid)
        return {"status": "ok"}

    @sio.event
    async def refuse(sid):
        return {"status": "error", "code": "no"}

    @sio.event
    async def two(sid):
        return 1, 2

    @sio.event
    async def silent(sid):
        raise RuntimeError


@pytest.fixture
async def house():
    async with open_house(House(register, Guest)) as made:
        yield made


async def test_each_hears_what_is_meant_for_them(house):
    rosa, otto = await house.all_of("rosa", "otto")
    await rosa.is_answered(OK, "greet")
    await otto.tell("greet")
    assert await otto.ask("two") == (1, 2)
    await house.hears(
        "after two greetings", rosa=[("greeting", {"from": "otto"})], otto=[("greeting", {"from": "rosa"})]
    )
    await house.hears("after nothing")


async def test_what_was_not_expected_is_unmet(house):
    rosa, otto = await house.all_of("rosa", "otto")
    await rosa.is_answered(OK, "greet")
    with pytest.raises(UnmetError, match="expected what otto hears after a greeting to be"):
        await house.hears("after a greeting")
    with pytest.raises(UnmetError, match="expected the ack of refuse without data from rosa to be"):
        await rosa.is_answered(OK, "refuse")
    with pytest.raises(UnmetError, match="expected the code in the ack of refuse"):
        await rosa.is_refused("never", "refuse")
    with pytest.raises(UnmetError, match="expected the status in the ack of greet"):
        await rosa.is_refused("no", "greet", 1)
    assert await otto.is_refused("no", "refuse") == {"status": "error", "code": "no"}


async def test_an_answer_that_never_comes(house, monkeypatch):
    monkeypatch.setattr(harness, "IN_TIME_S", 0.1)
    rosa = await house.guest("rosa")
    with pytest.raises(UnmetError, match=r"expected the ack of silent 'x' from rosa"):
        await rosa.ask("silent", "x")


class Orders(socketio.AsyncNamespace):
    async def on_order_place(self, sid, order):
        return OK


async def test_an_event_that_nobody_has_registered_is_named(monkeypatch):
    monkeypatch.setattr(harness, "IN_TIME_S", 0.1)
    async with open_house(House(register, Guest)) as house:
        rosa = await house.guest("rosa")
        sentence = r"nothing came within 0\.1 s; your code has registered 'greet', 'refuse', .*, not 'gruss'$"
        with pytest.raises(UnmetError, match=sentence):
            await rosa.ask("gruss")


def test_what_is_registered_is_named():
    sio = socketio.AsyncServer(async_mode="aiohttp")
    sio.on("connect", print)
    assert unregistered(sio, "order:place") == "your code has registered no event"
    assert unregistered(sio, "x", "/a") == "your code has registered no event in the namespace '/a'"
    sio.register_namespace(Orders("/"))
    assert unregistered(sio, "order_place") == ""
    assert unregistered(sio, "order:place") == "your code has registered 'order_place', not 'order:place'"
    sio.on("order:place", print, namespace="/orders")
    assert unregistered(sio, "order:place", "/orders") == ""
    sio.register_namespace(Orders("/later"))
    assert unregistered(sio, "order:place", "/none") == (
        "your code has registered 'order:place' in the namespace '/orders', not 'order:place' in '/none'"
    )
    sio.on("*", print)
    assert unregistered(sio, "order:place") == ""


def register_ends(sio):
    @sio.event
    async def leave(sid):
        await sio.disconnect(sid)
        await asyncio.Event().wait()


async def test_a_connection_that_ends_is_told_at_once():
    async with open_house(House(register_ends, Guest)) as house:
        rosa = await house.guest("rosa")
        with pytest.raises(UnmetError, match="the connection ended instead: the server disconnected the client"):
            await rosa.ask("leave")
        with pytest.raises(UnmetError, match="but the connection has ended: the server disconnected the client"):
            await rosa.tell("leave")


async def test_what_hangs_is_named(house, monkeypatch):
    monkeypatch.setattr(harness, "IN_TIME_S", 0.1)
    rosa = await house.guest("rosa")
    leave = rosa.client.disconnect
    rosa.client.disconnect = asyncio.Event().wait
    with pytest.raises(UnmetError, match=r"expected that rosa can leave, but that was not done within 0\.1 s"):
        await house.goes(rosa)
    rosa.client.disconnect = leave


async def test_who_goes_is_gone_when_it_returns(house):
    phone, laptop = await house.guest("rosa's phone", "rosa"), await house.guest("rosa's laptop", "rosa")
    await house.goes(phone)
    assert [sid for sid, _ in house.sio.manager.get_participants("/", None)] == [laptop.sid]
    assert set(await house.heard()) == {"rosa's laptop"}


async def test_guests_leave_with_the_house():
    async with open_house(House(register, Guest)) as house:
        rosa = await house.guest("rosa")
    assert not rosa.client.connected


def test_data_is_shown_within_bounds():
    assert show(()) == "without data"
    assert show((1, "x")) == "1, 'x'"
    assert len(show(("x" * 10_000,))) < 80
