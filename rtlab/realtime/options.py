"""What `Server` may be given, option by option: python-socketio takes a wrong one silently, and acts on it later.

What lives here: `OPTIONS`, the table, and `refuse_wrong`, which holds a call to it. What the options do is in
python-socketio's and python-engineio's documentation; the ping times are looked at once more in `engine`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from math import isfinite
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import socketio

from rtlab.errors import UnknownOptionError, UsageError
from rtlab.realtime.guards import Guards

__all__ = ["OPTIONS", "Expected", "refuse_wrong"]

TRANSPORTS = ("polling", "websocket")
ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(\[[0-9a-f:.]+\]|[^\s/?#@:\[\]A-Z]+)(:[0-9]+)?")
"""As a browser writes it (RFC 6454 §6.2): in lower case, with a scheme, without a path."""
DEFAULT_PORTS = {"http": 80, "https": 443}
"""Browsers leave them out."""


class Expected(NamedTuple):
    """What an option takes."""

    words: str
    """In words, after "expected"."""
    holds: Callable[[Any], bool]
    """Whether a value is that."""
    hint: Callable[[Any], str] = lambda _: ""
    """What to write instead, for a value that is not."""


def refuse_wrong(options: Mapping[str, Any]) -> None:
    """Hold the options of a call to the table.

    Raises:
        UnknownOptionError: one does not exist; the message names the nearest.
        UsageError: one is of the wrong kind; the message says what it takes.
    """
    for name, value in options.items():
        if name not in OPTIONS:
            if name in Guards.__dataclass_fields__:
                raise UsageError(f"{name} is a guard. Write: Server(guards=Guards({name}={value!r})).")
            raise UnknownOptionError("Server", name, OPTIONS)
        words, holds, hint = OPTIONS[name]
        if not holds(value):
            instead = hint(value)
            raise UsageError(f"Server({name}={value!r}): expected {words}.{instead and ' ' + instead}")


def _one_of(*values: object) -> Callable[[Any], bool]:
    return lambda value: any(value is each or (isinstance(value, str) and value == each) for each in values)


def _is(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


def _whole(least: int) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= least


def _seconds(value: object) -> bool:
    return _number(value) and value > 0  # type: ignore[operator]


def _seconds_and_grace(value: Any) -> bool:
    pair = isinstance(value, tuple) and len(value) == 2
    return (_seconds(value[0]) and _number(value[1]) and value[1] >= 0) if pair else _seconds(value)


def _all_are(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A collection of these, and no string, which is a collection of letters."""
    return lambda value: isinstance(value, Collection) and not isinstance(value, str | bytes) and all(map(holds, value))


def _in_list(value: Any) -> str:
    return f"Write: [{value!r}]." if isinstance(value, str) else ""


def _logger(value: object) -> bool:
    return isinstance(value, bool) or value is None or all(callable(getattr(value, each, None)) for each in LOGGING)


LOGGING = ("info", "warning", "error")


def _origin(value: object) -> bool:
    if value == "null":  # what sandboxed pages and files send
        return True
    if not isinstance(value, str) or not ORIGIN.fullmatch(value):
        return False
    try:
        parts = urlsplit(value)
        return parts.port is None or parts.port != DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return False


def _origins(value: Any) -> bool:
    return value is None or value == "*" or callable(value) or _origin(value) or _all_are(_origin)(value)


def _right_origin(value: Any) -> str:
    """What a browser would send, for the first wrong one."""
    listed = [value] if isinstance(value, str) else list(value) if isinstance(value, Collection) else []
    wrong = next((each for each in listed if not _origin(each)), None)
    if wrong == "*":
        return "In a list it is no wildcard. Write: cors_allowed_origins='*'."
    if isinstance(wrong, str):
        scheme, _, rest = wrong.strip().lower().rpartition("://")
        host = re.split("[/?#]", rest)[0].removesuffix(f":{DEFAULT_PORTS.get(scheme or 'https')}")
        right = f"{scheme or 'https'}://{host}"
        if _origin(right):
            return f"For {wrong!r} write {right!r}."
    return "Write: ['https://chat.example']."


def _guards_of(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"Write: guards=Guards({', '.join(f'{name}={each!r}' for name, each in value.items())})."
    return "Write: guards=Guards.none() to have none of them." if value is False else "Write: guards=Guards(…)."


SWITCH = Expected("True or False", _is(bool))
LOGGER = Expected("True, False or a logger", _logger)
OPTIONS: dict[str, Expected] = {
    # of `Server` itself
    "guards": Expected(
        "an object of rtlab.realtime.Guards", lambda value: value is None or _is(Guards)(value), _guards_of
    ),
    # of socketio.AsyncServer
    "client_manager": Expected(
        "an object of socketio.AsyncManager, like socketio.AsyncRedisManager('redis://…')",
        lambda value: value is None or _is(socketio.AsyncManager)(value),
        lambda value: f"Write: socketio.AsyncRedisManager({value!r})." if isinstance(value, str) else "",
    ),
    "logger": LOGGER,
    "engineio_logger": LOGGER,
    "json": Expected(
        "a module or an object with dumps and loads",
        lambda value: value is None or all(callable(getattr(value, each, None)) for each in ("dumps", "loads")),
    ),
    "async_handlers": SWITCH,
    "always_connect": SWITCH,
    "namespaces": Expected(
        "'*' or a list of names, like ['/chat']",
        lambda value: (
            value is None or value == "*" or _all_are(lambda each: isinstance(each, str) and each[:1] == "/")(value)
        ),
        _in_list,
    ),
    "serializer": Expected("'default', 'msgpack' or a packet class", lambda value: isinstance(value, str | type)),
    # of engineio.AsyncServer
    "async_mode": Expected("no async_mode, since this server runs on aiohttp", _one_of(None, "aiohttp")),
    "ping_interval": Expected("a positive number of seconds, or (seconds, seconds of grace)", _seconds_and_grace),
    "ping_timeout": Expected("a positive number of seconds", _seconds),
    "max_http_buffer_size": Expected("a number of bytes, like 1_000_000", _whole(1)),
    "allow_upgrades": SWITCH,
    "http_compression": SWITCH,
    "compression_threshold": Expected("a number of bytes, like 1024", _whole(0)),
    "cookie": Expected(
        "None, the cookie's name, or a dict of its name and attributes",
        lambda value: value is None or value is False or isinstance(value, str | dict),
    ),
    "cors_allowed_origins": Expected(
        "origins as browsers write them ('https://chat.example': scheme and host, the port only where it is not the "
        "scheme's own, no path, lower case), '*' or a function",
        _origins,
        _right_origin,
    ),
    "cors_credentials": SWITCH,
    "monitor_clients": Expected("True or False", _one_of(None, True, False)),
    "transports": Expected(
        "'polling', 'websocket' or a list of these",
        lambda value: (
            value is None or _one_of(*TRANSPORTS)(value) or (bool(value) and _all_are(_one_of(*TRANSPORTS))(value))
        ),
    ),
}
"""By name: all that `Server` takes."""
