"""What chapters import, on real servers."""

import asyncio
import logging

import pytest
import socketio
from deadlines import WAIT_S

import rtlab
import rtlab.lesson
from rtlab.errors import UsageError
from rtlab.lesson import MARKER, KeptLog, Person, arrive, crowd, cut, heard, joined, knock, raw


@pytest.fixture
async def house():
    """A server with two namespaces, one of which refuses."""
    log = KeptLog()
    sio = socketio.AsyncServer(
        async_mode="aiohttp", namespaces=["/", "/chat", "/staff"], logger=log.logger, engineio_logger=log.logger
    )

    @sio.event
    async def connect(sid, environ, auth):
        await sio.save_session(sid, auth)

    @sio.event(namespace="/staff")
    async def connect(sid, environ, auth):  # noqa: F811
        raise socketio.exceptions.ConnectionRefusedError("staff only")

    @sio.event
    async def whoami(sid):
        return (await sio.get_session(sid))["username"]

    @sio.event
    async def two(sid, *arguments):
        return arguments

    @sio.event
    async def fail(sid):
        raise LookupError("gone")

    async with rtlab.serve(sio) as server:
        yield sio, server, log


async def test_a_person_shows_its_name_asks_and_leaves(house):
    _, server, _ = house
    async with joined(server, "ann") as ann:
        assert await ann.ask("whoami") == "ann"
        assert await ann.ask("two", 1, None) == (1, None)
        assert repr(ann) == "Person('ann', connected, 0 events not read)"
    assert repr(ann) == "Person('ann', not connected, 0 events not read)"


async def test_a_person_waits_for_the_event_that_it_names(house):
    sio, server, _ = house
    async with joined(server.url, "ann", namespaces=["/", "/chat"]) as ann:
        await sio.emit("other", 1, to=ann.sid)
        await sio.emit("news", 2, namespace="/chat")
        assert await ann.next("news") == ("/chat", "news", 2)


async def test_heard_is_what_came_since_the_last_time_in_order_and_by_name(house):
    sio, server, _ = house
    async with joined(server, "ann") as ann, joined(server, "bob") as bob:
        await sio.emit("one", {"a": 1})
        await sio.emit("two", to=bob.sid)
        assert await heard(sio, ann, bob) == {"ann": [("one", {"a": 1})], "bob": [("one", {"a": 1}), ("two",)]}
        await sio.emit("three", (1, 2), to=ann.sid)
        assert await heard(sio, bob, ann) == {"bob": [], "ann": [("three", 1, 2)]}


async def test_a_marker_that_was_meant_for_somebody_else_is_not_heard(house):
    sio, server, _ = house
    async with joined(server, "ann") as ann:
        await sio.emit(MARKER, 0, to=ann.sid)
        await sio.emit("news", to=ann.sid)
        assert await heard(sio, ann) == {"ann": [("news",)]}


async def test_a_person_in_one_namespace_only_is_asked_there(house):
    sio, server, _ = house
    async with joined(server, "ann", namespaces=["/chat"]) as ann:
        await sio.emit("news", 1, namespace="/chat")
        assert await heard(sio, ann) == {"ann": [("/chat", "news", 1)]}


async def test_a_line_that_is_cut_ends_without_a_goodbye():
    sio, reasons = socketio.AsyncServer(async_mode="aiohttp"), asyncio.Queue()
    sio.on("disconnect", lambda sid, reason: reasons.put_nowait((sid, reason)))
    async with rtlab.serve(sio) as server:
        ann = await arrive(server, "ann")
        sid = ann.client.get_sid()
        cut(sio, sid)
        assert await asyncio.wait_for(reasons.get(), WAIT_S) == (sid, "transport close")
        with pytest.raises(UsageError, match=f"{sid}..: expected the id of a client that is connected"):
            cut(sio, sid)


async def test_a_person_who_is_refused_gets_the_librarys_error(house):
    _, server, _ = house
    with pytest.raises(socketio.exceptions.ConnectionError):
        await arrive(server, "ann", namespaces=["/staff"])


async def test_knock_gives_the_answer_of_each_namespace(house):
    _, server, _ = house
    answers = await knock(server, "/staff", "/", auth={"username": "eve"})
    assert list(answers.items()) == [("/staff", "staff only"), ("/", "let in")]


async def test_knock_at_a_namespace_that_does_not_exist(house):
    _, server, _ = house
    assert await knock(server, "/", "/attic") == {"/": "let in", "/attic": "Unable to connect"}


async def test_raw_reads_the_opening_packet_and_connects_only_with_auth(house):
    _, server, _ = house
    async with raw(server) as ws, asyncio.timeout(5):
        await ws.send('40{"username": "eve"}')
        assert (await ws.recv()).startswith('40{"sid"')
    async with raw(server, auth={"username": "eve"}) as ws, asyncio.timeout(5):
        await ws.send('421["whoami"]')
        assert await ws.recv() == '431["eve"]'


async def test_a_kept_log_holds_the_message_and_the_exception(house):
    _, server, _ = house
    with KeptLog() as log:
        async with joined(server, "ann") as ann:
            await ann.tell("fail")
            await ann.ask("whoami")
    assert [line for line in log.lines if "gone" in line] == ["Task exception was never retrieved: LookupError('gone')"]


def test_a_kept_log_keeps_what_its_own_logger_gets_and_passes_nothing_on(capsys):
    log = KeptLog()
    assert repr(log) == "nothing was logged"
    log.logger.info("quiet")
    log.logger.error("loud\nand more")
    with KeptLog() as everything:
        logging.getLogger("a library").warning("%s left", 1)
    logging.getLogger("a library").debug("not any more")
    assert (log.lines, everything.lines) == (["loud"], ["1 left"])
    assert capsys.readouterr().err == ""


def test_a_person_has_one_name_and_shows_it_unless_told_otherwise():
    assert Person("ann").auth == {"username": "ann"}
    assert Person("ann", auth={"token": "…"}).auth == {"token": "…"}


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda _, sio: arrive(None, "ann"), "Expected a server of rtlab.start, a tap or a URL, got NoneType"),
        (
            lambda _, sio: arrive(sio, "ann"),
            r"got AsyncServer. Start it.*: server = await rtlab.start\(sio\)",
        ),
        (lambda server, _: arrive(server.url.removeprefix("http://"), "ann"), "Try 'http://127.0.0.1:"),
        (lambda server, _: arrive(server, "ann", namespaces="/chat"), r"got the string '/chat'. Write: \['/chat'\]"),
        (lambda server, _: arrive(server, "ann", namespaces=[]), "like '/' or '/chat', got none"),
        (lambda server, _: arrive(server, "ann", namespaces=["chat"]), "got 'chat'. Write: '/chat'"),
        (lambda server, _: knock(server), "got none"),
        (lambda server, _: knock(server, ["/", "/chat"]), "Name them one by one"),
        (lambda _, sio: heard(Person("ann")), "expected the AsyncServer"),
        (lambda server, _: heard(server, Person("ann")), "expected the AsyncServer"),
        (lambda _, sio: heard(sio), "expected people, one by one"),
        (lambda _, sio: heard(sio, [Person("ann")]), "expected people, one by one"),
        (lambda _, sio: heard(sio, Person("ann"), Person("ann")), "two of them are called 'ann'"),
        (lambda _, sio: heard(sio, Person("ann")), "ann is not connected"),
    ],
)
async def test_a_call_that_could_only_wait_or_break_is_refused_with_what_to_write(call, said):
    sio = socketio.AsyncServer(async_mode="aiohttp")
    async with rtlab.serve(sio) as server:
        with pytest.raises(UsageError, match=said):
            await call(server, sio)


async def test_who_hears_nothing_says_what_was_awaited(monkeypatch):
    monkeypatch.setattr(rtlab.lesson, "IN_TIME_S", 0.05)
    sio = socketio.AsyncServer(async_mode="aiohttp")
    async with rtlab.serve(sio) as server, rtlab.serve(socketio.AsyncServer(async_mode="aiohttp")) as other:
        async with joined(server, "ann") as ann, joined(other, "bob") as bob:
            with pytest.raises(TimeoutError, match=r"nothing came to ann within 0\.05 s$"):
                await ann.next()
            await sio.emit("news", 1)
            with pytest.raises(TimeoutError, match="no 'weather' came to ann"):
                await ann.next("weather")
            with pytest.raises(socketio.exceptions.TimeoutError, match=r"'tea' was not acknowledged within 0\.01 s"):
                await ann.ask("tea", within_s=0.01)
            with pytest.raises(TimeoutError, match="is this the server of bob"):
                await heard(sio, bob)


async def test_a_door_is_knocked_at_once_however_often_it_is_named():
    async with rtlab.serve(socketio.AsyncServer(async_mode="aiohttp")) as server:
        assert list(await knock(server, "/", "/")) == ["/"]


async def test_a_crowd_is_those_who_get_in():
    log = KeptLog()
    sio = socketio.AsyncServer(async_mode="aiohttp", logger=log.logger, engineio_logger=log.logger)
    told = []

    @sio.event
    async def connect(sid, environ, auth):
        told.append((environ["HTTP_X_NAME"], auth))
        return environ["HTTP_X_NAME"] != "eve"

    names = [{"X-Name": name} for name in ("ann", "eve", "bob")]
    async with rtlab.serve(sio) as server:
        for transports in (["websocket"], ["polling"], None):
            async with crowd(server, 4, transports, auth="a", headers=names) as clients:
                assert len(clients) == 3
                assert all(client.connected for client in clients)
            assert not any(client.connected for client in clients)
        url = server.url
    assert told[:4] == [("ann", "a"), ("eve", "a"), ("bob", "a"), ("ann", "a")]
    async with crowd(url, 2) as clients:
        assert clients == []
