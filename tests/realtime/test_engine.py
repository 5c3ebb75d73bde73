"""The options of an Engine.IO server, on ours."""

import asyncio
import gzip
import logging

import aiohttp
import pytest
import socketio
from aiohttp import web
from deadlines import SCALE, WAIT_S
from eventually import until
from realtime.conformance.lab import Client
from realtime.serving import lab_of, serving

import rtlab
from rtlab.errors import ProtocolError, UsageError
from rtlab.realtime import Guards, Server
from rtlab.realtime.endings import Reason
from rtlab.realtime.message import Message

POLL = {"EIO": "4", "transport": "polling"}


async def test_it_runs_on_aiohttp_only():
    with pytest.raises(UsageError, match="runs on aiohttp"):
        Server(async_mode="asgi")
    assert Server(async_mode="aiohttp").async_mode == "aiohttp"


@pytest.mark.parametrize(
    ("allowed", "origin", "status"),
    [
        (None, None, 200),
        (None, "same", 200),
        (None, "https://evil.example", 403),
        ("https://chat.example", "https://chat.example", 200),
        (["https://chat.example"], "https://chat.example.evil", 403),
        ("*", "https://evil.example", 200),
        ([], "https://evil.example", 200),
    ],
)
async def test_a_foreign_origin_is_refused_over_http_and_websocket(allowed, origin, status):
    async with rtlab.serve(Server(cors_allowed_origins=allowed)) as server, aiohttp.ClientSession() as http:
        headers = {} if origin is None else {"Origin": server.url if origin == "same" else origin}
        async with http.get(f"{server.url}/socket.io/", params=POLL, headers=headers) as response:
            assert response.status == status
            if status == 403:
                assert await response.json() == {"code": 4, "message": "Forbidden"}
                assert "Access-Control-Allow-Origin" not in response.headers
            elif origin and allowed != []:
                assert response.headers["Access-Control-Allow-Origin"] == headers["Origin"]
        upgrade = http.ws_connect(f"{server.ws_url}/socket.io/?EIO=4&transport=websocket", headers=headers)
        if status == 403:
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await upgrade
        else:
            await (await upgrade).close()


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [("io", "io={sid}; path=/; SameSite=Lax"), ({"name": "x", "HttpOnly": True}, "x={sid}; HttpOnly")],
    ids=["a name", "attributes"],
)
async def test_a_cookie_carries_the_session_id(cookie, expected):
    async with rtlab.serve(Server(cookie=cookie)) as server, aiohttp.ClientSession() as http:
        async with http.get(f"{server.url}/socket.io/", params=POLL) as response:
            sid = (await response.text()).split('"')[3]
            assert response.headers.getall("Set-Cookie") == [expected.format(sid=sid)]


@pytest.mark.parametrize("compression", [True, False])
async def test_a_long_body_is_compressed_for_those_who_take_it(compression):
    async with serving(http_compression=compression) as (sio, lab, _):
        client = Client(lab, await lab.polling())
        await client.connect()
        await sio.emit("news", "x" * 5000)
        query = client.transport.query
        async with aiohttp.ClientSession(auto_decompress=False) as http:
            async with http.get(lab.url, params=query, headers={"Accept-Encoding": "gzip"}) as response:
                body = await response.read()
                assert response.headers.get("Content-Encoding") == ("gzip" if compression else None)
        assert b"x" * 5000 in (gzip.decompress(body) if compression else body)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_only_the_transports_that_are_allowed(transport):
    async with rtlab.serve(Server(transports=[transport])) as server, lab_of(server) as lab:
        other = "websocket" if transport == "polling" else "polling"
        refused = await lab.request(EIO="4", transport=other)
        assert (refused.status, "Transport unknown" in refused.text) == (400, True)
        if transport == "polling":
            session = await lab.polling()
            assert session.handshake.upgrades == ()
            await lab.refuses_websocket(**session.query | {"transport": "websocket"})
        else:
            await lab.websocket()


async def test_upgrades_can_be_forbidden():
    async with rtlab.serve(Server(allow_upgrades=False)) as server, lab_of(server) as lab:
        session = await lab.polling()
        assert session.handshake.upgrades == ()
        await lab.refuses_websocket(**session.query | {"transport": "websocket"})


@pytest.mark.parametrize("monitors", [True, False])
async def test_without_monitoring_nobody_is_pinged(monitors):
    guards = Guards(whole_ping_interval=False)
    async with serving(guards=guards, monitor_clients=monitors, ping_interval=0.05, ping_timeout=20) as (sio, lab, _):
        socket = await lab.websocket()
        await asyncio.sleep(0.1)
        sio.eio.send_message(socket.handshake.sid, Message("4end"))
        assert (await socket.receive()).type.name == ("PING" if monitors else "MESSAGE")


async def test_a_body_that_is_too_long_is_answered_and_closes():
    async with serving(max_http_buffer_size=1000) as (_, lab, journal):
        client = Client(lab, await lab.polling())
        await client.connect()
        assert (await client.transport.post("4" + "x" * 1000)).status == 413
        await journal.until("disconnect", "transport error")
        await client.transport.is_gone()


async def test_a_python_client_that_polls_gets_a_burst_whole():
    sio, heard, whole = Server(), [], asyncio.Event()

    def hear(number):
        heard.append(number)
        if len(heard) == 200:
            whole.set()

    async with rtlab.serve(sio) as server:
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        client.on("news", hear)
        await client.connect(server.url, transports=["polling"])
        for number in range(200):
            await sio.emit("news", number)
        async with asyncio.timeout(WAIT_S):
            await whole.wait()
        assert heard == list(range(200))
        await client.disconnect()


async def test_what_was_said_before_a_close_can_still_be_fetched_once():
    async with serving() as (sio, lab, _):
        client = Client(lab, await lab.polling())
        await client.connect()
        await sio.emit("last words")
        await sio.eio.disconnect(next(iter(sio.eio.sockets)))
        assert (await client.transport.get()).text == '42["last words"]\x1e1'
        await client.transport.is_gone()
        assert sio.eio.sockets == {}


async def test_a_shutdown_tells_everybody_and_may_come_twice():
    async with serving() as (sio, lab, journal):
        by_websocket, by_polling = await lab.client(), Client(lab, await lab.polling())
        await by_polling.connect()
        waiting = await by_polling.transport.begin_get()
        await sio.shutdown()
        assert (await waiting.answer()).status == 503, "a CLOSE packet would be final for a client"
        await by_websocket.transport.ends()
        assert by_websocket.transport.raw.close_code == 1001
        assert journal.entries.count(("disconnect", "server shutting down")) == 2
        await sio.shutdown()
        assert sio.eio.sockets == {}


async def test_an_app_that_shuts_down_takes_its_sessions_along():
    sio, app = Server(), web.Application()
    sio.attach(app, "elsewhere")
    sio.on("connect", lambda sid, environ, auth: None)
    async with rtlab.serve(app) as server:
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        gone = asyncio.Event()
        client.on("disconnect", lambda reason: gone.set())
        await client.connect(server.url, socketio_path="elsewhere", transports=["websocket"])
    await gone.wait()
    assert sio.eio.sockets == {}


async def test_a_session_can_be_closed_from_its_own_handlers():
    async with serving() as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await sio.eio.disconnect(sio.manager.eio_sid_from_sid(sid, "/"))

        client = Client(lab, await lab.websocket())
        await client.say("0")
        await client.transport.ends()
        await journal.until("disconnect", "server disconnect")
        assert list(sio.manager.get_participants("/", None)) == []


async def test_a_task_that_fails_is_in_the_log(caplog):
    async with serving() as (sio, lab, _):
        caplog.set_level(logging.ERROR, "engineio.server")

        async def fail():
            raise KeyError("oops")

        await asyncio.wait([sio.eio.spawn(fail())])
        await lab.client()
        assert "a task of the server failed" in caplog.text
        caplog.clear()


class Raises(logging.Logger):
    """A logger of an application that fails."""

    def warning(self, *_: object) -> None:
        raise KeyError("no log today")

    exception = error = warning  # type: ignore[assignment]


async def test_a_logger_that_fails_leaves_no_session_behind():
    async with serving(logger=Raises("x"), engineio_logger=Raises("x")) as (sio, lab, _):
        client = Client(lab, await lab.websocket())
        await client.say("no packet")
        await client.transport.ends()
        await until(lambda: not sio.eio.sockets)


async def test_a_shutdown_does_not_wait_for_a_handler_for_ever(monkeypatch):
    monkeypatch.setattr("rtlab.realtime.engine.CLOSE_S", 0.1)
    async with serving() as (sio, lab, journal):

        @sio.event
        async def connect(sid, environ, auth):
            await journal.note("asked")
            await asyncio.Event().wait()

        client = Client(lab, await lab.websocket())
        await client.say("0")
        await journal.until("asked")
        await sio.shutdown()
        assert list(sio.manager.get_participants("/", None)) == []


def ends_in(caplog) -> list[str]:
    """The lines of the log that say that a session has ended."""
    return [record.getMessage() for record in caplog.records if ": closed, " in record.getMessage()]


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_a_ping_timeout_is_in_the_log(caplog, transport):
    guards = Guards(whole_ping_interval=False)
    async with serving(guards=guards, ping_interval=SCALE, ping_timeout=0.05) as (sio, lab, journal):
        caplog.set_level(logging.INFO, "rtlab.realtime")
        client = Client(lab, await getattr(lab, transport)())
        await client.connect()
        (sid,) = sio.eio.sockets
        await journal.until("disconnect", "ping timeout")
        assert ends_in(caplog) == [f"{sid}: closed, ping timeout"]


@pytest.mark.parametrize("reason", sorted(getattr(Reason, name) for name in dir(Reason) if name.isupper()))
async def test_every_end_of_a_session_is_one_line_in_the_log(caplog, reason):
    async with serving() as (sio, lab, journal):
        caplog.set_level(logging.INFO, "rtlab.realtime")
        await lab.client()
        ((sid, session),) = sio.eio.sockets.items()
        if reason == Reason.PARSE_ERROR:
            session.violate(ProtocolError("expected something else", rule="a test"))
        elif reason == Reason.SLOW_CONSUMER:
            session.drop_slow_consumer()
        elif reason == Reason.SHUTTING_DOWN:
            await sio.shutdown()
        elif reason == Reason.SERVER_DISCONNECT:
            await sio.eio.disconnect(sid)
        else:
            session.close(reason)
        await journal.until("disconnect", reason)
        (line,) = ends_in(caplog)
        assert line.startswith(f"{sid}: closed, {reason}")
