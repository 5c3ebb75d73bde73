"""What an observer of a chat's client is told: each attempt, its answer, and each message that it hands on.

What lives here: `Watching`, the protocol, and `NobodyWatching`, which ignores it all. It must not know how the client
works. Calls come on the event loop's thread, in the order in which things happen to this client.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["NobodyWatching", "Watching"]


class Watching(Protocol):
    """Who watches a client: give it to ``connect(…, watching=)``. Its methods return at once and do not raise."""

    def sent(self, room: str, client_id: str) -> None:
        """An attempt to send a message leaves the client; a retry has the same id."""

    def acknowledged(self, room: str, client_id: str, offset: str) -> None:
        """The server has stored the message at this offset."""

    def refused(self, room: str, client_id: str, code: str) -> None:
        """The server has answered an attempt with this code. Some codes leave open whether it was stored."""

    def unanswered(self, room: str, client_id: str) -> None:
        """An attempt got no answer: in time, before the connection ended, or before the caller gave up."""

    def joining(self, room: str) -> None:
        """The client asks to be let into a room: by `Client.join`, or because it is back after a cut. From here on the
        server may take it for a member."""

    def joined(self, room: str, after: str | None, offset: str, complete: bool, lost: bool) -> None:
        """The last page of a join, or of a return after a cut, has come.

        Args:
            room: which one.
            after: what came after this offset was asked for, on the first of the pages; None for the newest messages.
            offset: where the last page ends. The client has everything up to there.
            complete: whether nothing after `after` is missing.
            lost: whether the server said, on any of the pages, that messages after `after` are gone.
        """

    def received(self, room: str, client_id: str | None, offset: str, live: bool) -> None:
        """A message that was not received before goes to the script.

        Args:
            room: which one.
            client_id: the sender's own id for it; None if it gave none.
            offset: where it stands in its room.
            live: False if it came in a page of history.
        """

    def left(self, room: str) -> None:
        """The client is no longer in the room: the server acknowledged that it leaves, or did not let it in again."""

    def disconnected(self) -> None:
        """The connection has ended. Unless it is over, the client comes back, and joins its rooms again."""


class NobodyWatching:
    """Ignores everything."""

    def sent(self, room: str, client_id: str) -> None:
        """Ignored."""

    def acknowledged(self, room: str, client_id: str, offset: str) -> None:
        """Ignored."""

    def refused(self, room: str, client_id: str, code: str) -> None:
        """Ignored."""

    def unanswered(self, room: str, client_id: str) -> None:
        """Ignored."""

    def joining(self, room: str) -> None:
        """Ignored."""

    def joined(self, room: str, after: str | None, offset: str, complete: bool, lost: bool) -> None:
        """Ignored."""

    def received(self, room: str, client_id: str | None, offset: str, live: bool) -> None:
        """Ignored."""

    def left(self, room: str) -> None:
        """Ignored."""

    def disconnected(self) -> None:
        """Ignored."""
