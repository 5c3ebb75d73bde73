"""Each thing that people give to `rtlab.start` instead of an app, and the sentence that they get."""

import pytest
import socketio
from aiohttp import web

import rtlab
from rtlab.servers import websocket
from rtlab.servers.mistaken_apps import mistake
from rtlab.servers.websocket import Endpoint


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def not_async(websocket):
    pass


async def old(websocket, path):
    pass


async def two(first, second):
    pass


async def four(a, b, c, d):
    pass


async def no_arguments():
    pass


def forgets_return():
    web.Application()


async def forgets_return_too():
    web.Application()


async def yields(websocket):
    yield "hello"


def wsgi(environ, start_response):
    pass


class Lobby:
    async def hello(self, websocket):
        pass

    def __call__(self, environ, start_response):
        pass


MISTAKES = {
    "None": (None, "got None. Does the function that makes it end with `return app`"),
    "not async": (not_async, r"not_async\(websocket\) is not async.*async def not_async\(websocket\): …"),
    "a lambda": (lambda websocket: echo(websocket), r"is not async.*async def handler\(websocket\): …"),
    "two arguments": (
        two,
        r"two\(first, second\) takes 2 arguments, and a handler takes one.*async def two\(websocket",
    ),
    "with a path": (old, r"old\(websocket, path\) takes 2 arguments.*Its path is websocket\.request\.path"),
    "four arguments": (four, "takes 4 arguments"),
    "no arguments": (no_arguments, r"no_arguments\(\) gave None.*async def no_arguments\(websocket\): …"),
    "no return": (forgets_return, r"forgets_return\(\) gave None.*`return app` \(def forgets_return\(\): …\)"),
    "no return, async": (forgets_return_too, r"gave None.*`return app` \(async def forgets_return_too\(\): …\)"),
    "an async generator": (yields, "yields has a `yield`"),
    "a method of a class": (Lobby.hello, r"It is a method of a class: pass the method of an object, like Lobby\(\)"),
    "a class": (socketio.ASGIApp, r"ASGIApp is a class: pass an object of it, ASGIApp\(…\)"),
    "a class of Python's": (int, "int is a class"),
    "WSGI": (wsgi, "wsgi is a WSGI app"),
    "an object for WSGI": (Lobby(), "Lobby is a WSGI app"),
    "Socket.IO for threads": (socketio.Server(async_mode="threading"), r"Expected socketio\.AsyncServer"),
    "a number": (3, "Expected an aiohttp web.Application, .*; got 3"),
}


@pytest.mark.parametrize(("app", "said"), MISTAKES.values(), ids=MISTAKES)
async def test_each_mistake_has_its_sentence(app, said):
    with pytest.raises(rtlab.UsageError, match=said):
        await rtlab.start(app)
    with pytest.raises(rtlab.UsageError, match=said):
        async with rtlab.serve(app):
            pass
    assert rtlab.resources() == ()


async def test_a_call_instead_of_a_function():
    with pytest.raises(rtlab.UsageError, match=r"Got a coroutine, echo\(\): pass the function itself"):
        await rtlab.start(echo(None))
    with pytest.raises(rtlab.UsageError, match=r"Got a coroutine, start\(\)"):
        await rtlab.start(rtlab.start(echo))


async def asgi(scope, receive, send):
    pass


@pytest.mark.parametrize(
    "app",
    [
        echo, Lobby().hello, asgi, web.Application, web.Application(), lambda: web.Application(),
        socketio.AsyncServer, socketio.AsyncServer(async_mode="asgi"), Endpoint(echo), "chat:app", no_arguments,
    ],
)  # fmt: skip
def test_nothing_is_said_about_what_may_be_right(app):
    assert mistake(app) is None


@pytest.mark.parametrize("wrong", [not_async, old, two, no_arguments, None, yields, 3])
async def test_our_own_server_looks_at_its_handler_before_it_listens(wrong):
    with pytest.raises(rtlab.UsageError, match=r"handler|None|yield"):
        async with websocket.serve(wrong):
            pass
    with pytest.raises(rtlab.UsageError):
        Endpoint(wrong)


async def test_a_misspelt_option_of_our_own_server():
    with pytest.raises(rtlab.UsageError, match=r"Options\(max_mesage_size=…\).*Did you mean 'max_message_size'"):
        async with websocket.serve(echo, max_mesage_size=10):
            pass
