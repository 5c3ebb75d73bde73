"""What may be given to `rtlab.chat.connect`, and a sentence for each mistake.

What lives here: pure functions that check one argument each. They must not know how a connection is made.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import socketio

from rtlab.errors import UnknownOptionError, UsageError

__all__ = ["check_options", "check_text", "check_token", "checked_seconds", "checked_transports", "checked_url"]

SCHEMES = ("http", "https", "ws", "wss")
TRANSPORTS = ("polling", "websocket")
OURS = frozenset({"self", "kwargs", "handle_sigint", "http_session"})
"""Arguments of the library's clients that are not the caller's."""
BELOW = frozenset({"request_timeout", "ssl_verify", "websocket_extra_options", "timestamp_requests", "engineio_logger"})
"""Arguments that `socketio.AsyncClient` passes on to the client of Engine.IO below it."""
GIVEN = frozenset({"ack_s", "token", "transports", "watching"})
"""Options of `rtlab.chat.connect` itself."""


def checked_url(url: object) -> str:
    """The address of a server.

    Raises:
        UsageError: it has no scheme, or is none at all.
    """
    if not isinstance(url, str):
        hint = " Give its url: connect(server.url, …)." if hasattr(url, "url") else ""
        raise UsageError(f"connect(url): expected a string such as 'http://127.0.0.1:8000', got {url!r}.{hint}")
    parts = urlsplit(url)
    if parts.scheme in SCHEMES and parts.netloc:
        return url
    guess = f"http://{url}" if "://" not in url else f"http://{url.partition('://')[2]}"
    raise UsageError(f"connect(url): expected one that begins with http:// or https://, got {url!r}. Try {guess!r}.")


def check_token(token: object) -> None:
    """Raises UsageError if it is neither a token nor a function."""
    if not isinstance(token, str) and not callable(token):
        raise UsageError(
            "connect(token=): expected a token, or a function that gives one, "
            f"got {'None' if token is None else type(token).__name__}. "
            "Make one with rtlab.chat.issue_token('alice', secret), where secret is the server's."
        )


def checked_transports(transports: Sequence[str] | None) -> list[str] | None:
    """The transports that a client may use; None for both.

    Raises:
        UsageError: it is no list of them.
    """
    if transports is None:
        return None
    if isinstance(transports, str):
        raise UsageError(f"connect(transports=): expected a list, got the string {transports!r}. Try [{transports!r}].")
    given = list(transports)
    for each in given:
        if each not in TRANSPORTS:
            raise UsageError(f"connect(transports=): expected 'polling' or 'websocket', got {each!r}.{_close(each)}")
    if not given:
        raise UsageError("connect(transports=): expected 'polling', 'websocket' or both, got an empty list.")
    return given


def checked_seconds(name: str, seconds: object) -> float:
    """A number of seconds.

    Raises:
        UsageError: it is none, or not more than 0.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < math.inf:
        raise UsageError(f"connect({name}=): expected a number of seconds above 0, got {seconds!r}.")
    return float(seconds)


def check_text(what: str, value: Any) -> None:
    """Raises UsageError if there is a string anywhere that UTF-8 cannot carry: it holds half of a surrogate pair."""
    if isinstance(value, dict):
        for name, each in value.items():
            check_text(f"{what}: {name}", each)
    elif isinstance(value, list):
        for each in value:
            check_text(what, each)
    elif isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            half = f"U+{ord(value[error.start]):04X}"
            raise UsageError(
                f"{what}: expected text that UTF-8 can carry, got {half}, half of a surrogate pair"
            ) from None


def check_options(options: dict[str, Any]) -> None:
    """Refuse what is no option of `socketio.AsyncClient`.

    Raises:
        UsageError: one is the chat client's own business.
        UnknownOptionError: one does not exist; the message names the nearest.
    """
    for name in OURS.intersection(options):
        raise UsageError(f"connect({name}=): this one the chat's client sets itself. Leave it out.")
    known = (set(inspect.signature(socketio.AsyncClient).parameters) | BELOW | GIVEN) - OURS
    UnknownOptionError.refuse("connect", options, known)


def _close(name: object) -> str:
    found = difflib.get_close_matches(str(name), TRANSPORTS, n=1)
    return f" Did you mean {found[0]!r}?" if found else ""
