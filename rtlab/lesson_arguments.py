"""What may be given to the helpers of `rtlab.lesson`, and a sentence for each mistake.

What lives here: `Listening`, what has an address, and pure functions that check one argument each. It must not know how
a connection is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from rtlab.errors import UsageError

__all__ = ["Listening", "address_of", "checked_namespaces"]


class Listening(Protocol):
    """What has an address: a server of `rtlab.start` or `rtlab.serve`, or a tap."""

    @property
    def url(self) -> str:
        """Where it listens: "http://127.0.0.1:53201"."""


def address_of(server: Listening | str) -> str:
    """The address of a server.

    Raises:
        UsageError: it has none, or one without a scheme.
    """
    if isinstance(server, str):
        if "://" in server:
            return server
        raise UsageError(f"Expected a URL like 'http://127.0.0.1:8000', got {server!r}. Try {f'http://{server}'!r}.")
    try:
        return server.url
    except AttributeError as error:
        if isinstance(error, UsageError):  # rtlab's own: a start that was not awaited
            raise
        advice = " Start it, and give what you get: server = await rtlab.start(sio)." if hasattr(server, "emit") else ""
        kind = type(server).__name__
        raise UsageError(f"Expected a server of rtlab.start, a tap or a URL, got {kind}.{advice}") from None


def checked_namespaces(namespaces: object, what: str) -> tuple[str, ...]:
    """Names of namespaces.

    Raises:
        UsageError: it is one name and not a list of them, is empty, or one of them does not begin with "/".
    """
    if isinstance(namespaces, str):
        raise UsageError(f"{what}: expected a list of names, got the string {namespaces!r}. Write: [{namespaces!r}].")
    names = tuple(namespaces) if isinstance(namespaces, Iterable) else ()
    if not names:
        raise UsageError(f"{what}: expected names of namespaces, like '/' or '/chat', got none.")
    for name in names:
        if not isinstance(name, str) or not name.startswith("/"):
            hint = f" Write: {f'/{name}'!r}." if isinstance(name, str) else " Name them one by one."
            raise UsageError(f"{what}: a namespace is a string that begins with '/', got {name!r}.{hint}")
    return names
