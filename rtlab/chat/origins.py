"""Whose pages may connect.

What lives here: `Origins`, the rule that the server asks for every request that comes from a browser. Browsers hold
pages to CORS for HTTP, but send a WebSocket's handshake from anywhere (RFC 6455 §10.2): the server has to look itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from rtlab.errors import UsageError

__all__ = ["Origins", "same_origin"]


ORIGIN = re.compile(r"https?://(?:[a-z0-9._-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.IGNORECASE | re.ASCII)
"""Scheme, host and port (RFC 6454 §6.2). Browsers send other names in their ASCII form: ``xn--…``."""


class Origins:
    """This site itself, and those that are named.

    Args:
        named: each as a browser spells it: scheme, host, and the port where it is not the scheme's own.

    Raises:
        UsageError: one of them is no origin.
    """

    def __init__(self, named: Sequence[str]) -> None:
        if isinstance(named, str):
            raise UsageError(f"Expected a list of origins, got the string {named!r}.")
        self._named = frozenset(_checked(each) for each in named)

    def __call__(self, origin: str | None, environ: Mapping[str, Any]) -> bool:
        """Whether a request with this Origin is let through; one without is no browser's, and is."""
        return origin is None or origin in self._named or same_origin(origin, environ)


def same_origin(origin: str, environ: Mapping[str, Any]) -> bool:
    """Whether an Origin is the site that was asked for. What proxies say is in the environment if they are trusted."""
    scheme = environ.get("HTTP_X_FORWARDED_PROTO") or environ.get("wsgi.url_scheme", "")
    host = environ.get("HTTP_X_FORWARDED_HOST") or environ.get("HTTP_HOST", "")
    return origin == f"{_first(scheme)}://{_first(host)}"


def _first(listed: str) -> str:
    return listed.partition(",")[0].strip()


def _checked(origin: str) -> str:
    try:
        parts = urlsplit(origin)
        fine = parts.port != 0 and ORIGIN.fullmatch(origin)  # asking for the port reads it
    except ValueError:
        fine = None
    if not fine:
        raise UsageError(
            "Expected an origin such as https://chat.example "
            f"(no path, no slash at its end, no *, no letters beyond ASCII), got {origin!r}."
        )
    return origin.lower()
