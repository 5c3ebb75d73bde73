"""Writing a history down as it happens.

What lives here: `HistoryRecorder`, and `ClientRecorder`, its face for one client. They must not know what any of it is
worth, nor what a client is: whoever drives the clients calls them.

The order is all that counts. All clients are observed in one thread, so that "before" has one meaning: an
acknowledgement that is recorded before a message leaves was there before it left.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rtlab.errors import UsageError
from rtlab.instruments.checking.happenings import HAPPENINGS, Happening
from rtlab.instruments.checking.history import ObservedHistory
from rtlab.instruments.checking.history_file import MOST_EVENTS

__all__ = ["ClientRecorder", "HistoryRecorder"]


class HistoryRecorder:
    """Writes a history down as it happens. It only ever adds, and belongs to one thread.

    Record what leaves *before* it leaves, and what comes *when* the application gets it.

    A client of the chat tells it everything but the end, when nothing is on its way any more::

        recorder = rtlab.HistoryRecorder(bound=100)
        bob = await rtlab.chat.connect(proxy.url, token=token, watching=recorder.client("bob"))
        ...
        last = await bob.join("hall")  # for each client and room
        recorder.settled("bob", "hall", last.offset)
        print(rtlab.check(recorder.history))

    Args:
        bound: messages that the server keeps of each room, at least.
        clock: gives seconds, and only goes forward.
        most: how many events are kept. Those after them are counted; the verdict is then "unknown" at best.
    """

    def __init__(self, bound: int, *, clock: Callable[[], float] = time.monotonic, most: int = MOST_EVENTS) -> None:
        self._events: list[Happening] = []
        self._clock = clock
        self._began = clock()
        self._most = min(most, MOST_EVENTS)
        self._thread = threading.get_ident()
        self._users: dict[str, str] = {}
        self._following: dict[str, dict[str, None]] = {}
        self.bound = ObservedHistory(bound=bound).bound
        """Messages that the server keeps of each room, at least."""
        self.dropped = 0
        """How many events were not kept because there were too many."""

    @property
    def history(self) -> ObservedHistory:
        """What was recorded up to now."""
        return ObservedHistory(self._events, bound=self.bound, dropped=self.dropped)

    def client(self, name: str, *, user: str = "") -> ClientRecorder:
        """Who writes down for one client: ``rtlab.chat.connect(…, watching=recorder.client("alice"))``.

        Args:
            name: the client's.
            user: whose it is; give it where a user has several clients.
        """
        if user:
            self._users[name] = user
        return ClientRecorder(self, name)

    def sent(self, client: str, room: str, id: str) -> None:  # noqa: A002 - as the field is called
        """An attempt to send a message leaves. Again for each attempt, with the same id."""
        self._add("sent", client, room, id=id)

    def acknowledged(self, client: str, room: str, id: str, offset: str) -> None:  # noqa: A002
        """The server has said that the message is stored."""
        self._add("acknowledged", client, room, id=id, offset=offset)

    def refused(self, client: str, room: str, id: str, code: str) -> None:  # noqa: A002
        """The server has said no. A code that the client made up by itself is `unanswered`."""
        self._add("refused", client, room, id=id, code=code)

    def unanswered(self, client: str, room: str, id: str) -> None:  # noqa: A002
        """No answer came: a time-out, or the connection was cut."""
        self._add("unanswered", client, room, id=id)

    def joining(self, client: str, room: str) -> None:
        """The client asks to enter a room. Without it nobody can tell a live message that came before the answer
        from a leak, and the verdict on such a message is "unknown"."""
        self._add("joining", client, room)

    def joined(self, client: str, room: str, after: str | None, offset: str, complete: bool, lost: bool) -> None:
        """A join, the first or a later one, was answered, and its last page is here.

        Args:
            client: who.
            room: where.
            after: the offset after which the client asked, in the request for the first page: of the first connection,
                if pages broke off.
            offset: where the last page ends.
            complete: whether the server said that nothing is left to fetch.
            lost: whether the server said, with any of the pages, that messages after `after` are gone.
        """
        self._add("joined", client, room, after=after, offset=offset, complete=complete, lost=lost)
        self._following.setdefault(client, {})[room] = None

    def received(self, client: str, room: str, id: str | None, offset: str, live: bool) -> None:  # noqa: A002
        """A message was handed to the application; `live` if it came by itself, not in a page of history."""
        self._add("received", client, room, id=id, offset=offset, live=live)

    def left(self, client: str, room: str) -> None:
        """A leave was acknowledged; or the client was told that it is no member any more."""
        self._add("left", client, room)
        self._following.get(client, {}).pop(room, None)

    def disconnected(self, client: str, room: str = "") -> None:
        """The connection is over; the client will come back. In one room, or in all that it has joined."""
        for each in (room,) if room else tuple(self._following.get(client, ())):
            self._add("disconnected", client, each)

    def settled(self, client: str, room: str, offset: str) -> None:
        """The observation ends: `offset` is where the client's last page ends. Ask for that page when every message
        is answered and nothing is on its way any more: what was acknowledged before this and is not there is lost."""
        self._add("settled", client, room, offset=offset)

    def fault(self, what: str, target: str, phase: str = "") -> None:
        """Something was broken or mended: ``fault("killed", "worker-2", "begin")``.

        Args:
            what: was done.
            target: to what.
            phase: "begin" or "end" of something that lasts.
        """
        self._keep("fault", what=what, target=target, phase=phase)

    def _add(self, kind: str, client: str, room: str, **more: Any) -> None:
        self._keep(kind, client=client, room=room, user=self._users.get(client, ""), **more)

    def _keep(self, kind: str, **values: Any) -> None:
        if threading.get_ident() != self._thread:
            raise UsageError("A recorder belongs to the thread that made it: only there is one order of events.")
        if len(self._events) >= self._most:
            self.dropped += 1
            return
        seconds = round(max(0.0, self._clock() - self._began), 6)
        self._events.append(HAPPENINGS[kind](at=len(self._events) + 1, seconds=seconds, **values))


class ClientRecorder:
    """Writes down for one client. `HistoryRecorder.client` makes it; the methods are those of the recorder."""

    def __init__(self, recorder: HistoryRecorder, name: str) -> None:
        self._recorder = recorder
        self.name = name
        """The client's."""

    def sent(self, room: str, client_id: str) -> None:
        """As `HistoryRecorder.sent`."""
        self._recorder.sent(self.name, room, client_id)

    def acknowledged(self, room: str, client_id: str, offset: str) -> None:
        """As `HistoryRecorder.acknowledged`."""
        self._recorder.acknowledged(self.name, room, client_id, offset)

    def refused(self, room: str, client_id: str, code: str) -> None:
        """As `HistoryRecorder.refused`."""
        self._recorder.refused(self.name, room, client_id, code)

    def unanswered(self, room: str, client_id: str) -> None:
        """As `HistoryRecorder.unanswered`."""
        self._recorder.unanswered(self.name, room, client_id)

    def joining(self, room: str) -> None:
        """As `HistoryRecorder.joining`."""
        self._recorder.joining(self.name, room)

    def joined(self, room: str, after: str | None, offset: str, complete: bool, lost: bool) -> None:
        """As `HistoryRecorder.joined`."""
        self._recorder.joined(self.name, room, after, offset, complete, lost)

    def received(self, room: str, client_id: str | None, offset: str, live: bool) -> None:
        """As `HistoryRecorder.received`."""
        self._recorder.received(self.name, room, client_id, offset, live)

    def left(self, room: str) -> None:
        """As `HistoryRecorder.left`."""
        self._recorder.left(self.name, room)

    def disconnected(self) -> None:
        """As `HistoryRecorder.disconnected`, in all rooms that it has joined."""
        self._recorder.disconnected(self.name)

    def settled(self, room: str, offset: str) -> None:
        """As `HistoryRecorder.settled`."""
        self._recorder.settled(self.name, room, offset)
