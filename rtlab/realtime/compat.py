"""Every private name of python-socketio and python-engineio that this package stands on, in one place.

What lives here: the list, and the check that runs before a server starts. pyproject.toml bounds the versions; where
somebody installs another one all the same, the check says what has moved instead of leaving a gap open.
"""

from __future__ import annotations

import functools
import inspect

import engineio
import socketio
from aiohttp.web_protocol import RequestHandler
from engineio.async_drivers import aiohttp as driver
from socketio.packet import Packet

from rtlab.errors import UsageError

__all__ = ["ATTRIBUTES", "NAMES", "check", "check_made", "moved"]

SLOTS = {(RequestHandler, "_payload_parser")}
"""What is no method: where `metering` stands in for aiohttp's reader of frames."""
NAMES: dict[tuple[type | object, str], tuple[str, ...]] = {
    # below: what `Engine` overrides or calls
    (engineio.AsyncServer, "_cors_allowed_origins"): ("self", "environ"),
    (engineio.AsyncServer, "_cors_headers"): ("self", "environ"),
    (engineio.AsyncServer, "_generate_sid_cookie"): ("self", "sid", "attributes"),
    (engineio.AsyncServer, "_get_socket"): ("self", "sid"),
    (engineio.AsyncServer, "generate_id"): ("self",),
    (driver, "translate_request"): ("request",),
    # above: what `Server` overrides or calls
    (socketio.AsyncServer, "_engineio_server_class"): ("self",),
    (socketio.AsyncServer, "_get_event_handler"): ("self", "event", "namespace", "args"),
    (socketio.AsyncServer, "_get_namespace_handler"): ("self", "namespace", "args"),
    (socketio.AsyncServer, "_handle_connect"): ("self", "eio_sid", "namespace", "data"),
    (socketio.AsyncServer, "_handle_disconnect"): ("self", "eio_sid", "namespace", "reason"),
    (socketio.AsyncServer, "_handle_eio_connect"): ("self", "eio_sid", "environ"),
    (socketio.AsyncServer, "_handle_eio_disconnect"): ("self", "eio_sid", "reason"),
    (socketio.AsyncServer, "_handle_eio_message"): ("self", "eio_sid", "data"),
    (socketio.AsyncServer, "_handle_event_internal"): (
        "self",
        "server",
        "sid",
        "eio_sid",
        "data",
        "namespace",
        "id",
    ),
    (socketio.AsyncServer, "_handle_ack"): ("self", "eio_sid", "namespace", "id", "data"),
    (socketio.AsyncServer, "_send_packet"): ("self", "eio_sid", "pkt"),
    (socketio.AsyncServer, "_trigger_event"): ("self", "event", "namespace", "*args"),
    # beside: what `Fanout` overrides or calls
    (socketio.AsyncManager, "_generate_ack_id"): ("self", "sid", "callback"),
    (socketio.AsyncManager, "basic_close_room"): ("self", "room", "namespace"),
    (socketio.AsyncManager, "basic_enter_room"): ("self", "sid", "namespace", "room", "eio_sid"),
    (socketio.AsyncManager, "get_participants"): ("self", "namespace", "room"),
    (socketio.AsyncManager, "is_connected"): ("self", "sid", "namespace"),
    (socketio.AsyncManager, "pre_connect"): ("self", "eio_sid", "namespace"),
    (socketio.AsyncManager, "pre_disconnect"): ("self", "sid", "namespace"),
    # between nodes: what `RedisManager` overrides or calls
    (socketio.AsyncRedisManager, "_handle_callback"): ("self", "message"),
    (socketio.AsyncRedisManager, "_handle_close_room"): ("self", "message"),
    (socketio.AsyncRedisManager, "_handle_disconnect"): ("self", "message"),
    (socketio.AsyncRedisManager, "_handle_emit"): ("self", "message"),
    (socketio.AsyncRedisManager, "_handle_enter_room"): ("self", "message"),
    (socketio.AsyncRedisManager, "_handle_leave_room"): ("self", "message"),
    (socketio.AsyncRedisManager, "_listen"): ("self",),
    (socketio.AsyncRedisManager, "_publish"): ("self", "data"),
    (socketio.AsyncRedisManager, "_return_callback"): ("self", "host_id", "sid", "namespace", "callback_id", "*args"),
    (socketio.AsyncRedisManager, "_thread"): ("self",),
    (Packet, "reconstruct_binary"): ("data", "attachments"),
}
"""Where each name lives, and its parameters."""
ATTRIBUTES = {
    "the server": (
        "_binary_packet",
        "environ",
        "eio",
        "handlers",
        "manager",
        "manager_initialized",
        "namespace_handlers",
        "packet_class",
    ),
    "the manager": ("callbacks", "pending_connect", "pending_disconnect", "rooms"),
    "the engine": ("cookie", "cors_allowed_origins", "http_compression", "ping_interval_grace_period", "sockets"),
}
"""What objects have once they are made."""


def moved() -> list[str]:
    """What is not as it was, one line each: ``AsyncServer._send_packet(self, pkt), expected (self, eio_sid, pkt)``."""
    found = [f"{owner.__name__}.{name} is gone" for owner, name in SLOTS if not hasattr(owner, name)]
    for (owner, name), expected in NAMES.items():
        where = f"{getattr(owner, '__name__', owner)}.{name}"
        member = getattr(owner, name, None)
        if member is None:
            found.append(f"{where} is gone")
            continue
        got = tuple(_written(each) for each in inspect.signature(member).parameters.values())
        if got != expected:
            found.append(f"{where}({', '.join(got)}), expected ({', '.join(expected)})")
    return found


def _written(parameter: inspect.Parameter) -> str:
    """A parameter's name, with its star."""
    return str(parameter).partition(":")[0].partition("=")[0]


@functools.cache
def check() -> None:
    """Refuse to go on if a name has moved: a guard that hangs on it would be no guard.

    Raises:
        UsageError: names each.
    """
    _refuse(moved())


def check_made(server: socketio.AsyncServer) -> None:
    """Refuse a server that was made without the attributes that the guards use.

    Raises:
        UsageError: names each.
    """
    owners = {"the server": server, "the manager": server.manager, "the engine": server.eio}
    missing = [(who, name) for who, names in ATTRIBUTES.items() for name in names if not hasattr(owners[who], name)]
    _refuse([f"{who} has no {name}" for who, name in missing])


def _refuse(found: list[str]) -> None:
    if found:
        from importlib.metadata import version

        raise UsageError(
            f"rtlab.realtime does not know python-socketio {version('python-socketio')} with python-engineio "
            f"{version('python-engineio')}: {'; '.join(found)}. Install the versions that rtlab asks for: "
            "pip install --upgrade rtlab"
        )
