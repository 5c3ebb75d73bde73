"""Requests of a client that polls and that come a second time, because the answer to the first was lost on its way.

What lives here: `Resent`, which tells them apart from new ones. It must not know what becomes of either.

HTTP lets a client send a request again whose connection ended without an answer, if nothing changes by that (RFC 9112
§9.3.1). Browsers do so with every request on a connection that has carried another one before, and scripts do not hear
of it. But a GET that polls takes messages away, and a POST brings some: the answer to the second GET would have what
came after the lost messages, and the second POST would do everything twice.

Socket.IO's clients in JavaScript give each request a value of its own (``t``), against caches; what is sent again has
the same. A ``t`` without a letter is a clock, as clients in Python and C# write it: two requests may share its tick.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

__all__ = ["Resent"]

OF_ITS_OWN = re.compile(r"(?=.*[A-Za-z])[\w-]{1,64}", re.ASCII)
"""A value that no other request of a client has: engine.io-client 3 to 6 write 7 or 8 letters and digits. A longer one
than this is not kept."""


class Resent:
    """The last requests of one client."""

    __slots__ = ("_get", "_post")

    def __init__(self) -> None:
        self._get = ""
        self._post = ("", b"")

    def get(self, query: Mapping[str, str]) -> bool:
        """A GET has come; gives whether it is the last one again. What it was answered did not arrive."""
        before, self._get = self._get, _own(query)
        return self._get != "" and self._get == before

    def post(self, query: Mapping[str, str], body: bytes) -> bool:
        """A POST has come; gives whether it is the last one again, with the same body. That one was done."""
        before, own = self._post, _own(query)
        self._post = (own, hashlib.blake2b(body, digest_size=16).digest() if own else b"")
        return own != "" and self._post == before


def _own(query: Mapping[str, str]) -> str:
    given = query.get("t", "")
    return given if OF_ITS_OWN.fullmatch(given) else ""
