"""Ours takes the place of python-socketio's server."""

import inspect
import logging

import pytest
import socketio
from realtime.conformance.lab import Client
from realtime.serving import echoes, serving

from rtlab.errors import UsageError
from rtlab.realtime import Server

OWN = {"guards", "options", "serializer"}


def public(owner):
    return {
        name: inspect.signature(member)
        for name, member in inspect.getmembers(owner, inspect.isfunction)
        if not name.startswith("_") or name == "__init__"
    }


@pytest.mark.parametrize("name", sorted(set(public(socketio.AsyncServer)) - {"instrument"}))
def test_a_call_means_the_same(name):
    theirs, ours = public(socketio.AsyncServer)[name].parameters, public(Server)[name].parameters
    named = {key: value for key, value in theirs.items() if name != "__init__" or key != "kwargs"}
    assert [key for key in ours if key not in OWN] == list(named)
    for key, value in named.items():
        assert (ours[key].kind, ours[key].default) == (value.kind, value.default)


def test_the_admin_ui_is_refused_with_a_reason():
    with pytest.raises(UsageError, match="Admin UI"):
        Server().instrument(auth=False)


async def test_a_handler_that_fails_is_in_the_log_and_the_client_goes_on(caplog):
    async with serving() as (sio, lab, _):
        caplog.set_level(logging.ERROR, "socketio.server")

        @sio.event
        async def fail(sid):
            raise KeyError("oops")

        client = await lab.client()
        await client.say('21["fail"]')
        await echoes(client)
        assert "the handler of event 'fail' in / failed" in caplog.text
        caplog.clear()


async def test_events_in_order_where_asked_for():
    async with serving(async_handlers=False) as (sio, lab, journal):

        @sio.event
        async def count(sid, number):
            await journal.note(number)

        client = await lab.client()
        journal.entries.clear()
        for number in range(20):
            await client.emit("count", number)
        await echoes(client)
        assert journal.entries == [(number,) for number in range(20)]


async def test_a_handler_that_fails_where_events_are_in_order_stops_nobody(caplog):
    async with serving(async_handlers=False) as (sio, lab, _):

        @sio.event
        async def fail(sid):
            raise KeyError("oops")

        client = await lab.client()
        await client.say('21["fail"]')
        await echoes(client)
        caplog.clear()


@pytest.mark.parametrize(
    ("number", "name"),
    [
        ("7", "7"),
        ("7.0", "7"),
        ("-0.5", "-0.5"),
        ("1234567.25", "1234567.25"),
        ("12345678", "12345678"),
        ("9" * 400, "9" * 400),
        ("1e21", "1e+21"),
    ],
)
async def test_a_number_is_an_event_name_too_as_in_javascript(number, name):
    async with serving() as (sio, lab, journal):
        sio.on(name, lambda sid, data: journal.entries.append(data))
        client = await lab.client()
        await client.say(f'2[{number},"x"]')
        await echoes(client)
        assert journal.entries[-1] == "x"


async def test_a_query_behind_a_namespace_is_no_part_of_its_name():
    async with serving() as (sio, lab, _):
        sio.on("echo", lambda sid, *data: data, namespace="/hall")
        client = Client(lab, await lab.websocket())
        await client.say("0/hall?token=x,")
        answer = await client.receive()
        assert (answer.type.name, answer.namespace) == ("CONNECT", "/hall")
        await echoes(client, "/hall")
