"""Which way something goes between a client and a server.

What lives here: `Direction`. It must not know what goes that way.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = ["Direction"]


class Direction(StrEnum):
    """Which way something went."""

    TO_SERVER = "to server"
    TO_CLIENT = "to client"

    @property
    def arrow(self) -> str:
        """For one line of text, where the client stands on the left."""
        return "→" if self is Direction.TO_SERVER else "←"

    @property
    def back(self) -> Direction:
        """The other way."""
        return Direction.TO_CLIENT if self is Direction.TO_SERVER else Direction.TO_SERVER
