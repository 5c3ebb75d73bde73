"""How a request is refused: Node's codes and messages, so that every client understands them.

What lives here: the table of refusals, and the exception that carries one out of a request handler.
"""

from __future__ import annotations

import enum
import json

from aiohttp import web

__all__ = ["WARNED", "Refusal", "RequestRefused"]


class Refusal(enum.Enum):
    """The HTTP status, the code that clients read, and its message (engine.io 6, Server.errors)."""

    UNKNOWN_TRANSPORT = (400, 0, "Transport unknown")
    UNKNOWN_SESSION = (400, 1, "Session ID unknown")
    BAD_METHOD = (400, 2, "Bad handshake method")
    BAD_REQUEST = (400, 3, "Bad request")
    FORBIDDEN = (403, 4, "Forbidden")
    UNSUPPORTED_VERSION = (400, 5, "Unsupported protocol version")
    TOO_LARGE = (413, 3, "Payload too large")
    HEAD_TOO_LARGE = (431, 3, "Request header fields too large")
    SHUTTING_DOWN = (503, 3, "Server shutting down")
    TOO_MANY = (503, 3, "Too many clients are waiting")


WARNED = frozenset({Refusal.FORBIDDEN, Refusal.HEAD_TOO_LARGE, Refusal.TOO_MANY})
"""What somebody has to know who wonders why nobody can connect: the application's own settings refuse it."""


class RequestRefused(Exception):  # noqa: N818 - it becomes a response
    """A request that is answered with a refusal. `detail` is for the log. Never leaves rtlab.realtime."""

    def __init__(self, refusal: Refusal, detail: str, *, cut: bool = False) -> None:
        self.refusal = refusal
        self.cut = cut
        """Whether the connection ends with the answer, however much of the request is still to come."""
        super().__init__(f"{refusal.value[2]} ({detail})")

    def response(self) -> web.Response:
        """What the client gets."""
        status, code, message = self.refusal.value
        return web.Response(
            status=status, text=json.dumps({"code": code, "message": message}), content_type="application/json"
        )
