"""What people give to `rtlab.start` instead of an app, and one sentence for each that says what to write.

What lives here: `mistake`, a table of them, and `made_nothing` for a function that has returned no app. It looks at an
app and never runs it, so that a mistake is found before anything is stopped or started. How the right ones are run
stands in `apps`.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any

from rtlab.errors import UsageError

__all__ = ["ACCEPTED", "made_nothing", "mistake", "refuse_mistakes", "refuse_no_handler", "required_arguments"]

ACCEPTED = (
    "an aiohttp web.Application, an async function that takes one WebSocket connection (for the websockets "
    "library), a socketio.AsyncServer, an ASGI app (FastAPI, Starlette, socketio.ASGIApp), a function without "
    "arguments that gives one of these, or an import string like 'chat:app'"
)
HANDLED = (0, 1, 3)
"""Arguments of an async function that is accepted: one that makes an app, a handler, an ASGI app."""
WSGI_ARGUMENTS = 2
"""The environment and start_response (PEP 3333)."""


def required_arguments(app: Callable[..., object]) -> int:
    """How many positional arguments a callable cannot do without; -1 where it does not tell."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    try:
        parameters = inspect.signature(app).parameters.values()
    except (TypeError, ValueError):  # some of C's
        return -1
    return sum(1 for each in parameters if each.kind in positional and each.default is each.empty)


def mistake(app: Any) -> str | None:
    """What is wrong with an app, and what to write instead; None where that does not show before it is run."""
    for is_it, sentence in _MISTAKES:
        if is_it(app):
            return sentence(app)
    return None


def refuse_mistakes(app: object) -> None:
    """Raise UsageError for what cannot be an app."""
    if (found := mistake(app)) is not None:
        raise UsageError(found)


def refuse_no_handler(handler: object) -> None:
    """Raise UsageError for what cannot be the handler of a connection: it is async and takes one argument."""
    if getattr(handler, "__name__", "") == "<lambda>":
        return  # it may give a coroutine
    refuse_mistakes(handler)
    if inspect.iscoroutinefunction(handler) and required_arguments(handler) != 1:
        raise UsageError(_say_arguments(handler))
    if not callable(handler):
        raise UsageError(f"Expected a handler, async def handler(websocket): …; got {handler!r}.")


def made_nothing(maker: Any) -> str:
    """What to do about a function without arguments that has given None."""
    name = _name(maker)
    define = "async def" if inspect.iscoroutinefunction(maker) else "def"
    return (
        f"{name}() gave None. If it makes an app, it has to end with `return app` ({define} {name}(): …). "
        f"If it is a handler, it has to take the connection: async def {name}(websocket): …"
    )


def _name(app: Any) -> str:
    return str(getattr(app, "__name__", type(app).__name__)).replace("<lambda>", "handler")


def _called(app: Any) -> str:
    """``handler(websocket, path)``."""
    return f"{_name(app)}{inspect.signature(app)}"


def _is_function(app: object) -> bool:
    return inspect.isfunction(app) or inspect.ismethod(app)


def _is_wsgi(app: Any) -> bool:
    if not callable(app) or inspect.isclass(app) or required_arguments(app) != WSGI_ARGUMENTS:
        return False
    return not inspect.iscoroutinefunction(app) and "start_response" in inspect.signature(app).parameters


def _is_synchronous_socketio(app: object) -> bool:
    socketio = sys.modules.get("socketio")
    return socketio is not None and isinstance(app, socketio.Server)


def _say_called(app: Any) -> str:
    name = getattr(app, "__qualname__", type(app).__name__)
    app.close()  # nobody will await it
    return f"Got a coroutine, {name}(): pass the function itself, without calling it."


def _say_arguments(app: Any) -> str:
    names = [*inspect.signature(app).parameters]
    line = f"{_called(app)} takes {len(names)} arguments, and a handler takes one, the connection"
    if names[:1] == ["self"]:
        return f"{line}. It is a method of a class: pass the method of an object, like Lobby().{_name(app)}."
    path = " Its path is websocket.request.path." if "path" in names else ""
    return f"{line}: async def {_name(app)}(websocket): ….{path}"


_MISTAKES: tuple[tuple[Callable[[Any], bool], Callable[[Any], str]], ...] = (
    (
        lambda app: app is None,
        lambda _: "Expected an app, got None. Does the function that makes it end with `return app`?",
    ),
    (lambda app: inspect.isawaitable(app) and hasattr(app, "close"), _say_called),
    (
        lambda app: inspect.isclass(app) and required_arguments(app) != 0,
        lambda app: f"{app.__name__} is a class: pass an object of it, {app.__name__}(…).",
    ),
    (
        _is_synchronous_socketio,
        lambda _: "socketio.Server is for threads. Expected socketio.AsyncServer(async_mode='aiohttp').",
    ),
    (_is_wsgi, lambda app: f"{_name(app)} is a WSGI app (Flask, Django), and WSGI knows no WebSockets. Use ASGI."),
    (
        inspect.isasyncgenfunction,
        lambda app: (
            f"{_name(app)} has a `yield`, so calling it runs nothing. A handler sends: await websocket.send(…)."
        ),
    ),
    (
        lambda app: inspect.iscoroutinefunction(app) and required_arguments(app) not in HANDLED,
        _say_arguments,
    ),
    (
        lambda app: (
            _is_function(app) and not inspect.iscoroutinefunction(app) and required_arguments(app) not in {0, -1}
        ),
        lambda app: (
            f"{_called(app)} is not async. A handler is a coroutine function that takes the connection: "
            f"async def {_name(app)}(websocket): …"
        ),
    ),
)
"""By what is asked first: whether it is that mistake, and what to say."""
