"""A client of the chat for scripts.

What lives here: `connect`, and `Client`, what it gives. The connection below is a `ReconnectingClient`. It must not
know how the server works, only the contract.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Generator, Sequence
from types import TracebackType
from typing import Any, Self

from rtlab.chat.client.arrivals import Event, Messages
from rtlab.chat.client.calls import ACK_S
from rtlab.chat.client.following import Following, Joined
from rtlab.chat.client.options import check_text
from rtlab.chat.client.outbox import Posted, PostOutbox, Sent
from rtlab.chat.client.reconnecting import ReconnectingClient, cancelled
from rtlab.chat.client.refreshing import Token
from rtlab.chat.client.watching import Watching
from rtlab.errors import ChatError, ChatUnansweredError, UsageError

__all__ = ["Client", "Connecting", "connect"]

logger = logging.getLogger("rtlab.chat.client")


class Client(ReconnectingClient):
    """A connection to a chat, with notifications. `connect` makes it.

    It reconnects by itself, joins its rooms again, and fetches what was said meanwhile: those messages come as
    ``chat:message`` events like any other, each once and in order. Events of the client itself tell the rest:

    - ``connect`` and ``disconnect``, with the library's word for why;
    - ``rejoin_refused`` {room, code, message}: the server does not let it into this room any more;
    - ``history_lost`` {room, after, offset}: the server no longer has all messages between these two offsets. What it
      still has comes after this event;
    - ``refresh_failed`` {code, message}: the token function gave no token, or none that is newer; once until it does.
      It is asked again until the old one ends, which ends the connection, and before each attempt to come back.
    """

    def __init__(self, url: str, token: Token, transports: Sequence[str] | None = None, **options: Any) -> None:
        super().__init__(url, token, transports, **options)
        self._following = Following(self._call, self._arrivals.put, self._watching)
        self._outbox = PostOutbox(self._until_here, self._send_posted)
        self.session: str | None = None
        """Under this id the server keeps this connection's rooms."""

    async def join(self, room: str, after: str | None = None) -> Joined:
        """Enter a room.

        Args:
            room: its name.
            after: the `Joined.offset` of an earlier join, or the offset of the last message that you have. What came
                after it and is still there comes, however many pages that takes. Without it, the last 50 come.

        Raises:
            ChatError: the server refuses, or does not answer. If the connection ended between two pages, the client
                joins again by itself, and all pages come as events.
        """
        await self._wait_until_here()
        return await self._following.join(room, after)

    async def leave(self, room: str) -> None:
        """Leave a room.

        Raises:
            ChatError: the server refuses, or does not answer. The client then stays in the room, as far as it knows.
        """
        await self._wait_until_here()
        await self._following.leave(room)

    async def send(self, room: str, text: str, *, client_id: str | None = None) -> Sent:
        """Say something in a room that you have joined, in one attempt. `post` makes as many as it takes.

        Args:
            room: its name.
            text: 1 to 1,000 characters.
            client_id: the same in every attempt to send this message, so that it has one effect; made up if not given.

        Raises:
            UsageError: the text holds half of a surrogate pair, which UTF-8 cannot carry. So it is with every string
                that a method sends.
            ChatUnansweredError: there was no answer. Whether the message is there is then unknown: send it again with
                the same `client_id`.
            ChatError: the server refuses.
        """
        await self._wait_until_here()
        if self.connected and not self._here.is_set():  # the server would refuse it for good: not_a_member
            raise ChatUnansweredError(
                "gone", "chat:message: connected, but not back in its rooms yet. It was not sent."
            )
        return await self._attempt(room, text, uuid.uuid4().hex if client_id is None else client_id)

    def post(self, room: str, text: str, *, client_id: str | None = None) -> Posted:
        """Say something in a room that you have joined, and have it sent until it is there: over time-outs, over cuts
        and while the server cannot take it, with the same id in every attempt. It waits in the outbox until then.

        Messages of one room are sent one after the other, in the order of their posts. One that is refused does not
        stop those behind it. The outbox takes `OUTBOX_MESSAGES` and `OUTBOX_BYTES`.

        Args:
            room: its name.
            text: 1 to 1,000 characters.
            client_id: its id; made up if not given. Give that of `Posted.client_id` to post again what another client
                has left `unsent`.

        Returns:
            At once. To await it is optional: ``sent = await client.post(…)``. That gives `Sent`, or raises ChatError:
            a definite refusal; ``server_error``, if the server failed over it time and again; ``cut``, if the
            connection ended time and again when it was sent; ``gone``, if the connection is over. After the last
            three it is unknown whether the message is there.

        Raises:
            UsageError: room, text or id are no strings that UTF-8 can carry.
            ChatError: the outbox is full (``outbox_full``), or the connection is over (``gone``).
        """
        number = uuid.uuid4().hex if client_id is None else client_id
        for name, value in (("room", room), ("text", text), ("client_id", number)):
            if not isinstance(value, str):
                raise UsageError(f"post({name}=): expected a string, got {type(value).__name__}.")
            check_text(f"post({name}=)", value)
        return self._outbox.add(room, text, number)

    @property
    def unsent(self) -> tuple[Posted, ...]:
        """What was posted, and is neither acknowledged nor refused; of each room in its order. After the end of the
        connection: what was left then."""
        return self._outbox.unsent

    async def flush(self, *, within_s: float | None = None) -> None:
        """Wait until the outbox is empty. How each message ended, its `Posted` says.

        Args:
            within_s: seconds to wait; None for as long as it takes.

        Raises:
            TimeoutError: something is left. It says how much.
            ChatError: the connection is over, and something is left.
        """
        try:
            async with asyncio.timeout(within_s):
                await self._outbox.flush()
        except TimeoutError:
            raise TimeoutError(f"flush(): not done within {within_s:g} s. {self._outbox.left()}") from None

    async def typing(self, room: str) -> None:
        """Tell the others in a room that you type.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        await self._ask("chat:typing", room)

    async def subscribe(self, *topics: str) -> list[str]:
        """Get the notifications of these topics too. Gives all that you are subscribed to.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        return list((await self._ask("subscribe", list(topics), namespace="/notifications"))["topics"])

    async def unsubscribe(self, *topics: str) -> list[str]:
        """Get the notifications of these topics no longer. Gives those that are left.

        Raises:
            ChatError: the server refuses, or does not answer.
        """
        return list((await self._ask("unsubscribe", list(topics), namespace="/notifications"))["topics"])

    async def restore(self, session: str) -> list[str]:
        """Enter the rooms of an earlier connection of yours, by its `session`.

        Raises:
            ChatError: it is not yours, or is over.
        """
        rooms = list((await self._ask("session:restore", session))["rooms"])
        self._following.restored(rooms)
        return rooms

    def messages(self, room: str | None = None) -> Messages:
        """The messages of a room as they come, for ``async for``: each once and in order, those that were missed in a
        cut included. It begins with those that nobody has taken yet, and ends when the connection is over.

        Args:
            room: its name; all rooms if not given.

        Returns:
            An iterator. If it is too slow for what comes, the oldest are dropped; `Messages.dropped` counts them.
        """
        return self._arrivals.messages(room)

    async def events(self, name: str | None = None, **wanted: Any) -> AsyncIterator[Event]:
        """Events as they come, until the connection is over. Arguments are those of `next`."""
        with contextlib.suppress(ChatError):
            while True:
                yield await self.next(name, within_s=None, **wanted)

    async def close(self) -> None:
        """End the connection, or the attempts to come back. A second call does nothing.

        What was posted and not acknowledged is in `unsent` then, and the log says so. To have it sent first, `flush`.
        """
        if self.unsent and not self._ended:
            said = "closed with messages in its outbox. %s Await flush() before close(), or post client.unsent again."
            logger.warning(said, self._outbox.left())
        try:
            await super().close()
        finally:
            await cancelled(*self._outbox.end(self._over()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "closed" if self._ended else "connected" if self.connected else "not connected"
        waiting = f", {len(self._outbox)} to send" if len(self._outbox) else ""
        return f"<chat client of {self._url}, {state}, in {', '.join(self._following.rooms) or 'no room'}{waiting}>"

    # What happens below

    async def _send_posted(self, posted: Posted) -> Sent:
        return await self._attempt(posted.room, posted.text, posted.client_id)

    async def _attempt(self, room: str, text: str, client_id: str) -> Sent:
        """One attempt to send a message, whoever asked for it, as an observer sees it."""
        payload = {"room": room, "text": text, "clientId": client_id}
        check_text("chat:message", payload)
        self._watching.sent(room, client_id)
        try:
            ack = await self._call("chat:message", payload)
        except ChatError as problem:
            if isinstance(problem, ChatUnansweredError):
                self._watching.unanswered(room, client_id)
            else:
                self._watching.refused(room, client_id, problem.code)
            raise
        except BaseException:
            self._watching.unanswered(room, client_id)
            raise
        if not (isinstance(ack.get("id"), str) and isinstance(ack.get("offset"), str)):
            self._watching.unanswered(room, client_id)
            said = f"chat:message: expected an acknowledgement with id and offset, got {ack!r}"
            raise ChatUnansweredError("unknown", said)
        self._watching.acknowledged(room, client_id, ack["offset"])
        return Sent(ack["id"], ack["offset"])

    async def _hear(self, name: str, *arguments: Any) -> None:
        data: Any = arguments[0] if arguments else None
        if name == "chat:history":
            self._following.history(data)
        elif name == "session":
            self.session = data["id"]
        elif name == "chat:message":
            self._following.message(data)
        elif name == "chat:lost":
            self._following.lost(data["room"], data["offset"])
        else:
            await super()._hear(name, data)

    async def _return(self) -> None:
        await self._following.return_to_rooms()

    async def _disconnected(self, reason: str) -> None:
        self._following.away()
        await super()._disconnected(reason)

    async def _end(self, *_: Any) -> None:
        await super()._end()
        self._outbox.end(self._over())


class Connecting:
    """What `connect` gives: ``await`` it, or use it with ``async with``."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def __await__(self) -> Generator[Any, None, Client]:
        return self._client.open().__await__()

    def __enter__(self) -> None:
        raise UsageError("`with rtlab.chat.connect(…)` has to be `async with rtlab.chat.connect(…) as client:`.")

    def __exit__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not (hasattr(Client, name) or name == "session"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        raise AttributeError(
            f"There is no connection yet, so no {name}: write `client = await rtlab.chat.connect(…)`, "
            "or `async with rtlab.chat.connect(…) as client:`."
        )

    def __repr__(self) -> str:
        return f"<chat client of {self._client._url}, not connected yet: `await` it, or use `async with`>"  # noqa: SLF001

    async def __aenter__(self) -> Client:
        return await self._client.open()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.close()


def connect(
    url: str,
    *,
    token: Token,
    transports: Sequence[str] | None = None,
    ack_s: float = ACK_S,
    watching: Watching | None = None,
    **options: Any,
) -> Connecting:
    """Connect to a chat.

    Over WebSocket, python-socketio's client reads messages of up to 4 MiB. A longer one, from a server of your own,
    ends the connection, and the server's `call` ends in a time-out. Over long-polling there is no such limit.

    Args:
        url: the server's, or a tap's in front of it: ``http://127.0.0.1:8000``.
        token: from `issue_token`, or a function (async or not) that gives one. It is asked before every attempt to
            connect, and in time before a token ends.
        transports: ``["websocket"]`` or ``["polling"]`` for one only.
        ack_s: seconds that the server has to acknowledge an event.
        watching: is told of each attempt, its answer and each message (`rtlab.chat.Watching`).
        **options: those of `socketio.AsyncClient`: ``reconnection=False``, ``reconnection_delay=0.1`` …

    Returns:
        To be awaited, or used with ``async with``; both give a `Client`.

    Raises:
        UsageError: an argument is not as said. At once, but for a token that UTF-8 cannot carry.
        ChatRefusedError: the server does not let it in.
        ChatError: there is no server, or it does not answer.
    """
    return Connecting(Client(url, token, transports, ack_s=ack_s, watching=watching, **options))
