"""What a worker finds in its app, of whatever kind, and whom it lets into the cluster's namespace."""

from __future__ import annotations

import asyncio

import pytest
import socketio
from aiohttp import web
from deadlines import WAIT_S
from scale import cluster_apps

import rtlab
from rtlab.scale.offering import CROSS, CROSSED, NAMESPACE, Offer, offer
from rtlab.servers.apps import resolve

KEY = "the key of the tests"


@pytest.fixture(autouse=True)
def _a_worker(monkeypatch):
    monkeypatch.setenv("RTLAB_WORKER", "worker-7")
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")  # a manager connects when its server has a client


@pytest.mark.parametrize("kind", cluster_apps.KINDS)
async def test_the_socketio_server_is_found_in_each_kind_of_app(kind):
    found = offer(
        getattr(cluster_apps, kind) if kind == "echo" else await resolve(getattr(cluster_apps, kind)), "a", KEY
    )
    assert found.path == cluster_apps.KINDS[kind]
    if found.path is not None:
        assert (found.manager, found.alone) == ("AsyncRedisManager", False)
    assert found.serializer == ("msgpack" if kind == "packed" else "default")
    assert Offer.from_bytes(found.to_bytes()) == found


def test_a_manager_for_one_process_is_named():
    assert offer(cluster_apps.alone(), "a", KEY) == Offer("/socket.io/", "default", "AsyncManager", alone=True)
    assert offer(rtlab.realtime.Server(), "a", KEY).alone


def test_a_manager_that_a_learner_has_made_may_cross():
    class Bridge(socketio.AsyncManager):
        pass

    assert offer(socketio.AsyncServer(client_manager=Bridge()), "a", KEY) == Offer("/socket.io/", "default", "Bridge")


async def test_what_is_no_server_offers_nothing():
    app = web.Application()
    app.router.add_static("/files", ".")
    for each in (app, cluster_apps.echo, object(), web.Application()):
        assert offer(each, "a", KEY) == Offer()


WRONG = (None, {}, {"key": None}, {"key": "wrong"}, {"key": 3}, {"key": "\ud800"})


@pytest.mark.parametrize(
    ("make", "auth"),
    [
        *((socketio.AsyncServer, auth) for auth in (*WRONG, KEY, [KEY])),  # ours takes no CONNECT with these two at all
        *((rtlab.realtime.Server, auth) for auth in WRONG),
    ],
)
async def test_nobody_comes_in_without_the_key(make, auth):
    sio = make(async_mode="aiohttp")
    offer(sio, "worker-7", KEY)
    async with rtlab.serve(sio) as server:
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(server.url, auth=auth, namespaces=[NAMESPACE], wait_timeout=WAIT_S)
        await client.disconnect()


@pytest.mark.parametrize("make", [socketio.AsyncServer, rtlab.realtime.Server])
async def test_who_has_the_key_hears_who_emits(make):
    sio = make(async_mode="aiohttp")
    offer(sio, "worker-7", KEY)
    heard = asyncio.Queue()
    async with rtlab.serve(sio) as server:
        client = socketio.AsyncClient(handle_sigint=False, reconnection=False)
        client.on(CROSSED, heard.put, namespace=NAMESPACE)
        await client.connect(server.url, auth={"key": KEY}, namespaces=[NAMESPACE], wait_timeout=WAIT_S)
        for wrong in (None, 3, {"a": 1}):
            await client.emit(CROSS, wrong, namespace=NAMESPACE)
        await client.emit(CROSS, "a token", namespace=NAMESPACE)
        async with asyncio.timeout(WAIT_S):
            assert await heard.get() == ["worker-7", "a token"]
        await client.disconnect()
