"""Every way in which a session can end: the reason, who says so, and whether its client comes back by itself.

What lives here: `Reason`, and the table `ENDINGS`, which a session obeys when it says good-bye, and its line in the
log. It must not know transports.

What a client hears decides whether it comes back, and the two official clients differ there. Over WebSocket both come
back after every close frame, unless DISCONNECT packets have put them out of their namespaces before. In the body of a
poll a CLOSE packet is final for the Python client and a lost connection for the JavaScript one; after an error status
both come back. So a GET hears CLOSE only where the end is meant to be final.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from engineio import AsyncServer

from rtlab.wire.frames import CloseCode

__all__ = ["ENDINGS", "Ending", "Reason"]


class Reason(AsyncServer.reason):  # type: ignore[misc]
    """Why a session ended, as the disconnect handlers hear it: python-socketio's words, and four that it lacks."""

    PARSE_ERROR = "parse error"
    """The client sent what it must not; Node's word."""
    CONNECT_TIMEOUT = "connect timeout"
    """The client was in no namespace for too long."""
    SLOW_CONSUMER = "slow consumer"
    """More waited for the client than may."""
    SHUTTING_DOWN = "server shutting down"
    """The whole server ends, and throws nobody out: clients come back when there is one again. Node's word."""


class Ending(NamedTuple):
    """What an end is like."""

    who: str
    """Who says so: "client", "application", "server" (this package, by a rule of its own), "host" or "network"."""
    code: CloseCode
    """What a WebSocket client is told, as far as it still listens (RFC 6455 §7.4.1)."""
    final: bool = False
    """Whether a client that polls is told that it is over for good."""
    level: int = logging.INFO
    """Of the line in the log. Where a guard has ended it, Python's logging shows the line without being set up."""


ENDINGS: dict[str, Ending] = {
    Reason.CLIENT_DISCONNECT: Ending("client", CloseCode.NORMAL, final=True),
    Reason.SERVER_DISCONNECT: Ending("application", CloseCode.GOING_AWAY, final=True),
    Reason.SHUTTING_DOWN: Ending("host", CloseCode.GOING_AWAY),
    Reason.TRANSPORT_CLOSE: Ending("network", CloseCode.POLICY_VIOLATION),
    Reason.TRANSPORT_ERROR: Ending("server", CloseCode.POLICY_VIOLATION, level=logging.WARNING),
    Reason.PING_TIMEOUT: Ending("server", CloseCode.POLICY_VIOLATION),
    Reason.PARSE_ERROR: Ending("server", CloseCode.POLICY_VIOLATION, level=logging.WARNING),
    Reason.CONNECT_TIMEOUT: Ending("server", CloseCode.POLICY_VIOLATION, level=logging.WARNING),
    Reason.SLOW_CONSUMER: Ending("server", CloseCode.POLICY_VIOLATION, level=logging.ERROR),
}
"""By reason."""
