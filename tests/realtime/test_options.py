"""Each option of `Server`, right and wrong: a wrong one is named before anybody connects."""

import inspect
import json
import logging

import engineio
import pytest
import socketio

from rtlab.errors import UnknownOptionError, UsageError
from rtlab.realtime import Guards, Server
from rtlab.realtime.options import OPTIONS

WRONG = [
    ({"async_handlers": "yes"}, r"async_handlers='yes'\): expected True or False"),
    ({"async_handlers": 1}, "expected True or False"),
    ({"always_connect": None}, "expected True or False"),
    ({"allow_upgrades": "no"}, "expected True or False"),
    ({"http_compression": 0}, "expected True or False"),
    ({"cors_credentials": "same-origin"}, "expected True or False"),
    ({"monitor_clients": "yes"}, "expected True or False"),
    ({"max_http_buffer_size": "1MB"}, r"max_http_buffer_size='1MB'\): expected a number of bytes, like 1_000_000"),
    ({"max_http_buffer_size": 1e6}, "expected a number of bytes"),
    ({"max_http_buffer_size": 0}, "expected a number of bytes"),
    ({"max_http_buffer_size": True}, "expected a number of bytes"),
    ({"compression_threshold": "1k"}, "expected a number of bytes"),
    ({"ping_interval": "25"}, r"ping_interval='25'\): expected a positive number of seconds"),
    ({"ping_interval": (25,)}, "expected a positive number of seconds"),
    ({"ping_interval": (25, "5")}, "expected a positive number of seconds"),
    ({"ping_interval": float("nan")}, "expected a positive number of seconds"),
    ({"ping_timeout": (20, 5)}, r"ping_timeout=\(20, 5\)\): expected a positive number of seconds"),
    ({"ping_timeout": None}, "expected a positive number of seconds"),
    ({"ping_timeout": -1}, "expected a positive number of seconds"),
    ({"transports": "websockets"}, "expected 'polling', 'websocket' or a list of these"),
    ({"transports": []}, "expected 'polling', 'websocket' or a list"),
    ({"transports": ["websocket", "webtransport"]}, "expected 'polling', 'websocket' or a list"),
    ({"cors_allowed_origins": ["chat.example"]}, "For 'chat.example' write 'https://chat.example'"),
    ({"cors_allowed_origins": "chat.example:8443"}, "For 'chat.example:8443' write 'https://chat.example:8443'"),
    ({"cors_allowed_origins": ["https://a.example", "https://b.example/"]}, "write 'https://b.example'"),
    ({"cors_allowed_origins": "https://b.example/chat?x#y"}, "write 'https://b.example'"),
    ({"cors_allowed_origins": "https://Chat.example"}, "write 'https://chat.example'"),
    ({"cors_allowed_origins": "https://chat.example:443"}, "write 'https://chat.example'"),
    ({"cors_allowed_origins": "http://chat.example:443x"}, "expected origins as browsers write them"),
    ({"cors_allowed_origins": ["*"]}, r"In a list it is no wildcard. Write: cors_allowed_origins='\*'"),
    ({"cors_allowed_origins": True}, "expected origins as browsers write them"),
    ({"cors_allowed_origins": [None]}, r"Write: \['https://chat.example'\]"),
    ({"cors_allowed_origins": ""}, "expected origins"),
    ({"namespaces": "/chat"}, r"expected '\*' or a list of names.* Write: \['/chat'\]"),
    ({"namespaces": ["chat"]}, "expected '\\*' or a list of names"),
    ({"cookie": True}, "expected None, the cookie's name, or a dict"),
    ({"json": "orjson"}, "expected a module or an object with dumps and loads"),
    ({"logger": "DEBUG"}, "expected True, False or a logger"),
    ({"engineio_logger": print}, "expected True, False or a logger"),
    (
        {"client_manager": "redis://here"},
        r"expected an object of .*Write: socketio.AsyncRedisManager\('redis://here'\)",
    ),
    ({"client_manager": socketio.Manager()}, "expected an object of socketio.AsyncManager"),
    ({"client_manager": socketio.AsyncManager}, "expected an object of socketio.AsyncManager"),
    ({"serializer": 3}, "expected 'default', 'msgpack' or a packet class"),
    ({"serializer": "pickle"}, "Expected serializer='default', 'msgpack'"),
    ({"async_mode": "asgi"}, "this server runs on aiohttp"),
    (
        {"guards": {"max_handlers": 5}},
        r"expected an object of rtlab.realtime.Guards. Write: guards=Guards\(max_handlers=5",
    ),
    ({"guards": {}}, r"Write: guards=Guards\(\)"),
    ({"guards": False}, r"Write: guards=Guards.none\(\)"),
    ({"guards": Guards}, r"Write: guards=Guards\(…\)"),
    ({"max_handlers": 5}, r"max_handlers is a guard. Write: Server\(guards=Guards\(max_handlers=5\)\)"),
]
RIGHT = [
    {"async_handlers": False, "always_connect": True, "allow_upgrades": False, "http_compression": False},
    {"ping_interval": (25, 5), "ping_timeout": 0.5, "max_http_buffer_size": 1, "compression_threshold": 0},
    {"transports": "websocket"},
    {"transports": ["polling"], "monitor_clients": None, "cookie": "io", "json": json, "namespaces": "*"},
    {"cookie": {"name": "io", "Secure": True}, "namespaces": ["/a", "/b"], "serializer": "msgpack"},
    {"cors_allowed_origins": "*"},
    {"cors_allowed_origins": []},
    {"cors_allowed_origins": ("https://chat.example", "http://localhost:8000", "http://[::1]:8080", "null")},
    {"cors_allowed_origins": "app://bundle"},
    {"cors_allowed_origins": lambda origin, environ: True},
    {"client_manager": socketio.AsyncManager(), "logger": logging.getLogger("mine"), "engineio_logger": False},
    {"guards": None, "async_mode": "aiohttp"},
]


@pytest.mark.parametrize(("options", "said"), WRONG)
def test_a_wrong_value_is_refused(options, said):
    with pytest.raises(UsageError, match=said):
        Server(**options)


@pytest.mark.parametrize("options", RIGHT)
def test_a_right_value_is_taken(options):
    assert Server(**options).guards == Guards()


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("cors_origin", "cors_allowed_origins"), ("cors_allowed_origin", "cors_allowed_origins"),
        ("cors", "cors_allowed_origins"), ("ping_intervall", "ping_interval"), ("guard", "guards"),
        ("max_buffer_size", "max_http_buffer_size"), ("transport", "transports"), ("asyncHandlers", "async_handlers"),
    ],
)  # fmt: skip
def test_a_misspelt_option_is_named(wrong, right):
    with pytest.raises(UnknownOptionError, match=rf"Server\({wrong}=…\): there is no such option. .*'{right}'"):
        Server(**{wrong: []})


def test_the_table_has_every_option_of_both_libraries():
    theirs = {
        name
        for kind in (socketio.base_server.BaseServer, engineio.base_server.BaseServer, Server)
        for name, each in inspect.signature(kind.__init__).parameters.items()
        if each.kind is not each.VAR_KEYWORD and name != "self"
    }
    assert theirs | {"engineio_logger"} == set(OPTIONS)
